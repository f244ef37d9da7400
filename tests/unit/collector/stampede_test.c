/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ten thousand agents at one collector, on virtual time and without sockets: they come back at one
 * moment, each with what it kept; and one of them sends a hundred times what it may.
 *
 * The collector's ingest is the real one.  An agent is what the protocol says: it sends in order
 * within its window, one block at least, waits where it is told to wait, and comes back when it is
 * told to.
 */
#include "collector/ingest.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/test.h"
#include "wire/batch_builder.h"

#define TICK_NS FT_NS_PER_MS
/* From one end to the other. */
#define DELAY_NS (10 * FT_NS_PER_MS)

struct crowd;

struct agent {
    struct crowd *crowd;
    struct ft_uuid id;
    struct ft_uuid instance_id;
    bool is_rogue;
    struct ft_ingest_session *session; /* NULL: away. */
    int64_t come_back_ns;
    unsigned n_connects;
    bool blocked; /* The collector reads no further. */
    bool closed;
    uint64_t window;
    int64_t pause_until_ns;
    /* Blocks, counted from 0; block i holds events i * n_events + 1 …. */
    uint64_t made;
    uint64_t sent;
    uint64_t acked;
    int64_t admitted_ns;
    int64_t drained_ns;    /* When the first 'backlog' blocks were acknowledged. */
    int64_t sent_ns[1024]; /* By block; for the latency. */
};

struct crowd {
    struct ft_clock clock;
    int64_t now_ns;
    struct ft_log *log;
    struct ft_log_reader *reader;
    struct ft_instances *instances;
    struct ft_ingest *ingest;
    uint64_t queue_bytes_max;
    size_t n_agents;
    struct agent *agents;
    uint64_t backlog;         /* Blocks. */
    unsigned n_events;        /* Of a block. */
    struct ft_buf blocks[32]; /* Of instance 0; the number of the last one goes on. */
    uint64_t n_hellos_this_second;
    uint64_t n_hellos_second_max; /* Behind the first two seconds. */
    uint64_t queue_bytes_seen;
    uint64_t granted_bytes_seen;
    size_t n_latencies;
    int64_t latencies_ns[65536];
};

static int64_t crowd_now(const struct ft_clock *clock)
{
    const char *at = (const char *)clock - offsetof(struct crowd, clock);
    return ((const struct crowd *)(const void *)at)->now_ns;
}

static void on_ack(struct agent *agent, const struct ft_msg_ack *ack)
{
    struct crowd *crowd = agent->crowd;
    CHECK_INT(ack->n_rejected, 0);
    while (agent->acked < agent->sent && (agent->acked + 1) * crowd->n_events <= ack->durable_seq) {
        if (agent->acked >= crowd->backlog && !agent->is_rogue && crowd->n_latencies < 65536) {
            crowd->latencies_ns[crowd->n_latencies++] =
                crowd->now_ns - agent->sent_ns[agent->acked % 1024];
        }
        agent->acked++;
        if (agent->acked == crowd->backlog) {
            agent->drained_ns = crowd->now_ns;
        }
    }
}

static bool peer_send(void *ctx, const void *data, size_t size)
{
    struct agent *agent = ctx;
    struct crowd *crowd = agent->crowd;
    struct ft_response response;
    CHECK_OK(ft_response_decode(data, size, &response, NULL));
    switch (response.kind) {
    case FT_RESPONSE_WELCOME:
        agent->window = response.welcome.window_bytes;
        agent->sent = response.welcome.durable_seq / crowd->n_events;
        agent->acked = agent->sent > agent->acked ? agent->sent : agent->acked;
        agent->admitted_ns = crowd->now_ns;
        break;
    case FT_RESPONSE_ACK:
        on_ack(agent, &response.ack);
        break;
    case FT_RESPONSE_SLOW_DOWN:
        agent->window = response.slow_down.window_bytes;
        agent->pause_until_ns = crowd->now_ns + response.slow_down.pause_ms * FT_NS_PER_MS;
        break;
    case FT_RESPONSE_GO_AWAY:
        CHECK(response.go_away.retry_after_ms >= 1000);
        agent->come_back_ns = crowd->now_ns + response.go_away.retry_after_ms * FT_NS_PER_MS;
        break;
    case FT_RESPONSE_OTHER:
        CHECK(false);
    }
    return true;
}

static void peer_close(void *ctx, enum ft_ingest_close why, const char *text)
{
    struct agent *agent = ctx;
    CHECK_INT(why, FT_INGEST_CLOSE_UNAVAILABLE);
    (void)text;
    agent->closed = true;
}

