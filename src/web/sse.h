/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events (HTML standard, section 9.2): an answer that stays open, fed from any thread.
 *
 * Each client has a bounded queue.  At the bound its oldest messages are dropped; how many is told
 * in their place as
 *
 *     event: dropped
 *     data: {"count":17}
 *
 * A comment is sent when nothing else was for a while (heartbeat), so that a client that vanished
 * is noticed.
 *
 * Thread: any.
 */
#ifndef FT_WEB_SSE_H
#define FT_WEB_SSE_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "web/request.h"

#define FT_WEB_SSE_CONTENT_TYPE "text/event-stream"
#define FT_WEB_SSE_MESSAGES_MAX 4096
#define FT_WEB_SSE_BYTES_MAX    ((size_t)1 << 20)

struct ft_web_sse;

/*
 * Called once, when the client has gone or the server stops, in a server thread, after the handler
 * returned; no lock of the server is held.
 */
typedef void ft_web_sse_closed_fn(void *ctx);

/*
 * Makes the answer a stream of events.  Direct handlers only, not for HEAD.  The reference in
 * '*ret_sse' is the caller's, to be given back with ft_web_sse_unref(); 'closed' is called if and
 * only if begin() succeeded.  FT_E_FULL at the bound of clients: respond with 503.  -ENOMEM.
 */
FT_MUST_USE ft_err ft_web_sse_begin(struct ft_web_request *request, ft_web_sse_closed_fn *closed,
                                    void *ctx, struct ft_web_sse **ret_sse);
void ft_web_sse_unref(struct ft_web_sse *sse);

/*
 * Queues one message; never waits.  'event' may be NULL (a plain message).  'data' has no line
 * break.  Drops the oldest at the bound.  FT_E_CLOSED after the client has gone, FT_E_RANGE for one
 * message larger than the bound, -ENOMEM.
 */
FT_MUST_USE ft_err ft_web_sse_send(struct ft_web_sse *sse, const char *event, const char *data,
                                   size_t size);

/* Messages that were not even queued (a rate was exceeded): told as dropped. */
void ft_web_sse_count_dropped(struct ft_web_sse *sse, uint64_t n);

#endif
