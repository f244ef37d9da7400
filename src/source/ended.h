/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that ended a short while ago, so that nothing that is heard of them late makes them begin
 * again: an entry of a dump that was made before the END was processed, or an END that the kernel
 * sends twice because another listener with NETLINK_BROADCAST_ERROR did not take it.
 *
 * A direct-mapped cache: each flow has one place, and a later one overwrites it.  Bound: 65,536
 * places of 16 bytes, 1 MiB.  At 50,000 ENDs a second it reaches about a second back; a dump is
 * ahead of the events by some milliseconds, and the kernel repeats an END after 100 ms.  It does
 * not have to remember flows whose END was inferred for long, because none is inferred while the
 * kernel still tells held-back ENDs (source/tracker.h).
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_ENDED_H
#define FT_SOURCE_ENDED_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define FT_ENDED_PLACES 65536U

struct ft_ended;

#define FT_ENDED_BYTES (FT_ENDED_PLACES * (size_t)16)

struct ft_memory;

/*
 * The places are in 'memory' (borrowed; NULL: in memory of its own), as it has them.  Changes are
 * saved there when 'saving'.  -ENOMEM.
 */
FT_MUST_USE ft_err ft_ended_create(struct ft_memory *memory, bool saving,
                                   struct ft_ended **ret_ended);
void ft_ended_destroy(struct ft_ended *ended);
FT_DEFINE_CLEANUP(struct ft_ended, ft_ended_destroy);

/* How a flow ended. */
struct ft_ended_flow {
    int64_t start_ns;
    bool exact;    /* 'start_ns' is the kernel's own start time stamp */
    bool inferred; /* the kernel did not tell the END */
};

/* 'hash' is of the flow's key. */
void ft_ended_add(struct ft_ended *ended, uint64_t hash, const struct ft_ended_flow *flow);

/* True when a flow with this key ended lately. */
bool ft_ended_find(const struct ft_ended *ended, uint64_t hash, struct ft_ended_flow *ret_flow);

#endif
