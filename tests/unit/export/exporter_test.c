/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter against a collector in memory, on virtual time, with a real log. */
#include "export/exporter.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/test.h"

#define MESSAGES_MAX 512

struct world {
    struct ft_clock clock;
    int64_t now_ns;
    struct ft_random_seeded random;
    struct ft_log *log;
    struct ft_exporter *exporter;
    /* The stream. */
    struct ft_stream stream;
    bool wanted; /* open() was called, nothing answered yet. */
    bool open;
    bool cancelled;
    bool sent_due;
    ft_err refuse;                     /* How the next open() ends, FT_OK: well. */
    struct ft_buf inbox[MESSAGES_MAX]; /* To the exporter. */
    size_t n_in;
    size_t n_read;
    /* The collector. */
    bool welcomes;
    bool acks;
    struct ft_uuid collector_id;
    uint64_t window_bytes;
    uint64_t durable_seq;
    uint64_t expected_seq; /* On this stream. */
    uint64_t hellos;
    uint64_t statuses;
    uint64_t received_events; /* With repeats. */
    uint64_t next_seq;
    struct ft_msg_hello hello;
    /* What the host was told. */
    uint64_t acked_seq;
    uint64_t rejected_events;
};

static int64_t world_mono(const struct ft_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

static int64_t world_real(const struct ft_clock *clock)
{
    return ((const struct world *)clock)->now_ns + INT64_C(1700000000000000000);
}

static struct world *world_of(struct ft_stream *stream)
{
    return (struct world *)(void *)((char *)stream - offsetof(struct world, stream));
}

static ft_err stream_open(struct ft_stream *stream)
{
    world_of(stream)->wanted = true;
    return FT_OK;
}

static void respond(struct world *world, const struct ft_response *response)
{
    CHECK(world->n_in < MESSAGES_MAX);
    struct ft_buf *to = &world->inbox[world->n_in++];
    ft_buf_init(to, 0);
    CHECK_OK(ft_response_encode(response, to));
}

static void send_ack(struct world *world)
{
    struct ft_response ack = {.kind = FT_RESPONSE_ACK, .ack = {.durable_seq = world->durable_seq}};
    respond(world, &ack);
}

static void take_hello(struct world *world, const struct ft_msg_hello *hello)
{
    world->hellos++;
    world->hello = *hello;
    world->expected_seq = world->durable_seq + 1;
    if (!world->welcomes) {
        return;
    }
    struct ft_response welcome = {.kind = FT_RESPONSE_WELCOME,
                                  .welcome = {.collector_id = world->collector_id,
                                              .durable_seq = world->durable_seq,
                                              .window_bytes = world->window_bytes,
                                              .status_interval_ms = 5000}};
    respond(world, &welcome);
}

/* The test's blocks are "FIRST COUNT" in text. */
static void take_block(struct world *world, const uint8_t *data, size_t size)
{
    char text[64] = "";
    memcpy(text, data, size < sizeof text - 1 ? size : sizeof text - 1);
    char *end = NULL;
    uint64_t first = strtoull(text, &end, 10);
    uint64_t count = strtoull(end, NULL, 10);
    world->received_events += count;
    CHECK_INT(first, world->expected_seq);
    world->expected_seq = first + count;
    if (first + count - 1 > world->durable_seq && world->acks) {
        world->durable_seq = first + count - 1;
        send_ack(world);
    }
}

static ft_err stream_send(struct ft_stream *stream, const struct ft_stream_parts *parts)
{
    struct world *world = world_of(stream);
    CHECK(world->open && !world->sent_due);
    struct ft_buf whole;
    ft_buf_init(&whole, 0);
    ft_buf_add(&whole, parts->head, parts->head_size);
    ft_buf_add(&whole, parts->body, parts->body_size);
    struct ft_request request;
    CHECK_OK(ft_request_decode(whole.data, whole.size, &request, NULL));
    if (request.kind == FT_REQUEST_HELLO) {
        take_hello(world, &request.hello);
    } else if (request.kind == FT_REQUEST_STATUS) {
        world->statuses++;
    } else {
        take_block(world, request.batch.data, request.batch.size);
    }
    ft_request_clear(&request);
    ft_buf_deinit(&whole);
    world->sent_due = true;
    return FT_OK;
}

static void stream_cancel(struct ft_stream *stream) { world_of(stream)->cancelled = true; }

static void close_stream(struct world *world, struct ft_stream_event *ret_event, ft_err err,
                         const char *text)
{
    world->open = false;
    world->wanted = false;
    world->cancelled = false;
    world->sent_due = false;
    world->n_read = world->n_in;
    ret_event->kind = FT_STREAM_CLOSED;
    ret_event->err = err;
    (void)snprintf(ret_event->text, sizeof ret_event->text, "%s", text);
}

static void stream_poll(struct ft_stream *stream, int64_t deadline_ns,
                        struct ft_stream_event *ret_event)
{
    struct world *world = world_of(stream);
    memset(ret_event, 0, sizeof *ret_event);
    if (world->cancelled) {
        close_stream(world, ret_event, FT_E_CANCELLED, "cancelled");
    } else if (world->wanted && world->refuse != FT_OK) {
        close_stream(world, ret_event, world->refuse, "refused");
    } else if (world->wanted) {
        world->wanted = false;
        world->open = true;
        ret_event->kind = FT_STREAM_OPENED;
    } else if (world->sent_due) {
        world->sent_due = false;
        ret_event->kind = FT_STREAM_SENT;
    } else if (world->open && world->n_read < world->n_in) {
        struct ft_buf *message = &world->inbox[world->n_read++];
        ret_event->kind = FT_STREAM_MESSAGE;
        ret_event->data = (const uint8_t *)message->data;
        ret_event->size = message->size;
    } else if (deadline_ns > world->now_ns) {
        world->now_ns = deadline_ns;
    }
}

static void stream_wake(struct ft_stream *stream) { (void)stream; }
static void stream_destroy(struct ft_stream *stream) { (void)stream; }

static const struct ft_stream_ops stream_ops = {.open = stream_open,
                                                .send = stream_send,
                                                .cancel = stream_cancel,
                                                .poll = stream_poll,
                                                .wake = stream_wake,
                                                .destroy = stream_destroy};

static uint64_t host_next_seq(void *ctx) { return ((struct world *)ctx)->next_seq; }
static void host_fill_status(void *ctx, struct ft_msg_status *status)
{
    status->observed_events = ((struct world *)ctx)->next_seq - 1;
}
static void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns)
{
    (void)sealed_ns;
    struct world *world = ctx;
    CHECK_INT(first_seq, world->acked_seq + 1);
    world->acked_seq = last_seq;
}
static void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason)
{
    CHECK(reason[0] != '\0');
    ((struct world *)ctx)->rejected_events += last_seq - first_seq + 1;
}
static void host_on_state(void *ctx, enum ft_link_state state, const char *text)
{
    (void)ctx;
    (void)state;
    (void)text;
}

