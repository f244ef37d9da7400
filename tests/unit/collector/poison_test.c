/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that the sink cannot take: neighbours are stored, the poison is kept, nothing stands
 * still; and a sink that is away is not taken for poison. */
#include "sinker_world.h"

#include <limits.h>
#include <stdio.h>

#include "collector/account.h"

/* The number that poisoned blocks begin with is a multiple of this. */
static uint64_t every;

static bool is_poison(const struct ft_row *row) { return row->event.seq % every == 0; }

static bool all_are_poison(const struct ft_row *row)
{
    (void)row;
    return true;
}

static struct world *setup_unwatched(void)
{
    struct world *world = setup();
    world->watched = false;
    return world;
}

static bool is_done(struct world *world)
{
    return ft_sinker_stats(world->sinker)->committed_position == ft_log_durable(world->log);
}

/* As the sink's thread: a pause after an error.  The errors on the way. */
static unsigned run(struct world *world, unsigned steps_max)
{
    unsigned n_errors = 0;
    for (unsigned i = 0; i < steps_max && !is_done(world); i++) {
        if (ft_sinker_step(world->sinker, 0, NULL) != FT_OK) {
            n_errors++;
            world->now_ns += FT_NS_PER_S;
        }
        world->now_ns += FT_NS_PER_S / 100;
    }
    return n_errors;
}

/* Blocks of five events. */
static void add_blocks(struct world *world, uint64_t first_block, uint64_t n_blocks)
{
    for (uint64_t i = 0; i < n_blocks; i++) {
        add_block(world, (first_block + i) * 5 + 1, 5);
    }
}

static struct ft_instance known(struct world *world)
{
    struct ft_instance_key key = {agent_id, instance_id};
    struct ft_instance instance;
    CHECK(ft_instances_get(world->instances, &key, &instance));
    return instance;
}

static void check_accounted(struct world *world)
{
    struct ft_instance instance = known(world);
    struct ft_discrepancy discrepancy;
    ft_discrepancy_of(&instance, &discrepancy);
    CHECK_INT(ft_discrepancy_total(&discrepancy), 0);
    CHECK_INT(instance.stored_events, world->fake->n_rows);
    CHECK_INT(instance.stored_events + instance.quarantined_events, instance.appended_events);
}

static size_t n_suspects(struct world *world)
{
    size_t n = 0;
    for (size_t i = 0; ft_fault_disk_name(world->disk, i) != NULL; i++) {
        n += strncmp(ft_fault_disk_name(world->disk, i), "suspect-", 8) == 0;
    }
    return n;
}

/* One block in 'every_block', found by its data or by its neighbours. */
static void check_one_in(uint64_t n_blocks, uint64_t every_block, uint64_t batch_rows, ft_err err,
                         bool at_commit)
{
    struct world *world = setup_unwatched();
    world->files_max = 1000;
    world->batch_rows = batch_rows;
    end_sinker(world);
    start_sinker(world);
    every = every_block * 5;
    world->fake->is_poison = is_poison;
    world->fake->poison_err = err;
    world->fake->poison_at_commit = at_commit;
    add_blocks(world, 0, n_blocks);
    (void)run(world, 200000);
    CHECK(is_done(world));
    uint64_t n_poison = n_blocks / every_block;
    CHECK_INT(world->fake->n_rows, (n_blocks - n_poison) * 5);
    CHECK_INT(known(world).quarantined_events, n_poison * 5);
    const struct ft_quarantine_stats *stats = ft_quarantine_stats(world->quarantine);
    CHECK_INT(stats->blocks[FT_QUARANTINE_POISON], n_poison);
    CHECK_INT(stats->events[FT_QUARANTINE_POISON], n_poison * 5);
    CHECK_INT(stats->files, n_poison);
    CHECK_INT(n_suspects(world), 0);
    CHECK_INT(ft_sinker_stats(world->sinker)->quarantined_blocks, n_poison);
    check_accounted(world);
    teardown(world);
    printf("matrix: R17 %llu blocks, every %lluth of which the sink refuses, %s; the %llu are in "
           "quarantine, all others are stored, and every event is accounted for\n",
           (unsigned long long)n_blocks, (unsigned long long)every_block,
           at_commit ? "at the commit" : "at once", (unsigned long long)n_poison);
}

