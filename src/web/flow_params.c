/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flow_params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "web/cursor.h"

enum name {
    NAME_BEGIN,
    NAME_SINCE,
    NAME_END,
    NAME_UNTIL,
    NAME_LAST,
    NAME_TIMEOUT,
    NAME_ORDER,
    NAME_LIMIT,
    NAME_CURSOR,
    NAME_FORMAT,
    NAME_BY,
    NAME_MEASURE,
    NAME_STEP,
    NAME_N
};

struct parser {
    const struct ft_web_params *params;
    unsigned takes;
    int64_t now_ns;
    struct ft_flow_params *out;
    struct ft_web_refusal *refusal;
    /* What was given, by the names of 'named'. */
    const char *values[NAME_N];
};

static const struct {
    const char *name;
    unsigned takes; /* Any of these bits. */
} named[NAME_N] = {
    [NAME_BEGIN] = {"begin", FT_FLOW_TAKES_TIME},
    [NAME_SINCE] = {"since", FT_FLOW_TAKES_TIME},
    [NAME_END] = {"end", FT_FLOW_TAKES_TIME},
    [NAME_UNTIL] = {"until", FT_FLOW_TAKES_TIME},
    [NAME_LAST] = {"last", FT_FLOW_TAKES_TIME},
    [NAME_TIMEOUT] = {"timeout", FT_FLOW_TAKES_TIME},
    [NAME_ORDER] = {"order", FT_FLOW_TAKES_PAGE},
    [NAME_LIMIT] = {"limit", FT_FLOW_TAKES_PAGE | FT_FLOW_TAKES_GROUP},
    [NAME_CURSOR] = {"cursor", FT_FLOW_TAKES_PAGE},
    [NAME_FORMAT] = {"format", FT_FLOW_TAKES_PAGE},
    [NAME_BY] = {"by", FT_FLOW_TAKES_GROUP},
    [NAME_MEASURE] = {"measure", FT_FLOW_TAKES_GROUP},
    [NAME_STEP] = {"step", FT_FLOW_TAKES_STEP},
};

static ft_err take_named(struct parser *parser);
static ft_err take_filters(struct parser *parser);
static ft_err take_times(struct parser *parser);
static ft_err take_page(struct parser *parser);
static ft_err take_group(struct parser *parser);
static ft_err take_step(struct parser *parser);

ft_err ft_flow_params_parse(const struct ft_web_params *params, unsigned takes, int64_t now_ns,
                            struct ft_flow_params *ret_params,
                            struct ft_web_refusal *reterr_refusal)
{
    struct parser parser = {.params = params,
                            .takes = takes,
                            .now_ns = now_ns,
                            .out = ret_params,
                            .refusal = reterr_refusal};
    *reterr_refusal = (struct ft_web_refusal){.code = "invalid_parameter"};
    *ret_params = (struct ft_flow_params){0};
    ft_query_init(&ret_params->query);
    ft_err err = take_named(&parser);
    err = err == FT_OK ? take_filters(&parser) : err;
    err = err == FT_OK && (takes & FT_FLOW_TAKES_TIME) != 0 ? take_times(&parser) : err;
    err = err == FT_OK && (takes & FT_FLOW_TAKES_PAGE) != 0 ? take_page(&parser) : err;
    err = err == FT_OK && (takes & FT_FLOW_TAKES_GROUP) != 0 ? take_group(&parser) : err;
    err = err == FT_OK && (takes & FT_FLOW_TAKES_STEP) != 0 ? take_step(&parser) : err;
    if (err != FT_OK) {
        ft_query_deinit(&ret_params->query);
    }
    return err;
}

static ft_err refuse(struct parser *parser, ft_err err, const char *parameter, const char *why)
{
    (void)snprintf(parser->refusal->parameter, sizeof parser->refusal->parameter, "%s", parameter);
    (void)snprintf(parser->refusal->message, sizeof parser->refusal->message, "%s: %s", parameter,
                   why);
    return err;
}

static ft_err refuse_unknown(struct parser *parser, const char *parameter)
{
    struct ft_buf known;
    ft_buf_init(&known, 0);
    for (unsigned i = 0; i < NAME_N; i++) {
        if ((named[i].takes & parser->takes) != 0) {
            ft_buf_addf(&known, "%s%s", known.size > 0 ? ", " : "", named[i].name);
        }
    }
    ft_buf_addf(&known, "%swith or without \"not.\" ", known.size > 0 ? "; " : "");
    for (unsigned i = 0; i < FT_COLUMN_N; i++) {
        ft_buf_addf(&known, "%s%s", i > 0 ? ", " : "", ft_column_name((enum ft_column)i));
    }
    ft_err err = refuse(parser, FT_E_UNKNOWN_KEY, parameter, "");
    (void)snprintf(parser->refusal->message, sizeof parser->refusal->message,
                   "unknown parameter \"%s\"; known here: %s", parameter, ft_buf_str(&known));
    parser->refusal->code = "unknown_parameter";
    ft_buf_deinit(&known);
    return err;
}

