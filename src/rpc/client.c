/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/client.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/channel.h"
#include "rpc/message.h"
#include "rpc/rpc.h"

/* How long a status may take behind empty headers before they are believed. */
#define SETTLE_NS (20 * FT_NS_PER_MS)

/* What comes back from the completion queue; its address is the tag. */
enum op_kind { OP_HEADERS, OP_SEND, OP_RECEIVE, OP_STATUS, OP_WAKE, OP_N };

struct op {
    enum op_kind kind;
};

struct client {
    struct ft_stream stream; /* First: an ft_stream is its client. */

    /* Set at creation. */
    struct ft_rpc_channel_config config;
    struct op ops[OP_N];
    grpc_completion_queue *queue;
    /* gRPC's C interface has no alarm: an empty batch on this call, which is never made, is one. */
    grpc_channel *wake_channel;
    grpc_call *wake_call;

    /* Any thread. */
    atomic_bool wake_started;

    /* Owner thread only: the stream that is open, if 'call' is set. */
    grpc_channel *channel;
    grpc_call *call;
    unsigned n_ops; /* Of OP_HEADERS to OP_STATUS, those that gRPC has. */
    int64_t open_deadline_mono_ns;
    int64_t settle_mono_ns; /* Until then a status may show that the headers were none. */
    bool cancelled;         /* By the caller. */
    bool timed_out;
    bool opened; /* Headers arrived. */
    bool ended;  /* The peer will send no more messages. */
    bool receiving;
    bool closed; /* The status arrived. */
    /* What arrived and was not handed out yet. */
    bool opened_due;
    bool sent_due;
    bool message_due;
    bool wake_due;

    grpc_byte_buffer *sending;
    grpc_byte_buffer *received;
    struct ft_rpc_view view; /* Of the message that the caller looks at. */
    bool view_held;
    grpc_metadata_array headers;
    grpc_metadata_array trailers;
    grpc_status_code status;
    grpc_slice status_text;
    const char *error_text;
};

static ft_err client_open(struct ft_stream *stream);
static ft_err client_send(struct ft_stream *stream, const struct ft_stream_parts *parts);
static void client_cancel(struct ft_stream *stream);
static void client_poll(struct ft_stream *stream, int64_t deadline_mono_ns,
                        struct ft_stream_event *ret_event);
static void client_wake(struct ft_stream *stream);
static void client_destroy(struct ft_stream *stream);

static void start_call(struct client *client, grpc_metadata *metadata, size_t n_metadata);
static void start_batch(struct client *client, const grpc_op *ops, size_t n, enum op_kind kind);
static void start_receive(struct client *client);
static bool next_event(struct client *client, int64_t deadline_mono_ns);
static void on_op(struct client *client, enum op_kind kind, bool success);
static bool take_event(struct client *client, struct ft_stream_event *event);
static void take_message(struct client *client, struct ft_stream_event *event);
static void take_closed(struct client *client, struct ft_stream_event *event);
static void release_call(struct client *client);

static const struct ft_stream_ops client_ops = {
    .open = client_open,
    .send = client_send,
    .cancel = client_cancel,
    .poll = client_poll,
    .wake = client_wake,
    .destroy = client_destroy,
};

ft_err ft_rpc_client_create(const struct ft_rpc_client_options *options,
                            struct ft_stream **ret_stream, struct ft_diag *reterr_diag)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    client->stream.ops = &client_ops;
    for (unsigned i = 0; i < OP_N; i++) {
        client->ops[i].kind = (enum op_kind)i;
    }
    ft_err err = ft_rpc_channel_config_init(&client->config, options, reterr_diag);
    if (err != FT_OK) {
        ft_rpc_channel_config_deinit(&client->config);
        free(client);
        return err;
    }
    client->queue = grpc_completion_queue_create_for_next(NULL);
    client->wake_channel =
        grpc_lame_client_channel_create("flowtrail:wake", GRPC_STATUS_CANCELLED, "never called");
    client->wake_call = grpc_channel_create_call(
        client->wake_channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
        grpc_slice_from_static_string("/wake"), NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    *ret_stream = &client->stream;
    return FT_OK;
}

static ft_err client_open(struct ft_stream *stream)
{
    struct client *client = (struct client *)stream;
    assert(client->call == NULL);
    char token[FT_RPC_TOKEN_LEN_MAX + 1] = "";
    grpc_metadata metadata = {.key = grpc_slice_from_static_string("authorization")};
    size_t n_metadata = 0;
    if (client->config.token != NULL) {
        FT_TRY(client->config.token(client->config.ctx, token, sizeof token));
    }
    if (token[0] != '\0') {
        char header[sizeof token + 8];
        int len = snprintf(header, sizeof header, "Bearer %s", token);
        explicit_bzero(token, sizeof token);
        struct ft_rpc_token parsed;
        ft_err err = ft_rpc_bearer_parse(header, (size_t)len, &parsed);
        metadata.value = grpc_slice_from_copied_buffer(header, (size_t)len);
        explicit_bzero(header, sizeof header);
        if (err != FT_OK) {
            grpc_slice_unref(metadata.value);
            return err;
        }
        n_metadata = 1;
    }
    ft_err err = ft_rpc_channel_create(&client->config, &client->channel);
    if (err == FT_OK) {
        start_call(client, &metadata, n_metadata);
    }
    if (n_metadata > 0) {
        grpc_slice_unref(metadata.value);
    }
    return err;
}

