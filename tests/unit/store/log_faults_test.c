/* SPDX-License-Identifier: Apache-2.0 */
/* The log on a disk whose power fails and whose calls fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "lib/test.h"
#include "log_workload.h"

#define ROUNDS 12

/* FT_SEEDS=N runs N seeds where the default keeps the suite short. */
static uint64_t n_seeds(uint64_t fallback)
{
    const char *text = getenv("FT_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

static unsigned n_cuts; /* By all tests here, for the fault matrix. */

static bool run_until_cut(uint64_t seed, uint64_t at, enum ft_fault_cut cut)
{
    struct ft_disk *disk = ft_fault_disk_create(seed);
    struct workload work;
    workload_init(&work, disk);
    ft_fault_disk_stop_at(disk, at);
    (void)workload_run(&work, ROUNDS);
    bool stopped = ft_fault_disk_stopped(disk);
    n_cuts += stopped;
    ft_fault_disk_restart(disk, cut);
    workload_check(&work, cut == FT_FAULT_KILL);
    /* No false alarm: only a torn write leaves a hole, in what was not durable. */
    CHECK(cut == FT_FAULT_TEAR || work.n_told_lost == 0);
    /* And what the check has found survives once more. */
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    workload_check(&work, false);
    ft_disk_destroy(disk);
    return stopped;
}

static void cut_everywhere(enum ft_fault_cut cut, uint64_t n)
{
    uint64_t at = 1;
    for (bool stopped = true; stopped; at++) {
        for (uint64_t seed = 1; seed <= n; seed++) {
            stopped = run_until_cut(seed * 7919 + at, at, cut);
        }
    }
    CHECK(at > 100);
}

TEST(killed_at_every_call_nothing_appended_is_lost) { cut_everywhere(FT_FAULT_KILL, 1); }

TEST(power_cut_at_every_call_nothing_synced_is_lost) { cut_everywhere(FT_FAULT_LOSE, 1); }

TEST(power_cut_with_torn_writes_nothing_synced_is_lost)
{
    cut_everywhere(FT_FAULT_TEAR, n_seeds(4));
    printf(
        "matrix: R5 %u ends of the log's process, of its power, and of its power with torn writes, "
        "one at each call to the disk; all recovered twice, nothing that was durable was missing\n",
        n_cuts);
}

TEST(cut_again_while_recovering)
{
    for (uint64_t seed = 1; seed <= n_seeds(100); seed++) {
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        struct ft_disk *disk = ft_fault_disk_create(seed);
        struct workload work;
        workload_init(&work, disk);
        for (unsigned life = 0; life < 5; life++) {
            uint64_t range = life % 2 == 0 ? 150 : 12;
            ft_fault_disk_stop_at(disk, 1 + ft_random_below(&random.base, range));
            (void)workload_run(&work, ROUNDS);
            ft_fault_disk_restart(disk, (enum ft_fault_cut)ft_random_below(&random.base, 3));
        }
        workload_check(&work, false);
        ft_disk_destroy(disk);
    }
}

/* One fault of 'n_times' calls, then a whole disk: all that was appended is there. */
static bool run_with_fault(enum ft_fault_op op, uint64_t nth, uint64_t n_times, ft_err fault)
{
    struct ft_disk *disk = ft_fault_disk_create(nth);
    struct workload work;
    workload_init(&work, disk);
    ft_fault_disk_fail(disk, op, nth, n_times, fault);
    ft_err err = workload_run(&work, ROUNDS);
    bool reached = ft_fault_disk_calls(disk, op) >= nth;
    if (err == FT_OK && n_times == 1) {
        /* One failure costs at most one of the appends and never a block. */
        CHECK(work.n_appended >= ROUNDS * WORKLOAD_ROUND - 1);
        CHECK(work.n_errors <= 2);
    }
    ft_fault_disk_heal(disk);
    CHECK_OK(workload_run(&work, 2));
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    workload_check(&work, false);
    ft_disk_destroy(disk);
    return reached;
}

TEST(each_call_failing)
{
    static const int errnos[] = {EIO, ENOSPC, EDQUOT, EROFS, EINTR};
    static const uint64_t times[] = {1, 2, 7, UINT64_MAX};
    unsigned n_cases = 0;
    for (unsigned op = 0; op < FT_FAULT_OP_N; op++) {
        for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
            for (size_t k = 0; k < sizeof times / sizeof times[0]; k++) {
                uint64_t nth = 1;
                while (run_with_fault((enum ft_fault_op)op, nth, times[k],
                                      ft_err_from_errno(errnos[i]))) {
                    nth += i == 0 ? 1 : 5;
                    n_cases++;
                }
            }
        }
    }
    CHECK(n_cases > 1000);
}

TEST(failed_sync_is_never_repeated_on_the_file)
{
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    struct ft_block_info info = {.n_events = 1};
    uint64_t position;
    uint64_t synced;
    CHECK_OK(ft_log_append(log, &info, "one", 3, &position));
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_OK(ft_log_append(log, &info, "two", 3, &position));
    /* The first failure is mended by a new segment in the same call. */
    ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, 1, ft_err_from_errno(EIO));
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(synced, 2);
    CHECK_OK(ft_log_append(log, &info, "three", 5, &position));
    CHECK_OK(ft_log_append(log, &info, "four", 4, &position));
    /* While it lasts nothing is durable, and nothing is lost either. */
    ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, UINT64_MAX, ft_err_from_errno(EIO));
    for (unsigned i = 0; i < 5; i++) {
        CHECK_ERR(ft_log_sync(log, &synced), ft_err_from_errno(EIO));
        CHECK_INT(ft_log_durable(log), 2);
        CHECK_ERR(ft_log_append(log, &info, "no", 2, &position), ft_err_from_errno(EIO));
    }
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", true, &reader));
    for (uint64_t i = 1; i <= 4; i++) {
        struct ft_block block;
        CHECK_OK(ft_log_reader_next(reader, false, &block));
        CHECK_INT(block.position, i);
        ft_block_release(&block);
    }
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK_INT(stats.blocks, 4);
    CHECK(stats.sync_failures >= 10);
    ft_fault_disk_heal(disk);
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(synced, 4);
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK_INT(first, 1);
    CHECK_INT(last, 4);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(a_killed_process_does_not_make_lost_pages_durable)
{
    /* The sync fails, the process dies before it can mend that, the page cache shows all blocks;
     * then the next process is the one to whom the power cut happens. */
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    struct ft_block_info info = {.n_events = 1};
    static char data[3000];
    uint64_t position;
    uint64_t synced;
    CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
    ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, UINT64_MAX, ft_err_from_errno(EIO));
    CHECK_ERR(ft_log_sync(log, &synced), ft_err_from_errno(EIO));
    ft_log_destroy(log);
    ft_fault_disk_restart(disk, FT_FAULT_KILL);
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    CHECK_INT(ft_log_durable(log), 1);
    ft_log_destroy(log);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    uint64_t first;
    ft_log_bounds(log, &first, &position);
    CHECK_INT(position, 1);
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

