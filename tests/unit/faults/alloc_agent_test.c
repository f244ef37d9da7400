/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own parts without memory: the account balances, and losses are told. */
#include <stdlib.h>

#include "agent/delivery.h"
#include "agent/options.h"
#include "agent/pipeline.h"
#include "agent/playback.h"
#include "agent/recent.h"
#include "base/thread.h"
#include "lib/alloc_fail.h"
#include "lib/test.h"
#include "rpc/rpc.h"
#include "wire/batch_reader.h"

static int64_t now_ns = FT_NS_PER_S;

static int64_t read_now(const struct ft_clock *clock)
{
    (void)clock;
    return now_ns;
}

static const struct ft_clock still = {read_now, read_now};

/* ---- Pipeline ---- */

struct found {
    uint64_t events;
    uint64_t told;
    uint64_t holes;
    uint64_t last_seq;
};

static void read_block(const struct ft_block *block, struct found *found)
{
    struct ft_batch_reader *batch = NULL;
    CHECK_OK(ft_batch_reader_open(block->data, block->size, &batch, NULL));
    struct ft_event event;
    while (ft_batch_reader_next(batch, &event)) {
        CHECK(event.seq > found->last_seq);
        found->holes += event.seq - found->last_seq - 1;
        found->last_seq = event.seq;
        found->events++;
        found->told += event.type == FT_EVENT_LOSS ? event.loss.count : 0;
    }
    ft_batch_reader_close(batch);
}

static void check_account(struct ft_pipeline *pipeline, struct ft_log *log, uint64_t n_taken)
{
    struct found found = {0};
    struct ft_log_reader *reader = NULL;
    struct ft_block block;
    struct ft_pipeline_account account;
    CHECK_OK(ft_log_reader_open(log, "check", true, &reader));
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        read_block(&block, &found);
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.kept, found.events);
    CHECK_INT(account.lost, found.holes);
    CHECK_INT(account.observed, account.kept + account.lost);
    CHECK_INT(found.told, found.holes);
    CHECK(account.observed >= n_taken);
}

static void take(struct ft_pipeline *pipeline, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.type = FT_EVENT_START,
                                 .time_ns = now_ns,
                                 .fields = FT_FIELD_TUPLE | FT_FIELD_PORTS,
                                 .protocol = FT_PROTO_UDP,
                                 .src_port = (uint16_t)i};
        ft_pipeline_take(pipeline, &event);
        ft_pipeline_tick(pipeline);
    }
}

static ft_err live(struct ft_pipeline *pipeline)
{
    struct ft_log_options options = {.bytes_max = 1 << 20,
                                     .full = FT_LOG_DROP_OLDEST,
                                     .readers_hold = true,
                                     .on_drop = ft_pipeline_on_drop,
                                     .on_drop_ctx = pipeline,
                                     .segment_bytes = 4096};
    FT_CLEANUP(ft_log_destroy) struct ft_log *log = NULL;
    FT_TRY(ft_log_memory_create(&options, &log));
    ft_pipeline_set_log(pipeline, log);
    take(pipeline, 1000);
    struct ft_event loss = {
        .type = FT_EVENT_LOSS,
        .fields = FT_FIELD_LOSS,
        .loss = {.cause = FT_LOSS_REJECTED, .count = 0, .begin_ns = 1, .end_ns = 2}};
    ft_pipeline_take(pipeline, &loss);
    ft_pipeline_flush(pipeline);
    ft_alloc_fail_pause();
    for (unsigned i = 0; i < 5; i++) {
        /* Told, and told in a block that has its place in the log. */
        take(pipeline, 1);
        ft_pipeline_flush(pipeline);
    }
    check_account(pipeline, log, 1005);
    ft_alloc_fail_resume();
    return FT_OK;
}

static ft_err pipeline(void *ctx)
{
    (void)ctx;
    struct ft_pipeline_options options = {.block_events_max = 20,
                                          .block_bytes_max = 64 << 10,
                                          .flush_interval_ns = FT_NS_PER_S,
                                          .clock = &still};
    FT_CLEANUP(ft_pipeline_destroy) struct ft_pipeline *made = NULL;
    FT_TRY(ft_pipeline_create(&options, &made));
    return live(made);
}

TEST(pipeline_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "pipeline", .run = pipeline};
    ft_alloc_fail_each(&scenario);
}

/* ---- Latest events ---- */

