/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/account.h"
#include "ingest_world.h"
#include "lib/fault_disk.h"

TEST(nothing_is_acknowledged_before_the_commit)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK_INT(world.peers[0].last.kind, FT_RESPONSE_WELCOME);
    CHECK_INT(world.peers[0].last.welcome.durable_seq, 0);
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    CHECK(send_batch(session, &instance_id, 11, 10, FT_EVENT_DROP));
    CHECK_INT(world.peers[0].n_messages, 1);
    commit(&world);
    CHECK_INT(world.peers[0].n_messages, 2); /* One ack for the group. */
    CHECK_INT(world.peers[0].last.kind, FT_RESPONSE_ACK);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 20);
    CHECK_INT(known(&world).appended_events, 20);
    teardown(&world);
}

TEST(repeats_are_acknowledged_and_not_stored_again)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    for (int i = 0; i < 3; i++) {
        CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
        commit(&world);
        CHECK_INT(world.peers[0].last.ack.durable_seq, 10);
    }
    /* Half of it is new. */
    CHECK(send_batch(session, &instance_id, 6, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 15);
    struct ft_log_stats stats;
    ft_log_stats(world.log, &stats);
    CHECK_INT(stats.appended_blocks, 2);
    CHECK_INT(known(&world).appended_events, 15);
    CHECK_INT(known(&world).duplicate_events, 20);
    teardown(&world);
}

TEST(a_newer_session_fences_the_older_one_and_goes_on)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *older = open_session(&world, 0);
    CHECK(say_hello(older));
    CHECK(send_batch(older, &instance_id, 1, 10, FT_EVENT_DROP));
    commit(&world);
    struct ft_ingest_session *newer = open_session(&world, 1);
    CHECK(say_hello(newer));
    CHECK(world.peers[0].closed);
    CHECK_INT(world.peers[0].why, FT_INGEST_CLOSE_SUPERSEDED);
    CHECK_INT(world.peers[1].last.welcome.durable_seq, 10);
    ft_ingest_session_close(older);
    world.peers[0].session = NULL;
    CHECK(known(&world).connected); /* The end of the older one changes nothing. */
    CHECK(send_batch(newer, &instance_id, 11, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 20);
    teardown(&world);
}

TEST(a_welcome_says_whose_the_newest_event_is)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK_INT(world.peers[0].last.welcome.newest_seq, 0);
    CHECK_INT(world.peers[0].last.welcome.newest_life, 0);
    CHECK(send_batch_of(session, &instance_id, 1, 10, FT_EVENT_DROP, 77));
    CHECK(send_batch_of(session, &instance_id, 11, 10, FT_EVENT_DROP, 88));
    CHECK(send_batch_of(session, &instance_id, 1, 10, FT_EVENT_DROP, 77)); /* A repeat. */
    CHECK(send_batch_of(session, &instance_id, 21, 10, 77, 99));           /* Rejected. */
    commit(&world);
    ft_ingest_session_close(session);
    world.peers[0].session = NULL;
    /* Also where the agent is to send some of it again, because of what was rejected. */
    for (uint64_t oldest_seq = 6; oldest_seq <= 21; oldest_seq += 15) {
        session = open_session(&world, 1);
        struct ft_msg_hello hello = {.oldest_seq = oldest_seq, .next_seq = 31};
        CHECK(say_hello_with(session, &hello));
        CHECK_INT(world.peers[1].last.welcome.durable_seq, oldest_seq - 1);
        CHECK_INT(world.peers[1].last.welcome.newest_seq, 20);
        CHECK_INT(world.peers[1].last.welcome.newest_life, 88);
        ft_ingest_session_close(session);
        world.peers[1].session = NULL;
    }
    teardown(&world);
}

