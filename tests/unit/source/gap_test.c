/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "lib/ct_build.h"
#include "lib/test.h"
#include "rig.h"

/* Room for so many events in the socket of these tests. */
#define SOCKET_EVENTS 50

static const struct ft_source_stats *stats(const struct rig *rig)
{
    return ft_source_get_stats(rig->source);
}

static void start(struct rig *rig, bool reliable)
{
    rig_init(rig);
    rig->kernel.rcvbuf_bytes_max = (uint64_t)SOCKET_EVENTS * FT_FAKE_EVENT_BYTES;
    rig->options.reader.reliable = reliable;
    rig->options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    rig_start(rig);
    rig_run(rig, 2 * FT_NS_PER_S);
}

static void check_all_complete(struct rig *rig)
{
    for (size_t i = 0; i < rig->kernel.n_flows; i++) {
        rig_check_complete(rig, i);
    }
}

static void end_all(struct rig *rig)
{
    for (size_t i = 0; i < rig->kernel.n_flows; i++) {
        if (rig->kernel.flows[i].alive) {
            ft_fake_kernel_end(&rig->kernel, i);
        }
    }
}

TEST(new_events_that_were_dropped_are_rebuilt_from_a_dump)
{
    struct rig rig;
    start(&rig, true);
    rig.reader_stalls = true;
    for (uint32_t n = 0; n < 200; n++) {
        ft_fake_kernel_count(&rig.kernel, ft_fake_kernel_begin_sample(&rig.kernel, n), 1, n, 1, 1);
    }
    rig_run(&rig, 10 * FT_NS_PER_MS);
    rig.reader_stalls = false;
    rig_run(&rig, 5 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 200);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_START], 200 - SOCKET_EVENTS);
    CHECK_INT(rig_stat(&stats(&rig)->n_overruns), 1);
    CHECK_INT(rig_stat(&stats(&rig)->n_drops), 200 - SOCKET_EVENTS);
    CHECK_INT(rig_stat(&stats(&rig)->n_resyncs), 1);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 0);
    for (size_t i = 0; i < 200; i += 40) {
        for (size_t k = i; k < i + 40; k++) {
            ft_fake_kernel_end(&rig.kernel, k);
        }
        rig_run(&rig, 10 * FT_NS_PER_MS);
    }
    check_all_complete(&rig);
    CHECK((rig.ledger.flows[199].start_fields & FT_FIELD_PREEXISTING) == 0);
    rig_deinit(&rig);
}

TEST(ends_that_were_dropped_come_again_while_reliable)
{
    struct rig rig;
    start(&rig, true);
    for (uint32_t n = 0; n < 200; n++) {
        ft_fake_kernel_count(&rig.kernel, ft_fake_kernel_begin_sample(&rig.kernel, n), 1, n, 1, 1);
        rig_settle(&rig);
    }
    rig.reader_stalls = true;
    end_all(&rig);
    rig_run(&rig, FT_NS_PER_S);
    rig.reader_stalls = false;
    rig_run(&rig, 70 * FT_NS_PER_S);
    check_all_complete(&rig);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 0);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 0);
    CHECK(rig_stat(&stats(&rig)->n_overruns) > 0);
    rig_deinit(&rig);
}

TEST(flows_of_the_gap_are_complete_while_reliable)
{
    struct rig rig;
    start(&rig, true);
    rig.reader_stalls = true;
    for (uint32_t n = 0; n < 200; n++) {
        ft_fake_kernel_count(&rig.kernel, ft_fake_kernel_begin_sample(&rig.kernel, n), 1, n, 1, 1);
    }
    end_all(&rig);
    rig_run(&rig, FT_NS_PER_S);
    rig.reader_stalls = false;
    rig_run(&rig, 70 * FT_NS_PER_S);
    check_all_complete(&rig);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 0);
    rig_deinit(&rig);
}