TEST(one_in_a_thousand)
{
    check_one_in(3001, 1000, 1000, FT_E_RANGE, false);
    check_one_in(3001, 1000, 1000, FT_E_STORE, false);
    check_one_in(3001, 1000, 1000, FT_E_RANGE, true);
    check_one_in(3001, 1000, 1000, FT_E_STORE, true);
}

TEST(one_in_each_batch)
{
    check_one_in(401, 10, 50, FT_E_RANGE, false);
    check_one_in(401, 10, 50, FT_E_STORE, false);
    check_one_in(401, 10, 50, FT_E_STORE, true);
    check_one_in(401, 2, 50, FT_E_STORE, true);
}

/* The sink says that it is the data: all are passed over, as long as all can be kept. */
TEST(nothing_but_poison_goes_on_while_all_of_it_can_be_kept)
{
    struct world *world = setup_unwatched();
    world->fake->is_poison = all_are_poison;
    world->fake->poison_err = FT_E_RANGE;
    add_blocks(world, 0, 90);
    (void)run(world, 10000);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 0);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 90);
    check_accounted(world);
    /* These do not all fit.  They stay in the log: a spoilt table would look the same. */
    add_blocks(world, 90, 14);
    CHECK(run(world, 1000) > 5);
    CHECK_INT(ft_sinker_stats(world->sinker)->committed_position, 90);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->evicted, 0);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL)); /* In the middle of a trial, perhaps. */
    CHECK_INT(n_suspects(world), 0);
    CHECK_INT(ft_sinker_stats(world->sinker)->committed_position, 90);
    /* One that is stored proves them, and the oldest files make room. */
    world->fake->is_poison = is_poison;
    every = 5;
    add_block(world, 104 * 5 + 1, 4);
    (void)run(world, 20000);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 4);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 100);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->evicted, 4);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->blocks[FT_QUARANTINE_POISON], 104);
    check_accounted(world);
    teardown(world);
}

TEST(a_sink_that_is_away_is_waited_for)
{
    struct world *world = setup_unwatched();
    add_blocks(world, 0, 50);
    world->fake->fail_commits = UINT_MAX;
    CHECK(run(world, 1000) > 5);
    CHECK_INT(ft_sinker_stats(world->sinker)->committed_position, 0);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->blocks[FT_QUARANTINE_POISON], 0);
    world->fake->fail_commits = 0;
    (void)run(world, 500);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 250);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 0);
    CHECK_INT(n_suspects(world), 0);
    check_accounted(world);
    teardown(world);
}

/* However often it fails before it comes back. */
TEST(an_outage_that_ends_between_two_blocks_convicts_nobody)
{
    for (unsigned n = 1; n < 60; n++) {
        struct world *world = setup_unwatched();
        add_blocks(world, 0, 20);
        step(world, 2);
        world->fake->fail_commits = n;
        (void)run(world, 5000);
        CHECK(is_done(world));
        CHECK_INT(world->fake->n_rows, 100);
        CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 0);
        check_accounted(world);
        teardown(world);
    }
}

/* It refuses all rows without saying why, and takes a commit without rows. */
TEST(a_sink_that_refuses_everything_is_waited_for)
{
    struct world *world = setup_unwatched();
    add_blocks(world, 0, 50);
    world->fake->is_poison = all_are_poison;
    CHECK(run(world, 500) > 5);
    CHECK_INT(ft_sinker_stats(world->sinker)->committed_position, 0);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->blocks[FT_QUARANTINE_POISON], 0);
    teardown(world);
}

TEST(the_newest_block_waits_for_a_neighbour)
{
    struct world *world = setup_unwatched();
    every = 15;
    world->fake->is_poison = is_poison;
    add_blocks(world, 0, 3); /* The last one is poison. */
    (void)run(world, 500);
    CHECK_INT(world->fake->n_rows, 10);
    CHECK(!is_done(world));
    CHECK_INT(n_suspects(world), 0);
    add_blocks(world, 3, 1);
    (void)run(world, 500);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 15);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 1);
    check_accounted(world);
    teardown(world);
}

/* A repeat commits without the sink having done anything. */
TEST(a_block_that_is_stored_already_proves_nothing)
{
    struct world *world = setup_unwatched();
    every = 10;
    world->fake->is_poison = is_poison;
    add_blocks(world, 0, 1);
    add_blocks(world, 1, 1); /* Poison. */
    add_blocks(world, 0, 1);
    (void)run(world, 500);
    CHECK_INT(world->fake->n_rows, 5);
    CHECK(!is_done(world));
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 0);
    add_blocks(world, 2, 1);
    (void)run(world, 500);
    CHECK(is_done(world));
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 1);
    check_accounted(world);
    teardown(world);
}

