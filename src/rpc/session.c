/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on the server: its life as completions of its operations.
 *
 *   request ─► on_accepted ─► open, read, close operations start
 *                  │            read ─► on_message ─► read …          (one at a time)
 *                  │            send(), close() ─► pump ─► sends, then the status
 *                  └ refused ─► headers, status and close in one operation
 *   the last operation is back and the close among them ─► on_closed, the call is given back
 */
#include <assert.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/message.h"
#include "rpc/server_impl.h"

static void on_accepted(struct ft_rpc_op *op, bool success);
static void on_open_done(struct ft_rpc_op *op, bool success);
static void on_read_done(struct ft_rpc_op *op, bool success);
static void on_send_done(struct ft_rpc_op *op, bool success);
static void on_status_done(struct ft_rpc_op *op, bool success);
static void on_close_done(struct ft_rpc_op *op, bool success);

static void run(struct ft_rpc_session *session);
static void refuse(struct ft_rpc_session *session, enum ft_rpc_status status, const char *text);
static void deliver(struct ft_rpc_session *session);
static void deliver_end(struct ft_rpc_session *session);
static void finish_if_done(struct ft_rpc_session *session);
static void link_session(struct ft_rpc_session *session);
static void unlink_session(struct ft_rpc_session *session);
static void start_locked(struct ft_rpc_session *session, const grpc_op *ops, size_t n,
                         struct ft_rpc_op *tag) FT_REQUIRES(session->lock);
static void start_read_locked(struct ft_rpc_session *session) FT_REQUIRES(session->lock);
static void pump_locked(struct ft_rpc_session *session) FT_REQUIRES(session->lock);
static void send_status_locked(struct ft_rpc_session *session) FT_REQUIRES(session->lock);
static void drop_queue_locked(struct ft_rpc_session *session) FT_REQUIRES(session->lock);

struct ft_rpc_session *ft_rpc_session_ref(struct ft_rpc_session *session)
{
    (void)atomic_fetch_add(&session->refs, 1);
    return session;
}

void ft_rpc_session_unref(struct ft_rpc_session *session)
{
    if (session != NULL && atomic_fetch_sub(&session->refs, 1) == 1) {
        ft_mutex_deinit(&session->lock);
        gpr_free(session);
    }
}

void ft_rpc_session_set_user(struct ft_rpc_session *session, void *user)
{
    atomic_store(&session->user, user);
}

void *ft_rpc_session_get_user(const struct ft_rpc_session *session)
{
    return atomic_load(&session->user);
}

const char *ft_rpc_session_get_peer(const struct ft_rpc_session *session) { return session->peer; }