/* Is the parameter a filter?  'column' is its name without "not.". */
static bool is_filter(const char *name, bool *ret_negate, const char **ret_column)
{
    enum ft_column column;
    *ret_negate = strncmp(name, "not.", 4) == 0;
    *ret_column = *ret_negate ? name + 4 : name;
    return ft_column_parse(*ret_column, &column);
}

static ft_err take_named(struct parser *parser)
{
    for (size_t i = 0; i < parser->params->n; i++) {
        const struct ft_web_param *param = &parser->params->items[i];
        unsigned name = 0;
        while (name < NAME_N && ((named[name].takes & parser->takes) == 0 ||
                                 strcmp(named[name].name, param->name) != 0)) {
            name++;
        }
        bool negate;
        const char *column;
        if (name == NAME_N && !is_filter(param->name, &negate, &column)) {
            return refuse_unknown(parser, param->name);
        }
        if (name == NAME_N) {
            continue;
        }
        if (parser->values[name] != NULL) {
            return refuse(parser, FT_E_SYNTAX, param->name, "given more than once");
        }
        if (param->value[0] == '\0') {
            return refuse(parser, FT_E_SYNTAX, param->name, "is empty");
        }
        parser->values[name] = param->value;
    }
    return FT_OK;
}

/* All values of one filter, which may be given several times, joined by commas. */
static ft_err take_filter(struct parser *parser, size_t first)
{
    const struct ft_web_param *items = parser->params->items;
    struct ft_buf values;
    ft_buf_init(&values, 0);
    for (size_t i = first; i < parser->params->n; i++) {
        if (strcmp(items[i].name, items[first].name) == 0) {
            ft_buf_add_str(&values, i > first ? "," : "");
            ft_buf_add_str(&values, items[i].value);
        }
    }
    bool negate;
    const char *column;
    (void)is_filter(items[first].name, &negate, &column);
    struct ft_diag diag = {0};
    ft_err err = values.err;
    if (err == FT_OK) {
        err = ft_query_add_filter(&parser->out->query, column, ft_buf_str(&values), negate, &diag);
    }
    ft_buf_deinit(&values);
    return err == FT_OK ? FT_OK : refuse(parser, err, items[first].name, diag.text);
}

static ft_err take_filters(struct parser *parser)
{
    const struct ft_web_param *items = parser->params->items;
    for (size_t i = 0; i < parser->params->n; i++) {
        bool negate;
        const char *column;
        bool taken = !is_filter(items[i].name, &negate, &column);
        for (size_t before = 0; before < i && !taken; before++) {
            taken = strcmp(items[before].name, items[i].name) == 0;
        }
        if (!taken) {
            FT_TRY(take_filter(parser, i));
        }
    }
    return FT_OK;
}

/* Whole units since 1970: the number of digits says which, until the year 5138. */
static ft_err parse_unix(const char *text, int64_t *ret_ns)
{
    size_t n_digits = strlen(text);
    int64_t unit = n_digits <= 11   ? FT_NS_PER_S
                   : n_digits <= 14 ? FT_NS_PER_MS
                   : n_digits <= 17 ? FT_NS_PER_US
                                    : 1;
    uint64_t number;
    FT_TRY(ft_parse_u64(text, INT64_MAX, &number));
    return __builtin_mul_overflow((int64_t)number, unit, ret_ns) ? FT_E_RANGE : FT_OK;
}

ft_err ft_flow_time_parse(const char *text, int64_t now_ns, int64_t *ret_ns)
{
    int64_t ago_ns;
    if (strcmp(text, "now") == 0) {
        *ret_ns = now_ns;
        return FT_OK;
    }
    if (text[0] == '-') {
        FT_TRY(ft_parse_duration(text + 1, &ago_ns));
        return __builtin_sub_overflow(now_ns, ago_ns, ret_ns) ? FT_E_RANGE : FT_OK;
    }
    if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text)) {
        return parse_unix(text, ret_ns);
    }
    /* A '+' before an offset that was not percent-encoded has become a space. */
    char copy[64];
    if (strlen(text) >= sizeof copy) {
        return FT_E_SYNTAX;
    }
    (void)snprintf(copy, sizeof copy, "%s", text);
    char *space = strrchr(copy, ' ');
    if (space != NULL && strchr(copy, 'T') != NULL) {
        *space = '+';
    }
    return ft_parse_rfc3339(copy, ret_ns);
}

