/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingest while each sync takes long: many agents share one sync, so that a slow disk costs time and
 * not throughput.  What is asserted does not depend on time; the figures are printed: how much goes
 * through when all send what their windows allow, and how long an ack takes at a rate below that.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "collector/ingest.h"
#include "lib/call_fail.h"
#include "lib/test.h"
#include "wire/batch_builder.h"

#define AGENTS  8
#define BATCHES 60 /* Of each agent. */
/* Events of a batch that is full, and of one that an agent sends because it is time to. */
#define FULL_EVENTS 2048
#define SOON_EVENTS 256
#define RATE        60000 /* Events a second of all agents. */
/* Unacknowledged bytes of one agent at most, as its window. */
#define WINDOW_BYTES ((size_t)1 << 20)

struct world;

struct agent {
    struct world *world;
    struct ft_uuid instance_id;
    struct ft_ingest_session *session;
    struct ft_buf batches[BATCHES];
    unsigned n_sent;
    /* Guarded by the world's lock. */
    unsigned n_acked;
    int64_t sent_ns[BATCHES];
    int64_t acked_ns[BATCHES];
};

struct world {
    unsigned batch_events;
    struct ft_mutex lock;
    struct ft_cond acked;
    struct ft_disk *disk;
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_ingest *ingest;
    _Atomic bool done;
    struct agent agents[AGENTS];
};

static struct world world;

static bool peer_send(void *ctx, const void *data, size_t size)
{
    struct agent *agent = ctx;
    struct ft_response response;
    CHECK_OK(ft_response_decode(data, size, &response, NULL));
    if (response.kind == FT_RESPONSE_ACK) {
        int64_t now_ns = ft_clock_mono_ns(ft_clock_system());
        ft_mutex_lock(&agent->world->lock);
        while (agent->n_acked < response.ack.durable_seq / agent->world->batch_events) {
            agent->acked_ns[agent->n_acked++] = now_ns;
        }
        ft_mutex_unlock(&agent->world->lock);
        ft_cond_signal(&agent->world->acked);
    }
    return true;
}

static void peer_close(void *ctx, enum ft_ingest_close why, const char *text)
{
    (void)ctx;
    (void)why;
    ft_test_fail(__FILE__, __LINE__, "a session was closed: %s", text);
}

static void peer_ignore(void *ctx) { (void)ctx; }

static const struct ft_ingest_peer_ops peer_ops = {.send = peer_send,
                                                   .close = peer_close,
                                                   .resume = peer_ignore,
                                                   .ref = peer_ignore,
                                                   .unref = peer_ignore};

static void make_batches(struct agent *agent)
{
    unsigned batch_events = agent->world->batch_events;
    struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&agent->instance_id, &builder));
    for (uint64_t i = 0; i < BATCHES; i++) {
        struct ft_buf body;
        uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
        for (uint64_t k = 0; k < batch_events; k++) {
            struct ft_event event = {.seq = 1 + i * batch_events + k,
                                     .time_ns = (int64_t)(i * 1000000 + k * 400),
                                     .type = FT_EVENT_START,
                                     .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS,
                                     .protocol = FT_PROTO_TCP,
                                     .ct_id = (uint32_t)(k * 2654435761U),
                                     .src_port = (uint16_t)(k * 7),
                                     .dst_port = 443};
            CHECK_OK(ft_batch_builder_add(builder, &event));
        }
        ft_buf_init(&body, 0);
        ft_buf_init(&agent->batches[i], 0);
        CHECK_OK(ft_batch_builder_seal(builder, &body));
        ft_buf_add(&agent->batches[i], head, ft_batch_head_encode(body.size, head));
        ft_buf_add(&agent->batches[i], body.data, body.size);
        ft_buf_deinit(&body);
    }
    ft_batch_builder_destroy(builder);
}

static void greet(struct agent *agent)
{
    struct ft_principal principal = {.name = "test"};
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = agent->instance_id,
                                 .instance_id = agent->instance_id,
                                 .oldest_seq = 1,
                                 .next_seq = 1 + (uint64_t)BATCHES * agent->world->batch_events};
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    CHECK_OK(ft_ingest_session_open(agent->world->ingest, agent, "192.0.2.1:1", &principal,
                                    &agent->session));
    CHECK(ft_ingest_session_message(agent->session, buf.data, buf.size));
    ft_buf_deinit(&buf);
}