ft_err ft_rpc_session_send(struct ft_rpc_session *session, const void *data, size_t size)
{
    struct ft_rpc_send *send = malloc(sizeof *send);
    if (send == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = FT_OK;
    ft_mutex_lock(&session->lock);
    /* The server may be gone with the call. */
    struct ft_rpc_server *server = session->call != NULL ? session->server : NULL;
    if (server == NULL || session->broken || session->closing) {
        err = FT_E_CLOSED;
    } else if (size > server->options.message_bytes_max) {
        err = FT_E_RANGE;
    } else if (session->queue_messages >= server->options.send_queue_messages_max ||
               size > server->options.send_queue_bytes_max - session->queue_bytes) {
        ft_rpc_count(&server->send_full, 1);
        err = FT_E_FULL;
    } else {
        send->next = NULL;
        send->size = size;
        send->buffer = ft_rpc_message_create(data, size, NULL, 0);
        *session->queue_last = send;
        session->queue_last = &send->next;
        session->queue_messages++;
        session->queue_bytes += size;
        pump_locked(session);
    }
    ft_mutex_unlock(&session->lock);
    if (err != FT_OK) {
        free(send);
    }
    return err;
}

void ft_rpc_session_close(struct ft_rpc_session *session, enum ft_rpc_status status,
                          const char *text)
{
    ft_mutex_lock(&session->lock);
    if (session->call != NULL && !session->closing) {
        session->closing = true;
        session->closing_mono_ns = ft_clock_mono_ns(ft_clock_system());
        session->status = status;
        ft_rpc_text_escape(text != NULL ? text : "", text != NULL ? strlen(text) : 0,
                           session->status_text, sizeof session->status_text);
        pump_locked(session);
    }
    ft_mutex_unlock(&session->lock);
}

void ft_rpc_session_resume(struct ft_rpc_session *session)
{
    ft_mutex_lock(&session->lock);
    if (session->read == FT_RPC_READ_PAUSED) {
        start_read_locked(session);
    } else if (session->read == FT_RPC_READ_DELIVERING) {
        session->read = FT_RPC_READ_RESUMED;
    }
    ft_mutex_unlock(&session->lock);
}

void ft_rpc_session_request(struct ft_rpc_worker *worker, struct ft_rpc_method_state *method)
    FT_NO_TSA
{
    /* Aborts without memory, as all of gRPC does; a slot that is not renewed would be lost. */
    struct ft_rpc_session *session = gpr_zalloc(sizeof *session);
    session->server = worker->server;
    session->worker = worker;
    session->method = method;
    session->accept_op = (struct ft_rpc_op){on_accepted, session};
    session->open_op = (struct ft_rpc_op){on_open_done, session};
    session->read_op = (struct ft_rpc_op){on_read_done, session};
    session->send_op = (struct ft_rpc_op){on_send_done, session};
    session->status_op = (struct ft_rpc_op){on_status_done, session};
    session->close_op = (struct ft_rpc_op){on_close_done, session};
    ft_mutex_init(&session->lock);
    atomic_init(&session->refs, 1);
    session->read = FT_RPC_READ_ENDED;
    session->queue_last = &session->queue_first;
    grpc_call_details_init(&session->details);
    grpc_metadata_array_init(&session->metadata);
    ft_rpc_session_lend(worker->server);
    grpc_call_error error =
        method != NULL
            ? grpc_server_request_registered_call(
                  worker->server->server, method->registered, &session->call, &session->deadline,
                  &session->metadata, NULL, worker->queue, worker->queue, &session->accept_op)
            : grpc_server_request_call(worker->server->server, &session->call, &session->details,
                                       &session->metadata, worker->queue, worker->queue,
                                       &session->accept_op);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

void ft_rpc_session_sweep(struct ft_rpc_worker *worker, int64_t now_mono_ns)
{
    struct ft_rpc_server *server = worker->server;
    const struct ft_rpc_server_options *options = &server->options;
    for (struct ft_rpc_session *session = worker->sessions; session != NULL;
         session = session->next) {
        ft_mutex_lock(&session->lock);
        bool closing = session->closing;
        if (closing && !session->ended &&
            now_mono_ns - session->closing_mono_ns >= options->linger_ns) {
            session->closing_mono_ns = now_mono_ns;
            ft_rpc_count(&server->rejected[FT_RPC_REJECT_LINGER], 1);
            (void)grpc_call_cancel(session->call, NULL);
        }
        ft_mutex_unlock(&session->lock);
        if (!closing && !session->had_message && !session->method->method.may_be_silent &&
            now_mono_ns - session->accepted_mono_ns >= options->first_message_timeout_ns) {
            ft_rpc_count(&server->rejected[FT_RPC_REJECT_SILENT], 1);
            ft_rpc_session_close(session, FT_RPC_DEADLINE_EXCEEDED, "no first message in time");
        }
    }
}

static void on_accepted(struct ft_rpc_op *op, bool success)
{
    struct ft_rpc_session *session = op->session;
    struct ft_rpc_server *server = session->server;
    if (!success) {
        /* The server is stopping and gives back what it has not used. */
        grpc_call_details_destroy(&session->details);
        grpc_metadata_array_destroy(&session->metadata);
        ft_rpc_session_unref(session);
        ft_rpc_session_return(server);
        return;
    }
    ft_rpc_session_request(session->worker, session->method);
    char *uri = grpc_call_get_peer(session->call);
    ft_rpc_peer_key_from_uri(uri, &session->peer_key, &session->peer_port, session->peer,
                             sizeof session->peer);
    gpr_free(uri);
    session->accepted_mono_ns = ft_clock_mono_ns(ft_clock_system());
    char text[FT_RPC_TEXT_SIZE] = "";
    enum ft_rpc_status status = ft_rpc_session_admit(session, text);
    if (status != FT_RPC_OK) {
        refuse(session, status, text);
        return;
    }
    status = ft_rpc_session_ask_handler(session, text);
    if (status == FT_RPC_OK) {
        run(session);
        return;
    }
    ft_rpc_count(&server->rejected[FT_RPC_REJECT_HANDLER], 1);
    ft_rpc_session_leave(session);
    refuse(session, status, text);
}

static void run(struct ft_rpc_session *session)
{
    ft_rpc_count(&session->server->accepted, 1);
    session->live = true;
    link_session(session);
    /* Without a header of its own an answer looks like a refusal, to our client and to NetBird's.
     */
    grpc_metadata header = {.key = grpc_slice_from_static_string("flowtrail"),
                            .value = grpc_slice_from_static_string("1")};
    grpc_op open = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    open.data.send_initial_metadata.count = 1;
    open.data.send_initial_metadata.metadata = &header;
    grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    end.data.recv_close_on_server.cancelled = &session->cancelled;
    ft_mutex_lock(&session->lock);
    start_locked(session, &end, 1, &session->close_op);
    start_locked(session, &open, 1, &session->open_op);
    session->opened = true;
    start_read_locked(session);
    pump_locked(session);
    ft_mutex_unlock(&session->lock);
}

/* Also undoes a close() or send() that on_open made before it refused. */
static void refuse(struct ft_rpc_session *session, enum ft_rpc_status status, const char *text)
{
    char escaped[FT_RPC_TEXT_SIZE];
    ft_rpc_text_escape(text, strlen(text), escaped, sizeof escaped);
    grpc_slice details = grpc_slice_from_copied_string(escaped);
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.send_status_from_server.status = (grpc_status_code)status;
    ops[1].data.send_status_from_server.status_details = &details;
    ops[2].data.recv_close_on_server.cancelled = &session->cancelled;
    ft_mutex_lock(&session->lock);
    session->broken = true;
    drop_queue_locked(session);
    start_locked(session, ops, 3, &session->close_op);
    ft_mutex_unlock(&session->lock);
    grpc_slice_unref(details);
}

static void on_open_done(struct ft_rpc_op *op, bool success)
{
    struct ft_rpc_session *session = op->session;
    ft_mutex_lock(&session->lock);
    session->n_ops--;
    session->broken = session->broken || !success;
    ft_mutex_unlock(&session->lock);
    finish_if_done(session);
}

static void on_read_done(struct ft_rpc_op *op, bool success)
{
    struct ft_rpc_session *session = op->session;
    ft_mutex_lock(&session->lock);
    session->n_ops--;
    bool message = success && session->received != NULL;
    bool wanted = message && !session->closing;
    session->read = wanted ? FT_RPC_READ_DELIVERING : FT_RPC_READ_ENDED;
    bool end = !message && !session->closing && !session->ended;
    ft_mutex_unlock(&session->lock);
    if (wanted) {
        deliver(session);
    } else if (end) {
        deliver_end(session);
    }
    if (session->received != NULL) {
        grpc_byte_buffer_destroy(session->received);
        session->received = NULL;
    }
    /* Only now may the next read fill 'received' again. */
    ft_mutex_lock(&session->lock);
    if (session->read == FT_RPC_READ_RESUMED) {
        start_read_locked(session);
    } else if (session->read == FT_RPC_READ_DELIVERING) {
        session->read = FT_RPC_READ_PAUSED;
    }
    ft_mutex_unlock(&session->lock);
    finish_if_done(session);
}

static void deliver(struct ft_rpc_session *session)
{
    struct ft_rpc_server *server = session->server;
    const struct ft_rpc_method *method = &session->method->method;
    struct ft_rpc_view view;
    if (ft_rpc_view_init(&view, session->received) != FT_OK) {
        ft_rpc_count(&server->messages_refused, 1);
        ft_rpc_session_close(session, FT_RPC_UNIMPLEMENTED, "compressed messages are not taken");
        return;
    }
    session->had_message = true;
    ft_rpc_count(&server->messages_received, 1);
    ft_rpc_count(&server->bytes_received, view.size);
    if (method->handler->on_message(method->ctx, session, view.data, view.size)) {
        ft_rpc_session_resume(session);
    }
    ft_rpc_view_deinit(&view);
}

static void deliver_end(struct ft_rpc_session *session)
{
    const struct ft_rpc_method *method = &session->method->method;
    if (method->handler->on_end != NULL) {
        method->handler->on_end(method->ctx, session);
    } else {
        ft_rpc_session_close(session, FT_RPC_OK, NULL);
    }
}

static void on_send_done(struct ft_rpc_op *op, bool success)
{
    struct ft_rpc_session *session = op->session;
    struct ft_rpc_server *server = session->server;
    ft_mutex_lock(&session->lock);
    session->n_ops--;
    session->sending = false;
    struct ft_rpc_send *sent = session->queue_first;
    session->queue_first = sent->next;
    if (session->queue_first == NULL) {
        session->queue_last = &session->queue_first;
    }
    session->queue_messages--;
    session->queue_bytes -= sent->size;
    if (success) {
        ft_rpc_count(&server->messages_sent, 1);
        ft_rpc_count(&server->bytes_sent, sent->size);
        pump_locked(session);
    } else {
        session->broken = true;
        drop_queue_locked(session);
    }
    ft_mutex_unlock(&session->lock);
    grpc_byte_buffer_destroy(sent->buffer);
    free(sent);
    finish_if_done(session);
}

static void on_status_done(struct ft_rpc_op *op, bool success)
{
    (void)success; /* The close operation tells how it ended. */
    struct ft_rpc_session *session = op->session;
    ft_mutex_lock(&session->lock);
    session->n_ops--;
    ft_mutex_unlock(&session->lock);
    finish_if_done(session);
}

static void on_close_done(struct ft_rpc_op *op, bool success)
{
    (void)success;
    struct ft_rpc_session *session = op->session;
    ft_mutex_lock(&session->lock);
    session->n_ops--;
    session->ended = true;
    session->broken = true;
    if (!session->sending) {
        drop_queue_locked(session);
    }
    ft_mutex_unlock(&session->lock);
    finish_if_done(session);
}

/* All completions of a session arrive on its worker's thread, so exactly one call finds it done. */
static void finish_if_done(struct ft_rpc_session *session)
{
    ft_mutex_lock(&session->lock);
    bool done = session->ended && session->n_ops == 0;
    grpc_call *call = session->call;
    if (done) {
        session->call = NULL;
        session->read = FT_RPC_READ_ENDED;
        drop_queue_locked(session);
    }
    ft_mutex_unlock(&session->lock);
    if (!done) {
        return;
    }
    grpc_call_details_destroy(&session->details);
    grpc_metadata_array_destroy(&session->metadata);
    if (session->live) {
        struct ft_rpc_end end = {.cancelled = session->cancelled != 0};
        const struct ft_rpc_method *method = &session->method->method;
        unlink_session(session);
        method->handler->on_closed(method->ctx, session, &end);
        ft_rpc_session_leave(session);
    }
    struct ft_rpc_server *server = session->server;
    grpc_call_unref(call);
    ft_rpc_session_unref(session);
    /* Last: the server's stop waits for it. */
    ft_rpc_session_return(server);
}

static void link_session(struct ft_rpc_session *session)
{
    struct ft_rpc_worker *worker = session->worker;
    session->next = worker->sessions;
    if (worker->sessions != NULL) {
        worker->sessions->previous = session;
    }
    worker->sessions = session;
}

static void unlink_session(struct ft_rpc_session *session)
{
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        session->worker->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
}

static void start_locked(struct ft_rpc_session *session, const grpc_op *ops, size_t n,
                         struct ft_rpc_op *tag)
{
    session->n_ops++;
    grpc_call_error error = grpc_call_start_batch(session->call, ops, n, tag, NULL);
    assert(error == GRPC_CALL_OK); /* Anything else is a mistake in this file. */
    (void)error;
}

static void start_read_locked(struct ft_rpc_session *session)
{
    if (session->call == NULL || session->ended || session->closing) {
        session->read = FT_RPC_READ_ENDED;
        return;
    }
    session->read = FT_RPC_READ_STARTED;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &session->received;
    start_locked(session, &op, 1, &session->read_op);
}

/* gRPC takes one send at a time, and the status behind the last. */
static void pump_locked(struct ft_rpc_session *session)
{
    if (!session->opened || session->sending || session->status_sent || session->ended) {
        return;
    }
    if (session->queue_first != NULL && !session->broken) {
        session->sending = true;
        grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
        op.data.send_message.send_message = session->queue_first->buffer;
        start_locked(session, &op, 1, &session->send_op);
    } else if (session->closing) {
        send_status_locked(session);
    }
}

static void send_status_locked(struct ft_rpc_session *session)
{
    session->status_sent = true;
    grpc_slice details = grpc_slice_from_copied_string(session->status_text);
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = (grpc_status_code)session->status;
    op.data.send_status_from_server.status_details = &details;
    start_locked(session, &op, 1, &session->status_op);
    grpc_slice_unref(details);
}

/* Not while a send is under way: gRPC has the first one's buffer then. */
static void drop_queue_locked(struct ft_rpc_session *session)
{
    while (session->queue_first != NULL) {
        struct ft_rpc_send *send = session->queue_first;
        session->queue_first = send->next;
        grpc_byte_buffer_destroy(send->buffer);
        free(send);
    }
    session->queue_last = &session->queue_first;
    session->queue_messages = 0;
    session->queue_bytes = 0;
}
