/* SPDX-License-Identifier: Apache-2.0 */
#include "export/progress.h"

static void put64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

void ft_progress_encode(const struct ft_progress *progress, uint8_t to[FT_PROGRESS_SIZE])
{
    put64(to, progress->acked_seq);
    put64(to + 8, progress->done_events);
    put64(to + 16, progress->rejected_events);
    put64(to + 24, progress->gone_events);
    put64(to + 32, progress->stored_seq);
    put64(to + 40, progress->known_from);
    for (unsigned i = 0; i < FT_RANGES_MAX; i++) {
        bool there = i < progress->holes.n;
        put64(to + 48 + 16 * i, there ? progress->holes.at[i].first : 0);
        put64(to + 56 + 16 * i, there ? progress->holes.at[i].last : 0);
    }
}

bool ft_progress_decode(const uint8_t *from, size_t size, struct ft_progress *ret_progress)
{
    if (size != FT_PROGRESS_SIZE) {
        return false;
    }
    *ret_progress = (struct ft_progress){.acked_seq = get64(from),
                                         .done_events = get64(from + 8),
                                         .rejected_events = get64(from + 16),
                                         .gone_events = get64(from + 24),
                                         .stored_seq = get64(from + 32),
                                         .known_from = get64(from + 40)};
    for (unsigned i = 0; i < FT_RANGES_MAX; i++) {
        struct ft_range range = {get64(from + 48 + 16 * i), get64(from + 56 + 16 * i)};
        if (range.first > range.last) {
            return false;
        }
        if (range.last > 0) {
            (void)ft_ranges_add(&ret_progress->holes, range.first, range.last);
        }
    }
    return ret_progress->rejected_events <= ret_progress->done_events &&
           ret_progress->gone_events <= ret_progress->done_events - ret_progress->rejected_events &&
           ret_progress->stored_seq <= ret_progress->acked_seq;
}
