/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tracker.h"

#include "lib/ct_build.h"
#include "lib/test.h"
#include "rig.h"

static const struct ft_source_stats *stats(const struct rig *rig)
{
    return ft_source_get_stats(rig->source);
}

TEST(gives_a_start_and_an_end)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 100 * FT_NS_PER_MS);
    int64_t began = rig.kernel.real_ns;
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    rig_run(&rig, 50 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 1);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_START], 0);
    const struct ft_ledger_flow *entry = ft_ledger_find(&rig.ledger, 1);
    CHECK_INT(entry->start.time_ns, began);
    CHECK_INT(entry->start.start_ns, began);
    CHECK_INT(entry->start.direction, FT_DIR_EGRESS);
    CHECK((entry->start_fields & FT_FIELD_COUNTERS) == 0);
    CHECK((entry->start_fields & FT_FIELD_NAT) == 0);
    CHECK((entry->start_fields & FT_FIELD_STATUS) != 0);
    CHECK((entry->start_fields & FT_FIELD_PREEXISTING) == 0);
    ft_fake_kernel_count(&rig.kernel, flow, 3, 300, 2, 2000);
    ft_fake_kernel_end(&rig.kernel, flow);
    int64_t ended = rig.kernel.real_ns;
    rig_run(&rig, 50 * FT_NS_PER_MS);
    rig_check_complete(&rig, flow);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->end.time_ns, ended);
    CHECK_INT(rig_stat(&stats(&rig)->n_flows), 0);
    rig_deinit(&rig);
}

TEST(gives_flows_of_before_a_start_from_the_first_dump)
{
    struct rig rig;
    rig_init(&rig);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    ft_fake_kernel_count(&rig.kernel, flow, 5, 500, 4, 400);
    int64_t began = rig.kernel.real_ns;
    ft_fake_kernel_advance(&rig.kernel, FT_NS_PER_S);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    const struct ft_ledger_flow *entry = ft_ledger_find(&rig.ledger, 1);
    CHECK(entry != NULL);
    CHECK_INT(entry->start.time_ns, began);
    CHECK_INT(entry->tx_bytes, 500);
    uint32_t flags = FT_FIELD_PREEXISTING | FT_FIELD_INFERRED | FT_FIELD_START_UNKNOWN |
                     FT_FIELD_COUNTERS_UNSURE;
    CHECK_INT(entry->start_fields & flags, FT_FIELD_PREEXISTING | FT_FIELD_INFERRED);
    ft_fake_kernel_count(&rig.kernel, flow, 1, 100, 1, 100);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig_check_complete(&rig, flow);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->end.tx_bytes, 100);
    CHECK((ft_ledger_find(&rig.ledger, 1)->end_fields & FT_FIELD_INFERRED) == 0);
    rig_deinit(&rig);
}

TEST(says_when_start_and_counters_are_not_known)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.switches[FT_CT_SWITCH_TIMESTAMP] = 0;
    size_t counted = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    rig.kernel.switches[FT_CT_SWITCH_ACCT] = 0;
    size_t uncounted = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    ft_fake_kernel_advance(&rig.kernel, FT_NS_PER_S);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    uint32_t flags = FT_FIELD_START_UNKNOWN | FT_FIELD_COUNTERS | FT_FIELD_COUNTERS_UNSURE;
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->start_fields & flags, flags);
    CHECK_INT(ft_ledger_find(&rig.ledger, 2)->start_fields & flags, FT_FIELD_START_UNKNOWN);
    ft_fake_kernel_end(&rig.kernel, counted);
    ft_fake_kernel_end(&rig.kernel, uncounted);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig_check_complete(&rig, counted);
    rig_check_complete(&rig, uncounted);
    CHECK_INT(ft_ledger_find(&rig.ledger, 2)->end_fields & flags, FT_FIELD_START_UNKNOWN);
    rig_deinit(&rig);
}

