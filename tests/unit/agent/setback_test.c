/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host is set back to an earlier state, a backup or a snapshot, and its collector is not: the
 * numbers that the agent gives from then on were given before, to other events.
 */
#include "setback_world.h"

TEST(what_comes_after_the_set_back_is_another_instance)
{
    setup(1);
    live_and_set_back();
    CHECK_OK(open_agent());
    make(150);
    work(true, 120 * FT_NS_PER_S);
    CHECK_INT(world.n_held, 2);
    CHECK_INT(world.held[0].durable_seq, 500);
    CHECK_INT(world.held[1].n_stored, 151); /* A LOSS: nobody knows how the snapshot ended. */
    check_each_once(2);
    check_account();
    /* It stays so, over a restart and with more. */
    make(30);
    work(true, 3 * FT_NS_PER_S);
    close_agent();
    CHECK_OK(open_agent());
    make(30);
    work(true, 10 * FT_NS_PER_S);
    CHECK_INT(world.n_held, 2);
    check_each_once(2);
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
}

/* All that it asks for again is behind its newest event, and that alone shows the set-back. */
TEST(a_collector_that_has_more_and_asks_again_is_understood)
{
    setup(4);
    live_and_set_back();
    world.asks_again = true;
    world.forgets_life = true;
    world.may_repeat = true;
    CHECK_OK(open_agent());
    make(50);
    work(true, 120 * FT_NS_PER_S);
    CHECK_INT(world.n_held, 2);
    CHECK_INT(world.held[0].durable_seq, 500);
    for (uint32_t id = 2; id <= world.n_made; id++) {
        /* Of the 100 that were retained then it cannot be sure. */
        CHECK_INT(world.n_times[id], id > 201 && id <= 301 ? 2 : 1);
    }
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
}

/* More than the other timeline had: no number of the collector's is beyond what is here. */
TEST(more_events_than_it_had_before_make_no_difference)
{
    for (unsigned round = 0; round < 8; round++) {
        unsigned n_restarts = round / 2;
        setup(20 + round);
        live_and_set_back();
        world.asks_again = round % 2 == 1;
        for (unsigned i = 0; i <= n_restarts; i++) {
            CHECK_OK(open_agent());
            make(500);
            work(false, 3 * FT_NS_PER_S);
            if (i < n_restarts) {
                close_agent();
            }
        }
        work(true, 120 * FT_NS_PER_S);
        CHECK_INT(world.n_held, 2);
        CHECK_INT(world.held[0].durable_seq, 500);
        CHECK_INT(world.held[1].n_stored, 500 * (n_restarts + 1) + world.held[1].n_losses);
        check_each_once(2);
        check_account();
        close_agent();
        CHECK_OK(open_agent());
        make(30);
        work(true, 10 * FT_NS_PER_S);
        CHECK_INT(world.n_held, 2);
        check_each_once(2);
        check_account();
        close_agent();
        ft_disk_destroy(world.disk);
    }
}

/*
 * Two lives, a snapshot of the second one, then two lives more that are unknown to it.  What was
 * acknowledged is known to be common to both.  What was retained at the snapshot may be of either,
 * and goes out again.
 */
TEST(the_other_timeline_had_lives_of_its_own)
{
    for (unsigned sure = 0; sure < 2; sure++) {
        setup(30 + sure);
        CHECK_OK(open_agent());
        make(200);
        work(true, 3 * FT_NS_PER_S);
        close_agent();
        CHECK_OK(open_agent());
        make(50);
        work(sure == 1, 3 * FT_NS_PER_S);
        make(100);
        work(false, 2 * FT_NS_PER_S);
        close_agent();
        struct ft_disk *snapshot = ft_fault_disk_clone(world.disk);
        for (unsigned i = 0; i < 2; i++) {
            CHECK_OK(open_agent());
            make(100);
            work(true, 3 * FT_NS_PER_S);
            close_agent();
        }
        check_each_once(2);
        ft_disk_destroy(world.disk);
        world.disk = snapshot;
        CHECK_OK(open_agent());
        make(1000);
        work(false, 2 * FT_NS_PER_S);
        world.may_repeat = true;
        work(true, 120 * FT_NS_PER_S);
        CHECK_INT(world.n_held, 2);
        for (uint32_t id = 2; id <= world.n_made; id++) {
            bool twice = id > (sure == 0 ? 201 : 251) && id <= 351;
            CHECK_INT(world.n_times[id], twice ? 2 : 1);
        }
        check_account();
        close_agent();
        ft_disk_destroy(world.disk);
    }
}

/*
 * First to an older snapshot, and from there it delivers; then to a newer one, which has events in
 * between that the other timeline never had, under numbers that it gave to its own.
 */
