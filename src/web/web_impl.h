/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the server.  Private to this folder.
 *
 *   server thread (libmicrohttpd)   reads the request, calls direct handlers, sends what is there
 *   worker thread                   runs handlers that may wait, fills 'out'
 *   watch thread                    sees gone clients, slow headers, due heartbeats
 *
 * A connection carries one request, so both are one object.  While nothing is there to be sent the
 * connection is suspended ('waiting'); whoever changes that resumes it.
 *
 * Locks: web->lock (list), queue_lock, request->lock.  Only request->lock is held while calling
 * out, and only to MHD_suspend_connection() and MHD_resume_connection(), whose own lock is thus
 * taken after it: a resume must not meet a connection that is being finished.
 */
#ifndef FT_WEB_WEB_IMPL_H
#define FT_WEB_WEB_IMPL_H 1

#include <microhttpd.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/thread.h"
#include "metrics/metrics.h"
#include "web/request.h"
#include "web/sse.h"

struct ft_web_route_entry {
    const char *path;
    enum ft_web_run run;
    ft_web_handler_fn *handler;
    void *ctx;
    bool is_public;
};

struct ft_web_listener {
    struct ft_web *web;
    struct MHD_Daemon *daemon;
    int fd;
    bool is_unix;
};

/* TCP and Unix. */
#define FT_WEB_LISTENERS_MAX 2

enum ft_web_refused {
    FT_WEB_REFUSED_HOST,
    FT_WEB_REFUSED_METHOD,
    FT_WEB_REFUSED_BODY,
    FT_WEB_REFUSED_QUERY,
    FT_WEB_REFUSED_NOT_FOUND,
    FT_WEB_REFUSED_BUSY,
    FT_WEB_REFUSED_SLOW,
    FT_WEB_REFUSED_N
};

struct ft_web {
    /* Set at creation. */
    struct ft_web_options options;
    char *hosts[FT_WEB_HOSTS_MAX];
    struct ft_web_route_entry routes[FT_WEB_ROUTES_MAX];
    size_t n_routes;
    struct ft_counter *requests[6]; /* By class of status: [2] is 2xx. */
    struct ft_counter *refused[FT_WEB_REFUSED_N];
    struct ft_counter *events_dropped;

    /* Owner thread only. */
    struct ft_web_listener listeners[FT_WEB_LISTENERS_MAX];
    size_t n_listeners;
    uint16_t port;
    struct ft_thread watcher;
    struct ft_thread *workers;
    bool started;

    /* Any thread. */
    int wake_fd;
    int epoll_fd;
    atomic_bool stopping;
    atomic_uint n_sse;
    atomic_uint n_connections;

    /* Guarded by lock. */
    struct ft_mutex lock;
    struct ft_web_request *first FT_GUARDED;
    uint64_t last_id FT_GUARDED;

    /* Guarded by queue_lock. */
    struct ft_mutex queue_lock;
    struct ft_cond queue_changed;
    struct ft_web_request *queue_first FT_GUARDED;
    struct ft_web_request *queue_last FT_GUARDED;
    unsigned queue_n FT_GUARDED;
    bool queue_closed FT_GUARDED;
};

struct ft_web_header {
    const char *name;
    char value[FT_WEB_HEADER_VALUE_SIZE];
};

enum ft_web_stage { FT_WEB_NEW, FT_WEB_CHECKED, FT_WEB_RUNNING, FT_WEB_ANSWERED };
enum ft_web_answer { FT_WEB_NO_ANSWER, FT_WEB_WHOLE, FT_WEB_STREAM, FT_WEB_EVENTS };

struct ft_web_request {
    /* Set at creation. */
    struct ft_web *web;
    const struct ft_web_listener *listener;
    uint64_t id;
    int fd;
    int64_t start_ns; /* Of the connection. */

    /* Server thread; from RUNNING on read-only, also for the handler. */
    enum ft_web_stage stage;
    char *uri; /* Path, cut at '?'. */
    struct ft_web_params params;
    const struct ft_web_route_entry *route;
    bool is_head;
    char if_none_match[FT_WEB_HEADER_VALUE_SIZE];

    /* Any thread. */
    atomic_uint refs;
    atomic_bool cancel;
    atomic_bool header_done;
    atomic_bool is_events;

