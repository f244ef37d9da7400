/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_net.h"

#include <stdlib.h>

#include "sim.h"
#include "sim_pipe.h"

static void run_net(void *self);
static void run_conn(struct sim_net *net, struct sim_conn *conn);
static void arrive(struct sim_conn *conn, const struct sim_message *message);

void sim_net_begin(struct sim *sim)
{
    sim->net = (struct sim_net){.sim = sim};
    sim_add_node(sim, &sim->net.node, "net", run_net, &sim->net);
}

void sim_net_end(struct sim *sim)
{
    for (size_t i = 0; i < sim->net.n_conns; i++) {
        struct sim_conn *conn = &sim->net.conns[i];
        if (conn->used) {
            sim_pipe_empty(&conn->up);
            sim_pipe_empty(&conn->down);
            free(conn->old_ack);
            if (conn->n_refs > 0 && !sim->result->failed) {
                sim_broken(sim, "ingest keeps connection %u", conn->number);
            }
        }
    }
}

void sim_net_collector_gone(struct sim *sim, bool silently)
{
    for (size_t i = 0; i < sim->net.n_conns; i++) {
        struct sim_conn *conn = &sim->net.conns[i];
        if (!conn->used) {
            continue;
        }
        if (conn->session != NULL) {
            struct ft_ingest_session *session = conn->session;
            conn->session = NULL;
            ft_ingest_session_close(session);
        }
        sim_pipe_empty(&conn->up);
        if (silently && conn->agent != NULL) {
            conn->is_half_open = true;
            sim_pipe_lose_flying(conn, &conn->down);
            sim_pipe_notice_later(conn, &conn->down);
        } else if (!conn->ended) {
            sim_pipe_send_close(conn, FT_E_UNREACHABLE, "the collector is gone");
        }
        conn->ended = true;
        sim_net_free_if_unused(conn);
    }
}

/* What is on its way comes now; only what an end finds out by itself takes its time. */
static void hurry(struct sim_pipe *pipe, int64_t now_ns)
{
    pipe->stalled_to_ns = 0;
    for (struct sim_message *message = pipe->first; message != NULL; message = message->next) {
        if (message->kind != SIM_MESSAGE_CLOSE && message->at_ns > now_ns) {
            message->at_ns = now_ns;
        }
    }
    if (pipe->last == NULL || pipe->last->kind != SIM_MESSAGE_CLOSE) {
        pipe->last_at_ns = now_ns;
    }
}

void sim_net_calm(struct sim *sim)
{
    sim->net.refuse_to_ns = 0;
    for (unsigned i = 0; i < sim->plan.n_agents; i++) {
        sim->agents[i].snapshot.offline_to_ns = 0;
    }
    for (size_t i = 0; i < sim->net.n_conns; i++) {
        struct sim_conn *conn = &sim->net.conns[i];
        hurry(&conn->up, sim->now_ns);
        hurry(&conn->down, sim->now_ns);
        if (conn->used && conn->agent != NULL) {
            sim_wake(&conn->agent->deliver, sim->now_ns);
        }
    }
    sim_wake(&sim->net.node, sim->now_ns);
}

bool sim_net_is_whole(const struct sim *sim)
{
    for (size_t i = 0; i < sim->net.n_conns; i++) {
        const struct sim_conn *conn = &sim->net.conns[i];
        if (conn->used && conn->agent != NULL &&
            (conn->ended || conn->up.cut || conn->down.cut || conn->is_half_open ||
             conn->up.n > 0 || conn->down.n > 0)) {
            return false;
        }
    }
    return true;
}

static void run_net(void *self)
{
    struct sim_net *net = self;
    for (size_t i = 0; i < net->n_conns; i++) {
        if (net->conns[i].used) {
            run_conn(net, &net->conns[i]);
        }
    }
}

static void end_session(struct sim_conn *conn)
{
    struct ft_ingest_session *session = conn->session;
    conn->session = NULL;
    if (session != NULL) {
        ft_ingest_session_close(session);
    }
}

