/* SPDX-License-Identifier: Apache-2.0 */
/* The spool through every kind of end of the process and of the disk. */
#include "agent/spool.h"

#include <stdlib.h>

#include "lib/test.h"
#include "spool_world.h"

/* FT_SEEDS=N runs N seeds where the default keeps the suite short. */
static uint64_t n_seeds(uint64_t fallback)
{
    const char *text = getenv("FT_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

static struct world world;

static void kill_world(void)
{
    ft_fault_disk_stop_at(world.disk, 1);
    world_close(&world, false);
    ft_fault_disk_restart(world.disk, FT_FAULT_KILL);
}

TEST(a_restart_goes_on_where_it_stopped)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    CHECK(world.report.is_new);
    struct ft_uuid instance_id = world.instance_id;
    world_make(&world, 105);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    world_deliver(&world, 3, 0);
    world_check_account(&world);
    world_close(&world, true);
    ft_fault_disk_restart(world.disk, FT_FAULT_KILL);
    CHECK_OK(world_open(&world));
    CHECK(!world.report.is_new && !world.report.unclean);
    CHECK_INT(world.report.n_crash, 0);
    CHECK_INT(world.report.n_missing, 0);
    CHECK_INT(world.report.retained_events, 45);
    CHECK(ft_uuid_equal(&instance_id, &world.instance_id));
    world_check_account(&world);
    world_make(&world, 10);
    world_drain(&world);
    world_check_end(&world);
    CHECK_INT(world.n_stored, 115);
    CHECK_INT(world.n_told, 0);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(a_kill_costs_what_was_not_sealed_and_says_so_exactly)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 105);
    world_work(&world, 1); /* Moved, not synced; five are in the open block. */
    kill_world();
    CHECK_OK(world_open(&world));
    CHECK(world.report.unclean && world.report.same_boot);
    CHECK_INT(world.report.n_crash, 5);
    world_check_account(&world);
    world_drain(&world);
    world_check_end(&world);
    CHECK_INT(world.n_told, 5);
    CHECK_INT(world.n_told_estimated, 0);
    CHECK_INT(world.n_stored, 101);
    world_close(&world, true);
    world_deinit(&world);
}

/* The newest block is rejected, or damaged: the LOSS event in it reaches nobody. */
static void reject_rest(void)
{
    struct ft_block block;
    struct ft_progress progress = world.progress;
    while (ft_log_reader_next(world.reader, true, &block) == FT_OK) {
        progress.acked_seq = block.info.first_seq + block.info.n_events - 1;
        progress.done_events += block.info.n_events;
        progress.rejected_events += block.info.n_events;
        uint8_t note[FT_PROGRESS_SIZE];
        ft_progress_encode(&progress, note);
        CHECK_OK(ft_log_reader_confirm_noted(world.reader, block.position, note, sizeof note));
        ft_block_release(&block);
    }
    CHECK(progress.rejected_events > 0);
    world.durable_seq = progress.acked_seq;
}

TEST(what_a_rejected_block_told_is_told_again)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 40);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    world_deliver(&world, 64, 0);
    CHECK_INT(world.progress.acked_seq, 40);
    world_lose(&world, 7);
    world_make(&world, 3);
    world_work(&world, 2 * FT_NS_PER_S);
    world_work(&world, 2 * FT_NS_PER_S);
    reject_rest();
    kill_world(); /* Before it could tell anyone. */
    CHECK_OK(world_open(&world));
    uint64_t n_rejected = world.progress.rejected_events;
    CHECK_INT(world.progress.stored_seq, 40);
    ft_pipeline_flush(world.pipeline);
    for (unsigned i = 0; i < 10; i++) {
        world_work(&world, 2 * FT_NS_PER_S);
        world_deliver(&world, 64, 0);
    }
    CHECK_INT(world.n_told, 7 + n_rejected);
    world_close(&world, true);
    world_deinit(&world);
}

