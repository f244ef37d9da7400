/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* How long the collector's transport needs to see that it is to close a session. */
#define CLOSE_NS (1 * FT_NS_PER_MS)
/* When a dead peer is noticed: keepalive in src/rpc. */
#define KEEPALIVE_NS (50 * FT_NS_PER_S)
#define REFUSE_NS    (20 * FT_NS_PER_S)
#define DELAY_NS     (20 * FT_NS_PER_S)
#define STALL_NS     (90 * FT_NS_PER_S)
#define PAUSE_MS     8000
#define RETRY_MS     20000
#define GARBAGE_SIZE 40

static struct sim_message *put(struct sim_conn *conn, struct sim_pipe *pipe,
                               enum sim_message_kind kind, const void *data, size_t size);
static struct sim_message *append(struct sim_conn *conn, struct sim_pipe *pipe,
                                  enum sim_message_kind kind, size_t size, int64_t at_ns);
static struct sim_message *take(struct sim_pipe *pipe);
static void empty(struct sim_pipe *pipe);
static void send_close(struct sim_conn *conn, ft_err err, const char *text);
static void notice_later(struct sim_conn *conn, struct sim_pipe *pipe);
static void lose_flying(struct sim_conn *conn, struct sim_pipe *pipe);
static void cut_link(struct sim_conn *conn);
static void half_open(struct sim_conn *conn);
static void inject(struct sim_conn *conn, enum sim_fault fault);
static void inject_response(struct sim_conn *conn, const struct ft_response *response);
static void run_net(void *self);
static void run_conn(struct sim_net *net, struct sim_conn *conn);
static void arrive(struct sim_conn *conn, const struct sim_message *message);
static void free_if_unused(struct sim_conn *conn);

static struct sim *sim_of(void) { return sim_world; }

/* The agent's end. */

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
    (void)put(stream->conn, &stream->conn->up, SIM_MESSAGE_OPEN, NULL, 0);
    return FT_OK;
}

static ft_err stream_send(struct ft_stream *base, const struct ft_stream_parts *parts)
{
    struct sim_stream *stream = stream_of(base);
    if (stream->conn == NULL || stream->send_done_due) {
        return FT_E_CLOSED;
    }
    stream->send_done_due = true;
    struct sim_message *message = put(stream->conn, &stream->conn->up, SIM_MESSAGE_DATA, NULL,
                                      parts->head_size + parts->body_size);
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
           (stream->conn->up.n <= 1 || stream->conn->up.bytes <= sim_of()->plan.pipe_bytes_max);
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
    struct sim_message *message = take(&stream->conn->down);
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
    empty(&conn->down);
    if (silently) {
        lose_flying(conn, &conn->up);
        notice_later(conn, &conn->up);
    } else {
        (void)put(conn, &conn->up, SIM_MESSAGE_CLOSE, NULL, 0);
    }
    free_if_unused(conn);
}

/* The collector's end. */

/* A mutant's: the agent hears of one event more. */
static bool shift_welcome(struct sim_conn *conn, const void *data, size_t size)
{
    struct ft_response response;
    if (ft_response_decode(data, size, &response, NULL) != FT_OK ||
        response.kind != FT_RESPONSE_WELCOME || response.welcome.durable_seq == 0) {
        return false;
    }
    response.welcome.durable_seq++;
    inject_response(conn, &response);
    return true;
}

static bool peer_send(void *peer, const void *data, size_t size)
{
    struct sim_conn *conn = peer;
    struct sim_collector *collector = &sim_of()->collector;
    if (sim_collector_is_dying(collector) || conn->session == NULL || conn->ended ||
        conn->down.n >= SIM_DOWN_MESSAGES_MAX) {
        return false;
    }
    sim_collector_says(collector, conn, data, size);
    if (sim_of()->options.mutant == SIM_MUTANT_RESUME_OFF_BY_ONE &&
        shift_welcome(conn, data, size)) {
        return true;
    }
    (void)put(conn, &conn->down, SIM_MESSAGE_DATA, data, size);
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
    struct sim *sim = sim_of();
    if (conn->ended || sim_collector_is_dying(&sim->collector)) {
        return;
    }
    SIM_TRACE(sim, "collector ends connection %u: %s", conn->number, text);
    if (why == FT_INGEST_CLOSE_SUPERSEDED) {
        sim_count(sim, SIM_FAULT_FENCED);
    }
    conn->ended = true;
    send_close(conn, err_of(why), "ended by the collector");
    sim_wake(&sim->net.node, sim->now_ns + CLOSE_NS);
}