TEST(what_waited_in_the_queue_at_the_welcome_does_not_swallow_another_life)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *older = open_session(&world, 0);
    CHECK(say_hello(older));
    CHECK(send_batch_of(older, &instance_id, 1, 10, FT_EVENT_DROP, 77));
    commit(&world);
    CHECK(send_batch_of(older, &instance_id, 11, 10, FT_EVENT_DROP, 88));
    ft_ingest_session_close(older);
    world.peers[0].session = NULL;
    /* The agent was set back meanwhile: these are other events. */
    struct ft_ingest_session *newer = open_session(&world, 1);
    CHECK(say_hello(newer));
    CHECK_INT(world.peers[1].last.welcome.newest_seq, 10);
    CHECK(send_batch_of(newer, &instance_id, 11, 20, FT_EVENT_DROP, 99));
    commit(&world);
    CHECK(world.peers[1].closed);
    CHECK_INT(world.peers[1].last.kind, FT_RESPONSE_WELCOME); /* No acknowledgement. */
    CHECK_INT(known(&world).durable_seq, 20);
    CHECK_INT(known(&world).kept_life, 88);
    /* What is of the same life is the same: it is a repeat. */
    struct ft_ingest_session *third = open_session(&world, 2);
    CHECK(say_hello(third));
    CHECK(send_batch_of(third, &instance_id, 21, 10, FT_EVENT_DROP, 88));
    struct ft_ingest_session *last = open_session(&world, 3);
    CHECK(say_hello(last));
    CHECK_INT(world.peers[3].last.welcome.newest_seq, 20);
    CHECK(send_batch_of(last, &instance_id, 21, 10, FT_EVENT_DROP, 88));
    CHECK(send_batch_of(last, &instance_id, 31, 10, FT_EVENT_DROP, 99));
    commit(&world);
    CHECK(!world.peers[3].closed);
    CHECK_INT(world.peers[3].last.ack.durable_seq, 40);
    teardown(&world);
}

TEST(a_poison_batch_is_rejected_and_blocks_nothing)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    CHECK(send_batch(session, &instance_id, 11, 5, 77));
    CHECK(send_batch(session, &instance_id, 16, 10, FT_EVENT_DROP));
    commit(&world);
    const struct ft_msg_ack *ack = &world.peers[0].last.ack;
    CHECK_INT(ack->durable_seq, 25);
    CHECK_INT(ack->n_rejected, 1);
    CHECK_INT(ack->rejected[0].first_seq, 11);
    CHECK_INT(ack->rejected[0].last_seq, 15);
    CHECK_STR(ack->rejected[0].reason, "row 0: unknown type 77");
    CHECK_INT(known(&world).appended_events, 20);
    CHECK_INT(known(&world).rejected_events, 5);
    CHECK_INT(known(&world).missing_events, 0);
    CHECK_STR(ft_fault_disk_name(world.disk, 0), "rejected-0000000000000001");
    CHECK_INT(ft_quarantine_stats(world.quarantine)->events[FT_QUARANTINE_REJECTED], 5);
    /* Its repeat is a repeat, and not kept once more. */
    CHECK(send_batch(session, &instance_id, 11, 5, 77));
    commit(&world);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->files, 1);
    teardown(&world);
}

static bool send_bytes(struct ft_ingest_session *session, const void *data, size_t size)
{
    struct ft_buf message;
    uint8_t head[FT_WIRE_BATCH_HEAD_SIZE_MAX];
    ft_buf_init(&message, 0);
    ft_buf_add(&message, head, ft_batch_head_encode(size, head));
    ft_buf_add(&message, data, size);
    bool go_on = ft_ingest_session_message(session, message.data, message.size);
    ft_buf_deinit(&message);
    return go_on;
}

/* It does not even say which events it holds: the session ends, and the bytes are kept. */
TEST(a_batch_that_is_no_protobuf_ends_its_session_and_is_kept)
{
    static const char bytes[] = "\x0a\x03 and nothing that makes sense";
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(!send_bytes(session, bytes, sizeof bytes));
    CHECK(world.peers[0].closed);
    CHECK_INT(world.peers[0].why, FT_INGEST_CLOSE_PROTOCOL);
    commit(&world);
    size_t size = 0;
    const uint8_t *file =
        ft_fault_disk_content(world.disk, ft_fault_disk_name(world.disk, 0), &size);
    CHECK_BYTES(file + FT_QUARANTINE_HEADER_SIZE, size - FT_QUARANTINE_HEADER_SIZE, bytes,
                sizeof bytes);
    CHECK_INT(known(&world).rejected_events, 0);
    CHECK_INT(world.peers[0].n_messages, 1);
    teardown(&world);
}