static void peer_resume(void *ctx) { ((struct agent *)ctx)->blocked = false; }
static void peer_ref(void *ctx) { (void)ctx; }
static void peer_unref(void *ctx) { (void)ctx; }

static const struct ft_ingest_peer_ops peer_ops = {.send = peer_send,
                                                   .close = peer_close,
                                                   .resume = peer_resume,
                                                   .ref = peer_ref,
                                                   .unref = peer_unref};

static void make_blocks(struct crowd *crowd)
{
    static const struct ft_uuid nobody;
    struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&nobody, &builder));
    for (unsigned block = 0; block < 32; block++) {
        for (unsigned i = 0; i < crowd->n_events; i++) {
            struct ft_event event = {
                .seq = block * crowd->n_events + i + 1, .time_ns = 1, .type = FT_EVENT_DROP};
            CHECK_OK(ft_batch_builder_add(builder, &event));
        }
        ft_buf_init(&crowd->blocks[block], 0);
        CHECK_OK(ft_batch_builder_seal(builder, &crowd->blocks[block]));
    }
    ft_batch_builder_destroy(builder);
}

static struct crowd *gather(size_t n_agents, uint64_t backlog, unsigned n_events,
                            const struct ft_ingest_options *limits)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    CHECK(crowd != NULL);
    crowd->clock = (struct ft_clock){.mono_ns = crowd_now, .real_ns = crowd_now};
    crowd->now_ns = FT_NS_PER_S;
    crowd->n_agents = n_agents;
    crowd->backlog = backlog;
    crowd->n_events = n_events;
    crowd->queue_bytes_max = limits->queue_bytes_max;
    struct ft_log_options log = {.bytes_max = 64 << 20, .full = FT_LOG_DROP_OLDEST};
    CHECK_OK(ft_log_memory_create(&log, &crowd->log));
    CHECK_OK(ft_instances_create(&crowd->instances));
    struct ft_ingest_options options = *limits;
    options.version = "test";
    options.status_interval_ms = 5000;
    options.clock = &crowd->clock;
    options.log = crowd->log;
    options.instances = crowd->instances;
    options.peer_ops = &peer_ops;
    CHECK_OK(ft_ingest_create(&options, &crowd->ingest));
    make_blocks(crowd);
    crowd->agents = calloc(n_agents, sizeof *crowd->agents);
    CHECK(crowd->agents != NULL);
    for (size_t i = 0; i < n_agents; i++) {
        struct agent *agent = &crowd->agents[i];
        uint32_t number = (uint32_t)i + 1;
        agent->crowd = crowd;
        memcpy(agent->id.bytes, &number, sizeof number);
        agent->instance_id = agent->id;
        agent->made = backlog;
        /* The first wait of their own: up to 250 ms. */
        agent->come_back_ns = crowd->now_ns + (int64_t)(i * 7919 % 250) * FT_NS_PER_MS;
    }
    return crowd;
}

static void disperse(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->n_agents; i++) {
        if (crowd->agents[i].session != NULL) {
            ft_ingest_session_close(crowd->agents[i].session);
        }
    }
    CHECK_OK(ft_ingest_commit(crowd->ingest, 0));
    for (unsigned i = 0; i < 32; i++) {
        ft_buf_deinit(&crowd->blocks[i]);
    }
    ft_ingest_destroy(crowd->ingest);
    ft_instances_destroy(crowd->instances);
    ft_log_destroy(crowd->log);
    free(crowd->agents);
    free(crowd);
}

static void come(struct agent *agent)
{
    struct crowd *crowd = agent->crowd;
    struct ft_principal principal = {.name = "test"};
    agent->closed = false;
    agent->blocked = false;
    agent->pause_until_ns = 0;
    agent->n_connects++;
    crowd->n_hellos_this_second++;
    agent->come_back_ns = FT_TIME_NEVER;
    CHECK_OK(ft_ingest_session_open(crowd->ingest, agent, "x", &principal, &agent->session));
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = agent->id,
                                 .instance_id = agent->instance_id,
                                 .oldest_seq = agent->acked * crowd->n_events + 1,
                                 .next_seq = agent->made * crowd->n_events + 1};
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    agent->blocked = !ft_ingest_session_message(agent->session, buf.data, buf.size);
    ft_buf_deinit(&buf);
}

