/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket, in its form without tokens (GCRA): the time at which what was taken is paid for.
 * It lends: what came is taken, and the one who sent it waits until it is paid.
 *
 * Thread: caller locks; pure functions.
 */
#ifndef FT_COLLECTOR_PACE_H
#define FT_COLLECTOR_PACE_H 1

#include <stdint.h>

#include "base/clock.h"

/* What may come at once after a silence, in time at the full rate. */
#define FT_PACE_BURST_NS (2 * FT_NS_PER_S)

/* Begin with all zero. */
struct ft_pace {
    int64_t paid_ns; /* Monotonic. */
};

/* Takes 'n' at 'rate' a second (0: no bound); how long to wait before taking more. */
static inline int64_t ft_pace_take(struct ft_pace *pace, int64_t now_ns, uint64_t n, uint64_t rate)
{
    if (rate == 0) {
        return 0;
    }
    if (pace->paid_ns < now_ns - FT_PACE_BURST_NS) {
        pace->paid_ns = now_ns - FT_PACE_BURST_NS;
    }
    pace->paid_ns += (int64_t)((double)n / (double)rate * (double)FT_NS_PER_S);
    return pace->paid_ns > now_ns ? pace->paid_ns - now_ns : 0;
}

#endif