/* The log would refuse it for ever, and the agent send it for ever. */
TEST(a_batch_larger_than_a_block_of_the_log_is_rejected)
{
    /* A field of a newer version, number 2000, of a million bytes and more. */
    static const uint8_t tag[] = {0x82, 0x7d, 0x80, 0x80, 0x60};
    static uint8_t padding[0x60 << 14];
    struct world world;
    setup(&world, 1 << 24, 1 << 24);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    struct ft_batch_builder *builder = NULL;
    struct ft_buf body;
    CHECK_OK(ft_batch_builder_create(&instance_id, &builder));
    struct ft_event event = {.seq = 1, .time_ns = 1, .type = FT_EVENT_DROP};
    CHECK_OK(ft_batch_builder_add(builder, &event));
    ft_buf_init(&body, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &body));
    ft_buf_add(&body, tag, sizeof tag);
    ft_buf_add(&body, padding, sizeof padding);
    CHECK(body.size > FT_LOG_BLOCK_SIZE_MAX);
    CHECK(send_bytes(session, body.data, body.size));
    commit(&world);
    CHECK_INT(world.peers[0].last.ack.n_rejected, 1);
    CHECK_INT(known(&world).rejected_events, 1);
    CHECK_INT(ft_quarantine_stats(world.quarantine)->files, 1);
    ft_buf_deinit(&body);
    ft_batch_builder_destroy(builder);
    teardown(&world);
}

TEST(holes_are_counted)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 101, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(known(&world).missing_events, 100);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 110);
    teardown(&world);
}

TEST(a_full_log_ends_the_session_and_acknowledges_nothing_behind_it)
{
    struct world world;
    setup(&world, 64 << 10, 1 << 20);
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_reader_open(world.log, "sink", false, &reader));
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    uint64_t next = 1;
    while (!world.peers[0].closed) {
        CHECK(next < 100000);
        CHECK(send_batch(session, &instance_id, next, 500, FT_EVENT_DROP));
        CHECK(send_batch(session, &instance_id, next + 500, 500, FT_EVENT_DROP));
        next += 1000;
        commit(&world);
    }
    CHECK_INT(world.peers[0].why, FT_INGEST_CLOSE_UNAVAILABLE);
    struct ft_log_stats stats;
    ft_log_stats(world.log, &stats);
    CHECK_INT(known(&world).durable_seq, stats.appended_events);
    CHECK_INT(world.peers[0].last.ack.durable_seq, stats.appended_events);
    ft_log_reader_close(reader);
    teardown(&world);
}

TEST(a_full_queue_makes_the_session_wait_until_its_batch_is_done)
{
    struct world world;
    setup(&world, 1 << 24, 100);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(!send_batch(session, &instance_id, 1, 500, FT_EVENT_DROP));
    CHECK_INT(world.peers[0].n_resumes, 0);
    commit(&world);
    CHECK_INT(world.peers[0].n_resumes, 1);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 500);
    teardown(&world);
}

static void expect_refusal(struct world *world, size_t number, enum ft_ingest_close why,
                           const char *words)
{
    CHECK(world->peers[number].closed);
    CHECK_INT(world->peers[number].why, why);
    CHECK(strstr(world->peers[number].text, words) != NULL);
}

