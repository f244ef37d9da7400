/* SPDX-License-Identifier: Apache-2.0 */
#include "export/exporter_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Until the collector says otherwise. */
#define STATUS_INTERVAL_NS_DEFAULT (5 * FT_NS_PER_S)

static void handle(struct ft_exporter *exporter, const struct ft_stream_event *event,
                   int64_t now_ns);
static void act(struct ft_exporter *exporter, int64_t now_ns);
static void pump(struct ft_exporter *exporter, int64_t now_ns);
static void say_hello(struct ft_exporter *exporter);
static void send_status(struct ft_exporter *exporter, int64_t now_ns);
static bool send_block(struct ft_exporter *exporter, struct ft_flight_block *block, int64_t now_ns);
static void publish(struct ft_exporter *exporter);
static int64_t next_deadline(const struct ft_exporter *exporter, int64_t until_ns);

ft_err ft_exporter_create(const struct ft_exporter_options *options,
                          struct ft_exporter **ret_exporter)
{
    FT_CLEANUP(ft_exporter_destroy) struct ft_exporter *exporter = calloc(1, sizeof *exporter);
    if (exporter == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&exporter->lock);
    ft_buf_init(&exporter->message, FT_LOG_BLOCK_SIZE_MAX);
    exporter->options = *options;
    exporter->message_bytes_max = FT_EXPORTER_MESSAGE_BYTES_MAX;
    exporter->status_interval_ns = STATUS_INTERVAL_NS_DEFAULT;
    atomic_store(&exporter->stats.window_bytes, options->window_bytes);
    ft_link_init(&exporter->link, &options->link, options->random, ft_exporter_now(exporter));
    ft_flight_init(&exporter->flight);
    ft_trust_init(&exporter->trust, options->receipts, &options->receipt_keys, &options->agent_id,
                  &options->instance_id, &options->binding);
    FT_TRY(ft_log_reader_open(options->log, "exporter", false, &exporter->reader));
    ft_exporter_resume(exporter);
    *ret_exporter = FT_TAKE(exporter);
    return FT_OK;
}

void ft_exporter_destroy(struct ft_exporter *exporter)
{
    if (exporter == NULL) {
        return;
    }
    ft_flight_clear(&exporter->flight);
    if (exporter->reader != NULL) {
        ft_log_reader_close(exporter->reader);
    }
    ft_buf_deinit(&exporter->message);
    ft_mutex_deinit(&exporter->lock);
    free(exporter);
}

void ft_exporter_enable(struct ft_exporter *exporter)
{
    ft_link_enable(&exporter->link, ft_exporter_now(exporter));
}

void ft_exporter_disable(struct ft_exporter *exporter)
{
    ft_link_disable(&exporter->link, ft_exporter_now(exporter));
}

void ft_exporter_restart(struct ft_exporter *exporter)
{
    ft_link_restart(&exporter->link, ft_exporter_now(exporter));
}

void ft_exporter_use_stream(struct ft_exporter *exporter, struct ft_stream *stream)
{
    int64_t now_ns = ft_exporter_now(exporter);
    exporter->options.stream = stream;
    exporter->sending = false;
    ft_flight_rewind(&exporter->flight);
    ft_link_restart(&exporter->link, now_ns);
    ft_link_closed(&exporter->link, now_ns, FT_LINK_REASON_OWN);
}

void ft_exporter_step(struct ft_exporter *exporter, int64_t until_mono_ns)
{
    act(exporter, ft_exporter_now(exporter));
    pump(exporter, ft_exporter_now(exporter));
    struct ft_stream *stream = exporter->options.stream;
    struct ft_stream_event event;
    stream->ops->poll(stream, next_deadline(exporter, until_mono_ns), &event);
    handle(exporter, &event, ft_exporter_now(exporter));
    act(exporter, ft_exporter_now(exporter));
    publish(exporter); /* Before the pump: the status that it sends shows these numbers. */
    pump(exporter, ft_exporter_now(exporter));
    publish(exporter);
}

void ft_exporter_finish(struct ft_exporter *exporter, int64_t until_mono_ns)
{
    uint64_t before = exporter->n_statuses;
    publish(exporter);
    exporter->status_due_ns = ft_exporter_now(exporter);
    while (exporter->link.state == FT_LINK_ACTIVE &&
           (exporter->n_statuses == before || exporter->sending) &&
           ft_exporter_now(exporter) < until_mono_ns) {
        ft_exporter_step(exporter, until_mono_ns);
    }
}

bool ft_exporter_is_drained(struct ft_exporter *exporter)
{
    ft_exporter_refill(exporter);
    return exporter->flight.n == 0;
}

void ft_exporter_set_receipts(struct ft_exporter *exporter, enum ft_trust_policy policy,
                              const struct ft_receipt_keys *keys)
{
    exporter->options.receipts = policy;
    ft_trust_configure(&exporter->trust, policy, keys);
}

