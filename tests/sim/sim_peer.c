/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's end of a connection: an ft_ingest_peer. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "sim_pipe.h"

/* How long the collector's transport needs to see that it is to close a session. */
#define CLOSE_NS (1 * FT_NS_PER_MS)

/* A mutant's: the agent hears of one event more. */
static bool shift_welcome(struct sim_conn *conn, const void *data, size_t size)
{
    struct ft_response response;
    if (ft_response_decode(data, size, &response, NULL) != FT_OK ||
        response.kind != FT_RESPONSE_WELCOME || response.welcome.durable_seq == 0) {
        return false;
    }
    response.welcome.durable_seq++;
    sim_pipe_put_response(conn, &response);
    return true;
}

static bool peer_send(void *peer, const void *data, size_t size)
{
    struct sim_conn *conn = peer;
    struct sim_collector *collector = &sim_world->collector;
    if (sim_collector_is_dying(collector) || conn->session == NULL || conn->ended ||
        conn->down.n >= SIM_DOWN_MESSAGES_MAX) {
        return false;
    }
    sim_collector_says(collector, conn, data, size);
    if (sim_world->options.mutant == SIM_MUTANT_RESUME_OFF_BY_ONE &&
        shift_welcome(conn, data, size)) {
        return true;
    }
    (void)sim_pipe_put(conn, &conn->down, SIM_MESSAGE_DATA, data, size);
    return true;
}

void sim_net_keep_ack(struct sim_conn *conn, const void *data, size_t size)
{
    free(conn->old_ack);
    conn->old_ack_size = size;
    conn->old_ack = malloc(size);
    if (conn->old_ack == NULL) {
        abort();
    }
    memcpy(conn->old_ack, data, size);
}

static ft_err err_of(enum ft_ingest_close why)
{
    switch (why) {
    case FT_INGEST_CLOSE_PROTOCOL:
    case FT_INGEST_CLOSE_PRECONDITION:
        return FT_E_PROTOCOL;
    case FT_INGEST_CLOSE_DENIED:
        return FT_E_AUTH;
    case FT_INGEST_CLOSE_SUPERSEDED:
        return FT_E_CLOSED;
    case FT_INGEST_CLOSE_UNAVAILABLE:
        break;
    }
    return FT_E_UNREACHABLE;
}

static void peer_close(void *peer, enum ft_ingest_close why, const char *text)
{
    struct sim_conn *conn = peer;
    struct sim *sim = sim_world;
    if (conn->ended || sim_collector_is_dying(&sim->collector)) {
        return;
    }
    SIM_TRACE(sim, "collector ends connection %u: %s", conn->number, text);
    if (why == FT_INGEST_CLOSE_SUPERSEDED) {
        sim_count(sim, SIM_FAULT_FENCED);
    }
    conn->ended = true;
    sim_pipe_send_close(conn, err_of(why), "ended by the collector");
    sim_wake(&sim->net.node, sim->now_ns + CLOSE_NS);
}

static void peer_resume(void *peer)
{
    struct sim_conn *conn = peer;
    conn->paused = false;
    sim_wake(&sim_world->net.node, sim_world->now_ns);
}

static void peer_ref(void *peer) { ((struct sim_conn *)peer)->n_refs++; }

static void peer_unref(void *peer)
{
    struct sim_conn *conn = peer;
    conn->n_refs--;
    sim_net_free_if_unused(conn);
}

const struct ft_ingest_peer_ops sim_net_peer_ops = {.send = peer_send,
                                                    .close = peer_close,
                                                    .resume = peer_resume,
                                                    .ref = peer_ref,
                                                    .unref = peer_unref};
