/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's own parts without memory: whatever an agent sends is stored once, or not
 * acknowledged, and a good batch is never called a broken one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../collector/fake_sink.h"
#include "collector/identity.h"
#include "collector/ingest.h"
#include "collector/options.h"
#include "collector/sinker.h"
#include "lib/alloc_fail.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "wire/batch_builder.h"
#include "wire/batch_reader.h"

static const struct ft_uuid agent_id = {{1}};
static const struct ft_uuid instance_id = {{2}};

static void add_batch(struct ft_buf *buf, uint64_t first, unsigned n, uint8_t type)
{
    struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance_id, &builder));
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.seq = first + i, .time_ns = 1, .type = type};
        CHECK_OK(ft_batch_builder_add(builder, &event));
    }
    CHECK_OK(ft_batch_builder_seal(builder, buf));
    ft_batch_builder_destroy(builder);
}

/* ---- Ingest ---- */

#define BATCHES      8
#define BATCH_EVENTS 50
/* This one breaks the rules. */
#define POISON 3

#define CONNECTIONS_MAX 64

struct agent;

/* The collector may speak to a connection that the agent has left. */
struct peer {
    struct agent *agent;
    bool left;
};

struct agent {
    struct peer peers[CONNECTIONS_MAX];
    unsigned n_peers;
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_ingest *ingest;
    struct ft_receipt_signer *signer;
    struct ft_random_seeded random;
    struct ft_ingest_session *session;
    bool closed;
    bool welcomed;
    uint64_t acked;         /* What the collector has said to have. */
    uint64_t sent;          /* On this session. */
    bool rejected[BATCHES]; /* Told so, perhaps again. */
    ft_err err;
    struct ft_buf hello;
    struct ft_buf status;
    struct ft_buf batches[BATCHES];
};

static bool peer_send(void *ctx, const void *data, size_t size)
{
    const struct peer *peer = ctx;
    struct agent *agent = peer->agent;
    struct ft_response response;
    if (peer->left) {
        return false;
    }
    ft_alloc_fail_pause();
    CHECK_OK(ft_response_decode(data, size, &response, NULL));
    if (response.kind == FT_RESPONSE_WELCOME) {
        agent->welcomed = true;
        agent->acked = response.welcome.durable_seq;
        agent->sent = agent->acked;
    } else {
        CHECK_INT(response.kind, FT_RESPONSE_ACK);
        CHECK(response.ack.durable_seq >= agent->acked);
        agent->acked = response.ack.durable_seq;
        for (unsigned i = 0; i < response.ack.n_rejected; i++) {
            const struct ft_msg_range *range = &response.ack.rejected[i];
            CHECK_INT(range->last_seq - range->first_seq + 1, BATCH_EVENTS);
            agent->rejected[range->first_seq / BATCH_EVENTS] = true;
        }
    }
    ft_alloc_fail_resume();
    return true;
}

static void peer_close(void *ctx, enum ft_ingest_close why, const char *text)
{
    const struct peer *peer = ctx;
    struct agent *agent = peer->agent;
    CHECK(why == FT_INGEST_CLOSE_UNAVAILABLE || peer->left);
    CHECK(text[0] != '\0');
    agent->closed = agent->closed || !peer->left;
    agent->err = ft_err_from_errno(ENOMEM);
}

static void peer_ignore(void *ctx) { (void)ctx; }

static const struct ft_ingest_peer_ops peer_ops = {.send = peer_send,
                                                   .close = peer_close,
                                                   .resume = peer_ignore,
                                                   .ref = peer_ignore,
                                                   .unref = peer_ignore};

static void add_message(struct ft_buf *buf, const struct ft_buf *batch)
{
    uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
    ft_buf_init(buf, 0);
    ft_buf_add(buf, head, ft_batch_head_encode(batch->size, head));
    ft_buf_add(buf, batch->data, batch->size);
}

