/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of blocks that cannot be stored: bounded, readable, and mended by hand. */
#include "collector/quarantine.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/fault_disk.h"
#include "lib/test.h"

struct world {
    struct ft_disk *disk;
    struct ft_quarantine *quarantine;
    struct ft_clock clock;
    int64_t now_ns;
    struct ft_quarantine_options options;
};

static int64_t world_now(const struct ft_clock *clock)
{
    const char *at = (const char *)clock - offsetof(struct world, clock);
    return ((const struct world *)(const void *)at)->now_ns;
}

static void reopen(struct world *world)
{
    ft_quarantine_destroy(world->quarantine);
    CHECK_OK(ft_quarantine_open(&world->options, &world->quarantine));
}

static void setup(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->disk = ft_fault_disk_create(1);
    world->clock = (struct ft_clock){.mono_ns = world_now, .real_ns = world_now};
    world->now_ns = FT_NS_PER_S;
    world->options = (struct ft_quarantine_options){.disk = world->disk,
                                                    .clock = &world->clock,
                                                    .log_id = {{7}},
                                                    .files_max = 5,
                                                    .bytes_max = 1000};
    reopen(world);
}

static void teardown(struct world *world)
{
    ft_quarantine_destroy(world->quarantine);
    ft_disk_destroy(world->disk);
}

static struct ft_quarantine_entry entry_of(uint64_t number)
{
    struct ft_quarantine_entry entry = {.agent_id = {{1}},
                                        .instance_id = {{2}},
                                        .first_seq = number * 10,
                                        .n_events = 10,
                                        .time_ns = 42,
                                        .position = number};
    (void)snprintf(entry.principal, sizeof entry.principal, "web-1");
    (void)snprintf(entry.reason, sizeof entry.reason, "row 3: unknown type %u", (unsigned)number);
    return entry;
}

static const char block[100] = "the bytes as they came";

static void put_poison(struct world *world, uint64_t number)
{
    struct ft_quarantine_entry entry = entry_of(number);
    CHECK_OK(ft_quarantine_put_poison(world->quarantine, &entry, block, sizeof block));
}

static void put_rejected(struct world *world, uint64_t number)
{
    struct ft_quarantine_entry entry = entry_of(number);
    entry.position = 0;
    ft_quarantine_put_rejected(world->quarantine, &entry, block, sizeof block);
}

struct list {
    size_t n;
    struct ft_quarantine_entry entries[32];
};

static void look(void *ctx, const struct ft_quarantine_entry *entry)
{
    struct list *list = ctx;
    CHECK(list->n < 32);
    list->entries[list->n++] = *entry;
}

static struct list list_of(struct world *world)
{
    struct list list = {0};
    ft_quarantine_each(world->quarantine, look, &list);
    return list;
}

TEST(what_is_kept_is_known_after_a_restart)
{
    struct world world;
    setup(&world);
    put_poison(&world, 3);
    put_rejected(&world, 4);
    reopen(&world);
    struct list list = list_of(&world);
    CHECK_INT(list.n, 2);
    const struct ft_quarantine_entry *entry = &list.entries[0];
    CHECK_INT(entry->kind, FT_QUARANTINE_POISON);
    CHECK_INT(entry->size, sizeof block);
    CHECK_INT(entry->first_seq, 30);
    CHECK_INT(entry->n_events, 10);
    CHECK_INT(entry->time_ns, 42);
    CHECK_INT(entry->position, 3);
    CHECK_STR(entry->principal, "web-1");
    CHECK_STR(entry->reason, "row 3: unknown type 3");
    CHECK_INT(entry->agent_id.bytes[0], 1);
    CHECK_INT(entry->instance_id.bytes[0], 2);
    CHECK_INT(list.entries[1].kind, FT_QUARANTINE_REJECTED);
    char name[FT_DISK_NAME_SIZE];
    ft_quarantine_file_name(&list.entries[1], name);
    CHECK_STR(name, "rejected-0000000000000002");
    put_poison(&world, 3); /* The same, read from the log once more. */
    CHECK_INT(list_of(&world).n, 2);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->files, 2);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->bytes, 2 * sizeof block);
    teardown(&world);
}

TEST(at_the_bound_of_files_the_oldest_of_its_kind_makes_room)
{
    struct world world;
    setup(&world);
    put_poison(&world, 1);
    for (uint64_t i = 2; i <= 9; i++) {
        world.now_ns += FT_NS_PER_S;
        put_rejected(&world, i);
    }
    struct list list = list_of(&world);
    CHECK_INT(list.n, 6);
    CHECK_INT(list.entries[0].kind, FT_QUARANTINE_POISON); /* However many are rejected. */
    CHECK_INT(list.entries[1].first_seq, 50);
    CHECK_INT(list.entries[5].first_seq, 90);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->evicted, 3);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->blocks[FT_QUARANTINE_REJECTED], 8);
    CHECK(ft_fault_disk_name(world.disk, 6) == NULL);
    teardown(&world);
}