static void count_damage(void *ctx, const struct ft_log_damage *damage)
{
    (void)damage;
    ++*(unsigned *)ctx;
}

/* Recovery makes one segment of several small ones; the power fails before the names of those are
 * gone for good, so that the next recovery finds all of them. */
TEST(what_is_whole_in_a_newer_segment_is_not_told_missing)
{
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct ft_log_options options = workload_options();
    struct ft_block_info info = {.n_events = 1};
    unsigned n_damages = 0;
    struct ft_log *log;
    for (unsigned life = 0; life < 4; life++) {
        if (life >= 2) {
            ft_fault_disk_restart(disk, FT_FAULT_LOSE);
        }
        CHECK_OK(ft_log_disk_open(disk, &options, count_damage, &n_damages, &log));
        for (unsigned i = 0; i < 4 && life == 0; i++) {
            uint64_t position;
            static const char data[1500];
            CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
            CHECK_OK(ft_log_sync(log, &position));
        }
        uint64_t first;
        uint64_t last;
        ft_log_bounds(log, &first, &last);
        CHECK_INT(first, 1);
        CHECK_INT(last, 4);
        ft_log_destroy(log);
    }
    CHECK_INT(n_damages, 0);
    ft_disk_destroy(disk);
}

/* Blocks 1 to 6 in two segments, all durable; what the last two are, only they know. */
static struct ft_disk *two_segments(void)
{
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct ft_log_options options = workload_options();
    struct ft_block_info info = {.n_events = 1};
    static const char data[1000];
    struct ft_log *log;
    uint64_t position;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    for (unsigned i = 0; i < 6; i++) {
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
        if (i == 3) {
            CHECK_OK(ft_log_sync(log, &position));
        }
    }
    CHECK_OK(ft_log_sync(log, &position));
    struct ft_disk *cut = ft_fault_disk_clone(disk);
    ft_fault_disk_restart(cut, FT_FAULT_LOSE);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
    return cut;
}

