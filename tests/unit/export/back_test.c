/* SPDX-License-Identifier: Apache-2.0 */
/* The collector loses what it had: what is still here is sent again, the rest is told once. */
#include "exporter_world.h"

#define LARGE ((uint64_t)8 << 20)

static const struct ft_exporter_stats *stats_of(const struct world *world)
{
    return ft_exporter_stats(world->exporter);
}

/* 'n' blocks of ten events are stored and acknowledged. */
static void setup_stored(struct world *world, uint64_t log_bytes, uint64_t keep_bytes, unsigned n)
{
    struct ft_exporter_options options = {.window_bytes = log_bytes / 4};
    setup_with(world, &options, log_bytes, keep_bytes);
    world->counts = true;
    ft_exporter_enable(world->exporter);
    for (unsigned i = 0; i < n; i++) {
        seal(world, 10, 1000);
        run_for(world, FT_NS_PER_S / 100);
    }
    run_for(world, FT_NS_PER_S);
    CHECK_INT(world->durable_seq, 10 * n);
    CHECK_INT(stats_of(world)->acked_events, 10 * n);
    CHECK_INT(stats_of(world)->acked_seq, 10 * n);
}

/* The store goes back to what it had at 'seq', and the stream breaks. */
static void set_back(struct world *world, uint64_t seq)
{
    for (uint64_t i = seq + 1; i < STORED_MAX; i++) {
        world->stored[i] = 0;
    }
    world->durable_seq = seq < world->durable_seq ? seq : world->durable_seq;
    world->cancelled = world->open;
}

/* Observed = stored + retained + told lost, in numbers and for each event. */
static void check_account(const struct world *world)
{
    const struct ft_exporter_stats *stats = stats_of(world);
    uint64_t sealed = world->next_seq - 1;
    uint64_t lost = stats->rejected_events + stats->gone_events + world->dropped_events;
    CHECK_INT(stats->acked_events,
              stats->done_events - stats->rejected_events - stats->gone_events);
    CHECK(stats->done_events + world->dropped_events <= sealed);
    uint64_t retained = sealed - world->dropped_events - stats->done_events;
    CHECK_INT(sealed, stats->acked_events + retained + lost);
}

static void check_each_once(const struct world *world)
{
    check_account(world);
    uint64_t n_stored = 0;
    for (uint64_t seq = 1; seq < world->next_seq; seq++) {
        n_stored += world->stored[seq];
        if (world->stored[seq] + world->told[seq] != 1) {
            ft_test_fail(__FILE__, __LINE__, "event %llu: stored %u times, told lost %u times",
                         (unsigned long long)seq, world->stored[seq], world->told[seq]);
        }
    }
    CHECK_INT(stats_of(world)->acked_events, n_stored);
    CHECK_INT(stats_of(world)->done_events + world->dropped_events, world->next_seq - 1);
}

TEST(everything_that_is_still_here_is_sent_again)
{
    struct world world;
    setup_stored(&world, LARGE, LARGE, 50);
    set_back(&world, 120);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->gone_back, 1);
    CHECK_INT(stats_of(&world)->back_events, 380);
    CHECK_INT(stats_of(&world)->resent_blocks, 38);
    CHECK_INT(world.back_to_seq, 120);
    CHECK_INT(world.n_gone, 0);
    CHECK_INT(world.durable_seq, 500);
    check_each_once(&world);
    teardown(&world);
}

TEST(what_is_not_here_any_more_is_told_once)
{
    struct world world;
    setup_stored(&world, LARGE, 0, 100);
    set_back(&world, 120);
    world.acks = false;
    seal(&world, 10, 1000);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.n_gone, 1);
    CHECK_INT(world.gone[0].first_seq, 121);
    CHECK_INT(world.gone[0].last_seq, 1000);
    CHECK(!world.gone[0].estimated);
    CHECK_INT(stats_of(&world)->gone_events, 880);
    check_account(&world);
    /* It stays behind for a while: nothing is told again. */
    for (int i = 0; i < 5; i++) {
        world.cancelled = true;
        run_for(&world, 200 * FT_NS_PER_S);
        CHECK_INT(world.hello.next_seq, 1011);
    }
    CHECK_INT(world.n_gone, 1);
    world.acks = true;
    run_for(&world, 200 * FT_NS_PER_S);
    check_each_once(&world);
    teardown(&world);
}

