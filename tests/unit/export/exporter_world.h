/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter against a collector in memory, on virtual time, with a real log. */
#ifndef FT_TESTS_EXPORT_EXPORTER_WORLD_H
#define FT_TESTS_EXPORT_EXPORTER_WORLD_H 1

#include <stdio.h>
#include <stdlib.h>

#include "export/exporter.h"
#include "lib/fault_disk.h"
#include "lib/test.h"

#define MESSAGES_MAX 512
#define STORED_MAX   20000

struct world {
    struct ft_clock clock;
    int64_t now_ns;
    struct ft_random_seeded random;
    struct ft_disk *disk; /* NULL: the log is in memory. */
    struct ft_log_options log_options;
    struct ft_log *log;
    struct ft_exporter *exporter;
    struct ft_exporter_options options;
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
    uint64_t refilled_events; /* That it had asked for. */
    uint64_t next_seq;
    struct ft_msg_hello hello;
    struct ft_uuid store_epoch;
    const struct ft_receipt_signer *signer; /* NULL: it gives no receipts. */
    struct ft_ranges lost;                  /* What its Welcome asks for. */
    bool spoils_welcome;                    /* Its receipt there is not good. */
    /* What it has, where a test asks: events that it stored, and that came twice. */
    bool counts;
    uint8_t stored[STORED_MAX];
    uint8_t told[STORED_MAX]; /* Lost, whatever the cause. */
    uint64_t rejects;         /* Blocks whose first number it divides; 0: none. */
    struct ft_msg_ack rejected;
    /* What the host was told. */
    uint64_t acked_seq;
    uint64_t rejected_events;
    uint64_t back_to_seq;
    unsigned n_gone;
    struct ft_loss gone[16];
    unsigned n_trusted;
    struct ft_binding binding;
    uint64_t dropped_events;
};

