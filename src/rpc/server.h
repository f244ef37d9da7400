/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gRPC server of the collector: takes connections, holds one session per call, and hands whole
 * messages to the handler of the call's method.
 *
 * It stands between the network and ingest.  It bounds what a peer can cost before anything of the
 * peer is understood; who the peer is and what its bytes mean is for the handlers.
 *
 * Threads: 'n_threads' threads, each with one completion queue.  A session belongs to one of them
 * for life, which makes all callbacks for it, so callbacks of one session never overlap; those of
 * different sessions do.  A callback must not wait.  The session's own calls (send, close, resume,
 * ref, unref) may come from any thread, also from inside its callbacks.
 *
 * gRPC 1.51 has known holes that a peer can use before it is authenticated (reference: reliability
 * section 5).  What is done about them here: several threads, the limits below, the accept hook
 * (rpc/accept_hook.h); and 'client_ca_path' with FT_RPC_CLIENT_CERT_REQUIRED, which alone closes
 * them, because then no stranger reaches the HTTP/2 parser.
 */
#ifndef FT_RPC_SERVER_H
#define FT_RPC_SERVER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "rpc/bearer.h"
#include "rpc/rpc.h"

struct ft_rpc_server;
struct ft_rpc_session;
struct ft_rpc_request;

#define FT_RPC_THREADS_MAX 64
#define FT_RPC_METHODS_MAX 16

/* Why a call or a connection was turned away; the index of ft_rpc_server_stats.rejected. */
enum ft_rpc_reject {
    FT_RPC_REJECT_HANDLER,  /* on_open said no. */
    FT_RPC_REJECT_SESSIONS, /* 'sessions_max' of the method. */
    FT_RPC_REJECT_ADDRESS,  /* 'sessions_per_address_max'. */
    FT_RPC_REJECT_METHOD,   /* No such method. */
    FT_RPC_REJECT_RATE,     /* 'calls_per_second_max'; its connection was cut. */
    FT_RPC_REJECT_SILENT,   /* No first message within 'first_message_timeout_ns'. */
    FT_RPC_REJECT_LINGER,   /* Did not take its status within 'linger_ns'. */
    FT_RPC_REJECT_STOPPING, /* The server was stopping. */
    FT_RPC_REJECT_N
};

/* How a session ended. */
struct ft_rpc_end {
    bool cancelled; /* The peer or the network ended it before it got a status. */
};

/*
 * What a method does.  'ctx' is the method's, 'session' is valid at least until on_closed returns.
 * on_open comes first; unless it refused, on_closed comes last, exactly once.
 */
struct ft_rpc_handler {
    /*
     * Admits a call with FT_RPC_OK, or refuses it with another status and 'reterr_text', which has
     * FT_RPC_TEXT_SIZE bytes and travels to the peer: it must tell a stranger nothing.  The
     * request is valid during the call only.
     */
    enum ft_rpc_status (*on_open)(void *ctx, struct ft_rpc_session *session,
                                  const struct ft_rpc_request *request, char *reterr_text);
    /*
     * One message, valid during the call only.  True: read the next one; false: wait for
     * ft_rpc_session_resume(), one for each false, which may even come before this returns.
     */
    bool (*on_message)(void *ctx, struct ft_rpc_session *session, const uint8_t *data, size_t size);
    /* The peer will send no more; the answer to it is a close.  NULL closes with FT_RPC_OK. */
    void (*on_end)(void *ctx, struct ft_rpc_session *session);
    void (*on_closed)(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end);
};

struct ft_rpc_method {
    const char *path; /* "/package.Service/Method"; kept, not copied. */
    const struct ft_rpc_handler *handler;
    void *ctx;
    uint32_t sessions_max; /* 0: the server's. */
    /* The timeout for the first message does not apply. */
    bool may_be_silent;
};

enum ft_rpc_client_cert {
    FT_RPC_CLIENT_CERT_NONE,
    FT_RPC_CLIENT_CERT_OPTIONAL, /* Verified when there is one. */
    FT_RPC_CLIENT_CERT_REQUIRED
};

/* 0 and NULL mean the default that is named; every limit is a default that operators can change. */
struct ft_rpc_server_options {
    const char *listen; /* "127.0.0.1:4317", "[::]:0"; port 0 takes a free one. */
    const struct ft_rpc_method *methods;
    size_t n_methods;

    /* TLS.  Without a certificate the server starts only with 'plaintext' set. */
    const char *certificate_path; /* PEM chain. */
    const char *key_path;
    const char *client_ca_path;
    enum ft_rpc_client_cert client_cert;
    bool plaintext;

    uint32_t n_threads;                /* 4: one poller can be held up by one peer (F4). */
    uint32_t sessions_max;             /* 10,000 of a method; more get RESOURCE_EXHAUSTED. */
    uint32_t sessions_per_address_max; /* 256 of an IPv4 address or IPv6 /64, all methods. */
    /* 512, and as many new ones within 10 s; more are closed when accepted. */
    uint32_t connections_per_address_max;
    uint32_t streams_per_connection_max; /* 16; HTTP/2's own limit: the peer waits. */
    /* 100 that one connection may begin; above, it is cut and its address is kept out for a time.
     */
    uint32_t calls_per_second_max;
    int64_t quarantine_ns;            /* 10 s. */
    size_t message_bytes_max;         /* 1 MiB; a larger one ends the call. */
    size_t metadata_bytes_max;        /* 8 KiB of a call's headers. */
    size_t memory_bytes_max;          /* 256 MiB for gRPC's buffers of all connections. */
    size_t receive_window_bytes;      /* 64 KiB a stream may send ahead. */
    uint32_t send_queue_messages_max; /* 256 a session; more get FT_E_FULL. */
    size_t send_queue_bytes_max;      /* 4 MiB a session; more get FT_E_FULL. */

