/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store knows of each agent's instance, so that a collector that starts can go on with
 * its account where it was.
 *
 * Thread: any.
 */
#ifndef FT_SINK_DUCKDB_INSTANCES_H
#define FT_SINK_DUCKDB_INSTANCES_H 1

#include "flow/event.h"
#include "flow/ids.h"
#include "sink/duckdb.h"

struct ft_stored_instance {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t stored_seq;            /* All events up to it are stored, but for the gaps. */
    uint64_t life;                  /* Of event stored_seq; 0: not known. */
    uint64_t stored_events;         /* Ever, also those that retention has deleted. */
    uint64_t vanished_events;       /* Of those: not there, and not deleted by retention. */
    int64_t last_time_ns;           /* Of its newest event. */
    uint64_t lost[FT_LOSS_CAUSE_N]; /* What its LOSS events tell that are still stored. */
};

typedef ft_err ft_stored_instance_fn(void *ctx, const struct ft_stored_instance *instance);

/* Calls 'fn' for each; anything but FT_OK ends it with that error. */
FT_MUST_USE ft_err ft_duckdb_each_instance(struct ft_duckdb *db, ft_stored_instance_fn *fn,
                                           void *ctx, struct ft_diag *reterr_diag);

typedef ft_err ft_stored_gap_fn(void *ctx, const struct ft_uuid *agent_id,
                                const struct ft_uuid *instance_id, uint64_t first_seq,
                                uint64_t last_seq);

/* The same for each gap below what is stored that is still open (duckdb_marks.h). */
FT_MUST_USE ft_err ft_duckdb_each_gap(struct ft_duckdb *db, ft_stored_gap_fn *fn, void *ctx,
                                      struct ft_diag *reterr_diag);

#endif
