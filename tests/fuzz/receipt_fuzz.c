/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message of a collector to an exporter that has welcomed it and waits for an acknowledgement.
 * The input is an ExportResponse.  Events may be freed only for an acknowledgement that the
 * collector's key has signed for this stream, which is checked here once more.
 *
 * Everything is seeded, so that a good acknowledgement can be in the corpus (honest_ack): the
 * fuzzer begins one bit away from it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/exporter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct ft_clock clock;
    int64_t now_ns;
    struct ft_random_seeded random;
    struct ft_stream stream;
    struct ft_exporter *exporter;
    struct ft_receipt_signer *signer;
    struct ft_msg_hello hello;
    bool wanted;
    bool open;
    bool cancelled;
    bool sent_due;
    const void *message; /* The next for the exporter. */
    size_t message_size;
    unsigned n_batches;
};

static const struct ft_uuid collector_id = {{0xc}};
static const struct ft_uuid store_epoch = {{0xe}};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static int64_t world_time(const struct ft_clock *clock)
{
    return ((const struct world *)(const void *)clock)->now_ns;
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

static ft_err stream_send(struct ft_stream *stream, const struct ft_stream_parts *parts)
{
    struct world *world = world_of(stream);
    struct ft_buf whole;
    ft_buf_init(&whole, 0);
    ft_buf_add(&whole, parts->head, parts->head_size);
    ft_buf_add(&whole, parts->body, parts->body_size);
    struct ft_request request;
    must(ft_request_decode(whole.data, whole.size, &request, NULL) == FT_OK);
    if (request.kind == FT_REQUEST_HELLO) {
        world->hello = request.hello;
    } else if (request.kind == FT_REQUEST_BATCH) {
        world->n_batches++;
    }
    ft_request_clear(&request);
    ft_buf_deinit(&whole);
    world->sent_due = true;
    return FT_OK;
}

static void stream_cancel(struct ft_stream *stream) { world_of(stream)->cancelled = true; }

static void stream_poll(struct ft_stream *stream, int64_t deadline_ns,
                        struct ft_stream_event *ret_event)
{
    struct world *world = world_of(stream);
    memset(ret_event, 0, sizeof *ret_event);
    if (world->cancelled) {
        world->cancelled = world->open = world->wanted = world->sent_due = false;
        ret_event->kind = FT_STREAM_CLOSED;
    } else if (world->wanted) {
        world->wanted = false;
        world->open = true;
        ret_event->kind = FT_STREAM_OPENED;
    } else if (world->sent_due) {
        world->sent_due = false;
        ret_event->kind = FT_STREAM_SENT;
    } else if (world->open && world->message != NULL) {
        ret_event->kind = FT_STREAM_MESSAGE;
        ret_event->data = world->message;
        ret_event->size = world->message_size;
        world->message = NULL;
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

static uint64_t next_seq(void *ctx)
{
    (void)ctx;
    return 21;
}
static void fill_status(void *ctx, struct ft_msg_status *status)
{
    (void)ctx;
    (void)status;
}
static void on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns)
{
    (void)ctx;
    (void)sealed_ns;
    must(first_seq >= 1 && last_seq <= 20);
}
static void on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason)
{
    (void)ctx;
    must(first_seq >= 1 && last_seq <= 20 && reason != NULL);
}
static void on_state(void *ctx, enum ft_link_state state, const char *text)
{
    (void)ctx;
    (void)state;
    (void)text;
}

static struct ft_receipt statement(const struct world *world, uint64_t durable_seq,
                                   const struct ft_msg_ack *ack)
{
    struct ft_receipt receipt = {.durable_seq = durable_seq};
    memcpy(receipt.collector_id, collector_id.bytes, 16);
    memcpy(receipt.store_epoch, store_epoch.bytes, 16);
    memcpy(receipt.agent_id, world->hello.agent_id.bytes, 16);
    memcpy(receipt.instance_id, world->hello.instance_id.bytes, 16);
    memcpy(receipt.challenge, world->hello.challenge, 16);
    ft_ack_digest(ack, receipt.rejected_digest);
    return receipt;
}

static void give(struct world *world, const void *message, size_t size)
{
    world->message = message;
    world->message_size = size;
    while (world->message != NULL) {
        ft_exporter_step(world->exporter, world->now_ns + 1);
    }
}

static void welcome(struct world *world)
{
    static const struct ft_msg_ack nothing;
    struct ft_response response = {.kind = FT_RESPONSE_WELCOME,
                                   .welcome = {.collector_id = collector_id,
                                               .store_epoch = store_epoch,
                                               .has_receipt_key = true,
                                               .receipt = {.size = FT_RECEIPT_SIGNATURE_SIZE}}};
    memcpy(response.welcome.receipt_key, ft_receipt_signer_key(world->signer), 32);
    struct ft_receipt receipt = statement(world, 0, &nothing);
    must(ft_receipt_sign(world->signer, &receipt, response.welcome.receipt.bytes) == FT_OK);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    must(ft_response_encode(&response, &buf) == FT_OK);
    give(world, buf.data, buf.size);
    ft_buf_deinit(&buf);
}

/* What the collector has signed for this stream, and how far. */
static uint64_t proven(const struct world *world, const uint8_t *data, size_t size)
{
    struct ft_response response;
    if (ft_response_decode(data, size, &response, NULL) != FT_OK ||
        response.kind != FT_RESPONSE_ACK || !response.ack.has_store_epoch ||
        !ft_uuid_equal(&response.ack.store_epoch, &store_epoch)) {
        return 0;
    }
    struct ft_receipt receipt = statement(world, response.ack.durable_seq, &response.ack);
    bool good = ft_receipt_verify(ft_receipt_signer_key(world->signer), &receipt,
                                  response.ack.receipt.bytes, response.ack.receipt.size);
    return good ? response.ack.durable_seq : 0;
}

static void append(struct ft_log *log, uint64_t first_seq)
{
    struct ft_block_info info = {.first_seq = first_seq, .n_events = 10};
    uint64_t position;
    must(ft_log_append(log, &info, "block", 5, &position) == FT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[FT_RECEIPT_SEED_SIZE] = {1};
    struct world world = {.clock = {world_time, world_time}, .stream = {&stream_ops}};
    ft_random_seeded_init(&world.random, 1);
    struct ft_log *log = NULL;
    struct ft_log_options log_options = {.bytes_max = 1 << 20, .full = FT_LOG_DROP_OLDEST};
    must(ft_receipt_signer_create(seed, &world.signer) == FT_OK);
    must(ft_log_memory_create(&log_options, &log) == FT_OK);
    append(log, 1);
    append(log, 11);
    struct ft_exporter_options options = {.link = ft_link_options_default,
                                          .window_bytes = 1 << 20,
                                          .agent_id = {{0xa}},
                                          .instance_id = {{0xb}},
                                          .receipts = FT_TRUST_REQUIRE,
                                          .clock = &world.clock,
                                          .random = &world.random.base,
                                          .stream = &world.stream,
                                          .log = log,
                                          .host = {.ctx = &world,
                                                   .next_seq = next_seq,
                                                   .fill_status = fill_status,
                                                   .on_acked = on_acked,
                                                   .on_rejected = on_rejected,
                                                   .on_state = on_state}};
    must(ft_exporter_create(&options, &world.exporter) == FT_OK);
    ft_exporter_enable(world.exporter);
    for (int i = 0; i < 6; i++) {
        ft_exporter_step(world.exporter, world.now_ns + 1);
    }
    welcome(&world);
    while (world.n_batches < 2) {
        ft_exporter_step(world.exporter, world.now_ns + 1);
    }
    if (size > 0) {
        give(&world, data, size);
    }
    const struct ft_exporter_stats *stats = ft_exporter_stats(world.exporter);
    must(stats->welcomes == 1);
    uint64_t limit = proven(&world, data, size);
    must(stats->done_events <= (limit <= 20 ? limit : 0));
    must(stats->acked_events + stats->rejected_events == stats->done_events);
    ft_exporter_destroy(world.exporter);
    ft_log_destroy(log);
    ft_receipt_signer_destroy(world.signer);
    return 0;
}
