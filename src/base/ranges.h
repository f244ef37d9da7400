/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small set of numbers as ascending ranges, none of which touches the next; at most
 * FT_RANGES_MAX.  0 is in no set.
 *
 * Thread: owner only.
 */
#ifndef FT_BASE_RANGES_H
#define FT_BASE_RANGES_H 1

#include <stdbool.h>
#include <stdint.h>

#define FT_RANGES_MAX 16

struct ft_range {
    uint64_t first;
    uint64_t last;
};

struct ft_ranges {
    unsigned n;
    struct ft_range at[FT_RANGES_MAX];
};

/* Does nothing when 'first' > 'last'.  False when there is no place for one more range. */
bool ft_ranges_add(struct ft_ranges *ranges, uint64_t first, uint64_t last);

/*
 * Where a range would fall into two and there is no place for one more, its upper part goes with
 * it.
 */
void ft_ranges_remove(struct ft_ranges *ranges, uint64_t first, uint64_t last);

/* How many of first..last are in the set. */
uint64_t ft_ranges_overlap(const struct ft_ranges *ranges, uint64_t first, uint64_t last);

#endif
