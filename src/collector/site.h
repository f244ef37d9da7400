/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's web site: API, page, live flows, metrics, health.
 *
 * Thread: open and close: the main thread; on_row: the sink's.
 */
#ifndef FT_COLLECTOR_SITE_H
#define FT_COLLECTOR_SITE_H 1

#include <stdbool.h>

#include "base/error.h"
#include "flow/query.h"
#include "web/live.h"
#include "web/standard.h"

struct ft_collector;
struct ft_flows_api;

struct ft_site {
    struct ft_collector *collector;
    struct ft_web *web;
    struct ft_web_standard standard;
    struct ft_flows_api *api;
    struct ft_live_hub *hub;
};

FT_MUST_USE ft_err ft_site_open(struct ft_collector *collector, struct ft_site *site,
                                struct ft_diag *reterr_diag);
void ft_site_close(struct ft_site *site);

/* Each row that was stored, and whether anybody watches; 'ctx' is the ft_site. */
void ft_site_on_row(void *ctx, const struct ft_row *row);
bool ft_site_rows_are_wanted(void *ctx);

#endif