TEST(what_breaks_the_protocol_ends_its_own_session_only)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    CHECK(!send_batch(open_session(&world, 0), &instance_id, 1, 1, FT_EVENT_DROP));
    expect_refusal(&world, 0, FT_INGEST_CLOSE_PROTOCOL, "Hello comes first");
    struct ft_ingest_session *session = open_session(&world, 1);
    CHECK(say_hello(session));
    CHECK(!say_hello(session));
    expect_refusal(&world, 1, FT_INGEST_CLOSE_PROTOCOL, "only once");
    session = open_session(&world, 2);
    CHECK(!ft_ingest_session_message(session, "\xff\xff", 2));
    expect_refusal(&world, 2, FT_INGEST_CLOSE_PROTOCOL, "no valid ExportRequest");
    session = open_session(&world, 3);
    CHECK(say_hello(session));
    CHECK(!send_batch(session, &agent_id, 1, 1, FT_EVENT_DROP));
    expect_refusal(&world, 3, FT_INGEST_CLOSE_PROTOCOL, "another instance");
    commit(&world);
    CHECK_INT(known(&world).appended_events, 0);
    teardown(&world);
}

TEST(a_token_that_is_bound_to_another_agent_is_denied)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_principal principal = {.name = "bound", .has_agent_id = true, .agent_id = {9}};
    struct peer *peer = &world.peers[0];
    CHECK_OK(ft_ingest_session_open(world.ingest, peer, "x", &principal, &peer->session));
    CHECK(!say_hello(peer->session));
    expect_refusal(&world, 0, FT_INGEST_CLOSE_DENIED, "another agent");
    teardown(&world);
}

TEST(a_stop_behind_a_failed_sync_lets_go_of_its_sessions)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_log_options log = {.bytes_max = 1 << 20, .full = FT_LOG_REFUSE};
    struct ft_ingest_options options = {.queue_bytes_max = 1 << 20,
                                        .version = "test",
                                        .clock = ft_clock_system(),
                                        .instances = world.instances,
                                        .peer_ops = &peer_ops};
    CHECK_OK(ft_log_disk_open(disk, &log, NULL, NULL, &options.log));
    ft_ingest_destroy(world.ingest);
    CHECK_OK(ft_ingest_create(&options, &world.ingest));
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, UINT64_MAX, ft_err_from_errno(EIO));
    CHECK_ERR(ft_ingest_commit(world.ingest, 0), ft_err_from_errno(EIO));
    CHECK_INT(world.peers[0].n_messages, 1); /* Its Welcome. */
    ft_ingest_session_close(session);
    world.peers[0].session = NULL;
    CHECK_INT(world.peers[0].n_refs, 1);
    ft_ingest_destroy(world.ingest);
    CHECK_INT(world.peers[0].n_refs, 0);
    ft_log_destroy(options.log);
    ft_disk_destroy(disk);
    world.ingest = NULL;
    teardown(&world);
}

static void say_status(struct ft_ingest_session *session, uint64_t observed, uint64_t acknowledged,
                       uint64_t retained)
{
    struct ft_msg_status status = {.observed_events = observed,
                                   .acknowledged_events = acknowledged,
                                   .retained_events = retained,
                                   .n_components = 1};
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_status_encode(&status, &buf));
    CHECK(ft_ingest_session_message(session, buf.data, buf.size));
    ft_buf_deinit(&buf);
}

static uint64_t unaccounted(struct world *world)
{
    struct ft_instance instance = known(world);
    instance.stored_events = instance.appended_events; /* There is no sink here. */
    struct ft_account account = {0};
    ft_account_add(&account, &instance);
    return account.unaccounted;
}

