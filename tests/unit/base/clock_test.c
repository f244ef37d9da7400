/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "lib/test.h"

static const char *format(int64_t ns, unsigned digits)
{
    static char text[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(ns, digits, text);
    return text;
}

TEST(times_are_formatted)
{
    CHECK_STR(format(0, 0), "1970-01-01T00:00:00Z");
    CHECK_STR(format(INT64_C(1767323045123456789), 9), "2026-01-02T03:04:05.123456789Z");
    CHECK_STR(format(INT64_C(1767323045123456789), 6), "2026-01-02T03:04:05.123456Z");
    CHECK_STR(format(INT64_C(1767323045123456789), 3), "2026-01-02T03:04:05.123Z");
    CHECK_STR(format(INT64_C(1767323045999999999), 0), "2026-01-02T03:04:05Z");
    CHECK_STR(format(INT64_C(951782400000000000), 0), "2000-02-29T00:00:00Z");
}

TEST(times_before_1970_count_down)
{
    CHECK_STR(format(-1, 9), "1969-12-31T23:59:59.999999999Z");
    CHECK_STR(format(-FT_NS_PER_S, 3), "1969-12-31T23:59:59.000Z");
    CHECK_STR(format(INT64_MIN, 9), "1677-09-21T00:12:43.145224192Z");
    CHECK_STR(format(INT64_MAX, 9), "2262-04-11T23:47:16.854775807Z");
}

TEST(the_system_clock_does_not_go_back)
{
    const struct ft_clock *clock = ft_clock_system();
    int64_t last = ft_clock_mono_ns(clock);
    for (unsigned i = 0; i < 1000; i++) {
        int64_t now = ft_clock_mono_ns(clock);
        CHECK(now >= last);
        last = now;
    }
    /* After this was written, before the format's end. */
    CHECK(ft_clock_real_ns(clock) > INT64_C(1735689600000000000));
}
