/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/top and /api/v1/series: sums over groups of flows. */
#include "base/buf.h"
#include "base/parse.h"
#include "web/flows_api_impl.h"
#include "web/request.h"

struct answer {
    const struct ft_group *group;
    struct ft_json_writer writer;
};

static void serve(struct ft_flows_api *api, struct ft_web_request *request, bool series);

void ft_flows_on_top(void *ctx, struct ft_web_request *request) { serve(ctx, request, false); }

void ft_flows_on_series(void *ctx, struct ft_web_request *request) { serve(ctx, request, true); }

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t total;
    return __builtin_add_overflow(a, b, &total) ? UINT64_MAX : total;
}

static ft_err on_group(void *ctx, const struct ft_group_row *row)
{
    struct answer *answer = ctx;
    struct ft_json_writer *writer = &answer->writer;
    ft_json_object_begin(writer);
    if (answer->group->step_ns != 0) {
        char time[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(row->bucket_ns, 9, time);
        ft_json_key_str(writer, "time", time);
    }
    if (row->is_rest) {
        ft_json_key_bool(writer, "rest", true);
    } else {
        ft_json_key_object(writer, "keys");
        for (unsigned i = 0; i < answer->group->n_columns; i++) {
            if (row->keys[i] != NULL) {
                ft_json_key_str(writer, ft_column_name(answer->group->columns[i]), row->keys[i]);
            }
        }
        ft_json_object_end(writer);
    }
    ft_json_key_u64(writer, "events", row->events);
    ft_json_key_u64(writer, "flows", row->flows);
    ft_json_key_u64(writer, "bytes", sum(row->rx_bytes, row->tx_bytes));
    ft_json_key_u64(writer, "packets", sum(row->rx_packets, row->tx_packets));
    ft_json_key_u64(writer, "rx_bytes", row->rx_bytes);
    ft_json_key_u64(writer, "tx_bytes", row->tx_bytes);
    ft_json_key_u64(writer, "rx_packets", row->rx_packets);
    ft_json_key_u64(writer, "tx_packets", row->tx_packets);
    ft_json_object_end(writer);
    return writer->buf->err;
}

static void begin(struct answer *answer, const struct ft_flow_params *params)
{
    struct ft_json_writer *writer = &answer->writer;
    ft_json_object_begin(writer);
    ft_flows_write_range(writer, &params->query);
    ft_json_key_array(writer, "by");
    for (unsigned i = 0; i < params->group.n_columns; i++) {
        ft_json_str(writer, ft_column_name(params->group.columns[i]));
    }
    ft_json_array_end(writer);
    ft_json_key_str(writer, "measure", ft_measure_name(params->group.measure));
    if (params->group.step_ns != 0) {
        char step[64];
        ft_format_duration(params->group.step_ns, step, sizeof step);
        ft_json_key_str(writer, "step", step);
    }
    ft_json_key_array(writer, "groups");
}

/* Groups are few (FT_FLOW_GROUPS_MAX, FT_FLOW_BUCKETS_MAX): one buffer holds them. */
static void serve(struct ft_flows_api *api, struct ft_web_request *request, bool series)
{
    struct ft_flow_params params;
    unsigned takes = FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_GROUP | (series ? FT_FLOW_TAKES_STEP : 0);
    if (!ft_flows_parse(api, request, takes, &params)) {
        return;
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct answer answer = {.group = &params.group};
    ft_json_writer_init(&answer.writer, &buf);
    struct ft_flow_reader *reader = api->options.reader;
    struct ft_query_result result = {0};
    struct ft_diag diag = {0};
    int64_t begin_ns = ft_clock_mono_ns(api->options.clock);
    begin(&answer, &params);
    ft_err err =
        reader->ops->groups(reader, &params.query, &params.group,
                            ft_web_request_get_cancel(request), on_group, &answer, &result, &diag);
    ft_flows_ended(api, series ? FT_FLOWS_SERIES : FT_FLOWS_TOP, begin_ns, err);
    if (err != FT_OK) {
        ft_flows_respond_failure(request, err, &diag);
    } else {
        ft_json_array_end(&answer.writer);
        ft_json_key_bool(&answer.writer, "more", result.more);
        ft_json_object_end(&answer.writer);
        ft_json_newline(&answer.writer);
        ft_web_respond_buf(request, 200, FT_WEB_JSON, &buf);
    }
    ft_buf_deinit(&buf);
    ft_query_deinit(&params.query);
}