/* One of two names for a point of time; 'fallback' when neither is given. */
static ft_err take_time(struct parser *parser, enum name name, enum name alias, int64_t fallback,
                        int64_t *ret_ns)
{
    enum name given = parser->values[name] != NULL ? name : alias;
    const char *text = parser->values[given];
    if (parser->values[name] != NULL && parser->values[alias] != NULL) {
        return refuse(parser, FT_E_SYNTAX, named[alias].name, "is another name of one given too");
    }
    *ret_ns = fallback;
    if (text == NULL) {
        return FT_OK;
    }
    ft_err err = ft_flow_time_parse(text, parser->now_ns, ret_ns);
    if (err != FT_OK) {
        return refuse(parser, err, named[given].name,
                      "is no time: write 2026-01-31T12:00:00Z, seconds since 1970, now, or -1h");
    }
    return FT_OK;
}

static ft_err take_duration(struct parser *parser, enum name name, int64_t min_ns, int64_t max_ns,
                            int64_t *ret_ns)
{
    const char *text = parser->values[name];
    if (text == NULL) {
        return FT_OK;
    }
    ft_err err = ft_parse_duration(text, ret_ns);
    if (err == FT_OK && (*ret_ns < min_ns || *ret_ns > max_ns)) {
        err = FT_E_RANGE;
    }
    if (err == FT_OK) {
        return FT_OK;
    }
    char min[64];
    char max[64];
    char why[192];
    ft_format_duration(min_ns, min, sizeof min);
    ft_format_duration(max_ns, max, sizeof max);
    (void)snprintf(why, sizeof why, "is no duration from %s to %s", min, max);
    return refuse(parser, err, named[name].name, why);
}

static ft_err take_times(struct parser *parser)
{
    struct ft_query *query = &parser->out->query;
    int64_t span_ns = FT_FLOW_SPAN_NS_DEFAULT;
    query->timeout_ns = FT_FLOW_TIMEOUT_NS_DEFAULT;
    FT_TRY(take_duration(parser, NAME_TIMEOUT, FT_NS_PER_MS, FT_FLOW_TIMEOUT_NS_MAX,
                         &query->timeout_ns));
    FT_TRY(take_duration(parser, NAME_LAST, FT_NS_PER_MS, INT64_MAX, &span_ns));
    bool has_begin = parser->values[NAME_BEGIN] != NULL || parser->values[NAME_SINCE] != NULL;
    if (has_begin && parser->values[NAME_LAST] != NULL) {
        return refuse(parser, FT_E_SYNTAX, "last", "cannot stand beside begin");
    }
    FT_TRY(take_time(parser, NAME_END, NAME_UNTIL, parser->now_ns, &query->end_ns));
    int64_t begin_ns;
    if (__builtin_sub_overflow(query->end_ns, span_ns, &begin_ns)) {
        begin_ns = INT64_MIN;
    }
    FT_TRY(take_time(parser, NAME_BEGIN, NAME_SINCE, begin_ns, &query->begin_ns));
    if (query->begin_ns >= query->end_ns) {
        return refuse(parser, FT_E_RANGE, has_begin ? "begin" : "end",
                      "the time range is empty: begin must be before end");
    }
    return FT_OK;
}

static ft_err take_limit(struct parser *parser, uint64_t fallback, uint64_t max)
{
    parser->out->limit = fallback;
    const char *text = parser->values[NAME_LIMIT];
    if (text != NULL &&
        (ft_parse_u64(text, max, &parser->out->limit) != FT_OK || parser->out->limit == 0)) {
        char why[64];
        (void)snprintf(why, sizeof why, "is no number from 1 to %llu", (unsigned long long)max);
        return refuse(parser, FT_E_RANGE, "limit", why);
    }
    return FT_OK;
}

/* The index of 'text' among 'n' names; refuses others. */
static ft_err take_choice(struct parser *parser, enum name name, const char *const *choices,
                          unsigned n, unsigned *ret_choice)
{
    const char *text = parser->values[name];
    *ret_choice = 0;
    if (text == NULL) {
        return FT_OK;
    }
    char why[128] = "is none of";
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(choices[i], text) == 0) {
            *ret_choice = i;
            return FT_OK;
        }
        size_t at = strlen(why);
        (void)snprintf(why + at, sizeof why - at, " %s", choices[i]);
    }
    return refuse(parser, FT_E_SYNTAX, named[name].name, why);
}

