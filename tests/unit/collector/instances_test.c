/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/instances.h"

#include <stdlib.h>

#include "lib/test.h"

static struct ft_instance_key key_of(uint32_t number)
{
    struct ft_instance_key key = {{{0}}, {{0}}};
    memcpy(key.agent_id.bytes, &number, sizeof number);
    key.instance_id.bytes[15] = 1;
    return key;
}

static void set_time(void *ctx, struct ft_instance *instance)
{
    instance->last_heard_ns = *(int64_t *)ctx;
}

static void connect_it(void *ctx, struct ft_instance *instance)
{
    (void)ctx;
    instance->connected = true;
}

TEST(at_the_bound_the_longest_silent_one_makes_room)
{
    FT_CLEANUP(ft_instances_destroy) struct ft_instances *instances = NULL;
    CHECK_OK(ft_instances_create(&instances));
    struct ft_instance_key key;
    for (uint32_t i = 0; i < FT_INSTANCES_MAX; i++) {
        key = key_of(i);
        int64_t heard_ns = 1000 + (int64_t)((i * 7919) % FT_INSTANCES_MAX);
        CHECK_OK(ft_instances_with(instances, &key, set_time, &heard_ns));
    }
    int64_t now_ns = 1000000;
    key = key_of(FT_INSTANCES_MAX);
    CHECK_OK(ft_instances_with(instances, &key, set_time, &now_ns));
    struct ft_instance instance;
    key = key_of(0); /* Heard first of all. */
    CHECK(!ft_instances_get(instances, &key, &instance));
    for (uint32_t i = 1; i <= FT_INSTANCES_MAX; i++) {
        key = key_of(i);
        CHECK(ft_instances_get(instances, &key, &instance));
    }
}

TEST(connected_instances_never_make_room)
{
    FT_CLEANUP(ft_instances_destroy) struct ft_instances *instances = NULL;
    CHECK_OK(ft_instances_create(&instances));
    struct ft_instance_key key;
    for (uint32_t i = 0; i < FT_INSTANCES_MAX; i++) {
        key = key_of(i);
        CHECK_OK(ft_instances_with(instances, &key, connect_it, NULL));
    }
    CHECK_INT(ft_instances_connected(instances), FT_INSTANCES_MAX);
    key = key_of(FT_INSTANCES_MAX);
    CHECK_ERR(ft_instances_with(instances, &key, connect_it, NULL), FT_E_FULL);
}
