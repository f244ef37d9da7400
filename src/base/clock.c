/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * FT_NS_PER_S + now.tv_nsec;
}

static int64_t system_mono_ns(const struct ft_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_real_ns(const struct ft_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

const struct ft_clock *ft_clock_system(void)
{
    static const struct ft_clock system_clock = {system_mono_ns, system_real_ns};
    return &system_clock;
}

void ft_time_format_rfc3339(int64_t real_ns, unsigned digits, char *buf)
{
    int64_t seconds = real_ns / FT_NS_PER_S;
    int64_t fraction = real_ns % FT_NS_PER_S;
    if (fraction < 0) {
        fraction += FT_NS_PER_S;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || utc.tm_year + 1900 > 9999 || utc.tm_year + 1900 < 0) {
        (void)snprintf(buf, FT_RFC3339_SIZE, "invalid-time");
        return;
    }
    char date[24];
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    int64_t divisor = FT_NS_PER_S;
    for (unsigned i = 0; i < digits; i++) {
        divisor /= 10;
    }
    if (digits == 0) {
        (void)snprintf(buf, FT_RFC3339_SIZE, "%sZ", date);
    } else {
        (void)snprintf(buf, FT_RFC3339_SIZE, "%s.%0*lldZ", date, (int)digits,
                       (long long)(fraction / divisor));
    }
}
