/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's file: over restarts, kills, power cuts and full disks. */
#include "collector/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/fault_disk.h"
#include "lib/test.h"

#define NOW_NS (INT64_C(1800000000) * FT_NS_PER_S)

struct world {
    struct ft_disk *disk;
    struct ft_instances *instances;
    struct ft_ledger *ledger;
};

static void start(struct world *world)
{
    CHECK_OK(ft_instances_create(&world->instances));
    CHECK_OK(ft_ledger_open(world->disk, world->instances, NOW_NS, &world->ledger));
}

static void stop(struct world *world)
{
    ft_ledger_close(world->ledger);
    ft_instances_destroy(world->instances);
    world->ledger = NULL;
    world->instances = NULL;
}

static void setup(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->disk = ft_fault_disk_create(1);
    start(world);
}

static void teardown(struct world *world)
{
    stop(world);
    ft_disk_destroy(world->disk);
}

static struct ft_instance_key key_of(uint32_t number)
{
    struct ft_instance_key key = {{{0}}, {{1}}};
    memcpy(key.agent_id.bytes, &number, sizeof number);
    return key;
}

/* All numbers are made of one. */
static void set(void *ctx, struct ft_instance *instance)
{
    uint64_t n = *(const uint64_t *)ctx;
    (void)snprintf(instance->host_name, sizeof instance->host_name, "host-%llu",
                   (unsigned long long)n);
    (void)snprintf(instance->principal, sizeof instance->principal, "token-%llu",
                   (unsigned long long)n);
    instance->last_heard_ns = NOW_NS - (int64_t)n;
    instance->kept_seq = 10 * n;
    instance->durable_seq = 10 * n;
    instance->appended_seq = 9 * n;
    instance->stored_seq = 9 * n;
    instance->settled_position = n;
    instance->appended_events = 6 * n;
    instance->received_events = 11 * n;
    instance->quarantined_events = n;
    instance->damaged_events = 2 * n;
    instance->duplicate_events = 3 * n;
    instance->rejected_events = 4 * n;
    instance->lost_events[FT_LOSS_LOG_FULL] = 5 * n;
    instance->told = (struct ft_told){.known = true,
                                      .time_ns = NOW_NS,
                                      .observed_events = 20 * n,
                                      .acknowledged_events = 10 * n,
                                      .retained_events = 7 * n,
                                      .filtered_events = 8 * n,
                                      .our_appended_events = 10 * n};
    instance->told.lost[FT_LOSS_LOG_FULL] = 3 * n;
}

static void put(struct world *world, uint32_t number, uint64_t n)
{
    struct ft_instance_key key = key_of(number);
    CHECK_OK(ft_instances_with(world->instances, &key, set, &n));
}

/* The number that all were made of; 0: it is not there. */
static uint64_t get(struct world *world, uint32_t number)
{
    struct ft_instance_key key = key_of(number);
    struct ft_instance instance;
    if (!ft_instances_get(world->instances, &key, &instance)) {
        return 0;
    }
    uint64_t n = instance.quarantined_events;
    char name[64];
    (void)snprintf(name, sizeof name, "host-%llu", (unsigned long long)n);
    CHECK_STR(instance.host_name, name);
    (void)snprintf(name, sizeof name, "token-%llu", (unsigned long long)n);
    CHECK_STR(instance.principal, name);
    CHECK_INT(instance.received_events, 11 * n);
    CHECK_INT(instance.expected_events, 6 * n);
    CHECK_INT(instance.appended_events, 0);
    CHECK_INT(instance.damaged_events, 2 * n);
    CHECK_INT(instance.duplicate_events, 3 * n);
    CHECK_INT(instance.rejected_events, 4 * n);
    CHECK_INT(instance.settled_position, n);
    CHECK_INT(instance.restored_kept_seq, 10 * n);
    CHECK_INT(instance.restored_stored_seq, 9 * n);
    CHECK_INT(instance.lost_events[FT_LOSS_LOG_FULL], 5 * n);
    CHECK(instance.told.known);
    CHECK_INT(instance.told.observed_events, 20 * n);
    CHECK_INT(instance.told.acknowledged_events, 10 * n);
    CHECK_INT(instance.told.retained_events, 7 * n);
    CHECK_INT(instance.told.filtered_events, 8 * n);
    CHECK_INT(instance.told.our_appended_events, 10 * n);
    CHECK_INT(instance.told.lost[FT_LOSS_LOG_FULL], 3 * n);
    /* Positions are for store and log to say. */
    CHECK_INT(instance.kept_seq, 0);
    CHECK_INT(instance.appended_seq, 0);
    CHECK_INT(instance.stored_seq, 0);
    return n;
}

