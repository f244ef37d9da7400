/* SPDX-License-Identifier: Apache-2.0 */
#include "log_conformance.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "lib/test.h"

#define MIB (UINT64_C(1) << 20)

struct drops {
    uint64_t n;
    uint64_t n_events;
    uint64_t first_seq;
    uint64_t last_seq;
    bool in_order;
};

static void count_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    struct drops *drops = ctx;
    (void)size;
    if (drops->n == 0) {
        drops->first_seq = info->first_seq;
        drops->in_order = true;
    } else if (info->first_seq != drops->last_seq + 1) {
        drops->in_order = false;
    }
    drops->n++;
    drops->n_events += info->n_events;
    drops->last_seq = info->first_seq + info->n_events - 1;
}

/* Block n holds two events from 2n on, and 'size' bytes made from n. */
static struct ft_block_info info_of(uint64_t n)
{
    return (struct ft_block_info){.agent_id = {1, 2, 3},
                                  .instance_id = {9, (uint8_t)n},
                                  .first_seq = 2 * n,
                                  .n_events = 2,
                                  .time_ns = (int64_t)n * 1000};
}

static void fill(uint8_t *data, size_t size, uint64_t n)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(n * 31 + i * 7);
    }
}

static ft_err append(struct ft_log *log, uint64_t n, size_t size, uint64_t *ret_position)
{
    uint8_t *data = malloc(size + 1);
    CHECK(data != NULL);
    fill(data, size, n);
    struct ft_block_info info = info_of(n);
    ft_err err = ft_log_append(log, &info, data, size, ret_position);
    free(data);
    return err;
}

static void append_n(struct ft_log *log, uint64_t from, uint64_t to, size_t size)
{
    for (uint64_t n = from; n <= to; n++) {
        uint64_t position;
        CHECK_OK(append(log, n, size, &position));
    }
}

static void check_block(const struct ft_block *block, uint64_t n, size_t size)
{
    struct ft_block_info info = info_of(n);
    CHECK_INT(block->info.first_seq, info.first_seq);
    CHECK_INT(block->info.n_events, info.n_events);
    CHECK_INT(block->info.time_ns, info.time_ns);
    CHECK_BYTES(block->info.agent_id, 16, info.agent_id, 16);
    CHECK_BYTES(block->info.instance_id, 16, info.instance_id, 16);
    uint8_t *data = malloc(size + 1);
    CHECK(data != NULL);
    fill(data, size, n);
    CHECK_BYTES(block->data, block->size, data, size);
    free(data);
}

static void expect_next(struct ft_log_reader *reader, uint64_t position, uint64_t n, size_t size)
{
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, false, &block));
    CHECK_INT(block.position, position);
    check_block(&block, n, size);
    ft_block_release(&block);
}

static struct ft_log *log_of(uint64_t bytes_max, enum ft_log_full full, struct drops *drops,
                             uint64_t segment_bytes)
{
    struct ft_log_options options = {.bytes_max = bytes_max,
                                     .full = full,
                                     .on_drop = drops != NULL ? count_drop : NULL,
                                     .on_drop_ctx = drops,
                                     .segment_bytes = segment_bytes};
    return conformance_create(&options);
}

static struct ft_log_reader *reader_of(struct ft_log *log, const char *name)
{
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, name, false, &reader));
    return reader;
}

