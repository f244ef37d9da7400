/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "swarm.h"
#include "wire/batch_reader.h"

/* As agents have it (export/exporter.c), as long as no Welcome says otherwise. */
#define STATUS_INTERVAL_NS (10 * FT_NS_PER_S)
/* What a flood keeps ahead of the connection. */
#define FLOOD_BYTES ((uint64_t)8 << 20)

static void run_link(struct swarm_agent *agent, int64_t now_ns);
static void make_block(struct swarm_agent *agent, int64_t now_ns);
static void spoil(struct swarm_block *block);
static void say_hello(struct swarm_agent *agent);
static void send_next(struct swarm_agent *agent, int64_t now_ns);
static void send_status(struct swarm_agent *agent, int64_t now_ns);
static void take_welcome(struct swarm_agent *agent, const struct ft_msg_welcome *welcome,
                         int64_t now_ns);
static void take_durable(struct swarm_agent *agent, uint64_t durable_seq, int64_t now_ns);
static void rewind_to_first(struct swarm_agent *agent);
static void set_connected(struct swarm_agent *agent, bool connected, int64_t now_ns);
static void set_connecting(struct swarm_agent *agent, bool connecting);
static bool ignores_window(const struct swarm_agent *agent);

void swarm_agent_init(struct swarm_agent *agent, struct swarm *swarm, int64_t now_ns)
{
    agent->swarm = swarm;
    ft_uuid_make_random(&swarm->random.base, &agent->agent_id);
    ft_uuid_make_random(&swarm->random.base, &agent->instance_id);
    agent->next_seq = 1;
    agent->last = &agent->first;
    agent->status_interval_ns = STATUS_INTERVAL_NS;
    /* Hosts do not fill their blocks at the same moment. */
    agent->block_due_ns =
        now_ns +
        (int64_t)ft_random_below(&swarm->random.base, (uint64_t)swarm->options.interval_ns + 1);
    ft_link_init(&agent->link, &ft_link_options_default, &swarm->random.base, now_ns);
    ft_link_enable(&agent->link, now_ns);
}

void swarm_agent_deinit(struct swarm_agent *agent)
{
    while (agent->first != NULL) {
        struct swarm_block *block = agent->first;
        agent->first = block->next;
        free(block);
    }
}

void swarm_agent_give(struct swarm_agent *agent, int64_t now_ns)
{
    agent->n_connects = 0;
    for (unsigned i = 0; i < agent->swarm->options.n_blocks; i++) {
        make_block(agent, now_ns);
    }
}

void swarm_agent_run(struct swarm_agent *agent, int64_t now_ns)
{
    struct swarm *swarm = agent->swarm;
    bool may_connect = swarm->n_connecting < swarm->options.connecting_max;
    if (agent->link.state != FT_LINK_BACKOFF || may_connect) {
        run_link(agent, now_ns);
    }
    if (swarm->options.interval_ns > 0 && !swarm->stopping && now_ns >= agent->block_due_ns) {
        agent->block_due_ns += swarm->options.interval_ns;
        make_block(agent, now_ns);
    }
    if (ignores_window(agent) && !swarm->stopping) {
        while (agent->to_send == NULL && agent->retained_bytes < FLOOD_BYTES) {
            make_block(agent, now_ns);
        }
    }
    if (agent->connected) {
        send_next(agent, now_ns);
    }
}

static void run_link(struct swarm_agent *agent, int64_t now_ns)
{
    struct swarm *swarm = agent->swarm;
    enum ft_link_action action;
    while ((action = ft_link_run(&agent->link, now_ns)) != FT_LINK_NONE) {
        if (action == FT_LINK_CONNECT) {
            agent->n_connects++;
            swarm->counts.connects++;
            set_connecting(agent, true);
            ft_err err = swarm_stream_open(agent);
            if (err != FT_OK) {
                swarm_die("a connection", err);
            }
        } else if (action == FT_LINK_SAY_HELLO) {
            say_hello(agent);
        } else if (action == FT_LINK_DISCONNECT) {
            set_connected(agent, false, now_ns);
            swarm_stream_cancel(agent);
        }
    }
}

