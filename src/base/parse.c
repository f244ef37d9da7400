/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* In falling order, for formatting. */
static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000000000)},
    {"h", UINT64_C(3600000000000)},
    {"m", UINT64_C(60000000000)},
    {"s", UINT64_C(1000000000)},
    {"ms", UINT64_C(1000000)},
    {"us", UINT64_C(1000)},
    {"ns", UINT64_C(1)},
};
#define N_DURATION_UNITS (sizeof duration_units / sizeof duration_units[0])

static const struct unit size_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"TB", UINT64_C(1000000000000)},
    {"GB", UINT64_C(1000000000)},
    {"MB", UINT64_C(1000000)},
    {"kB", UINT64_C(1000)},
    {"k", UINT64_C(1000)},
    {"B", UINT64_C(1)},
    {"", UINT64_C(1)},
};
#define N_SIZE_UNITS        (sizeof size_units / sizeof size_units[0])
#define N_SIZE_UNITS_BINARY 4

static ft_err parse_digits(const char **text, uint64_t *ret_value);
static const struct unit *find_unit(const struct unit *units, size_t n, const char *text,
                                    size_t len);
static bool fixed_digits(const char **text, unsigned n, int *ret_value);
static bool parse_date(const char **text, struct tm *utc);
static bool parse_time(const char **text, struct tm *utc, int64_t *ret_fraction_ns);
static bool parse_offset(const char **text, int64_t *ret_offset_s);

ft_err ft_parse_duration(const char *text, int64_t *ret_ns)
{
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return FT_OK;
    }
    uint64_t total = 0;
    bool too_large = false;
    do {
        uint64_t value;
        ft_err err = parse_digits(&text, &value);
        if (err == FT_E_SYNTAX) {
            return err;
        }
        size_t len = strspn(text, "nusmhd");
        const struct unit *unit = find_unit(duration_units, N_DURATION_UNITS, text, len);
        if (unit == NULL) {
            return FT_E_SYNTAX;
        }
        text += len;
        uint64_t part = 0;
        too_large = too_large || err != FT_OK ||
                    __builtin_mul_overflow(value, unit->factor, &part) ||
                    __builtin_add_overflow(total, part, &total) || total > INT64_MAX;
    } while (*text != '\0');
    if (too_large) {
        return FT_E_RANGE;
    }
    *ret_ns = (int64_t)total;
    return FT_OK;
}

ft_err ft_parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t value;
    ft_err err = parse_digits(&text, &value);
    if (err == FT_E_SYNTAX) {
        return err;
    }
    const struct unit *unit = find_unit(size_units, N_SIZE_UNITS, text, strlen(text));
    if (unit == NULL) {
        return FT_E_SYNTAX;
    }
    uint64_t bytes;
    if (err != FT_OK || __builtin_mul_overflow(value, unit->factor, &bytes)) {
        return FT_E_RANGE;
    }
    *ret_bytes = bytes;
    return FT_OK;
}

ft_err ft_parse_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;
    ft_err err = parse_digits(&text, &value);
    if (err == FT_E_SYNTAX || *text != '\0') {
        return FT_E_SYNTAX;
    }
    if (err != FT_OK || value > max) {
        return FT_E_RANGE;
    }
    *ret_value = value;
    return FT_OK;
}

ft_err ft_parse_rfc3339(const char *text, int64_t *ret_real_ns)
{
    struct tm utc = {0};
    int64_t fraction_ns = 0;
    int64_t offset_s = 0;
    if (!parse_date(&text, &utc)) {
        return FT_E_SYNTAX;
    }
    if (*text != '\0' &&
        (!parse_time(&text, &utc, &fraction_ns) || !parse_offset(&text, &offset_s))) {
        return FT_E_SYNTAX;
    }
    int64_t seconds = (int64_t)timegm(&utc) - offset_s;
    int64_t ns;
    if (__builtin_mul_overflow(seconds, FT_NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, fraction_ns, &ns)) {
        return FT_E_RANGE;
    }
    *ret_real_ns = ns;
    return FT_OK;
}