TEST(empty_log_has_no_blocks)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 0);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK(first > last);
    CHECK_INT(ft_log_durable(log), 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    struct ft_block block;
    CHECK_ERR(ft_log_reader_next(reader, false, &block), ft_err_from_errno(EAGAIN));
    CHECK_ERR(ft_log_reader_next(reader, true, &block), ft_err_from_errno(EAGAIN));
    CHECK_INT(ft_log_reader_position(reader), 0);
    CHECK_INT(ft_log_reader_confirmed(reader), 0);
    uint64_t position = 99;
    CHECK_OK(ft_log_sync(log, &position));
    CHECK_INT(position, 0);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(blocks_are_read_as_they_were_appended)
{
    struct ft_log *log = log_of(16 * MIB, FT_LOG_REFUSE, NULL, 0);
    static const size_t sizes[] = {0, 1, 7, 8, 9, 1000, 4096, 65536, FT_LOG_BLOCK_SIZE_MAX};
    size_t n = sizeof sizes / sizeof sizes[0];
    for (size_t i = 0; i < n; i++) {
        uint64_t position;
        CHECK_OK(append(log, i, sizes[i], &position));
        CHECK_INT(position, i + 1);
    }
    uint64_t synced;
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(synced, n);
    CHECK_INT(ft_log_durable(log), n);
    struct ft_log_reader *reader = reader_of(log, "r");
    for (size_t i = 0; i < n; i++) {
        expect_next(reader, i + 1, i, sizes[i]);
    }
    struct ft_block block;
    CHECK_ERR(ft_log_reader_next(reader, true, &block), ft_err_from_errno(EAGAIN));
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(too_large_blocks_are_refused)
{
    struct ft_log *log = log_of(16 * MIB, FT_LOG_DROP_OLDEST, NULL, 0);
    uint64_t position;
    CHECK_ERR(append(log, 1, FT_LOG_BLOCK_SIZE_MAX + 1, &position), FT_E_RANGE);
    conformance_destroy(log);
    log = log_of(64 << 10, FT_LOG_DROP_OLDEST, NULL, 0);
    append_n(log, 1, 3, 100);
    CHECK_ERR(append(log, 4, 100000, &position), FT_E_FULL);
    /* It has pushed nothing out. */
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, 1);
    CHECK_INT(last, 3);
    conformance_destroy(log);
}

TEST(full_log_refuses_and_takes_again)
{
    struct ft_log *log = log_of(256 << 10, FT_LOG_REFUSE, NULL, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    uint64_t n = 0;
    uint64_t position;
    ft_err err;
    while ((err = append(log, n, 1000, &position)) == FT_OK) {
        n++;
        CHECK(n < 1000);
    }
    CHECK_ERR(err, FT_E_FULL);
    CHECK(n > 200);
    CHECK_ERR(append(log, n, 1000, &position), FT_E_FULL);
    CHECK_OK(ft_log_sync(log, &position));
    CHECK_INT(position, n);
    /* Half of it done: there is room again. */
    CHECK_OK(ft_log_reader_confirm(reader, n / 2));
    CHECK_OK(append(log, n, 1000, &position));
    CHECK_INT(position, n + 1);
    /* All of it done: also when it was done before the log was full. */
    CHECK_OK(ft_log_reader_confirm(reader, n + 1));
    for (uint64_t i = 0; i < n; i++) {
        CHECK_OK(append(log, i, 1000, &position));
        CHECK_OK(ft_log_reader_confirm(reader, position));
    }
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK_INT(stats.dropped_blocks, 0);
    CHECK(stats.bytes <= stats.bytes_max);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(oldest_are_dropped_and_told_exactly)
{
    struct drops drops = {0};
    struct ft_log *log = log_of(256 << 10, FT_LOG_DROP_OLDEST, &drops, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    append_n(log, 0, 99, 1000);
    CHECK_OK(ft_log_reader_confirm(reader, 50));
    append_n(log, 100, 999, 1000);
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK(stats.bytes <= stats.bytes_max);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(last, 1000);
    CHECK(first > 700);
    /* From the first unconfirmed block to the one before the oldest kept, each once. */
    CHECK(drops.in_order);
    CHECK_INT(drops.first_seq, 100);
    CHECK_INT(drops.n, first - 51);
    CHECK_INT(drops.n_events, 2 * (first - 51));
    CHECK_INT(stats.dropped_blocks, drops.n);
    CHECK_INT(stats.dropped_events, drops.n_events);
    CHECK_INT(stats.appended_blocks, 1000);
    CHECK_INT(stats.blocks, last - first + 1);
    CHECK_INT(stats.events, 2 * stats.blocks);
    CHECK_INT(stats.oldest_time_ns, (first - 1) * 1000);
    /* At most a segment of slack. */
    CHECK(stats.blocks * 1000 > (256 << 10) * 3 / 4);
    expect_next(reader, first, first - 1, 1000);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(confirmed_blocks_are_not_reported_as_dropped)
{
    struct drops drops = {0};
    struct ft_log *log = log_of(64 << 10, FT_LOG_DROP_OLDEST, &drops, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    for (uint64_t n = 0; n < 500; n++) {
        uint64_t position;
        CHECK_OK(append(log, n, 1000, &position));
        CHECK_OK(ft_log_reader_confirm(reader, position));
    }
    CHECK_INT(drops.n, 0);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(without_readers_nothing_is_freed)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 4096);
    append_n(log, 1, 100, 1000);
    struct ft_log_reader *reader = reader_of(log, "late");
    expect_next(reader, 1, 1, 1000);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(the_slowest_reader_holds_segments)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 8192);
    struct ft_log_reader *fast = reader_of(log, "fast");
    struct ft_log_reader *slow = reader_of(log, "slow");
    struct ft_log_reader *idle;
    CHECK_OK(ft_log_reader_open(log, "idle", true, &idle));
    append_n(log, 1, 100, 1000);
    CHECK_OK(ft_log_reader_confirm(fast, 100));
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, 1);
    CHECK_OK(ft_log_reader_confirm(slow, 60));
    ft_log_bounds(log, &first, &last);
    CHECK(first > 40);
    CHECK(first <= 61);
    CHECK_INT(last, 100);
    /* The volatile one goes on with the oldest that is left. */
    expect_next(idle, first, first, 1000);
    CHECK_INT(ft_log_reader_confirmed(slow), 60);
    CHECK_OK(ft_log_reader_confirm(slow, 10));
    CHECK_INT(ft_log_reader_confirmed(slow), 60);
    CHECK_ERR(ft_log_reader_confirm(slow, 101), FT_E_RANGE);
    ft_log_reader_close(idle);
    ft_log_reader_close(slow);
    ft_log_reader_close(fast);
    conformance_destroy(log);
}

static struct ft_log *keeping_log(struct drops *drops, uint64_t keep_bytes, int64_t keep_ns)
{
    struct ft_log_options options = {.bytes_max = MIB,
                                     .full = FT_LOG_DROP_OLDEST,
                                     .readers_hold = true,
                                     .on_drop = count_drop,
                                     .on_drop_ctx = drops,
                                     .keep_bytes = keep_bytes,
                                     .keep_ns = keep_ns,
                                     .segment_bytes = 32768};
    return conformance_create(&options);
}

static uint64_t first_of(struct ft_log *log)
{
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    return first;
}

TEST(what_is_confirmed_stays_up_to_a_bound_and_is_read_again)
{
    struct drops drops = {0};
    struct ft_log *log = keeping_log(&drops, 200000, 0);
    struct ft_log_reader *reader = reader_of(log, "one");
    for (uint64_t n = 1; n <= 500; n++) {
        append_n(log, n, n, 1000);
        expect_next(reader, n, n, 1000);
        CHECK_OK(ft_log_reader_confirm(reader, n));
    }
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK(stats.kept_bytes >= 150000);
    CHECK(stats.bytes <= 200000 + 2 * 65536);
    CHECK(stats.kept_events <= stats.events);
    uint64_t first = first_of(log);
    CHECK(first > 200 && first < 350);
    CHECK_ERR(ft_log_reader_go_back(reader, first - 2, NULL, 0), FT_E_NOT_FOUND);
    CHECK_INT(ft_log_reader_confirmed(reader), 500);
    CHECK_OK(ft_log_reader_go_back(reader, 400, "a note", 6));
    CHECK_INT(ft_log_reader_confirmed(reader), 400);
    uint8_t note[FT_LOG_NOTE_SIZE_MAX];
    size_t size;
    ft_log_reader_note(reader, note, &size);
    CHECK_BYTES(note, size, "a note", 6);
    expect_next(reader, 401, 401, 1000);
    /* Confirming what is far behind frees nothing that is wanted again. */
    CHECK_OK(ft_log_reader_confirm(reader, 401));
    CHECK_OK(ft_log_reader_go_back(reader, 401, NULL, 0));
    expect_next(reader, 402, 402, 1000);
    CHECK_INT(drops.n, 0);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(what_is_kept_gives_way_without_a_word_and_what_is_wanted_again_does_not)
{
    struct drops drops = {0};
    struct ft_log *log = keeping_log(&drops, MIB, 0);
    struct ft_log_reader *reader = reader_of(log, "one");
    for (uint64_t n = 1; n <= 600; n++) {
        append_n(log, n, n, 1000);
        expect_next(reader, n, n, 1000);
        CHECK_OK(ft_log_reader_confirm(reader, n));
    }
    CHECK_INT(first_of(log), 1);
    append_n(log, 601, 1300, 1000); /* More than fits beside it. */
    CHECK(first_of(log) > 200 && first_of(log) < 600);
    CHECK_INT(drops.n, 0);
    uint64_t back_to = first_of(log);
    CHECK_OK(ft_log_reader_go_back(reader, back_to - 1, NULL, 0));
    append_n(log, 1301, 1400, 1000);
    CHECK(drops.n > 0);
    CHECK_INT(drops.first_seq, 2 * back_to);
    CHECK(drops.in_order);
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, false, &block));
    CHECK_INT(block.info.first_seq, drops.last_seq + 1);
    ft_block_release(&block);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(what_is_kept_goes_with_age)
{
    struct drops drops = {0};
    struct ft_log *log = keeping_log(&drops, MIB, 100000); /* A hundred blocks' time. */
    struct ft_log_reader *reader = reader_of(log, "one");
    for (uint64_t n = 1; n <= 400; n++) {
        append_n(log, n, n, 1000);
        CHECK_OK(ft_log_reader_confirm(reader, n));
    }
    CHECK(first_of(log) > 200 && first_of(log) <= 300);
    CHECK_INT(drops.n, 0);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(a_note_belongs_to_its_position)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 8192);
    struct ft_log_reader *reader = reader_of(log, "r");
    uint8_t note[FT_LOG_NOTE_SIZE_MAX];
    size_t size = 99;
    ft_log_reader_note(reader, note, &size);
    CHECK_INT(size, 0);
    append_n(log, 1, 30, 1000);
    CHECK_OK(ft_log_reader_confirm_noted(reader, 10, "ten", 3));
    CHECK_OK(ft_log_reader_confirm(reader, 11));
    ft_log_reader_note(reader, note, &size);
    CHECK_BYTES(note, size, "ten", 3);
    CHECK_OK(ft_log_reader_confirm_noted(reader, 5, "five", 4));
    ft_log_reader_note(reader, note, &size);
    CHECK_BYTES(note, size, "ten", 3);
    CHECK_INT(ft_log_confirmed(log), 11);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(what_is_not_confirmed_is_counted)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 8192);
    struct ft_log_reader *reader = reader_of(log, "r");
    struct ft_block_info newest;
    CHECK_ERR(ft_log_newest(log, &newest), FT_E_NOT_FOUND);
    append_n(log, 1, 100, 700);
    for (uint64_t done = 0; done <= 100; done += 7) {
        CHECK_OK(ft_log_reader_confirm(reader, done));
        uint64_t n_blocks;
        uint64_t n_events;
        CHECK_OK(ft_log_reader_unconfirmed(reader, &n_blocks, &n_events));
        CHECK_INT(n_blocks, 100 - done);
        CHECK_INT(n_events, 2 * (100 - done));
    }
    CHECK_OK(ft_log_newest(log, &newest));
    CHECK_INT(newest.first_seq, 200);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(a_block_outlives_its_segment)
{
    struct ft_log *log = log_of(64 << 10, FT_LOG_DROP_OLDEST, NULL, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    append_n(log, 1, 1, 1000);
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, false, &block));
    append_n(log, 2, 300, 1000);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK(first > 1);
    check_block(&block, 1, 1000);
    CHECK_OK(ft_log_reader_confirm(reader, 300));
    check_block(&block, 1, 1000);
    ft_block_release(&block);
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(seek_goes_anywhere)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 8192);
    append_n(log, 1, 200, 777);
    uint64_t synced;
    CHECK_OK(ft_log_sync(log, &synced));
    struct ft_log_reader *reader = reader_of(log, "r");
    static const uint64_t to[] = {0, 199, 100, 101, 3, 57, 58, 150, 0, 198};
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        ft_log_reader_seek(reader, to[i]);
        CHECK_INT(ft_log_reader_position(reader), to[i]);
        expect_next(reader, to[i] + 1, to[i] + 1, 777);
        CHECK_INT(ft_log_reader_position(reader), to[i] + 1);
    }
    struct ft_block block;
    ft_log_reader_seek(reader, 200);
    CHECK_ERR(ft_log_reader_next(reader, false, &block), ft_err_from_errno(EAGAIN));
    ft_log_reader_seek(reader, UINT64_MAX);
    CHECK_ERR(ft_log_reader_next(reader, false, &block), ft_err_from_errno(EAGAIN));
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(reader_names_are_unique_and_checked)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 0);
    struct ft_log_reader *reader = reader_of(log, "duckdb");
    struct ft_log_reader *other;
    CHECK_ERR(ft_log_reader_open(log, "duckdb", false, &other), ft_err_from_errno(EBUSY));
    CHECK_ERR(ft_log_reader_open(log, "duckdb", true, &other), ft_err_from_errno(EBUSY));
    CHECK_ERR(ft_log_reader_open(log, "", false, &other), ft_err_from_errno(EINVAL));
    CHECK_ERR(ft_log_reader_open(log, "../etc", false, &other), ft_err_from_errno(EINVAL));
    CHECK_ERR(ft_log_reader_open(log, "a-name-that-is-too-long-for-it-00", false, &other),
              ft_err_from_errno(EINVAL));
    CHECK_ERR(ft_log_reader_forget(log, "duckdb"), ft_err_from_errno(EBUSY));
    CHECK_ERR(ft_log_reader_forget(log, "nobody"), FT_E_NOT_FOUND);
    char names[FT_LOG_READERS_MAX][FT_LOG_READER_NAME_SIZE];
    CHECK_INT(ft_log_reader_names(log, names, FT_LOG_READERS_MAX), 1);
    CHECK_STR(names[0], "duckdb");
    ft_log_reader_close(reader);
    CHECK_OK(ft_log_reader_open(log, "duckdb", false, &reader));
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

