/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ranges.h"

#include <string.h>

static void remove_at(struct ft_ranges *ranges, unsigned i)
{
    ranges->n--;
    memmove(ranges->at + i, ranges->at + i + 1, (ranges->n - i) * sizeof ranges->at[0]);
}

static bool insert_at(struct ft_ranges *ranges, unsigned i, struct ft_range range)
{
    if (ranges->n == FT_RANGES_MAX) {
        return false;
    }
    memmove(ranges->at + i + 1, ranges->at + i, (ranges->n - i) * sizeof ranges->at[0]);
    ranges->at[i] = range;
    ranges->n++;
    return true;
}

bool ft_ranges_add(struct ft_ranges *ranges, uint64_t first, uint64_t last)
{
    if (first > last) {
        return true;
    }
    unsigned i = 0;
    while (i < ranges->n && ranges->at[i].last + 1 < first) {
        i++;
    }
    struct ft_range range = {first, last};
    while (i < ranges->n && ranges->at[i].first <= range.last + 1) {
        range.first = ranges->at[i].first < range.first ? ranges->at[i].first : range.first;
        range.last = ranges->at[i].last > range.last ? ranges->at[i].last : range.last;
        remove_at(ranges, i);
    }
    return insert_at(ranges, i, range);
}

void ft_ranges_remove(struct ft_ranges *ranges, uint64_t first, uint64_t last)
{
    for (unsigned i = 0; i < ranges->n && first <= last;) {
        struct ft_range *at = &ranges->at[i];
        if (at->last < first || at->first > last) {
            i++;
        } else if (at->first >= first && at->last <= last) {
            remove_at(ranges, i);
        } else if (at->first >= first) {
            at->first = last + 1;
            i++;
        } else {
            struct ft_range upper = {last + 1, at->last};
            at->last = first - 1;
            i++;
            if (upper.first <= upper.last) {
                (void)insert_at(ranges, i, upper);
                return;
            }
        }
    }
}

uint64_t ft_ranges_overlap(const struct ft_ranges *ranges, uint64_t first, uint64_t last)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < ranges->n; i++) {
        uint64_t from = ranges->at[i].first > first ? ranges->at[i].first : first;
        uint64_t to = ranges->at[i].last < last ? ranges->at[i].last : last;
        n += from <= to ? to - from + 1 : 0;
    }
    return n;
}
