/* SPDX-License-Identifier: Apache-2.0 */
/* Windows from a budget, and times to come back. */
#include "collector/admission.h"

#include "base/clock.h"
#include "lib/test.h"

#define WINDOW  ((uint64_t)4 << 20)
#define BUDGET  ((uint64_t)16 << 20)
#define BACKLOG ((uint64_t)1000000) /* Events: more than any window. */

struct world {
    struct ft_admission admission;
    struct ft_random_seeded random;
    int64_t now_ns;
};

static void setup(struct world *world, uint64_t budget)
{
    ft_random_seeded_init(&world->random, 1);
    ft_admission_init(&world->admission, budget, WINDOW);
    world->now_ns = FT_NS_PER_S;
}

static struct ft_admission_verdict ask(struct world *world, uint64_t backlog)
{
    return ft_admission_ask(&world->admission, world->now_ns, backlog, &world->random.base);
}

static uint64_t granted(struct world *world)
{
    struct ft_admission_stats stats;
    ft_admission_stats(&world->admission, &stats);
    return stats.granted_bytes;
}

TEST(who_has_caught_up_is_always_let_in)
{
    struct world world;
    setup(&world, BUDGET);
    while (ask(&world, BACKLOG).admitted) {
    }
    struct ft_admission_verdict verdict = ask(&world, 0);
    CHECK(verdict.admitted);
    CHECK_INT(verdict.window_bytes, FT_ADMISSION_WINDOW_MIN);
    CHECK_INT(verdict.granted_bytes, 0);
    CHECK(ask(&world, FT_ADMISSION_WINDOW_MIN / FT_ADMISSION_EVENT_BYTES).admitted);
    CHECK(!ask(&world, FT_ADMISSION_WINDOW_MIN / FT_ADMISSION_EVENT_BYTES + 1).admitted);
    ft_admission_deinit(&world.admission);
}

TEST(windows_get_smaller_as_the_budget_does_and_never_exceed_it)
{
    struct world world;
    setup(&world, BUDGET);
    uint64_t before = UINT64_MAX;
    unsigned n = 0;
    for (;; n++) {
        struct ft_admission_verdict verdict = ask(&world, BACKLOG);
        CHECK(granted(&world) <= BUDGET);
        if (!verdict.admitted) {
            break;
        }
        CHECK(verdict.window_bytes <= before);
        CHECK(verdict.window_bytes >= FT_ADMISSION_WINDOW_MIN);
        CHECK_INT(verdict.granted_bytes, verdict.window_bytes);
        before = verdict.window_bytes;
    }
    CHECK(n > 20);
    CHECK(granted(&world) > BUDGET - FT_ADMISSION_WINDOW_MIN);
    ft_admission_deinit(&world.admission);
}

TEST(nobody_gets_more_than_its_backlog)
{
    struct world world;
    setup(&world, BUDGET);
    CHECK_INT(ask(&world, 10000).window_bytes, 10000 * FT_ADMISSION_EVENT_BYTES);
    CHECK_INT(ask(&world, UINT64_MAX).window_bytes, (BUDGET - 640000) / 8);
    ft_admission_deinit(&world.admission);
}

TEST(a_budget_below_one_window_lets_one_in_at_a_time)
{
    struct world world;
    setup(&world, 1000);
    struct ft_admission_verdict verdict = ask(&world, BACKLOG);
    CHECK(verdict.admitted);
    CHECK(!ask(&world, BACKLOG).admitted);
    ft_admission_give_back(&world.admission, world.now_ns, verdict.granted_bytes);
    CHECK(ask(&world, BACKLOG).admitted);
    ft_admission_deinit(&world.admission);
}

/* Ten places a second become free: whoever is sent away comes back about as often. */
TEST(times_to_come_back_are_as_far_apart_as_places_become_free)
{
    struct world world;
    setup(&world, BUDGET);
    uint64_t grants[1000];
    unsigned n = 0;
    for (struct ft_admission_verdict verdict; (verdict = ask(&world, BACKLOG)).admitted; n++) {
        grants[n] = verdict.granted_bytes;
    }
    for (unsigned i = 0; i < n; i++) {
        world.now_ns += FT_NS_PER_S / 10;
        ft_admission_give_back(&world.admission, world.now_ns, grants[i]);
        (void)ask(&world, BACKLOG);
    }
    while (ask(&world, BACKLOG).admitted) {
    }
    uint32_t first = ask(&world, BACKLOG).retry_after_ms;
    uint32_t last = 0;
    for (unsigned i = 0; i < 1000; i++) {
        last = ask(&world, BACKLOG).retry_after_ms;
        CHECK(last >= 1000);
    }
    CHECK(last - first > 80 * 1000);
    CHECK(last - first < 160 * 1000);
    /* And nobody for longer than an agent can keep its events. */
    for (unsigned i = 0; i < 100000; i++) {
        last = ask(&world, BACKLOG).retry_after_ms;
    }
    CHECK(last <= 380 * 1000);
    ft_admission_deinit(&world.admission);
}
