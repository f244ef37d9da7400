/* SPDX-License-Identifier: Apache-2.0 */
#include "source/pressure.h"

void ft_pressure_init(struct ft_pressure *pressure) { *pressure = (struct ft_pressure){0}; }

bool ft_pressure_update(struct ft_pressure *pressure, int64_t elapsed_ns, int64_t no_room_ns,
                        bool dropped)
{
    double span = (double)(pressure->span_ns + elapsed_ns);
    double no_room = (double)(pressure->no_room_ns + no_room_ns);
    if (span > (double)FT_PRESSURE_SPAN_NS) {
        /* What is older than the span fades. */
        no_room *= (double)FT_PRESSURE_SPAN_NS / span;
        span = (double)FT_PRESSURE_SPAN_NS;
    }
    pressure->span_ns = (int64_t)span;
    pressure->no_room_ns = (int64_t)no_room;
    /* Of the whole span, so that the first moments alone do not count for all. */
    int64_t percent = pressure->no_room_ns / (FT_PRESSURE_SPAN_NS / 100);
    if (dropped || percent >= FT_PRESSURE_ON_PERCENT) {
        pressure->on = true;
    } else if (percent < FT_PRESSURE_OFF_PERCENT) {
        pressure->on = false;
    }
    return pressure->on;
}
