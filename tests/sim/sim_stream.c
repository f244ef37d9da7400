/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of a connection: an ft_stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "sim_pipe.h"

static struct sim_stream *stream_of(struct ft_stream *stream)
{
    return (struct sim_stream *)(void *)stream;
}

static struct sim_conn *new_conn(struct sim_net *net, struct sim_agent *agent)
{
    for (size_t i = 0; i < SIM_CONNS_MAX; i++) {
        struct sim_conn *conn = &net->conns[i];
        if (!conn->used) {
            *conn = (struct sim_conn){.used = true,
                                      .number = ++net->n_ever,
                                      .agent_index = agent->index,
                                      .agent = agent,
                                      .instance = agent->instance};
            net->n_conns = i + 1 > net->n_conns ? i + 1 : net->n_conns;
            return conn;
        }
    }
    abort();
}

static ft_err stream_open(struct ft_stream *base)
{
    struct sim_stream *stream = stream_of(base);
    struct sim *sim = stream->agent->sim;
    stream->conn = new_conn(&sim->net, stream->agent);
    SIM_TRACE(sim, "agent %u connects, connection %u", stream->agent->index, stream->conn->number);
    (void)sim_pipe_put(stream->conn, &stream->conn->up, SIM_MESSAGE_OPEN, NULL, 0);
    return FT_OK;
}

static ft_err stream_send(struct ft_stream *base, const struct ft_stream_parts *parts)
{
    struct sim_stream *stream = stream_of(base);
    if (stream->conn == NULL || stream->send_done_due) {
        return FT_E_CLOSED;
    }
    stream->send_done_due = true;
    struct sim_message *message = sim_pipe_put(stream->conn, &stream->conn->up, SIM_MESSAGE_DATA,
                                               NULL, parts->head_size + parts->body_size);
    if (message == NULL) {
        return FT_OK;
    }
    if (parts->head_size > 0) {
        memcpy(message->data, parts->head, parts->head_size);
    }
    if (parts->body_size > 0) {
        memcpy(message->data + parts->head_size, parts->body, parts->body_size);
    }
    return FT_OK;
}

static void stream_cancel(struct ft_stream *base)
{
    struct sim_stream *stream = stream_of(base);
    sim_stream_drop(stream, false);
    stream->closed_due = true;
    stream->closed_err = FT_E_CANCELLED;
    stream->closed_text = "cancelled";
}

int64_t sim_stream_next_ns(const struct sim_stream *stream)
{
    const struct sim_conn *conn = stream->conn;
    if (conn == NULL || conn->down.first == NULL) {
        return FT_TIME_NEVER;
    }
    int64_t at_ns = conn->down.first->at_ns;
    return at_ns > conn->down.stalled_to_ns ? at_ns : conn->down.stalled_to_ns;
}

static bool send_is_done(const struct sim_stream *stream)
{
    return stream->send_done_due && stream->conn != NULL &&
           (stream->conn->up.n <= 1 || stream->conn->up.bytes <= sim_world->plan.pipe_bytes_max);
}

static void tell_closed(struct sim_stream *stream, ft_err err, const char *text,
                        struct ft_stream_event *ret_event)
{
    stream->send_done_due = false;
    ret_event->kind = FT_STREAM_CLOSED;
    ret_event->err = err;
    (void)snprintf(ret_event->text, sizeof ret_event->text, "%s", text);
}

static void tell_message(struct sim_stream *stream, struct ft_stream_event *ret_event)
{
    struct sim_message *message = sim_pipe_take(&stream->conn->down);
    stream->taken = message;
    switch (message->kind) {
    case SIM_MESSAGE_OPENED:
        ret_event->kind = FT_STREAM_OPENED;
        break;
    case SIM_MESSAGE_DATA:
        ret_event->kind = FT_STREAM_MESSAGE;
        ret_event->data = message->data;
        ret_event->size = message->size;
        break;
    case SIM_MESSAGE_OPEN:
    case SIM_MESSAGE_CLOSE:
        sim_stream_drop(stream, false);
        tell_closed(stream, message->err, message->text, ret_event);
        break;
    }
}

static void stream_poll(struct ft_stream *base, int64_t deadline_ns,
                        struct ft_stream_event *ret_event)
{
    struct sim_stream *stream = stream_of(base);
    struct sim *sim = stream->agent->sim;
    memset(ret_event, 0, sizeof *ret_event);
    free(stream->taken);
    stream->taken = NULL;
    stream->idle = false;
    if (stream->closed_due) {
        stream->closed_due = false;
        tell_closed(stream, stream->closed_err, stream->closed_text, ret_event);
        return;
    }
    bool message = sim_stream_next_ns(stream) <= sim->now_ns;
    bool done = send_is_done(stream);
    if (message && done) {
        message = sim_one_in(&sim->net_random, 2);
    }
    if (message) {
        tell_message(stream, ret_event);
    } else if (done) {
        stream->send_done_due = false;
        ret_event->kind = FT_STREAM_SENT;
    } else {
        stream->idle = true;
        stream->deadline_ns = deadline_ns;
    }
}

static void stream_wake(struct ft_stream *base)
{
    struct sim_stream *stream = stream_of(base);
    sim_wake(&stream->agent->deliver, stream->agent->sim->now_ns);
}

static void stream_destroy(struct ft_stream *base) { (void)base; }

static const struct ft_stream_ops stream_ops = {.open = stream_open,
                                                .send = stream_send,
                                                .cancel = stream_cancel,
                                                .poll = stream_poll,
                                                .wake = stream_wake,
                                                .destroy = stream_destroy};

void sim_stream_init(struct sim_stream *stream, struct sim_agent *agent)
{
    *stream = (struct sim_stream){.base = {&stream_ops}, .agent = agent};
}

void sim_stream_drop(struct sim_stream *stream, bool silently)
{
    struct sim_conn *conn = stream->conn;
    stream->send_done_due = false;
    if (conn == NULL) {
        return;
    }
    stream->conn = NULL;
    conn->agent = NULL;
    sim_pipe_empty(&conn->down);
    if (silently) {
        sim_pipe_lose_flying(conn, &conn->up);
        sim_pipe_notice_later(conn, &conn->up);
    } else {
        (void)sim_pipe_put(conn, &conn->up, SIM_MESSAGE_CLOSE, NULL, 0);
    }
    sim_net_free_if_unused(conn);
}
