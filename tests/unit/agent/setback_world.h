/* SPDX-License-Identifier: Apache-2.0 */
/* An agent whose disk is set back or damaged: pipeline, spool and exporter are the real ones, the
 * collector is in memory and remembers what it was given, on virtual time. */
#ifndef FT_TESTS_AGENT_SETBACK_WORLD_H
#define FT_TESTS_AGENT_SETBACK_WORLD_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pipeline.h"
#include "agent/spool.h"
#include "export/exporter.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "store/format.h"
#include "wire/batch_reader.h"

#define MESSAGES_MAX  512
#define INSTANCES_MAX 8
#define SEQ_MAX       65536

/* What the collector has of one instance. */
struct held {
    struct ft_uuid id;
    uint64_t durable_seq;
    uint64_t life; /* Of that event. */
    uint64_t n_stored;
    uint32_t events[SEQ_MAX]; /* By number; 1: a LOSS event. */
    uint64_t n_told;
    uint64_t n_losses;
};

struct world {
    struct ft_clock clock;
    int64_t now_ns;
    struct ft_random_seeded random;
    struct ft_disk *disk;
    /* One life. */
    struct ft_spool *spool;
    struct ft_pipeline *pipeline;
    struct ft_log *memory;
    struct ft_exporter *exporter;
    /* The stream. */
    struct ft_stream stream;
    bool wanted;
    bool open;
    bool cancelled;
    bool sent_due;
    struct ft_buf inbox[MESSAGES_MAX];
    size_t n_in;
    size_t n_read;
    /* The collector. */
    struct held held[INSTANCES_MAX];
    size_t n_held;
    struct held *current;
    uint32_t n_made;
    uint8_t n_times[SEQ_MAX]; /* That an event was stored. */
    uint64_t n_damaged;
    uint64_t heard_seq;
    bool asks_again;   /* As a collector that has restarted: for what it has. */
    bool forgets_life; /* In which its newest event was made. */
    bool is_small;     /* The spool. */
    bool may_repeat;   /* An event may be stored as that of two instances. */
};

static struct world world;