static ft_err take_page(struct parser *parser)
{
    static const char *const formats[] = {"json", "csv", "ndjson"};
    static const char *const orders[] = {"newest", "oldest"};
    struct ft_query *query = &parser->out->query;
    unsigned choice;
    FT_TRY(take_choice(parser, NAME_FORMAT, formats, 3, &choice));
    parser->out->format = (enum ft_flow_format)choice;
    FT_TRY(take_choice(parser, NAME_ORDER, orders, 2, &choice));
    query->order = (enum ft_query_order)choice;
    bool json = parser->out->format == FT_FLOW_JSON;
    FT_TRY(take_limit(parser, json ? FT_QUERY_ROWS_DEFAULT : FT_FLOW_EXPORT_ROWS_MAX,
                      json ? FT_FLOW_JSON_ROWS_MAX : FT_FLOW_EXPORT_ROWS_MAX));
    query->rows_max =
        parser->out->limit < FT_QUERY_ROWS_MAX ? (uint32_t)parser->out->limit : FT_QUERY_ROWS_MAX;
    if (parser->values[NAME_CURSOR] == NULL) {
        return FT_OK;
    }
    struct ft_web_cursor cursor;
    ft_err err = ft_web_cursor_parse(parser->values[NAME_CURSOR], &cursor);
    if (err != FT_OK) {
        return refuse(parser, err, "cursor", "is not one that this server gave out");
    }
    query->has_cursor = true;
    query->cursor = cursor.position;
    query->begin_ns = cursor.begin_ns;
    query->end_ns = cursor.end_ns;
    query->order = cursor.order;
    return FT_OK;
}

static ft_err take_columns(struct parser *parser)
{
    struct ft_group *group = &parser->out->group;
    char *copy = strdup(parser->values[NAME_BY]);
    if (copy == NULL) {
        return ft_err_last();
    }
    ft_err err = FT_OK;
    char *rest = copy;
    for (char *name = strsep(&rest, ","); name != NULL && err == FT_OK; name = strsep(&rest, ",")) {
        enum ft_column column;
        if (group->n_columns == FT_GROUP_COLUMNS_MAX) {
            err = refuse(parser, FT_E_RANGE, "by", "has more than 4 columns");
        } else if (!ft_column_parse(name, &column)) {
            err = refuse(parser, FT_E_SYNTAX, "by", "names what is no column");
        } else {
            group->columns[group->n_columns++] = column;
        }
    }
    free(copy);
    return err;
}

static ft_err take_group(struct parser *parser)
{
    struct ft_group *group = &parser->out->group;
    FT_TRY(take_limit(parser, FT_FLOW_GROUPS_DEFAULT, FT_FLOW_GROUPS_MAX));
    group->groups_max = (uint32_t)parser->out->limit;
    const char *measure = parser->values[NAME_MEASURE];
    if (measure != NULL && !ft_measure_parse(measure, &group->measure)) {
        return refuse(parser, FT_E_SYNTAX, "measure",
                      "is none of bytes packets rx_bytes tx_bytes events flows");
    }
    if (parser->values[NAME_BY] != NULL) {
        return take_columns(parser);
    }
    if ((parser->takes & FT_FLOW_TAKES_STEP) == 0) {
        return refuse(parser, FT_E_SYNTAX, "by", "is needed: the columns to group by");
    }
    return FT_OK;
}

/* About a hundred buckets of a width that people count in. */
static int64_t usual_step(int64_t span_ns)
{
    static const int64_t steps_s[] = {1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200};
    for (size_t i = 0; i < sizeof steps_s / sizeof steps_s[0]; i++) {
        if (span_ns / (steps_s[i] * FT_NS_PER_S) <= 120) {
            return steps_s[i] * FT_NS_PER_S;
        }
    }
    int64_t days = span_ns / (86400 * FT_NS_PER_S) / 120 + 1;
    return days * 86400 * FT_NS_PER_S;
}

static ft_err take_step(struct parser *parser)
{
    const struct ft_query *query = &parser->out->query;
    int64_t span_ns;
    if (__builtin_sub_overflow(query->end_ns, query->begin_ns, &span_ns)) {
        return refuse(parser, FT_E_RANGE, "begin", "the time range is too long");
    }
    int64_t step_ns = usual_step(span_ns);
    FT_TRY(take_duration(parser, NAME_STEP, FT_NS_PER_MS, INT64_MAX, &step_ns));
    if (span_ns / step_ns > FT_FLOW_BUCKETS_MAX) {
        return refuse(parser, FT_E_RANGE, "step",
                      "is too small: more than 2000 buckets in the time range");
    }
    parser->out->group.step_ns = step_ns;
    return FT_OK;
}
