/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts that do not balance are told once for each change, some at a time. */
#include "collector/account_watch.h"

#include "lib/test.h"

/* So many that ought to be in the store are not. */
static void miss(void *ctx, struct ft_instance *instance)
{
    const uint64_t *n = ctx;
    instance->appended_seq = instance->stored_seq = instance->appended_events = 100;
    instance->stored_events = 100 - *n;
}

static void make(struct ft_instances *instances, uint8_t agent, uint64_t n_missing)
{
    struct ft_instance_key key = {{{agent}}, {{1}}};
    CHECK_OK(ft_instances_with(instances, &key, miss, &n_missing));
}

static uint64_t told(struct ft_instances *instances, uint8_t agent)
{
    struct ft_instance_key key = {{{agent}}, {{1}}};
    struct ft_instance instance;
    CHECK(ft_instances_get(instances, &key, &instance));
    return instance.complained_events;
}

TEST(each_change_is_told_once)
{
    struct ft_instances *instances;
    CHECK_OK(ft_instances_create(&instances));
    CHECK_INT(ft_account_watch(instances), 0);
    make(instances, 1, 0);
    make(instances, 2, 0);
    CHECK_INT(ft_account_watch(instances), 0);
    make(instances, 2, 7);
    CHECK_INT(ft_account_watch(instances), 1);
    CHECK_INT(told(instances, 2), 7);
    CHECK_INT(ft_account_watch(instances), 0);
    make(instances, 2, 8);
    CHECK_INT(ft_account_watch(instances), 1);
    make(instances, 2, 0);
    CHECK_INT(ft_account_watch(instances), 1);
    CHECK_INT(told(instances, 2), 0);
    CHECK_INT(ft_account_watch(instances), 0);
    ft_instances_destroy(instances);
}

TEST(many_are_told_some_at_a_time)
{
    struct ft_instances *instances;
    CHECK_OK(ft_instances_create(&instances));
    for (uint8_t agent = 1; agent <= 2 * FT_ACCOUNT_WATCH_TELL_MAX + 3; agent++) {
        make(instances, agent, agent);
    }
    CHECK_INT(ft_account_watch(instances), FT_ACCOUNT_WATCH_TELL_MAX);
    CHECK_INT(ft_account_watch(instances), FT_ACCOUNT_WATCH_TELL_MAX);
    CHECK_INT(ft_account_watch(instances), 3);
    CHECK_INT(ft_account_watch(instances), 0);
    for (uint8_t agent = 1; agent <= 2 * FT_ACCOUNT_WATCH_TELL_MAX + 3; agent++) {
        CHECK_INT(told(instances, agent), agent);
    }
    ft_instances_destroy(instances);
}