TEST(a_status_is_compared_with_what_was_here_when_it_came)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    say_status(session, 10, 0, 10); /* The batch is in the queue. */
    CHECK_INT(unaccounted(&world), 0);
    commit(&world);
    CHECK_INT(unaccounted(&world), 0);
    say_status(session, 15, 10, 5);
    CHECK(send_batch(session, &instance_id, 11, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(unaccounted(&world), 0);
    say_status(session, 25, 25, 0); /* It was told of five that never came. */
    CHECK_INT(unaccounted(&world), 5);
    CHECK_INT(known(&world).complained_events, 5);
    say_status(session, 25, 20, 5);
    CHECK_INT(unaccounted(&world), 0);
    CHECK_INT(known(&world).complained_events, 0);
    teardown(&world);
}

TEST(a_rejection_is_told_again_until_the_agent_has_heard_it)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    CHECK(send_batch(session, &instance_id, 11, 5, 77));
    CHECK(send_batch(session, &instance_id, 16, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 25);
    /* That ack did not arrive: the agent still has everything. */
    struct ft_msg_hello hello = {.oldest_seq = 1, .next_seq = 26};
    session = open_session(&world, 1);
    CHECK(say_hello_with(session, &hello));
    CHECK_INT(world.peers[1].last.welcome.durable_seq, 0);
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 10);
    CHECK(send_batch(session, &instance_id, 11, 5, 77));
    commit(&world);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 15);
    CHECK_INT(world.peers[1].last.ack.n_rejected, 1);
    CHECK_INT(world.peers[1].last.ack.rejected[0].first_seq, 11);
    CHECK(send_batch(session, &instance_id, 16, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 25);
    CHECK_INT(known(&world).rejected_events, 5);
    CHECK_INT(known(&world).appended_events, 20);
    /* One that knows goes on behind. */
    hello.oldest_seq = 16;
    session = open_session(&world, 2);
    CHECK(say_hello_with(session, &hello));
    CHECK_INT(world.peers[2].last.welcome.durable_seq, 25);
    teardown(&world);
}

TEST(what_was_rejected_at_the_end_is_not_promised)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    CHECK(send_batch(session, &instance_id, 11, 5, 77));
    commit(&world);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 15);
    CHECK_INT(world.peers[0].last.ack.n_rejected, 1);
    /* Something old comes again: this ack rejects nothing. */
    CHECK(send_batch(session, &instance_id, 1, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 10);
    CHECK_INT(world.peers[0].last.ack.n_rejected, 0);
    struct ft_msg_hello hello = {.oldest_seq = 16, .next_seq = 16};
    session = open_session(&world, 1);
    CHECK(say_hello_with(session, &hello));
    CHECK_INT(world.peers[1].last.welcome.durable_seq, 10);
    CHECK(send_batch(session, &instance_id, 16, 10, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[1].last.ack.durable_seq, 25);
    CHECK_INT(known(&world).missing_events, 0);
    teardown(&world);
}

TEST(more_rejections_than_fit_into_an_ack_take_more_acks)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    for (unsigned i = 0; i < 2 * FT_WIRE_REJECTED_MAX + 1; i++) {
        CHECK(send_batch(session, &instance_id, 1 + i, 1, 77));
    }
    commit(&world);
    CHECK(!world.peers[0].closed);
    CHECK_INT(world.peers[0].n_messages, 1 + 3);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 2 * FT_WIRE_REJECTED_MAX + 1);
    CHECK_INT(world.peers[0].last.ack.n_rejected, 1);
    CHECK_INT(known(&world).rejected_events, 2 * FT_WIRE_REJECTED_MAX + 1);
    teardown(&world);
}

/* With a backlog of 'n' events, as another agent for each number. */
static bool say_hello_from(struct ft_ingest_session *session, uint8_t agent, uint64_t n)
{
    struct ft_msg_hello hello = {.protocol_version = FT_WIRE_PROTOCOL_VERSION,
                                 .agent_id = {{agent}},
                                 .instance_id = {{agent}},
                                 .oldest_seq = 1,
                                 .next_seq = n + 1};
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_hello_encode(&hello, &buf));
    bool go_on = ft_ingest_session_message(session, buf.data, buf.size);
    ft_buf_deinit(&buf);
    return go_on;
}

