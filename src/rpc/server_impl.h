/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server's files share; private to rpc.
 *
 * A tag of the completion queue is a struct ft_rpc_op inside the session that it belongs to.  From
 * the start of the operation until done() is called the queue owns it; it comes back exactly once.
 *
 * Locks: a session's 'lock' and the server's 'lock' are leaves, never held together, and no
 * callback is made under them.  gRPC is called under the session's lock, because operations of one
 * call must not be started concurrently; gRPC never calls back into this folder from there.
 */
#ifndef FT_RPC_SERVER_IMPL_H
#define FT_RPC_SERVER_IMPL_H 1

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "rpc/args.h"
#include "rpc/call_rate.h"
#include "rpc/peers.h"
#include "rpc/server.h"
#include "rpc/server_tls.h"

#define FT_RPC_PEER_TEXT_SIZE 80

struct ft_rpc_op {
    void (*done)(struct ft_rpc_op *op, bool success);
    struct ft_rpc_session *session; /* NULL: an operation of the server. */
};

struct ft_rpc_worker {
    /* Set at creation. */
    struct ft_rpc_server *server;
    grpc_completion_queue *queue;
    struct ft_thread thread;
    /* The worker's thread only. */
    struct ft_rpc_session *sessions;
    int64_t next_sweep_mono_ns;
};

struct ft_rpc_method_state {
    struct ft_rpc_method method;
    void *registered;
    uint32_t n_sessions FT_GUARDED; /* By the server's lock. */
};

/* What the threads do when they have started. */
enum ft_rpc_gate {
    FT_RPC_GATE_WAIT,
    FT_RPC_GATE_SERVE,
    FT_RPC_GATE_GIVE_UP /* Not all of them could be started. */
};

struct ft_rpc_server {
    /* Set at creation. */
    struct ft_rpc_server_options options; /* Without its pointers, defaults filled in. */
    struct ft_rpc_method_state methods[FT_RPC_METHODS_MAX];
    size_t n_methods;
    struct ft_rpc_server_tls *tls; /* NULL: plaintext. */
    grpc_server *server;
    struct ft_rpc_worker workers[FT_RPC_THREADS_MAX];
    uint16_t port;
    bool watched; /* The accept hook knows the port. */
    int64_t sweep_interval_ns;
    struct ft_rpc_op stop_op;

    struct ft_mutex lock;
    struct ft_cond changed;
    /* Guarded by 'lock'. */
    struct ft_rpc_peers peers FT_GUARDED;
    struct ft_rpc_call_rates call_rates FT_GUARDED;
    enum ft_rpc_gate gate FT_GUARDED;
    uint32_t n_serving FT_GUARDED;  /* Threads that take calls. */
    uint32_t n_sessions FT_GUARDED; /* Of all methods. */
    /* Session objects that gRPC has something of: waiting for a call, running or refused. */
    uint32_t n_in_use FT_GUARDED;
    bool stopped FT_GUARDED; /* gRPC has closed all connections. */

    /* Any thread. */
    atomic_bool stopping;
    atomic_uint_least64_t accepted;
    atomic_uint_least64_t rejected[FT_RPC_REJECT_N];
    atomic_uint_least64_t messages_received;
    atomic_uint_least64_t bytes_received;
    atomic_uint_least64_t messages_sent;
    atomic_uint_least64_t bytes_sent;
    atomic_uint_least64_t send_full;
    atomic_uint_least64_t messages_refused;
};

struct ft_rpc_send {
    struct ft_rpc_send *next;
    grpc_byte_buffer *buffer;
    size_t size;
};

enum ft_rpc_read {
    FT_RPC_READ_PAUSED,     /* Until resume(). */
    FT_RPC_READ_STARTED,    /* gRPC has the operation. */
    FT_RPC_READ_DELIVERING, /* on_message runs. */
    FT_RPC_READ_RESUMED,    /* on_message runs, and resume() was already called. */
    FT_RPC_READ_ENDED       /* The peer sends no more, or nobody wants it. */
};

struct ft_rpc_session {
    /* Set at creation. */
    struct ft_rpc_server *server;
    struct ft_rpc_worker *worker;
    struct ft_rpc_method_state *method; /* NULL: takes calls of unknown methods, to refuse them. */
    struct ft_rpc_op accept_op;
    struct ft_rpc_op open_op;
    struct ft_rpc_op read_op;
    struct ft_rpc_op send_op;
    struct ft_rpc_op status_op;
    struct ft_rpc_op close_op;
    struct ft_mutex lock;

    atomic_uint refs;
    _Atomic(void *) user;

    /* The worker's thread only; gRPC fills some while it has the operation. */
    grpc_call_details details;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *received;
    int cancelled;
    struct ft_rpc_peer_key peer_key;
    uint16_t peer_port;
    char peer[FT_RPC_PEER_TEXT_SIZE];
    struct ft_rpc_session *next;
    struct ft_rpc_session *previous;
    int64_t accepted_mono_ns;
    bool live; /* on_open admitted it: it is in the worker's list and on_closed is owed. */
    bool had_message;

    /* Guarded by 'lock'; 'call' is NULL when gRPC is done with the session. */
    grpc_call *call;
    uint32_t n_ops FT_GUARDED;
    enum ft_rpc_read read FT_GUARDED;
    bool opened FT_GUARDED;
    bool sending FT_GUARDED;
    bool broken FT_GUARDED;      /* A send failed, or the call ended: nothing more is sent. */
    bool closing FT_GUARDED;     /* A status waits to be sent, or was. */
    bool status_sent FT_GUARDED; /* Its operation was started. */
    bool ended FT_GUARDED;       /* gRPC reported the end of the call. */
    struct ft_rpc_send *queue_first FT_GUARDED;
    struct ft_rpc_send **queue_last FT_GUARDED;
    uint32_t queue_messages FT_GUARDED;
    size_t queue_bytes FT_GUARDED;
    int64_t closing_mono_ns FT_GUARDED;
    enum ft_rpc_status status FT_GUARDED;
    char status_text[FT_RPC_TEXT_SIZE] FT_GUARDED;
};

struct ft_rpc_request {
    const char *method;
    const char *peer;
    const char *certificate;
    const grpc_metadata_array *metadata;
};

/* server_options.c: fills in the defaults; FT_E_RANGE for what cannot work. */
FT_MUST_USE ft_err ft_rpc_server_options_complete(struct ft_rpc_server_options *options,
                                                  struct ft_diag *reterr_diag);
void ft_rpc_server_options_to_args(const struct ft_rpc_server_options *options,
                                   struct ft_rpc_args *args);

/* session.c: asks gRPC for the next call of 'method' (NULL: any other) on the worker's queue. */
void ft_rpc_session_request(struct ft_rpc_worker *worker, struct ft_rpc_method_state *method);
/* Ends the worker's sessions whose time is over.  Thread: the worker's. */
void ft_rpc_session_sweep(struct ft_rpc_worker *worker, int64_t now_mono_ns);

/* session_admit.c: the server's books. */
FT_MUST_USE enum ft_rpc_status ft_rpc_session_admit(struct ft_rpc_session *session, char *text);
void ft_rpc_session_leave(struct ft_rpc_session *session);
/* gRPC has got an operation of the session's, or has given the last one back. */
void ft_rpc_session_lend(struct ft_rpc_server *server);
void ft_rpc_session_return(struct ft_rpc_server *server);
/* Calls on_open with the request. */
FT_MUST_USE enum ft_rpc_status ft_rpc_session_ask_handler(struct ft_rpc_session *session,
                                                          char *text);

static inline void ft_rpc_count(atomic_uint_least64_t *counter, uint64_t n)
{
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