/* A block of somebody else, so that the log has its first segment. */
static void warm_up(void)
{
    struct ft_block_info info = {.first_seq = 1, .n_events = 1};
    uint64_t position;
    CHECK_OK(ft_log_append(world.log, &info, "x", 1, &position));
    CHECK_OK(ft_log_sync(world.log, &position));
}

static void setup(unsigned batch_events)
{
    memset(&world, 0, sizeof world);
    world.batch_events = batch_events;
    ft_mutex_init(&world.lock);
    ft_cond_init(&world.acked);
    CHECK_OK(ft_disk_posix_create(ft_call_fail_directory(), &world.disk));
    struct ft_log_options log = {.bytes_max = 1 << 30, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_disk_open(world.disk, &log, NULL, NULL, &world.log));
    warm_up();
    CHECK_OK(ft_instances_create(&world.instances));
    struct ft_ingest_options options = {.random = ft_random_system(),
                                        .version = "test",
                                        .queue_bytes_max = 64 << 20,
                                        .window_bytes = WINDOW_BYTES,
                                        .message_bytes_max = 1 << 20,
                                        .clock = ft_clock_system(),
                                        .log = world.log,
                                        .instances = world.instances,
                                        .peer_ops = &peer_ops};
    CHECK_OK(ft_ingest_create(&options, &world.ingest));
    for (unsigned i = 0; i < AGENTS; i++) {
        struct agent *agent = &world.agents[i];
        agent->world = &world;
        agent->instance_id.bytes[0] = (uint8_t)(i + 1);
        make_batches(agent);
        greet(agent);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        ft_ingest_session_close(world.agents[i].session);
        for (unsigned k = 0; k < BATCHES; k++) {
            ft_buf_deinit(&world.agents[i].batches[k]);
        }
    }
    ft_ingest_destroy(world.ingest);
    ft_instances_destroy(world.instances);
    ft_log_destroy(world.log);
    ft_disk_destroy(world.disk);
    ft_cond_deinit(&world.acked);
    ft_mutex_deinit(&world.lock);
}

static void commit(void *ctx)
{
    (void)ctx;
    while (!world.done) {
        CHECK_OK(ft_ingest_commit(world.ingest,
                                  ft_clock_mono_ns(ft_clock_system()) + 10 * FT_NS_PER_MS));
    }
}

/* Sends what the window allows of the first 'n' batches. */
static void send_some(struct agent *agent, unsigned n)
{
    ft_mutex_lock(&world.lock);
    unsigned n_acked = agent->n_acked;
    ft_mutex_unlock(&world.lock);
    while (agent->n_sent < n && (agent->n_sent - n_acked) * agent->batches[0].size < WINDOW_BYTES) {
        const struct ft_buf *batch = &agent->batches[agent->n_sent];
        ft_mutex_lock(&world.lock);
        agent->sent_ns[agent->n_sent] = ft_clock_mono_ns(ft_clock_system());
        ft_mutex_unlock(&world.lock);
        agent->n_sent++;
        CHECK(ft_ingest_session_message(agent->session, batch->data, batch->size));
    }
}