/* Blocks behind a rejected one are acknowledged: only the account tells of it from then on. */
TEST(what_an_earlier_rejected_block_told_is_told_again)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 40);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    world_deliver(&world, 64, 0);
    CHECK_INT(world.progress.acked_seq, 40);
    world_lose(&world, 7);
    world_make(&world, 40);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    struct ft_progress progress = world.progress;
    struct ft_block block;
    uint8_t note[FT_PROGRESS_SIZE];
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(ft_log_reader_next(world.reader, true, &block));
        progress.acked_seq = block.info.first_seq + block.info.n_events - 1;
        progress.done_events += block.info.n_events;
        progress.rejected_events += i == 0 ? block.info.n_events : 0;
        progress.stored_seq = i == 0 ? progress.stored_seq : progress.acked_seq;
        ft_progress_encode(&progress, note);
        CHECK_OK(ft_log_reader_confirm_noted(world.reader, block.position, note, sizeof note));
        if (i == 0) {
            ft_pipeline_lost(world.pipeline, FT_LOSS_REJECTED, block.info.first_seq,
                             progress.acked_seq);
            CHECK_OK(ft_spool_keep_account(world.spool));
        }
        ft_block_release(&block);
    }
    world.durable_seq = progress.acked_seq;
    kill_world();
    CHECK_OK(world_open(&world));
    ft_pipeline_flush(world.pipeline);
    for (unsigned i = 0; i < 10; i++) {
        world_work(&world, 2 * FT_NS_PER_S);
        world_deliver(&world, 64, 0);
    }
    CHECK_INT(world.n_told, 7 + progress.rejected_events);
    world_close(&world, true);
    world_deinit(&world);
}

/* The collector has lost what it had, and the exporter goes back, also before what it rejected. */
TEST(what_was_rejected_behind_the_place_is_not_retained)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 60);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    world_deliver(&world, 64, 0);
    CHECK_INT(world.progress.acked_seq, 60);
    ft_pipeline_lost(world.pipeline, FT_LOSS_REJECTED, 21, 40);
    CHECK_OK(ft_spool_keep_account(world.spool));
    struct ft_progress progress = {.done_events = 20, .rejected_events = 20, .known_from = 1};
    CHECK(ft_ranges_add(&progress.holes, 21, 40));
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(&progress, note);
    CHECK_OK(ft_log_reader_go_back(world.reader, 0, note, sizeof note));
    kill_world();
    CHECK_OK(world_open(&world)); /* Without a surplus. */
    CHECK_INT(world.report.n_missing, 0);
    CHECK_INT(world.report.retained_events, 40);
    struct ft_pipeline_account account;
    ft_pipeline_get_account(world.pipeline, &account);
    CHECK_INT(account.kept, 60);
    CHECK_INT(account.lost, 20);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(what_a_block_told_that_waited_for_a_full_disk_is_told_again)
{
    world_init(&world, 1);
    world.memory_bytes = 16 << 10;
    CHECK_OK(world_open(&world));
    world_make(&world, 20);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    ft_fault_disk_set_capacity(world.disk, 1);
    for (unsigned i = 0; ft_spool_stats(world.spool)->failures == 0; i++) {
        CHECK(i < 1000); /* It has some reserve. */
        world_lose(&world, 7);
        world_make(&world, 19);
        world_work(&world, FT_NS_PER_S);
    }
    world_make(&world, 4000); /* What is behind that block is dropped, up to a later number. */
    world_work(&world, 2 * FT_NS_PER_S);
    kill_world();
    ft_fault_disk_set_capacity(world.disk, 0);
    CHECK_OK(world_open(&world));
    CHECK(world.report.n_crash > 0);
    CHECK_INT(world.report.n_missing, 0);
    world_drain(&world);
    world_check_end(&world);
    world_close(&world, true);
    world_deinit(&world);
}

/* What outlives the process makes a kill cost nothing, at whatever point it comes. */
TEST(a_kill_costs_nothing_where_the_last_commit_is_kept)
{
    for (uint64_t seed = 1; seed <= n_seeds(30); seed++) {
        world_init(&world, seed);
        world.keeps = true;
        world.bytes_max = 8 << 20;
        world.memory_bytes = 1 << 20;
        CHECK_OK(world_open(&world));
        for (unsigned i = 0; i < 120; i++) {
            uint64_t dice = ft_random_u64(&world.random.base);
            world_make(&world, (unsigned)(dice % 70));
            if (dice % 5 == 0) {
                world_lose(&world, 1 + dice % 3);
            }
            if (dice % 3 == 0) {
                world_work(&world, (int64_t)(dice % 7) * FT_NS_PER_S / 4);
            }
            if (dice % 7 == 0) {
                world_deliver(&world, 10, (unsigned)(dice % 4));
            }
            if (dice % 11 == 0) {
                ft_pipeline_commit(world.pipeline);
            }
            if (dice % 13 == 0) {
                kill_world();
                CHECK_OK(world_open(&world));
                CHECK_INT(world.report.n_crash, 0);
                CHECK_INT(world.report.n_missing, 0);
            }
            world_check_account(&world);
        }
        ft_pipeline_commit(world.pipeline);
        world_drain(&world);
        world_check_end(&world);
        CHECK_INT(world.n_told, world.n_lost_made);
        for (uint32_t id = 2; id <= world.n_made; id++) {
            CHECK_INT(world.seen_event[id], 1);
        }
        world_close(&world, true);
        world_deinit(&world);
    }
}

