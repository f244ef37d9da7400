/* SPDX-License-Identifier: Apache-2.0 */
#include "web/flow_params.h"

#include <stdio.h>

#include "lib/test.h"
#include "web/cursor.h"

/* 2026-11-21T09:00:00Z */
#define NOW  INT64_C(1795251600000000000)
#define HOUR (3600 * FT_NS_PER_S)

#define ROWS   (FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_PAGE)
#define TOP    (FT_FLOW_TAKES_TIME | FT_FLOW_TAKES_GROUP)
#define SERIES (TOP | FT_FLOW_TAKES_STEP)

static ft_err parse(const char *text, unsigned takes, struct ft_flow_params *ret_params,
                    struct ft_web_refusal *refusal)
{
    struct ft_web_params params;
    struct ft_diag diag;
    CHECK_OK(ft_web_params_parse(text, &params, &diag));
    ft_err err = ft_flow_params_parse(&params, takes, NOW, ret_params, refusal);
    ft_web_params_deinit(&params);
    return err;
}

static struct ft_flow_params good(const char *text, unsigned takes)
{
    struct ft_flow_params params;
    struct ft_web_refusal refusal;
    ft_err err = parse(text, takes, &params, &refusal);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%s: %s", text, refusal.message);
    }
    return params;
}

static void bad(const char *text, unsigned takes, const char *parameter, const char *message)
{
    struct ft_flow_params params;
    struct ft_web_refusal refusal;
    if (parse(text, takes, &params, &refusal) == FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%s was taken", text);
    }
    CHECK_STR(refusal.parameter, parameter);
    if (strstr(refusal.message, message) == NULL) {
        ft_test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\"", text, refusal.message, message);
    }
}

TEST(without_parameters_it_is_the_last_hour)
{
    struct ft_flow_params params = good("", ROWS);
    CHECK_INT(params.query.begin_ns, NOW - HOUR);
    CHECK_INT(params.query.end_ns, NOW);
    CHECK_INT(params.query.rows_max, FT_QUERY_ROWS_DEFAULT);
    CHECK_INT(params.query.order, FT_ORDER_NEWEST_FIRST);
    CHECK_INT(params.format, FT_FLOW_JSON);
    CHECK_INT(params.query.timeout_ns, FT_FLOW_TIMEOUT_NS_DEFAULT);
    ft_query_deinit(&params.query);
}

static void check_range(const char *text, int64_t begin_ns, int64_t end_ns)
{
    struct ft_flow_params params = good(text, ROWS);
    CHECK_INT(params.query.begin_ns, begin_ns);
    CHECK_INT(params.query.end_ns, end_ns);
    ft_query_deinit(&params.query);
}

TEST(times_have_several_forms)
{
    check_range("begin=2026-11-21T08:00:00Z&end=2026-11-21T08:30:00Z", NOW - HOUR, NOW - HOUR / 2);
    check_range("since=2026-11-21T08:00:00Z", NOW - HOUR, NOW);
    check_range("begin=2026-11-21T09:00:00%2B02:00", NOW - 2 * HOUR, NOW);
    check_range("begin=2026-11-21T09:00:00+02:00", NOW - 2 * HOUR, NOW);
    check_range("begin=1795248000", NOW - HOUR, NOW);
    check_range("begin=1795248000000", NOW - HOUR, NOW);
    check_range("begin=1795248000000000", NOW - HOUR, NOW);
    check_range("begin=1795248000000000000", NOW - HOUR, NOW);
    check_range("begin=-2h&until=-1h", NOW - 2 * HOUR, NOW - HOUR);
    check_range("begin=-1h&end=now", NOW - HOUR, NOW);
    check_range("last=2h", NOW - 2 * HOUR, NOW);
    check_range("last=1h&end=-1h", NOW - 2 * HOUR, NOW - HOUR);
    check_range("end=-1h", NOW - 2 * HOUR, NOW - HOUR);
}

TEST(wrong_times_are_refused)
{
    bad("begin=yesterday", ROWS, "begin", "is no time");
    bad("begin=", ROWS, "begin", "is empty");
    bad("begin=-1h&begin=-2h", ROWS, "begin", "more than once");
    bad("begin=-1h&since=-2h", ROWS, "since", "another name");
    bad("begin=-1h&last=1h", ROWS, "last", "beside begin");
    bad("begin=now", ROWS, "begin", "empty");
    bad("begin=-1h&end=-2h", ROWS, "begin", "empty");
    bad("begin=99999999999999999999", ROWS, "begin", "is no time");
    bad("last=0", ROWS, "last", "is no duration");
    bad("last=-1h", ROWS, "last", "is no duration");
    bad("timeout=1h", ROWS, "timeout", "is no duration");
}

TEST(filters_are_columns)
{
    struct ft_flow_params params =
        good("src_addr=10.0.0.0/8,192.168.0.0/16&not.dst_port=53&type=end&process_name=ng*", ROWS);
    CHECK_INT(params.query.n_filters, 4);
    CHECK_INT(params.query.filters[0].column, FT_COL_SRC_ADDR);
    CHECK_INT(params.query.filters[0].n_values, 2);
    CHECK_INT(params.query.filters[1].column, FT_COL_DST_PORT);
    CHECK(params.query.filters[1].negate);
    ft_query_deinit(&params.query);
}