void swarm_agent_opened(struct swarm_agent *agent, int64_t now_ns)
{
    ft_link_opened(&agent->link, now_ns);
}

void swarm_agent_message(struct swarm_agent *agent, const void *data, size_t size, int64_t now_ns)
{
    struct swarm_counts *counts = &agent->swarm->counts;
    struct ft_response response;
    ft_err err = ft_response_decode(data, size, &response, NULL);
    if (err != FT_OK) {
        swarm_die("a message of the collector", err);
    }
    switch (response.kind) {
    case FT_RESPONSE_WELCOME:
        take_welcome(agent, &response.welcome, now_ns);
        break;
    case FT_RESPONSE_ACK:
        for (unsigned i = 0; i < response.ack.n_rejected; i++) {
            uint64_t n = response.ack.rejected[i].last_seq - response.ack.rejected[i].first_seq + 1;
            agent->rejected += n;
            counts->rejected_events += n;
        }
        take_durable(agent, response.ack.durable_seq, now_ns);
        ft_link_acked(&agent->link, now_ns, agent->sent_bytes > 0);
        break;
    case FT_RESPONSE_SLOW_DOWN:
        counts->slow_downs++;
        agent->window_bytes = response.slow_down.window_bytes;
        agent->pause_until_ns = now_ns + response.slow_down.pause_ms * FT_NS_PER_MS;
        break;
    case FT_RESPONSE_GO_AWAY:
        counts->go_aways++;
        if (response.go_away.retry_after_ms > counts->retry_ms_max) {
            counts->retry_ms_max = response.go_away.retry_after_ms;
        }
        ft_link_give_up(&agent->link, now_ns, FT_LINK_REASON_GO_AWAY,
                        response.go_away.retry_after_ms * FT_NS_PER_MS);
        break;
    case FT_RESPONSE_OTHER:
        break;
    }
}

void swarm_agent_closed(struct swarm_agent *agent, ft_err err, int64_t now_ns)
{
    enum ft_link_reason reason = FT_LINK_REASON_PEER;
    if (err == FT_E_AUTH) {
        reason = FT_LINK_REASON_AUTH;
    } else if (err == FT_E_PROTOCOL) {
        reason = FT_LINK_REASON_PROTOCOL;
    }
    set_connected(agent, false, now_ns);
    set_connecting(agent, false);
    ft_link_closed(&agent->link, now_ns, reason);
    agent->swarm->counts.ends[agent->link.reason]++;
    rewind_to_first(agent);
    if (agent->swarm->options.conduct != SWARM_GOOD) {
        ft_link_restart(&agent->link, now_ns); /* Without any wait. */
    }
}

static void make_block(struct swarm_agent *agent, int64_t now_ns)
{
    struct swarm *swarm = agent->swarm;
    if (agent->retained_bytes > swarm->options.retain_bytes) {
        swarm->counts.unmade_blocks++;
        return;
    }
    struct ft_event event = {.type = FT_EVENT_START,
                             .direction = FT_DIR_EGRESS,
                             .protocol = FT_PROTO_TCP,
                             .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS,
                             .dst_port = 443,
                             .time_ns = ft_clock_real_ns(ft_clock_system())};
    ft_batch_builder_set_instance(swarm->builder, &agent->instance_id);
    uint64_t first_seq = agent->next_seq;
    for (unsigned i = 0; i < swarm->options.n_events; i++) {
        event.seq = agent->next_seq++;
        event.ct_id = (uint32_t)event.seq;
        event.start_ns = event.time_ns;
        event.src_port = (uint16_t)(1024 + event.seq % 64512);
        memcpy(event.src.bytes, (const uint8_t[]){192, 0, 2, 1}, 4);
        memcpy(event.dst.bytes, &(uint32_t){(uint32_t)event.seq * UINT32_C(2654435761)}, 4);
        if (ft_batch_builder_add(swarm->builder, &event) != FT_OK) {
            swarm_die("a block has no room for --events", FT_E_FULL);
        }
    }
    ft_buf_clear(&swarm->buf);
    ft_err err = ft_batch_builder_seal(swarm->builder, &swarm->buf);
    struct swarm_block *block = malloc(sizeof *block + swarm->buf.size);
    if (err != FT_OK || block == NULL) {
        swarm_die("a block", err);
    }
    *block = (struct swarm_block){.first_seq = first_seq,
                                  .last_seq = agent->next_seq - 1,
                                  .made_ns = now_ns,
                                  .size = swarm->buf.size};
    memcpy(block->data, swarm->buf.data, swarm->buf.size);
    if (swarm->options.conduct == SWARM_MALFORMED) {
        spoil(block);
    }
    *agent->last = block;
    agent->last = &block->next;
    if (agent->to_send == NULL) {
        agent->to_send = block;
    }
    agent->retained_bytes += block->size;
    swarm->n_retained_blocks++;
    swarm->counts.made_events += swarm->options.n_events;
}