    int64_t handshake_timeout_ns;     /* 3 s for TLS and HTTP/2's first frame. */
    int64_t first_message_timeout_ns; /* 15 s from a call's start. */
    int64_t linger_ns;                /* 5 s for a closed session to take what was sent. */
    int64_t connection_idle_ns;       /* 60 s without any call. */
    int64_t connection_age_ns;        /* Never; gRPC spreads it by 10 %. */
    int64_t connection_age_grace_ns;  /* 30 s behind 'connection_age_ns'. */
    int64_t keepalive_interval_ns;    /* 30 s; a ping when nothing else was received. */
    int64_t keepalive_timeout_ns;     /* 20 s without an answer close the connection. */
    int64_t ping_interval_min_ns;     /* 5 s; pings that come faster are strikes. */
    uint32_t ping_strikes_max;        /* 2; one more closes the connection. */
};

/* A snapshot; each number is exact, they need not belong to the same instant. */
struct ft_rpc_server_stats {
    uint64_t sessions_open;
    uint64_t accepted;
    uint64_t rejected[FT_RPC_REJECT_N];
    uint64_t messages_received;
    uint64_t bytes_received;
    uint64_t messages_sent;
    uint64_t bytes_sent;
    uint64_t send_full;        /* Sends that found the session's queue full. */
    uint64_t messages_refused; /* Still compressed. */
    uint64_t reloads;
    uint64_t reload_failures;
    /* From the accept hook, of the whole process. */
    uint64_t connections_accepted;
    uint64_t connections_dropped_no_fd;
    uint64_t connections_dropped_address;
    uint64_t connections_dropped_rate;
    uint64_t connections_dropped_quarantine;
};

/*
 * Listens and serves when it returns.  Copies '*options' and the methods' array, not the handlers.
 * FT_E_RANGE or FT_E_SYNTAX with 'diag' for options or files that make no sense, ENOMEM, or what
 * listening gave (EADDRINUSE, EACCES, ...).
 */
FT_MUST_USE ft_err ft_rpc_server_start(const struct ft_rpc_server_options *options,
                                       struct ft_rpc_server **ret_server,
                                       struct ft_diag *reterr_diag);

/* The port that it listens on. */
uint16_t ft_rpc_server_get_port(const struct ft_rpc_server *server);

/*
 * Reads certificate, key and client CA again, for connections made from now on.  When they do not
 * fit together, the ones in use stay and the error says why.  Thread: any.
 */
FT_MUST_USE ft_err ft_rpc_server_reload(struct ft_rpc_server *server, struct ft_diag *reterr_diag);

/* Thread: any. */
void ft_rpc_server_get_stats(const struct ft_rpc_server *server,
                             struct ft_rpc_server_stats *ret_stats);

/*
 * Takes no more calls, gives the open sessions 'grace_ns' to end by themselves, cancels the rest,
 * waits until every on_closed has returned, and frees the server.  Accepts NULL.  A session that
 * somebody still refers to stays valid, closed.  Not from inside a callback.
 */
void ft_rpc_server_stop(struct ft_rpc_server *server, int64_t grace_ns);

/* What a call brought along. */

/* "203.0.113.7:4711" or "[2001:db8::1]:4711".  Nothing authenticates it. */
const char *ft_rpc_request_get_peer(const struct ft_rpc_request *request);
const char *ft_rpc_request_get_method(const struct ft_rpc_request *request);

/* The peer's verified certificate as PEM; NULL when it has shown none. */
const char *ft_rpc_request_get_certificate(const struct ft_rpc_request *request);

/*
 * The 'index'-th value of the header 'name' (lower case), not terminated.  False when there are not
 * so many.
 */
bool ft_rpc_request_get_header(const struct ft_rpc_request *request, const char *name, size_t index,
                               const void **ret_value, size_t *ret_size);

/*
 * The token of the call's one "authorization: Bearer" header.  FT_E_AUTH, always the same, when
 * there is none, more than one, or a malformed one.
 */
FT_MUST_USE ft_err ft_rpc_request_get_token(const struct ft_rpc_request *request,
                                            struct ft_rpc_token *ret_token);

/* A session.  Thread: any. */

struct ft_rpc_session *ft_rpc_session_ref(struct ft_rpc_session *session);
/* Accepts NULL. */
void ft_rpc_session_unref(struct ft_rpc_session *session);

/* The handler's own pointer.  Set it in on_open, or take care of the order yourself. */
void ft_rpc_session_set_user(struct ft_rpc_session *session, void *user);
void *ft_rpc_session_get_user(const struct ft_rpc_session *session);
const char *ft_rpc_session_get_peer(const struct ft_rpc_session *session);

/*
 * Queues a copy of one message.  FT_E_FULL at the session's bound, FT_E_CLOSED after close() or the
 * end of the session, FT_E_RANGE above 'message_bytes_max'.
 */
FT_MUST_USE ft_err ft_rpc_session_send(struct ft_rpc_session *session, const void *data,
                                       size_t size);

/*
 * Ends the call with a status, behind what is queued.  Once; later calls do nothing.  'text' may be
 * NULL; control bytes in it are escaped.
 */
void ft_rpc_session_close(struct ft_rpc_session *session, enum ft_rpc_status status,
                          const char *text);

/* Reads the next message after an on_message that returned false. */
void ft_rpc_session_resume(struct ft_rpc_session *session);

#endif