static void peer_resume(void *peer)
{
    struct sim_conn *conn = peer;
    conn->paused = false;
    sim_wake(&sim_of()->net.node, sim_of()->now_ns);
}

static void peer_ref(void *peer) { ((struct sim_conn *)peer)->n_refs++; }

static void peer_unref(void *peer)
{
    struct sim_conn *conn = peer;
    conn->n_refs--;
    free_if_unused(conn);
}

const struct ft_ingest_peer_ops sim_net_peer_ops = {.send = peer_send,
                                                    .close = peer_close,
                                                    .resume = peer_resume,
                                                    .ref = peer_ref,
                                                    .unref = peer_unref};

/* The wires. */

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
            empty(&conn->up);
            empty(&conn->down);
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
        empty(&conn->up);
        if (silently && conn->agent != NULL) {
            conn->is_half_open = true;
            lose_flying(conn, &conn->down);
            notice_later(conn, &conn->down);
        } else if (!conn->ended) {
            send_close(conn, FT_E_UNREACHABLE, "the collector is gone");
        }
        conn->ended = true;
        free_if_unused(conn);
    }
}

static struct sim_message *put(struct sim_conn *conn, struct sim_pipe *pipe,
                               enum sim_message_kind kind, const void *data, size_t size)
{
    struct sim *sim = sim_of();
    if (pipe->cut || (pipe == &conn->down && conn->agent == NULL)) {
        return NULL;
    }
    int64_t at_ns = sim->now_ns + sim_between(&sim->net_random, sim->plan.net_delay_ns / 4,
                                              sim->plan.net_delay_ns);
    struct sim_message *message = append(conn, pipe, kind, size, at_ns);
    if (data != NULL) {
        memcpy(message->data, data, size);
    }
    return message;
}

