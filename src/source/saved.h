/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of flows, in a file, from a clean stop to the next start: so that a flow that goes
 * on meanwhile keeps its identity, has no second START, and its counters stay deltas.
 *
 * The file, "flows" in the spool's directory, is a header of 128 bytes, the tracker's state and the
 * flow table's cells as they are in memory; it is for the same program on the same boot alone.
 *
 *     offset  size
 *          0     8  "FTFLOW1\n"
 *          8     8  XXH3-64 of all that follows, header, state and cells chained by their seeds
 *         16     8  layout (a hash of sizes), 24 hash seed, 32 network namespace
 *         40    40  boot id, in text
 *         80    16  owner, 96 8 its number: both must be the same again
 *        104     8  bytes of state, 112 number of segments of cells
 *        120     8  0
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_SAVED_H
#define FT_SOURCE_SAVED_H 1

#include <stdint.h>

#include "base/disk.h"
#include "base/error.h"
#include "source/memory.h"

#define FT_SAVED_NAME "flows"

/* Whose it is: what has changed since is not known to the file, so it counts only unchanged. */
struct ft_saved_owner {
    uint8_t id[16];
    uint64_t number;
};

/* Writes the memory's cells with the state, durably.  The disk's error. */
FT_MUST_USE ft_err ft_saved_write(struct ft_disk *disk, const struct ft_memory *memory,
                                  const struct ft_saved_owner *owner, const void *state,
                                  size_t state_size);

/*
 * Fills a new memory, with a commit that has the state and no owner's; the file is removed, so that
 * it counts once.  FT_E_NOT_FOUND: there is none, or it is another owner's, boot's or program's;
 * FT_E_CORRUPT; the disk's error.  Then the memory is as it was.
 */
FT_MUST_USE ft_err ft_saved_read(struct ft_disk *disk, struct ft_memory *memory,
                                 const struct ft_saved_owner *owner);

#endif
