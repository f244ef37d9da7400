/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/flows and /api/v1/losses: rows, paged as JSON or streamed as CSV and NDJSON. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "text/csv.h"
#include "text/json.h"
#include "web/cursor.h"
#include "web/flows_api_impl.h"
#include "web/request.h"

/* Handed to the stream in pieces of about this size. */
#define PIECE_SIZE ((size_t)16 << 10)

struct answer {
    struct ft_web_request *request;
    const struct ft_flow_params *params;
    struct ft_buf piece;
    struct ft_json_writer writer; /* FT_FLOW_JSON: writes into 'piece'. */
    uint64_t n_rows;
    struct ft_query_cursor last; /* Position of the last row. */
};

static void serve(struct ft_flows_api *api, struct ft_web_request *request, bool losses);

void ft_flows_on_flows(void *ctx, struct ft_web_request *request) { serve(ctx, request, false); }

void ft_flows_on_losses(void *ctx, struct ft_web_request *request) { serve(ctx, request, true); }

static const char *content_type(enum ft_flow_format format)
{
    return format == FT_FLOW_CSV      ? FT_TEXT_CSV_CONTENT_TYPE
           : format == FT_FLOW_NDJSON ? FT_TEXT_NDJSON_CONTENT_TYPE
                                      : FT_WEB_JSON;
}

static ft_err flush(struct answer *answer)
{
    FT_TRY(answer->piece.err);
    FT_TRY(ft_web_stream_write(answer->request, answer->piece.data, answer->piece.size));
    ft_buf_clear(&answer->piece);
    return FT_OK;
}

static ft_err on_row(void *ctx, const struct ft_row *row)
{
    struct answer *answer = ctx;
    switch (answer->params->format) {
    case FT_FLOW_JSON:
        ft_text_json_row(&answer->writer, row);
        break;
    case FT_FLOW_CSV:
        ft_text_csv_row(&answer->piece, row);
        break;
    case FT_FLOW_NDJSON:
        ft_text_ndjson_row(&answer->piece, row);
        break;
    }
    answer->n_rows++;
    answer->last = (struct ft_query_cursor){.time_ns = row->event.time_ns,
                                            .agent_id = row->agent_id,
                                            .instance_id = row->instance_id,
                                            .seq = row->event.seq};
    return answer->piece.size >= PIECE_SIZE ? flush(answer) : FT_OK;
}

static void begin(struct answer *answer)
{
    const struct ft_query *query = &answer->params->query;
    ft_web_stream_begin(answer->request, content_type(answer->params->format));
    if (answer->params->format == FT_FLOW_CSV) {
        ft_text_csv_header(&answer->piece);
    } else if (answer->params->format == FT_FLOW_JSON) {
        ft_json_object_begin(&answer->writer);
        ft_flows_write_range(&answer->writer, query);
        ft_json_key_str(&answer->writer, "order",
                        query->order == FT_ORDER_NEWEST_FIRST ? "newest" : "oldest");
        ft_json_key_array(&answer->writer, "flows");
    }
}

/* How many there were, and where the next page begins. */
static ft_err end(struct answer *answer, bool more)
{
    const struct ft_query *query = &answer->params->query;
    struct ft_web_cursor cursor = {.position = answer->last,
                                   .begin_ns = query->begin_ns,
                                   .end_ns = query->end_ns,
                                   .order = query->order};
    char next[FT_WEB_CURSOR_SIZE];
    ft_web_cursor_format(&cursor, next);
    if (answer->params->format == FT_FLOW_JSON) {
        ft_json_array_end(&answer->writer);
        ft_json_key_u64(&answer->writer, "count", answer->n_rows);
        ft_json_key_bool(&answer->writer, "more", more);
        if (more) {
            ft_json_key_str(&answer->writer, "next", next);
        }
        ft_json_object_end(&answer->writer);
        ft_json_newline(&answer->writer);
    } else {
        ft_web_stream_set_trailer(answer->request, "Flowtrail-More", more ? "true" : "false");
        if (more) {
            ft_web_stream_set_trailer(answer->request, "Flowtrail-Next", next);
        }
    }
    return flush(answer);
}

/* An export may be larger than what one query gives: the next one continues behind the last row. */
static ft_err run(struct ft_flows_api *api, struct answer *answer, struct ft_query *query,
                  struct ft_diag *diag)
{
    struct ft_flow_reader *reader = api->options.reader;
    struct ft_query_result result = {.more = true};
    begin(answer);
    while (result.more && answer->n_rows < answer->params->limit) {
        uint64_t rest = answer->params->limit - answer->n_rows;
        uint64_t before = answer->n_rows;
        query->rows_max = rest < FT_QUERY_ROWS_MAX ? (uint32_t)rest : FT_QUERY_ROWS_MAX;
        result = (struct ft_query_result){0};
        FT_TRY(reader->ops->rows(reader, query, ft_web_request_get_cancel(answer->request), on_row,
                                 answer, &result, diag));
        if (answer->n_rows == before) {
            result.more = false; /* More of nothing: never asked for again and again. */
        }
        query->has_cursor = true;
        query->cursor = answer->last;
    }
    return end(answer, result.more);
}

static void serve(struct ft_flows_api *api, struct ft_web_request *request, bool losses)
{
    struct ft_flow_params params;
    if (!ft_flows_parse(api, request, FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_PAGE, &params)) {
        return;
    }
    struct ft_diag diag = {0};
    ft_err err = FT_OK;
    if (losses) {
        err = ft_query_add_filter(&params.query, "type", "LOSS", false, &diag);
    }
    if (params.format != FT_FLOW_JSON) {
        char name[64];
        (void)snprintf(name, sizeof name, "attachment; filename=\"%s.%s\"",
                       losses ? "losses" : "flows",
                       params.format == FT_FLOW_CSV ? "csv" : "ndjson");
        ft_web_set_header(request, "Content-Disposition", name);
    }
    if (err != FT_OK) {
        ft_flows_respond_failure(request, err, &diag);
    } else if (ft_web_request_is_head(request)) {
        ft_web_stream_begin(request, content_type(params.format));
    } else {
        struct answer answer = {.request = request, .params = &params};
        ft_buf_init(&answer.piece, 0);
        ft_json_writer_init(&answer.writer, &answer.piece);
        int64_t begin_ns = ft_clock_mono_ns(api->options.clock);
        err = run(api, &answer, &params.query, &diag);
        ft_flows_ended(api, losses ? FT_FLOWS_LOSSES : FT_FLOWS_FLOWS, begin_ns, err);
        if (err != FT_OK) {
            ft_flows_respond_failure(request, err, &diag);
        }
        ft_buf_deinit(&answer.piece);
    }
    ft_query_deinit(&params.query);
}
