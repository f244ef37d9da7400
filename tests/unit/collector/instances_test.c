/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/instances.h"

#include <stdlib.h>

#include "collector/shelf.h"
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

static void store_some(void *ctx, struct ft_instance *instance)
{
    const uint64_t *seq = ctx;
    instance->appended_seq = *seq;
    instance->durable_seq = *seq;
    instance->stored_seq = *seq;
    instance->kept_seq = *seq - 1;
    instance->stored_events = *seq;
}

static void nothing(void *ctx, struct ft_instance *instance)
{
    (void)ctx;
    (void)instance;
}

TEST(one_that_made_room_goes_on_where_it_was)
{
    FT_CLEANUP(ft_instances_destroy) struct ft_instances *instances = NULL;
    CHECK_OK(ft_instances_create(&instances));
    struct ft_instance_key first = key_of(0);
    uint64_t seq = 500;
    CHECK_OK(ft_instances_with(instances, &first, store_some, &seq));
    int64_t now_ns = 1000;
    for (uint32_t i = 1; i <= FT_INSTANCES_MAX; i++) {
        struct ft_instance_key key = key_of(i);
        CHECK_OK(ft_instances_with(instances, &key, set_time, &now_ns));
    }
    struct ft_instance instance;
    CHECK(!ft_instances_get(instances, &first, &instance));
    CHECK_OK(ft_instances_with(instances, &first, nothing, NULL));
    CHECK(ft_instances_get(instances, &first, &instance));
    CHECK_INT(instance.durable_seq, 500);
    CHECK_INT(instance.appended_seq, 500);
    CHECK_INT(instance.kept_seq, 499);
    CHECK_INT(instance.stored_events, 500);
}

static struct ft_shelved shelved(uint32_t number)
{
    struct ft_instance_key key = key_of(number);
    return (struct ft_shelved){
        .agent_id = key.agent_id, .instance_id = key.instance_id, .durable_seq = number + 1};
}

TEST(the_shelf_forgets_the_oldest_and_finds_all_others)
{
    struct ft_shelf shelf = {0};
    struct ft_shelved position;
    struct ft_instance_key key = key_of(1);
    CHECK(!ft_shelf_take(&shelf, &key.agent_id, &key.instance_id, &position));
    const uint32_t n = FT_SHELF_MAX + FT_SHELF_MAX / 2;
    for (uint32_t i = 0; i < n; i++) {
        struct ft_shelved one = shelved(i);
        ft_shelf_put(&shelf, &one);
        if (i % 3 == 0) { /* These return at once. */
            CHECK(ft_shelf_take(&shelf, &one.agent_id, &one.instance_id, &position));
            CHECK_INT(position.durable_seq, i + 1);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        key = key_of(i);
        bool there = ft_shelf_take(&shelf, &key.agent_id, &key.instance_id, &position);
        CHECK_INT(there, i % 3 != 0 && i >= n - FT_SHELF_MAX);
        CHECK(!there || position.durable_seq == i + 1);
    }
    ft_shelf_deinit(&shelf);
}