TEST(counters_of_flows_from_before_the_switch_are_unsure)
{
    struct rig rig;
    rig_init(&rig);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    ft_fake_kernel_advance(&rig.kernel, FT_NS_PER_S);
    rig_start(&rig);
    rig_feed(&rig, FT_CHUNK_SWITCHES, 2, NULL, 0);
    rig_feed(&rig, FT_CHUNK_SWITCHES, 3, NULL, 0);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK((ft_ledger_find(&rig.ledger, 1)->start_fields & FT_FIELD_COUNTERS_UNSURE) != 0);
    size_t later = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    rig_run(&rig, 5 * FT_NS_PER_MS);
    ft_fake_kernel_end(&rig.kernel, flow);
    ft_fake_kernel_end(&rig.kernel, later);
    rig_run(&rig, 5 * FT_NS_PER_MS);
    CHECK((ft_ledger_find(&rig.ledger, 1)->end_fields & FT_FIELD_COUNTERS_UNSURE) != 0);
    CHECK((ft_ledger_find(&rig.ledger, 2)->end_fields & FT_FIELD_COUNTERS_UNSURE) == 0);
    rig_deinit(&rig);
}

TEST(start_time_is_the_receive_time_where_the_kernel_says_nothing)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.event_stamps = false;
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    rig.reader_stalls = true;
    rig_run(&rig, 7 * FT_NS_PER_MS);
    rig.reader_stalls = false;
    int64_t read = rig.kernel.real_ns;
    rig_settle(&rig);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->start.start_ns, read);
    CHECK((ft_ledger_find(&rig.ledger, 1)->start_fields & FT_FIELD_START_UNKNOWN) == 0);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 5 * FT_NS_PER_MS);
    rig_check_complete(&rig, flow);
    rig_deinit(&rig);
}

TEST(end_of_an_unheard_flow_gives_both_events)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.reader.ladder.mode = FT_LADDER_FIXED_DESTROY_ONLY;
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    int64_t began = rig.kernel.real_ns;
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    ft_fake_kernel_count(&rig.kernel, flow, 1, 100, 1, 200);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 0);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig_check_complete(&rig, flow);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->start.time_ns, began);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->start.rx_bytes, 0);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_START], 1);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 0);
    rig_deinit(&rig);
}

TEST(remembers_mark_and_class_and_takes_updates)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.reader.listen_update = true;
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    struct ft_ct_record *record = &rig.kernel.flows[flow].record;
    record->has |= FT_CT_HAS_MARK;
    record->mark = 0x1bd10;
    ft_fake_kernel_update(&rig.kernel, flow);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    record->has &= ~FT_CT_HAS_MARK;
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK((ft_ledger_find(&rig.ledger, 1)->end_fields & FT_FIELD_MARK) != 0);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->end.mark, 0x1bd10);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_UPDATE], 0);
    rig_deinit(&rig);
}

TEST(reports_counters_of_long_flows)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t busy = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    size_t idle = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    ft_fake_kernel_count(&rig.kernel, busy, 1, 10, 1, 20);
    rig_run(&rig, 61 * FT_NS_PER_S);
    size_t young = ft_fake_kernel_begin_sample(&rig.kernel, 3);
    ft_fake_kernel_count(&rig.kernel, busy, 1, 10, 1, 20);
    ft_fake_kernel_count(&rig.kernel, young, 1, 10, 1, 20);
    rig_run(&rig, 60 * FT_NS_PER_S);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->n_updates, 1);
    CHECK_INT(ft_ledger_find(&rig.ledger, 2)->n_updates, 0);
    CHECK_INT(ft_ledger_find(&rig.ledger, 3)->n_updates, 0);
    ft_fake_kernel_count(&rig.kernel, busy, 7, 70, 7, 70);
    rig_run(&rig, 60 * FT_NS_PER_S);
    CHECK_INT(ft_ledger_find(&rig.ledger, 1)->n_updates, 2);
    CHECK_INT(ft_ledger_find(&rig.ledger, 3)->n_updates, 1);
    ft_fake_kernel_count(&rig.kernel, busy, 1, 1, 0, 0);
    ft_fake_kernel_end(&rig.kernel, busy);
    ft_fake_kernel_end(&rig.kernel, idle);
    ft_fake_kernel_end(&rig.kernel, young);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig_check_complete(&rig, busy);
    rig_check_complete(&rig, idle);
    rig_check_complete(&rig, young);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 0);
    rig_deinit(&rig);
}

