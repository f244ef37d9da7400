/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink: where the collector keeps or hands on flows.  Each sink is a reader of the collector's
 * log (store/log.h); the assembly reads blocks, decodes them and gives the rows to the sink:
 *
 *     begin(log_id) -> position      read the log from behind it
 *     append(rows)…  commit(p)       everything up to position p is now kept
 *
 * A sink keeps its own cursor, in one transaction with the rows where it can, and knows of each
 * agent's instance how far it is stored: blocks that are replayed after a crash, or from a log
 * that lost its cursor, add nothing twice.
 *
 * After any failure nothing since the last commit is kept: the caller reads again from the
 * position of that commit.  FT_E_CLOSED: the sink is beyond repair and must be made anew.
 * FT_E_RANGE: the rows themselves cannot be stored, as far as the sink can tell.
 *
 * Thread: owner only.
 */
#ifndef FT_SINK_SINK_H
#define FT_SINK_SINK_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/query.h"

/* When a batch is worth a commit: whichever is first (measured: reference table in ARCHITECTURE.md;
 * small transactions cost a column store ten times as much per row). */
#define FT_SINK_BATCH_ROWS 2000
#define FT_SINK_BATCH_NS   (INT64_C(250) * 1000 * 1000)

struct ft_sink_stats {
    uint64_t rows;       /* Committed since the sink was made. */
    uint64_t duplicates; /* Rows that were there already and were passed over. */
    uint64_t commits;
    uint64_t failures; /* append() and commit() that failed. */
};

struct ft_sink;
struct ft_sink_ops {
    /*
     * Once, before anything else: which log the positions belong to.  '*ret_position' is what is
     * kept of it: 0 if nothing, or if the sink knows another log.
     */
    ft_err (*begin)(struct ft_sink *sink, const struct ft_uuid *log_id, uint64_t *ret_position,
                    struct ft_diag *reterr_diag);
    /* Copies the rows.  Rows of one instance come in the order of their seq; 0 is no seq. */
    ft_err (*append)(struct ft_sink *sink, const struct ft_row *rows, size_t n_rows,
                     struct ft_diag *reterr_diag);
    /* Durable when it returns FT_OK.  Without rows it moves the cursor alone. */
    ft_err (*commit)(struct ft_sink *sink, uint64_t position, struct ft_diag *reterr_diag);
    void (*stats)(struct ft_sink *sink, struct ft_sink_stats *ret_stats);
    /* What is not committed is gone. */
    void (*close)(struct ft_sink *sink);
};

struct ft_sink {
    const struct ft_sink_ops *ops;
};

static inline ft_err ft_sink_begin(struct ft_sink *sink, const struct ft_uuid *log_id,
                                   uint64_t *ret_position, struct ft_diag *reterr_diag)
{
    return sink->ops->begin(sink, log_id, ret_position, reterr_diag);
}

static inline ft_err ft_sink_append(struct ft_sink *sink, const struct ft_row *rows, size_t n_rows,
                                    struct ft_diag *reterr_diag)
{
    return sink->ops->append(sink, rows, n_rows, reterr_diag);
}

static inline ft_err ft_sink_commit(struct ft_sink *sink, uint64_t position,
                                    struct ft_diag *reterr_diag)
{
    return sink->ops->commit(sink, position, reterr_diag);
}

static inline void ft_sink_stats(struct ft_sink *sink, struct ft_sink_stats *ret_stats)
{
    sink->ops->stats(sink, ret_stats);
}

/* Accepts NULL. */
static inline void ft_sink_close(struct ft_sink *sink)
{
    if (sink != NULL) {
        sink->ops->close(sink);
    }
}

#endif
