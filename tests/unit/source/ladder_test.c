/* SPDX-License-Identifier: Apache-2.0 */
#include "source/ladder.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "lib/test.h"

/*
 * Runs tests/golden/source/NAME.in and compares with NAME.out.  A line is "seconds rate [!]": from
 * there on, so many flows a second, with pressure at '!'; updates come each 100 ms.
 */
static void run_script(const char *name, enum ft_ladder_mode mode)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/source/%s.in", FT_TESTS_DIR, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    struct ft_buf out;
    ft_buf_init(&out, 0);
    struct ft_ladder_options options = ft_ladder_options_default;
    options.mode = mode;
    struct ft_ladder ladder;
    ft_ladder_init(&ladder, &options);
    ft_buf_addf(&out, "%8.1f %s\n", 0.0, ft_ladder_step_name(ladder.step));
    struct ft_ladder_input input = {0};
    int64_t now = 0;
    char line[128];
    while (fgets(line, sizeof line, file) != NULL) {
        char *rest;
        int64_t until = (int64_t)(strtod(line, &rest) * 10) * 100 * FT_NS_PER_MS;
        if (rest == line) {
            continue; /* A comment. */
        }
        for (; now < until; now += 100 * FT_NS_PER_MS) {
            if (ft_ladder_update(&ladder, now, &input)) {
                ft_buf_addf(&out, "%8.1f %s\n", (double)now / 1e9,
                            ft_ladder_step_name(ladder.step));
            }
        }
        input.flows_per_s = strtoull(rest, &rest, 10);
        input.pressure = strchr(rest, '!') != NULL;
        ft_buf_addf(&out, "%8.1f   %llu flows/s%s\n", (double)now / 1e9,
                    (unsigned long long)input.flows_per_s, input.pressure ? ", pressure" : "");
    }
    fclose(file);
    char golden[64];
    (void)snprintf(golden, sizeof golden, "source/%s.out", name);
    CHECK_OK(out.err);
    CHECK_GOLDEN(golden, out.data, out.size);
    ft_buf_deinit(&out);
}

TEST(sheds_at_once_and_recovers_step_by_step) { run_script("ladder_storm", FT_LADDER_ADAPTIVE); }
TEST(does_not_swing_at_a_bound) { run_script("ladder_swing", FT_LADDER_ADAPTIVE); }
TEST(yields_to_pressure) { run_script("ladder_pressure", FT_LADDER_ADAPTIVE); }

TEST(fixed_modes_stay)
{
    struct ft_ladder ladder;
    struct ft_ladder_options options = ft_ladder_options_default;
    struct ft_ladder_input storm = {.flows_per_s = 1000000, .pressure = true};
    struct ft_ladder_input calm = {.flows_per_s = 0};
    options.mode = FT_LADDER_FIXED_FULL;
    ft_ladder_init(&ladder, &options);
    CHECK(!ft_ladder_update(&ladder, 0, &storm));
    CHECK_INT(ladder.step, FT_LADDER_FULL);
    options.mode = FT_LADDER_FIXED_DESTROY_ONLY;
    ft_ladder_set_options(&ladder, &options);
    CHECK(ft_ladder_update(&ladder, 1, &calm));
    CHECK_INT(ladder.step, FT_LADDER_DESTROY_ONLY);
    CHECK(!ft_ladder_update(&ladder, 1000 * FT_NS_PER_S, &calm));
    options.mode = FT_LADDER_ADAPTIVE;
    ft_ladder_set_options(&ladder, &options);
    CHECK(!ft_ladder_update(&ladder, 1000 * FT_NS_PER_S, &calm));
    CHECK(ft_ladder_update(&ladder, 1011 * FT_NS_PER_S, &calm));
    CHECK_INT(ladder.step, FT_LADDER_NO_UPDATE);
}