static void agent_init(struct agent *agent)
{
    static const uint8_t seed[FT_RECEIPT_SEED_SIZE] = {1};
    memset(agent, 0, sizeof *agent);
    ft_random_seeded_init(&agent->random, 1);
    struct ft_log_options log = {.bytes_max = 1 << 20, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&log, &agent->log));
    CHECK_OK(ft_receipt_signer_create(seed, &agent->signer));
    struct ft_msg_status status = {.observed_events = 5, .retained_events = 5, .n_components = 1};
    ft_buf_init(&agent->hello, 0);
    ft_buf_init(&agent->status, 0);
    CHECK_OK(ft_status_encode(&status, &agent->status));
    for (unsigned i = 0; i < BATCHES; i++) {
        struct ft_buf batch;
        ft_buf_init(&batch, 0);
        add_batch(&batch, 1 + i * BATCH_EVENTS, BATCH_EVENTS, i == POISON ? 77 : FT_EVENT_DROP);
        add_message(&agent->batches[i], &batch);
        ft_buf_deinit(&batch);
    }
}

static void agent_deinit(struct agent *agent)
{
    ft_buf_deinit(&agent->hello);
    ft_buf_deinit(&agent->status);
    for (unsigned i = 0; i < BATCHES; i++) {
        ft_buf_deinit(&agent->batches[i]);
    }
    ft_receipt_signer_destroy(agent->signer);
    ft_log_destroy(agent->log);
}

static void make_hello(struct agent *agent)
{
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = agent_id,
                                 .instance_id = instance_id,
                                 .oldest_seq = agent->acked + 1,
                                 .next_seq = 1 + BATCHES * BATCH_EVENTS,
                                 .has_challenge = true};
    ft_alloc_fail_pause();
    ft_buf_clear(&agent->hello);
    CHECK_OK(ft_hello_encode(&hello, &agent->hello));
    ft_alloc_fail_resume();
}

static ft_err agent_connect(struct agent *agent)
{
    make_hello(agent);
    struct ft_principal principal = {.name = "test"};
    agent->closed = false;
    agent->welcomed = false;
    CHECK(agent->n_peers < CONNECTIONS_MAX);
    struct peer *peer = &agent->peers[agent->n_peers];
    peer->agent = agent;
    FT_TRY(ft_ingest_session_open(agent->ingest, peer, "192.0.2.1:1", &principal, &agent->session));
    agent->n_peers++;
    (void)ft_ingest_session_message(agent->session, agent->hello.data, agent->hello.size);
    CHECK(agent->welcomed || agent->closed);
    return FT_OK;
}

static void agent_hang_up(struct agent *agent)
{
    if (agent->session != NULL) {
        agent->peers[agent->n_peers - 1].left = true;
        ft_ingest_session_close(agent->session);
        agent->session = NULL;
    }
}

/* Sends what is not acknowledged, as an agent does, and lets the collector commit. */
static void agent_live(struct agent *agent, unsigned n_turns)
{
    for (unsigned turn = 0; turn < n_turns && agent->acked < BATCHES * BATCH_EVENTS; turn++) {
        if (agent->session == NULL) {
            ft_err err = agent_connect(agent);
            agent->err = err != FT_OK ? err : agent->err;
        }
        uint64_t next = agent->sent / BATCH_EVENTS;
        for (uint64_t i = next; i < next + 3 && i < BATCHES; i++) {
            if (agent->session != NULL && !agent->closed) {
                (void)ft_ingest_session_message(agent->session, agent->status.data,
                                                agent->status.size);
                (void)ft_ingest_session_message(agent->session, agent->batches[i].data,
                                                agent->batches[i].size);
                agent->sent += BATCH_EVENTS;
            }
        }
        ft_err err = ft_ingest_commit(agent->ingest, 0);
        agent->err = err != FT_OK ? err : agent->err;
        if (agent->closed) {
            agent_hang_up(agent);
        }
    }
}

