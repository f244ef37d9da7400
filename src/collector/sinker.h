/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries the collector's log into a sink: reads durable blocks, decodes them, appends the rows and
 * commits rows and position together.  A sink that fails is tried again from its last commit; the
 * log keeps everything meanwhile.  Live streams get a row after the commit that stores it, once.
 *
 * A block that the sink cannot take never holds up what is behind it: it is put into quarantine and
 * passed over (sinker_poison.c says how it is told from a sink that is away).  One that was damaged
 * on disk is counted and passed over.
 *
 * Thread: one thread steps; stats any.
 */
#ifndef FT_COLLECTOR_SINKER_H
#define FT_COLLECTOR_SINKER_H 1

#include <stdatomic.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collector/instances.h"
#include "collector/quarantine.h"
#include "flow/query.h"
#include "sink/sink.h"
#include "store/log.h"

struct ft_sinker_options {
    const char *name; /* Of the log's reader. */
    uint64_t batch_rows;
    int64_t batch_interval_ns;
    const struct ft_clock *clock; /* Borrowed, as all pointers here. */
    struct ft_log *log;
    struct ft_uuid log_id;
    struct ft_sink *sink;
    struct ft_instances *instances;
    struct ft_quarantine *quarantine; /* NULL: what cannot be decoded is counted as damaged. */
    /* Each row once it is stored, for live streams, while somebody wants them; may be NULL. */
    void (*on_row)(void *ctx, const struct ft_row *row);
    bool (*rows_are_wanted)(void *ctx); /* Not NULL where on_row is not. */
    void *on_row_ctx;
};

struct ft_sinker_stats {
    _Atomic uint64_t rows; /* Committed. */
    _Atomic uint64_t commits;
    _Atomic uint64_t failures;
    _Atomic uint64_t damaged_blocks;
    _Atomic uint64_t damaged_events;
    _Atomic uint64_t quarantined_blocks;
    _Atomic uint64_t quarantined_events;
    _Atomic uint64_t committed_position;
    uint64_t found_position; /* What the sink had at the start; the log may end before it. */
    uint64_t again_blocks;   /* In the log, and not in the sink any more: they are read again. */
    _Atomic int64_t last_commit_real_ns;
};

struct ft_sinker;

/* Begins behind what the sink has. */
FT_MUST_USE ft_err ft_sinker_create(const struct ft_sinker_options *options,
                                    struct ft_sinker **ret_sinker, struct ft_diag *reterr_diag);
/* Accepts NULL.  What is not committed is read again next time. */
void ft_sinker_destroy(struct ft_sinker *sinker);
FT_DEFINE_CLEANUP(struct ft_sinker, ft_sinker_destroy);

/*
 * Takes the next block, or commits when that is due; waits until the deadline at most.  On an error
 * of the sink the caller pauses before the next call, which begins again at the last commit.
 */
FT_MUST_USE ft_err ft_sinker_step(struct ft_sinker *sinker, int64_t deadline_mono_ns,
                                  struct ft_diag *reterr_diag);

/* Commits what was appended, at stop. */
FT_MUST_USE ft_err ft_sinker_flush(struct ft_sinker *sinker, struct ft_diag *reterr_diag);

/* Thread: any. */
const struct ft_sinker_stats *ft_sinker_stats(const struct ft_sinker *sinker);

#endif