TEST(a_backlog_gets_a_window_from_the_budget_and_gives_it_back)
{
    static const struct ft_uuid other = {{50}};
    struct world world;
    setup(&world, 1 << 24, 4 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello_from(session, 50, 4000));
    CHECK_INT(world.peers[0].last.welcome.window_bytes, 4000 * FT_ADMISSION_EVENT_BYTES);
    CHECK(send_batch(session, &other, 1, 3000, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[0].last.kind, FT_RESPONSE_ACK);
    struct ft_admission_stats stats;
    ft_ingest_admission_stats(world.ingest, &stats);
    CHECK_INT(stats.n_draining, 1);
    CHECK(send_batch(session, &other, 3001, 1000, FT_EVENT_DROP));
    unsigned n_messages = world.peers[0].n_messages;
    commit(&world);
    CHECK_INT(world.peers[0].n_messages, n_messages + 2); /* SlowDown and Ack. */
    ft_ingest_admission_stats(world.ingest, &stats);
    CHECK_INT(stats.n_draining, 0);
    CHECK_INT(stats.granted_bytes, 0);
    teardown(&world);
}

TEST(who_finds_no_room_is_told_when_to_come_back_and_ends_nobody)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 17); /* One window. */
    CHECK(say_hello_from(open_session(&world, 0), 50, 100000));
    CHECK(!say_hello_from(open_session(&world, 1), 51, 100000));
    CHECK_INT(world.peers[1].last.kind, FT_RESPONSE_GO_AWAY);
    CHECK(world.peers[1].last.go_away.retry_after_ms >= 1000);
    CHECK(world.peers[1].closed);
    CHECK_INT(world.peers[1].why, FT_INGEST_CLOSE_UNAVAILABLE);
    CHECK_INT(ft_ingest_stats(world.ingest)->sent_away_full, 1);
    CHECK(!world.peers[0].closed);
    /* What is still on its way from it is not taken. */
    CHECK(!send_batch(world.peers[1].session, &instance_id, 1, 10, FT_EVENT_DROP));
    CHECK_INT(ft_ingest_stats(world.ingest)->received_blocks, 0);
    /* It leaves; there is room. */
    ft_ingest_session_close(world.peers[0].session);
    world.peers[0].session = NULL;
    CHECK(say_hello_from(open_session(&world, 2), 51, 100000));
    CHECK_INT(world.peers[2].last.kind, FT_RESPONSE_WELCOME);
    teardown(&world);
}

TEST(who_finds_no_session_is_told_when_to_come_back)
{
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    ft_ingest_destroy(world.ingest);
    struct ft_ingest_options options = {.sessions_max = 2,
                                        .queue_bytes_max = 1 << 20,
                                        .window_bytes = 1 << 20,
                                        .version = "test",
                                        .clock = ft_clock_system(),
                                        .random = &world.random.base,
                                        .log = world.log,
                                        .instances = world.instances,
                                        .peer_ops = &peer_ops};
    CHECK_OK(ft_ingest_create(&options, &world.ingest));
    CHECK(say_hello_from(open_session(&world, 0), 50, 0));
    CHECK(say_hello_from(open_session(&world, 1), 51, 0));
    CHECK(!say_hello_from(open_session(&world, 2), 52, 0));
    CHECK_INT(world.peers[2].last.kind, FT_RESPONSE_GO_AWAY);
    CHECK(world.peers[2].last.go_away.retry_after_ms >= 1000);
    CHECK_INT(ft_ingest_stats(world.ingest)->sent_away_sessions, 1);
    CHECK(!world.peers[0].closed);
    CHECK(!world.peers[1].closed);
    /* One that comes back before its old connection is known to be dead takes that place. */
    CHECK(say_hello_from(open_session(&world, 3), 51, 0));
    CHECK_INT(world.peers[3].last.kind, FT_RESPONSE_WELCOME);
    CHECK(world.peers[1].closed);
    /* Who was turned away, or has gone, takes no place. */
    for (unsigned i = 0; i < 3; i++) {
        ft_ingest_session_close(world.peers[i].session);
        world.peers[i].session = NULL;
    }
    CHECK(say_hello_from(open_session(&world, 0), 52, 0));
    CHECK(!say_hello_from(open_session(&world, 1), 53, 0));
    CHECK_INT(ft_ingest_stats(world.ingest)->sent_away_sessions, 2);
    teardown(&world);
}