/* The END comes between the making of a dump's datagram and its processing. */
TEST(an_entry_of_a_dead_flow_does_not_make_it_begin_again)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.dump_entries_max = 1;
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    uint8_t entry[FT_CT_BUILD_SIZE_MAX];
    size_t size = ft_ct_build(&rig.kernel.flows[flow].record, true, entry, sizeof entry);
    struct ft_chunk dump = {.kind = FT_CHUNK_DUMP_BEGIN, .value = FT_DUMP_UPDATE};
    ft_source_feed(rig.source, &dump);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 2 * FT_NS_PER_MS);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP, .data = entry, .size = size};
    ft_source_feed(rig.source, &dump);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP_END, .value = 1};
    ft_source_feed(rig.source, &dump);
    rig_run(&rig, 3 * FT_NS_PER_S);
    rig_check_complete(&rig, flow);
    CHECK_INT(rig.ledger.n_flows, 1);
    CHECK_INT(rig_stat(&stats(&rig)->n_flows), 0);
    rig_deinit(&rig);
}

/* A dump shows the flow before its NEW event is processed. */
TEST(a_new_event_after_the_dump_is_no_second_start)
{
    struct rig rig;
    rig_init(&rig);
    rig.kernel.switches[FT_CT_SWITCH_TIMESTAMP] = 0; /* Else the young flow would be left to NEW. */
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig.reader_stalls = true;
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    uint8_t entry[FT_CT_BUILD_SIZE_MAX];
    size_t size = ft_ct_build(&rig.kernel.flows[flow].record, true, entry, sizeof entry);
    struct ft_chunk dump = {.kind = FT_CHUNK_DUMP_BEGIN, .value = FT_DUMP_UPDATE};
    ft_source_feed(rig.source, &dump);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP, .data = entry, .size = size};
    ft_source_feed(rig.source, &dump);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP_END, .value = 1};
    ft_source_feed(rig.source, &dump);
    rig.reader_stalls = false;
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 1);
    CHECK_INT(rig_stat(&stats(&rig)->n_duplicates), 1);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig_check_complete(&rig, flow);
    rig_deinit(&rig);
}

TEST(a_flow_younger_than_the_events_read_is_left_to_its_event)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    rig.reader_stalls = true;
    rig_run(&rig, FT_NS_PER_MS);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    uint8_t entry[FT_CT_BUILD_SIZE_MAX];
    size_t size = ft_ct_build(&rig.kernel.flows[flow].record, true, entry, sizeof entry);
    struct ft_chunk dump = {.kind = FT_CHUNK_DUMP_BEGIN, .value = FT_DUMP_UPDATE};
    ft_source_feed(rig.source, &dump);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP, .data = entry, .size = size};
    ft_source_feed(rig.source, &dump);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 0);
    rig.reader_stalls = false;
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], 1);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_START], 0);
    rig_deinit(&rig);
}