static uint64_t count_blocks(struct ft_disk *disk)
{
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    struct ft_log_reader *reader;
    struct ft_block block;
    uint64_t n = 0;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    CHECK_OK(ft_log_reader_open(log, "r", true, &reader));
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        n++;
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    return n;
}

/* Recovery writes blocks again, for which it reads them once more.  One that it cannot read then
 * must not go with the file that it is in. */
TEST(a_read_that_fails_during_recovery_costs_no_block_in_silence)
{
    for (uint64_t nth = 1;; nth++) {
        struct ft_disk *disk = two_segments();
        struct ft_log_options options = workload_options();
        unsigned n_damages = 0;
        struct ft_log *log;
        /* Each read is tried four times. */
        ft_fault_disk_fail(disk, FT_FAULT_READ, nth, 4, ft_err_from_errno(EIO));
        ft_err err = ft_log_disk_open(disk, &options, count_damage, &n_damages, &log);
        bool reached = ft_fault_disk_calls(disk, FT_FAULT_READ) >= nth;
        if (err == FT_OK) {
            ft_log_destroy(log);
        }
        ft_fault_disk_restart(disk, FT_FAULT_LOSE);
        CHECK(count_blocks(disk) == 6 || n_damages > 0);
        ft_disk_destroy(disk);
        if (!reached) {
            CHECK(nth > 10);
            break;
        }
    }
}

TEST(a_full_disk_refuses_and_takes_again)
{
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct workload work;
    workload_init(&work, disk);
    for (unsigned cycle = 0; cycle < 20; cycle++) {
        ft_fault_disk_set_capacity(disk, 20000 + cycle * 777);
        CHECK_OK(workload_run(&work, 20));
        ft_fault_disk_set_capacity(disk, 0);
        uint64_t before = work.n_appended;
        CHECK_OK(workload_run(&work, 2));
        CHECK(work.n_appended == before + 2 * WORKLOAD_ROUND);
    }
    CHECK(work.n_errors > 20);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    workload_check(&work, false);
    ft_disk_destroy(disk);
}