static void append_unsynced(void *ctx, struct ft_instance *instance)
{
    (void)ctx;
    instance->appended_seq = instance->durable_seq + 5;
    instance->appended_events += 5;
}

static uint64_t expected(struct world *world)
{
    struct ft_instance_key key = key_of(1);
    struct ft_instance instance;
    stop(world);
    start(world);
    CHECK(ft_instances_get(world->instances, &key, &instance));
    return instance.expected_events;
}

TEST(what_was_missed_once_is_missed_until_the_agent_speaks)
{
    struct world world;
    setup(&world);
    put(&world, 1, 10);
    /* What was not synced the agent still has. */
    struct ft_instance_key key = key_of(1);
    CHECK_OK(ft_instances_with(world.instances, &key, append_unsynced, NULL));
    CHECK_OK(ft_ledger_write(world.ledger, true));
    CHECK_INT(expected(&world), 60);
    /* Store and log have nothing of it, and the next start finds that still. */
    ft_instances_mark_all_dirty(world.instances);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    CHECK_INT(expected(&world), 60);
    teardown(&world);
}

TEST(what_was_written_is_there_after_a_kill)
{
    struct world world;
    setup(&world);
    for (uint32_t i = 1; i <= 200; i++) {
        put(&world, i, i);
    }
    CHECK_OK(ft_ledger_write(world.ledger, false));
    put(&world, 7, 1007); /* Not written. */
    stop(&world);
    ft_fault_disk_restart(world.disk, FT_FAULT_KILL);
    start(&world);
    for (uint32_t i = 1; i <= 200; i++) {
        CHECK_INT(get(&world, i), i);
    }
    teardown(&world);
}

TEST(only_what_changed_is_written)
{
    struct world world;
    setup(&world);
    for (uint32_t i = 1; i <= 200; i++) {
        put(&world, i, i);
    }
    CHECK_OK(ft_ledger_write(world.ledger, false));
    CHECK_INT(ft_ledger_stats(world.ledger)->writes, 200);
    put(&world, 7, 1007);
    put(&world, 7, 1008);
    CHECK_OK(ft_ledger_write(world.ledger, false));
    CHECK_INT(ft_ledger_stats(world.ledger)->writes, 201);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    CHECK_INT(ft_ledger_stats(world.ledger)->writes, 201);
    teardown(&world);
}

/* At each call that changes anything: each instance is as it was synced, or newer. */
static bool check_cut_at(uint64_t change, enum ft_fault_cut cut)
{
    struct world world;
    uint64_t synced[6] = {0};
    uint64_t latest[6] = {0};
    setup(&world);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    ft_fault_disk_stop_at(world.disk, change);
    uint64_t n = 0;
    for (unsigned round = 0; round < 12 && !ft_fault_disk_stopped(world.disk); round++) {
        for (uint32_t i = 1; i <= 5; i++) {
            if ((round + i) % 3 != 0) {
                put(&world, i, ++n);
                latest[i] = n;
            }
        }
        bool sync = round % 4 == 3;
        if (ft_ledger_write(world.ledger, sync) == FT_OK && sync) {
            memcpy(synced, latest, sizeof synced);
        }
    }
    bool stopped = ft_fault_disk_stopped(world.disk);
    stop(&world);
    ft_fault_disk_restart(world.disk, cut);
    start(&world);
    for (uint32_t i = 1; i <= 5; i++) {
        uint64_t found = get(&world, i);
        CHECK(found >= synced[i]);
        CHECK(found <= latest[i]);
    }
    CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
    teardown(&world);
    return stopped;
}

