/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every program of ours answers:
 *
 *   /livez     200 "ok": the process runs; depends on nothing else
 *   /healthz   the same: an older name of it
 *   /readyz    200 "ready" or 503 with the reason, from the program
 *   /version   {"program", "version"}
 *   /metrics   Prometheus text, when there are metrics
 *
 * All of them are public (ft_web_set_public()).
 *
 * Thread: the routes run in threads of the web server.
 */
#ifndef FT_WEB_STANDARD_H
#define FT_WEB_STANDARD_H 1

#include "base/buf.h"
#include "metrics/metrics.h"
#include "web/web.h"

/* Ready?  If not, writes why (plain text).  Must not wait. */
typedef bool ft_web_ready_fn(void *ctx, struct ft_buf *why);

/* Borrowed: outlives the web server. */
struct ft_web_standard {
    const char *program; /* "flowtrail-collector" */
    const char *version;
    const struct ft_metrics *metrics; /* May be NULL. */
    ft_web_ready_fn *ready;           /* NULL: always ready. */
    void *ctx;
};

/* Fails as ft_web_route(). */
FT_MUST_USE ft_err ft_web_add_standard(struct ft_web *web, const struct ft_web_standard *standard);

#endif