/* Makes it a batch that says which events it has, and breaks the rules otherwise. */
static void spoil(struct swarm_block *block)
{
    for (size_t at = block->size; at-- > FT_WIRE_BATCH_INSTANCE_SIZE;) {
        uint64_t first_seq = 0;
        uint32_t n_events = 0;
        uint8_t before = block->data[at];
        block->data[at] = 0xff;
        struct ft_batch_reader *reader = NULL;
        ft_err err = ft_batch_reader_open(block->data, block->size, &reader, NULL);
        ft_batch_reader_close(reader);
        if (err == FT_E_PROTOCOL &&
            ft_batch_peek(block->data, block->size, &first_seq, &n_events) == FT_OK &&
            first_seq == block->first_seq && n_events == block->last_seq - first_seq + 1) {
            return;
        }
        block->data[at] = before;
    }
    swarm_die("no byte of a block spoils it", FT_E_PROTOCOL);
}

static void say_hello(struct swarm_agent *agent)
{
    struct ft_msg_hello hello = {
        .protocol_version = FT_WIRE_PROTOCOL_VERSION,
        .agent_id = agent->agent_id,
        .instance_id = agent->instance_id,
        .oldest_seq = agent->first != NULL ? agent->first->first_seq : agent->next_seq,
        .next_seq = agent->next_seq,
        .started_ns = ft_clock_real_ns(ft_clock_system()),
        .time_ns = ft_clock_real_ns(ft_clock_system()),
        .has_collector_id = agent->bound,
        .collector_id = agent->collector_id,
        .has_challenge = true,
        .host_name = "swarm",
        .agent_version = "swarm",
    };
    agent->swarm->random.base.fill(&agent->swarm->random.base, hello.challenge,
                                   sizeof hello.challenge);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (ft_hello_encode(&hello, &buf) == FT_OK && swarm_stream_can_send(agent)) {
        swarm_stream_send(agent, buf.data, buf.size, NULL, 0);
    }
    ft_buf_deinit(&buf);
}

static void send_next(struct swarm_agent *agent, int64_t now_ns)
{
    struct swarm_block *block = agent->to_send;
    if (!swarm_stream_can_send(agent)) {
        return;
    }
    if (now_ns >= agent->status_due_ns) {
        agent->status_due_ns = now_ns + agent->status_interval_ns;
        send_status(agent, now_ns);
        return;
    }
    if (block == NULL) {
        return;
    }
    /* One block at least is always under way. */
    bool fits = agent->sent_bytes == 0 || agent->sent_bytes + block->size <= agent->window_bytes;
    if (!ignores_window(agent) && (!fits || now_ns < agent->pause_until_ns)) {
        return;
    }
    uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
    size_t head_size = ft_batch_head_encode(block->size, head);
    swarm_stream_send(agent, head, head_size, block->data, block->size);
    block->sent_ns = now_ns;
    agent->sent_bytes += block->size;
    agent->to_send = block->next;
    agent->swarm->counts.sent_events += block->last_seq - block->first_seq + 1;
    ft_link_sent(&agent->link, now_ns);
}