static ft_err client_send(struct ft_stream *stream, const struct ft_stream_parts *parts)
{
    struct client *client = (struct client *)stream;
    if (client->call == NULL || client->closed) {
        return FT_E_CLOSED;
    }
    if (client->sending != NULL || client->sent_due) {
        return ft_err_from_errno(EBUSY);
    }
    if (parts->head_size > client->config.message_send_bytes_max ||
        parts->body_size > client->config.message_send_bytes_max - parts->head_size) {
        return FT_E_RANGE;
    }
    client->sending =
        ft_rpc_message_create(parts->head, parts->head_size, parts->body, parts->body_size);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = client->sending;
    start_batch(client, &op, 1, OP_SEND);
    return FT_OK;
}

static void client_cancel(struct ft_stream *stream)
{
    struct client *client = (struct client *)stream;
    if (client->call != NULL && !client->closed) {
        client->cancelled = true;
        (void)grpc_call_cancel_with_status(client->call, GRPC_STATUS_CANCELLED,
                                           "given up on this side", NULL);
    }
}

static void client_poll(struct ft_stream *stream, int64_t deadline_mono_ns,
                        struct ft_stream_event *ret_event)
{
    struct client *client = (struct client *)stream;
    *ret_event = (struct ft_stream_event){.kind = FT_STREAM_NONE};
    if (client->view_held) {
        ft_rpc_view_deinit(&client->view);
        client->view_held = false;
    }
    if (client->call != NULL && client->opened && !client->opened_due) {
        start_receive(client);
    }
    const struct ft_clock *clock = ft_clock_system();
    for (;;) {
        if (client->opened_due && !client->closed && next_event(client, client->settle_mono_ns)) {
            continue;
        }
        if (take_event(client, ret_event)) {
            return;
        }
        bool opening = client->call != NULL && !client->opened && !client->timed_out;
        bool first = opening && client->open_deadline_mono_ns < deadline_mono_ns;
        if (next_event(client, first ? client->open_deadline_mono_ns : deadline_mono_ns)) {
            continue;
        }
        if (!first) {
            return;
        }
        /* gRPC counts in milliseconds and may return a little early. */
        if (ft_clock_mono_ns(clock) + FT_NS_PER_MS >= client->open_deadline_mono_ns) {
            client->timed_out = true;
            (void)grpc_call_cancel_with_status(client->call, GRPC_STATUS_DEADLINE_EXCEEDED,
                                               "the peer sent no headers in time", NULL);
        }
    }
}

static void client_wake(struct ft_stream *stream)
{
    struct client *client = (struct client *)stream;
    if (!atomic_exchange(&client->wake_started, true)) {
        grpc_call_error error =
            grpc_call_start_batch(client->wake_call, NULL, 0, &client->ops[OP_WAKE], NULL);
        assert(error == GRPC_CALL_OK);
        (void)error;
    }
}