TEST(a_repeated_filter_adds_alternatives)
{
    struct ft_flow_params params = good("port=53&port=80,443&not.port=8080", ROWS);
    CHECK_INT(params.query.n_filters, 2);
    CHECK_INT(params.query.filters[0].n_values, 3);
    CHECK_INT(params.query.filters[1].n_values, 1);
    ft_query_deinit(&params.query);
}

TEST(what_is_unknown_is_refused_and_the_known_are_named)
{
    bad("src_adr=10.0.0.1", ROWS, "src_adr",
        "cursor, format; with or without \"not.\" time, seq, ");
    bad("src_adr=10.0.0.1", ROWS, "src_adr", ", src_addr, ");
    bad("src_adr=10.0.0.1", ROWS, "src_adr", ", loss_cause");
    bad("not.src_adr=10.0.0.1", ROWS, "not.src_adr", "unknown parameter");
    bad("by=src_addr", ROWS, "by", "unknown parameter");
    bad("step=1m&by=src_addr", TOP, "step", "unknown parameter");
    bad("begin=-1h", 0, "begin", "unknown parameter");
    bad("src_addr=10.0.0.300", ROWS, "src_addr", "is no address");
    bad("dst_port=70000", ROWS, "dst_port", "out of range");
    bad("dst_port=", ROWS, "dst_port", "is empty");
}

TEST(pages_are_bounded)
{
    struct ft_flow_params params = good("limit=10000&order=oldest", ROWS);
    CHECK_INT(params.query.rows_max, 10000);
    CHECK_INT(params.query.order, FT_ORDER_OLDEST_FIRST);
    ft_query_deinit(&params.query);
    params = good("format=csv", ROWS);
    CHECK_INT(params.limit, FT_FLOW_EXPORT_ROWS_MAX);
    CHECK_INT(params.query.rows_max, FT_QUERY_ROWS_MAX);
    ft_query_deinit(&params.query);
    bad("limit=10001", ROWS, "limit", "from 1 to 10000");
    bad("limit=0", ROWS, "limit", "from 1 to 10000");
    bad("limit=x", ROWS, "limit", "from 1 to 10000");
    bad("order=up", ROWS, "order", "newest oldest");
    bad("format=xml", ROWS, "format", "json csv ndjson");
}

TEST(a_cursor_brings_its_own_range_and_order)
{
    struct ft_web_cursor cursor = {.position = {.time_ns = NOW - HOUR, .seq = 7},
                                   .begin_ns = NOW - 5 * HOUR,
                                   .end_ns = NOW - HOUR,
                                   .order = FT_ORDER_OLDEST_FIRST};
    char text[FT_WEB_CURSOR_SIZE];
    char query[256];
    ft_web_cursor_format(&cursor, text);
    (void)snprintf(query, sizeof query, "last=1h&cursor=%s", text);
    struct ft_flow_params params = good(query, ROWS);
    CHECK(params.query.has_cursor);
    CHECK_INT(params.query.begin_ns, NOW - 5 * HOUR);
    CHECK_INT(params.query.end_ns, NOW - HOUR);
    CHECK_INT(params.query.order, FT_ORDER_OLDEST_FIRST);
    CHECK_INT(params.query.cursor.seq, 7);
    ft_query_deinit(&params.query);
    bad("cursor=AAAA", ROWS, "cursor", "gave out");
}

TEST(groups_have_columns_and_a_measure)
{
    struct ft_flow_params params = good("by=src_addr,dst_port&measure=flows&limit=5", TOP);
    CHECK_INT(params.group.n_columns, 2);
    CHECK_INT(params.group.columns[1], FT_COL_DST_PORT);
    CHECK_INT(params.group.measure, FT_MEASURE_FLOWS);
    CHECK_INT(params.group.groups_max, 5);
    CHECK_INT(params.group.step_ns, 0);
    ft_query_deinit(&params.query);
    bad("", TOP, "by", "is needed");
    bad("by=", TOP, "by", "is empty");
    bad("by=src_adr", TOP, "by", "no column");
    bad("by=a,", TOP, "by", "no column");
    bad("by=src_addr,dst_addr,src_port,dst_port,zone", TOP, "by", "more than 4");
    bad("by=src_addr&measure=weight", TOP, "measure", "bytes packets");
    bad("by=src_addr&limit=1001", TOP, "limit", "1000");
}

TEST(series_have_a_step)
{
    struct ft_flow_params params = good("", SERIES);
    CHECK_INT(params.group.step_ns, 30 * FT_NS_PER_S);
    CHECK_INT(params.group.n_columns, 0);
    ft_query_deinit(&params.query);
    params = good("last=7d", SERIES);
    CHECK_INT(params.group.step_ns, 3 * HOUR);
    ft_query_deinit(&params.query);
    params = good("last=3650d", SERIES);
    CHECK_INT(params.group.step_ns, 31 * 24 * HOUR);
    ft_query_deinit(&params.query);
    params = good("step=5m&by=protocol", SERIES);
    CHECK_INT(params.group.step_ns, 300 * FT_NS_PER_S);
    ft_query_deinit(&params.query);
    bad("step=1s", SERIES, "step", "more than 2000");
    bad("step=0", SERIES, "step", "is no duration");
}