static inline int64_t read_now(const struct ft_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

/* ---- The collector and the way to it ---- */

static inline void respond(const struct ft_response *response)
{
    if (world.n_in == MESSAGES_MAX) {
        for (size_t i = 0; i < world.n_read; i++) {
            ft_buf_deinit(&world.inbox[i]);
        }
        world.n_in -= world.n_read;
        memmove(world.inbox, world.inbox + world.n_read, world.n_in * sizeof world.inbox[0]);
        world.n_read = 0;
    }
    CHECK(world.n_in < MESSAGES_MAX);
    struct ft_buf *to = &world.inbox[world.n_in++];
    ft_buf_init(to, 0);
    CHECK_OK(ft_response_encode(response, to));
}

static inline void take_hello(const struct ft_msg_hello *hello)
{
    world.current = NULL;
    for (size_t i = 0; i < world.n_held; i++) {
        if (ft_uuid_equal(&world.held[i].id, &hello->instance_id)) {
            world.current = &world.held[i];
        }
    }
    if (world.current == NULL) {
        CHECK(world.n_held < INSTANCES_MAX);
        world.current = &world.held[world.n_held++];
        world.current->id = hello->instance_id;
    }
    uint64_t resume_seq = world.current->durable_seq;
    if (world.asks_again && hello->oldest_seq <= resume_seq) {
        resume_seq = hello->oldest_seq - 1;
    }
    world.heard_seq = resume_seq;
    struct ft_response welcome = {
        .kind = FT_RESPONSE_WELCOME,
        .welcome = {.durable_seq = resume_seq,
                    .newest_seq = world.current->durable_seq,
                    .newest_life = world.forgets_life ? 0 : world.current->life,
                    .missing_events = world.current->durable_seq - world.current->n_stored,
                    .window_bytes = 1 << 20,
                    .status_interval_ms = 60000}};
    welcome.welcome.collector_id.bytes[0] = 3;
    respond(&welcome);
}

static inline void take_batch(const uint8_t *data, size_t size)
{
    struct held *held = world.current;
    struct ft_batch_reader *batch = NULL;
    CHECK_OK(ft_batch_reader_open(data, size, &batch, NULL));
    CHECK(ft_uuid_equal(ft_batch_reader_instance(batch), &held->id));
    struct ft_event event;
    while (ft_batch_reader_next(batch, &event)) {
        CHECK(event.seq < SEQ_MAX);
        bool is_loss = event.type == FT_EVENT_LOSS;
        uint32_t id = is_loss ? 1 : event.ct_id;
        if (event.seq <= held->durable_seq) {
            CHECK_INT(held->events[event.seq], id); /* A repeat is the same event. */
            continue;
        }
        CHECK_INT(held->events[event.seq], 0);
        held->events[event.seq] = id;
        held->durable_seq = event.seq;
        held->life = ft_batch_reader_life(batch);
        held->n_stored++;
        held->n_told += is_loss ? event.loss.count : 0;
        held->n_losses += is_loss;
        if (!is_loss) {
            CHECK(world.n_times[id]++ == 0 || world.may_repeat);
        }
    }
    uint64_t last_seq = ft_batch_reader_first_seq(batch) + ft_batch_reader_count(batch) - 1;
    world.heard_seq = last_seq > world.heard_seq ? last_seq : world.heard_seq;
    ft_batch_reader_close(batch);
    struct ft_response ack = {.kind = FT_RESPONSE_ACK, .ack = {.durable_seq = world.heard_seq}};
    respond(&ack);
}

static inline ft_err stream_open(struct ft_stream *stream)
{
    (void)stream;
    world.wanted = true;
    return FT_OK;
}

static inline ft_err stream_send(struct ft_stream *stream, const struct ft_stream_parts *parts)
{
    (void)stream;
    struct ft_buf whole;
    ft_buf_init(&whole, 0);
    ft_buf_add(&whole, parts->head, parts->head_size);
    ft_buf_add(&whole, parts->body, parts->body_size);
    struct ft_request request;
    CHECK_OK(ft_request_decode(whole.data, whole.size, &request, NULL));
    if (request.kind == FT_REQUEST_HELLO) {
        take_hello(&request.hello);
    } else if (request.kind == FT_REQUEST_BATCH) {
        take_batch(request.batch.data, request.batch.size);
    }
    ft_request_clear(&request);
    ft_buf_deinit(&whole);
    world.sent_due = true;
    return FT_OK;
}

static inline void stream_cancel(struct ft_stream *stream)
{
    (void)stream;
    world.cancelled = true;
}

static inline void forget_messages(void)
{
    for (size_t i = 0; i < world.n_in; i++) {
        ft_buf_deinit(&world.inbox[i]);
    }
    world.n_in = 0;
    world.n_read = 0;
}

static inline void stream_poll(struct ft_stream *stream, int64_t deadline_ns,
                               struct ft_stream_event *ret_event)
{
    (void)stream;
    memset(ret_event, 0, sizeof *ret_event);
    if (world.n_read == world.n_in) {
        forget_messages();
    }
    if (world.cancelled) {
        world.open = false;
        world.wanted = false;
        world.cancelled = false;
        world.sent_due = false;
        forget_messages();
        ret_event->kind = FT_STREAM_CLOSED;
        ret_event->err = FT_E_CANCELLED;
    } else if (world.wanted) {
        world.wanted = false;
        world.open = true;
        ret_event->kind = FT_STREAM_OPENED;
    } else if (world.sent_due) {
        world.sent_due = false;
        ret_event->kind = FT_STREAM_SENT;
    } else if (world.open && world.n_read < world.n_in) {
        const struct ft_buf *message = &world.inbox[world.n_read++];
        ret_event->kind = FT_STREAM_MESSAGE;
        ret_event->data = (const uint8_t *)message->data;
        ret_event->size = message->size;
    } else if (deadline_ns > world.now_ns) {
        world.now_ns = deadline_ns;
    }
}

static inline void stream_wake(struct ft_stream *stream) { (void)stream; }

static const struct ft_stream_ops stream_ops = {.open = stream_open,
                                                .send = stream_send,
                                                .cancel = stream_cancel,
                                                .poll = stream_poll,
                                                .wake = stream_wake,
                                                .destroy = stream_wake};

/* ---- The agent ---- */

static inline uint64_t host_next_seq(void *ctx)
{
    (void)ctx;
    return ft_pipeline_stats(world.pipeline)->numbered_events + 1;
}

static inline void host_fill_status(void *ctx, struct ft_msg_status *status)
{
    (void)ctx;
    (void)status;
}

static inline void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq,
                                 int64_t sealed_ns)
{
    (void)ctx;
    (void)first_seq;
    (void)sealed_ns;
    ft_pipeline_acked(world.pipeline, last_seq);
}

static inline void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq,
                                    const char *reason)
{
    (void)ctx;
    ft_test_fail(__FILE__, __LINE__, "%llu to %llu: %s", (unsigned long long)first_seq,
                 (unsigned long long)last_seq, reason);
}

