/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server for people and programs on the same machine or behind a proxy: the API, the
 * dashboard, metrics, health.  The only user of libmicrohttpd.
 *
 * It listens on TCP, a Unix socket, or both.  GET and HEAD only, no request bodies, routes are
 * exact paths, one request per connection ("Connection: close": nothing can be smuggled behind a
 * request, and a gone client is seen at once).  There is no TLS and no login here: the address is a
 * loopback one unless told otherwise.
 *
 * A handler runs in a thread of the server when it answers at once, or in a worker thread when it
 * may wait (a query); answers may be streamed, or stay open as server-sent events (web/sse.h).
 * Handlers see web/request.h.
 *
 * Thread: create, route, start, stop, destroy: one thread.  The rest any.
 */
#ifndef FT_WEB_WEB_H
#define FT_WEB_WEB_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "metrics/metrics.h"

struct ft_web;
struct ft_web_request;

#define FT_WEB_ROUTES_MAX      64
#define FT_WEB_HOSTS_MAX       16
#define FT_WEB_PATH_LENGTH_MAX 1024

/* In the members: 0 is the default given here. */
#define FT_WEB_THREADS_DEFAULT            2
#define FT_WEB_WORKERS_DEFAULT            2
#define FT_WEB_QUEUE_DEFAULT              32
#define FT_WEB_CONNECTIONS_DEFAULT        256
#define FT_WEB_CONNECTIONS_PER_IP_DEFAULT 128
#define FT_WEB_SSE_CLIENTS_DEFAULT        64
#define FT_WEB_HEADER_BYTES_DEFAULT       ((size_t)32 << 10)
#define FT_WEB_HEADER_MS_DEFAULT          5000
#define FT_WEB_IDLE_MS_DEFAULT            30000
#define FT_WEB_ANSWER_MS_DEFAULT          900000
#define FT_WEB_HEARTBEAT_MS_DEFAULT       15000

struct ft_web_options {
    const char *address;      /* "127.0.0.1:8319", "[::1]:0"; NULL or "": no TCP. */
    bool allow_remote;        /* 'address' may be other than loopback. */
    bool tcp_public_only;     /* TCP has only ft_web_set_public() routes: any local user reaches it,
                                 a Unix socket only its group. */
    const char *unix_path;    /* Mode 0660; a stale socket is replaced.  NULL or "": none. */
    const char *const *hosts; /* Names in Host besides localhost and IP literals (web/host.h). */
    size_t n_hosts;
    const struct ft_clock *clock; /* NULL: the system's. */
    struct ft_metrics *metrics;   /* NULL: none; outlives the server, is not written after it. */
    const char *metrics_prefix;   /* "flowtrail_collector" */

    unsigned threads;                /* That serve connections. */
    unsigned workers;                /* That run queries. */
    unsigned queue_max;              /* Requests that wait for a worker; then 503. */
    unsigned connections_max;        /* At the bound new ones wait in the kernel's backlog. */
    unsigned connections_per_ip_max; /* At the bound they are closed. */
    unsigned sse_clients_max;        /* Then 503. */
    size_t header_bytes_max;         /* Request line and headers; then 414 or 431. */
    unsigned header_ms_max;          /* From accept to the last header, however slowly it drips. */
    unsigned idle_ms_max;            /* Without a byte either way; whole seconds. */
    unsigned answer_ms_max;          /* A connection in all, unless server-sent events. */
    unsigned heartbeat_ms;           /* Of server-sent events. */
};

/* Answers 'request' before it returns, except that events go on.  Thread: see FT_WEB_RUN_*. */
typedef void ft_web_handler_fn(void *ctx, struct ft_web_request *request);

enum ft_web_run {
    FT_WEB_RUN_DIRECT, /* In a server thread: must not wait. */
    FT_WEB_RUN_WORKER, /* In a worker thread: may wait, and is cancelled when the client goes. */
};

/* Copies 'options' with its strings.  FT_E_RANGE when more than FT_WEB_HOSTS_MAX, -ENOMEM. */
FT_MUST_USE ft_err ft_web_create(const struct ft_web_options *options, struct ft_web **ret_web);
/* Stops first.  Accepts NULL. */
void ft_web_destroy(struct ft_web *web);
FT_DEFINE_CLEANUP(struct ft_web, ft_web_destroy);

/* Before start.  'path' is static.  FT_E_FULL past FT_WEB_ROUTES_MAX, -EEXIST. */
FT_MUST_USE ft_err ft_web_route(struct ft_web *web, const char *path, enum ft_web_run run,
                                ft_web_handler_fn *handler, void *ctx);

/* Before start: the route is there on TCP even with 'tcp_public_only'.  FT_E_NOT_FOUND. */
FT_MUST_USE ft_err ft_web_set_public(struct ft_web *web, const char *path);

/*
 * Binds and serves.  Fails with FT_E_SYNTAX (address), FT_E_RANGE (not loopback), the system's
 * error (-EADDRINUSE, -EACCES), and '*reterr_diag'.
 */
FT_MUST_USE ft_err ft_web_start(struct ft_web *web, struct ft_diag *reterr_diag);

/* The TCP port that is bound, also when the address said 0; 0 without TCP. */
uint16_t ft_web_get_port(const struct ft_web *web);

/*
 * Ends all requests (queries are cancelled, event streams closed), joins the threads, removes the
 * Unix socket.  No handler runs afterwards.  May be called again, and without start.
 */
void ft_web_stop(struct ft_web *web);

#endif