    /* Guarded by lock. */
    struct ft_mutex lock;
    struct ft_cond changed;
    struct MHD_Connection *connection FT_GUARDED; /* NULL: finished. */
    bool waiting FT_GUARDED;                      /* Suspended. */
    bool gone FT_GUARDED;                         /* The client, or the server stops. */
    enum ft_web_answer answer FT_GUARDED;
    bool committed FT_GUARDED; /* Status and headers are decided. */
    bool done FT_GUARDED;      /* 'out' is complete. */
    bool broken FT_GUARDED;    /* Ends without its proper end. */
    unsigned status FT_GUARDED;
    const char *type FT_GUARDED;
    struct ft_web_header headers[FT_WEB_HEADERS_MAX] FT_GUARDED;
    size_t n_headers FT_GUARDED;
    struct ft_web_header trailers[2] FT_GUARDED;
    size_t n_trailers FT_GUARDED;
    struct ft_buf out FT_GUARDED;
    size_t out_at FT_GUARDED; /* Sent up to here. */
    struct MHD_Response *response FT_GUARDED;
    struct ft_web_sse *sse FT_GUARDED;

    /* Guarded by web->lock. */
    struct ft_web_request *prev;
    struct ft_web_request *next;
    /* Guarded by web->queue_lock. */
    struct ft_web_request *queue_next;
};

/* server.c */
int64_t ft_web_now_ns(const struct ft_web *web);
void ft_web_count_refused(const struct ft_web *web, enum ft_web_refused reason);

/* listen.c: the sockets.  'address' as in the options; '*ret_port' is the bound one. */
FT_MUST_USE ft_err ft_web_listen_tcp(const char *address, bool allow_remote, int *ret_fd,
                                     uint16_t *ret_port, struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_web_listen_unix(const char *path, int *ret_fd, struct ft_diag *reterr_diag);

/* handle.c: what libmicrohttpd calls; 'cls' is the listener. */
enum MHD_Result ft_web_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **req_cls);
void *ft_web_on_uri(void *cls, const char *uri, struct MHD_Connection *connection);
void ft_web_on_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
                         enum MHD_RequestTerminationCode toe);
void ft_web_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode toe);

/* request.c */
void ft_web_request_ref(struct ft_web_request *request);
void ft_web_request_unref(struct ft_web_request *request);
FT_MUST_USE ft_err ft_web_request_create(const struct ft_web_listener *listener, int fd,
                                         struct ft_web_request **ret_request);
/* Resumes the connection when it is suspended. */
void ft_web_request_wake(struct ft_web_request *request) FT_REQUIRES(request->lock);
/* Gives the request up: nobody will read its answer. */
void ft_web_request_give_up(struct ft_web_request *request);
/* What remains to be said when a handler has returned. */
void ft_web_request_finish(struct ft_web_request *request);

/* stream.c and sse.c: give the body to libmicrohttpd; 'cls' is the request. */
ssize_t ft_web_stream_read(void *cls, uint64_t pos, char *buf, size_t max);
ssize_t ft_web_sse_read(void *cls, uint64_t pos, char *buf, size_t max);
void ft_web_sse_free(struct ft_web_sse *sse);
/* The closed function, once; NULL when there is none. */
ft_web_sse_closed_fn *ft_web_sse_take_closed(struct ft_web_request *request, void **ret_ctx)
    FT_REQUIRES(request->lock);
void ft_web_sse_heartbeat(struct ft_web_request *request, int64_t now_ns);

/* workers.c */
FT_MUST_USE ft_err ft_web_workers_start(struct ft_web *web);
void ft_web_workers_stop(struct ft_web *web);
/* FT_E_FULL when the queue is. */
FT_MUST_USE ft_err ft_web_workers_add(struct ft_web *web, struct ft_web_request *request);

/* watch.c */
FT_MUST_USE ft_err ft_web_watch_start(struct ft_web *web);
void ft_web_watch_stop(struct ft_web *web);
void ft_web_watch_add(struct ft_web *web, struct ft_web_request *request);
void ft_web_watch_remove(struct ft_web *web, struct ft_web_request *request);
/* Gives all requests up. */
void ft_web_give_up_all(struct ft_web *web);

#endif
