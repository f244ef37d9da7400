/* SPDX-License-Identifier: Apache-2.0 */
#include "exporter_world.h"

TEST(everything_that_is_sealed_arrives_once_and_is_confirmed)
{
    struct world world;
    setup(&world);
    ft_exporter_enable(world.exporter);
    for (int i = 0; i < 50; i++) {
        seal(&world, 10, 1000);
    }
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.durable_seq, 500);
    CHECK_INT(world.received_events, 500);
    CHECK_INT(world.acked_seq, 500);
    CHECK_INT(ft_exporter_stats(world.exporter)->acked_events, 500);
    CHECK_INT(ft_exporter_stats(world.exporter)->link_state, FT_LINK_ACTIVE);
    CHECK(ft_exporter_is_drained(world.exporter));
    CHECK(world.statuses >= 2);
    CHECK_INT(world.hello.oldest_seq, 1);
    CHECK_INT(world.hello.next_seq, 501);
    teardown(&world);
}

TEST(the_last_word_is_of_the_end)
{
    struct world world;
    setup(&world);
    ft_exporter_finish(world.exporter, world.now_ns + FT_NS_PER_S); /* No link: at once. */
    CHECK_INT(world.statuses, 0);
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    uint64_t before = world.statuses;
    ft_exporter_finish(world.exporter, world.now_ns + FT_NS_PER_S);
    CHECK_INT(world.statuses, before + 1);
    teardown(&world);
}

TEST(the_window_bounds_what_is_unacknowledged)
{
    struct world world;
    setup(&world);
    world.acks = false;
    world.window_bytes = 4500;
    ft_exporter_enable(world.exporter);
    for (int i = 0; i < 50; i++) {
        seal(&world, 10, 1000);
    }
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.received_events, 40);
    CHECK_INT(ft_exporter_stats(world.exporter)->unacked_bytes, 4000);
    world.durable_seq = 20;
    send_ack(&world);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.received_events, 60);
    teardown(&world);
}

TEST(a_block_larger_than_the_window_still_goes_alone)
{
    struct world world;
    setup(&world);
    world.window_bytes = 100;
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.durable_seq, 20);
    teardown(&world);
}

TEST(after_a_break_it_goes_on_behind_what_the_collector_has)
{
    struct world world;
    setup(&world);
    ft_exporter_enable(world.exporter);
    for (int i = 0; i < 5; i++) {
        seal(&world, 10, 1000);
    }
    world.acks = false; /* They arrive, nothing comes back. */
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.received_events, 50);
    CHECK_INT(world.acked_seq, 0);
    world.durable_seq = 30; /* Three blocks were stored before it died. */
    world.acks = true;
    world.cancelled = true;
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.hellos, 2);
    CHECK_INT(world.received_events, 70);
    CHECK_INT(world.durable_seq, 50);
    CHECK_INT(world.acked_seq, 50);
    CHECK_INT(ft_exporter_stats(world.exporter)->resent_blocks, 2);
    teardown(&world);
}

TEST(an_ack_for_what_was_never_sent_frees_nothing)
{
    struct world world;
    setup(&world);
    world.acks = false;
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    struct ft_response ack = {.kind = FT_RESPONSE_ACK, .ack = {.durable_seq = 11}};
    respond(&world, &ack);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.acked_seq, 0);
    CHECK_INT(ft_exporter_stats(world.exporter)->bad_acks, 1);
    CHECK(!ft_exporter_is_drained(world.exporter));
    teardown(&world);
}

TEST(another_collector_gets_nothing)
{
    struct world world;
    setup(&world);
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.durable_seq, 10);
    world.collector_id.bytes[0] = 8;
    world.cancelled = true;
    run_for(&world, 1);
    seal(&world, 10, 1000);
    run_for(&world, 100 * FT_NS_PER_S);
    CHECK(world.hellos >= 2);
    CHECK_INT(world.received_events, 10);
    CHECK(world.hello.has_collector_id);
    CHECK_INT(world.hello.collector_id.bytes[0], 7);
    char text[256];
    ft_exporter_last_text(world.exporter, text, sizeof text);
    CHECK(strstr(text, "another collector") != NULL);
    teardown(&world);
}

TEST(rejected_events_are_told_once_and_do_not_count_as_acknowledged)
{
    struct world world;
    setup(&world);
    world.acks = false;
    ft_exporter_enable(world.exporter);
    for (int i = 0; i < 3; i++) {
        seal(&world, 10, 1000);
    }
    run_for(&world, FT_NS_PER_S);
    struct ft_response ack = {
        .kind = FT_RESPONSE_ACK,
        .ack = {.durable_seq = 20,
                .n_rejected = 1,
                .rejected = {{.first_seq = 11, .last_seq = 20, .reason = "poison"}}}};
    respond(&world, &ack);
    ack.ack.durable_seq = 30;
    respond(&world, &ack);
    run_for(&world, FT_NS_PER_S);
    CHECK_INT(world.rejected_events, 10);
    CHECK_INT(world.acked_seq, 30);
    CHECK_INT(ft_exporter_stats(world.exporter)->acked_events, 20);
    CHECK_INT(ft_exporter_stats(world.exporter)->rejected_events, 10);
    teardown(&world);
}

TEST(a_silent_collector_is_left_and_tried_again)
{
    struct world world;
    setup(&world);
    world.acks = false;
    ft_exporter_enable(world.exporter);
    seal(&world, 10, 1000);
    run_for(&world, 200 * FT_NS_PER_S);
    CHECK(world.hellos >= 3);
    CHECK(ft_exporter_stats(world.exporter)->ends[FT_LINK_REASON_TIMEOUT_ACK] >= 2);
    world.acks = true;
    run_for(&world, 100 * FT_NS_PER_S);
    CHECK_INT(world.acked_seq, 10);
    teardown(&world);
}

TEST(slow_down_and_go_away_are_obeyed)
{
    struct world world;
    setup(&world);
    ft_exporter_enable(world.exporter);
    run_for(&world, FT_NS_PER_S);
    struct ft_response slow_down = {.kind = FT_RESPONSE_SLOW_DOWN,
                                    .slow_down = {.pause_ms = 20000}};
    respond(&world, &slow_down);
    run_for(&world, FT_NS_PER_S);
    seal(&world, 10, 1000);
    run_for(&world, 10 * FT_NS_PER_S);
    CHECK_INT(world.received_events, 0);
    run_for(&world, 15 * FT_NS_PER_S);
    CHECK_INT(world.received_events, 10);
    struct ft_response go_away = {.kind = FT_RESPONSE_GO_AWAY,
                                  .go_away = {.reason = "maintenance", .retry_after_ms = 30000}};
    respond(&world, &go_away);
    run_for(&world, 25 * FT_NS_PER_S);
    CHECK_INT(world.hellos, 1);
    run_for(&world, 25 * FT_NS_PER_S);
    CHECK_INT(world.hellos, 2);
    teardown(&world);
}

TEST(garbage_from_the_collector_ends_the_stream_and_loses_nothing)
{
    struct world world;
    setup(&world);
    ft_exporter_enable(world.exporter);
    run_for(&world, FT_NS_PER_S);
    struct ft_buf *garbage = &world.inbox[world.n_in++];
    ft_buf_init(garbage, 0);
    ft_buf_add_str(garbage, "\xff\xff\xff\xff");
    seal(&world, 10, 1000);
    run_for(&world, 120 * FT_NS_PER_S);
    CHECK_INT(ft_exporter_stats(world.exporter)->bad_messages, 1);
    CHECK_INT(world.hellos, 2);
    CHECK_INT(world.acked_seq, 10);
    teardown(&world);
}
