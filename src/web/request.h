/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handler sees of a request, and how it answers.  It answers exactly once: with one of the
 * respond functions, as a stream, or as events (web/sse.h).  A handler that does not is answered
 * for with 500.
 *
 * Thread: that of the handler, while it runs.
 */
#ifndef FT_WEB_REQUEST_H
#define FT_WEB_REQUEST_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "web/params.h"
#include "web/web.h"

/* A streamed answer waits when the client is this far behind... */
#define FT_WEB_STREAM_BYTES_MAX ((size_t)256 << 10)
/* ...and gives up when it stays so for this long. */
#define FT_WEB_STREAM_STALL_MS 30000
/* Until this much is there, an answer can still become an error. */
#define FT_WEB_STREAM_HEAD_BYTES ((size_t)64 << 10)
#define FT_WEB_HEADERS_MAX       8
#define FT_WEB_HEADER_VALUE_SIZE 256

#define FT_WEB_JSON "application/json"
#define FT_WEB_TEXT "text/plain; charset=utf-8"

const char *ft_web_request_get_path(const struct ft_web_request *request);
const struct ft_web_params *ft_web_request_get_params(const struct ft_web_request *request);
/* The value of If-None-Match, or "". */
const char *ft_web_request_get_if_none_match(const struct ft_web_request *request);
/* Is it HEAD: may the handler leave the work out? */
bool ft_web_request_is_head(const struct ft_web_request *request);
/* Becomes true when the client has gone or the server stops: for queries. */
const atomic_bool *ft_web_request_get_cancel(const struct ft_web_request *request);

/* Before the answer.  'name' is static, 'value' copied; more than FT_WEB_HEADERS_MAX: asserted. */
void ft_web_set_header(struct ft_web_request *request, const char *name, const char *value);

/* 'type' is static.  Copies 'data'. */
void ft_web_respond(struct ft_web_request *request, unsigned status, const char *type,
                    const void *data, size_t size);
/* Takes the content of 'buf', which is then empty; an error in it becomes 500. */
void ft_web_respond_buf(struct ft_web_request *request, unsigned status, const char *type,
                        struct ft_buf *buf);
/*
 * {"error": {"code", "message", "parameter"}}; 'parameter' may be NULL.  Replaces a stream that
 * nothing was sent of yet; one that was begun is broken off, so that the client sees it.
 */
void ft_web_respond_error(struct ft_web_request *request, unsigned status, const char *code,
                          const char *parameter, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * Begins an answer whose parts follow; it ends when the handler returns.  Worker threads only,
 * except that a direct handler may write FT_WEB_STREAM_BYTES_MAX in all.
 */
void ft_web_stream_begin(struct ft_web_request *request, const char *type);
/*
 * Copies 'data'; waits while the client is behind.  FT_E_CANCELLED when it has gone, the server
 * stops, or it took nothing for FT_WEB_STREAM_STALL_MS.
 */
FT_MUST_USE ft_err ft_web_stream_write(struct ft_web_request *request, const void *data,
                                       size_t size);
/* Sent behind the body (HTTP trailer).  'name' is static, 'value' copied. */
void ft_web_stream_set_trailer(struct ft_web_request *request, const char *name, const char *value);

#endif