/* Each event once, but for the poison. */
static void check_log(struct agent *agent)
{
    struct ft_log_reader *reader = NULL;
    struct ft_block block;
    uint64_t last = 0;
    uint64_t n = 0;
    CHECK_OK(ft_log_reader_open(agent->log, "check", true, &reader));
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        CHECK(block.info.first_seq > last);
        last = block.info.first_seq + block.info.n_events - 1;
        n += block.info.n_events;
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    CHECK_INT(n, (BATCHES - 1) * BATCH_EVENTS);
    CHECK_INT(agent->acked, BATCHES * BATCH_EVENTS);
    for (unsigned i = 0; i < BATCHES; i++) {
        CHECK_INT(agent->rejected[i], i == POISON);
    }
}

static ft_err ingest(void *ctx)
{
    (void)ctx;
    static struct agent agent;
    ft_alloc_fail_pause();
    agent_init(&agent);
    ft_alloc_fail_resume();
    struct ft_ingest_options options = {.random = &agent.random.base,
                                        .signer = agent.signer,
                                        .version = "test",
                                        .queue_bytes_max = 1 << 20,
                                        .window_bytes = 1 << 20,
                                        .message_bytes_max = 1 << 20,
                                        .clock = ft_clock_system(),
                                        .log = agent.log,
                                        .peer_ops = &peer_ops};
    ft_err err = ft_instances_create(&agent.instances);
    options.instances = agent.instances;
    if (err == FT_OK) {
        err = ft_ingest_create(&options, &agent.ingest);
    }
    if (err == FT_OK) {
        agent_live(&agent, 10);
        ft_alloc_fail_pause();
        agent_live(&agent, 10);
        check_log(&agent);
        agent_hang_up(&agent);
        ft_alloc_fail_resume();
        err = agent.err;
    }
    ft_ingest_destroy(agent.ingest);
    ft_instances_destroy(agent.instances);
    ft_alloc_fail_pause();
    agent_deinit(&agent);
    ft_alloc_fail_resume();
    return err;
}

TEST(ingest_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "ingest", .run = ingest};
    ft_alloc_fail_each(&scenario);
}

/* ---- Registry ---- */

static void count_one(void *ctx, struct ft_instance *instance)
{
    instance->received_events++;
    ++*(unsigned *)ctx;
}

static ft_err registry(void *ctx)
{
    (void)ctx;
    FT_CLEANUP(ft_instances_destroy) struct ft_instances *instances = NULL;
    FT_TRY(ft_instances_create(&instances));
    ft_err err = FT_OK;
    unsigned n_called = 0;
    unsigned n_ok = 0;
    for (unsigned i = 0; i < 150; i++) {
        struct ft_instance_key key = {{{1}}, {{(uint8_t)i}}};
        ft_err one = ft_instances_with(instances, &key, count_one, &n_called);
        n_ok += one == FT_OK;
        err = one != FT_OK ? one : err;
    }
    CHECK_INT(n_called, n_ok);
    struct ft_instance *all = NULL;
    size_t n = 0;
    ft_err list_err = ft_instances_list(instances, &all, &n);
    if (list_err != FT_OK) {
        return list_err;
    }
    CHECK_INT(n, n_ok);
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(all[i].received_events, 1);
    }
    ft_instances_list_free(all, n);
    return err;
}

TEST(registry_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "registry", .run = registry};
    ft_alloc_fail_each(&scenario);
}

/* ---- Sinker ---- */

#define BLOCKS       6
#define BLOCK_EVENTS 20

struct sink_world {
    struct ft_log *log;
    struct fake_sink *fake;
    struct ft_instances *instances;
    unsigned n_shown;
};

static void sink_world_init(struct sink_world *world)
{
    struct ft_log_options log = {.bytes_max = 1 << 20, .full = FT_LOG_REFUSE};
    *world = (struct sink_world){0};
    CHECK_OK(ft_log_memory_create(&log, &world->log));
    world->fake = fake_sink_create();
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct ft_buf batch;
        uint64_t position;
        ft_buf_init(&batch, 0);
        add_batch(&batch, 1 + i * BLOCK_EVENTS, BLOCK_EVENTS, FT_EVENT_DROP);
        struct ft_block_info info = {.first_seq = 1 + i * BLOCK_EVENTS, .n_events = BLOCK_EVENTS};
        memcpy(info.agent_id, agent_id.bytes, sizeof info.agent_id);
        memcpy(info.instance_id, instance_id.bytes, sizeof info.instance_id);
        CHECK_OK(ft_log_append(world->log, &info, batch.data, batch.size, &position));
        ft_buf_deinit(&batch);
    }
}

