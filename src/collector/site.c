/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/site.h"

#include <stdlib.h>

#include "base/log.h"
#include "collector/collector_impl.h"
#include "web/request.h"
#include "web/web.h"

typedef void write_fn(struct ft_json_writer *writer, const struct ft_collector_view *view);

static void serve(struct ft_collector *collector, struct ft_web_request *request, write_fn *write)
{
    struct ft_collector_view view;
    struct ft_collector_texts texts;
    ft_collector_get_view(collector, &view, &texts);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct ft_json_writer writer;
    ft_json_writer_init(&writer, &buf);
    write(&writer, &view);
    ft_web_respond_buf(request, 200, FT_WEB_JSON, &buf);
}

static void serve_status(void *ctx, struct ft_web_request *request)
{
    serve(ctx, request, ft_collector_write_status);
}

static void serve_agents(void *ctx, struct ft_web_request *request)
{
    serve(ctx, request, ft_collector_write_agents);
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
    FT_TRY(ft_web_create(&web, &site->web));
    FT_TRY(ft_web_route(site->web, "/api/v1/status", FT_WEB_RUN_DIRECT, serve_status, collector));
    FT_TRY(ft_web_route(site->web, "/api/v1/agents", FT_WEB_RUN_DIRECT, serve_agents, collector));
    FT_TRY(ft_web_start(site->web, reterr_diag));
    if (options->http.listen[0] != '\0') {
        ft_log(FT_LOG_INFO, "collector", "page and API on http://%s, port %u", options->http.listen,
               (unsigned)ft_web_get_port(site->web));
    }
    return FT_OK;
}

void ft_site_close(struct ft_site *site)
{
    ft_web_destroy(site->web);
    site->web = NULL;
}

void ft_site_on_row(void *ctx, const struct ft_row *row)
{
    (void)ctx;
    (void)row;
}
