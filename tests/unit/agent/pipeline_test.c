/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's account, from event to log, through any outage. */
#include "agent/pipeline.h"

#include "lib/test.h"
#include "wire/batch_reader.h"

static struct ft_clock still;
static int64_t now_ns = FT_NS_PER_S;

static int64_t read_now(const struct ft_clock *clock)
{
    (void)clock;
    return now_ns;
}

static struct ft_pipeline *make_with(struct ft_log **ret_log, uint64_t log_bytes,
                                     uint64_t block_events_max)
{
    still = (struct ft_clock){read_now, read_now};
    struct ft_pipeline_options options = {.block_events_max = block_events_max,
                                          .block_bytes_max = 64 << 10,
                                          .flush_interval_ns = FT_NS_PER_S,
                                          .clock = &still};
    struct ft_pipeline *pipeline = NULL;
    CHECK_OK(ft_pipeline_create(&options, &pipeline));
    struct ft_log_options log = {.bytes_max = log_bytes,
                                 .full = FT_LOG_DROP_OLDEST,
                                 .readers_hold = true,
                                 .on_drop = ft_pipeline_on_drop,
                                 .on_drop_ctx = pipeline};
    CHECK_OK(ft_log_memory_create(&log, ret_log));
    ft_pipeline_set_log(pipeline, *ret_log);
    return pipeline;
}

static struct ft_pipeline *make(struct ft_log **ret_log, uint64_t log_bytes)
{
    return make_with(ret_log, log_bytes, 100);
}

static void take(struct ft_pipeline *pipeline, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct ft_event event = {.type = FT_EVENT_START,
                                 .time_ns = now_ns,
                                 .fields = FT_FIELD_TUPLE | FT_FIELD_PORTS,
                                 .protocol = FT_PROTO_UDP,
                                 .src_port = (uint16_t)i};
        ft_pipeline_take(pipeline, &event);
        ft_pipeline_tick(pipeline);
    }
}

/* What a reader finds in the log: events, and what their LOSS events tell. */
struct found {
    uint64_t events;
    uint64_t told;
    uint64_t holes;
    uint64_t last_seq;
};

static struct found read_log(struct ft_log *log)
{
    struct found found = {0};
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_reader_open(log, "test", true, &reader));
    struct ft_block block;
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        struct ft_batch_reader *batch = NULL;
        CHECK_OK(ft_batch_reader_open(block.data, block.size, &batch, NULL));
        struct ft_event event;
        while (ft_batch_reader_next(batch, &event)) {
            found.holes += event.seq - found.last_seq - 1;
            found.last_seq = event.seq;
            found.events++;
            if (event.type == FT_EVENT_LOSS) {
                found.told += event.loss.count;
            }
        }
        ft_batch_reader_close(batch);
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    return found;
}

static void check_account(struct ft_pipeline *pipeline, uint64_t kept)
{
    struct ft_pipeline_account account;
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.kept, kept);
    CHECK_INT(account.observed, account.kept + account.lost);
}

TEST(every_event_is_in_the_log_in_order)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    take(pipeline, 1234);
    struct ft_pipeline_account account;
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.observed, 1234);
    check_account(pipeline, 1234);
    CHECK_INT(read_log(log).events, 1200); /* The open block is not in the log yet. */
    now_ns += 2 * FT_NS_PER_S;
    ft_pipeline_tick(pipeline);
    struct found found = read_log(log);
    CHECK_INT(found.events, 1234);
    CHECK_INT(found.holes, 0);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

