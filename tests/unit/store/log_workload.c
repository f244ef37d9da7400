/* SPDX-License-Identifier: Apache-2.0 */
#include "log_workload.h"

#include "lib/test.h"

static const char *const reader_names[WORKLOAD_READERS] = {"quick", "slow"};

static size_t size_of(uint64_t n) { return (size_t)(n * 7919 % 1500); }

static void fill(uint8_t *data, uint64_t n)
{
    for (size_t i = 0; i < size_of(n); i++) {
        data[i] = (uint8_t)(n * 131 + i);
    }
}

struct ft_log_options workload_options(void)
{
    return (struct ft_log_options){
        .bytes_max = 1 << 20, .full = FT_LOG_REFUSE, .segment_bytes = 4096};
}

void workload_init(struct workload *work, struct ft_disk *disk)
{
    *work = (struct workload){.disk = disk};
}

static void count_lost(void *ctx, const struct ft_log_damage *damage)
{
    struct workload *work = ctx;
    work->n_told_lost += damage->blocks_lost;
    work->n_damages++;
}

static ft_err append(struct workload *work, struct ft_log *log)
{
    uint64_t n = work->n_attempted + 1;
    CHECK(n < WORKLOAD_MAX);
    uint8_t data[1500];
    fill(data, n);
    struct ft_block_info info = {.first_seq = n, .n_events = 1, .time_ns = (int64_t)n};
    uint64_t position;
    work->n_attempted = n;
    ft_err err = ft_log_append(log, &info, data, size_of(n), &position);
    if (err == FT_OK) {
        work->n_appended++;
        work->position[n] = position;
    } else {
        work->n_errors++;
    }
    return err;
}

static void check_content(const struct ft_block *block)
{
    uint8_t data[1500];
    uint64_t n = block->info.first_seq;
    fill(data, n);
    CHECK_INT(block->info.time_ns, n);
    CHECK_BYTES(block->data, block->size, data, size_of(n));
}

/* Reads some blocks, and confirms what it has read. */
static void advance(struct workload *work, struct ft_log_reader *reader, unsigned i, unsigned n_max)
{
    uint64_t position = 0;
    struct ft_block block;
    for (unsigned k = 0; k < n_max; k++) {
        ft_err err = ft_log_reader_next(reader, true, &block);
        if (err != FT_OK) {
            CHECK(err != FT_E_CORRUPT);
            break;
        }
        check_content(&block);
        position = block.position;
        ft_block_release(&block);
    }
    if (position > 0) {
        /* What it has said it may have said durably, even if it failed. */
        work->confirmed[i] = position > work->confirmed[i] ? position : work->confirmed[i];
        work->n_errors += ft_log_reader_confirm(reader, position) != FT_OK ? 1 : 0;
    }
}

static void open_reader(struct workload *work, struct ft_log *log, unsigned i,
                        struct ft_log_reader **reader)
{
    if (ft_log_reader_open(log, reader_names[i], false, reader) != FT_OK) {
        *reader = NULL;
        work->n_errors++;
        return;
    }
    /* One that is new begins at the oldest block. */
    if (!work->opened[i]) {
        work->opened[i] = true;
        work->confirmed[i] = ft_log_reader_confirmed(*reader);
    }
}

/* What every reader may have confirmed. */
static uint64_t done_by_all(const struct workload *work)
{
    uint64_t done = UINT64_MAX;
    for (unsigned i = 0; i < WORKLOAD_READERS; i++) {
        if (work->opened[i] && work->confirmed[i] < done) {
            done = work->confirmed[i];
        }
    }
    return done == UINT64_MAX ? 0 : done;
}

/*
 * Reads all that is there, marks it in 'found' by number, and fails the test where it is not what
 * was written.  False when the disk would not have it read to the end.
 */