/* The dump shows a later flow with the same id and tuple; the events of both are still queued. */
TEST(a_namesake_in_a_dump_waits_for_the_events)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t first = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    ft_fake_kernel_count(&rig.kernel, first, 9, 900, 9, 900);
    rig_run(&rig, 5 * FT_NS_PER_S);
    rig.reader_stalls = true;
    ft_fake_kernel_end(&rig.kernel, first);
    rig_run(&rig, FT_NS_PER_MS);
    size_t second = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    ft_fake_kernel_count(&rig.kernel, second, 1, 100, 1, 100);
    uint8_t entry[FT_CT_BUILD_SIZE_MAX];
    size_t size = ft_ct_build(&rig.kernel.flows[second].record, true, entry, sizeof entry);
    struct ft_chunk dump = {.kind = FT_CHUNK_DUMP_BEGIN, .value = FT_DUMP_UPDATE};
    ft_source_feed(rig.source, &dump);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP, .data = entry, .size = size};
    ft_source_feed(rig.source, &dump);
    dump = (struct ft_chunk){.kind = FT_CHUNK_DUMP_END, .value = 1};
    ft_source_feed(rig.source, &dump);
    rig.reader_stalls = false;
    rig_run(&rig, 2 * FT_NS_PER_S);
    ft_fake_kernel_end(&rig.kernel, second);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_flows, 2);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 2);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 0);
    CHECK_INT(rig.ledger.flows[0].tx_bytes, 900);
    CHECK_INT(rig.ledger.flows[1].tx_bytes, 100);
    rig_deinit(&rig);
}

/* The END of the first flow was lost: the second's own END tells. */
TEST(an_id_used_again_ends_the_flow_before)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t first = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    rig_run(&rig, 5 * FT_NS_PER_S);
    rig.kernel.flows[first].alive = false;
    size_t second = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    ft_fake_kernel_count(&rig.kernel, second, 1, 100, 1, 100);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    ft_fake_kernel_end(&rig.kernel, second);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_flows, 2);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 1);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 2);
    CHECK((rig.ledger.flows[0].end_fields & FT_FIELD_COUNTERS) == 0);
    CHECK_INT(rig.ledger.flows[1].tx_bytes, 100);
    rig_deinit(&rig);
}

TEST(an_end_that_the_kernel_repeats_is_told_once)
{
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 7);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    ft_fake_kernel_end(&rig.kernel, flow);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    ft_fake_kernel_repeat_end(&rig.kernel, flow);
    rig_run(&rig, 100 * FT_NS_PER_MS);
    rig_check_complete(&rig, flow);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 1);
    CHECK_INT(rig_stat(&stats(&rig)->n_duplicates), 1);
    rig_deinit(&rig);
}

TEST(at_the_bound_flows_are_reported_from_their_end)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.tracker.flow_table_bytes_max = 1; /* The least there is: 1 MiB. */
    rig.kernel.rcvbuf_bytes_max = (uint64_t)256 << 20;
    rig.options.reader.rcvbuf_bytes = (uint64_t)256 << 20;
    rig.options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    enum { N = 40000 };
    for (uint32_t n = 0; n < N; n++) {
        ft_fake_kernel_count(&rig.kernel, ft_fake_kernel_begin_sample(&rig.kernel, n), 1, n, 1, 1);
    }
    rig_run(&rig, 20 * FT_NS_PER_MS);
    uint64_t n_flows = rig_stat(&stats(&rig)->n_flows);
    CHECK(n_flows > 10000 && n_flows < N);
    CHECK_INT(rig_stat(&stats(&rig)->n_untracked), N - n_flows);
    CHECK(rig_stat(&stats(&rig)->table_bytes) <= (uint64_t)1 << 20);
    for (size_t i = 0; i < N; i++) {
        ft_fake_kernel_end(&rig.kernel, i);
    }
    rig_run(&rig, 20 * FT_NS_PER_MS);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_START], N);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], N);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_START], N - n_flows);
    CHECK_INT(rig_stat(&stats(&rig)->n_flows), 0);
    CHECK(rig_stat(&stats(&rig)->table_bytes) < (uint64_t)256 << 10);
    rig_deinit(&rig);
}