TEST(missing_flows_end_at_once_and_losses_are_told_when_unreliable)
{
    struct rig rig;
    start(&rig, false);
    for (uint32_t n = 0; n < 40; n++) {
        ft_fake_kernel_begin_sample(&rig.kernel, n);
        rig_settle(&rig);
    }
    rig_run(&rig, FT_NS_PER_S);
    int64_t gap_begin = rig.kernel.real_ns;
    rig.reader_stalls = true;
    for (uint32_t n = 40; n < 140; n++) {
        size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, n);
        if (n % 2 == 0) {
            ft_fake_kernel_end(&rig.kernel, flow);
        }
    }
    for (size_t i = 0; i < 40; i++) {
        ft_fake_kernel_end(&rig.kernel, i);
    }
    rig_run(&rig, FT_NS_PER_S);
    rig.reader_stalls = false;
    rig_run(&rig, 5 * FT_NS_PER_S);
    /* 190 events, of which 50 fit; of the 140 dropped 40 were ENDs of known flows, which the sweep
     * infers, and some NEWs of flows that live, which the dump has. */
    CHECK_INT(rig_stat(&stats(&rig)->n_drops), 140);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 40);
    uint64_t rebuilt = rig.ledger.n_inferred[FT_EVENT_START] + 40;
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 1);
    CHECK_INT(rig.ledger.last_loss.cause, FT_LOSS_KERNEL_OVERRUN);
    CHECK_INT(rig.ledger.last_loss.count, 140 - rebuilt);
    CHECK(rig.ledger.last_loss.estimated);
    CHECK(rig.ledger.last_loss.begin_ns <= gap_begin);
    CHECK(rig.ledger.last_loss.end_ns >= gap_begin);
    CHECK_INT(ft_ledger_count_open(&rig.ledger), 50);
    CHECK((ft_ledger_find(&rig.ledger, 5)->end_fields & FT_FIELD_COUNTERS) == 0);
    rig_deinit(&rig);
}

/* An END that neither comes nor will: after the grace the flow has ended. */
TEST(a_missing_flow_ends_after_the_grace_while_reliable)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.reader.reliable = true;
    rig.options.tracker.end_grace_calm_ns = rig.options.tracker.end_grace_ns;
    rig_start(&rig);
    rig_run(&rig, 2 * FT_NS_PER_S);
    size_t gone = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    size_t late = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    rig_run(&rig, FT_NS_PER_S);
    rig.kernel.flows[gone].alive = false; /* Its END is lost without a trace. */
    rig.kernel.flows[late].alive = false;
    rig_run(&rig, 70 * FT_NS_PER_S); /* A dump for counters comes by. */
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 0);
    ft_fake_kernel_end(&rig.kernel, late); /* Within the grace: its own END counts. */
    rig_run(&rig, 40 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 2);
    CHECK((ft_ledger_find(&rig.ledger, 1)->end_fields & FT_FIELD_INFERRED) != 0);
    CHECK((ft_ledger_find(&rig.ledger, 2)->end_fields & FT_FIELD_INFERRED) == 0);
    /* And if it comes after all, it is not told twice. */
    ft_fake_kernel_end(&rig.kernel, gone);
    rig_run(&rig, FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 2);
    CHECK_INT(rig_stat(&stats(&rig)->n_late_ends), 1);
    rig_deinit(&rig);
}

TEST(a_socket_that_failed_leaves_a_loss)
{
    struct rig rig;
    start(&rig, true);
    size_t lives = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    size_t dies = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    rig_run(&rig, 3 * FT_NS_PER_S);
    rig.kernel.n_open_errors = 3;
    rig.kernel.recv_error = ft_err_from_errno(EBADF);
    rig_run(&rig, FT_NS_PER_MS);
    int64_t closed = rig.kernel.real_ns;
    ft_fake_kernel_end(&rig.kernel, dies);
    size_t born = ft_fake_kernel_begin_sample(&rig.kernel, 3);
    rig_run(&rig, 10 * FT_NS_PER_S);
    CHECK_INT(rig.kernel.n_opens, 2);
    CHECK_INT(rig.kernel.n_closes, 1);
    CHECK_INT(rig_stat(&stats(&rig)->n_open_failures), 3);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 1);
    CHECK_INT(rig.ledger.last_loss.cause, FT_LOSS_SOCKET_REOPENED);
    CHECK(rig.ledger.last_loss.begin_ns <= closed && rig.ledger.last_loss.end_ns > closed);
    CHECK((ft_ledger_find(&rig.ledger, 2)->end_fields & FT_FIELD_INFERRED) != 0);
    CHECK((ft_ledger_find(&rig.ledger, 3)->start_fields & FT_FIELD_INFERRED) != 0);
    CHECK((ft_ledger_find(&rig.ledger, 3)->start_fields & FT_FIELD_PREEXISTING) == 0);
    ft_fake_kernel_end(&rig.kernel, lives);
    ft_fake_kernel_end(&rig.kernel, born);
    rig_run(&rig, FT_NS_PER_S);
    rig_check_complete(&rig, lives);
    rig_check_complete(&rig, born);
    rig_deinit(&rig);
}

