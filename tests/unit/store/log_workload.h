/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small life of a log on a disk that fails, and the oracle beside it: block n carries n as its
 * first_seq and bytes made from n, so that what is found later can be told from what was invented.
 */
#ifndef FT_TESTS_UNIT_STORE_LOG_WORKLOAD_H
#define FT_TESTS_UNIT_STORE_LOG_WORKLOAD_H 1

#include "lib/fault_disk.h"
#include "store/log.h"

#define WORKLOAD_READERS 2
#define WORKLOAD_MAX     4096

struct workload {
    struct ft_disk *disk;
    bool is_real;                    /* No fault disk: its test looks for breaches by itself. */
    bool reads_fail;                 /* What recovery says it cannot use may be missing for now. */
    uint64_t n_attempted;            /* Numbers up to this one were handed to append(), once. */
    uint64_t n_appended;             /* So many of them with success. */
    uint64_t position[WORKLOAD_MAX]; /* Of number n; 0: none, or dropped. */
    uint64_t durable;                /* The highest position that a sync has reported. */
    uint64_t confirmed[WORKLOAD_READERS];
    bool opened[WORKLOAD_READERS]; /* From then on it holds blocks back. */
    uint64_t n_errors;
    uint64_t n_told_lost; /* Blocks that recovery said were lost. */
    uint64_t n_damages;   /* Parts that it could not use. */
};

/* Blocks in one round, with a sync behind them. */
#define WORKLOAD_ROUND 3

struct ft_log_options workload_options(void);
void workload_init(struct workload *work, struct ft_disk *disk);

/* Opens the log, lives for 'n_rounds' through whatever fails, and closes it.  The error of open. */
ft_err workload_run(struct workload *work, unsigned n_rounds);

/*
 * Opens the log on a disk that is whole again and fails the test when a block that was reported
 * durable (with 'all_appended': that was appended) and not confirmed by all readers is missing,
 * when one is invented, changed, repeated or out of order, when a cursor has gone forward or does
 * not reach what was freed, or when nothing can be appended.  The number of the check's own block
 * counts on.
 */
void workload_check(struct workload *work, bool all_appended);

#endif