/* Brings what is due to the collector. */
static void run_conn(struct sim_net *net, struct sim_conn *conn)
{
    struct sim *sim = net->sim;
    while (conn->used && conn->up.first != NULL) {
        struct sim_message *message = conn->up.first;
        int64_t at_ns = message->at_ns;
        if (at_ns < conn->up.stalled_to_ns) {
            at_ns = conn->up.stalled_to_ns;
        }
        if (at_ns > sim->now_ns) {
            sim_wake(&net->node, at_ns);
            break;
        }
        if (conn->paused && !conn->ended && message->kind != SIM_MESSAGE_CLOSE) {
            break; /* peer_resume wakes. */
        }
        message = sim_pipe_take(&conn->up);
        arrive(conn, message);
        free(message);
        if (conn->agent != NULL) {
            sim_wake(&conn->agent->deliver, sim->now_ns);
        }
    }
    if (conn->used && conn->ended) {
        end_session(conn);
    }
    if (conn->used) {
        sim_net_free_if_unused(conn);
    }
}

static void accept_conn(struct sim_conn *conn)
{
    struct sim *sim = sim_world;
    struct sim_collector *collector = &sim->collector;
    conn->answered = true;
    if (sim->now_ns < sim->net.refuse_to_ns) {
        sim_count(sim, sim->net.refuse);
        conn->ended = true;
        if (sim->net.refuse == SIM_FAULT_UNANSWERED) {
            sim_pipe_notice_later(conn, &conn->down);
        } else {
            sim_pipe_send_close(
                conn, sim->net.refuse == SIM_FAULT_AUTH ? FT_E_AUTH : FT_E_UNREACHABLE, "refused");
        }
        return;
    }
    if (!collector->up || sim->now_ns < sim->agents[conn->agent_index].snapshot.offline_to_ns) {
        conn->ended = true;
        sim_pipe_send_close(conn, FT_E_UNREACHABLE, "connection refused");
        return;
    }
    struct ft_principal principal = {.name = "sim", .tenant = "default"};
    if (ft_ingest_session_open(collector->ingest, conn, "192.0.2.1:1", &principal,
                               &conn->session) != FT_OK) {
        abort();
    }
    (void)sim_pipe_put(conn, &conn->down, SIM_MESSAGE_OPENED, NULL, 0);
}

/* Something comes from a connection whose agent has a newer one already. */
static void count_overtaken(const struct sim_conn *conn)
{
    struct sim *sim = sim_world;
    for (size_t i = 0; i < sim->net.n_conns; i++) {
        const struct sim_conn *other = &sim->net.conns[i];
        if (other->used && other->instance == conn->instance && other->number > conn->number &&
            other->session != NULL) {
            sim_count(sim, SIM_FAULT_OVERTAKEN);
            return;
        }
    }
}

static void arrive(struct sim_conn *conn, const struct sim_message *message)
{
    struct sim *sim = sim_world;
    switch (message->kind) {
    case SIM_MESSAGE_OPEN:
        accept_conn(conn);
        break;
    case SIM_MESSAGE_DATA:
        if (conn->session != NULL && !conn->ended) {
            count_overtaken(conn);
            conn->paused = !ft_ingest_session_message(conn->session, message->data, message->size);
            sim_collector_took(&sim->collector);
        }
        break;
    case SIM_MESSAGE_OPENED:
    case SIM_MESSAGE_CLOSE:
        conn->ended = true;
        break;
    }
}

void sim_net_free_if_unused(struct sim_conn *conn)
{
    /* One that the collector has not answered yet waits for what is on its way. */
    if (conn->agent == NULL && conn->session == NULL && conn->n_refs == 0 &&
        (conn->ended || conn->up.first == NULL)) {
        sim_pipe_empty(&conn->up);
        sim_pipe_empty(&conn->down);
        free(conn->old_ack);
        conn->old_ack = NULL;
        conn->used = false;
    }
}