static bool survey(struct workload *work, struct ft_log *log, bool *found)
{
    struct ft_log_reader *reader;
    if (ft_log_reader_open(log, "check", true, &reader) != FT_OK) {
        /* Without memory; the disk is not asked. */
        work->n_errors++;
        return false;
    }
    uint64_t position = 0;
    uint64_t n = 0;
    ft_err err;
    for (;;) {
        struct ft_block block;
        err = ft_log_reader_next(reader, false, &block);
        if (err == FT_E_CORRUPT) {
            /* A hole that a power cut has torn, never in what was durable. */
            CHECK(block.position > work->durable);
            continue;
        }
        if (err != FT_OK) {
            break;
        }
        CHECK(block.position > position);
        CHECK(block.info.first_seq > n);
        CHECK(block.info.first_seq <= work->n_attempted);
        position = block.position;
        n = block.info.first_seq;
        CHECK(work->position[n] == 0 || work->position[n] == position);
        check_content(&block);
        found[n] = true;
        /* It is there and may have been handed on: it stays. */
        work->position[n] = position;
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    return err == ft_err_from_errno(EAGAIN);
}

/* After a restart: what was promised must be there, what was not may be gone and then is. */
static void reconcile(struct workload *work, struct ft_log *log, bool all_appended, bool *found)
{
    bool complete = survey(work, log, found) && !(work->reads_fail && work->n_damages > 0);
    work->n_damages = 0;
    uint64_t done = done_by_all(work);
    bool torn = false;
    for (uint64_t n = 1; n <= work->n_attempted; n++) {
        uint64_t position = work->position[n];
        /* What a power cut takes, it takes from the end. */
        bool taken = position > work->durable && position > done && !found[n];
        torn = torn || (taken && complete);
        if (torn && found[n]) {
            ft_test_fail(__FILE__, __LINE__, "block %llu at %llu is there, one before it is not",
                         (unsigned long long)n, (unsigned long long)position);
        }
        bool promised =
            position > 0 && position > done && (position <= work->durable || all_appended);
        if (promised && !found[n] && complete) {
            ft_test_fail(__FILE__, __LINE__, "block %llu at %llu is missing; durable %llu",
                         (unsigned long long)n, (unsigned long long)position,
                         (unsigned long long)work->durable);
        }
        if (!found[n] && position > work->durable) {
            work->position[n] = 0;
        }
    }
}

ft_err workload_run(struct workload *work, unsigned n_rounds)
{
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    FT_TRY(ft_log_disk_open(work->disk, &options, count_lost, work, &log));
    bool found[WORKLOAD_MAX] = {false};
    reconcile(work, log, false, found);
    struct ft_log_reader *readers[WORKLOAD_READERS] = {NULL};
    for (unsigned round = 0; round < n_rounds; round++) {
        for (unsigned i = 0; i < WORKLOAD_READERS; i++) {
            if (readers[i] == NULL) {
                open_reader(work, log, i, &readers[i]);
            }
        }
        for (unsigned i = 0; i < WORKLOAD_ROUND; i++) {
            ft_err_ignore(append(work, log), "counted; the next block follows");
        }
        uint64_t synced;
        if (ft_log_sync(log, &synced) == FT_OK) {
            work->durable = synced;
            CHECK_INT(synced, ft_log_durable(log));
        } else {
            work->n_errors++;
        }
        for (unsigned i = 0; i < WORKLOAD_READERS; i++) {
            if (readers[i] != NULL) {
                advance(work, readers[i], i, i == 0 ? 100 : round % 3 * WORKLOAD_ROUND);
            }
        }
    }
    for (unsigned i = 0; i < WORKLOAD_READERS; i++) {
        ft_log_reader_close(readers[i]);
    }
    ft_log_destroy(log);
    return FT_OK;
}

static void check_cursor(struct workload *work, struct ft_log *log, unsigned i, const bool *found)
{
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, reader_names[i], false, &reader));
    uint64_t confirmed = ft_log_reader_confirmed(reader);
    CHECK(confirmed <= work->confirmed[i]);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    for (uint64_t k = 1; k <= work->n_attempted; k++) {
        uint64_t position = work->position[k];
        bool freed = position > 0 && position <= work->durable && position < first;
        CHECK(!freed || position <= confirmed);
    }
    uint64_t n = 0;
    for (;;) {
        struct ft_block block;
        ft_err err = ft_log_reader_next(reader, false, &block);
        if (err == ft_err_from_errno(EAGAIN)) {
            break;
        }
        if (err == FT_OK) {
            n = block.info.first_seq;
            CHECK(found[n]);
            ft_block_release(&block);
        }
    }
    /* It comes to everything behind what it had confirmed. */
    for (uint64_t k = n + 1; k < WORKLOAD_MAX; k++) {
        CHECK(!found[k] || work->position[k] <= work->confirmed[i]);
    }
    ft_log_reader_close(reader);
}

void workload_check(struct workload *work, bool all_appended)
{
    struct ft_log_options options = workload_options();
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(work->disk, &options, count_lost, work, &log));
    bool found[WORKLOAD_MAX] = {false};
    reconcile(work, log, all_appended, found);
    for (unsigned i = 0; i < WORKLOAD_READERS; i++) {
        if (work->opened[i]) {
            check_cursor(work, log, i, found);
        }
    }
    uint64_t synced;
    CHECK_OK(append(work, log));
    CHECK(work->position[work->n_attempted] > work->durable);
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(synced, work->position[work->n_attempted]);
    work->durable = synced;
    CHECK(work->is_real || ft_fault_disk_breaches(work->disk) == 0);
    ft_log_destroy(log);
}
