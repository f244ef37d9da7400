/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that were done with and are not stored at the collector: dropped, rejected, or lost there
 * and told.  Whatever happens to the rest later, these are accounted for and count no second time.
 *
 * A bounded set of ranges.  At the bound the lowest is forgotten, and what lies below 'known_from'
 * is not known exactly any more.
 *
 * Thread: owner only.
 */
#ifndef FT_EXPORT_HOLES_H
#define FT_EXPORT_HOLES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_HOLES_MAX 256

struct ft_hole {
    uint64_t first_seq;
    uint64_t last_seq;
};

struct ft_holes {
    uint64_t known_from;
    size_t n;
    struct ft_hole holes[FT_HOLES_MAX]; /* Ascending; none touches the next. */
};

/* Below 'known_from' nothing is known but what is added. */
void ft_holes_init(struct ft_holes *holes, uint64_t known_from);

/* Does nothing when 'first_seq' > 'last_seq'. */
void ft_holes_add(struct ft_holes *holes, uint64_t first_seq, uint64_t last_seq);

/* How many of first..last are in holes. */
uint64_t ft_holes_overlap(const struct ft_holes *holes, uint64_t first_seq, uint64_t last_seq);

/* The highest number up to 'seq' that is in no hole. */
uint64_t ft_holes_below(const struct ft_holes *holes, uint64_t seq);

/*
 * The first run of numbers within first..last that is in no hole; false when there is none.
 */
bool ft_holes_next_outside(const struct ft_holes *holes, uint64_t first_seq, uint64_t last_seq,
                           struct ft_hole *ret_run);

#endif
