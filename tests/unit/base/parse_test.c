/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "lib/test.h"

static int64_t duration(const char *text)
{
    int64_t ns = -1;
    CHECK_OK(ft_parse_duration(text, &ns));
    return ns;
}

TEST(durations_are_sums_of_units)
{
    CHECK_INT(duration("0"), 0);
    CHECK_INT(duration("0s"), 0);
    CHECK_INT(duration("250ms"), 250 * FT_NS_PER_MS);
    CHECK_INT(duration("10us"), 10000);
    CHECK_INT(duration("7ns"), 7);
    CHECK_INT(duration("5s"), 5 * FT_NS_PER_S);
    CHECK_INT(duration("1h30m"), 5400 * FT_NS_PER_S);
    CHECK_INT(duration("2d"), 172800 * FT_NS_PER_S);
    CHECK_INT(duration("1d1h1m1s1ms1us1ns"), 90061 * FT_NS_PER_S + 1001001);
    CHECK_INT(duration("9223372036854775807ns"), INT64_MAX);
}

TEST(other_durations_are_refused)
{
    static const char *const bad[] = {"",    "5",    "s",  "1.5s", "-1s",   "+1s",  " 1s",
                                      "1s ", "1 s",  "1S", "1sec", "1min",  "1ms2", "00",
                                      "1x",  "1h30", "h",  "1mss", "0x10s", "1,5s", "1\xc2\xb5s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ns = 77;
        CHECK_ERR(ft_parse_duration(bad[i], &ns), FT_E_SYNTAX);
        CHECK_INT(ns, 77);
    }
    static const char *const large[] = {"9223372036854775808ns", "106752d", "99999999999999999999s",
                                        "106751d23h48m", "18446744073709551616ns"};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        int64_t ns;
        CHECK_ERR(ft_parse_duration(large[i], &ns), FT_E_RANGE);
    }
    /* What is wrong is said before what is too large. */
    int64_t ns;
    CHECK_ERR(ft_parse_duration("99999999999999999999s!", &ns), FT_E_SYNTAX);
}

TEST(sizes_have_units)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"4096B", 4096},
                {"10k", 10000},
                {"10kB", 10000},
                {"1MB", 1000000},
                {"1GB", 1000000000},
                {"2TB", UINT64_C(2000000000000)},
                {"512KiB", 524288},
                {"64MiB", 67108864},
                {"1GiB", 1073741824},
                {"1TiB", UINT64_C(1) << 40},
                {"18446744073709551615", UINT64_MAX},
                {"16777215TiB", UINT64_C(16777215) << 40}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes;
        CHECK_OK(ft_parse_size(good[i].text, &bytes));
        CHECK(bytes == good[i].bytes);
    }
    static const char *const bad[] = {"",       "B",  "1KB",   "1K",    "1M",  "1mib",
                                      "1.5MiB", "-1", "1 MiB", "1MiBB", "0x1", "1MiB "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes;
        CHECK_ERR(ft_parse_size(bad[i], &bytes), FT_E_SYNTAX);
    }
    uint64_t bytes;
    CHECK_ERR(ft_parse_size("18446744073709551616", &bytes), FT_E_RANGE);
    CHECK_ERR(ft_parse_size("16777216TiB", &bytes), FT_E_RANGE);
}

TEST(whole_numbers_are_digits_only)
{
    uint64_t value;
    CHECK_OK(ft_parse_u64("65535", 65535, &value));
    CHECK_INT(value, 65535);
    CHECK_ERR(ft_parse_u64("65536", 65535, &value), FT_E_RANGE);
    CHECK_OK(ft_parse_u64("18446744073709551615", UINT64_MAX, &value));
    CHECK(value == UINT64_MAX);
    CHECK_ERR(ft_parse_u64("18446744073709551616", UINT64_MAX, &value), FT_E_RANGE);
    CHECK_OK(ft_parse_u64("007", 10, &value));
    CHECK_INT(value, 7);
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERR(ft_parse_u64(bad[i], UINT64_MAX, &value), FT_E_SYNTAX);
    }
}

