/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets one log line through in a while, and counts those it holds back: for what ten thousand
 * agents may cause at once.
 *
 * Thread: any.
 */
#ifndef FT_COLLECTOR_LOG_LIMIT_H
#define FT_COLLECTOR_LOG_LIMIT_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* The least time between two lines. */
#define FT_LOG_LIMIT_NS (10 * FT_NS_PER_S)

/* Begin with all zero. */
struct ft_log_limit {
    _Atomic int64_t due_ns;
    _Atomic uint64_t held;
};

/* True: write it, and that '*ret_held' others were held back since the last one. */
static inline bool ft_log_limit_pass(struct ft_log_limit *limit, int64_t now_mono_ns,
                                     uint64_t *ret_held)
{
    int64_t due_ns = limit->due_ns;
    if (now_mono_ns < due_ns ||
        !atomic_compare_exchange_strong(&limit->due_ns, &due_ns, now_mono_ns + FT_LOG_LIMIT_NS)) {
        limit->held++;
        return false;
    }
    *ret_held = atomic_exchange(&limit->held, 0);
    return true;
}

#endif
