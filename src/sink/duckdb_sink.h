/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink that fills the embedded store (duckdb.h, sink.h): rows, the log's cursor and the marks
 * of the instances go into one transaction, so that a crash leaves all of a batch or nothing.
 *
 * Retention runs here as well, in the same thread, between batches: DuckDB has one writer.
 *
 * Thread: owner only.
 */
#ifndef FT_SINK_DUCKDB_SINK_H
#define FT_SINK_DUCKDB_SINK_H 1

#include <stdbool.h>

#include "base/ranges.h"
#include "flow/ids.h"
#include "sink/duckdb.h"
#include "sink/sink.h"

/*
 * The one writer of 'db' (borrowed until the sink is closed).  Rows with a nil event_id or flow_id
 * have the derived one (flow/ids.h): leaving it out saves computing it.
 */
FT_MUST_USE ft_err ft_duckdb_sink_create(struct ft_duckdb *db, struct ft_sink **ret_sink,
                                         struct ft_diag *reterr_diag);

/*
 * At the start: what the store lacks of an instance below what it will have, and takes when it
 * comes; in place of what it knew of that, durably.  Rows that are in no gap are taken in the order
 * of their seq only, as sink.h says.
 */
FT_MUST_USE ft_err ft_duckdb_sink_set_gaps(struct ft_sink *sink, const struct ft_uuid *agent_id,
                                           const struct ft_uuid *instance_id,
                                           const struct ft_ranges *gaps,
                                           struct ft_diag *reterr_diag);

/* How much of the past is kept; 0 is without bound. */
struct ft_duckdb_retention {
    int64_t age_ns;     /* By the time of the events. */
    uint64_t bytes_max; /* Of the file's used part (ft_duckdb_stats.used_bytes). */
    uint64_t step_rows; /* Deleted by one call at most; 0: FT_DUCKDB_RETAIN_STEP_ROWS. */
};

/* One step takes about a second on two cores, in which nothing is stored. */
#define FT_DUCKDB_RETAIN_STEP_ROWS UINT64_C(2000000)

struct ft_duckdb_retained {
    uint64_t deleted_rows;
    bool more; /* The bound is not reached yet: call again after the next batch. */
    struct ft_duckdb_stats stats;
};

/*
 * One step: deletes the oldest events beyond the bounds and makes their blocks free.  DuckDB fills
 * free blocks again and cuts them off only at the end of the file: the file stays about as large as
 * it ever was, and does not grow while there are free blocks.  Not between append() and commit().
 */
FT_MUST_USE ft_err ft_duckdb_sink_retain(struct ft_sink *sink,
                                         const struct ft_duckdb_retention *retention,
                                         int64_t now_real_ns,
                                         struct ft_duckdb_retained *ret_retained,
                                         struct ft_diag *reterr_diag);

#endif