TEST(when_the_log_is_full_the_losses_told_are_exactly_the_holes)
{
    for (uint64_t n = 1000; n <= 200000; n += 49750) {
        struct ft_log *log = NULL;
        struct ft_pipeline *pipeline = make(&log, 256 << 10);
        take(pipeline, n);
        ft_pipeline_flush(pipeline);
        struct found found = read_log(log);
        unsigned n_turns = 0;
        while (found.told != found.holes && n_turns < 10) {
            /* Losses wait while too many LOSS events do; an acknowledgement lets them go on. */
            ft_pipeline_acked(pipeline, found.last_seq);
            ft_pipeline_tick(pipeline);
            ft_pipeline_flush(pipeline);
            found = read_log(log);
            n_turns++;
        }
        struct ft_pipeline_account account;
        ft_pipeline_get_account(pipeline, &account);
        CHECK_INT(account.observed, found.last_seq);
        CHECK_INT(account.lost, found.holes);
        CHECK_INT(found.told, found.holes);
        check_account(pipeline, found.events);
        ft_log_destroy(log);
        ft_pipeline_destroy(pipeline);
    }
}

TEST(losses_of_the_kernel_count_as_observed_and_lost)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    take(pipeline, 10);
    struct ft_event loss = {
        .type = FT_EVENT_LOSS,
        .fields = FT_FIELD_LOSS,
        .loss = {.cause = FT_LOSS_KERNEL_OVERRUN, .count = 7, .estimated = true}};
    ft_pipeline_take(pipeline, &loss);
    ft_pipeline_flush(pipeline);
    struct ft_pipeline_account account;
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.observed, 10 + 1 + 7);
    CHECK_INT(account.lost_by_cause[FT_LOSS_KERNEL_OVERRUN], 7);
    check_account(pipeline, 11);
    CHECK_INT(read_log(log).told, 7);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

TEST(what_the_filter_drops_takes_no_number)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    uint8_t udp[] = {FT_PROTO_UDP};
    struct ft_filter_rule rule = {.action = FT_FILTER_DROP, .protocols = udp, .n_protocols = 1};
    struct ft_filter_options options = {.rules = &rule, .n_rules = 1};
    struct ft_filter *filter = NULL;
    CHECK_OK(ft_filter_create(&options, &filter));
    ft_pipeline_set_filter(pipeline, filter);
    take(pipeline, 10);
    CHECK_INT(ft_pipeline_stats(pipeline)->filtered[FT_VERDICT_RULE], 10);
    CHECK_INT(ft_pipeline_stats(pipeline)->numbered_events, 0);
    check_account(pipeline, 0);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

TEST(what_the_collector_rejects_is_lost)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    take(pipeline, 100);
    ft_pipeline_lost(pipeline, FT_LOSS_REJECTED, 11, 20);
    struct ft_pipeline_account account;
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.lost_by_cause[FT_LOSS_REJECTED], 10); /* Known before it is told. */
    ft_pipeline_flush(pipeline);
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.lost, 10);
    CHECK_INT(read_log(log).told, 10);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

TEST(a_log_that_takes_nothing_does_not_hold_up_the_pipeline)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make_with(&log, 8 << 10, 1);
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_reader_open(log, "exporter", false, &reader));
    /* The reader holds a block of every segment, so that dropping them frees no memory. */
    struct ft_block blocks[200];
    unsigned n = 0;
    struct ft_pipeline_account account = {0};
    while (account.lost == 0) {
        take(pipeline, 1);
        CHECK(n < 200);
        n += ft_log_reader_next(reader, false, &blocks[n]) == FT_OK ? 1 : 0;
        ft_pipeline_get_account(pipeline, &account);
    }
    take(pipeline, 50); /* Each tick ends. */
    for (unsigned i = 0; i < n; i++) {
        ft_block_release(&blocks[i]);
    }
    CHECK_OK(ft_log_reader_confirm(reader, blocks[n - 1].position));
    ft_pipeline_flush(pipeline);
    ft_pipeline_get_account(pipeline, &account);
    CHECK_INT(account.observed, account.kept + account.lost);
    CHECK_INT(read_log(log).told, account.lost);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

/* What a commit was told. */
struct commits {
    unsigned n;
    unsigned n_blocks;
    uint64_t n_events;
    struct ft_pipeline *pipeline;
    struct ft_pipeline_kept kept;
};

