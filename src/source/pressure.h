/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the pipeline keep up with the kernel?  Two signs say that it does not: the kernel dropped
 * messages, and, before that, the reader found no room for what it would have read.
 *
 * Having no room for a moment means nothing: on a busy host the pipeline's thread waits for the
 * processor now and then, and the socket holds what comes meanwhile.  So it is the share of time
 * without room that counts, in a moving second, with a wide gap between "on" and "off".
 *
 * A pure function of what it is told.  Thread: owner only (the source thread).
 */
#ifndef FT_SOURCE_PRESSURE_H
#define FT_SOURCE_PRESSURE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* The moving span, and the percentages of it from which there is pressure, and below which not. */
#define FT_PRESSURE_SPAN_NS     FT_NS_PER_S
#define FT_PRESSURE_ON_PERCENT  20
#define FT_PRESSURE_OFF_PERCENT 5

struct ft_pressure {
    bool on;
    int64_t span_ns;    /* Seen so far, FT_PRESSURE_SPAN_NS at most. */
    int64_t no_room_ns; /* Of it. */
};

void ft_pressure_init(struct ft_pressure *pressure);

/* What was measured since the last call: the time, how much of it there was no room, and whether
 * the kernel dropped something.  True while there is pressure. */
bool ft_pressure_update(struct ft_pressure *pressure, int64_t elapsed_ns, int64_t no_room_ns,
                        bool dropped);

#endif
