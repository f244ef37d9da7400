/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/site.h"

#include <stdlib.h>

#include "base/log.h"
#include "collector/collector_impl.h"
#include "collector/ledger_api.h"
#include "web/flows_api.h"
#include "web/live.h"
#include "web/ui.h"

typedef void write_fn(struct ft_json_writer *writer, const struct ft_collector_view *view);

static void write_view(struct ft_collector *collector, struct ft_json_writer *writer,
                       write_fn *write)
{
    struct ft_collector_view view;
    struct ft_collector_texts texts;
    ft_collector_get_view(collector, &view, &texts);
    write(writer, &view);
}

static void write_status(void *ctx, struct ft_json_writer *writer)
{
    write_view(ctx, writer, ft_collector_write_status);
}

static void write_agents(void *ctx, struct ft_json_writer *writer)
{
    write_view(ctx, writer, ft_collector_write_agents);
}

static void write_quarantine(void *ctx, struct ft_json_writer *writer)
{
    write_view(ctx, writer, ft_collector_write_quarantine);
}

static ft_err write_ledger(void *ctx, const struct ft_flows_ledger_query *query,
                           struct ft_json_writer *writer)
{
    const struct ft_collector *collector = ctx;
    return ft_ledger_api_write(writer, collector->instances, ft_clock_real_ns(collector->clock),
                               query);
}

/* Ready while the log can be written: a store that is behind loses nothing. */
static bool is_ready(void *ctx, struct ft_buf *why)
{
    struct ft_collector_view view;
    struct ft_collector_texts texts;
    ft_collector_get_view(ctx, &view, &texts);
    ft_buf_add_str(why, view.ingest_error);
    return view.ingest_error[0] == '\0';
}

ft_err ft_site_open(struct ft_collector *collector, struct ft_site *site,
                    struct ft_diag *reterr_diag)
{
    site->collector = collector;
    const struct ft_collector_options *options = &collector->options;
    struct ft_web_options web = {.address = options->http.listen,
                                 .allow_remote = true,
                                 .unix_path = options->http.socket,
                                 .hosts = (const char *const *)options->http.host_names.items,
                                 .n_hosts = options->http.host_names.n,
                                 .clock = collector->clock,
                                 .metrics = collector->metrics,
                                 .metrics_prefix = "flowtrail_collector",
                                 .workers = (unsigned)options->http.queries_max,
                                 .connections_max = (unsigned)options->http.connections_max,
                                 .sse_clients_max = (unsigned)options->http.live_clients_max};
    FT_TRY(ft_live_hub_create(collector->clock, 0, &site->hub));
    FT_TRY(ft_web_create(&web, &site->web));
    struct ft_web_standard standard = {.program = "flowtrail-collector",
                                       .version = FT_VERSION,
                                       .metrics = collector->metrics,
                                       .ready = is_ready,
                                       .ctx = collector};
    site->standard = standard;
    FT_TRY(ft_web_add_standard(site->web, &site->standard));
    FT_TRY(ft_web_add_ui(site->web));
    struct ft_flows_api_options api = {.reader = collector->reader,
                                       .hub = site->hub,
                                       .clock = collector->clock,
                                       .metrics = collector->metrics,
                                       .metrics_prefix = "flowtrail_collector",
                                       .agents = write_agents,
                                       .status = write_status,
                                       .quarantine = write_quarantine,
                                       .ledger = write_ledger,
                                       .ctx = collector};
    FT_TRY(ft_flows_api_create(site->web, &api, &site->api));
    FT_TRY(ft_web_start(site->web, reterr_diag));
    if (options->http.listen[0] != '\0') {
        ft_log(FT_LOG_INFO, "collector", "page and API on http://%s, port %u", options->http.listen,
               (unsigned)ft_web_get_port(site->web));
    }
    return FT_OK;
}

void ft_site_close(struct ft_site *site)
{
    if (site->web != NULL) {
        ft_web_stop(site->web);
    }
    ft_flows_api_destroy(site->api);
    ft_web_destroy(site->web);
    ft_live_hub_destroy(site->hub);
    *site = (struct ft_site){0};
}

void ft_site_on_row(void *ctx, const struct ft_row *row)
{
    struct ft_site *site = ctx;
    ft_live_publish(site->hub, row);
}

bool ft_site_rows_are_wanted(void *ctx)
{
    const struct ft_site *site = ctx;
    return ft_live_is_wanted(site->hub);
}