static void client_destroy(struct ft_stream *stream)
{
    struct client *client = (struct client *)stream;
    if (client->view_held) {
        ft_rpc_view_deinit(&client->view);
    }
    client_cancel(stream);
    while (client->call != NULL && client->n_ops > 0) {
        (void)next_event(client, FT_TIME_NEVER);
    }
    release_call(client);
    grpc_call_unref(client->wake_call);
    grpc_channel_destroy(client->wake_channel);
    grpc_completion_queue_shutdown(client->queue);
    while (
        grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
        GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(client->queue);
    ft_rpc_channel_config_deinit(&client->config);
    free(client);
}

static void start_call(struct client *client, grpc_metadata *metadata, size_t n_metadata)
{
    client->call =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                 grpc_slice_from_static_string(client->config.method), NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    client->open_deadline_mono_ns =
        ft_clock_mono_ns(ft_clock_system()) + client->config.open_timeout_ns;
    client->cancelled = false;
    client->timed_out = false;
    client->opened = false;
    client->ended = false;
    client->closed = false;
    grpc_metadata_array_init(&client->headers);
    grpc_metadata_array_init(&client->trailers);
    client->status_text = grpc_empty_slice();

    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    ops[0].data.send_initial_metadata.count = n_metadata;
    ops[0].data.send_initial_metadata.metadata = metadata;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &client->headers;
    start_batch(client, ops, 2, OP_HEADERS);
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &client->trailers;
    status.data.recv_status_on_client.status = &client->status;
    status.data.recv_status_on_client.status_details = &client->status_text;
    status.data.recv_status_on_client.error_string = &client->error_text;
    start_batch(client, &status, 1, OP_STATUS);
}

static void start_batch(struct client *client, const grpc_op *ops, size_t n, enum op_kind kind)
{
    client->n_ops++;
    grpc_call_error error = grpc_call_start_batch(client->call, ops, n, &client->ops[kind], NULL);
    assert(error == GRPC_CALL_OK); /* Anything else is a mistake in this file. */
    (void)error;
}

static void start_receive(struct client *client)
{
    if (client->receiving || client->message_due || client->ended || client->closed) {
        return;
    }
    client->receiving = true;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &client->received;
    start_batch(client, &op, 1, OP_RECEIVE);
}

/* Takes one completion in.  False when none came until the deadline. */
static bool next_event(struct client *client, int64_t deadline_mono_ns)
{
    gpr_timespec deadline = deadline_mono_ns == FT_TIME_NEVER
                                ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                : gpr_time_from_nanos(deadline_mono_ns, GPR_CLOCK_MONOTONIC);
    grpc_event event = grpc_completion_queue_next(client->queue, deadline, NULL);
    if (event.type != GRPC_OP_COMPLETE) {
        return false;
    }
    on_op(client, ((const struct op *)event.tag)->kind, event.success != 0);
    return true;
}

static void on_op(struct client *client, enum op_kind kind, bool success)
{
    if (kind == OP_WAKE) {
        atomic_store(&client->wake_started, false);
        client->wake_due = true;
        return;
    }
    client->n_ops--;
    switch (kind) {
    case OP_HEADERS:
        client->opened = success && !client->timed_out;
        client->opened_due = client->opened;
        /*
         * gRPC reports a refusal, which has a status and no headers, as empty headers with the
         * status right behind.  Our server and many others always send one header.
         */
        client->settle_mono_ns =
            client->headers.count > 0 ? 0 : ft_clock_mono_ns(ft_clock_system()) + SETTLE_NS;
        break;
    case OP_SEND:
        grpc_byte_buffer_destroy(client->sending);
        client->sending = NULL;
        client->sent_due = success;
        break;
    case OP_RECEIVE:
        client->receiving = false;
        client->message_due = client->received != NULL;
        client->ended = client->received == NULL;
        break;
    case OP_STATUS:
        client->closed = true;
        break;
    case OP_WAKE:
    case OP_N:
        break;
    }
}

/* Hands out what is due, in the order in which it happened.  False when nothing is. */
static bool take_event(struct client *client, struct ft_stream_event *event)
{
    bool closed = client->call != NULL && client->closed && client->n_ops == 0;
    if (client->opened_due && !closed) {
        client->opened_due = false;
        event->kind = FT_STREAM_OPENED;
    } else if (client->sent_due && !closed) {
        client->sent_due = false;
        event->kind = FT_STREAM_SENT;
    } else if (client->message_due) {
        take_message(client, event);
    } else if (closed) {
        take_closed(client, event);
    } else if (client->wake_due) {
        client->wake_due = false;
        event->kind = FT_STREAM_NONE;
    } else {
        return false;
    }
    return true;
}

static void take_message(struct client *client, struct ft_stream_event *event)
{
    client->message_due = false;
    ft_err err = ft_rpc_view_init(&client->view, client->received);
    grpc_byte_buffer_destroy(client->received);
    client->received = NULL;
    if (err != FT_OK) {
        client->ended = true;
        (void)grpc_call_cancel_with_status(client->call, GRPC_STATUS_UNIMPLEMENTED,
                                           "the peer sent a compressed message", NULL);
        return;
    }
    client->view_held = true;
    event->kind = FT_STREAM_MESSAGE;
    event->data = client->view.data;
    event->size = client->view.size;
}

static void take_closed(struct client *client, struct ft_stream_event *event)
{
    char words[sizeof event->text];
    ft_rpc_text_escape(GRPC_SLICE_START_PTR(client->status_text),
                       GRPC_SLICE_LENGTH(client->status_text), words, sizeof words);
    event->kind = FT_STREAM_CLOSED;
    event->err = client->cancelled && client->status == GRPC_STATUS_CANCELLED
                     ? FT_E_CANCELLED
                     : ft_rpc_status_to_err((int)client->status, words);
    const char *name = ft_rpc_status_name((int)client->status);
    size_t room = sizeof event->text - strlen(name) - 3;
    (void)snprintf(event->text, sizeof event->text, "%s: %.*s", name, (int)room, words);
    release_call(client);
}

/* gRPC has no operation of the call any more. */
static void release_call(struct client *client)
{
    if (client->call == NULL) {
        return;
    }
    grpc_call_unref(client->call);
    grpc_channel_destroy(client->channel);
    client->call = NULL;
    client->channel = NULL;
    grpc_metadata_array_destroy(&client->headers);
    grpc_metadata_array_destroy(&client->trailers);
    grpc_slice_unref(client->status_text);
    gpr_free((void *)(uintptr_t)client->error_text);
    client->error_text = NULL;
    if (client->received != NULL) {
        grpc_byte_buffer_destroy(client->received);
        client->received = NULL;
    }
    client->opened_due = false;
    client->sent_due = false;
    client->message_due = false;
}
