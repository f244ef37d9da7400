/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as an argument.  Everything that needs to know the time is handed an ft_clock, so that the
 * whole agent and the whole collector can run on virtual time.
 *
 * All times are nanoseconds.  'mono' never goes back and is for deadlines; 'real' is UTC since
 * 1970 and is for what is stored and shown.
 *
 * Thread: any; an implementation must allow concurrent calls.
 */
#ifndef FT_BASE_CLOCK_H
#define FT_BASE_CLOCK_H 1

#include <stdint.h>

#define FT_NS_PER_US INT64_C(1000)
#define FT_NS_PER_MS INT64_C(1000000)
#define FT_NS_PER_S  INT64_C(1000000000)

/* "Never", as a deadline. */
#define FT_TIME_NEVER INT64_MAX

struct ft_clock {
    int64_t (*mono_ns)(const struct ft_clock *clock);
    int64_t (*real_ns)(const struct ft_clock *clock);
};

/* The kernel's clocks (CLOCK_MONOTONIC, CLOCK_REALTIME).  Static storage. */
const struct ft_clock *ft_clock_system(void);

static inline int64_t ft_clock_mono_ns(const struct ft_clock *clock)
{
    return clock->mono_ns(clock);
}

static inline int64_t ft_clock_real_ns(const struct ft_clock *clock)
{
    return clock->real_ns(clock);
}

/* Room for "2026-01-02T03:04:05.123456789Z" and NUL. */
#define FT_RFC3339_SIZE 32

/* RFC 3339, UTC, 'digits' (0, 3, 6 or 9) decimals.  'buf' has FT_RFC3339_SIZE bytes. */
void ft_time_format_rfc3339(int64_t real_ns, unsigned digits, char *buf);

#endif