static void note_commit(void *ctx, const struct ft_block_info *info, const void *data, size_t size)
{
    struct commits *commits = ctx;
    CHECK_INT(data != NULL, info != NULL);
    CHECK_INT(size > 0, info != NULL);
    commits->n++;
    commits->n_blocks += info != NULL;
    commits->n_events += info != NULL ? info->n_events : 0;
    ft_pipeline_get_kept(commits->pipeline, &commits->kept);
}

static void take_one(struct ft_pipeline *pipeline)
{
    struct ft_event event = {.type = FT_EVENT_START,
                             .fields = FT_FIELD_TUPLE | FT_FIELD_PORTS,
                             .protocol = FT_PROTO_UDP};
    ft_pipeline_take(pipeline, &event);
}

TEST(with_commits_blocks_end_between_messages_only)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    struct commits commits = {.pipeline = pipeline};
    ft_pipeline_set_on_seal(pipeline, note_commit, &commits);
    for (unsigned i = 0; i < 150; i++) {
        take_one(pipeline); /* One message that makes them all. */
    }
    CHECK_INT(commits.n, 0);
    ft_pipeline_settle(pipeline);
    CHECK_INT(commits.n_blocks, 1);
    CHECK_INT(commits.n_events, 150);
    CHECK_INT(commits.kept.tally.numbered, 150);
    CHECK_INT(commits.kept.tally.sealed, 150);
    take_one(pipeline);
    ft_pipeline_settle(pipeline);
    CHECK_INT(commits.n, 1);
    ft_pipeline_commit(pipeline);
    ft_pipeline_commit(pipeline); /* Without a block. */
    CHECK_INT(commits.n, 3);
    CHECK_INT(commits.n_blocks, 2);
    CHECK_INT(read_log(log).events, 151);
    check_account(pipeline, 151);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

TEST(with_commits_a_loss_is_told_once_what_it_followed_from_is_committed)
{
    struct ft_log *log = NULL;
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    struct commits commits = {.pipeline = pipeline};
    ft_pipeline_set_on_seal(pipeline, note_commit, &commits);
    struct ft_event loss = {.type = FT_EVENT_LOSS,
                            .fields = FT_FIELD_LOSS,
                            .loss = {.cause = FT_LOSS_KERNEL_OVERRUN, .count = 7}};
    ft_pipeline_take(pipeline, &loss);
    ft_pipeline_tick(pipeline);
    CHECK_INT(ft_pipeline_stats(pipeline)->numbered_events, 0);
    ft_pipeline_commit(pipeline);
    CHECK_INT(commits.kept.tally.lost[FT_LOSS_KERNEL_OVERRUN], 7);
    CHECK_INT(commits.kept.tally.book.n_pending, 1);
    ft_pipeline_tick(pipeline);
    ft_pipeline_commit(pipeline);
    CHECK_INT(commits.kept.tally.book.n_pending, 0);
    CHECK_INT(read_log(log).told, 7);
    check_account(pipeline, 1);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}

TEST(a_block_of_an_earlier_process_comes_first)
{
    struct ft_log *log = NULL;
    struct ft_log *earlier_log = NULL;
    struct ft_pipeline *earlier = make(&earlier_log, 16 << 20);
    take(earlier, 100);
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_reader_open(earlier_log, "test", true, &reader));
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, false, &block));
    struct ft_pipeline *pipeline = make(&log, 16 << 20);
    ft_tally_live(ft_pipeline_tally(pipeline))->numbered = 100;
    ft_pipeline_restore(pipeline, &block.info, block.data, block.size);
    check_account(pipeline, 100);
    CHECK_INT(read_log(log).events, 100);
    ft_block_release(&block);
    ft_log_reader_close(reader);
    ft_log_destroy(earlier_log);
    ft_pipeline_destroy(earlier);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}
