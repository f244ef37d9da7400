/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query of a URL to the flow API.  The first byte chooses which parameters the route takes, the
 * rest is the query.  What is taken must keep the bounds; a cursor that is taken must be the one
 * text of its content.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "web/cursor.h"
#include "web/flow_params.h"
#include "web/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1795251600000000000)

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_cursor(const char *text)
{
    struct ft_web_cursor cursor;
    if (ft_web_cursor_parse(text, &cursor) == FT_OK) {
        char again[FT_WEB_CURSOR_SIZE];
        ft_web_cursor_format(&cursor, again);
        must(strcmp(text, again) == 0);
    }
}

static void check_params(const struct ft_web_params *params, unsigned takes)
{
    struct ft_flow_params flow_params;
    struct ft_web_refusal refusal;
    ft_err err = ft_flow_params_parse(params, takes, NOW, &flow_params, &refusal);
    if (err != FT_OK) {
        must(refusal.message[0] != '\0' && refusal.code != NULL);
        return;
    }
    const struct ft_query *query = &flow_params.query;
    must(query->n_filters <= FT_QUERY_FILTERS_MAX);
    must(query->rows_max <= FT_QUERY_ROWS_MAX);
    must(flow_params.group.n_columns <= FT_GROUP_COLUMNS_MAX);
    must(flow_params.limit <= FT_FLOW_EXPORT_ROWS_MAX);
    if ((takes & FT_FLOW_TAKES_TIME) != 0 && !query->has_cursor) {
        must(query->begin_ns < query->end_ns);
        must(query->timeout_ns > 0 && query->timeout_ns <= FT_FLOW_TIMEOUT_NS_MAX);
    }
    if ((takes & FT_FLOW_TAKES_STEP) != 0) {
        must(flow_params.group.step_ns > 0);
    }
    ft_query_deinit(&flow_params.query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static const unsigned takes[] = {0, FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_PAGE,
                                     FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_GROUP,
                                     FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_GROUP | FT_FLOW_TAKES_STEP};
    char *query = malloc(size);
    must(query != NULL);
    memcpy(query, data + 1, size - 1);
    query[size - 1] = '\0';
    check_cursor(query);
    (void)ft_web_host_is_allowed(query, NULL, 0);
    struct ft_web_params params;
    struct ft_diag diag;
    if (ft_web_params_parse(query, &params, &diag) == FT_OK) {
        must(params.n <= FT_WEB_PARAMS_MAX);
        check_params(&params, takes[data[0] % 4]);
        for (size_t i = 0; i < params.n; i++) {
            check_cursor(params.items[i].value);
        }
        ft_web_params_deinit(&params);
    }
    free(query);
    return 0;
}