TEST(what_is_kept_in_part_is_sent_and_told_in_part)
{
    struct world world;
    setup_stored(&world, LARGE, 100000, 500);
    set_back(&world, 1000);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.n_gone, 1);
    CHECK_INT(world.gone[0].first_seq, 1001);
    CHECK(world.gone[0].last_seq > 3000 && world.gone[0].last_seq < 4500);
    CHECK_INT(stats_of(&world)->gone_events + stats_of(&world)->back_events, 4000);
    check_each_once(&world);
    /* Again, and further: only what was not told yet is told. */
    uint64_t told_to = world.gone[0].last_seq;
    set_back(&world, 500);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.n_gone, 2);
    CHECK_INT(world.gone[1].first_seq, 501);
    CHECK_INT(world.gone[1].last_seq, 1000);
    CHECK(told_to > 1000);
    check_each_once(&world);
    teardown(&world);
}

TEST(what_is_under_way_comes_after_what_is_sent_again)
{
    struct world world;
    setup_stored(&world, LARGE, LARGE, 20);
    world.acks = false;
    for (int i = 0; i < 10; i++) {
        seal(&world, 10, 1000);
    }
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->unacked_bytes, 10000);
    set_back(&world, 50);
    world.acks = true;
    world.counts = false; /* Then the world checks the order. */
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.durable_seq, 300);
    CHECK_INT(stats_of(&world)->resent_blocks, 15 + 10);
    CHECK_INT(stats_of(&world)->acked_events, 300);
    teardown(&world);
}

TEST(what_was_rejected_is_neither_sent_again_nor_told_again)
{
    struct world world;
    struct ft_exporter_options options = {0};
    setup_with(&world, &options, LARGE, LARGE);
    world.counts = true;
    world.rejects = 7; /* 21, 91, 161 and 231. */
    ft_exporter_enable(world.exporter);
    for (int i = 0; i < 30; i++) {
        seal(&world, 10, 1000);
        run_for(&world, FT_NS_PER_S / 10);
    }
    CHECK_INT(world.rejected_events, 40);
    uint64_t received = world.received_events;
    world.rejects = 0; /* It would take them now. */
    set_back(&world, 0);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.rejected_events, 40);
    CHECK_INT(world.received_events, received + 260);
    check_each_once(&world);
    teardown(&world);
}

TEST(a_rejection_that_the_collector_has_forgotten_is_no_loss)
{
    struct world world;
    struct ft_exporter_options options = {0};
    setup_with(&world, &options, LARGE, 0);
    world.counts = true;
    world.rejects = 11; /* The second block, which is the last. */
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.rejected_events, 10);
    set_back(&world, 10);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->gone_back, 0);
    CHECK_INT(stats_of(&world)->gone_events, 0);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.rejected_events, 10);
    check_each_once(&world);
    teardown(&world);
}

/* The numbers behind the last stored one: a gap, a block that was rejected, one that is. */
static void reject_tail(struct world *world, uint64_t keep_bytes)
{
    struct ft_exporter_options options = {0};
    setup_with(world, &options, LARGE, keep_bytes);
    move_to_disk(world);
    world->counts = true;
    ft_exporter_enable(world->exporter);
    seal(world, 10, 1000);
    run_for(world, FT_NS_PER_S);
    world->dropped_events += 10;
    tell(world, 11, 20);
    world->next_seq = 21;
    world->rejects = 1;
    seal(world, 10, 1000);
    seal(world, 10, 1000);
    run_for(world, FT_NS_PER_S);
    CHECK_INT(world->rejected_events, 20);
    world->rejects = 0;
}

TEST(a_rejection_that_both_have_forgotten_is_no_loss)
{
    for (int keep = 0; keep < 2; keep++) {
        struct world world;
        reject_tail(&world, keep != 0 ? LARGE : 0);
        restart(&world, FT_FAULT_KILL);
        set_back(&world, 10);
        run_for(&world, 10 * FT_NS_PER_S);
        CHECK_INT(stats_of(&world)->gone_back, 0);
        CHECK_INT(stats_of(&world)->gone_events, 0);
        CHECK_INT(world.rejected_events, 20);
        seal(&world, 10, 1000);
        run_for(&world, FT_NS_PER_S);
        check_each_once(&world);
        teardown(&world);
    }
}