const struct ft_exporter_stats *ft_exporter_stats(const struct ft_exporter *exporter)
{
    return &exporter->stats;
}

void ft_exporter_last_text(struct ft_exporter *exporter, char *buf, size_t size)
{
    ft_mutex_lock(&exporter->lock);
    (void)snprintf(buf, size, "%s", exporter->last_text);
    ft_mutex_unlock(&exporter->lock);
}

static void handle(struct ft_exporter *exporter, const struct ft_stream_event *event,
                   int64_t now_ns)
{
    switch (event->kind) {
    case FT_STREAM_NONE:
        break;
    case FT_STREAM_OPENED:
        ft_link_opened(&exporter->link, now_ns);
        break;
    case FT_STREAM_MESSAGE:
        ft_exporter_receive(exporter, event, now_ns);
        break;
    case FT_STREAM_SENT:
        exporter->sending = false;
        break;
    case FT_STREAM_CLOSED:
        ft_exporter_closed(exporter, event, now_ns);
        break;
    }
}

static void act(struct ft_exporter *exporter, int64_t now_ns)
{
    struct ft_stream *stream = exporter->options.stream;
    for (;;) {
        if (exporter->link.state != exporter->told_state) {
            exporter->told_state = exporter->link.state;
            char text[sizeof exporter->last_text];
            ft_exporter_last_text(exporter, text, sizeof text);
            exporter->options.host.on_state(exporter->options.host.ctx, exporter->link.state, text);
        }
        switch (ft_link_run(&exporter->link, now_ns)) {
        case FT_LINK_NONE:
            return;
        case FT_LINK_CONNECT: {
            ft_err err = stream->ops->open(stream);
            if (err != FT_OK) {
                ft_exporter_set_text(exporter, ft_err_text(err));
                ft_link_closed(&exporter->link, now_ns,
                               err == FT_E_AUTH ? FT_LINK_REASON_AUTH : FT_LINK_REASON_PEER);
            }
            break;
        }
        case FT_LINK_SAY_HELLO:
            say_hello(exporter);
            break;
        case FT_LINK_DISCONNECT:
            stream->ops->cancel(stream);
            break;
        }
    }
}

/* Sends what is due and allowed; returns when the stream is busy or nothing is left. */
static void pump(struct ft_exporter *exporter, int64_t now_ns)
{
    ft_exporter_refill(exporter);
    if (exporter->link.state != FT_LINK_ACTIVE || exporter->sending) {
        return;
    }
    if (now_ns >= exporter->status_due_ns) {
        send_status(exporter, now_ns);
        return;
    }
    if (now_ns < exporter->pause_until_ns) {
        return;
    }
    struct ft_flight_block *next;
    while (!exporter->sending && (next = ft_flight_next(&exporter->flight)) != NULL) {
        if (ft_flight_needs_nothing(next)) {
            ft_flight_mark_sent(&exporter->flight);
            continue;
        }
        if (exporter->foreign_seq > 0 && next->block.info.first_seq >= exporter->foreign_seq) {
            return; /* It is another instance's (exporter_receive.c). */
        }
        if (exporter->flight.n_sent > 0 &&
            exporter->flight.sent_bytes + next->block.size > exporter->stats.window_bytes) {
            return;
        }
        if (!send_block(exporter, next, now_ns)) {
            return;
        }
    }
}

static void say_hello(struct ft_exporter *exporter)
{
    const struct ft_exporter_options *options = &exporter->options;
    ft_exporter_refill(exporter);
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = options->agent_id,
                                 .instance_id = options->instance_id,
                                 .started_ns = options->started_ns,
                                 .time_ns = ft_clock_real_ns(options->clock),
                                 .has_collector_id = exporter->bound,
                                 .collector_id = exporter->collector_id};
    struct ft_trust *trust = &exporter->trust;
    ft_trust_begin(trust, options->random);
    hello.has_challenge = true;
    memcpy(hello.challenge, trust->challenge, sizeof hello.challenge);
    hello.has_witness = trust->has_witness && options->receipts != FT_TRUST_OFF;
    memcpy(hello.witness, trust->witness, sizeof hello.witness);
    struct ft_flight_block *first = ft_flight_first(&exporter->flight);
    hello.next_seq = options->host.next_seq(options->host.ctx);
    uint64_t done_seq =
        exporter->acked_seq > exporter->base_seq ? exporter->acked_seq : exporter->base_seq;
    hello.oldest_seq = first != NULL ? first->block.info.first_seq : done_seq + 1;
    if (hello.oldest_seq > hello.next_seq) {
        hello.next_seq = hello.oldest_seq;
    }
    memcpy(hello.host_name, options->host_name, sizeof hello.host_name);
    memcpy(hello.agent_version, options->agent_version, sizeof hello.agent_version);
    memcpy(hello.kernel_release, options->kernel_release, sizeof hello.kernel_release);
    ft_buf_clear(&exporter->message);
    struct ft_stream *stream = options->stream;
    ft_err err = ft_hello_encode(&hello, &exporter->message);
    if (err == FT_OK) {
        struct ft_stream_parts parts = {exporter->message.data, exporter->message.size, NULL, 0};
        err = stream->ops->send(stream, &parts);
    }
    if (err == FT_OK) {
        exporter->sending = true;
    } else {
        ft_exporter_set_text(exporter, ft_err_text(err));
        ft_link_give_up(&exporter->link, ft_exporter_now(exporter), FT_LINK_REASON_PEER, 0);
    }
}