TEST(the_first_dump_is_repeated_until_it_works)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.n_dump_errors = 3;
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    ft_fake_kernel_advance(&rig.kernel, FT_NS_PER_MS);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_S);
    CHECK_INT(rig_stat(&stats(&rig)->n_dump_failures), 3);
    CHECK((ft_ledger_find(&rig.ledger, 1)->start_fields & FT_FIELD_PREEXISTING) != 0);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, FT_NS_PER_S);
    rig_check_complete(&rig, flow);
    rig_deinit(&rig);
}

TEST(a_dump_that_changed_under_way_ends_no_flow)
{
    struct rig rig;
    start(&rig, false);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    rig_run(&rig, FT_NS_PER_S);
    rig.kernel.dump_changes = true;
    rig.reader_stalls = true;
    for (uint32_t n = 100; n < 200; n++) {
        ft_fake_kernel_begin_sample(&rig.kernel, n);
    }
    rig.kernel.flows[flow].alive = false; /* As a walk that was disturbed may show it. */
    rig_run(&rig, FT_NS_PER_MS);
    rig.reader_stalls = false;
    rig_run(&rig, 500 * FT_NS_PER_MS);
    CHECK_INT(rig.kernel.n_dumps, 2);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 0);
    rig.kernel.flows[flow].alive = true;
    rig_run(&rig, 10 * FT_NS_PER_S);
    CHECK_INT(rig.kernel.n_dumps, 3);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 0);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 101);
    rig_deinit(&rig);
}

TEST(resyncs_keep_their_distance_and_lengthen_it)
{
    struct rig rig;
    start(&rig, true);
    unsigned n_dumps = rig.kernel.n_dumps;
    for (unsigned i = 0; i < 1200; i++) { /* Two minutes of an overrun each 100 ms. */
        rig.reader_stalls = true;
        for (uint32_t n = 0; n < SOCKET_EVENTS + 1; n++) {
            size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, i * 64 + n);
            rig.kernel.flows[flow].alive = false;
        }
        rig.reader_stalls = false;
        rig_run(&rig, 100 * FT_NS_PER_MS);
    }
    CHECK(rig_stat(&stats(&rig)->n_overruns) >= 1200);
    CHECK(rig.kernel.n_dumps - n_dumps >= 5);
    CHECK(rig.kernel.n_dumps - n_dumps <= 10);
    rig_deinit(&rig);
}

/* Everything at once, by seed: what is in the books must add up. */
static void run_storm(uint64_t seed)
{
    struct rig rig;
    struct ft_random_seeded random;
    start(&rig, true);
    ft_random_seeded_init(&random, seed);
    for (uint32_t n = 0; n < 3000; n++) {
        size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, n);
        for (unsigned i = 0; i < 3; i++) {
            flow = (size_t)ft_random_below(&random.base, rig.kernel.n_flows);
            if (rig.kernel.flows[flow].alive) {
                ft_fake_kernel_count(&rig.kernel, flow, 1, 100, 2, 1000);
            }
        }
        if (rig.kernel.flows[flow].alive && ft_random_below(&random.base, 2) == 0) {
            ft_fake_kernel_end(&rig.kernel, flow);
        }
        if (ft_random_below(&random.base, 100) == 0) {
            rig.reader_stalls = !rig.reader_stalls;
        }
        if (ft_random_below(&random.base, 100) == 0) {
            rig.pipeline_stalls = !rig.pipeline_stalls;
        }
        if (ft_random_below(&random.base, 10) == 0) {
            rig_run(&rig, (int64_t)ft_random_below(&random.base, 50) * FT_NS_PER_MS);
        }
        if (ft_random_below(&random.base, 700) == 0) {
            rig_run(&rig, 61 * FT_NS_PER_S);
        }
    }
    rig.reader_stalls = false;
    rig.pipeline_stalls = false;
    rig_run(&rig, 5 * FT_NS_PER_S);
    end_all(&rig);
    rig_run(&rig, 130 * FT_NS_PER_S);
    CHECK(rig_stat(&stats(&rig)->n_overruns) > 5);
    CHECK(rig.ledger.n_inferred[FT_EVENT_START] > 100);
    CHECK_INT(rig.ledger.n_flows, rig.kernel.n_flows);
    CHECK_INT(ft_ledger_count_open(&rig.ledger), 0);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 0);
    for (size_t i = 0; i < rig.kernel.n_flows; i++) {
        rig_check_complete(&rig, i);
    }
    rig_deinit(&rig);
}

