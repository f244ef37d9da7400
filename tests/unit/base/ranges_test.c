/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ranges.h"

#include <string.h>

#include "base/random.h"
#include "lib/test.h"

TEST(ranges_join_and_fall_apart)
{
    struct ft_ranges ranges = {0};
    CHECK(ft_ranges_add(&ranges, 10, 20));
    CHECK(ft_ranges_add(&ranges, 40, 50));
    CHECK(ft_ranges_add(&ranges, 30, 20)); /* Nothing. */
    CHECK_INT(ranges.n, 2);
    CHECK_INT(ft_ranges_overlap(&ranges, 15, 44), 11);
    CHECK(ft_ranges_add(&ranges, 21, 39));
    CHECK_INT(ranges.n, 1);
    CHECK_INT(ft_ranges_overlap(&ranges, 0, UINT64_MAX), 41);
    ft_ranges_remove(&ranges, 20, 24);
    CHECK_INT(ranges.n, 2);
    CHECK_INT(ranges.at[0].last, 19);
    CHECK_INT(ranges.at[1].first, 25);
    ft_ranges_remove(&ranges, 15, 60);
    CHECK_INT(ranges.n, 1);
    CHECK_INT(ranges.at[0].last, 14);
    ft_ranges_remove(&ranges, 1, 14);
    CHECK_INT(ranges.n, 0);
}

TEST(a_full_set_takes_no_more)
{
    struct ft_ranges ranges = {0};
    for (uint64_t i = 0; i < FT_RANGES_MAX; i++) {
        CHECK(ft_ranges_add(&ranges, 10 * i + 1, 10 * i + 5));
    }
    CHECK(!ft_ranges_add(&ranges, 1000, 1001));
    CHECK(ft_ranges_add(&ranges, 6, 10)); /* Joins two. */
    CHECK(ft_ranges_add(&ranges, 1000, 1001));
    CHECK(!ft_ranges_add(&ranges, 2000, 2001));
    ft_ranges_remove(&ranges, 7, 7);
    CHECK_INT(ranges.n, FT_RANGES_MAX);
    CHECK_INT(ft_ranges_overlap(&ranges, 1, 15), 6); /* The upper part went with it. */
}

TEST(it_is_what_a_plain_set_is)
{
    static bool plain[200];
    memset(plain, 0, sizeof plain);
    struct ft_ranges ranges = {0};
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 7);
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t first = 1 + ft_random_below(&random.base, 190);
        uint64_t last = first + ft_random_below(&random.base, 9);
        if (ranges.n < FT_RANGES_MAX && ft_random_below(&random.base, 2) == 0) {
            CHECK(ft_ranges_add(&ranges, first, last));
            memset(plain + first, true, last - first + 1);
        } else if (ranges.n < FT_RANGES_MAX || last > 150) {
            bool may_split = ranges.n == FT_RANGES_MAX;
            if (!may_split) {
                ft_ranges_remove(&ranges, first, last);
                memset(plain + first, false, last - first + 1);
            }
        } else {
            ft_ranges_remove(&ranges, 1, last);
            memset(plain, false, last + 1);
        }
        uint64_t from = 1 + ft_random_below(&random.base, 199);
        uint64_t n = 0;
        for (uint64_t i = from; i < 200; i++) {
            n += plain[i];
        }
        CHECK_INT(ft_ranges_overlap(&ranges, from, 199), n);
    }
}
