/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong with connections, and between them and new ones. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "sim_pipe.h"

#define REFUSE_NS    (20 * FT_NS_PER_S)
#define DELAY_NS     (20 * FT_NS_PER_S)
#define STALL_NS     (90 * FT_NS_PER_S)
#define PAUSE_MS     8000
#define RETRY_MS     20000
#define GARBAGE_SIZE 40

/* Both ends are told, each in its time. */
static void cut_link(struct sim_conn *conn)
{
    struct sim *sim = sim_world;
    if (sim_one_in(&sim->fault_random, 2)) {
        sim_pipe_lose_flying(conn, &conn->up);
    } else {
        /* What the agent had sent is somewhere, and comes when it has a new connection. */
        int64_t late_ns = sim_between(&sim->fault_random, 0, DELAY_NS);
        for (struct sim_message *message = conn->up.first; message != NULL;
             message = message->next) {
            message->at_ns += late_ns;
        }
        conn->up.last_at_ns += late_ns;
    }
    sim_pipe_lose_flying(conn, &conn->down);
    (void)sim_pipe_put(conn, &conn->up, SIM_MESSAGE_CLOSE, NULL, 0);
    sim_pipe_send_close(conn, FT_E_UNREACHABLE, "the link was cut");
    conn->up.cut = true;
    conn->down.cut = true;
}

/* One direction is dead, or both; nobody is told. */
static void half_open(struct sim_conn *conn)
{
    struct sim *sim = sim_world;
    uint64_t which = 1 + sim_below(&sim->fault_random, 3);
    conn->is_half_open = true;
    if ((which & 1) != 0) {
        sim_pipe_lose_flying(conn, &conn->up);
    }
    if ((which & 2) != 0) {
        sim_pipe_lose_flying(conn, &conn->down);
    }
    sim_pipe_notice_later(conn, &conn->up);
    sim_pipe_notice_later(conn, &conn->down);
    conn->up.cut = (which & 1) != 0;
    conn->down.cut = (which & 2) != 0;
}

static void inject(struct sim_conn *conn, enum sim_fault fault)
{
    struct sim *sim = sim_world;
    struct ft_random_seeded *random = &sim->fault_random;
    uint8_t garbage[GARBAGE_SIZE];
    random->base.fill(&random->base, garbage, sizeof garbage);
    struct ft_response response = {.kind = FT_RESPONSE_OTHER};
    switch (fault) {
    case SIM_FAULT_GO_AWAY:
        response.kind = FT_RESPONSE_GO_AWAY;
        response.go_away.retry_after_ms = (uint32_t)sim_below(random, RETRY_MS);
        sim_pipe_put_response(conn, &response);
        break;
    case SIM_FAULT_SLOW_DOWN:
        response.kind = FT_RESPONSE_SLOW_DOWN;
        response.slow_down.pause_ms = (uint32_t)sim_below(random, PAUSE_MS);
        response.slow_down.window_bytes = sim_below(random, 2000);
        sim_pipe_put_response(conn, &response);
        break;
    case SIM_FAULT_BAD_ACK:
        if (sim_one_in(random, 3) && conn->old_ack != NULL) {
            /* As it was: one that leaves out what it had rejected is no old one but a forged one,
             * which only a receipt tells. */
            (void)sim_pipe_put(conn, &conn->down, SIM_MESSAGE_DATA, conn->old_ack,
                               conn->old_ack_size);
            break;
        }
        response.kind = FT_RESPONSE_ACK;
        /* Also when it arrives late. */
        response.ack.durable_seq = conn->instance->n + 1000000;
        sim_pipe_put_response(conn, &response);
        break;
    case SIM_FAULT_GARBAGE_DOWN:
        garbage[0] = 0xff;
        (void)sim_pipe_put(conn, &conn->down, SIM_MESSAGE_DATA, garbage, sizeof garbage);
        break;
    default:
        garbage[0] = 0xff;
        (void)sim_pipe_put(conn, &conn->up, SIM_MESSAGE_DATA, garbage, sizeof garbage);
        break;
    }
}

/* A connection that both ends have; NULL: none. */
static struct sim_conn *choose(struct sim *sim)
{
    struct sim_conn *chosen = NULL;
    uint64_t n = 0;
    for (size_t i = 0; i < sim->net.n_conns; i++) {
        struct sim_conn *conn = &sim->net.conns[i];
        if (conn->used && conn->agent != NULL && conn->session != NULL && !conn->ended &&
            !conn->up.cut && !conn->down.cut && !conn->is_half_open &&
            sim_below(&sim->fault_random, ++n) == 0) {
            chosen = conn;
        }
    }
    return chosen;
}

static int64_t random_ns(struct sim *sim, int64_t ns_max)
{
    return sim_between(&sim->fault_random, 0, ns_max);
}

void sim_net_disturb(struct sim *sim, enum sim_fault fault)
{
    if (fault == SIM_FAULT_REFUSED || fault == SIM_FAULT_UNANSWERED || fault == SIM_FAULT_AUTH) {
        sim->net.refuse = fault;
        sim->net.refuse_to_ns = sim->now_ns + random_ns(sim, REFUSE_NS);
        return; /* Counted when it meets somebody. */
    }
    struct sim_conn *conn = choose(sim);
    if (conn == NULL) {
        return;
    }
    SIM_TRACE(sim, "on connection %u of agent %u", conn->number, conn->agent_index);
    switch (fault) {
    case SIM_FAULT_DELAY: {
        struct sim_pipe *pipe = sim_one_in(&sim->fault_random, 2) ? &conn->up : &conn->down;
        int64_t at_ns = sim->now_ns + random_ns(sim, DELAY_NS);
        pipe->last_at_ns = at_ns > pipe->last_at_ns ? at_ns : pipe->last_at_ns;
        break;
    }
    case SIM_FAULT_LINK_CUT:
        cut_link(conn);
        break;
    case SIM_FAULT_HALF_OPEN:
        half_open(conn);
        break;
    case SIM_FAULT_STALL_UP:
        conn->up.stalled_to_ns = sim->now_ns + random_ns(sim, STALL_NS);
        break;
    case SIM_FAULT_STALL_DOWN:
        conn->down.stalled_to_ns = sim->now_ns + random_ns(sim, STALL_NS);
        break;
    default:
        inject(conn, fault);
        break;
    }
    sim_count(sim, fault);
}