TEST(readers_are_bounded)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 0);
    struct ft_log_reader *readers[FT_LOG_READERS_MAX];
    for (unsigned i = 0; i < FT_LOG_READERS_MAX; i++) {
        char name[FT_LOG_READER_NAME_SIZE];
        (void)snprintf(name, sizeof name, "sink-%u", i);
        CHECK_OK(ft_log_reader_open(log, name, i % 2 == 0, &readers[i]));
    }
    struct ft_log_reader *more;
    CHECK_ERR(ft_log_reader_open(log, "more", false, &more), FT_E_FULL);
    for (unsigned i = 0; i < FT_LOG_READERS_MAX; i++) {
        ft_log_reader_close(readers[i]);
    }
    conformance_destroy(log);
}

TEST(wait_returns_for_data_for_wakes_and_in_time)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    CHECK(!ft_log_reader_wait(reader, false, 0));
    /* A wake-up that comes before the wait is not lost, and counts once. */
    ft_log_wake_all(log);
    CHECK(!ft_log_reader_wait(reader, false, FT_TIME_NEVER));
    CHECK(!ft_log_reader_wait(reader, false, 0));
    append_n(log, 1, 1, 10);
    CHECK(ft_log_reader_wait(reader, false, FT_TIME_NEVER));
    uint64_t synced;
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK(ft_log_reader_wait(reader, true, FT_TIME_NEVER));
    expect_next(reader, 1, 1, 10);
    CHECK(!ft_log_reader_wait(reader, false, 0));
    ft_log_reader_close(reader);
    conformance_destroy(log);
}

