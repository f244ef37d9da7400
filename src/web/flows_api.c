/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flows_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "web/flows_api_impl.h"
#include "web/request.h"
#include "web/sse.h"

static ft_err add_routes(struct ft_flows_api *api, struct ft_web *web);
static ft_err add_metrics(struct ft_flows_api *api);

ft_err ft_flows_api_create(struct ft_web *web, const struct ft_flows_api_options *options,
                           struct ft_flows_api **ret_api)
{
    FT_CLEANUP(ft_flows_api_destroy) struct ft_flows_api *api = calloc(1, sizeof *api);
    if (api == NULL) {
        return ft_err_last();
    }
    api->options = *options;
    FT_TRY(add_routes(api, web));
    if (options->metrics != NULL && options->reader != NULL) {
        FT_TRY(add_metrics(api));
    }
    *ret_api = FT_TAKE(api);
    return FT_OK;
}

void ft_flows_api_destroy(struct ft_flows_api *api) { free(api); }

bool ft_flows_parse(struct ft_flows_api *api, struct ft_web_request *request, unsigned takes,
                    struct ft_flow_params *ret_params)
{
    struct ft_web_refusal refusal;
    ft_err err = ft_flow_params_parse(ft_web_request_get_params(request), takes,
                                      ft_clock_real_ns(api->options.clock), ret_params, &refusal);
    if (err == FT_OK) {
        return true;
    }
    if (ft_err_kind(err) == FT_KIND_USAGE) {
        ft_web_respond_error(request, 400, refusal.code, refusal.parameter, "%s", refusal.message);
    } else {
        ft_web_respond_error(request, 500, "internal", NULL, "%s", ft_err_text(err));
    }
    return false;
}

void ft_flows_ended(struct ft_flows_api *api, enum ft_flows_endpoint endpoint, int64_t begin_ns,
                    ft_err err)
{
    if (api->seconds[endpoint] == NULL) {
        return;
    }
    ft_histogram_observe_ns(api->seconds[endpoint],
                            ft_clock_mono_ns(api->options.clock) - begin_ns);
    if (err == FT_E_CANCELLED) {
        ft_counter_inc(api->stopped[FT_FLOWS_STOPPED_CLIENT]);
    } else if (err == ft_err_from_errno(ETIMEDOUT)) {
        ft_counter_inc(api->stopped[FT_FLOWS_STOPPED_TIMEOUT]);
    }
}

void ft_flows_respond_failure(struct ft_web_request *request, ft_err err,
                              const struct ft_diag *diag)
{
    const char *text = diag->text[0] != '\0' ? diag->text : ft_err_text(err);
    if (err == ft_err_from_errno(ETIMEDOUT)) {
        ft_web_respond_error(request, 504, "timeout", NULL, "%s", text);
    } else if (err == FT_E_CANCELLED) {
        ft_web_respond_error(request, 503, "cancelled", NULL, "%s", text);
    } else if (ft_err_kind(err) == FT_KIND_USAGE || err == FT_E_UNSUPPORTED) {
        ft_web_respond_error(request, 400, "invalid_query", NULL, "%s", text);
    } else if (ft_err_kind(err) == FT_KIND_PERMANENT) {
        ft_web_respond_error(request, 500, "internal", NULL, "%s", text);
    } else {
        ft_web_respond_error(request, 503, "store_unavailable", NULL, "%s", text);
    }
}

