/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_pipe.h"

#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* When a dead peer is noticed: keepalive in src/rpc. */
#define KEEPALIVE_NS (50 * FT_NS_PER_S)

struct sim_message *sim_pipe_put(struct sim_conn *conn, struct sim_pipe *pipe,
                                 enum sim_message_kind kind, const void *data, size_t size)
{
    struct sim *sim = sim_world;
    if (pipe->cut || (pipe == &conn->down && conn->agent == NULL)) {
        return NULL;
    }
    int64_t at_ns = sim->now_ns + sim_between(&sim->net_random, sim->plan.net_delay_ns / 4,
                                              sim->plan.net_delay_ns);
    struct sim_message *message = sim_pipe_append(conn, pipe, kind, size, at_ns);
    if (data != NULL) {
        memcpy(message->data, data, size);
    }
    return message;
}

struct sim_message *sim_pipe_append(struct sim_conn *conn, struct sim_pipe *pipe,
                                    enum sim_message_kind kind, size_t size, int64_t at_ns)
{
    struct sim *sim = sim_world;
    struct sim_message *message = malloc(sizeof *message + size);
    if (message == NULL) {
        abort();
    }
    if (at_ns < pipe->last_at_ns) {
        at_ns = pipe->last_at_ns;
    }
    *message = (struct sim_message){.at_ns = at_ns, .kind = kind, .size = size};
    pipe->last_at_ns = at_ns;
    pipe->bytes += size;
    pipe->n++;
    if (pipe->last != NULL) {
        pipe->last->next = message;
    } else {
        pipe->first = message;
    }
    pipe->last = message;
    if (pipe == &conn->up) {
        sim_wake(&sim->net.node, at_ns);
    } else {
        sim_wake(&conn->agent->deliver, at_ns);
    }
    return message;
}

struct sim_message *sim_pipe_take(struct sim_pipe *pipe)
{
    struct sim_message *message = pipe->first;
    pipe->first = message->next;
    if (pipe->first == NULL) {
        pipe->last = NULL;
    }
    pipe->n--;
    pipe->bytes -= message->size;
    return message;
}

void sim_pipe_empty(struct sim_pipe *pipe)
{
    while (pipe->first != NULL) {
        free(sim_pipe_take(pipe));
    }
}

void sim_pipe_send_close(struct sim_conn *conn, ft_err err, const char *text)
{
    struct sim_message *message = sim_pipe_put(conn, &conn->down, SIM_MESSAGE_CLOSE, NULL, 0);
    if (message != NULL) {
        message->err = err;
        message->text = text;
    }
}

/* An end that hears nothing any more finds that out. */
void sim_pipe_notice_later(struct sim_conn *conn, struct sim_pipe *pipe)
{
    struct sim *sim = sim_world;
    if (pipe == &conn->down && conn->agent == NULL) {
        return;
    }
    struct sim_message *message =
        sim_pipe_append(conn, pipe, SIM_MESSAGE_CLOSE, 0, sim->now_ns + KEEPALIVE_NS);
    message->err = FT_E_UNREACHABLE;
    message->text = "keepalive";
    pipe->cut = true;
}

/* What is on its way arrives up to some message, the rest never. */
void sim_pipe_lose_flying(struct sim_conn *conn, struct sim_pipe *pipe)
{
    struct sim *sim = sim_world;
    struct sim_message *flying = pipe->first;
    uint64_t n_kept = sim_below(&sim->fault_random, pipe->n + 1);
    bool lost = false;
    *pipe = (struct sim_pipe){
        .last_at_ns = pipe->last_at_ns, .stalled_to_ns = pipe->stalled_to_ns, .cut = pipe->cut};
    while (flying != NULL) {
        struct sim_message *message = flying;
        flying = message->next;
        if (n_kept > 0) {
            n_kept--;
            message->next = NULL;
            pipe->n++;
            pipe->bytes += message->size;
            if (pipe->last != NULL) {
                pipe->last->next = message;
            } else {
                pipe->first = message;
            }
            pipe->last = message;
        } else {
            lost = lost || message->kind == SIM_MESSAGE_DATA;
            free(message);
        }
    }
    if (lost) {
        sim_count(sim, pipe == &conn->up ? SIM_FAULT_LOST_UP : SIM_FAULT_LOST_DOWN);
    }
}

void sim_pipe_put_response(struct sim_conn *conn, const struct ft_response *response)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (ft_response_encode(response, &buf) != FT_OK) {
        abort();
    }
    (void)sim_pipe_put(conn, &conn->down, SIM_MESSAGE_DATA, buf.data, buf.size);
    ft_buf_deinit(&buf);
}