static inline void host_on_damaged(void *ctx, uint64_t first_seq, uint64_t last_seq,
                                   const char *reason)
{
    (void)ctx;
    CHECK(reason[0] != '\0');
    world.n_damaged += last_seq - first_seq + 1;
    ft_pipeline_lost(world.pipeline, FT_LOSS_SPOOL_DAMAGED, first_seq, last_seq);
}

/* As agent/delivery.c. */
static inline void host_on_gone_back(void *ctx, uint64_t durable_seq)
{
    (void)ctx;
    ft_tally_gone_back(ft_pipeline_tally(world.pipeline), durable_seq);
}

static inline void host_on_gone(void *ctx, const struct ft_loss *loss)
{
    (void)ctx;
    CHECK(loss->cause == FT_LOSS_SPOOL_DAMAGED || loss->cause == FT_LOSS_COLLECTOR_LOST);
    ft_tally_reject(ft_pipeline_tally(world.pipeline), loss);
    ft_err_ignore(ft_spool_keep_account(world.spool), "it is written again");
}

static inline ft_err host_on_bound(void *ctx, const struct ft_uuid *collector_id)
{
    (void)ctx;
    struct ft_spool_binding binding = {.bound = true, .collector_id = *collector_id};
    return ft_spool_bind(world.spool, &binding);
}

/* As agent/delivery.c. */
static inline ft_err host_on_new_instance(void *ctx, uint64_t base_seq,
                                          const struct ft_progress *before,
                                          struct ft_uuid *ret_instance_id)
{
    (void)ctx;
    uint64_t acked = before->done_events - before->rejected_events - before->gone_events;
    FT_TRY(ft_spool_new_instance(world.spool, base_seq, acked, ret_instance_id));
    ft_pipeline_forget_done(world.pipeline, before->done_events);
    ft_pipeline_set_instance(world.pipeline, ret_instance_id);
    return FT_OK;
}

static inline void host_on_state(void *ctx, enum ft_link_state state, const char *text)
{
    (void)ctx;
    (void)state;
    (void)text;
}

static inline void open_pipeline(const struct ft_spool_identity *identity)
{
    struct ft_pipeline_options pipeline = {.agent_id = identity->agent_id,
                                           .instance_id = identity->instance_id,
                                           .life = ft_lives_present(&identity->lives),
                                           .block_events_max = 10,
                                           .block_bytes_max = 64 << 10,
                                           .flush_interval_ns = FT_NS_PER_S,
                                           .clock = &world.clock,
                                           .tally = ft_spool_tally(world.spool),
                                           .kept_events = ft_spool_kept_events(world.spool)};
    CHECK_OK(ft_pipeline_create(&pipeline, &world.pipeline));
    struct ft_log_options memory = {.bytes_max = 1 << 20,
                                    .full = FT_LOG_DROP_OLDEST,
                                    .readers_hold = true,
                                    .on_drop = ft_pipeline_on_drop,
                                    .on_drop_ctx = world.pipeline};
    CHECK_OK(ft_log_memory_create(&memory, &world.memory));
    ft_pipeline_set_log(world.pipeline, world.memory);
    CHECK_OK(ft_spool_set_source(world.spool, world.memory));
}

static inline ft_err open_agent(void)
{
    struct ft_spool_options options = {.bytes_max = world.is_small ? 1 << 20 : 16 << 20,
                                       .segment_bytes = 256 << 10,
                                       .sync_interval_ns = FT_NS_PER_S / 10,
                                       .window_bytes = 64 << 10,
                                       .clock = &world.clock,
                                       .random = &world.random.base,
                                       .has_agent_id = true};
    struct ft_spool_report report;
    FT_TRY(ft_spool_open(&options, world.disk, &world.spool, &report));
    CHECK_INT(report.n_surplus, 0);
    CHECK_INT(report.n_missing, 0);
    struct ft_spool_identity identity;
    ft_spool_get_identity(world.spool, &identity);
    open_pipeline(&identity);
    struct ft_exporter_options exporter = {.link = ft_link_options_default,
                                           .window_bytes = 64 << 10,
                                           .agent_id = identity.agent_id,
                                           .instance_id = identity.instance_id,
                                           .clock = &world.clock,
                                           .random = &world.random.base,
                                           .stream = &world.stream,
                                           .log = ft_spool_log(world.spool),
                                           .durable_only = true,
                                           .bound = identity.binding.bound,
                                           .collector_id = identity.binding.collector_id,
                                           .base_seq = identity.base_seq,
                                           .known_seq = identity.known_seq,
                                           .lives = identity.lives,
                                           .host = {.next_seq = host_next_seq,
                                                    .fill_status = host_fill_status,
                                                    .on_acked = host_on_acked,
                                                    .on_rejected = host_on_rejected,
                                                    .on_damaged = host_on_damaged,
                                                    .on_gone_back = host_on_gone_back,
                                                    .on_gone = host_on_gone,
                                                    .on_bound = host_on_bound,
                                                    .on_new_instance = host_on_new_instance,
                                                    .on_state = host_on_state}};
    ft_err err = ft_exporter_create(&exporter, &world.exporter);
    if (err == FT_OK) {
        ft_exporter_enable(world.exporter);
    }
    return err;
}