static struct sim_message *append(struct sim_conn *conn, struct sim_pipe *pipe,
                                  enum sim_message_kind kind, size_t size, int64_t at_ns)
{
    struct sim *sim = sim_of();
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

static struct sim_message *take(struct sim_pipe *pipe)
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

static void empty(struct sim_pipe *pipe)
{
    while (pipe->first != NULL) {
        free(take(pipe));
    }
}

static void send_close(struct sim_conn *conn, ft_err err, const char *text)
{
    struct sim_message *message = put(conn, &conn->down, SIM_MESSAGE_CLOSE, NULL, 0);
    if (message != NULL) {
        message->err = err;
        message->text = text;
    }
}

/* An end that hears nothing any more finds that out. */
static void notice_later(struct sim_conn *conn, struct sim_pipe *pipe)
{
    struct sim *sim = sim_of();
    if (pipe == &conn->down && conn->agent == NULL) {
        return;
    }
    struct sim_message *message =
        append(conn, pipe, SIM_MESSAGE_CLOSE, 0, sim->now_ns + KEEPALIVE_NS);
    message->err = FT_E_UNREACHABLE;
    message->text = "keepalive";
    pipe->cut = true;
}

/* What is on its way arrives up to some message, the rest never. */
static void lose_flying(struct sim_conn *conn, struct sim_pipe *pipe)
{
    struct sim *sim = sim_of();
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

/* Both ends are told, each in its time. */
static void cut_link(struct sim_conn *conn)
{
    struct sim *sim = sim_of();
    if (sim_one_in(&sim->fault_random, 2)) {
        lose_flying(conn, &conn->up);
    } else {
        /* What the agent had sent is somewhere, and comes when it has a new connection. */
        int64_t late_ns = sim_between(&sim->fault_random, 0, DELAY_NS);
        for (struct sim_message *message = conn->up.first; message != NULL;
             message = message->next) {
            message->at_ns += late_ns;
        }
        conn->up.last_at_ns += late_ns;
    }
    lose_flying(conn, &conn->down);
    (void)put(conn, &conn->up, SIM_MESSAGE_CLOSE, NULL, 0);
    send_close(conn, FT_E_UNREACHABLE, "the link was cut");
    conn->up.cut = true;
    conn->down.cut = true;
}

/* One direction is dead, or both; nobody is told. */
static void half_open(struct sim_conn *conn)
{
    struct sim *sim = sim_of();
    uint64_t which = 1 + sim_below(&sim->fault_random, 3);
    conn->is_half_open = true;
    if ((which & 1) != 0) {
        lose_flying(conn, &conn->up);
    }
    if ((which & 2) != 0) {
        lose_flying(conn, &conn->down);
    }
    notice_later(conn, &conn->up);
    notice_later(conn, &conn->down);
    conn->up.cut = (which & 1) != 0;
    conn->down.cut = (which & 2) != 0;
}

static void inject_response(struct sim_conn *conn, const struct ft_response *response)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (ft_response_encode(response, &buf) != FT_OK) {
        abort();
    }
    (void)put(conn, &conn->down, SIM_MESSAGE_DATA, buf.data, buf.size);
    ft_buf_deinit(&buf);
}

static void inject(struct sim_conn *conn, enum sim_fault fault)
{
    struct sim *sim = sim_of();
    struct ft_random_seeded *random = &sim->fault_random;
    uint8_t garbage[GARBAGE_SIZE];
    random->base.fill(&random->base, garbage, sizeof garbage);
    struct ft_response response = {.kind = FT_RESPONSE_OTHER};
    switch (fault) {
    case SIM_FAULT_GO_AWAY:
        response.kind = FT_RESPONSE_GO_AWAY;
        response.go_away.retry_after_ms = (uint32_t)sim_below(random, RETRY_MS);
        inject_response(conn, &response);
        break;
    case SIM_FAULT_SLOW_DOWN:
        response.kind = FT_RESPONSE_SLOW_DOWN;
        response.slow_down.pause_ms = (uint32_t)sim_below(random, PAUSE_MS);
        response.slow_down.window_bytes = sim_below(random, 2000);
        inject_response(conn, &response);
        break;
    case SIM_FAULT_BAD_ACK:
        if (sim_one_in(random, 3) && conn->old_ack != NULL) {
            /* As it was: one that leaves out what it had rejected is no old one but a forged one,
             * which only a receipt tells. */
            (void)put(conn, &conn->down, SIM_MESSAGE_DATA, conn->old_ack, conn->old_ack_size);
            break;
        }
        response.kind = FT_RESPONSE_ACK;
        /* Also when it arrives late. */
        response.ack.durable_seq = conn->instance->n + 1000000;
        inject_response(conn, &response);
        break;
    case SIM_FAULT_GARBAGE_DOWN:
        garbage[0] = 0xff;
        (void)put(conn, &conn->down, SIM_MESSAGE_DATA, garbage, sizeof garbage);
        break;
    default:
        garbage[0] = 0xff;
        (void)put(conn, &conn->up, SIM_MESSAGE_DATA, garbage, sizeof garbage);
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
        message = take(&conn->up);
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
        free_if_unused(conn);
    }
}

static void accept_conn(struct sim_conn *conn)
{
    struct sim *sim = sim_of();
    struct sim_collector *collector = &sim->collector;
    conn->answered = true;
    if (sim->now_ns < sim->net.refuse_to_ns) {
        sim_count(sim, sim->net.refuse);
        conn->ended = true;
        if (sim->net.refuse == SIM_FAULT_UNANSWERED) {
            notice_later(conn, &conn->down);
        } else {
            send_close(conn, sim->net.refuse == SIM_FAULT_AUTH ? FT_E_AUTH : FT_E_UNREACHABLE,
                       "refused");
        }
        return;
    }
    if (!collector->up || sim->now_ns < sim->agents[conn->agent_index].snapshot.offline_to_ns) {
        conn->ended = true;
        send_close(conn, FT_E_UNREACHABLE, "connection refused");
        return;
    }
    struct ft_principal principal = {.name = "sim", .tenant = "default"};
    if (ft_ingest_session_open(collector->ingest, conn, "192.0.2.1:1", &principal,
                               &conn->session) != FT_OK) {
        abort();
    }
    (void)put(conn, &conn->down, SIM_MESSAGE_OPENED, NULL, 0);
}

/* Something comes from a connection whose agent has a newer one already. */
static void count_overtaken(const struct sim_conn *conn)
{
    struct sim *sim = sim_of();
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
    struct sim *sim = sim_of();
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

static void free_if_unused(struct sim_conn *conn)
{
    /* One that the collector has not answered yet waits for what is on its way. */
    if (conn->agent == NULL && conn->session == NULL && conn->n_refs == 0 &&
        (conn->ended || conn->up.first == NULL)) {
        empty(&conn->up);
        empty(&conn->down);
        free(conn->old_ack);
        conn->old_ack = NULL;
        conn->used = false;
    }
}
