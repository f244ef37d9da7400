/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own account: the equation, and when a difference is told. */
#include "agent/balance.h"

#include "lib/test.h"

static struct ft_msg_status balanced(void)
{
    struct ft_msg_status status = {.observed_events = 100,
                                   .acknowledged_events = 50,
                                   .retained_events = 30,
                                   .merged_events = 5,
                                   .filtered_events = 1000};
    status.lost[FT_LOSS_LOG_FULL] = 12;
    status.lost[FT_LOSS_CAUSE_N - 1] = 3;
    return status;
}

TEST(each_term_counts)
{
    struct ft_msg_status status = balanced();
    CHECK_INT(ft_balance_lost(&status), 15);
    CHECK_INT(ft_balance_off(&status), 0);
    status.observed_events += 7;
    CHECK_INT(ft_balance_off(&status), 7);
    uint64_t *const terms[] = {&status.acknowledged_events, &status.retained_events,
                               &status.merged_events, &status.lost[0], &status.lost[1]};
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++) {
        *terms[i] += 7;
        CHECK_INT(ft_balance_off(&status), 0);
        *terms[i] += 7;
        CHECK_INT(ft_balance_off(&status), 7);
        *terms[i] -= 14;
        CHECK_INT(ft_balance_off(&status), 7);
    }
    status.filtered_events = 0;
    CHECK_INT(ft_balance_off(&status), 7);
}

TEST(a_difference_is_told_when_it_was_seen_twice_and_once)
{
    struct ft_balance_watch watch = {0};
    CHECK(!ft_balance_is_news(&watch, 0));
    CHECK(!ft_balance_is_news(&watch, 5));
    CHECK(!ft_balance_is_news(&watch, 0));
    CHECK(!ft_balance_is_news(&watch, 5));
    CHECK(ft_balance_is_news(&watch, 5));
    CHECK(!ft_balance_is_news(&watch, 5));
    CHECK(!ft_balance_is_news(&watch, 8));
    CHECK(ft_balance_is_news(&watch, 8));
    CHECK(!ft_balance_is_news(&watch, 0));
    CHECK(!ft_balance_is_news(&watch, 8));
    CHECK(!ft_balance_is_news(&watch, 0));
    CHECK(ft_balance_is_news(&watch, 0));
    CHECK(!ft_balance_is_news(&watch, 0));
}