static const char garbage[] = "\x0a\x03these are no columns";

static void check_garbage_is_kept(struct world *world)
{
    size_t size = 0;
    const char *name = ft_fault_disk_name(world->disk, 0);
    CHECK_STR(name, "poison-0000000000000001");
    CHECK(ft_fault_disk_name(world->disk, 1) == NULL);
    const uint8_t *file = ft_fault_disk_content(world->disk, name, &size);
    CHECK_INT(size, FT_QUARANTINE_HEADER_SIZE + sizeof garbage);
    CHECK_BYTES(file + FT_QUARANTINE_HEADER_SIZE, sizeof garbage, garbage, sizeof garbage);
}

TEST(what_cannot_be_decoded_is_kept_byte_for_byte)
{
    struct world *world = setup_unwatched();
    add_block(world, 1, 5);
    add_bytes(world, 6, 5, garbage, sizeof garbage);
    add_block(world, 11, 5);
    (void)run(world, 500);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 10);
    check_garbage_is_kept(world);
    check_accounted(world);
    teardown(world);
}

TEST(what_cannot_be_decoded_is_kept_once_however_often_it_is_read)
{
    struct world *world = setup_unwatched();
    add_block(world, 1, 5);
    add_bytes(world, 6, 5, garbage, sizeof garbage);
    add_block(world, 11, 5);
    step(world, 3);
    world->fake->fail_commits = 1;
    CHECK_ERR(ft_sinker_flush(world->sinker, NULL), FT_E_STORE);
    step(world, 2);
    end_sinker(world); /* Before any commit: a restart reads it once more. */
    start_sinker(world);
    (void)run(world, 500);
    CHECK(is_done(world));
    check_garbage_is_kept(world);
    CHECK_INT(ft_sinker_stats(world->sinker)->quarantined_blocks, 1);
    check_accounted(world);
    teardown(world);
}

TEST(a_quarantine_that_cannot_be_written_holds_the_block_back)
{
    struct world *world = setup_unwatched();
    add_bytes(world, 1, 5, garbage, sizeof garbage);
    add_block(world, 6, 5);
    ft_fault_disk_fail(world->disk, FT_FAULT_SYNC, 1, 3, ft_err_from_errno(ENOSPC));
    CHECK_INT(run(world, 500), 3);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 5);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 1);
    check_accounted(world);
    teardown(world);
}

/* The process ends between each two calls that change the disk of the quarantine. */
static void check_killed_at(uint64_t change, enum ft_fault_cut cut, bool *ret_reached)
{
    struct world *world = setup_unwatched();
    every = 15;
    world->fake->is_poison = is_poison;
    world->fake->poison_err = FT_E_RANGE;
    add_blocks(world, 0, 10);
    ft_fault_disk_stop_at(world->disk, change);
    for (unsigned i = 0; i < 500 && !is_done(world) && !ft_fault_disk_stopped(world->disk); i++) {
        ft_err_ignore(ft_sinker_step(world->sinker, 0, NULL), "it is tried again, or killed");
        world->now_ns += FT_NS_PER_S;
    }
    *ret_reached = ft_fault_disk_stopped(world->disk);
    end_sinker(world);
    ft_fault_disk_restart(world->disk, cut);
    start_sinker(world);
    (void)run(world, 2000);
    CHECK(is_done(world));
    CHECK_INT(world->fake->n_rows, 35);
    CHECK_INT(ft_quarantine_stats(world->quarantine)->files, 3);
    CHECK_INT(n_suspects(world), 0);
    teardown(world);
}

TEST(a_restart_at_any_moment_neither_loses_nor_doubles)
{
    static const enum ft_fault_cut cuts[] = {FT_FAULT_KILL, FT_FAULT_LOSE, FT_FAULT_TEAR};
    for (size_t i = 0; i < 3; i++) {
        bool reached = true;
        uint64_t change = 1;
        for (; reached; change++) {
            CHECK(change < 1000);
            check_killed_at(change, cuts[i], &reached);
        }
        CHECK(change > 9); /* Three files with a few calls each. */
    }
}
