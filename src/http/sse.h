/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of server-sent events (HTML standard, section 9.2.6) taken apart as its bytes come, in
 * pieces of any size.
 *
 * Thread: owner only; pure.
 */
#ifndef FT_HTTP_SSE_H
#define FT_HTTP_SSE_H 1

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* The longest line, and the most that the data of one event holds. */
#define FT_SSE_BYTES_MAX ((size_t)1 << 20)

/* One event; 'type' is "message" unless the stream names another.  Valid during the call.  Anything
 * but FT_OK ends the feeding with that error. */
typedef ft_err ft_sse_event_fn(void *ctx, const char *type, const char *data, size_t size);

struct ft_sse {
    struct ft_buf line;
    struct ft_buf data; /* Of the event under way, each line with its '\n'. */
    char type[64];
    bool after_cr; /* A '\n' now belongs to the line before. */
    ft_sse_event_fn *fn;
    void *ctx;
};

void ft_sse_init(struct ft_sse *sse, ft_sse_event_fn *fn, void *ctx);
void ft_sse_deinit(struct ft_sse *sse);

/* FT_E_FULL past the bound, -ENOMEM, or what 'fn' gave; the stream is then of no more use. */
FT_MUST_USE ft_err ft_sse_feed(struct ft_sse *sse, const char *bytes, size_t size);

#endif