static void send_status(struct ft_exporter *exporter, int64_t now_ns)
{
    exporter->status_due_ns = now_ns + exporter->status_interval_ns;
    struct ft_msg_status status = {.time_ns = ft_clock_real_ns(exporter->options.clock)};
    exporter->options.host.fill_status(exporter->options.host.ctx, &status);
    ft_buf_clear(&exporter->message);
    struct ft_stream *stream = exporter->options.stream;
    if (ft_status_encode(&status, &exporter->message) != FT_OK) {
        return; /* No memory: the next one is due soon. */
    }
    struct ft_stream_parts parts = {exporter->message.data, exporter->message.size, NULL, 0};
    if (stream->ops->send(stream, &parts) == FT_OK) {
        exporter->sending = true;
        exporter->n_statuses++;
    }
}

/* False when the stream did not take it: its end will be reported. */
static bool send_block(struct ft_exporter *exporter, struct ft_flight_block *block, int64_t now_ns)
{
    uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX + FT_WIRE_BATCH_INSTANCE_SIZE];
    struct ft_stream_parts parts = {.head = head,
                                    .head_size = ft_batch_head_encode(block->block.size, head),
                                    .body = block->block.data,
                                    .body_size = block->block.size};
    const struct ft_uuid *instance_id = &exporter->options.instance_id;
    if (memcmp(block->block.info.instance_id, instance_id->bytes, sizeof instance_id->bytes) != 0 &&
        ft_batch_instance_encode(parts.body, parts.body_size, instance_id,
                                 head + parts.head_size)) {
        parts.head_size += FT_WIRE_BATCH_INSTANCE_SIZE;
        parts.body = block->block.data + FT_WIRE_BATCH_INSTANCE_SIZE;
        parts.body_size -= FT_WIRE_BATCH_INSTANCE_SIZE;
    }
    struct ft_stream *stream = exporter->options.stream;
    if (stream->ops->send(stream, &parts) != FT_OK) {
        return false;
    }
    exporter->sending = true;
    exporter->n_sent++;
    exporter->stats.sent_blocks++;
    exporter->stats.sent_events += block->block.info.n_events;
    if (exporter->options.host.on_sent != NULL) {
        exporter->options.host.on_sent(exporter->options.host.ctx, block->block.info.n_events);
    }
    exporter->stats.sent_bytes += parts.head_size + parts.body_size;
    if (block->sent_before) {
        exporter->stats.resent_blocks++;
    }
    ft_flight_mark_sent(&exporter->flight);
    uint64_t last_seq = ft_flight_last_seq(block);
    if (last_seq > exporter->sent_seq) {
        exporter->sent_seq = last_seq;
    }
    if (last_seq > exporter->ever_sent_seq) {
        exporter->ever_sent_seq = last_seq;
    }
    ft_link_sent(&exporter->link, now_ns);
    return true;
}

void ft_exporter_set_text(struct ft_exporter *exporter, const char *text)
{
    ft_mutex_lock(&exporter->lock);
    (void)snprintf(exporter->last_text, sizeof exporter->last_text, "%.*s",
                   (int)sizeof exporter->last_text - 1, text);
    ft_mutex_unlock(&exporter->lock);
}

static void publish(struct ft_exporter *exporter)
{
    exporter->stats.link_state = (int)exporter->link.state;
    exporter->stats.connects = exporter->link.n_connects;
    exporter->stats.welcomes = exporter->link.n_welcomes;
    for (unsigned i = 0; i < FT_LINK_REASON_N; i++) {
        exporter->stats.ends[i] = exporter->link.n_ends[i];
    }
    exporter->stats.unacked_bytes = exporter->flight.sent_bytes;
}

static int64_t next_deadline(const struct ft_exporter *exporter, int64_t until_ns)
{
    int64_t deadline = ft_link_deadline(&exporter->link);
    if (exporter->link.state == FT_LINK_ACTIVE && !exporter->sending) {
        if (exporter->status_due_ns < deadline) {
            deadline = exporter->status_due_ns;
        }
        if (exporter->flight.n > exporter->flight.n_sent &&
            exporter->pause_until_ns > ft_exporter_now(exporter) &&
            exporter->pause_until_ns < deadline) {
            deadline = exporter->pause_until_ns;
        }
    }
    return deadline < until_ns ? deadline : until_ns;
}