TEST(times_are_read)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"1970-01-01T00:00:00Z", 0},
                {"1970-01-01", 0},
                {"2026-01-02T03:04:05Z", INT64_C(1767323045000000000)},
                {"2026-01-02T03:04:05.123456789Z", INT64_C(1767323045123456789)},
                {"2026-01-02T03:04:05.1Z", INT64_C(1767323045100000000)},
                {"2026-01-02T03:04:05.1234567899Z", INT64_C(1767323045123456789)},
                {"2026-01-02T05:04:05+02:00", INT64_C(1767323045000000000)},
                {"2026-01-01T21:34:05-05:30", INT64_C(1767323045000000000)},
                {"2026-01-02t03:04:05z", INT64_C(1767323045000000000)},
                {"2000-02-29", INT64_C(951782400000000000)},
                {"2016-12-31T23:59:60Z", INT64_C(1483228800000000000)},
                {"1969-12-31T23:59:59.999999999Z", -1}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ns;
        CHECK_OK(ft_parse_rfc3339(good[i].text, &ns));
        CHECK_INT(ns, good[i].ns);
    }
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-01",
                                      "2026-1-2",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-01-32",
                                      "2026-01-00",
                                      "2025-02-29",
                                      "1900-02-29",
                                      "2026-01-02T03:04:05",
                                      "2026-01-02T03:04Z",
                                      "2026-01-02T24:00:00Z",
                                      "2026-01-02T03:60:00Z",
                                      "2026-01-02T03:04:61Z",
                                      "2026-01-02T03:04:05.Z",
                                      "2026-01-02T03:04:05Zx",
                                      "2026-01-02T03:04:05+2:00",
                                      "2026-01-02T03:04:05+24:00",
                                      "2026-01-02T03:04:05+0200",
                                      "2026-01-02x03:04:05Z",
                                      "2026-01-02 ",
                                      "-026-01-02"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ns;
        CHECK_ERR(ft_parse_rfc3339(bad[i], &ns), FT_E_SYNTAX);
    }
    int64_t ns;
    CHECK_ERR(ft_parse_rfc3339("2262-04-12T00:00:00Z", &ns), FT_E_RANGE);
    CHECK_ERR(ft_parse_rfc3339("1677-09-20", &ns), FT_E_RANGE);
    CHECK_ERR(ft_parse_rfc3339("9999-12-31", &ns), FT_E_RANGE);
}

TEST(formats_are_as_people_write_them)
{
    char text[64];
    ft_format_duration(5400 * FT_NS_PER_S, text, sizeof text);
    CHECK_STR(text, "1h30m");
    ft_format_duration(250 * FT_NS_PER_MS, text, sizeof text);
    CHECK_STR(text, "250ms");
    ft_format_duration(0, text, sizeof text);
    CHECK_STR(text, "0");
    ft_format_duration(-FT_NS_PER_S, text, sizeof text);
    CHECK_STR(text, "-1s");
    ft_format_duration(INT64_MIN, text, sizeof text);
    CHECK_STR(text, "-106751d23h47m16s854ms775us808ns");
    ft_format_duration(5400 * FT_NS_PER_S, text, 3);
    CHECK_STR(text, "1h");
    ft_format_size(64 << 20, text, sizeof text);
    CHECK_STR(text, "64MiB");
    ft_format_size(1536, text, sizeof text);
    CHECK_STR(text, "1536");
    ft_format_size(3072, text, sizeof text);
    CHECK_STR(text, "3KiB");
    ft_format_size(0, text, sizeof text);
    CHECK_STR(text, "0");
}

TEST(what_is_formatted_is_read_back)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 5);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t value = ft_random_u64(&random.base) >> ft_random_below(&random.base, 64);
        char text[64];
        int64_t ns = (int64_t)(value >> 1);
        ft_format_duration(ns, text, sizeof text);
        int64_t ns_again;
        CHECK_OK(ft_parse_duration(text, &ns_again));
        CHECK_INT(ns_again, ns);
        ft_format_size(value, text, sizeof text);
        uint64_t bytes;
        CHECK_OK(ft_parse_size(text, &bytes));
        CHECK(bytes == value);
        int64_t time_ns = (int64_t)value;
        ft_time_format_rfc3339(time_ns, 9, text);
        CHECK_OK(ft_parse_rfc3339(text, &ns_again));
        CHECK_INT(ns_again, time_ns);
    }
}