/* Its next block: the bytes of everybody's, with its own instance. */
static void send_block(struct agent *agent)
{
    struct crowd *crowd = agent->crowd;
    const struct ft_buf *block = &crowd->blocks[agent->sent];
    uint8_t instance[FT_WIRE_BATCH_INSTANCE_SIZE];
    uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
    struct ft_buf message;
    CHECK(agent->sent < 32);
    CHECK(ft_batch_instance_encode(block->data, block->size, &agent->instance_id, instance));
    ft_buf_init(&message, 0);
    ft_buf_add(&message, head, ft_batch_head_encode(block->size, head));
    ft_buf_add(&message, instance, sizeof instance);
    ft_buf_add(&message, block->data + sizeof instance, block->size - sizeof instance);
    agent->sent_ns[agent->sent % 1024] = crowd->now_ns;
    agent->sent++;
    agent->blocked = !ft_ingest_session_message(agent->session, message.data, message.size);
    ft_buf_deinit(&message);
}

static void work(struct agent *agent)
{
    struct crowd *crowd = agent->crowd;
    if (agent->closed) {
        ft_ingest_session_close(agent->session);
        agent->session = NULL;
        agent->closed = false;
        agent->sent = agent->acked;
        return;
    }
    if (agent->session == NULL) {
        if (crowd->now_ns >= agent->come_back_ns) {
            come(agent);
        }
        return;
    }
    uint64_t size = crowd->blocks[0].size;
    while (
        !agent->blocked && !agent->closed && agent->sent < agent->made &&
        crowd->now_ns >= agent->pause_until_ns &&
        (agent->sent == agent->acked || (agent->sent - agent->acked + 1) * size <= agent->window)) {
        send_block(agent);
    }
}

static void look(struct crowd *crowd)
{
    struct ft_admission_stats stats;
    ft_ingest_admission_stats(crowd->ingest, &stats);
    uint64_t bytes = ft_ingest_stats(crowd->ingest)->queue_bytes;
    CHECK(stats.granted_bytes <= crowd->queue_bytes_max);
    CHECK(bytes <= 2 * crowd->queue_bytes_max);
    if (stats.granted_bytes > crowd->granted_bytes_seen) {
        crowd->granted_bytes_seen = stats.granted_bytes;
    }
    if (bytes > crowd->queue_bytes_seen) {
        crowd->queue_bytes_seen = bytes;
    }
}

/* Until 'until_ns'; a sync of the log every 'sync_ms'. */
static void run(struct crowd *crowd, int64_t until_ns, int64_t sync_ms)
{
    for (; crowd->now_ns < until_ns; crowd->now_ns += TICK_NS) {
        for (size_t i = 0; i < crowd->n_agents; i++) {
            work(&crowd->agents[i]);
        }
        look(crowd);
        if (crowd->now_ns / FT_NS_PER_MS % sync_ms == 0) {
            CHECK_OK(ft_ingest_commit(crowd->ingest, 0));
        }
        if (crowd->now_ns % FT_NS_PER_S == 0) {
            if (crowd->now_ns > 4 * FT_NS_PER_S &&
                crowd->n_hellos_this_second > crowd->n_hellos_second_max) {
                crowd->n_hellos_second_max = crowd->n_hellos_this_second;
            }
            crowd->n_hellos_this_second = 0;
        }
    }
}

static bool is_drained(const struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->n_agents; i++) {
        if (crowd->agents[i].acked < crowd->agents[i].made) {
            return false;
        }
    }
    return true;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static int64_t percentile(int64_t *all, size_t n, unsigned percent)
{
    CHECK(n > 0);
    qsort(all, n, sizeof *all, compare_ns);
    return all[(n - 1) * percent / 100];
}