static void count_call(void *ctx) { (*(int *)ctx)++; }

TEST(the_listener_hears_of_new_blocks)
{
    struct ft_log *log = log_of(MIB, FT_LOG_REFUSE, NULL, 0);
    int n_calls = 0;
    ft_log_set_listener(log, count_call, &n_calls);
    append_n(log, 1, 1, 10);
    uint64_t synced;
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(n_calls, 1);
    conformance_destroy(log);
}

struct consumer {
    struct ft_log_reader *reader;
    uint64_t n_max;
    uint64_t n;
    bool in_order;
};

static void consume(void *ctx)
{
    struct consumer *consumer = ctx;
    consumer->in_order = true;
    while (consumer->n < consumer->n_max) {
        struct ft_block block;
        if (ft_log_reader_next(consumer->reader, true, &block) != FT_OK) {
            (void)ft_log_reader_wait(consumer->reader, true, FT_TIME_NEVER);
            continue;
        }
        consumer->n++;
        consumer->in_order = consumer->in_order && block.position == consumer->n &&
                             block.info.first_seq == 2 * consumer->n;
        ft_block_release(&block);
        if (consumer->n % 16 == 0 || consumer->n == consumer->n_max) {
            ft_err err = ft_log_reader_confirm(consumer->reader, consumer->n);
            consumer->in_order = consumer->in_order && err == FT_OK;
        }
    }
}

TEST(readers_in_other_threads_see_everything_once)
{
    struct ft_log *log = log_of(256 << 10, FT_LOG_REFUSE, NULL, 16384);
    struct consumer consumers[2] = {{.n_max = 2000}, {.n_max = 2000}};
    struct ft_thread threads[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        consumers[i].reader = reader_of(log, i == 0 ? "a" : "b");
    }
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(ft_thread_start(&threads[i], "consume", consume, &consumers[i]));
    }
    uint64_t synced = 0;
    for (uint64_t n = 1; n <= 2000;) {
        uint64_t position;
        ft_err err = append(log, n, 1000, &position);
        if (err == FT_OK) {
            n++;
        } else {
            CHECK_ERR(err, FT_E_FULL);
        }
        if (n % 8 == 0 || err != FT_OK) {
            CHECK_OK(ft_log_sync(log, &synced));
        }
    }
    CHECK_OK(ft_log_sync(log, &synced));
    for (unsigned i = 0; i < 2; i++) {
        ft_thread_join(&threads[i]);
        CHECK(consumers[i].in_order);
        CHECK_INT(consumers[i].n, 2000);
        ft_log_reader_close(consumers[i].reader);
    }
    conformance_destroy(log);
}
