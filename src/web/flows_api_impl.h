/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the flow API.  Private to this folder.  Thread: any. */
#ifndef FT_WEB_FLOWS_API_IMPL_H
#define FT_WEB_FLOWS_API_IMPL_H 1

#include "web/flow_params.h"
#include "web/flows_api.h"

enum ft_flows_endpoint {
    FT_FLOWS_FLOWS,
    FT_FLOWS_LOSSES,
    FT_FLOWS_TOP,
    FT_FLOWS_SERIES,
    FT_FLOWS_ENDPOINT_N
};

enum ft_flows_stopped { FT_FLOWS_STOPPED_CLIENT, FT_FLOWS_STOPPED_TIMEOUT, FT_FLOWS_STOPPED_N };

struct ft_flows_api {
    struct ft_flows_api_options options;
    struct ft_histogram *seconds[FT_FLOWS_ENDPOINT_N];
    struct ft_counter *stopped[FT_FLOWS_STOPPED_N];
};

/* Parses the parameters; false when the request was refused.  The caller deinits the query. */
bool ft_flows_parse(struct ft_flows_api *api, struct ft_web_request *request, unsigned takes,
                    struct ft_flow_params *ret_params);

/* What a query's end means for the client; also counts it.  'begin_ns' is monotonic. */
void ft_flows_ended(struct ft_flows_api *api, enum ft_flows_endpoint endpoint, int64_t begin_ns,
                    ft_err err);
void ft_flows_respond_failure(struct ft_web_request *request, ft_err err,
                              const struct ft_diag *diag);

/* "begin" and "end" of the query. */
void ft_flows_write_range(struct ft_json_writer *writer, const struct ft_query *query);

/* Rows and groups; 'api' is the ctx. */
void ft_flows_on_flows(void *ctx, struct ft_web_request *request);
void ft_flows_on_losses(void *ctx, struct ft_web_request *request);
void ft_flows_on_top(void *ctx, struct ft_web_request *request);
void ft_flows_on_series(void *ctx, struct ft_web_request *request);
void ft_flows_on_ledger(void *ctx, struct ft_web_request *request);

#endif