TEST(tells_of_messages_it_cannot_read_once_a_second)
{
    static const uint8_t bad[] = {20, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0};
    struct rig rig;
    rig_init(&rig);
    rig_start(&rig);
    rig_run(&rig, 20 * FT_NS_PER_MS);
    for (unsigned i = 0; i < 30; i++) {
        ft_fake_kernel_send_raw(&rig.kernel, bad, sizeof bad);
        rig_run(&rig, 10 * FT_NS_PER_MS);
    }
    rig_run(&rig, 2 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 1);
    CHECK_INT(rig.ledger.last_loss.cause, FT_LOSS_PARSE);
    CHECK_INT(rig.ledger.last_loss.count, 30);
    CHECK(!rig.ledger.last_loss.estimated);
    CHECK_INT(rig_stat(&stats(&rig)->n_parse_errors), 30);
    rig_deinit(&rig);
}

/* Flows that began unheard have no events at all: the kernel tells nothing of their end. */
static void check_end_nobody_tells(int64_t update_interval_ns)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.tracker.update_interval_ns = update_interval_ns;
    size_t flow = ft_fake_kernel_begin_sample(&rig.kernel, 1);
    size_t other = ft_fake_kernel_begin_sample(&rig.kernel, 2);
    rig_start(&rig);
    rig_settle(&rig);
    ft_fake_kernel_count(&rig.kernel, other, 1, 100, 1, 100);
    rig.kernel.flows[flow].alive = false;
    rig_run(&rig, 6 * 60 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_END], 1);
    CHECK((ft_ledger_find(&rig.ledger, 1)->end_fields & FT_FIELD_INFERRED) != 0);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_UPDATE], 0);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 0);
    rig_deinit(&rig);
}

TEST(an_end_that_nobody_tells_is_found_also_without_updates)
{
    check_end_nobody_tells(0);
    check_end_nobody_tells(24 * 3600 * FT_NS_PER_S);
}

/* What is promised of every flow, in a wild mix; 40 kinds of flows, ended in another order. */
TEST(sums_are_the_kernels_own)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.tracker.update_interval_ns = FT_NS_PER_S;
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 42);
    for (uint32_t n = 0; n < 40; n++) {
        ft_fake_kernel_begin_sample(&rig.kernel, n);
    }
    rig_start(&rig);
    rig_settle(&rig);
    for (uint32_t n = 40; n < 400; n++) {
        struct ft_ct_record record;
        uint8_t protocols[] = {FT_PROTO_TCP, FT_PROTO_UDP, FT_PROTO_ICMP, 47};
        bool ipv6 = ft_random_below(&random.base, 2) == 1;
        uint8_t protocol = protocols[ft_random_below(&random.base, 4)];
        ft_ct_build_sample(n, ipv6 && protocol == FT_PROTO_ICMP ? FT_PROTO_ICMPV6 : protocol, ipv6,
                           &record);
        ft_fake_kernel_begin(&rig.kernel, &record);
        for (unsigned i = 0; i < 8; i++) {
            size_t flow = (size_t)ft_random_below(&random.base, n);
            if (rig.kernel.flows[flow].alive) {
                ft_fake_kernel_count(&rig.kernel, flow, 1, ft_random_below(&random.base, 1500), 1,
                                     ft_random_below(&random.base, 1500));
            }
        }
        size_t flow = (size_t)ft_random_below(&random.base, n);
        if (rig.kernel.flows[flow].alive) {
            ft_fake_kernel_end(&rig.kernel, flow);
        }
        rig_run(&rig, 30 * FT_NS_PER_MS);
    }
    for (size_t i = 0; i < rig.kernel.n_flows; i++) {
        if (rig.kernel.flows[i].alive) {
            ft_fake_kernel_end(&rig.kernel, i);
        }
    }
    rig_run(&rig, 2 * FT_NS_PER_S);
    CHECK_INT(rig.ledger.n_flows, 400);
    CHECK(rig.ledger.n_events[FT_EVENT_UPDATE] > 100);
    CHECK_INT(rig.ledger.n_events[FT_EVENT_LOSS], 0);
    CHECK_INT(rig.ledger.n_inferred[FT_EVENT_END], 0);
    for (size_t i = 0; i < rig.kernel.n_flows; i++) {
        rig_check_complete(&rig, i);
    }
    rig_deinit(&rig);
}
