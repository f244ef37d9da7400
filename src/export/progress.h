/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the exporter has come, as it is kept with its place in the log: after a restart the
 * counts belong to exactly the blocks that are confirmed there.
 *
 * Thread: pure functions.
 */
#ifndef FT_EXPORT_PROGRESS_H
#define FT_EXPORT_PROGRESS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ranges.h"

#define FT_PROGRESS_SIZE ((size_t)48 + FT_RANGES_MAX * 16)

struct ft_progress {
    uint64_t acked_seq;       /* The last number that is done with; 0: none yet. */
    uint64_t done_events;     /* Of confirmed blocks, whatever became of them. */
    uint64_t rejected_events; /* The part that the collector did not store. */
    uint64_t gone_events;     /* Were stored at the collector, are lost there and here, and told. */
    /* The last number up to acked_seq that is stored at the collector: it may forget the rest. */
    uint64_t stored_seq;
    /* Numbers up to acked_seq that are not stored there and are accounted for (export/holes.h): all
     * from 'known_from' on.  0: nothing is known. */
    uint64_t known_from;
    struct ft_ranges holes;
};

/* Numbers of 8 bytes, little-endian, in the order above; of each range both ends, 0 for none. */
void ft_progress_encode(const struct ft_progress *progress, uint8_t to[FT_PROGRESS_SIZE]);
/* False for anything else: counting begins anew. */
bool ft_progress_decode(const uint8_t *from, size_t size, struct ft_progress *ret_progress);

#endif
