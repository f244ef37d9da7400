/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heart of the source: takes chunks, in order, and gives flow events.
 *
 *     chunk -> ft_ct_next() -> flow table -> emit(event)
 *
 * It does no I/O and reads no clock: time is what the chunks say, so a recording gives the same
 * events whenever it is replayed.
 *
 * What it promises:
 * - Every flow has one START and one END, whatever is heard of it in whatever order: what was not
 *   heard is inferred from dumps and from the END's own times, and marked so.
 * - The sum of a flow's counters is the kernel's final count, to the byte.  A START from a dump
 *   carries what was counted so far.  What the kernel did not count is absent.
 * - What could not be rebuilt is a LOSS event: one per gap, with its span and a number.
 *
 * A gap begins with OVERRUN or FAILED and ends when a dump that began after it, and after the
 * socket had been read empty, is reconciled: flows in the dump that are not in the table began in
 * the gap; flows in the table that are neither in the dump nor heard of since ended in it.  While
 * the kernel re-sends ENDs ("reliable") a missing flow's END still comes, so it is waited for: for
 * a grace that begins anew with each END that the kernel had held back, and with each overrun.
 *
 * Thread: owner only (the pipeline).
 */
#ifndef FT_SOURCE_TRACKER_H
#define FT_SOURCE_TRACKER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "flow/event.h"
#include "source/chunk.h"
#include "source/stats.h"

/*
 * Called for each event, in order, without its number ('seq' is 0).  The callee may set what is
 * not ours: the traffic class of a START is remembered and given back with the flow's later
 * events.  The event is valid during the call.
 */
typedef void ft_emit_fn(void *ctx, struct ft_event *event);

/*
 * Called, with the same 'ctx', wherever the tracker's state is that of a whole number of messages:
 * only there may it be committed.
 */
typedef void ft_settled_fn(void *ctx);

struct ft_memory;

struct ft_tracker_options {
    struct ft_memory *memory; /* Where flows are kept, borrowed; NULL: in the tracker's own. */
    bool saving;              /* What changes there is saved: what is there may be committed. */
    ft_settled_fn *settled;   /* NULL: nobody asks. */
    uint64_t flow_table_bytes_max;
    uint64_t hash_seed;
    int64_t update_interval_ns; /* Between dumps for counters; 0: none, but for ends. */
    int64_t end_grace_ns;       /* How long the END of a missing flow is waited for. */
    int64_t end_grace_calm_ns;  /* The same when nothing was dropped for 'end_grace_ns'. */
    int64_t end_grace_max_ns;   /* The longest grace while the kernel still tells, and the end. */
    int64_t resync_wait_min_ns; /* Least time from one dump's end to the next resync. */
    int64_t resync_wait_max_ns; /* The same while overruns persist. */
};

/* 64 MiB, 60 s, 30 s, 1 s, 1 h, 1 s, 30 s.  The last as conntrackd: a resync under overload makes
 * it worse.  An hour: at 12 ENDs in 100 ms, the smallest buffer's rate, the kernel tells 432,000 in
 * it.
 */
extern const struct ft_tracker_options ft_tracker_options_default;

struct ft_tracker;

/* 'stats' is borrowed.  -ENOMEM. */
FT_MUST_USE ft_err ft_tracker_create(const struct ft_tracker_options *options, ft_emit_fn *emit,
                                     void *ctx, struct ft_source_stats *stats,
                                     struct ft_tracker **ret_tracker);
void ft_tracker_destroy(struct ft_tracker *tracker);
FT_DEFINE_CLEANUP(struct ft_tracker, ft_tracker_destroy);

/* Takes the next chunk; emits what follows from it. */
void ft_tracker_consume(struct ft_tracker *tracker, const struct ft_chunk *chunk);

/* True when a dump should begin now.  Its chunks are to be consumed like the others. */
bool ft_tracker_wants_dump(const struct ft_tracker *tracker, int64_t mono_ns,
                           enum ft_dump_reason *ret_reason);

/* Until when a chunk should be consumed, a TICK if there is no other, or wants_dump() be asked
 * again.  FT_TIME_NEVER: only when there is one. */
int64_t ft_tracker_deadline(const struct ft_tracker *tracker);

/* Bytes of the present chunk that are handled: all of them in the end.  For settled(). */
size_t ft_tracker_get_done(const struct ft_tracker *tracker);

/*
 * Everything that the tracker knows beside the flows, to be kept with them: what a commit writes
 * and what the tracker of the next process begins with.  The bytes mean nothing to others.
 * FT_E_UNSUPPORTED: of another size.
 */
const void *ft_tracker_get_state(const struct ft_tracker *tracker, size_t *ret_size);
FT_MUST_USE ft_err ft_tracker_set_state(struct ft_tracker *tracker, const void *state, size_t size);

/* Nothing is heard from here on: what the next process does not find went with the stop. */
void ft_tracker_end(struct ft_tracker *tracker);

/* From now on; 0: off. */
void ft_tracker_set_update_interval(struct ft_tracker *tracker, int64_t interval_ns);

#endif
