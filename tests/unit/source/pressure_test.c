/* SPDX-License-Identifier: Apache-2.0 */
#include "source/pressure.h"

#include "lib/test.h"

#define WINDOW_NS (100 * FT_NS_PER_MS)

/* So many windows with so much time without room each. */
static bool pass(struct ft_pressure *pressure, unsigned n, int64_t no_room_ms)
{
    bool on = pressure->on;
    for (unsigned i = 0; i < n; i++) {
        on = ft_pressure_update(pressure, WINDOW_NS, no_room_ms * FT_NS_PER_MS, false);
    }
    return on;
}

TEST(moments_without_room_are_none)
{
    struct ft_pressure pressure;
    ft_pressure_init(&pressure);
    CHECK(!pass(&pressure, 1, 100)); /* At the very beginning, too. */
    CHECK(!pass(&pressure, 9, 0));
    for (unsigned i = 0; i < 100; i++) {
        CHECK(!pass(&pressure, 1, 100));
        CHECK(!pass(&pressure, 19, 0));
    }
    CHECK(!pass(&pressure, 100, 15));
}

TEST(a_share_of_the_time_is_and_goes_late)
{
    struct ft_pressure pressure;
    ft_pressure_init(&pressure);
    CHECK(pass(&pressure, 50, 30));
    CHECK(pass(&pressure, 50, 10)); /* Between the bounds it stays … */
    CHECK(!pass(&pressure, 50, 2));
    CHECK(!pass(&pressure, 50, 10)); /* … either way. */
}

TEST(a_drop_is_pressure_at_once)
{
    struct ft_pressure pressure;
    ft_pressure_init(&pressure);
    CHECK(ft_pressure_update(&pressure, WINDOW_NS, 0, true));
    CHECK(!ft_pressure_update(&pressure, WINDOW_NS, 0, false));
}

TEST(a_long_wait_counts_as_one_span)
{
    struct ft_pressure pressure;
    ft_pressure_init(&pressure);
    CHECK(ft_pressure_update(&pressure, 50 * FT_NS_PER_S, 50 * FT_NS_PER_S, false));
    CHECK(pass(&pressure, 10, 0));
    CHECK(!pass(&pressure, 40, 0));
}