TEST(set_back_to_an_older_state_and_then_to_a_newer_one)
{
    setup(40);
    CHECK_OK(open_agent());
    make(200);
    work(true, 3 * FT_NS_PER_S);
    make(50);
    work(false, 2 * FT_NS_PER_S);
    struct ft_disk *older = ft_fault_disk_clone(world.disk);
    make(50);
    work(false, 2 * FT_NS_PER_S);
    struct ft_disk *newer = ft_fault_disk_clone(world.disk);
    close_agent();
    ft_disk_destroy(world.disk);
    world.disk = older;
    CHECK_OK(open_agent());
    make(100);
    work(true, 60 * FT_NS_PER_S);
    CHECK_INT(world.n_held, 1);
    close_agent();
    ft_disk_destroy(world.disk);
    world.disk = newer;
    CHECK_OK(open_agent());
    make(10);
    world.may_repeat = true; /* The 50 that both have. */
    work(true, 120 * FT_NS_PER_S);
    for (uint32_t id = 2; id <= world.n_made; id++) {
        CHECK_INT(world.n_times[id], id > 201 && id <= 251 ? 2 : 1);
    }
    CHECK_INT(world.n_held, 2);
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
}

/* Of what both have, the last blocks may be on its disk and not durable when it connects, and on a
 * full disk they stay so for a while. */
TEST(whatever_was_durable_at_the_snapshot)
{
    for (int64_t at_ms = 900; at_ms < 1300; at_ms += 20) {
        setup(60 + (uint64_t)at_ms);
        CHECK_OK(open_agent());
        make(10);
        work(true, 3 * FT_NS_PER_S);
        make(5);
        work(false, at_ms * FT_NS_PER_MS);
        struct ft_disk *snapshot = ft_fault_disk_clone(world.disk);
        make(100);
        work(true, 3 * FT_NS_PER_S);
        close_agent();
        ft_disk_destroy(world.disk);
        world.disk = snapshot;
        ft_fault_disk_set_capacity(world.disk, 1);
        CHECK_OK(open_agent());
        work(true, 5 * FT_NS_PER_S);
        ft_fault_disk_set_capacity(world.disk, 0);
        make(10);
        work(true, 60 * FT_NS_PER_S);
        CHECK_INT(world.n_held, 2);
        check_each_once(2);
        check_balance();
        close_agent();
        ft_disk_destroy(world.disk);
    }
}

/* What it retains again had been dropped in the other timeline, and never came to the collector. */
TEST(what_the_other_timeline_had_dropped_goes_out)
{
    setup(50);
    world.is_small = true;
    CHECK_OK(open_agent());
    make(200);
    work(true, 3 * FT_NS_PER_S);
    make(10000);
    work(false, 2 * FT_NS_PER_S);
    struct ft_disk *snapshot = ft_fault_disk_clone(world.disk);
    for (unsigned i = 0; i < 40; i++) {
        make(1000);
        work(false, FT_NS_PER_S / 2);
    }
    work(true, 60 * FT_NS_PER_S);
    uint32_t n_dropped = 0;
    for (uint32_t id = 202; id <= 10201; id++) {
        n_dropped += world.n_times[id] == 0;
    }
    CHECK(n_dropped > 1000);
    world.may_repeat = true; /* The rest of what it retains. */
    close_agent();
    ft_disk_destroy(world.disk);
    world.disk = snapshot;
    CHECK_OK(open_agent());
    make(10);
    work(true, 120 * FT_NS_PER_S);
    for (uint32_t id = 202; id <= 10201; id++) {
        CHECK(world.n_times[id] > 0);
    }
    close_agent();
    ft_disk_destroy(world.disk);
}

TEST(set_back_again_and_again)
{
    setup(2);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t from = world.n_made + 1;
        for (size_t k = 0; k < world.n_held; k++) {
            CHECK(world.held[k].n_stored > 0);
        }
        CHECK_OK(open_agent());
        make(100);
        work(true, 60 * FT_NS_PER_S);
        struct ft_disk *snapshot = ft_fault_disk_clone(world.disk);
        make(50 + 20 * i);
        work(true, 10 * FT_NS_PER_S);
        check_each_once(from);
        check_account();
        close_agent();
        ft_disk_destroy(world.disk);
        world.disk = snapshot;
    }
    CHECK_OK(open_agent());
    make(10);
    work(true, 60 * FT_NS_PER_S);
    CHECK_INT(world.n_held, 4);
    check_account();
    close_agent();
    ft_disk_destroy(world.disk);
}

TEST(killed_at_any_change_of_the_disk_meanwhile)
{
    bool stopped = true;
    for (uint64_t at = 1; stopped; at++) {
        setup(at);
        live_and_set_back();
        ft_fault_disk_stop_at(world.disk, at);
        uint32_t from = world.n_made + 1;
        if (open_agent() == FT_OK) {
            make(50);
            work(true, 40 * FT_NS_PER_S);
        }
        stopped = ft_fault_disk_stopped(world.disk);
        close_agent();
        ft_fault_disk_restart(world.disk, FT_FAULT_KILL);
        CHECK_OK(open_agent());
        make(50);
        work(true, 120 * FT_NS_PER_S);
        /* What was not in the spool yet is told as lost; nothing is stored twice or mixed up. */
        uint64_t n_stored = 0;
        for (uint32_t id = from; id <= world.n_made; id++) {
            CHECK(world.n_times[id] <= 1);
            n_stored += world.n_times[id];
        }
        CHECK(n_stored >= 50);
        for (uint32_t id = world.n_made - 49; id <= world.n_made; id++) {
            CHECK_INT(world.n_times[id], 1);
        }
        check_account();
        close_agent();
        ft_disk_destroy(world.disk);
    }
}