static ft_err count_row(void *ctx, const struct ft_row *row)
{
    (void)row;
    ++*(unsigned *)ctx;
    return FT_OK;
}

static ft_err recent(void *ctx)
{
    (void)ctx;
    struct ft_uuid id = {{1}};
    FT_CLEANUP(ft_recent_destroy) struct ft_recent *made = NULL;
    FT_TRY(ft_recent_create(&id, &id, &made));
    for (unsigned i = 0; i < 100; i++) {
        struct ft_event event = {.seq = i + 1, .type = FT_EVENT_START};
        ft_recent_add(made, &event);
    }
    struct ft_query query;
    struct ft_query_result result = {0};
    struct ft_diag diag = {0};
    unsigned n = 0;
    ft_query_init(&query);
    struct ft_flow_reader *reader = ft_recent_get_reader(made);
    ft_err err = reader->ops->rows(reader, &query, NULL, count_row, &n, &result, &diag);
    CHECK(err != FT_OK || n == 100);
    CHECK(err == FT_OK || n == 0);
    ft_query_deinit(&query);
    return err;
}

TEST(recent_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "latest events", .run = recent};
    ft_alloc_fail_each(&scenario);
}

/* ---- A recording through tracker and pipeline ---- */

static ft_err play(struct ft_pipeline *to)
{
    _Atomic int64_t alive_ns = 0;
    struct ft_playback_options options = {.path = FT_TESTS_DIR "/golden/recordings/lab.ftrec",
                                          .full_speed = true,
                                          .clock = ft_clock_system(),
                                          .pipeline = to,
                                          .alive_ns = &alive_ns,
                                          .tracker = ft_tracker_options_default};
    FT_CLEANUP(ft_playback_destroy) struct ft_playback *playback = NULL;
    struct ft_diag diag = {0};
    FT_TRY(ft_playback_create(&options, &playback, &diag));
    FT_TRY(ft_playback_start(playback));
    while (!ft_playback_is_finished(playback)) {
        ft_thread_sleep(FT_NS_PER_MS);
    }
    ft_playback_stop(playback);
    return FT_OK;
}

static ft_err playback(void *ctx)
{
    (void)ctx;
    struct ft_pipeline_options options = {.block_events_max = 20,
                                          .block_bytes_max = 64 << 10,
                                          .flush_interval_ns = FT_NS_PER_S,
                                          .clock = &still};
    FT_CLEANUP(ft_pipeline_destroy) struct ft_pipeline *made = NULL;
    FT_TRY(ft_pipeline_create(&options, &made));
    struct ft_log_options log_options = {.bytes_max = 1 << 20,
                                         .full = FT_LOG_DROP_OLDEST,
                                         .readers_hold = true,
                                         .on_drop = ft_pipeline_on_drop,
                                         .on_drop_ctx = made};
    FT_CLEANUP(ft_log_destroy) struct ft_log *log = NULL;
    FT_TRY(ft_log_memory_create(&log_options, &log));
    ft_pipeline_set_log(made, log);
    FT_TRY(play(made));
    ft_alloc_fail_pause();
    take(made, 1);
    ft_pipeline_flush(made);
    ft_pipeline_flush(made);
    check_account(made, log, 20);
    ft_alloc_fail_resume();
    return FT_OK;
}

TEST(playback_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "playback", .run = playback};
    ft_alloc_fail_each(&scenario);
}

/* ---- Filter of the configuration ---- */

static ft_err filter(void *ctx)
{
    struct ft_filter *made = NULL;
    ft_err err = ft_agent_filter_create(ctx, &made);
    ft_filter_destroy(made);
    return err;
}

TEST(configured_filter_without_memory)
{
    static const char text[] = "filter.rules:\n"
                               "  - {action: drop, addresses: [10.0.0.0/8], ports: [9100]}\n"
                               "  - {action: keep, protocols: [tcp, udp], ports: [1-5, 7]}\n";
    struct ft_options_input input = {.remote_text = text, .remote_size = sizeof text - 1};
    struct ft_agent_options options;
    struct ft_diag diag = {0};
    CHECK_OK(ft_options_init(&ft_agent_option_table, &options));
    CHECK_OK(ft_options_load(&ft_agent_option_table, &input, &options, NULL, &diag));
    struct ft_alloc_scenario scenario = {.name = "filter rules", .run = filter, .ctx = &options};
    ft_alloc_fail_each(&scenario);
    ft_options_deinit(&ft_agent_option_table, &options);
}
