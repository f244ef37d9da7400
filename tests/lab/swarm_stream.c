/* SPDX-License-Identifier: Apache-2.0 */
#include "swarm.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "rpc/message.h"
#include "rpc/rpc.h"

static void start_batch(struct swarm_agent *agent, const grpc_op *ops, size_t n,
                        enum swarm_op_kind kind);
static void start_receive(struct swarm_agent *agent);
static void on_received(struct swarm_agent *agent, int64_t now_ns);
static void finish_if_done(struct swarm_agent *agent, int64_t now_ns);

ft_err swarm_stream_open(struct swarm_agent *agent)
{
    struct swarm *swarm = agent->swarm;
    struct swarm_stream *stream = &agent->stream;
    assert(stream->call == NULL);
    FT_TRY(ft_rpc_channel_create(&swarm->channel_config, &stream->channel));
    for (unsigned i = 0; i < SWARM_OP_N; i++) {
        stream->ops[i] = (struct swarm_op){agent, (enum swarm_op_kind)i};
    }
    stream->call =
        grpc_channel_create_call(stream->channel, NULL, GRPC_PROPAGATE_DEFAULTS, swarm->queue,
                                 grpc_slice_from_static_string(swarm->channel_config.method), NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    stream->closed = false;
    grpc_metadata_array_init(&stream->headers);
    grpc_metadata_array_init(&stream->trailers);
    stream->status_text = grpc_empty_slice();

    char header[FT_RPC_TOKEN_LEN_MAX + 8];
    int len = snprintf(header, sizeof header, "Bearer %s", swarm->options.token);
    grpc_metadata metadata = {.key = grpc_slice_from_static_string("authorization"),
                              .value = grpc_slice_from_copied_buffer(header, (size_t)len)};
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    ops[0].data.send_initial_metadata.count = 1;
    ops[0].data.send_initial_metadata.metadata = &metadata;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &stream->headers;
    start_batch(agent, ops, 2, SWARM_OP_HEADERS);
    grpc_slice_unref(metadata.value);
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &stream->trailers;
    status.data.recv_status_on_client.status = &stream->status;
    status.data.recv_status_on_client.status_details = &stream->status_text;
    start_batch(agent, &status, 1, SWARM_OP_STATUS);
    return FT_OK;
}

void swarm_stream_cancel(struct swarm_agent *agent)
{
    struct swarm_stream *stream = &agent->stream;
    if (stream->call != NULL && !stream->closed) {
        (void)grpc_call_cancel(stream->call, NULL);
    }
}

bool swarm_stream_can_send(const struct swarm_agent *agent)
{
    const struct swarm_stream *stream = &agent->stream;
    return stream->call != NULL && !stream->closed && stream->sending == NULL;
}

void swarm_stream_send(struct swarm_agent *agent, const void *head, size_t head_size,
                       const void *body, size_t body_size)
{
    struct swarm_stream *stream = &agent->stream;
    stream->sending = ft_rpc_message_create(head, head_size, body, body_size);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = stream->sending;
    start_batch(agent, &op, 1, SWARM_OP_SEND);
}

bool swarm_stream_next(struct swarm *swarm, int64_t deadline_ns)
{
    gpr_timespec deadline = gpr_time_from_nanos(deadline_ns, GPR_CLOCK_MONOTONIC);
    grpc_event event = grpc_completion_queue_next(swarm->queue, deadline, NULL);
    if (event.type != GRPC_OP_COMPLETE) {
        return false;
    }
    const struct swarm_op *op = event.tag;
    struct swarm_agent *agent = op->agent;
    struct swarm_stream *stream = &agent->stream;
    int64_t now_ns = swarm_now();
    stream->n_ops--;
    switch (op->kind) {
    case SWARM_OP_HEADERS:
        if (event.success != 0 && !stream->closed) {
            start_receive(agent);
            swarm_agent_opened(agent, now_ns);
        }
        break;
    case SWARM_OP_STATUS:
        stream->closed = true;
        break;
    case SWARM_OP_SEND:
        grpc_byte_buffer_destroy(stream->sending);
        stream->sending = NULL;
        break;
    case SWARM_OP_RECEIVE:
        on_received(agent, now_ns);
        break;
    case SWARM_OP_N:
        break;
    }
    swarm_agent_run(agent, now_ns);
    finish_if_done(agent, now_ns);
    return true;
}

static void start_batch(struct swarm_agent *agent, const grpc_op *ops, size_t n,
                        enum swarm_op_kind kind)
{
    agent->stream.n_ops++;
    grpc_call_error error =
        grpc_call_start_batch(agent->stream.call, ops, n, &agent->stream.ops[kind], NULL);
    assert(error == GRPC_CALL_OK); /* Anything else is a mistake in this file. */
    (void)error;
}

static void start_receive(struct swarm_agent *agent)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &agent->stream.received;
    start_batch(agent, &op, 1, SWARM_OP_RECEIVE);
}

static void on_received(struct swarm_agent *agent, int64_t now_ns)
{
    struct swarm_stream *stream = &agent->stream;
    if (stream->received == NULL) {
        return; /* The status follows. */
    }
    struct ft_rpc_view view;
    ft_err err = ft_rpc_view_init(&view, stream->received);
    grpc_byte_buffer_destroy(stream->received);
    stream->received = NULL;
    if (err != FT_OK) {
        swarm_die("a compressed message", err);
    }
    swarm_agent_message(agent, view.data, view.size, now_ns);
    ft_rpc_view_deinit(&view);
    start_receive(agent);
}

static void finish_if_done(struct swarm_agent *agent, int64_t now_ns)
{
    struct swarm_stream *stream = &agent->stream;
    if (!stream->closed || stream->n_ops > 0) {
        return;
    }
    char words[FT_RPC_TEXT_SIZE];
    ft_rpc_text_escape(GRPC_SLICE_START_PTR(stream->status_text),
                       GRPC_SLICE_LENGTH(stream->status_text), words, sizeof words);
    ft_err err = ft_rpc_status_to_err((int)stream->status, words);
    unsigned status = (unsigned)stream->status;
    agent->swarm->counts.statuses[status <= 16 ? status : FT_RPC_UNKNOWN]++;
    (void)snprintf(agent->swarm->counts.text, sizeof agent->swarm->counts.text, "%s", words);
    grpc_call_unref(stream->call);
    grpc_channel_destroy(stream->channel);
    stream->call = NULL;
    stream->closed = false;
    grpc_metadata_array_destroy(&stream->headers);
    grpc_metadata_array_destroy(&stream->trailers);
    grpc_slice_unref(stream->status_text);
    swarm_agent_closed(agent, err, now_ns);
}