/* Also where the spool is at its bound: a drop may be written and not known to the last commit. */
TEST(kills_amid_drops_where_the_last_commit_is_kept)
{
    for (uint64_t seed = 1; seed <= n_seeds(60); seed++) {
        world_init(&world, seed);
        world.keeps = true;
        world.bytes_max = 24 << 10;
        world.memory_bytes = 64 << 10;
        struct ft_random *random = &world.random.base;
        for (unsigned life = 0; life < 8; life++) {
            ft_fault_disk_stop_at(world.disk, 1 + ft_random_below(random, 400));
            if (world_open(&world) == FT_OK) {
                for (unsigned i = 0; i < 25; i++) {
                    world_make(&world, 10 + (unsigned)ft_random_below(random, 130));
                    world_work(&world, (int64_t)ft_random_below(random, FT_NS_PER_S));
                    if (ft_random_below(random, 20) == 0) {
                        break; /* Before the pipeline seals another block. */
                    }
                    world_deliver(&world, (unsigned)ft_random_below(random, 3), 1);
                }
                ft_fault_disk_stop_at(world.disk, 1);
                world_close(&world, false);
            }
            ft_fault_disk_restart(world.disk, FT_FAULT_KILL);
        }
        CHECK_OK(world_open(&world));
        CHECK_INT(world.report.n_missing, 0);
        world_make(&world, 50);
        ft_pipeline_commit(world.pipeline);
        world_drain(&world);
        world_check_end(&world);
        CHECK_INT(world.n_told_estimated, 0);
        world_close(&world, true);
        world_deinit(&world);
    }
}

/* What was kept had no room for all blocks: what is missing is told exactly. */
TEST(blocks_that_were_kept_no_longer_are_told_as_lost)
{
    world_init(&world, 1);
    world.keeps = true;
    CHECK_OK(world_open(&world));
    world_make(&world, 205);
    CHECK(world.n_blocks == 10);
    free(world.blocks[0].data);
    free(world.blocks[1].data);
    world.n_blocks -= 2;
    memmove(world.blocks, world.blocks + 2, world.n_blocks * sizeof world.blocks[0]);
    kill_world();
    CHECK_OK(world_open(&world));
    CHECK_INT(world.report.n_crash, 40);
    CHECK_INT(world.report.n_kept, 160);
    CHECK_INT(world.report.n_missing, 0);
    ft_pipeline_commit(world.pipeline);
    world_drain(&world);
    world_check_end(&world);
    CHECK_INT(world.n_told, 40);
    CHECK_INT(world.n_stored, 166);
    world_close(&world, true);
    world_deinit(&world);
}

/* Another spool in its place: nothing of what was kept belongs to it. */
TEST(what_was_kept_of_another_spool_does_not_count)
{
    world_init(&world, 1);
    world.keeps = true;
    CHECK_OK(world_open(&world));
    world_make(&world, 105);
    world_work(&world, 1);
    kill_world();
    world.kept.instance_id.bytes[3] ^= 1;
    world.keeps = false;
    CHECK_OK(world_open(&world));
    CHECK(!world.report.went_on);
    CHECK_INT(world.report.n_crash, 5);
    world_close(&world, false);
    world_deinit(&world);
}

