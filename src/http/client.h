/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests of the command line: to an agent's or collector's Unix socket, or to a collector's
 * address.  The only user of libcurl.
 *
 * Proxies of the environment and redirects are not followed: what is asked is always the address
 * that was given.
 *
 * Thread: a client has one owner; cancel() any.
 */
#ifndef FT_HTTP_CLIENT_H
#define FT_HTTP_CLIENT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* Largest body that ft_http_get_all() takes. */
#define FT_HTTP_BODY_BYTES_MAX ((size_t)64 << 20)

struct ft_http_client;

/*
 * 'where' is "unix:/run/flowtrail/agent.sock", "http://HOST:PORT", "https://HOST:PORT" or
 * "HOST:PORT".  FT_E_SYNTAX for anything else, -ENOMEM; both with '*reterr_diag'.
 */
FT_MUST_USE ft_err ft_http_client_create(const char *where, struct ft_http_client **ret_client,
                                         struct ft_diag *reterr_diag);
void ft_http_client_destroy(struct ft_http_client *client);
FT_DEFINE_CLEANUP(struct ft_http_client, ft_http_client_destroy);

/* Certificates (PEM) for https instead of the system's; copied.  A file that cannot be read is
 * told by the first request. */
FT_MUST_USE ft_err ft_http_client_set_ca(struct ft_http_client *client, const char *ca_file);

/* Is called about once a second while a request waits; false cancels as ft_http_client_cancel(). */
typedef bool ft_http_tick_fn(void *ctx);
void ft_http_client_set_tick(struct ft_http_client *client, ft_http_tick_fn *tick, void *ctx);

/* A part of a body; anything but FT_OK ends the request with that error. */
typedef ft_err ft_http_data_fn(void *ctx, const char *data, size_t size);

/*
 * GET 'path' (with its query).  A body with status 200 goes to 'fn' as it comes; of any other body
 * the server's words go to '*reterr_diag' ({"error": {"message"}}, or the text), which is filled on
 * every failure.  'timeout_ms' bounds the whole request, 0: only connecting (10 s) and silence
 * (60 s without a byte).
 *
 * FT_E_UNREACHABLE when there is no answer, FT_E_CLOSED when it broke off, FT_E_TLS, -ETIMEDOUT,
 * FT_E_NOT_FOUND for 404, FT_E_SYNTAX for another 4xx, FT_E_STORE for 5xx, FT_E_CANCELLED after
 * cancel().
 */
FT_MUST_USE ft_err ft_http_get(struct ft_http_client *client, const char *path, long timeout_ms,
                               ft_http_data_fn *fn, void *ctx, struct ft_diag *reterr_diag);

/* The whole body in 'buf'. */
FT_MUST_USE ft_err ft_http_get_all(struct ft_http_client *client, const char *path, long timeout_ms,
                                   struct ft_buf *buf, struct ft_diag *reterr_diag);

/* Ends the request that is under way, within a second, and all later ones.  Thread: any, also a
 * signal handler. */
void ft_http_client_cancel(struct ft_http_client *client);

/* Appends 'text' to a query, percent-encoded. */
void ft_http_add_escaped(struct ft_buf *buf, const char *text);

#endif