static void send_status(struct swarm_agent *agent, int64_t now_ns)
{
    (void)now_ns;
    struct ft_msg_status status = {
        .time_ns = ft_clock_real_ns(ft_clock_system()),
        .observed_events = agent->next_seq - 1,
        .acknowledged_events = agent->acked_seq - agent->rejected,
        .retained_events = agent->next_seq - 1 - agent->acked_seq,
        .retained_bytes = agent->retained_bytes,
        .sealed_events = agent->next_seq - 1,
        .sent_events = agent->next_seq - 1,
        .capture_step = "swarm",
    };
    status.lost[FT_LOSS_REJECTED] = agent->rejected;
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (ft_status_encode(&status, &buf) == FT_OK) {
        swarm_stream_send(agent, buf.data, buf.size, NULL, 0);
    }
    ft_buf_deinit(&buf);
}

static void take_welcome(struct swarm_agent *agent, const struct ft_msg_welcome *welcome,
                         int64_t now_ns)
{
    struct swarm *swarm = agent->swarm;
    if (agent->bound && !ft_uuid_equal(&agent->collector_id, &welcome->collector_id)) {
        swarm_die("another collector", FT_E_PROTOCOL);
    }
    if (welcome->durable_seq < agent->acked_seq) {
        swarm_die("the collector lost what it had acknowledged", FT_E_PROTOCOL);
    }
    agent->bound = true;
    agent->collector_id = welcome->collector_id;
    agent->window_bytes = welcome->window_bytes;
    agent->pause_until_ns = now_ns;
    agent->status_interval_ns = welcome->status_interval_ms * FT_NS_PER_MS;
    agent->status_due_ns = now_ns;
    rewind_to_first(agent);
    take_durable(agent, welcome->durable_seq, now_ns);
    ft_link_welcomed(&agent->link, now_ns);
    swarm->counts.welcomes++;
    set_connecting(agent, false);
    set_connected(agent, true, now_ns);
    if (swarm->options.conduct == SWARM_HANG_UP) {
        ft_link_give_up(&agent->link, now_ns, FT_LINK_REASON_OWN, 0);
    }
}

static void take_durable(struct swarm_agent *agent, uint64_t durable_seq, int64_t now_ns)
{
    struct swarm *swarm = agent->swarm;
    if (durable_seq >= agent->next_seq) {
        swarm_die("an acknowledgement of what was never made", FT_E_PROTOCOL);
    }
    while (agent->first != NULL && agent->first->last_seq <= durable_seq) {
        struct swarm_block *block = agent->first;
        if (agent->to_send == block) {
            agent->to_send = block->next; /* Stored before a break, and never acknowledged. */
        } else {
            agent->sent_bytes -= block->size;
            swarm_times_add(&swarm->counts.ack_us, now_ns - block->sent_ns);
        }
        swarm_times_add(&swarm->counts.age_us, now_ns - block->made_ns);
        swarm->counts.acked_events += block->last_seq - block->first_seq + 1;
        agent->retained_bytes -= block->size;
        agent->acked_seq = block->last_seq;
        swarm->n_retained_blocks--;
        agent->first = block->next;
        if (agent->first == NULL) {
            agent->last = &agent->first;
        }
        free(block);
    }
}

static void rewind_to_first(struct swarm_agent *agent)
{
    agent->to_send = agent->first;
    agent->sent_bytes = 0;
}

static void set_connected(struct swarm_agent *agent, bool connected, int64_t now_ns)
{
    struct swarm *swarm = agent->swarm;
    if (agent->connected != connected) {
        agent->connected = connected;
        swarm->n_connected += connected ? 1 : (unsigned)-1;
        if (swarm->n_connected == swarm->options.n_agents && swarm->counts.connected_ns == 0) {
            swarm->counts.connected_ns = now_ns;
        }
    }
}

static void set_connecting(struct swarm_agent *agent, bool connecting)
{
    if (agent->connecting != connecting) {
        agent->connecting = connecting;
        agent->swarm->n_connecting += connecting ? 1 : (unsigned)-1;
    }
}

static bool ignores_window(const struct swarm_agent *agent)
{
    enum swarm_conduct conduct = agent->swarm->options.conduct;
    return conduct == SWARM_FLOOD || conduct == SWARM_MALFORMED;
}