TEST(a_power_cut_costs_what_was_not_synced)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 100);
    world_work(&world, 1);
    world_work(&world, 2 * FT_NS_PER_S);
    world_make(&world, 100);
    world_work(&world, 1);
    ft_fault_disk_stop_at(world.disk, 1);
    world_close(&world, false);
    ft_fault_disk_restart(world.disk, FT_FAULT_LOSE);
    world.boot_id.bytes[0]++;
    CHECK_OK(world_open(&world));
    CHECK(world.report.unclean && !world.report.same_boot);
    CHECK_INT(world.report.retained_events, 100);
    world_make(&world, 10);
    world_drain(&world);
    world_check_end(&world);
    /* The gap itself is told, though nobody knows how much was in it. */
    CHECK(world.seen[111] == 1);
    CHECK_INT(world.n_stored, 111);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(at_the_bound_the_oldest_go_and_are_told_exactly)
{
    world_init(&world, 1);
    world.bytes_max = 128 << 10;
    CHECK_OK(world_open(&world));
    for (unsigned i = 0; i < 400; i++) {
        world_make(&world, 60);
        world_work(&world, FT_NS_PER_S / 10);
        if (i == 100) {
            world_deliver(&world, 5, 2);
        }
        if (i == 250) {
            world_close(&world, true);
            ft_fault_disk_restart(world.disk, FT_FAULT_LOSE);
            CHECK_OK(world_open(&world));
            CHECK_INT(world.report.n_missing, 0);
        }
        world_check_account(&world);
    }
    struct ft_log_stats stats;
    ft_log_stats(ft_spool_log(world.spool), &stats);
    CHECK(stats.bytes <= 128 << 10);
    CHECK(stats.dropped_events > 0);
    world_drain(&world);
    world_check_end(&world);
    CHECK_INT(world.n_told_estimated, 0);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(while_the_disk_refuses_events_wait_in_memory)
{
    world_init(&world, 1);
    CHECK_OK(world_open(&world));
    world_make(&world, 100);
    world_work(&world, 2 * FT_NS_PER_S);
    ft_fault_disk_fail(world.disk, FT_FAULT_SYNC, 1, UINT64_MAX, ft_err_from_errno(EIO));
    ft_fault_disk_fail(world.disk, FT_FAULT_WRITE, 1, UINT64_MAX, ft_err_from_errno(EIO));
    for (unsigned i = 0; i < 50; i++) {
        world_make(&world, 60);
        world_work(&world, FT_NS_PER_S);
    }
    CHECK(ft_spool_stats(world.spool)->failures > 10);
    CHECK(ft_spool_stats(world.spool)->failing_since_ns != 0);
    world_check_account(&world);
    ft_fault_disk_heal(world.disk);
    world_drain(&world);
    CHECK(ft_spool_stats(world.spool)->failing_since_ns == 0);
    world_check_end(&world);
    CHECK_INT(world.n_told, 0);
    CHECK_INT(world.n_stored, 3100);
    CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
    world_close(&world, true);
    world_deinit(&world);
}

TEST(a_small_file_system_is_filled_and_freed)
{
    world_init(&world, 1);
    world.memory_bytes = 64 << 10;
    ft_fault_disk_set_capacity(world.disk, 512 << 10);
    CHECK_OK(world_open(&world));
    for (unsigned cycle = 0; cycle < 20; cycle++) {
        /* Somebody else takes all that is left, and more and more of it. */
        static uint8_t filler[400 << 10];
        size_t size = (cycle * 37 % 20) * (20 << 10);
        ft_fault_disk_put(world.disk, "filler", filler, size);
        for (unsigned i = 0; i < 20; i++) {
            world_make(&world, 100);
            world_work(&world, FT_NS_PER_S / 10);
        }
        world_check_account(&world);
        if (cycle % 5 == 4) {
            kill_world();
            CHECK_OK(world_open(&world));
            CHECK_INT(world.report.n_missing, 0);
        }
        ft_fault_disk_put(world.disk, "filler", filler, 0);
        world_drain(&world);
        world_check_end(&world);
    }
    CHECK(world.n_told > 0);
    CHECK_INT(world.n_told_estimated, 0);
    world_close(&world, true);
    world_deinit(&world);
}

/* One life, cut at its 'at'-th change of the disk; then all is made good. */
static bool run_until_cut(uint64_t seed, uint64_t at, enum ft_fault_cut cut)
{
    world_init(&world, seed);
    world.bytes_max = 64 << 10;
    world.memory_bytes = 64 << 10;
    world.sync_each = seed % 2 == 0;
    ft_fault_disk_stop_at(world.disk, at);
    if (world_open(&world) == FT_OK) {
        for (unsigned i = 0; i < 12; i++) {
            world_make(&world, 10 + (unsigned)ft_random_below(&world.random.base, 130));
            world_work(&world, FT_NS_PER_S / 3);
            world_deliver(&world, i % 4, i % 3);
        }
        world_close(&world, false);
    }
    bool stopped = ft_fault_disk_stopped(world.disk);
    ft_fault_disk_restart(world.disk, cut);
    if (cut != FT_FAULT_KILL) {
        world.boot_id.bytes[0]++;
    }
    CHECK_OK(world_open(&world));
    /* Tearing the names of files apart leaves what no file system with a journal does. */
    CHECK(cut == FT_FAULT_TEAR || world.report.n_missing == 0);
    world_check_account(&world);
    world_make(&world, 50);
    world_drain(&world);
    world_check_end(&world);
    if (cut == FT_FAULT_KILL) {
        struct ft_pipeline_account account;
        ft_pipeline_get_account(world.pipeline, &account);
        CHECK_INT(world.n_told_estimated, 0);
    }
    CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
    world_close(&world, true);
    world_deinit(&world);
    return stopped;
}

static void cut_everywhere(enum ft_fault_cut cut)
{
    uint64_t at = 1;
    for (bool stopped = true; stopped; at++) {
        for (uint64_t seed = 1; seed <= n_seeds(2); seed++) {
            stopped = run_until_cut(seed * 7919 + at, at, cut);
        }
    }
    CHECK(at > 50);
}

TEST(killed_at_every_call) { cut_everywhere(FT_FAULT_KILL); }
TEST(power_cut_at_every_call) { cut_everywhere(FT_FAULT_LOSE); }
TEST(power_cut_with_torn_writes_at_every_call) { cut_everywhere(FT_FAULT_TEAR); }

TEST(many_lives_with_everything_at_once)
{
    static const int errnos[] = {EIO, ENOSPC, EINTR, ENFILE};
    for (uint64_t seed = 1; seed <= n_seeds(60); seed++) {
        world_init(&world, seed);
        world.bytes_max = 64 << 10;
        world.memory_bytes = 64 << 10;
        struct ft_random *random = &world.random.base;
        for (unsigned life = 0; life < 6; life++) {
            world.sync_each = ft_random_below(random, 2) == 0;
            for (unsigned i = 0; i < 2; i++) {
                enum ft_fault_op op = (enum ft_fault_op)ft_random_below(random, FT_FAULT_OP_N);
                uint64_t nth = 1 + ft_random_below(random, 60);
                uint64_t n_times = 1 + ft_random_below(random, 3);
                int errnum = errnos[ft_random_below(random, 4)];
                ft_fault_disk_fail(world.disk, op, nth, n_times, ft_err_from_errno(errnum));
            }
            if (ft_random_below(random, 2) == 0) {
                ft_fault_disk_stop_at(world.disk, 1 + ft_random_below(random, 200));
            }
            bool is_full = ft_random_below(random, 3) == 0;
            ft_fault_disk_set_capacity(world.disk,
                                       is_full ? 80000 + ft_random_below(random, 120000) : 0);
            if (world_open(&world) == FT_OK) {
                for (unsigned i = 0; i < 10; i++) {
                    world_make(&world, 10 + (unsigned)ft_random_below(random, 130));
                    world_work(&world, (int64_t)ft_random_below(random, FT_NS_PER_S));
                    world_deliver(&world, (unsigned)ft_random_below(random, 6),
                                  (unsigned)ft_random_below(random, 3));
                    if (ft_random_below(random, 8) == 0) {
                        ft_fault_disk_set_capacity(world.disk,
                                                   ft_random_below(random, 2) == 0 ? 1 : 0);
                    }
                }
                world_close(&world, false);
            }
            enum ft_fault_cut cut = (enum ft_fault_cut)ft_random_below(random, 2);
            ft_fault_disk_restart(world.disk, cut);
            if (cut != FT_FAULT_KILL) {
                world.boot_id.bytes[0]++;
            }
        }
        ft_fault_disk_set_capacity(world.disk, 0);
        CHECK_OK(world_open(&world));
        world_make(&world, 50);
        world_drain(&world);
        world_check_end(&world);
        CHECK_INT(ft_fault_disk_breaches(world.disk), 0);
        world_close(&world, true);
        world_deinit(&world);
    }
}