TEST(ten_thousand_agents_come_back_at_one_moment)
{
    /* A backlog of 2,200 events is more than a live window; room for some sixty of them. */
    struct ft_ingest_options limits = {.queue_bytes_max = 8 << 20, .window_bytes = 4 << 20};
    struct crowd *crowd = gather(10000, 2, 1100, &limits);
    int64_t begin_ns = crowd->now_ns;
    while (!is_drained(crowd)) {
        CHECK(crowd->now_ns < begin_ns + 120 * FT_NS_PER_S);
        run(crowd, crowd->now_ns + FT_NS_PER_S / 4, 10);
    }
    const struct ft_ingest_stats *stats = ft_ingest_stats(crowd->ingest);
    CHECK_INT(stats->durable_events, 10000 * 2200);
    CHECK_INT(stats->duplicate_events, 0);
    CHECK(stats->sent_away_full > 5000);
    CHECK_INT(stats->sent_away_overrun, 0);
    CHECK(crowd->granted_bytes_seen > limits.queue_bytes_max / 2);
    CHECK(crowd->queue_bytes_seen <= limits.queue_bytes_max);
    /* No refusal loop: few come in vain, and not all at once. */
    unsigned n_connects = 0;
    unsigned n_connects_max = 0;
    static int64_t drain_ns[10000];
    for (size_t i = 0; i < crowd->n_agents; i++) {
        const struct agent *agent = &crowd->agents[i];
        n_connects += agent->n_connects;
        n_connects_max = agent->n_connects > n_connects_max ? agent->n_connects : n_connects_max;
        drain_ns[i] = agent->drained_ns - agent->admitted_ns;
    }
    CHECK(n_connects < 4 * 10000);
    CHECK(n_connects_max <= 10);
    CHECK(crowd->n_hellos_second_max < 3000);
    CHECK(percentile(drain_ns, 10000, 99) < 5 * FT_NS_PER_S);
    /* All are there now, and live. */
    for (size_t i = 0; i < crowd->n_agents; i++) {
        CHECK(crowd->agents[i].session != NULL);
        CHECK(crowd->agents[i].window <= FT_ADMISSION_WINDOW_MIN);
    }
    struct ft_admission_stats admission;
    ft_ingest_admission_stats(crowd->ingest, &admission);
    CHECK_INT(admission.granted_bytes, 0);
    CHECK_INT(admission.n_draining, 0);
    disperse(crowd);
}

/*
 * Fifty agents send 2,000 events a second each, for five seconds; number 0, where it is a rogue, as
 * much as it is let, in one instance after the other.
 */
static int64_t latency_of_others(bool rogue, const struct ft_ingest_options *limits,
                                 int64_t sync_ms, uint64_t *ret_rogue_blocks)
{
    struct crowd *crowd = gather(51, 0, 500, limits);
    struct agent *first = &crowd->agents[0];
    first->is_rogue = true;
    *ret_rogue_blocks = 0;
    run(crowd, crowd->now_ns + FT_NS_PER_S / 2, sync_ms);
    for (unsigned i = 1; i <= 20; i++) {
        for (size_t k = 1; k < crowd->n_agents; k++) {
            crowd->agents[k].made = i;
        }
        for (int64_t end_ns = crowd->now_ns + FT_NS_PER_S / 4; crowd->now_ns < end_ns;) {
            first->made = rogue ? 32 : 0;
            if (first->acked == 32) {
                ft_ingest_session_close(first->session);
                *ret_rogue_blocks += 32;
                first->sent = first->acked = 0;
                first->instance_id.bytes[15]++;
                first->session = NULL;
                first->come_back_ns = 0;
            }
            run(crowd, crowd->now_ns + 10 * TICK_NS, sync_ms);
        }
    }
    run(crowd, crowd->now_ns + FT_NS_PER_S, sync_ms);
    for (size_t k = 1; k < crowd->n_agents; k++) {
        CHECK_INT(crowd->agents[k].acked, 20);
    }
    *ret_rogue_blocks += first->acked;
    int64_t p99 = percentile(crowd->latencies_ns, crowd->n_latencies, 99);
    disperse(crowd);
    return p99;
}

TEST(one_that_sends_a_hundred_times_its_rate_harms_nobody)
{
    struct ft_ingest_options limits = {
        .queue_bytes_max = 1 << 20, .window_bytes = 1 << 20, .agent_events_per_s = 4000};
    uint64_t blocks = 0;
    int64_t quiet_ns = latency_of_others(false, &limits, 10, &blocks);
    CHECK_INT(blocks, 0);
    int64_t rogue_ns = latency_of_others(true, &limits, 10, &blocks);
    CHECK(rogue_ns <= 2 * quiet_ns);
    /* Eight blocks a second for six and a half, and what is lent. */
    CHECK(blocks >= 8 * 5);
    CHECK(blocks <= 8 * 9);
}

/* Without a rate, on a log that is slow: the turns alone see to it. */
TEST(one_that_sends_all_it_can_harms_nobody)
{
    struct ft_ingest_options limits = {.queue_bytes_max = 1 << 20, .window_bytes = 1 << 20};
    uint64_t blocks = 0;
    int64_t quiet_ns = latency_of_others(false, &limits, 50, &blocks);
    int64_t rogue_ns = latency_of_others(true, &limits, 50, &blocks);
    CHECK(blocks > 8 * 9);
    CHECK(rogue_ns <= 2 * quiet_ns);
}
