/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/filters.h"

#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "http/client.h"

static ft_err parse_time(const char *flag, const char *text, int64_t now_ns, int64_t *ret_ns,
                         struct ft_diag *reterr_diag);
static void add_time(const char *name, int64_t real_ns, struct ft_buf *out);

void ft_cli_filters_init(struct ft_cli_filters *filters)
{
    *filters = (struct ft_cli_filters){.begin_ns = INT64_MIN, .end_ns = INT64_MAX};
}

void ft_cli_filters_deinit(struct ft_cli_filters *filters)
{
    for (unsigned i = 0; i < filters->n; i++) {
        ft_buf_deinit(&filters->items[i].values);
    }
    filters->n = 0;
}

/* The column's name is the API's; the person wrote a flag. */
static ft_err check_values(const char *flag, const char *column, const char *values,
                           struct ft_diag *reterr_diag)
{
    struct ft_query scratch;
    struct ft_diag diag = {0};
    ft_query_init(&scratch);
    ft_err err = ft_query_add_filter(&scratch, column, values, false, &diag);
    ft_query_deinit(&scratch);
    if (err == FT_OK) {
        return FT_OK;
    }
    const char *text = diag.text[0] != '\0' ? diag.text : ft_err_text(err);
    size_t len = strlen(column);
    if (strncmp(text, column, len) == 0 && strncmp(text + len, ": ", 2) == 0) {
        text += len + 2;
    }
    return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s: %s", flag, text);
}

ft_err ft_cli_filters_add(struct ft_cli_filters *filters, const char *flag, const char *column,
                          const char *values, bool negate, struct ft_diag *reterr_diag)
{
    FT_TRY(check_values(flag, column, values, reterr_diag));
    enum ft_column number = FT_COLUMN_N;
    (void)ft_column_parse(column, &number);
    unsigned i = 0;
    while (i < filters->n &&
           (filters->items[i].column != number || filters->items[i].negate != negate)) {
        i++;
    }
    if (i == FT_QUERY_FILTERS_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0, "%s: more than %d filters", flag,
                           FT_QUERY_FILTERS_MAX);
    }
    struct ft_cli_filter *filter = &filters->items[i];
    if (i == filters->n) {
        *filter = (struct ft_cli_filter){.column = number, .negate = negate};
        ft_buf_init(&filter->values, 0);
        filters->n++;
    } else {
        ft_buf_add_char(&filter->values, ',');
    }
    ft_buf_add_str(&filter->values, values);
    return filter->values.err;
}

ft_err ft_cli_filters_set_time(struct ft_cli_filters *filters, const char *since, const char *until,
                               int64_t now_ns, struct ft_diag *reterr_diag)
{
    if (since[0] != '\0') {
        FT_TRY(parse_time("--since", since, now_ns, &filters->begin_ns, reterr_diag));
    }
    if (until[0] != '\0') {
        FT_TRY(parse_time("--until", until, now_ns, &filters->end_ns, reterr_diag));
    }
    if (filters->begin_ns >= filters->end_ns) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "--since must be before --until: there is nothing in between");
    }
    return FT_OK;
}

void ft_cli_filters_format(struct ft_cli_filters *filters, bool with_time, struct ft_buf *out)
{
    for (unsigned i = 0; i < filters->n; i++) {
        ft_buf_addf(out, "&%s%s=", filters->items[i].negate ? "not." : "",
                    ft_column_name(filters->items[i].column));
        ft_http_add_escaped(out, ft_buf_str(&filters->items[i].values));
    }
    if (with_time) {
        /* Without a begin the server takes the last hour. */
        add_time("begin", filters->begin_ns != INT64_MIN ? filters->begin_ns : 0, out);
        if (filters->end_ns != INT64_MAX) {
            add_time("end", filters->end_ns, out);
        }
    }
}

ft_err ft_cli_filters_to_query(struct ft_cli_filters *filters, struct ft_query *ret_query,
                               struct ft_diag *reterr_diag)
{
    ft_query_init(ret_query);
    ret_query->begin_ns = filters->begin_ns;
    ret_query->end_ns = filters->end_ns;
    ft_err err = FT_OK;
    for (unsigned i = 0; i < filters->n && err == FT_OK; i++) {
        struct ft_cli_filter *filter = &filters->items[i];
        err = ft_query_add_filter(ret_query, ft_column_name(filter->column),
                                  ft_buf_str(&filter->values), filter->negate, reterr_diag);
    }
    if (err != FT_OK) {
        ft_query_deinit(ret_query);
    }
    return err;
}

static ft_err parse_time(const char *flag, const char *text, int64_t now_ns, int64_t *ret_ns,
                         struct ft_diag *reterr_diag)
{
    int64_t ago_ns;
    if (ft_parse_duration(text, &ago_ns) == FT_OK) {
        *ret_ns = now_ns - ago_ns;
        return FT_OK;
    }
    ft_err err = ft_parse_rfc3339(text, ret_ns);
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0,
                           "%s: \"%s\" is no time: write 2026-01-31T12:00:00Z, or how long ago: "
                           "10m, 2h30m",
                           flag, text);
    }
    return FT_OK;
}

static void add_time(const char *name, int64_t real_ns, struct ft_buf *out)
{
    char when[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(real_ns, 9, when);
    ft_buf_addf(out, "&%s=%s", name, when);
}