static void sink_world_deinit(struct sink_world *world)
{
    free(world->fake);
    ft_log_destroy(world->log);
}

static void on_row(void *ctx, const struct ft_row *row)
{
    (void)row;
    ((struct sink_world *)ctx)->n_shown++;
}

static bool rows_are_wanted(void *ctx)
{
    (void)ctx;
    return true;
}

/* As the sink thread does: an error is a pause, and it goes on. */
static ft_err sink_all(struct ft_sinker *sinker)
{
    ft_err err = FT_OK;
    for (unsigned i = 0; i < 4 * BLOCKS; i++) {
        ft_err one = ft_sinker_step(sinker, 0, NULL);
        err = one != FT_OK ? one : err;
    }
    ft_err one = ft_sinker_flush(sinker, NULL);
    return one != FT_OK ? one : err;
}

static ft_err sinker(void *ctx)
{
    (void)ctx;
    struct sink_world world;
    ft_alloc_fail_pause();
    sink_world_init(&world);
    ft_alloc_fail_resume();
    struct ft_sinker *made = NULL;
    ft_err err = ft_instances_create(&world.instances);
    struct ft_sinker_options options = {.name = "test",
                                        .batch_rows = 50,
                                        .batch_interval_ns = FT_NS_PER_S,
                                        .clock = ft_clock_system(),
                                        .log = world.log,
                                        .sink = &world.fake->sink,
                                        .instances = world.instances,
                                        .on_row = on_row,
                                        .rows_are_wanted = rows_are_wanted,
                                        .on_row_ctx = &world};
    if (err == FT_OK) {
        err = ft_sinker_create(&options, &made, NULL);
    }
    if (err == FT_OK) {
        err = sink_all(made);
        ft_alloc_fail_pause();
        CHECK_OK(sink_all(made));
        ft_alloc_fail_resume();
        CHECK_INT(world.fake->n_rows, BLOCKS * BLOCK_EVENTS);
        CHECK_INT(ft_sinker_stats(made)->damaged_blocks, 0);
        CHECK(world.n_shown == BLOCKS * BLOCK_EVENTS || ft_alloc_fail_happened());
    }
    ft_sinker_destroy(made);
    ft_instances_destroy(world.instances);
    ft_alloc_fail_pause();
    sink_world_deinit(&world);
    ft_alloc_fail_resume();
    return err;
}

TEST(sinker_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "sinker", .run = sinker};
    ft_alloc_fail_each(&scenario);
}

/* ---- Identity ---- */

static ft_err identity(void *ctx)
{
    (void)ctx;
    ft_alloc_fail_pause();
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_disk *log_disk = ft_fault_disk_create(2);
    ft_alloc_fail_resume();
    struct ft_identity first = {0};
    struct ft_identity second = {0};
    struct ft_identity later = {0};
    struct ft_diag diag = {0};
    ft_err err = ft_identity_open(disk, log_disk, ft_random_system(), &first, &diag);
    bool given_out = err == FT_OK;
    if (err == FT_OK) {
        err = ft_identity_open(disk, log_disk, ft_random_system(), &second, &diag);
    }
    ft_alloc_fail_pause();
    CHECK_OK(ft_identity_open(disk, log_disk, ft_random_system(), &later, &diag));
    CHECK(!given_out || (ft_uuid_equal(&first.collector_id, &later.collector_id) &&
                         ft_uuid_equal(&first.log_id, &later.log_id) &&
                         ft_uuid_equal(&first.store_epoch, &later.store_epoch)));
    ft_identity_close(&later);
    ft_disk_destroy(disk);
    ft_disk_destroy(log_disk);
    ft_alloc_fail_resume();
    ft_identity_close(&second);
    ft_identity_close(&first);
    return err;
}

TEST(identity_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "identity", .run = identity};
    ft_alloc_fail_each(&scenario);
}