static void setup(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->clock = (struct ft_clock){world_mono, world_real};
    world->now_ns = FT_NS_PER_S;
    world->stream.ops = &stream_ops;
    world->welcomes = true;
    world->acks = true;
    world->window_bytes = 1 << 20;
    world->collector_id.bytes[0] = 7;
    world->next_seq = 1;
    ft_random_seeded_init(&world->random, 1);
    struct ft_log_options log = {.bytes_max = 8 << 20, .full = FT_LOG_DROP_OLDEST};
    CHECK_OK(ft_log_memory_create(&log, &world->log));
    struct ft_exporter_options options = {.link = ft_link_options_default,
                                          .window_bytes = 1 << 20,
                                          .clock = &world->clock,
                                          .random = &world->random.base,
                                          .stream = &world->stream,
                                          .log = world->log,
                                          .host = {.ctx = world,
                                                   .next_seq = host_next_seq,
                                                   .fill_status = host_fill_status,
                                                   .on_acked = host_on_acked,
                                                   .on_rejected = host_on_rejected,
                                                   .on_state = host_on_state}};
    CHECK_OK(ft_exporter_create(&options, &world->exporter));
}

static void teardown(struct world *world)
{
    ft_exporter_destroy(world->exporter);
    ft_log_destroy(world->log);
    for (size_t i = 0; i < world->n_in; i++) {
        ft_buf_deinit(&world->inbox[i]);
    }
}

/* Seals a block of 'count' events and 'size' bytes. */
static void seal(struct world *world, uint32_t count, size_t size)
{
    static char data[1 << 20];
    memset(data, ' ', size);
    (void)snprintf(data, sizeof data, "%llu %u", (unsigned long long)world->next_seq, count);
    struct ft_block_info info = {.first_seq = world->next_seq, .n_events = count};
    uint64_t position;
    CHECK_OK(ft_log_append(world->log, &info, data, size, &position));
    world->next_seq += count;
}

static void run_for(struct world *world, int64_t ns)
{
    int64_t until_ns = world->now_ns + ns;
    while (world->now_ns < until_ns) {
        ft_exporter_step(world->exporter, until_ns);
    }
}

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
