/* SPDX-License-Identifier: Apache-2.0 */
#include "export/lives.h"

#include "lib/test.h"

static const struct ft_lives three = {.n = 3, .at = {{11, 1}, {22, 101}, {33, 201}}};

TEST(what_the_collector_has_of_our_lives_is_ours)
{
    CHECK_INT(ft_lives_fork(&three, 0, 1, 11), 0);
    CHECK_INT(ft_lives_fork(&three, 0, 100, 11), 0);
    CHECK_INT(ft_lives_fork(&three, 100, 150, 22), 0);
    CHECK_INT(ft_lives_fork(&three, 100, 200, 22), 0);
    CHECK_INT(ft_lives_fork(&three, 100, 201, 33), 0);
    CHECK_INT(ft_lives_fork(&three, 250, 100000, 33), 0); /* Others look at what was ever sent. */
}

TEST(a_life_that_went_on_elsewhere_is_another_from_our_next_one_on)
{
    CHECK_INT(ft_lives_fork(&three, 0, 101, 11), 101);
    CHECK_INT(ft_lives_fork(&three, 50, 5000, 11), 101);
    CHECK_INT(ft_lives_fork(&three, 150, 201, 22), 201);
}

TEST(an_unknown_life_may_have_begun_behind_whatever_is_done_with)
{
    CHECK_INT(ft_lives_fork(&three, 50, 150, 99), 51);
    CHECK_INT(ft_lives_fork(&three, 50, 51, 99), 51);
    CHECK_INT(ft_lives_fork(&three, 100, 150, 99), 101);
    CHECK_INT(ft_lives_fork(&three, 101, 250, 99), 102);
    CHECK_INT(ft_lives_fork(&three, 220, 250, 99), 221);
}

TEST(what_is_older_than_the_instance_is_common_to_all_of_it)
{
    struct ft_lives lives = three;
    lives.n = 2;
    ft_lives_begin_instance(&lives);
    CHECK_INT(lives.common_seq, 101);
    CHECK_INT(ft_lives_fork(&lives, 50, 250, 99), 101);
    CHECK_INT(ft_lives_fork(&lives, 50, 100, 99), 0);
    lives.n = 3;
    CHECK_INT(ft_lives_fork(&lives, 150, 250, 99), 151);
    struct ft_lives none = {0};
    ft_lives_begin_instance(&none);
    CHECK_INT(none.common_seq, 0);
}

TEST(one_of_our_own_that_was_forgotten_is_no_fork)
{
    struct ft_lives lives = {.n = 2, .at = {{22, 101}, {33, 201}}};
    CHECK_INT(ft_lives_fork(&lives, 50, 100, 11), 0);
    CHECK_INT(ft_lives_fork(&lives, 100, 101, 11), 101);
}

TEST(without_a_life_or_news_there_is_nothing_to_say)
{
    struct ft_lives none = {0};
    CHECK_INT(ft_lives_fork(&none, 0, 100, 99), 0);
    CHECK_INT(ft_lives_present(&none), 0);
    CHECK_INT(ft_lives_present(&three), 33);
    CHECK_INT(ft_lives_fork(&three, 50, 150, 0), 0);
    CHECK_INT(ft_lives_fork(&three, 150, 150, 99), 0);
    CHECK_INT(ft_lives_fork(&three, 150, 120, 11), 0);
}

TEST(lives_that_are_done_with_are_forgotten)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    struct ft_lives lives = three;
    ft_lives_begin(&lives, &random.base, 301, 99);
    CHECK_INT(lives.n, 4);
    lives = three;
    ft_lives_begin(&lives, &random.base, 301, 100);
    CHECK_INT(lives.n, 3);
    CHECK_INT(lives.at[0].id, 22);
    CHECK_INT(lives.at[2].first_seq, 301);
    CHECK(lives.at[2].id != 0);
    lives = three;
    ft_lives_begin(&lives, &random.base, 301, 299);
    CHECK_INT(lives.n, 2);
    ft_lives_begin(&lives, &random.base, 301, 300);
    CHECK_INT(lives.n, 1);
    CHECK_INT(lives.at[0].first_seq, 301);
}

TEST(at_the_bound_the_oldest_is_forgotten)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    struct ft_lives lives = {0};
    for (unsigned i = 0; i < FT_LIVES_MAX + 3; i++) {
        ft_lives_begin(&lives, &random.base, 10 * i + 11, 0);
    }
    CHECK_INT(lives.n, FT_LIVES_MAX);
    CHECK_INT(lives.at[0].first_seq, 41);
    CHECK_INT(lives.at[FT_LIVES_MAX - 1].first_seq, 10 * (FT_LIVES_MAX + 2) + 11);
    for (unsigned i = 1; i < FT_LIVES_MAX; i++) {
        CHECK(lives.at[i].id != lives.at[i - 1].id);
    }
}