TEST(a_fuller_queue_makes_windows_smaller)
{
    static const struct ft_uuid other = {{50}};
    struct world world;
    setup(&world, 1 << 24, 4 << 20);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello_from(session, 50, 100000));
    uint64_t window = world.peers[0].last.welcome.window_bytes;
    for (uint64_t seq = 1; world.peers[0].last.kind == FT_RESPONSE_WELCOME; seq += 4000) {
        CHECK(seq < 4000000);
        (void)send_batch(session, &other, seq, 4000, FT_EVENT_DROP);
    }
    CHECK_INT(world.peers[0].last.kind, FT_RESPONSE_SLOW_DOWN);
    CHECK(world.peers[0].last.slow_down.window_bytes < window);
    CHECK(world.peers[0].last.slow_down.window_bytes >= FT_ADMISSION_WINDOW_MIN);
    CHECK(world.peers[0].last.slow_down.pause_ms > 0);
    CHECK_INT(ft_ingest_stats(world.ingest)->slow_downs, 1);
    commit(&world);
    teardown(&world);
}

TEST(a_queue_that_overflows_sends_away_what_it_cannot_take)
{
    struct world world;
    setup(&world, 1 << 24, 20000);
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    uint64_t n_sent = 0;
    while (!world.peers[0].closed) {
        CHECK(n_sent < 100);
        (void)send_batch(session, &instance_id, n_sent * 1000 + 1, 1000, FT_EVENT_DROP);
        n_sent++;
    }
    CHECK_INT(world.peers[0].last.kind, FT_RESPONSE_GO_AWAY);
    CHECK_INT(ft_ingest_stats(world.ingest)->sent_away_overrun, 1);
    commit(&world);
    /* All before it is stored, it is not, nor is anything behind it. */
    CHECK_INT(known(&world).appended_events, (n_sent - 1) * 1000);
    CHECK_INT(known(&world).missing_events, 0);
    teardown(&world);
}

static int64_t standing_ns;

static int64_t standing_now(const struct ft_clock *clock)
{
    (void)clock;
    return standing_ns;
}

TEST(who_is_over_its_rate_reads_on_when_that_is_paid)
{
    static const struct ft_clock standing = {.mono_ns = standing_now, .real_ns = standing_now};
    struct world world;
    setup(&world, 1 << 24, 1 << 20);
    ft_ingest_destroy(world.ingest);
    standing_ns = 10 * FT_NS_PER_S;
    struct ft_ingest_options options = {.queue_bytes_max = 1 << 20,
                                        .window_bytes = 1 << 20,
                                        .agent_events_per_s = 1000,
                                        .version = "test",
                                        .clock = &standing,
                                        .log = world.log,
                                        .instances = world.instances,
                                        .peer_ops = &peer_ops};
    CHECK_OK(ft_ingest_create(&options, &world.ingest));
    struct ft_ingest_session *session = open_session(&world, 0);
    CHECK(say_hello(session));
    CHECK(send_batch(session, &instance_id, 1, 2000, FT_EVENT_DROP)); /* Lent. */
    CHECK(!send_batch(session, &instance_id, 2001, 500, FT_EVENT_DROP));
    commit(&world);
    CHECK_INT(world.peers[0].last.ack.durable_seq, 2500); /* It is taken all the same. */
    CHECK_INT(world.peers[0].n_resumes, 0);
    CHECK_INT(ft_ingest_stats(world.ingest)->held_sessions, 1);
    standing_ns += FT_NS_PER_S / 2 - 1;
    commit(&world);
    CHECK_INT(world.peers[0].n_resumes, 0);
    standing_ns += 1;
    commit(&world);
    CHECK_INT(world.peers[0].n_resumes, 1);
    CHECK_INT(ft_ingest_stats(world.ingest)->holds, 1);
    CHECK_INT(ft_ingest_stats(world.ingest)->held_sessions, 0);
    teardown(&world);
}