static bool all_acked(void)
{
    bool all = true;
    ft_mutex_lock(&world.lock);
    for (unsigned i = 0; i < AGENTS; i++) {
        all = all && world.agents[i].n_acked == BATCHES;
    }
    ft_mutex_unlock(&world.lock);
    return all;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

/* How long 99 of 100 batches waited at most, in ms. */
static double p99_ms(void)
{
    static int64_t waits[AGENTS * BATCHES];
    for (unsigned i = 0; i < AGENTS; i++) {
        for (unsigned k = 0; k < BATCHES; k++) {
            waits[i * BATCHES + k] = world.agents[i].acked_ns[k] - world.agents[i].sent_ns[k];
        }
    }
    qsort(waits, AGENTS * BATCHES, sizeof waits[0], compare_ns);
    return (double)waits[AGENTS * BATCHES * 99 / 100] / FT_NS_PER_MS;
}

/* How many batches each agent has, after so long at a rate; 0: all at once. */
static unsigned batches_due(int64_t took_ns, unsigned rate)
{
    uint64_t events = (uint64_t)took_ns / FT_NS_PER_MS * rate / 1000;
    uint64_t n = 1 + events / (AGENTS * world.batch_events);
    return rate == 0 || n > BATCHES ? BATCHES : (unsigned)n;
}

struct figures {
    double events_a_second;
    double ack_p99_ms;
    unsigned long long syncs;
};

static struct figures measure(int64_t sync_ns, unsigned batch_events, unsigned rate)
{
    setup(batch_events);
    ft_call_fail_set_sync_ns(sync_ns);
    struct ft_thread thread = {0};
    int64_t begin_ns = ft_clock_mono_ns(ft_clock_system());
    CHECK_OK(ft_thread_start(&thread, "commit", commit, NULL));
    while (!all_acked()) {
        int64_t now_ns = ft_clock_mono_ns(ft_clock_system());
        for (unsigned i = 0; i < AGENTS; i++) {
            send_some(&world.agents[i], batches_due(now_ns - begin_ns, rate));
        }
        ft_mutex_lock(&world.lock);
        (void)ft_cond_wait_until(&world.acked, &world.lock, now_ns + FT_NS_PER_MS);
        ft_mutex_unlock(&world.lock);
    }
    int64_t took_ns = ft_clock_mono_ns(ft_clock_system()) - begin_ns;
    world.done = true;
    ft_ingest_wake(world.ingest);
    ft_thread_join(&thread);
    ft_call_fail_set_sync_ns(0);
    const struct ft_ingest_stats *stats = ft_ingest_stats(world.ingest);
    double events = (double)AGENTS * BATCHES * batch_events;
    CHECK_INT(stats->durable_events, (uint64_t)events);
    CHECK_INT(stats->appended_events, (uint64_t)events);
    CHECK(stats->syncs <= AGENTS * BATCHES);
    struct figures figures = {.events_a_second = events * FT_NS_PER_S / (double)took_ns,
                              .ack_p99_ms = p99_ms(),
                              .syncs = stats->syncs};
    teardown();
    return figures;
}

TEST(slow_syncs_are_shared)
{
    static const int64_t latencies_ms[] = {1, 10, 100};
    for (unsigned i = 0; i < 3; i++) {
        int64_t sync_ns = latencies_ms[i] * FT_NS_PER_MS;
        struct figures most = measure(sync_ns, FULL_EVENTS, 0);
        struct figures usual = measure(sync_ns, SOON_EVENTS, RATE);
        printf("matrix: R29 syncs of %d ms, %d agents: %.0f events/s with %llu syncs (ack p99 %.0f "
               "ms); at %d events/s ack p99 %.1f ms, %.1f times the sync; all acknowledged\n",
               (int)latencies_ms[i], AGENTS, most.events_a_second, most.syncs, most.ack_p99_ms,
               RATE, usual.ack_p99_ms, usual.ack_p99_ms / (double)latencies_ms[i]);
    }
}

/* What is queued when a sync begins shares the next one, however many agents it is from. */
TEST(one_sync_for_all_that_is_queued)
{
    setup(FULL_EVENTS);
    for (unsigned i = 0; i < AGENTS; i++) {
        for (unsigned k = 0; k < 3; k++) {
            const struct ft_buf *batch = &world.agents[i].batches[k];
            CHECK(ft_ingest_session_message(world.agents[i].session, batch->data, batch->size));
        }
    }
    CHECK_OK(ft_ingest_commit(world.ingest, 0));
    CHECK_INT(ft_ingest_stats(world.ingest)->syncs, 1);
    CHECK_INT(ft_ingest_stats(world.ingest)->acks, AGENTS);
    for (unsigned i = 0; i < AGENTS; i++) {
        CHECK_INT(world.agents[i].n_acked, 3);
    }
    teardown();
}
