/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merges events of one flow before they are numbered: under pressure the log keeps its totals
 * longer than its details.
 *
 * What begins (START) or reports (UPDATE) a flow waits here, and a later UPDATE or END of the same
 * flow is added to it: deltas sum up, the window says from when to when and how many begins and
 * ends it stands for, everything else is as the later event has it.  What was merged has no number
 * of its own, so nothing of it can be missing in the sequence.
 *
 * Only what will be in one block is merged: a sealed block is never changed.
 *
 * Thread: owner only (the pipeline).
 */
#ifndef FT_AGENT_MERGER_H
#define FT_AGENT_MERGER_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "flow/event.h"

struct ft_merger;

enum ft_merged {
    FT_MERGED_INTO, /* Into an event that waits. */
    FT_MERGED_WAITS,
    FT_MERGED_NOT /* No room, or an event that cannot wait: empty the merger, then take it. */
};

/* For 'n_max' events, at most 65535.  Takes all its memory here. */
FT_MUST_USE ft_err ft_merger_create(size_t n_max, struct ft_merger **ret_merger);
/* Accepts NULL. */
void ft_merger_destroy(struct ft_merger *merger);
FT_DEFINE_CLEANUP(struct ft_merger, ft_merger_destroy);

enum ft_merged ft_merger_add(struct ft_merger *merger, const struct ft_event *event);

size_t ft_merger_count(const struct ft_merger *merger);

/* Gives all events in the order in which they began to wait, and is empty then; 'n_merged' were
 * merged into the event. */
typedef void ft_merger_fn(void *ctx, struct ft_event *event, uint32_t n_merged);
void ft_merger_empty(struct ft_merger *merger, ft_merger_fn *fn, void *ctx);

#endif
