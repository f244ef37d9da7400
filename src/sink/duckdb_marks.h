/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far each agent's instance is stored: table `instance_marks` and its image in memory, which
 * tells a repeated event from a new one by comparing two numbers.
 *
 * A mark moves when rows are appended and counts when they are committed; a rollback takes it back.
 * Below a mark a number is taken only if it is in one of the instance's gaps (table
 * `instance_gaps`): what the store had lost, and asks its agent for again.  A gap closes where it
 * is filled, and where the agent's LOSS event says that there is nothing to fill it with.
 *
 * Memory is 136 bytes an instance, without gaps; instances that were silent for FT_DUCKDB_FORGET_NS
 * are forgotten at a fold, and more than FT_DUCKDB_INSTANCES_MAX are refused with FT_E_FULL.
 *
 * Thread: owner only (the sink's).
 */
#ifndef FT_SINK_DUCKDB_MARKS_H
#define FT_SINK_DUCKDB_MARKS_H 1

#include <duckdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/ranges.h"
#include "flow/query.h"

#define FT_DUCKDB_INSTANCES_MAX (UINT32_C(1) << 20)

/* An instance that comes back later is taken for a new one: its events are stored, but what it has
 * sent before is not known any more.  90 days. */
#define FT_DUCKDB_FORGET_NS (90 * 86400 * FT_NS_PER_S)

struct ft_mark_gaps {
    struct ft_ranges committed;
    struct ft_ranges now;
};

struct ft_mark {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t committed_seq;
    uint64_t seq; /* Appended up to here, committed or not. */
    uint64_t committed_life;
    uint64_t life;     /* Of event 'seq' (flow/query.h). */
    uint64_t n_events; /* Appended, not committed. */
    int64_t first_ns;  /* Of those. */
    int64_t last_ns;
    int64_t stored_ns;         /* The latest of their stored_ns. */
    struct ft_mark_gaps *gaps; /* NULL: it never had any. */
};

struct ft_marks {
    struct ft_mark *marks;
    uint32_t n_marks;
    uint32_t marks_capacity;
    uint32_t *slots; /* Index + 1 into 'marks', by hash; 0 is free. */
    uint32_t n_slots;
    uint32_t *touched; /* Indices of marks with n_events > 0. */
    uint32_t n_touched;
    uint32_t touched_capacity;
    uint64_t n_rows; /* Of the table, since it was folded. */
};

void ft_marks_init(struct ft_marks *marks);
void ft_marks_deinit(struct ft_marks *marks);

/* Forgets everything and reads the table. */
FT_MUST_USE ft_err ft_marks_load(struct ft_marks *marks, duckdb_connection connection,
                                 struct ft_diag *reterr_diag);

/*
 * '*ret_is_new': the event is not stored yet, and the mark has moved over it.  Events without a
 * number (0) are always new.
 */
FT_MUST_USE ft_err ft_marks_pass(struct ft_marks *marks, const struct ft_row *row,
                                 bool *ret_is_new);

/* Another instance's gaps are these, in the connection's transaction; they count when it is
 * committed. */
FT_MUST_USE ft_err ft_marks_set_gaps(struct ft_marks *marks, duckdb_connection connection,
                                     const struct ft_uuid *agent_id,
                                     const struct ft_uuid *instance_id,
                                     const struct ft_ranges *gaps, struct ft_diag *reterr_diag);

/* Writes the marks that have moved into the table, in the connection's transaction. */
FT_MUST_USE ft_err ft_marks_save(struct ft_marks *marks, duckdb_connection connection,
                                 struct ft_diag *reterr_diag);

void ft_marks_on_commit(struct ft_marks *marks);
void ft_marks_on_rollback(struct ft_marks *marks);

/* The table has grown so far beyond the instances that folding it is worth the work. */
bool ft_marks_want_fold(const struct ft_marks *marks);

/*
 * Makes the table one row an instance, in a transaction of its own, without the instances that
 * nothing was stored of since 'forget_before_ns'; then loads it.
 */
FT_MUST_USE ft_err ft_marks_fold(struct ft_marks *marks, duckdb_connection connection,
                                 int64_t forget_before_ns, struct ft_diag *reterr_diag);

#endif