TEST(at_the_bound_of_bytes_too_and_also_when_it_was_lowered)
{
    struct world world;
    setup(&world);
    world.options.bytes_max = 250;
    reopen(&world);
    put_poison(&world, 1);
    put_poison(&world, 2);
    put_poison(&world, 3);
    CHECK_INT(list_of(&world).n, 2);
    world.options.files_max = 1;
    reopen(&world);
    CHECK_INT(list_of(&world).n, 1);
    CHECK_INT(list_of(&world).entries[0].position, 3);
    teardown(&world);
}

TEST(of_a_flood_of_rejected_blocks_a_few_are_kept)
{
    struct world world;
    setup(&world);
    world.options.files_max = 100;
    world.options.bytes_max = 1 << 20;
    reopen(&world);
    for (uint64_t i = 1; i <= 1000; i++) {
        put_rejected(&world, i);
    }
    CHECK_INT(ft_quarantine_stats(world.quarantine)->files, FT_QUARANTINE_RATE);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->unkept, 1000 - FT_QUARANTINE_RATE);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->events[FT_QUARANTINE_REJECTED], 10000);
    world.now_ns += FT_NS_PER_S / 2;
    for (uint64_t i = 1; i <= 1000; i++) {
        put_rejected(&world, i);
    }
    CHECK_INT(ft_quarantine_stats(world.quarantine)->files,
              FT_QUARANTINE_RATE + FT_QUARANTINE_RATE / 2);
    teardown(&world);
}

TEST(what_a_person_deletes_is_forgotten)
{
    struct world world;
    setup(&world);
    put_poison(&world, 1);
    put_poison(&world, 2);
    put_poison(&world, 3);
    CHECK_OK(world.disk->ops->remove(world.disk, "poison-0000000000000002"));
    ft_quarantine_refresh(world.quarantine);
    struct list list = list_of(&world);
    CHECK_INT(list.n, 2);
    CHECK_INT(list.entries[1].position, 3);
    put_poison(&world, 4);
    CHECK_INT(list_of(&world).entries[2].position, 4);
    CHECK_OK(world.disk->ops->remove(world.disk, "poison-0000000000000001"));
    CHECK_OK(world.disk->ops->remove(world.disk, "poison-0000000000000003"));
    CHECK_OK(world.disk->ops->remove(world.disk, "poison-0000000000000004"));
    ft_quarantine_refresh(world.quarantine);
    CHECK_INT(list_of(&world).n, 0);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->files, 0);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->bytes, 0);
    teardown(&world);
}

TEST(damaged_files_are_shown_as_such_and_others_files_left_alone)
{
    struct world world;
    setup(&world);
    put_poison(&world, 1);
    ft_fault_disk_put(world.disk, "rejected-00000000000000ff", "half", 4);
    ft_fault_disk_put(world.disk, "notes.txt", "mine", 4);
    size_t size;
    ft_fault_disk_content(world.disk, "poison-0000000000000001", &size)[600] ^= 1;
    reopen(&world);
    struct list list = list_of(&world);
    CHECK_INT(list.n, 2);
    CHECK_STR(list.entries[0].reason, "this file is damaged");
    CHECK_STR(list.entries[1].reason, "this file is damaged");
    /* New names do not run into theirs. */
    put_rejected(&world, 2);
    CHECK_INT(list_of(&world).entries[2].number, 0x100);
    CHECK(ft_fault_disk_content(world.disk, "notes.txt", &size) != NULL);
    teardown(&world);
}

TEST(positions_count_in_their_own_log_only)
{
    struct world world;
    setup(&world);
    put_poison(&world, 1);
    world.options.log_id.bytes[0] = 8;
    reopen(&world);
    put_poison(&world, 1); /* Another block. */
    CHECK_INT(list_of(&world).n, 2);
    teardown(&world);
}

TEST(a_full_disk_costs_the_copy_and_leaves_no_part)
{
    struct world world;
    setup(&world);
    struct ft_quarantine_entry entry = entry_of(1);
    ft_fault_disk_set_capacity(world.disk, 100);
    CHECK_ERR(ft_quarantine_put_poison(world.quarantine, &entry, block, sizeof block),
              ft_err_from_errno(ENOSPC));
    put_rejected(&world, 2);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->unkept, 1);
    CHECK_INT(list_of(&world).n, 0);
    CHECK(ft_fault_disk_name(world.disk, 0) == NULL);
    teardown(&world);
}
