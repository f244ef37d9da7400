/* SPDX-License-Identifier: Apache-2.0 */
#include "export/holes.h"

#include <string.h>

static void remove_at(struct ft_holes *holes, size_t i);

void ft_holes_init(struct ft_holes *holes, uint64_t known_from)
{
    holes->known_from = known_from;
    holes->n = 0;
}

void ft_holes_add(struct ft_holes *holes, uint64_t first_seq, uint64_t last_seq)
{
    if (first_seq > last_seq) {
        return;
    }
    size_t at = 0;
    while (at < holes->n && holes->holes[at].last_seq + 1 < first_seq) {
        at++;
    }
    struct ft_hole hole = {first_seq, last_seq};
    while (at < holes->n && holes->holes[at].first_seq <= hole.last_seq + 1) {
        const struct ft_hole *other = &holes->holes[at];
        hole.first_seq = other->first_seq < hole.first_seq ? other->first_seq : hole.first_seq;
        hole.last_seq = other->last_seq > hole.last_seq ? other->last_seq : hole.last_seq;
        remove_at(holes, at);
    }
    if (holes->n == FT_HOLES_MAX) {
        const struct ft_hole *lowest = at == 0 ? &hole : &holes->holes[0];
        if (lowest->last_seq >= holes->known_from) {
            holes->known_from = lowest->last_seq + 1;
        }
        if (at == 0) {
            return;
        }
        remove_at(holes, 0);
        at--;
    }
    memmove(holes->holes + at + 1, holes->holes + at, (holes->n - at) * sizeof hole);
    holes->holes[at] = hole;
    holes->n++;
}

uint64_t ft_holes_overlap(const struct ft_holes *holes, uint64_t first_seq, uint64_t last_seq)
{
    uint64_t n = 0;
    for (size_t i = 0; i < holes->n; i++) {
        const struct ft_hole *hole = &holes->holes[i];
        uint64_t first = hole->first_seq > first_seq ? hole->first_seq : first_seq;
        uint64_t last = hole->last_seq < last_seq ? hole->last_seq : last_seq;
        n += first <= last ? last - first + 1 : 0;
    }
    return n;
}

uint64_t ft_holes_below(const struct ft_holes *holes, uint64_t seq)
{
    for (size_t i = holes->n; i > 0 && holes->holes[i - 1].last_seq >= seq; i--) {
        if (holes->holes[i - 1].first_seq <= seq) {
            return holes->holes[i - 1].first_seq - 1; /* No other hole touches it. */
        }
    }
    return seq;
}

bool ft_holes_next_outside(const struct ft_holes *holes, uint64_t first_seq, uint64_t last_seq,
                           struct ft_hole *ret_run)
{
    for (size_t i = 0; i < holes->n && first_seq <= last_seq; i++) {
        const struct ft_hole *hole = &holes->holes[i];
        if (hole->last_seq < first_seq) {
            continue;
        }
        if (hole->first_seq > first_seq) {
            uint64_t end = hole->first_seq - 1;
            *ret_run = (struct ft_hole){first_seq, end < last_seq ? end : last_seq};
            return true;
        }
        first_seq = hole->last_seq + 1;
    }
    *ret_run = (struct ft_hole){first_seq, last_seq};
    return first_seq <= last_seq;
}

static void remove_at(struct ft_holes *holes, size_t i)
{
    holes->n--;
    memmove(holes->holes + i, holes->holes + i + 1, (holes->n - i) * sizeof holes->holes[0]);
}