TEST(nothing_is_missing_after_a_storm_while_reliable)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run_storm(seed);
    }
}

/* The smallest buffer: the kernel needs minutes to tell all ENDs, 12 of them each 100 ms. */
TEST(nothing_is_inferred_while_the_kernel_still_tells)
{
    enum { FLOWS = 4800 };
    struct rig rig;
    rig_init(&rig);
    rig.kernel.rcvbuf_bytes_max = UINT64_C(12) * FT_FAKE_EVENT_BYTES;
    rig.options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    rig_start(&rig);
    rig_run(&rig, 2 * FT_NS_PER_S);
    for (uint32_t n = 0; n < FLOWS; n++) {
        ft_fake_kernel_count(&rig.kernel, ft_fake_kernel_begin_sample(&rig.kernel, n), 1, n, 1, 1);
        rig_settle(&rig);
    }
    end_all(&rig);
    rig_run(&rig, 35 * FT_NS_PER_S);
    CHECK(ft_ledger_count_open(&rig.ledger) > 0); /* It takes longer than the grace. */
    rig_run(&rig, 20 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 0);
    CHECK_INT(rig_stat(&stats(&rig)->n_late_ends), 0);
    CHECK_INT(rig_stat(&stats(&rig)->n_duplicates), 0);
    check_all_complete(&rig);
    rig_deinit(&rig);
}

/* Ever more is dropped, so the kernel never catches up: what is missing ends all the same. */
TEST(a_grace_has_an_end_whatever_the_kernel_tells)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.rcvbuf_bytes_max = (uint64_t)SOCKET_EVENTS * FT_FAKE_EVENT_BYTES;
    rig.options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    rig.options.tracker.end_grace_max_ns = 60 * FT_NS_PER_S;
    rig_start(&rig);
    rig_run(&rig, 2 * FT_NS_PER_S);
    size_t gone = ft_fake_kernel_begin_sample(&rig.kernel, 0);
    rig_run(&rig, FT_NS_PER_S);
    rig.kernel.flows[gone].alive = false; /* Its END is lost without a trace. */
    for (uint32_t second = 1; second <= 80; second++) {
        CHECK(second > 40 || ft_ledger_count_open(&rig.ledger) > 0);
        for (uint32_t n = 0; n <= SOCKET_EVENTS; n++) {
            ft_fake_kernel_end(&rig.kernel,
                               ft_fake_kernel_begin_sample(&rig.kernel, second * 64 + n));
        }
        rig_run(&rig, FT_NS_PER_S);
    }
    CHECK((ft_ledger_find(&rig.ledger, rig.kernel.flows[gone].record.id)->end_fields &
           FT_FIELD_INFERRED) != 0);
    rig_deinit(&rig);
}

/* The kernel tells an END when nobody expects it any more: counted, and not told twice. */
TEST(an_end_after_an_inferred_one_is_counted_and_told_no_more)
{
    struct rig rig;
    rig_init(&rig);
    size_t exact = ft_fake_kernel_begin_sample(&rig.kernel, 1); /* Known from a dump. */
    ft_fake_kernel_advance(&rig.kernel, FT_NS_PER_S);
    rig_start(&rig);
    rig_run(&rig, 2 * FT_NS_PER_S);
    size_t heard = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    rig_run(&rig, FT_NS_PER_S);
    rig.kernel.flows[exact].alive = false;
    rig.kernel.flows[heard].alive = false;
    rig_run(&rig, 70 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 2);
    ft_fake_kernel_end(&rig.kernel, exact);
    ft_fake_kernel_end(&rig.kernel, heard);
    rig_run(&rig, FT_NS_PER_S);
    CHECK_INT(rig_stat(&stats(&rig)->n_late_ends), 2);
    CHECK_INT(rig_stat(&stats(&rig)->n_duplicates), 0);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 2);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 2);
    /* Once more it is the kernel's repetition for somebody else. */
    ft_fake_kernel_repeat_end(&rig.kernel, exact);
    rig_run(&rig, FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 2);
    rig_deinit(&rig);
}