void ft_format_duration(int64_t ns, char *buf, size_t size)
{
    /* In unsigned arithmetic the most negative value has a magnitude too. */
    uint64_t rest = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    char text[96];
    int at = snprintf(text, sizeof text, "%s", rest == 0 ? "0" : ns < 0 ? "-" : "");
    for (size_t i = 0; i < N_DURATION_UNITS && rest > 0; i++) {
        uint64_t count = rest / duration_units[i].factor;
        rest %= duration_units[i].factor;
        if (count > 0) {
            at += snprintf(text + at, sizeof text - (size_t)at, "%llu%s", (unsigned long long)count,
                           duration_units[i].name);
        }
    }
    (void)snprintf(buf, size, "%s", text);
}

void ft_format_size(uint64_t bytes, char *buf, size_t size)
{
    const char *name = "";
    uint64_t count = bytes;
    for (size_t i = 0; i < N_SIZE_UNITS_BINARY && bytes > 0; i++) {
        if (bytes % size_units[i].factor == 0) {
            count = bytes / size_units[i].factor;
            name = size_units[i].name;
            break;
        }
    }
    (void)snprintf(buf, size, "%llu%s", (unsigned long long)count, name);
}

/* At least one digit.  On FT_E_RANGE all digits are consumed, so that the rest can be checked. */
static ft_err parse_digits(const char **text, uint64_t *ret_value)
{
    const char *at = *text;
    uint64_t value = 0;
    bool too_large = false;
    while (*at >= '0' && *at <= '9') {
        too_large = too_large || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value);
        at++;
    }
    if (at == *text) {
        return FT_E_SYNTAX;
    }
    *text = at;
    *ret_value = value;
    return too_large ? FT_E_RANGE : FT_OK;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *text,
                                    size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

static bool fixed_digits(const char **text, unsigned n, int *ret_value)
{
    int value = 0;
    for (unsigned i = 0; i < n; i++) {
        char c = **text;
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
        (*text)++;
    }
    *ret_value = value;
    return true;
}

static bool skip(const char **text, char c)
{
    if (**text != c) {
        return false;
    }
    (*text)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool parse_date(const char **text, struct tm *utc)
{
    int year;
    int month;
    int day;
    if (!fixed_digits(text, 4, &year) || !skip(text, '-') || !fixed_digits(text, 2, &month) ||
        !skip(text, '-') || !fixed_digits(text, 2, &day) || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month)) {
        return false;
    }
    utc->tm_year = year - 1900;
    utc->tm_mon = month - 1;
    utc->tm_mday = day;
    return true;
}

/* RFC 3339 allows small letters, and a leap second, which counts as the second behind it. */
static bool parse_time(const char **text, struct tm *utc, int64_t *ret_fraction_ns)
{
    if ((!skip(text, 'T') && !skip(text, 't')) || !fixed_digits(text, 2, &utc->tm_hour) ||
        !skip(text, ':') || !fixed_digits(text, 2, &utc->tm_min) || !skip(text, ':') ||
        !fixed_digits(text, 2, &utc->tm_sec) || utc->tm_hour > 23 || utc->tm_min > 59 ||
        utc->tm_sec > 60) {
        return false;
    }
    *ret_fraction_ns = 0;
    if (!skip(text, '.')) {
        return true;
    }
    const char *first = *text;
    int64_t place = FT_NS_PER_S / 10;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        *ret_fraction_ns += place * (**text - '0');
        place /= 10;
    }
    return *text > first;
}

static bool parse_offset(const char **text, int64_t *ret_offset_s)
{
    int64_t sign = 1;
    if (skip(text, 'Z') || skip(text, 'z')) {
        *ret_offset_s = 0;
        return **text == '\0';
    }
    if (skip(text, '-')) {
        sign = -1;
    } else if (!skip(text, '+')) {
        return false;
    }
    int hours;
    int minutes;
    if (!fixed_digits(text, 2, &hours) || !skip(text, ':') || !fixed_digits(text, 2, &minutes) ||
        hours > 23 || minutes > 59 || **text != '\0') {
        return false;
    }
    *ret_offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}
