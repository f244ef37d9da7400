/* SPDX-License-Identifier: Apache-2.0 */
/* The log on disk as an agent's spool: it drops, and a full file system does not stop it. */
#include <string.h>

#include "lib/fault_disk.h"
#include "lib/test.h"
#include "store/log.h"

#define BLOCK_SIZE ((size_t)1000)

struct account {
    uint64_t n_told; /* Blocks through on_drop since the last on_dropped. */
    uint64_t n_dropped;
    uint64_t n_calls;
    uint64_t n_unread;
    struct ft_log_range ranges[256];
    ft_err refuse; /* What on_dropped says. */
    struct ft_disk *disk;
    size_t n_files; /* "seg-" files when it was called. */
};

static size_t n_segments(struct ft_disk *disk)
{
    size_t n = 0;
    const char *name;
    for (size_t i = 0; (name = ft_fault_disk_name(disk, i)) != NULL; i++) {
        n += strncmp(name, "seg-", 4) == 0 ? 1 : 0;
    }
    return n;
}

static void on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    struct account *account = ctx;
    CHECK_INT(info->n_events, 3);
    CHECK_INT(size, BLOCK_SIZE);
    account->n_told++;
}

static ft_err on_dropped(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread)
{
    struct account *account = ctx;
    account->n_files = n_segments(account->disk);
    account->n_calls++;
    if (account->refuse == FT_OK) {
        CHECK(account->n_dropped < 256);
        account->ranges[account->n_dropped++] = (struct ft_log_range){first, last};
        account->n_unread += n_unread;
        CHECK_INT(account->n_told + n_unread / 3, last - first + 1);
    }
    account->n_told = 0;
    return account->refuse;
}

static struct ft_log_options options_of(struct account *account)
{
    return (struct ft_log_options){.bytes_max = 64 << 10,
                                   .full = FT_LOG_DROP_OLDEST,
                                   .on_drop = on_drop,
                                   .on_drop_ctx = account,
                                   .on_dropped = on_dropped,
                                   .readers_hold = true};
}

static struct ft_log *open_log(struct account *account, const struct ft_log_options *options)
{
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(account->disk, options, NULL, NULL, &log));
    return log;
}

static ft_err append(struct ft_log *log, uint64_t n)
{
    static char data[BLOCK_SIZE];
    struct ft_block_info info = {.first_seq = n, .n_events = 3, .time_ns = (int64_t)n};
    uint64_t position;
    return ft_log_append(log, &info, data, sizeof data, &position);
}

static void append_n(struct ft_log *log, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n <= to; n++) {
        CHECK_OK(append(log, n));
    }
}

static void sync_log(struct ft_log *log)
{
    uint64_t position;
    CHECK_OK(ft_log_sync(log, &position));
}

/* Reads to the end and returns how many there were. */
static uint64_t read_all(struct ft_log_reader *reader)
{
    uint64_t n = 0;
    struct ft_block block;
    while (ft_log_reader_next(reader, true, &block) == FT_OK) {
        ft_block_release(&block);
        n++;
    }
    return n;
}

TEST(a_loss_is_told_before_its_file_goes)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    struct ft_log *log = open_log(&account, &options);
    append_n(log, 1, 200);
    sync_log(log);
    CHECK(account.n_calls > 5);
    CHECK(account.n_files > n_segments(account.disk) - 1);
    uint64_t next = 1;
    for (uint64_t i = 0; i < account.n_dropped; i++) {
        CHECK_INT(account.ranges[i].first, next);
        next = account.ranges[i].last + 1;
    }
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, next);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

