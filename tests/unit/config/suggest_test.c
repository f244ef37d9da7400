/* SPDX-License-Identifier: Apache-2.0 */
#include "config/suggest.h"

#include <stdio.h>

#include "lib/test.h"

TEST(distance_counts_single_steps)
{
    CHECK_INT(ft_suggest_distance("", ""), 0);
    CHECK_INT(ft_suggest_distance("abc", "abc"), 0);
    CHECK_INT(ft_suggest_distance("abc", "abxc"), 1);
    CHECK_INT(ft_suggest_distance("abxc", "abc"), 1);
    CHECK_INT(ft_suggest_distance("abc", "axc"), 1);
    CHECK_INT(ft_suggest_distance("abcd", "abdc"), 1);
    CHECK_INT(ft_suggest_distance("kitten", "sitting"), 3);
    CHECK_INT(ft_suggest_distance("", "abc"), 3);
}

TEST(nearest_is_kept_and_far_ones_are_not)
{
    struct ft_suggest suggest = {.word = "log.byte_max"};
    ft_suggest_offer(&suggest, "collector.url");
    CHECK_STR(suggest.best, "");
    ft_suggest_offer(&suggest, "log.bytes_min");
    ft_suggest_offer(&suggest, "log.bytes_max");
    ft_suggest_offer(&suggest, "log.bytes_mix");
    CHECK_STR(suggest.best, "log.bytes_max");
}

TEST(shortened_flag_is_the_nearest)
{
    struct ft_suggest suggest = {.word = "--prot"};
    ft_suggest_offer(&suggest, "--port");
    CHECK_STR(suggest.best, "--port");
    ft_suggest_offer(&suggest, "--protocol");
    CHECK_STR(suggest.best, "--protocol");
    struct ft_suggest too_short = {.word = "--pr"};
    ft_suggest_offer(&too_short, "--protocol");
    CHECK_STR(too_short.best, "");
}

TEST(longest_names_do_not_overflow)
{
    char longest[FT_SUGGEST_LEN_MAX + 1];
    char longer[FT_SUGGEST_LEN_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK_INT(ft_suggest_distance(longest, ""), FT_SUGGEST_LEN_MAX);
    struct ft_suggest suggest = {.word = longest};
    ft_suggest_offer(&suggest, longer);
    CHECK_STR(suggest.best, "");
    ft_suggest_offer(&suggest, longest);
    CHECK_STR(suggest.best, longest);
}