TEST(a_power_cut_at_any_moment_leaves_what_was_synced_or_newer)
{
    static const enum ft_fault_cut cuts[] = {FT_FAULT_KILL, FT_FAULT_LOSE, FT_FAULT_TEAR};
    for (size_t i = 0; i < 3; i++) {
        uint64_t change = 1;
        while (check_cut_at(change, cuts[i])) {
            change++;
        }
        CHECK(change > 40);
    }
}

TEST(a_ledger_that_was_just_made_survives_a_power_cut)
{
    for (uint64_t change = 1; change < 8; change++) {
        struct ft_disk *disk = ft_fault_disk_create(change);
        struct ft_instances *instances = NULL;
        struct ft_ledger *ledger = NULL;
        CHECK_OK(ft_instances_create(&instances));
        ft_fault_disk_stop_at(disk, change);
        if (ft_ledger_open(disk, instances, NOW_NS, &ledger) == FT_OK) {
            ft_ledger_close(ledger);
        }
        ft_fault_disk_restart(disk, FT_FAULT_TEAR);
        CHECK_OK(ft_ledger_open(disk, instances, NOW_NS, &ledger));
        ft_ledger_close(ledger);
        ft_instances_destroy(instances);
        ft_disk_destroy(disk);
    }
}

TEST(a_failed_sync_has_everything_written_again_and_is_not_repeated)
{
    struct world world;
    setup(&world);
    put(&world, 1, 1);
    put(&world, 2, 2);
    ft_fault_disk_fail(world.disk, FT_FAULT_SYNC, 1, 1, ft_err_from_errno(EIO));
    CHECK_ERR(ft_ledger_write(world.ledger, true), ft_err_from_errno(EIO));
    CHECK_INT(ft_ledger_stats(world.ledger)->failures, 1);
    /* Also half the new file may fail. */
    ft_fault_disk_fail(world.disk, FT_FAULT_SYNC, 1, 1, ft_err_from_errno(EIO));
    CHECK_ERR(ft_ledger_write(world.ledger, false), ft_err_from_errno(EIO));
    CHECK_OK(ft_ledger_write(world.ledger, false));
    put(&world, 3, 3);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
    stop(&world);
    ft_fault_disk_restart(world.disk, FT_FAULT_LOSE);
    start(&world);
    CHECK_INT(get(&world, 1), 1);
    CHECK_INT(get(&world, 2), 2);
    CHECK_INT(get(&world, 3), 3);
    teardown(&world);
}

/* What the last process could not sync is read from the cache, and is not on the disk. */
TEST(a_failed_sync_of_an_earlier_process_is_made_good)
{
    for (unsigned n_failing = 1; n_failing <= 3; n_failing++) {
        struct world world;
        setup(&world);
        put(&world, 1, 1);
        put(&world, 2, 1);
        put(&world, 3, 1); /* In another page of the cache than the first. */
        CHECK_OK(ft_ledger_write(world.ledger, true));
        put(&world, 1, 2);
        ft_fault_disk_fail(world.disk, FT_FAULT_SYNC, 1, n_failing, ft_err_from_errno(EIO));
        CHECK_ERR(ft_ledger_write(world.ledger, true), ft_err_from_errno(EIO));
        stop(&world);
        start(&world);
        CHECK_INT(get(&world, 1), 2);
        put(&world, 3, 2);
        if (n_failing > 1) {
            put(&world, 1, 2); /* As store and log say. */
        }
        for (unsigned i = 2; i < n_failing; i++) {
            CHECK_ERR(ft_ledger_write(world.ledger, true), ft_err_from_errno(EIO));
        }
        CHECK_OK(ft_ledger_write(world.ledger, true));
        CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
        stop(&world);
        ft_fault_disk_restart(world.disk, FT_FAULT_LOSE);
        start(&world);
        CHECK_INT(get(&world, 1), 2);
        CHECK_INT(get(&world, 3), 2);
        teardown(&world);
    }
}