/* The head is confirmed as it stands, which is not worth a sync; then it is full, and has to go. */
TEST(a_confirmed_file_goes_no_sooner_than_its_reader_knows)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    options.segment_bytes = 8 << 10; /* Seven blocks. */
    struct ft_log *log = open_log(&account, &options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    append_n(log, 1, 7);
    sync_log(log);
    CHECK_INT(read_all(reader), 7);
    CHECK_OK(ft_log_reader_confirm(reader, 7));
    uint64_t first = 1;
    uint64_t last = 7;
    while (first == 1) {
        CHECK_OK(append(log, ++last));
        ft_log_bounds(log, &first, &last);
    }
    sync_log(log);
    CHECK_INT(first, 8);
    CHECK_INT(account.n_dropped, 0);
    ft_fault_disk_stop_now(account.disk);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_fault_disk_restart(account.disk, FT_FAULT_LOSE);
    log = open_log(&account, &options);
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    CHECK_INT(ft_log_reader_confirmed(reader), 7);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(what_cannot_be_accounted_for_is_not_dropped)
{
    struct account account = {.disk = ft_fault_disk_create(1), .refuse = ft_err_from_errno(EIO)};
    struct ft_log_options options = options_of(&account);
    struct ft_log *log = open_log(&account, &options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    uint64_t n = 1;
    while (append(log, n) == FT_OK) {
        n++;
        CHECK(n < 100);
    }
    for (unsigned i = 0; i < 5; i++) {
        CHECK_ERR(append(log, n), ft_err_from_errno(EIO));
    }
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, 1);
    CHECK_INT(last, n - 1);
    account.refuse = FT_OK;
    CHECK_OK(append(log, n));
    CHECK_INT(account.n_dropped, 1);
    sync_log(log);
    CHECK_INT(read_all(reader), n - account.ranges[0].last);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(what_a_reader_holds_stays_and_the_next_goes)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    struct ft_log *log = open_log(&account, &options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    append_n(log, 1, 10);
    sync_log(log);
    struct ft_block block;
    for (uint64_t n = 1; n <= 3; n++) {
        CHECK_OK(ft_log_reader_next(reader, true, &block));
        ft_block_release(&block);
    }
    append_n(log, 11, 200);
    sync_log(log);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, 1);
    CHECK(account.ranges[0].first > 3);
    /* It comes to the rest of its segment, then to what is left behind the gap. */
    uint64_t gap_first = account.ranges[0].first;
    uint64_t gap_last = account.ranges[account.n_dropped - 1].last;
    for (uint64_t n = 4; n <= 200; n++) {
        if (n == gap_first) {
            n = gap_last + 1;
        }
        CHECK_OK(ft_log_reader_next(reader, true, &block));
        CHECK_INT(block.info.first_seq, n);
        ft_block_release(&block);
    }
    /* Now it holds everything: what comes next goes first. */
    append_n(log, 201, 300);
    sync_log(log);
    ft_log_reader_seek(reader, 0);
    CHECK(read_all(reader) >= 200 - (gap_last - gap_first + 1));
    CHECK_OK(ft_log_reader_confirm(reader, 200));
    append_n(log, 301, 400);
    ft_log_bounds(log, &first, &last);
    CHECK(first > 180);
    ft_log_reader_close(reader);
    ft_log_destroy(log);

    /* After a restart it may still be under way. */
    log = open_log(&account, &options);
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    ft_log_reader_hold(reader, 1);
    uint64_t held;
    ft_log_bounds(log, &held, &last);
    append_n(log, 401, 500);
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, held);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

/* A power cut forgets what was confirmed last: the reader had come further than its place says. */
TEST(what_a_reader_may_have_held_before_a_power_cut_stays)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    options.segment_bytes = 8 << 10; /* Seven blocks. */
    struct ft_log *log = open_log(&account, &options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    append_n(log, 1, 7);
    sync_log(log);
    CHECK_INT(read_all(reader), 7);
    CHECK_OK(ft_log_reader_confirm(reader, 7));
    append_n(log, 8, 10);
    sync_log(log);
    CHECK_INT(read_all(reader), 3);
    ft_fault_disk_stop_now(account.disk);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_fault_disk_restart(account.disk, FT_FAULT_LOSE);
    log = open_log(&account, &options);
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    CHECK_INT(ft_log_reader_confirmed(reader), 0);
    ft_log_reader_hold(reader, 3 * BLOCK_SIZE);
    struct ft_block block;
    CHECK_OK(ft_log_reader_next(reader, true, &block)); /* It reads again from the beginning. */
    ft_block_release(&block);
    append_n(log, 11, 100);
    CHECK(account.n_dropped > 0);
    CHECK(account.ranges[0].first > 10);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(dropped_positions_do_not_come_back)
{
    /* The power fails between the account and the removal: the file is there again. */
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    struct ft_log *log = open_log(&account, &options);
    append_n(log, 1, 100);
    sync_log(log);
    CHECK(account.n_dropped > 0);
    ft_log_destroy(log);
    ft_fault_disk_restart(account.disk, FT_FAULT_LOSE);
    struct ft_log_range gone = {1, account.ranges[account.n_dropped - 1].last};
    options.dropped = &gone;
    options.n_dropped = 1;
    log = open_log(&account, &options);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, gone.last + 1);
    CHECK_INT(last, 100);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    CHECK_INT(read_all(reader), 100 - gone.last);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(dropped_positions_before_a_hole_do_not_come_back)
{
    /* A power cut brings a file back, with a block that was written elsewhere and dropped there,
     * and behind that what was torn. */
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    options.segment_bytes = 8 << 10; /* Seven blocks. */
    struct ft_log *log = open_log(&account, &options);
    append_n(log, 1, 2);
    sync_log(log);
    append_n(log, 3, 4);
    ft_fault_disk_stop_now(account.disk);
    ft_log_destroy(log);
    ft_fault_disk_restart(account.disk, FT_FAULT_KILL);
    size_t size = 0;
    uint8_t *content = ft_fault_disk_content(account.disk, "seg-0000000000000001", &size);
    content[size * 5 / 8] ^= 1; /* In the third of four. */
    struct ft_log_range gone = {2, 2};
    options.dropped = &gone;
    options.n_dropped = 1;
    for (unsigned i = 0; i < 2; i++) {
        log = open_log(&account, &options);
        struct ft_log_reader *reader;
        CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
        CHECK_INT(read_all(reader), 1);
        ft_log_reader_close(reader);
        ft_log_destroy(log);
        ft_fault_disk_restart(account.disk, FT_FAULT_LOSE);
    }
    ft_disk_destroy(account.disk);
}

TEST(dropped_positions_are_not_used_again)
{
    /* Only what a reader holds is left; what was dropped behind it left no file. */
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    struct ft_log *log = open_log(&account, &options);
    append_n(log, 1, 4);
    sync_log(log);
    ft_log_destroy(log);
    struct ft_log_range gone[2] = {{60, 200}, {5, 70}};
    options.dropped = gone;
    options.n_dropped = 2;
    log = open_log(&account, &options);
    append_n(log, 5, 8);
    sync_log(log);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, 1);
    CHECK_INT(last, 204);
    ft_log_destroy(log);
    /* What was written then is not taken for what was dropped before. */
    log = open_log(&account, &options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    CHECK_INT(read_all(reader), 8);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(unreadable_blocks_of_a_dropped_segment_are_told_as_such)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    struct ft_log *log = open_log(&account, &options);
    append_n(log, 1, 20);
    sync_log(log);
    ft_log_destroy(log);
    log = open_log(&account, &options);
    size_t size;
    uint8_t *content =
        ft_fault_disk_content(account.disk, ft_fault_disk_name(account.disk, 0), &size);
    memset(content + 64 + 1104 + 8, 0xff, 8); /* The second block's header. */
    append_n(log, 21, 100);
    CHECK_INT(account.n_unread, 3);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(the_log_does_not_grow_while_space_is_short)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    ft_fault_disk_set_capacity(account.disk, 1 << 20);
    struct ft_log_options options = options_of(&account);
    options.bytes_max = 512 << 10;
    options.segment_bytes = 16 << 10;
    options.free_ratio_min = 0.5;
    struct ft_log *log = open_log(&account, &options);
    append_n(log, 1, 400);
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK_INT(stats.space_refusals, 0);
    CHECK(!stats.space_low);
    uint64_t before = stats.bytes;
    /* Others have taken their part. */
    static char filler[400 << 10];
    ft_fault_disk_put(account.disk, "filler", filler, sizeof filler);
    append_n(log, 401, 800);
    ft_log_stats(log, &stats);
    CHECK(stats.bytes <= before + (16 << 10));
    CHECK(stats.bytes + (32 << 10) >= before);
    CHECK(stats.space_low);
    CHECK(stats.space_refusals > 10);
    CHECK(account.n_dropped > 10);
    ft_fault_disk_put(account.disk, "filler", "", 0);
    uint64_t n_dropped = account.n_dropped;
    append_n(log, 801, 850);
    ft_log_stats(log, &stats);
    CHECK(!stats.space_low);
    CHECK_INT(account.n_dropped, n_dropped);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

TEST(with_a_reserve_a_full_file_system_costs_the_oldest)
{
    struct account account = {.disk = ft_fault_disk_create(1)};
    ft_fault_disk_set_capacity(account.disk, 1 << 20);
    struct ft_log_options options = options_of(&account);
    options.bytes_max = 512 << 10;
    options.segment_bytes = 16 << 10;
    options.reserve_segments = 2;
    struct ft_log *log = open_log(&account, &options);
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK_INT(stats.reserve_bytes, 2 * (16 << 10));
    append_n(log, 1, 100);
    sync_log(log);
    static char filler[1 << 20];
    size_t rest = (1 << 20) - (7 * (16 << 10) + 4096) - 2 * (16 << 10) - 4096;
    ft_fault_disk_put(account.disk, "filler", filler, rest + (16 << 10));
    for (uint64_t n = 101; n <= 300; n++) {
        CHECK_OK(append(log, n));
        if (n % 10 == 0) {
            sync_log(log);
        }
    }
    CHECK(account.n_dropped > 0);
    /* Also where others take at once what is given back: once for each segment in reserve. */
    ft_log_stats(log, &stats);
    CHECK(stats.space_refusals > 0);
    ft_fault_disk_put(account.disk, "filler", "", 0);
    append_n(log, 301, 340);
    ft_log_stats(log, &stats);
    CHECK_INT(stats.reserve_bytes, 2 * (16 << 10));
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

/* A power cut may have left it under the name of a segment too, which it would write over. */
TEST(a_reserve_with_content_is_made_anew)
{
    static const char name[] = "reserve-0000000000000001";
    struct account account = {.disk = ft_fault_disk_create(1)};
    struct ft_log_options options = options_of(&account);
    options.reserve_segments = 1;
    ft_log_destroy(open_log(&account, &options));
    size_t size;
    CHECK(ft_fault_disk_content(account.disk, name, &size) == NULL && size == 0);
    static const char content[] = "a segment's";
    ft_fault_disk_put(account.disk, name, content, sizeof content);
    const uint8_t *segment = ft_fault_disk_content(account.disk, name, &size);
    CHECK_INT(size, sizeof content);
    struct ft_log *log = open_log(&account, &options);
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK(stats.reserve_bytes > 0);
    CHECK(ft_fault_disk_content(account.disk, name, &size) != segment);
    CHECK_INT(size, 0);
    ft_log_destroy(log);
    ft_disk_destroy(account.disk);
}

/* Its file cannot be synced, and there is no room for a new one: nothing goes before there is. */
TEST(a_place_that_finds_no_room_takes_the_reserve)
{
    for (unsigned n_reserve = 0; n_reserve <= 2; n_reserve += 2) {
        struct account account = {.disk = ft_fault_disk_create(1)};
        ft_fault_disk_set_capacity(account.disk, 1 << 20);
        struct ft_log_options options = options_of(&account);
        options.segment_bytes = 8 << 10; /* Seven blocks. */
        options.reserve_segments = n_reserve;
        struct ft_log *log = open_log(&account, &options);
        struct ft_log_reader *reader;
        CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
        append_n(log, 1, 50);
        sync_log(log);
        CHECK_INT(read_all(reader), 50);
        static char filler[1 << 20];
        uint64_t free_bytes;
        uint64_t total;
        CHECK_OK(account.disk->ops->space(account.disk, &free_bytes, &total));
        ft_fault_disk_put(account.disk, "filler", filler, free_bytes);
        ft_fault_disk_fail(account.disk, FT_FAULT_SYNC, 1, 1, ft_err_from_errno(EIO));
        CHECK_ERR(ft_log_reader_confirm(reader, 49), ft_err_from_errno(ENOSPC));
        uint64_t first;
        uint64_t last;
        ft_log_bounds(log, &first, &last);
        CHECK_INT(first, 1);
        ft_err err = FT_OK;
        for (uint64_t n = 51; n <= 90 && err == FT_OK; n++) {
            err = append(log, n);
        }
        CHECK_INT(err, n_reserve > 0 ? FT_OK : ft_err_from_errno(ENOSPC));
        CHECK_INT(account.n_dropped, 0);
        ft_log_bounds(log, &first, &last);
        CHECK((first > 1) == (n_reserve > 0));
        ft_fault_disk_stop_now(account.disk);
        ft_log_reader_close(reader);
        ft_log_destroy(log);
        ft_fault_disk_restart(account.disk, FT_FAULT_LOSE);
        log = open_log(&account, &options);
        CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
        CHECK_INT(ft_log_reader_confirmed(reader), n_reserve > 0 ? 49 : 0);
        ft_log_bounds(log, &first, &last);
        CHECK(first <= ft_log_reader_confirmed(reader) + 1);
        ft_log_reader_close(reader);
        ft_log_destroy(log);
        ft_disk_destroy(account.disk);
    }
}