TEST(a_disk_that_is_full_at_the_start_is_drained)
{
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    struct ft_log_reader *reader;
    struct ft_block_info info = {.n_events = 1};
    static char data[1000];
    uint64_t position;
    uint64_t synced;
    for (unsigned life = 0; life < 2; life++) {
        /* Twice, so that there is more than one small segment. */
        CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
        CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
        for (unsigned i = 0; i < 20; i++) {
            CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
        }
        CHECK_OK(ft_log_sync(log, &synced));
        ft_log_reader_close(reader);
        ft_log_destroy(log);
    }
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    ft_fault_disk_set_capacity(disk, 1);
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    CHECK(ft_log_append(log, &info, data, sizeof data, &position) != FT_OK);
    CHECK_INT(ft_log_durable(log), 40);
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    for (uint64_t i = 1; i <= 40; i++) {
        struct ft_block block;
        CHECK_OK(ft_log_reader_next(reader, true, &block));
        CHECK_INT(block.position, i);
        ft_block_release(&block);
    }
    ft_err_ignore(ft_log_reader_confirm(reader, 40), "there is no space for a new file");
    ft_fault_disk_set_capacity(disk, 30000);
    CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
    CHECK_INT(position, 41);
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_OK(ft_log_reader_confirm(reader, 41));
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    CHECK(ft_log_reader_confirmed(reader) <= 41);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

/* Everything at once, many lives long. */
TEST(random_lives)
{
    static const int errnos[] = {EIO, ENOSPC, EINTR};
    for (uint64_t seed = 1; seed <= n_seeds(100); seed++) {
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        struct ft_disk *disk = ft_fault_disk_create(seed);
        struct workload work;
        workload_init(&work, disk);
        for (unsigned life = 0; life < 6; life++) {
            for (unsigned i = 0; i < 2; i++) {
                /* One draw a statement: compilers order arguments as they like. */
                enum ft_fault_op op =
                    (enum ft_fault_op)ft_random_below(&random.base, FT_FAULT_OP_N);
                uint64_t nth = 1 + ft_random_below(&random.base, 40);
                uint64_t n_times = 1 + ft_random_below(&random.base, 3);
                int errnum = errnos[ft_random_below(&random.base, 3)];
                ft_fault_disk_fail(disk, op, nth, n_times, ft_err_from_errno(errnum));
            }
            if (ft_random_below(&random.base, 2) == 0) {
                ft_fault_disk_stop_at(disk, 1 + ft_random_below(&random.base, 150));
            }
            (void)workload_run(&work, ROUNDS);
            ft_fault_disk_restart(disk, (enum ft_fault_cut)ft_random_below(&random.base, 3));
            if (ft_random_below(&random.base, 2) == 0) {
                workload_check(&work, false);
            }
        }
        ft_fault_disk_restart(disk, FT_FAULT_TEAR);
        workload_check(&work, false);
        ft_disk_destroy(disk);
    }
}

TEST(a_disk_that_is_full_at_the_start_costs_no_block)
{
    struct ft_disk *disk = ft_fault_disk_create(3);
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    struct ft_log_reader *reader;
    struct ft_block_info info = {.n_events = 1};
    uint64_t position;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(ft_log_append(log, &info, "data", 4, &position));
        CHECK_OK(ft_log_sync(log, &position));
    }
    CHECK_OK(ft_log_reader_confirm(reader, 1));
    for (unsigned life = 0; life < 3; life++) {
        /* Killed, and no room for the second block, which lies in the file of the first. */
        ft_fault_disk_stop_now(disk);
        ft_log_reader_close(reader);
        ft_log_destroy(log);
        ft_fault_disk_restart(disk, FT_FAULT_KILL);
        ft_fault_disk_set_capacity(disk, life < 2 ? 1 : 0);
        CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
        CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
        struct ft_block block;
        CHECK_OK(ft_log_reader_next(reader, false, &block));
        CHECK_INT(block.position, 2);
        ft_block_release(&block);
    }
    CHECK_OK(ft_log_reader_confirm(reader, 2));
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

/* How many blocks there are; nothing is written on the way. */
static uint64_t blocks_found(struct ft_disk *disk)
{
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    CHECK_OK(ft_log_reader_open(log, "look", true, &reader));
    uint64_t n = 0;
    struct ft_block block;
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        n++;
        ft_block_release(&block);
    }
    ft_fault_disk_stop_now(disk);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    return n;
}

/* The write may have done all that it should, and the trailer that comes there instead may not. */
TEST(what_a_failed_write_has_left_does_not_come_back)
{
    struct ft_log_options options = workload_options();
    struct ft_block_info info = {.n_events = 1};
    static char data[400];
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct ft_disk *disk = ft_fault_disk_create(seed);
        struct ft_log *log;
        uint64_t position;
        CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
        for (unsigned i = 0; i < 3; i++) {
            CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
        }
        if (seed % 2 == 0) {
            CHECK_OK(ft_log_sync(log, &position));
        }
        ft_fault_disk_fail(disk, FT_FAULT_WRITE, 1, seed % 3 == 0 ? 2 : 1,
                           ft_err_from_errno(ENFILE));
        CHECK(ft_log_append(log, &info, data, sizeof data, &position) != FT_OK);
        ft_fault_disk_fail(disk, FT_FAULT_ALLOCATE, 1, UINT64_MAX, ft_err_from_errno(EIO));
        CHECK(ft_log_append(log, &info, data, sizeof data, &position) != FT_OK);
        ft_fault_disk_stop_now(disk);
        ft_log_destroy(log);
        ft_fault_disk_restart(disk, FT_FAULT_KILL);
        ft_fault_disk_set_capacity(disk, 1);
        uint64_t n = blocks_found(disk);
        ft_fault_disk_restart(disk, FT_FAULT_LOSE);
        CHECK(blocks_found(disk) <= n);
        CHECK(n >= 3);
        ft_disk_destroy(disk);
    }
}