void ft_flows_write_range(struct ft_json_writer *writer, const struct ft_query *query)
{
    char text[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(query->begin_ns, 9, text);
    ft_json_key_str(writer, "begin", text);
    ft_time_format_rfc3339(query->end_ns, 9, text);
    ft_json_key_str(writer, "end", text);
}

static void on_live(void *ctx, struct ft_web_request *request)
{
    struct ft_flows_api *api = ctx;
    struct ft_flow_params params;
    if (!ft_flows_parse(api, request, 0, &params)) {
        return;
    }
    if (ft_web_request_is_head(request)) {
        ft_web_stream_begin(request, FT_WEB_SSE_CONTENT_TYPE);
    } else {
        ft_err err = ft_live_serve(api->options.hub, request, &params.query);
        if (err == FT_E_FULL) {
            ft_web_set_header(request, "Retry-After", "5");
            ft_web_respond_error(request, 503, "busy", NULL, "too many live streams are open");
        } else if (err != FT_OK) {
            ft_web_respond_error(request, 500, "internal", NULL, "%s", ft_err_text(err));
        }
    }
    ft_query_deinit(&params.query);
}

static bool refuse_params(struct ft_web_request *request)
{
    const struct ft_web_params *params = ft_web_request_get_params(request);
    if (params->n > 0) {
        ft_web_respond_error(request, 400, "unknown_parameter", params->items[0].name,
                             "no parameters are known here");
    }
    return params->n > 0;
}

static void respond_json(struct ft_web_request *request, struct ft_json_writer *writer)
{
    ft_json_newline(writer);
    ft_web_respond_buf(request, 200, FT_WEB_JSON, writer->buf);
    ft_buf_deinit(writer->buf);
}

static void respond_array(struct ft_flows_api *api, struct ft_web_request *request,
                          const char *name, ft_flows_api_json_fn *write)
{
    struct ft_buf buf;
    struct ft_json_writer writer;
    if (refuse_params(request)) {
        return;
    }
    ft_buf_init(&buf, 0);
    ft_json_writer_init(&writer, &buf);
    ft_json_object_begin(&writer);
    ft_json_key(&writer, name);
    write(api->options.ctx, &writer);
    ft_json_object_end(&writer);
    respond_json(request, &writer);
}

static void on_agents(void *ctx, struct ft_web_request *request)
{
    struct ft_flows_api *api = ctx;
    respond_array(api, request, "agents", api->options.agents);
}

static void on_quarantine(void *ctx, struct ft_web_request *request)
{
    struct ft_flows_api *api = ctx;
    respond_array(api, request, "quarantine", api->options.quarantine);
}

static void on_status(void *ctx, struct ft_web_request *request)
{
    const struct ft_flows_api *api = ctx;
    struct ft_buf buf;
    struct ft_json_writer writer;
    if (refuse_params(request)) {
        return;
    }
    ft_buf_init(&buf, 0);
    ft_json_writer_init(&writer, &buf);
    api->options.status(api->options.ctx, &writer);
    respond_json(request, &writer);
}

static ft_err add_routes(struct ft_flows_api *api, struct ft_web *web)
{
    if (api->options.reader != NULL) {
        FT_TRY(ft_web_route(web, "/api/v1/flows", FT_WEB_RUN_WORKER, ft_flows_on_flows, api));
        FT_TRY(ft_web_route(web, "/api/v1/losses", FT_WEB_RUN_WORKER, ft_flows_on_losses, api));
        FT_TRY(ft_web_route(web, "/api/v1/top", FT_WEB_RUN_WORKER, ft_flows_on_top, api));
        FT_TRY(ft_web_route(web, "/api/v1/series", FT_WEB_RUN_WORKER, ft_flows_on_series, api));
    }
    if (api->options.hub != NULL) {
        FT_TRY(ft_web_route(web, "/api/v1/live", FT_WEB_RUN_DIRECT, on_live, api));
    }
    if (api->options.agents != NULL) {
        FT_TRY(ft_web_route(web, "/api/v1/agents", FT_WEB_RUN_DIRECT, on_agents, api));
    }
    if (api->options.status != NULL) {
        FT_TRY(ft_web_route(web, "/api/v1/status", FT_WEB_RUN_DIRECT, on_status, api));
    }
    if (api->options.quarantine != NULL) {
        FT_TRY(ft_web_route(web, "/api/v1/quarantine", FT_WEB_RUN_DIRECT, on_quarantine, api));
    }
    if (api->options.ledger != NULL) {
        FT_TRY(ft_web_route(web, "/api/v1/ledger", FT_WEB_RUN_DIRECT, ft_flows_on_ledger, api));
    }
    return FT_OK;
}

static ft_err add_metrics(struct ft_flows_api *api)
{
    static const char *const endpoints[FT_FLOWS_ENDPOINT_N] = {[FT_FLOWS_FLOWS] = "flows",
                                                               [FT_FLOWS_LOSSES] = "losses",
                                                               [FT_FLOWS_TOP] = "top",
                                                               [FT_FLOWS_SERIES] = "series"};
    static const char *const reasons[FT_FLOWS_STOPPED_N] = {
        [FT_FLOWS_STOPPED_CLIENT] = "client", [FT_FLOWS_STOPPED_TIMEOUT] = "timeout"};
    char name[128];
    (void)snprintf(name, sizeof name, "%s_query_seconds", api->options.metrics_prefix);
    for (unsigned i = 0; i < FT_FLOWS_ENDPOINT_N; i++) {
        struct ft_label label = {"endpoint", endpoints[i]};
        FT_TRY(ft_metrics_add_histogram(api->options.metrics, name, "How long queries took.",
                                        &label, 1, ft_metrics_latency_bounds,
                                        FT_METRICS_N_LATENCY_BOUNDS, &api->seconds[i]));
    }
    (void)snprintf(name, sizeof name, "%s_queries_cancelled_total", api->options.metrics_prefix);
    return ft_metrics_add_counters(api->options.metrics, name, "Queries that were stopped.",
                                   "reason", reasons, FT_FLOWS_STOPPED_N, api->stopped);
}