static inline int64_t world_mono(const struct ft_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

static inline int64_t world_real(const struct ft_clock *clock)
{
    return ((const struct world *)clock)->now_ns + INT64_C(1700000000000000000);
}

static inline struct world *world_of(struct ft_stream *stream)
{
    return (struct world *)(void *)((char *)stream - offsetof(struct world, stream));
}

static inline ft_err stream_open(struct ft_stream *stream)
{
    world_of(stream)->wanted = true;
    return FT_OK;
}

static inline void respond(struct world *world, const struct ft_response *response)
{
    CHECK(world->n_in < MESSAGES_MAX);
    struct ft_buf *to = &world->inbox[world->n_in++];
    ft_buf_init(to, 0);
    CHECK_OK(ft_response_encode(response, to));
}

/* Signs as the collector does, for the present stream. */
static inline void sign_digest(const struct world *world, uint64_t durable_seq,
                               const uint8_t digest[FT_RECEIPT_DIGEST_SIZE],
                               struct ft_msg_signature *ret_receipt)
{
    struct ft_receipt receipt = {.durable_seq = durable_seq};
    if (world->signer == NULL) {
        return;
    }
    memcpy(receipt.collector_id, world->collector_id.bytes, 16);
    memcpy(receipt.store_epoch, world->store_epoch.bytes, 16);
    memcpy(receipt.agent_id, world->hello.agent_id.bytes, 16);
    memcpy(receipt.instance_id, world->hello.instance_id.bytes, 16);
    memcpy(receipt.challenge, world->hello.challenge, 16);
    memcpy(receipt.rejected_digest, digest, FT_RECEIPT_DIGEST_SIZE);
    CHECK_OK(ft_receipt_sign(world->signer, &receipt, ret_receipt->bytes));
    ret_receipt->size = sizeof ret_receipt->bytes;
}

static inline void sign(const struct world *world, uint64_t durable_seq,
                        const struct ft_msg_ack *ack, struct ft_msg_signature *ret_receipt)
{
    uint8_t digest[FT_RECEIPT_DIGEST_SIZE];
    ft_ack_digest(ack, digest);
    sign_digest(world, durable_seq, digest, ret_receipt);
}

/* An ack as an honest collector gives it. */
static inline struct ft_response make_ack(const struct world *world, uint64_t durable_seq)
{
    struct ft_response ack = {.kind = FT_RESPONSE_ACK,
                              .ack = {.durable_seq = durable_seq,
                                      .has_store_epoch = true,
                                      .store_epoch = world->store_epoch}};
    sign(world, durable_seq, &ack.ack, &ack.ack.receipt);
    return ack;
}

static inline void send_ack(struct world *world)
{
    struct ft_response ack = make_ack(world, world->durable_seq);
    if (world->rejected.n_rejected > 0) {
        ack.ack.n_rejected = world->rejected.n_rejected;
        memcpy(ack.ack.rejected, world->rejected.rejected, sizeof ack.ack.rejected);
        sign(world, world->durable_seq, &ack.ack, &ack.ack.receipt);
        world->rejected.n_rejected = 0;
    }
    respond(world, &ack);
}

static inline void tell(struct world *world, uint64_t first_seq, uint64_t last_seq)
{
    for (uint64_t seq = first_seq; seq <= last_seq && seq < STORED_MAX; seq++) {
        world->told[seq]++;
    }
}

static inline void take_hello(struct world *world, const struct ft_msg_hello *hello)
{
    world->hellos++;
    world->hello = *hello;
    world->expected_seq = world->durable_seq + 1;
    if (!world->welcomes) {
        return;
    }
    struct ft_response welcome = {.kind = FT_RESPONSE_WELCOME,
                                  .welcome = {.collector_id = world->collector_id,
                                              .store_epoch = world->store_epoch,
                                              .durable_seq = world->durable_seq,
                                              .window_bytes = world->window_bytes,
                                              .status_interval_ms = 5000}};
    for (unsigned i = 0; i < world->lost.n; i++) {
        welcome.welcome.lost[welcome.welcome.n_lost++] =
            (struct ft_msg_hole){world->lost.at[i].first, world->lost.at[i].last};
    }
    if (world->signer != NULL) {
        welcome.welcome.has_receipt_key = true;
        memcpy(welcome.welcome.receipt_key, ft_receipt_signer_key(world->signer), 32);
        uint8_t digest[FT_RECEIPT_DIGEST_SIZE];
        ft_welcome_digest(&welcome.welcome, digest);
        sign_digest(world, world->durable_seq, digest, &welcome.welcome.receipt);
        welcome.welcome.receipt.bytes[9] ^= world->spoils_welcome;
    }
    respond(world, &welcome);
}

/* The test's blocks are "FIRST COUNT" in text. */
static inline void take_block(struct world *world, const uint8_t *data, size_t size)
{
    char text[64] = "";
    memcpy(text, data, size < sizeof text - 1 ? size : sizeof text - 1);
    char *end = NULL;
    uint64_t first = strtoull(text, &end, 10);
    uint64_t count = strtoull(end, NULL, 10);
    world->received_events += count;
    bool fills = false;
    if (world->counts) {
        CHECK(first + count <= STORED_MAX);
        bool rejected = world->acks && world->rejects != 0 && first % world->rejects == 0 &&
                        first > world->durable_seq;
        if (rejected) {
            world->rejected.n_rejected = 1;
            world->rejected.rejected[0] = (struct ft_msg_range){first, first + count - 1, "poison"};
        }
        for (uint64_t seq = first; seq < first + count && world->acks && !rejected; seq++) {
            bool is_asked = ft_ranges_overlap(&world->lost, seq, seq) > 0;
            world->stored[seq] =
                (uint8_t)(world->stored[seq] + (seq > world->durable_seq || is_asked));
            world->refilled_events += is_asked;
            fills = fills || is_asked;
        }
        if (fills) {
            ft_ranges_remove(&world->lost, first, first + count - 1);
        }
    } else {
        CHECK_INT(first, world->expected_seq);
    }
    world->expected_seq = first + count;
    if (first + count - 1 > world->durable_seq && world->acks) {
        world->durable_seq = first + count - 1;
        send_ack(world);
    } else if (fills) {
        struct ft_response ack = make_ack(world, first + count - 1);
        respond(world, &ack);
    }
}

static inline ft_err stream_send(struct ft_stream *stream, const struct ft_stream_parts *parts)
{
    struct world *world = world_of(stream);
    CHECK(world->open && !world->sent_due);
    if (world->cancelled) {
        world->sent_due = true; /* Nobody is there any more. */
        return FT_OK;
    }
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

static inline void stream_cancel(struct ft_stream *stream) { world_of(stream)->cancelled = true; }

static inline void close_stream(struct world *world, struct ft_stream_event *ret_event, ft_err err,
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

static inline void stream_poll(struct ft_stream *stream, int64_t deadline_ns,
                               struct ft_stream_event *ret_event)
{
    struct world *world = world_of(stream);
    memset(ret_event, 0, sizeof *ret_event);
    if (world->n_read == world->n_in && world->n_in > MESSAGES_MAX / 2) {
        for (; world->n_in > 0; world->n_in--) {
            ft_buf_deinit(&world->inbox[world->n_in - 1]);
        }
        world->n_read = 0;
    }
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

static inline void stream_wake(struct ft_stream *stream) { (void)stream; }
static inline void stream_destroy(struct ft_stream *stream) { (void)stream; }

static const struct ft_stream_ops stream_ops = {.open = stream_open,
                                                .send = stream_send,
                                                .cancel = stream_cancel,
                                                .poll = stream_poll,
                                                .wake = stream_wake,
                                                .destroy = stream_destroy};

static inline uint64_t host_next_seq(void *ctx) { return ((struct world *)ctx)->next_seq; }
static inline void host_fill_status(void *ctx, struct ft_msg_status *status)
{
    status->observed_events = ((struct world *)ctx)->next_seq - 1;
}
static inline void host_on_acked(void *ctx, uint64_t first_seq, uint64_t last_seq,
                                 int64_t sealed_ns)
{
    (void)sealed_ns;
    struct world *world = ctx;
    CHECK(world->counts || first_seq == world->acked_seq + 1);
    world->acked_seq = last_seq;
}
static inline void host_on_rejected(void *ctx, uint64_t first_seq, uint64_t last_seq,
                                    const char *reason)
{
    CHECK(reason[0] != '\0');
    ((struct world *)ctx)->rejected_events += last_seq - first_seq + 1;
    tell(ctx, first_seq, last_seq);
}
static inline void host_on_state(void *ctx, enum ft_link_state state, const char *text)
{
    (void)ctx;
    (void)state;
    (void)text;
}

static inline void host_on_trusted(void *ctx, const struct ft_binding *binding)
{
    struct world *world = ctx;
    world->n_trusted++;
    world->binding = *binding;
}
static inline void host_on_gone_back(void *ctx, uint64_t durable_seq)
{
    struct world *world = ctx;
    world->back_to_seq = durable_seq;
    world->acked_seq = durable_seq;
}
static inline void host_on_gone(void *ctx, const struct ft_loss *loss)
{
    struct world *world = ctx;
    world->gone[world->n_gone++ % 16] = *loss;
    CHECK_INT(loss->cause, FT_LOSS_COLLECTOR_LOST);
    CHECK_INT(loss->count, loss->last_seq - loss->first_seq + 1);
    tell(ctx, loss->first_seq, loss->last_seq);
}
static inline void on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    (void)size;
    ((struct world *)ctx)->dropped_events += info->n_events;
    tell(ctx, info->first_seq, info->first_seq + info->n_events - 1);
}

static inline void open_log_and_exporter(struct world *world)
{
    if (world->disk != NULL) {
        CHECK_OK(ft_log_disk_open(world->disk, &world->log_options, NULL, NULL, &world->log));
    } else {
        CHECK_OK(ft_log_memory_create(&world->log_options, &world->log));
    }
    world->options.log = world->log;
    CHECK_OK(ft_exporter_create(&world->options, &world->exporter));
}

/* As the options say; 'keep_bytes' of the log. */
static inline void setup_with(struct world *world, const struct ft_exporter_options *given,
                              uint64_t log_bytes, uint64_t keep_bytes)
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
    world->store_epoch.bytes[0] = 1;
    world->log_options = (struct ft_log_options){.bytes_max = log_bytes,
                                                 .full = FT_LOG_DROP_OLDEST,
                                                 .readers_hold = true,
                                                 .on_drop = on_drop,
                                                 .on_drop_ctx = world,
                                                 .keep_bytes = keep_bytes,
                                                 .segment_bytes = 16384};
    world->options = (struct ft_exporter_options){
        .link = ft_link_options_default,
        .window_bytes = given->window_bytes != 0 ? given->window_bytes : 1 << 20,
        .clock = &world->clock,
        .random = &world->random.base,
        .stream = &world->stream,
        .agent_id = {{0xa}},
        .instance_id = {{0xb}},
        .receipts = given->receipts,
        .receipt_keys = given->receipt_keys,
        .binding = given->binding,
        .host = {.ctx = world,
                 .next_seq = host_next_seq,
                 .fill_status = host_fill_status,
                 .on_acked = host_on_acked,
                 .on_rejected = host_on_rejected,
                 .on_trusted = host_on_trusted,
                 .on_gone_back = host_on_gone_back,
                 .on_gone = host_on_gone,
                 .on_state = host_on_state}};
    open_log_and_exporter(world);
}

/* With the log on a disk from here on; it is empty still. */
static inline void move_to_disk(struct world *world)
{
    ft_exporter_destroy(world->exporter);
    ft_log_destroy(world->log);
    world->disk = ft_fault_disk_create(1);
    open_log_and_exporter(world);
}

/* Another process goes on with that disk. */
static inline void restart(struct world *world, enum ft_fault_cut cut)
{
    uint64_t position;
    CHECK_OK(ft_log_sync(world->log, &position));
    ft_fault_disk_stop_now(world->disk);
    ft_exporter_destroy(world->exporter);
    ft_log_destroy(world->log);
    ft_fault_disk_restart(world->disk, cut);
    struct ft_stream_event event;
    close_stream(world, &event, FT_OK, "");
    world->options.bound = true;
    world->options.collector_id = world->collector_id;
    world->options.binding = world->binding;
    world->options.known_seq = world->next_seq - 1;
    open_log_and_exporter(world);
    ft_exporter_enable(world->exporter);
}

static inline void setup(struct world *world)
{
    struct ft_exporter_options options = {0};
    setup_with(world, &options, 8 << 20, 0);
}

static inline void teardown(struct world *world)
{
    ft_exporter_destroy(world->exporter);
    ft_log_destroy(world->log);
    if (world->disk != NULL) {
        ft_disk_destroy(world->disk);
    }
    for (size_t i = 0; i < world->n_in; i++) {
        ft_buf_deinit(&world->inbox[i]);
    }
}

/* Seals a block of 'count' events and 'size' bytes. */
static inline void seal(struct world *world, uint32_t count, size_t size)
{
    static char data[1 << 20];
    memset(data, ' ', size);
    (void)snprintf(data, sizeof data, "%llu %u", (unsigned long long)world->next_seq, count);
    struct ft_block_info info = {.first_seq = world->next_seq, .n_events = count};
    uint64_t position;
    CHECK_OK(ft_log_append(world->log, &info, data, size, &position));
    world->next_seq += count;
}

static inline void run_for(struct world *world, int64_t ns)
{
    int64_t until_ns = world->now_ns + ns;
    while (world->now_ns < until_ns) {
        ft_exporter_step(world->exporter, until_ns);
    }
}

#endif