TEST(a_full_disk_is_tried_again)
{
    struct world world;
    setup(&world);
    put(&world, 1, 1);
    ft_fault_disk_fail(world.disk, FT_FAULT_WRITE, 1, 1, ft_err_from_errno(ENOSPC));
    CHECK_ERR(ft_ledger_write(world.ledger, false), ft_err_from_errno(ENOSPC));
    CHECK_OK(ft_ledger_write(world.ledger, false));
    stop(&world);
    start(&world);
    CHECK_INT(get(&world, 1), 1);
    teardown(&world);
}

TEST(damage_costs_the_instance_that_it_hits)
{
    struct world world;
    setup(&world);
    for (uint32_t i = 1; i <= 3; i++) {
        put(&world, i, i);
    }
    CHECK_OK(ft_ledger_write(world.ledger, true));
    stop(&world);
    size_t size;
    uint8_t *content = ft_fault_disk_content(world.disk, "ledger", &size);
    content[4096 + 2048 + 1024 + 300] ^= 1; /* Place 1, the copy that was written first. */
    start(&world);
    CHECK_INT(ft_ledger_stats(world.ledger)->damaged, 1);
    unsigned n = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        n += get(&world, i) == i;
    }
    CHECK_INT(n, 2);
    /* Its place is free. */
    put(&world, 9, 9);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    stop(&world);
    start(&world);
    CHECK_INT(get(&world, 9), 9);
    ft_fault_disk_content(world.disk, "ledger", &size);
    CHECK_INT(size, 4096 + 3 * 2048);
    teardown(&world);
}

TEST(something_else_by_that_name_is_put_aside)
{
    struct world world;
    setup(&world);
    stop(&world);
    ft_fault_disk_put(world.disk, "ledger", "a shopping list", 15);
    start(&world);
    CHECK_INT(ft_ledger_stats(world.ledger)->damaged, 1);
    size_t size;
    const void *bad = ft_fault_disk_content(world.disk, "ledger.bad", &size);
    CHECK(size == 15 && memcmp(bad, "a shopping list", 15) == 0);
    put(&world, 1, 1);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    stop(&world);
    start(&world);
    CHECK_INT(get(&world, 1), 1);
    teardown(&world);
}

TEST(who_was_silent_for_very_long_is_forgotten)
{
    struct world world;
    setup(&world);
    put(&world, 1, 1);
    put(&world, 2, (uint64_t)FT_LEDGER_FORGET_NS + 1); /* So long ago. */
    CHECK_OK(ft_ledger_write(world.ledger, true));
    stop(&world);
    start(&world);
    CHECK_INT(get(&world, 1), 1);
    CHECK_INT(get(&world, 2), 0);
    teardown(&world);
}

TEST(an_instance_that_made_room_leaves_its_place_to_another)
{
    struct world world;
    setup(&world);
    for (uint32_t i = 0; i < FT_INSTANCES_MAX; i++) {
        put(&world, i + 1, i == 99 ? 200 : 100);
    }
    CHECK_OK(ft_ledger_write(world.ledger, false));
    put(&world, FT_INSTANCES_MAX + 1, 5);
    CHECK_OK(ft_ledger_write(world.ledger, true));
    stop(&world);
    start(&world);
    CHECK_INT(get(&world, FT_INSTANCES_MAX + 1), 5);
    CHECK_INT(get(&world, 100), 0);
    CHECK_INT(get(&world, 99), 100);
    size_t size;
    ft_fault_disk_content(world.disk, "ledger", &size);
    CHECK_INT(size, 4096 + (size_t)FT_INSTANCES_MAX * 2048);
    teardown(&world);
}