static inline void close_agent(void)
{
    ft_exporter_destroy(world.exporter);
    ft_spool_close(world.spool, false);
    ft_log_destroy(world.memory);
    ft_pipeline_destroy(world.pipeline);
    world.exporter = NULL;
    world.spool = NULL;
    world.memory = NULL;
    world.pipeline = NULL;
    world.open = false;
    world.wanted = false;
    world.cancelled = false;
    world.sent_due = false;
    forget_messages();
}

static inline void make(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.type = FT_EVENT_START,
                                 .time_ns = world.now_ns,
                                 .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS |
                                           FT_FIELD_COUNTERS,
                                 .src = {{10, 1, 2, (uint8_t)i}},
                                 .dst = {{10, 9, 8, (uint8_t)i}},
                                 .src_port = (uint16_t)(40000 + i),
                                 .rx_bytes = UINT64_C(1) << 40,
                                 .tx_bytes = UINT64_C(1) << 40,
                                 .ct_id = ++world.n_made,
                                 .start_ns = world.now_ns};
        ft_pipeline_take(world.pipeline, &event);
    }
    ft_pipeline_tick(world.pipeline);
}

static inline void work(bool deliver, int64_t ns)
{
    int64_t until_ns = world.now_ns + ns;
    while (world.now_ns < until_ns) {
        ft_pipeline_tick(world.pipeline);
        ft_spool_work(world.spool);
        if (deliver && world.exporter != NULL) {
            ft_exporter_step(world.exporter, world.now_ns + FT_NS_PER_S / 20);
        } else {
            world.now_ns += FT_NS_PER_S / 20;
        }
    }
}

/* The agent's account is that of its present instance, and the collector has the same but for what
 * is told as lost: that may be of the instance before. */
static inline void check_balance(void)
{
    struct ft_pipeline_account account;
    ft_pipeline_get_account(world.pipeline, &account);
    const struct ft_exporter_stats *stats = ft_exporter_stats(world.exporter);
    uint64_t retained = account.kept - stats->done_events;
    CHECK_INT(account.observed, stats->acked_events + retained + account.merged + account.lost);
    CHECK_INT(retained, 0);
    CHECK_INT(stats->acked_events, world.current->n_stored);
    CHECK(account.lost <= world.current->n_told);
}

static inline void check_account(void)
{
    struct ft_pipeline_account account;
    ft_pipeline_get_account(world.pipeline, &account);
    check_balance();
    CHECK_INT(account.lost, world.current->n_told);
}

static inline void setup(uint64_t seed)
{
    memset(&world, 0, sizeof world);
    world.clock = (struct ft_clock){read_now, read_now};
    world.now_ns = FT_NS_PER_S;
    world.stream.ops = &stream_ops;
    world.n_made = 1;
    ft_random_seeded_init(&world.random, seed);
    world.disk = ft_fault_disk_create(seed);
}

/* 300 events of which 100 are retained, a snapshot, 200 more; the snapshot takes the disk's place.
 */
static inline void live_and_set_back(void)
{
    CHECK_OK(open_agent());
    make(200);
    work(true, 3 * FT_NS_PER_S);
    CHECK_INT(world.current->durable_seq, 200);
    make(100);
    work(false, 2 * FT_NS_PER_S);
    struct ft_disk *snapshot = ft_fault_disk_clone(world.disk);
    make(200);
    work(true, 3 * FT_NS_PER_S);
    CHECK_INT(world.current->durable_seq, 500);
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
    world.disk = snapshot;
}

static inline void check_each_once(uint32_t from)
{
    for (uint32_t id = from; id <= world.n_made; id++) {
        CHECK_INT(world.n_times[id], 1);
    }
}

#endif