TEST(what_was_told_as_lost_is_not_told_again_after_a_power_cut)
{
    struct world world;
    reject_tail(&world, LARGE);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    restart(&world, FT_FAULT_LOSE);
    world.rejects = 1; /* It would say so again if it were sent again. */
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.rejected_events, 20);
    teardown(&world);
}

TEST(another_epoch_alone_sends_nothing_again)
{
    struct world world;
    setup_stored(&world, LARGE, LARGE, 20);
    world.store_epoch.bytes[0]++;
    world.cancelled = true;
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->epoch_changes, 1);
    CHECK_INT(stats_of(&world)->gone_back, 0);
    CHECK_INT(stats_of(&world)->resent_blocks, 0);
    CHECK(world.n_trusted >= 2);
    check_each_once(&world);
    teardown(&world);
}

TEST(what_is_wanted_again_and_dropped_is_told_by_the_log)
{
    struct world world;
    setup_stored(&world, 128 << 10, LARGE, 200);
    set_back(&world, 300);
    world.acks = false;
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK(stats_of(&world)->back_events > 0);
    for (int i = 0; i < 300; i++) {
        seal(&world, 10, 1000); /* More than the log holds, while nothing is acknowledged. */
    }
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK(world.dropped_events > 0);
    check_account(&world);
    world.acks = true;
    run_for(&world, 300 * FT_NS_PER_S);
    check_each_once(&world);
    teardown(&world);
}

/* The collector loses first..last, and asks for it on the next stream. */
static void lose(struct world *world, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        world->stored[seq] = 0;
        if (world->told[seq] == 0) {
            CHECK(ft_ranges_add(&world->lost, seq, seq));
        }
    }
    world->cancelled = world->open;
}

TEST(what_the_collector_asks_for_is_sent_again_and_nothing_else)
{
    struct world world;
    setup_stored(&world, LARGE, LARGE, 50);
    lose(&world, 31, 50);
    lose(&world, 208, 215);
    CHECK(ft_ranges_add(&world.lost, 601, 700)); /* Never sent: it comes in its turn. */
    uint64_t received = world.received_events;
    world.acks = false;
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(stats_of(&world)->acked_events, 30);
    check_account(&world);
    world.cancelled = true; /* In the middle of it. */
    world.acks = true;
    run_for(&world, 30 * FT_NS_PER_S);
    CHECK_INT(world.n_gone, 0);
    CHECK_INT(world.refilled_events, 28);
    CHECK(world.received_events - received <= 2 * 40);
    CHECK(ft_exporter_is_drained(world.exporter));
    check_each_once(&world);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    check_each_once(&world);
    CHECK_INT(world.durable_seq, 510);
    teardown(&world);
}

TEST(what_is_asked_for_in_vain_is_told_once)
{
    struct world world;
    setup_stored(&world, LARGE, 100000, 500);
    lose(&world, 31, 50);
    lose(&world, 101, 120);
    lose(&world, 4981, 4990);
    struct ft_ranges asked = world.lost;
    for (int i = 0; i < 3; i++) {
        world.lost = asked; /* It may not know yet. */
        if (i > 0) {
            ft_ranges_remove(&world.lost, 4981, 4990);
        }
        world.cancelled = true;
        run_for(&world, 10 * FT_NS_PER_S);
        CHECK_INT(world.n_gone, 2);
        CHECK_INT(stats_of(&world)->gone_events, 40);
        CHECK_INT(world.refilled_events, 10);
        check_each_once(&world);
    }
    /* What was told is not asked for again when the rest goes back. */
    set_back(&world, 4500);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.n_gone, 2);
    check_each_once(&world);
    teardown(&world);
}

