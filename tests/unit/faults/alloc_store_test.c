/* SPDX-License-Identifier: Apache-2.0 */
/* The log, in both homes, without memory: what was appended is there, and nothing else. */
#include <stdlib.h>

#include "../store/log_workload.h"
#include "lib/alloc_fail.h"
#include "lib/test.h"
#include "store/inspect.h"
#include "store/slot_file.h"

#define BLOCKS 300
#define ROUNDS 25

struct ledger {
    uint64_t n_appended;
    uint64_t n_dropped;
    uint64_t n_read;
    uint64_t confirmed;
};

static void count_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    (void)info;
    (void)size;
    ((struct ledger *)ctx)->n_dropped++;
}

static ft_err read_some(struct ft_log_reader *reader, struct ledger *ledger, unsigned n_max)
{
    for (unsigned i = 0; i < n_max; i++) {
        struct ft_block block;
        ft_err err = ft_log_reader_next(reader, false, &block);
        if (err != FT_OK) {
            return err == ft_err_from_errno(EAGAIN) ? FT_OK : err;
        }
        ledger->confirmed = block.position;
        ledger->n_read++;
        ft_block_release(&block);
    }
    return ft_log_reader_confirm(reader, ledger->confirmed);
}

/* What is found is what the ledger says, and in order. */
static void audit(struct ft_log *log, const struct ledger *ledger)
{
    ft_alloc_fail_pause();
    struct ft_log_reader *reader;
    struct ft_block block;
    uint64_t n = 0;
    uint64_t last = 0;
    CHECK_OK(ft_log_reader_open(log, "audit", true, &reader));
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        CHECK(block.info.first_seq > last);
        last = block.info.first_seq;
        n += block.position > ledger->confirmed ? 1 : 0;
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK_INT(stats.appended_blocks, ledger->n_appended);
    CHECK_INT(stats.dropped_blocks, ledger->n_dropped);
    /* Positions are those that append() gave: 1, 2, 3 … without holes. */
    CHECK_INT(n + ledger->n_dropped + ledger->n_read, ledger->n_appended);
    ft_alloc_fail_resume();
}

static ft_err memory_log(void *ctx)
{
    (void)ctx;
    struct ledger ledger = {0};
    struct ft_log_options options = {.bytes_max = 64 << 10,
                                     .full = FT_LOG_DROP_OLDEST,
                                     .on_drop = count_drop,
                                     .on_drop_ctx = &ledger};
    FT_CLEANUP(ft_log_destroy) struct ft_log *log = NULL;
    struct ft_log_reader *reader = NULL;
    FT_TRY(ft_log_memory_create(&options, &log));
    ft_err first_err = ft_log_reader_open(log, "r", false, &reader);
    static const char data[3000];
    for (uint64_t n = 1; n <= BLOCKS; n++) {
        struct ft_block_info info = {.first_seq = n, .n_events = 1};
        uint64_t position;
        ft_err err = ft_log_append(log, &info, data, n % 60 * 47, &position);
        if (err == FT_OK) {
            CHECK_INT(position, ++ledger.n_appended);
        } else {
            first_err = err;
        }
        if (reader != NULL && n % 20 == 5) {
            CHECK_OK(read_some(reader, &ledger, 3));
        }
    }
    audit(log, &ledger);
    ft_log_reader_close(reader);
    return first_err;
}

TEST(memory_log)
{
    struct ft_alloc_scenario scenario = {.name = "memory log", .run = memory_log};
    ft_alloc_fail_each(&scenario);
}

/* A life with memory for all, one without, and what the next one finds. */
static ft_err disk_log(void *ctx)
{
    (void)ctx;
    static struct workload work;
    ft_alloc_fail_pause();
    struct ft_disk *disk = ft_fault_disk_create(7);
    workload_init(&work, disk);
    CHECK_OK(workload_run(&work, ROUNDS));
    ft_alloc_fail_resume();
    uint64_t n_errors = work.n_errors;
    ft_err err = workload_run(&work, ROUNDS);
    if (err == FT_OK && work.n_errors > n_errors) {
        err = ft_err_from_errno(ENOMEM);
    }
    ft_alloc_fail_pause();
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    workload_check(&work, false);
    CHECK_INT(work.n_told_lost, 0);
    ft_disk_destroy(disk);
    ft_alloc_fail_resume();
    return err;
}

TEST(disk_log)
{
    struct ft_alloc_scenario scenario = {.name = "disk log", .run = disk_log};
    ft_alloc_fail_each(&scenario);
}
