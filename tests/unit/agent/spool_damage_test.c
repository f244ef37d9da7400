/* SPDX-License-Identifier: Apache-2.0 */
/* A spool whose files were changed: at most what is damaged is lost, and that is told. */
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"
#include "spool_world.h"
#include "store/format.h"

static struct world world;
/* What the collector has seen when the damage happens; each case begins with it. */
static struct world before;

/* Several segments, some of it acknowledged, losses told and untold. */
static void prepare(void)
{
    world_init(&world, 1);
    world.bytes_max = 64 << 10;
    CHECK_OK(world_open(&world));
    for (unsigned i = 0; i < 60; i++) {
        world_make(&world, 40);
        world_work(&world, FT_NS_PER_S / 5);
        if (i % 10 == 9) {
            world_deliver(&world, 4, 1);
        }
    }
    world_check_account(&world);
    CHECK(world.progress.done_events > 0);
    world_close(&world, true);
    before = world;
}

/* How many events more were told as lost than can be missing. */
struct result {
    uint64_t n_lost;
    uint64_t n_overtold;
};

static struct result live_with(struct ft_disk *damaged)
{
    world = before;
    world.disk = damaged;
    world.may_repeat = true;
    CHECK_OK(world_open(&world));
    world_check_account(&world);
    world_make(&world, 100);
    world_drain(&world);
    world_check_account(&world);
    struct result result = {0};
    for (uint32_t id = 2; id <= world.n_made; id++) {
        bool is_new = id > before.n_made;
        CHECK(!is_new || world.seen_event[id] == 1);
        result.n_lost += world.seen_event[id] == 0 ? 1 : 0;
    }
    uint64_t told = world.n_told;
    result.n_overtold = told > result.n_lost ? told - result.n_lost : 0;
    CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
    world_close(&world, true);
    world_deinit(&world);
    return result;
}

TEST(each_file_with_a_byte_changed)
{
    prepare();
    uint64_t lost_without = live_with(ft_fault_disk_clone(before.disk)).n_lost;
    const char *name;
    unsigned n_cases = 0;
    for (size_t i = 0; (name = ft_fault_disk_name(before.disk, i)) != NULL; i++) {
        size_t size;
        if (ft_fault_disk_content(before.disk, name, &size) == NULL) {
            continue; /* Space in reserve. */
        }
        size_t step = size / 60 + 1;
        for (size_t at = i % step; at < size; at += step) {
            struct ft_disk *copy = ft_fault_disk_clone(before.disk);
            ft_fault_disk_content(copy, name, &size)[at] ^= 0x11;
            struct result result = live_with(copy);
            /* A segment's header and one block at most. */
            CHECK(result.n_lost <= lost_without + 20);
            n_cases++;
        }
    }
    CHECK(n_cases > 200);
    world_deinit(&before);
}

TEST(each_file_cut_or_gone)
{
    prepare();
    const char *name;
    for (size_t i = 0; (name = ft_fault_disk_name(before.disk, i)) != NULL; i++) {
        size_t size;
        const uint8_t *content = ft_fault_disk_content(before.disk, name, &size);
        for (unsigned part = 0; part < 8 && content != NULL; part++) {

            struct ft_disk *copy = ft_fault_disk_clone(before.disk);
            ft_fault_disk_put(copy, name, content, size * part / 8);
            (void)live_with(copy);
        }
        struct ft_disk *copy = ft_fault_disk_clone(before.disk);
        CHECK_OK(copy->ops->remove(copy, name));
        CHECK_OK(copy->ops->sync_dir(copy));
        (void)live_with(copy);
    }
    world_deinit(&before);
}

/* Its position is used up, and nothing is ever written there. */
TEST(a_damaged_block_that_is_done_with_is_not_waited_for)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 40);
    world_drain(&world);
    world_close(&world, true);
    for (size_t i = 0; ft_fault_disk_name(world.disk, i) != NULL; i++) {
        const char *name = ft_fault_disk_name(world.disk, i);
        size_t size;
        uint8_t *content = ft_fault_disk_content(world.disk, name, &size);
        if (strncmp(name, "seg-", 4) == 0) {
            content[size - FT_STORE_TRAILER_SIZE - 20] ^= 1;
        }
    }
    CHECK_OK(world_open(&world));
    CHECK_INT(world.report.damaged_parts, 1);
    CHECK_INT(world.report.n_missing, 0);
    CHECK(ft_spool_is_drained(world.spool));
    world_work(&world, 2 * FT_NS_PER_S);
    CHECK(ft_spool_deadline(world.spool) == FT_TIME_NEVER);
    world_close(&world, true);
    CHECK_OK(world_open(&world));
    CHECK(!world.report.unclean);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(without_its_place_nothing_that_is_done_is_told_as_lost)
{
    prepare();
    struct ft_disk *copy = ft_fault_disk_clone(before.disk);
    CHECK_OK(copy->ops->remove(copy, "cursor-exporter"));
    struct result result = live_with(copy);
    CHECK_INT(result.n_overtold, 0);
    world_deinit(&before);
}

/* What is missing between blocks was not done with: those before it are still there. */
TEST(without_its_place_what_is_damaged_is_told_as_lost)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    for (unsigned i = 0; i < 10; i++) {
        world_make(&world, 10);
        world_work(&world, FT_NS_PER_S);
    }
    world_close(&world, true);
    CHECK_OK(world.disk->ops->remove(world.disk, "cursor-exporter"));
    CHECK_OK(world.disk->ops->sync_dir(world.disk));
    for (size_t i = 0; ft_fault_disk_name(world.disk, i) != NULL; i++) {
        const char *name = ft_fault_disk_name(world.disk, i);
        size_t size;
        uint8_t *content = ft_fault_disk_content(world.disk, name, &size);
        if (strncmp(name, "seg-", 4) == 0) {
            content[size / 2] ^= 1;
        }
    }
    CHECK_OK(world_open(&world));
    CHECK_INT(world.report.damaged_parts, 1);
    CHECK_INT(world.report.n_missing, 10);
    CHECK_INT(world.report.retained_events, 90);
    world_check_account(&world);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(without_its_state_it_is_another_instance)
{
    prepare();
    struct ft_uuid instance_id = before.instance_id;
    struct ft_disk *copy = ft_fault_disk_clone(before.disk);
    size_t size;
    uint8_t *state = ft_fault_disk_content(copy, "state", &size);
    memset(state, 0, size);
    world = before;
    world.disk = copy;
    CHECK_OK(world_open(&world));
    CHECK(world.report.state_lost);
    CHECK(!ft_uuid_equal(&instance_id, &world.instance_id));
    world_close(&world, true);
    world_deinit(&world);
    world_deinit(&before);
}

TEST(another_agent_on_a_copied_spool_is_another_instance)
{
    prepare();
    struct ft_uuid instance_id = before.instance_id;
    world = before;
    world.disk = ft_fault_disk_clone(before.disk);
    world.agent_byte = 6;
    CHECK_OK(world_open(&world));
    CHECK(world.report.agent_changed);
    CHECK(!ft_uuid_equal(&instance_id, &world.instance_id));
    world_check_account(&world);
    world_close(&world, true);
    world_deinit(&world);
    world_deinit(&before);
}