/* Each of these was told, and a process that comes later knows it. */
TEST(several_losses_are_remembered_over_a_restart)
{
    struct world world;
    setup_stored(&world, LARGE, 0, 0);
    move_to_disk(&world);
    ft_exporter_enable(world.exporter);
    for (unsigned i = 0; i < 100; i++) {
        seal(&world, 10, 1000);
        run_for(&world, FT_NS_PER_S / 100);
    }
    run_for(&world, FT_NS_PER_S);
    for (uint64_t i = 0; i < 5; i++) {
        lose(&world, 1 + 100 * i, 20 + 100 * i);
    }
    struct ft_ranges asked = world.lost;
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.n_gone, 5);
    for (unsigned i = 0; i < 2; i++) {
        restart(&world, FT_FAULT_LOSE);
        world.lost = asked;
        run_for(&world, 10 * FT_NS_PER_S);
        CHECK_INT(world.n_gone, 5);
        CHECK_INT(stats_of(&world)->gone_events, 100);
    }
    teardown(&world);
}

static void lose_some(struct world *world, struct ft_random *r)
{
    run_for(world, 5 * FT_NS_PER_S);
    if (world->log_options.bytes_max == LARGE && world->durable_seq > 0 && world->lost.n == 0) {
        uint64_t first = 1 + ft_random_below(r, world->durable_seq);
        uint64_t last = first + ft_random_below(r, 30);
        lose(world, first, last < world->durable_seq ? last : world->durable_seq);
    }
}

static void run_seed(uint64_t seed)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, seed);
    struct ft_random *r = &random.base;
    static const uint64_t keeps[] = {0, 20000, 100000, LARGE};
    struct ft_exporter_options options = {.window_bytes = 1000 + ft_random_below(r, 20000)};
    struct world world;
    setup_with(&world, &options, ft_random_below(r, 2) == 0 ? 128 << 10 : LARGE,
               keeps[ft_random_below(r, 4)]);
    world.counts = true;
    world.rejects = ft_random_below(r, 2) == 0 ? 0 : 3 + ft_random_below(r, 20);
    ft_exporter_enable(world.exporter);
    for (int round = 0; round < 40; round++) {
        for (uint64_t n = ft_random_below(r, 12); n > 0; n--) {
            seal(&world, 1 + (uint32_t)ft_random_below(r, 20), 200 + ft_random_below(r, 3000));
        }
        run_for(&world, (int64_t)ft_random_below(r, 3 * FT_NS_PER_S));
        check_account(&world);
        switch (ft_random_below(r, 6)) {
        case 0:
            world.acks = !world.acks;
            world.cancelled = world.open; /* What it did not take it gets on the next stream. */
            break;
        case 1:
            world.acks = true;
            run_for(&world, 5 * FT_NS_PER_S); /* Whatever was rejected is heard of. */
            set_back(&world, ft_random_below(r, world.durable_seq + 1));
            break;
        case 2:
            run_for(&world, 5 * FT_NS_PER_S);
            world.cancelled = world.open;
            break;
        case 3:
            lose_some(&world, r);
            break;
        default:
            break;
        }
    }
    world.cancelled = world.cancelled || (world.open && !world.acks);
    world.acks = true;
    run_for(&world, 400 * FT_NS_PER_S);
    CHECK(ft_exporter_is_drained(world.exporter));
    check_each_once(&world);
    teardown(&world);
}

TEST(the_account_holds_through_any_history)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        run_seed(seed);
    }
}

/* All that was before was told as lost; the collector has none of it, and is not asked twice. */
TEST(a_guess_is_settled_once)
{
    struct world world;
    setup(&world);
    move_to_disk(&world);
    ft_exporter_destroy(world.exporter);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(world.log, "exporter", false, &reader));
    struct ft_progress guess = {.acked_seq = 18, .stored_seq = 18};
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(&guess, note);
    CHECK_OK(ft_log_reader_set_note(reader, note, sizeof note));
    ft_log_reader_close(reader);
    CHECK_OK(ft_exporter_create(&world.options, &world.exporter));
    world.acks = false;
    ft_exporter_enable(world.exporter);
    for (unsigned i = 0; i < 3; i++) {
        run_for(&world, 5 * FT_NS_PER_S);
        world.cancelled = true;
    }
    CHECK_INT(world.hellos, 3);
    CHECK_INT(stats_of(&world)->gone_back, 1);
    CHECK_INT(world.n_gone, 0);
    teardown(&world);
}
