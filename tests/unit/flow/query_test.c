/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"

/* A row that has everything. */
static struct ft_row full_row(void)
{
    struct ft_row row = {
        .event =
            {
                .seq = 7,
                .time_ns = 1767225600000000000, /* 2026-01-01T00:00:00Z */
                .fields = FT_FIELD_ALL & ~(FT_FIELD_IPV6 | FT_FIELD_INFERRED),
                .type = FT_EVENT_END,
                .direction = FT_DIR_EGRESS,
                .traffic_class = FT_CLASS_EXIT,
                .protocol = FT_PROTO_TCP,
                .tcp_state = 3,
                .icmp_type = 8,
                .icmp_code = 1,
                .src_port = 40000,
                .dst_port = 443,
                .nat_src_port = 8443,
                .nat_dst_port = 50000,
                .zone = 4,
                .ct_id = 99,
                .mark = 0x1bd00,
                .rx_packets = 3,
                .rx_bytes = 1000,
                .tx_packets = 4,
                .tx_bytes = 2000,
                .pid = 4711,
                .uid = 1000,
                .loss = {.cause = FT_LOSS_LOG_FULL},
                .process_name = "curl",
                .container_id = "c0ffee",
                .user_name = "jo",
                .src_name = "host.example",
                .dst_name = "www.example.org",
                .rule_id = "r1",
                .src_resource_id = "s1",
                .dst_resource_id = "d1",
            },
    };
    bool ipv6;
    CHECK_OK(ft_addr_parse("10.1.2.3", &row.event.src, &ipv6));
    CHECK_OK(ft_addr_parse("192.0.2.1", &row.event.dst, &ipv6));
    CHECK_OK(ft_addr_parse("198.51.100.7", &row.event.nat_src, &ipv6));
    CHECK_OK(ft_addr_parse("203.0.113.9", &row.event.nat_dst, &ipv6));
    memset(row.agent_id.bytes, 0xa1, 16);
    memset(row.instance_id.bytes, 0xb2, 16);
    memset(row.event_id.bytes, 0xc3, 16);
    memset(row.flow_id.bytes, 0xd4, 16);
    return row;
}

static bool matches(const struct ft_row *row, const char *column, const char *values, bool negate)
{
    struct ft_query query;
    struct ft_diag diag = {0};
    ft_query_init(&query);
    ft_err err = ft_query_add_filter(&query, column, values, negate, &diag);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%s=%s: %s", column, values, diag.text);
    }
    bool is = ft_query_matches(&query, row);
    ft_query_deinit(&query);
    return is;
}

struct filter_case {
    const char *column;
    const char *hit;
    const char *miss;
    uint32_t field; /* Without it the column is absent; 0: always there. */
};

static const struct filter_case filter_cases[] = {
    {"time", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 0},
    {"seq", "1-7", "8-", 0},
    {"agent_id", "a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1", "a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a2", 0},
    {"instance_id", "b2b2b2b2-b2b2-b2b2-b2b2-b2b2b2b2b2b2", "a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1",
     0},
    {"event_id", "c3c3c3c3-c3c3-c3c3-c3c3-c3c3c3c3c3c3", "a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1", 0},
    {"flow_id", "d4d4d4d4-d4d4-d4d4-d4d4-d4d4d4d4d4d4", "a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1",
     FT_FIELD_FLOW},
    {"type", "start,END", "update", 0},
    {"direction", "egress", "ingress,local", 0},
    {"traffic_class", "EXIT", "virtual", 0},
    {"protocol", "tcp", "udp,17,58", FT_FIELD_TUPLE},
    {"src_addr", "10.0.0.0/8", "10.1.2.4", FT_FIELD_TUPLE},
    {"dst_addr", "192.0.2.1", "192.0.2.0/32", FT_FIELD_TUPLE},
    {"src_port", "40000-50000", "443", FT_FIELD_PORTS},
    {"dst_port", "80,443", "0-442,444-", FT_FIELD_PORTS},
    {"port", "443", "8443", FT_FIELD_PORTS},
    {"port", "40000", "444", FT_FIELD_PORTS},
    {"ip_version", "ipv4", "6", FT_FIELD_TUPLE},
    {"icmp_type", "8", "0", FT_FIELD_ICMP},
    {"icmp_code", "1", "0", FT_FIELD_ICMP},
    {"nat_src_addr", "198.51.100.0/24", "10.0.0.0/8", FT_FIELD_NAT},
    {"nat_dst_addr", "203.0.113.9", "203.0.113.8", FT_FIELD_NAT},
    {"nat_src_port", "8443", "443", FT_FIELD_NAT},
    {"nat_dst_port", "50000", "443", FT_FIELD_NAT},
    {"rx_packets", "3", "4", FT_FIELD_COUNTERS},
    {"rx_bytes", "1000", "2000", FT_FIELD_COUNTERS},
    {"tx_packets", "4-", "3", FT_FIELD_COUNTERS},
    {"tx_bytes", "2000", "1000", FT_FIELD_COUNTERS},
    {"bytes", "3000", "2999", FT_FIELD_COUNTERS},
    {"packets", "7", "3", FT_FIELD_COUNTERS},
    {"tcp_state", "established", "close", FT_FIELD_TCP_STATE},
    {"mark", "0x1bd00", "0x1bd01", FT_FIELD_MARK},
    {"zone", "4", "0", FT_FIELD_ZONE},
    {"conntrack_id", "99", "98", FT_FIELD_FLOW},
    {"pid", "4711", "1", FT_FIELD_PROCESS},
    {"process_name", "curl", "cur", FT_FIELD_PROCESS},
    {"container_id", "c0f*", "d*", FT_FIELD_CONTAINER},
    {"uid", "1000", "0", FT_FIELD_USER},
    {"user_name", "root,jo", "root", FT_FIELD_USER},
    {"src_name", "host.*", "HOST.*", FT_FIELD_DNS},
    {"dst_name", "www.example.org", "www.example.*.org", FT_FIELD_DNS},
    {"rule_id", "*", "r", FT_FIELD_RULE},
    {"src_resource_id", "s1", "d1", FT_FIELD_RESOURCE},
    {"dst_resource_id", "d1", "s1", FT_FIELD_RESOURCE},
    {"inferred", "false", "true", 0},
    {"loss_cause", "log_full", "parse", FT_FIELD_LOSS},
};

TEST(each_column_matches_and_does_not)
{
    struct ft_row row = full_row();
    for (size_t i = 0; i < sizeof filter_cases / sizeof filter_cases[0]; i++) {
        const struct filter_case *c = &filter_cases[i];
        if (!matches(&row, c->column, c->hit, false) || matches(&row, c->column, c->hit, true) ||
            matches(&row, c->column, c->miss, false) || !matches(&row, c->column, c->miss, true)) {
            ft_test_fail(__FILE__, __LINE__, "column %s", c->column);
        }
    }
}

TEST(absent_column_matches_nothing_and_passes_a_negated_filter)
{
    for (size_t i = 0; i < sizeof filter_cases / sizeof filter_cases[0]; i++) {
        const struct filter_case *c = &filter_cases[i];
        struct ft_row row = full_row();
        row.event.fields &= ~c->field;
        if (c->field != 0 &&
            (matches(&row, c->column, c->hit, false) || !matches(&row, c->column, c->hit, true))) {
            ft_test_fail(__FILE__, __LINE__, "column %s", c->column);
        }
    }
}

TEST(every_column_has_a_name_that_parses_and_a_case_here)
{
    for (unsigned i = 0; i < FT_COLUMN_N; i++) {
        enum ft_column column;
        CHECK(ft_column_parse(ft_column_name((enum ft_column)i), &column));
        CHECK_INT(column, i);
        bool found = i == FT_COL_ADDR; /* Has its own test. */
        for (size_t j = 0; j < sizeof filter_cases / sizeof filter_cases[0]; j++) {
            found |= strcmp(filter_cases[j].column, ft_column_name(column)) == 0;
        }
        if (!found) {
            ft_test_fail(__FILE__, __LINE__, "no case for %s", ft_column_name(column));
        }
    }
    for (unsigned i = 0; i < FT_MEASURE_N; i++) {
        enum ft_measure measure;
        CHECK(ft_measure_parse(ft_measure_name((enum ft_measure)i), &measure));
        CHECK_INT(measure, i);
    }
}

TEST(addr_is_any_of_the_four)
{
    struct ft_row row = full_row();
    static const char *const all[] = {"10.1.2.3", "192.0.2.1", "198.51.100.7", "203.0.113.9"};
    for (size_t i = 0; i < 4; i++) {
        CHECK(matches(&row, "addr", all[i], false));
    }
    row.event.fields &= ~FT_FIELD_NAT;
    CHECK(matches(&row, "addr", all[1], false));
    CHECK(!matches(&row, "addr", all[2], false));
    CHECK(!matches(&row, "addr", "::/0", false));
}

TEST(ipv6_prefix_is_not_matched_by_ipv4_bytes)
{
    struct ft_row row = full_row();
    bool ipv6;
    row.event.fields |= FT_FIELD_IPV6;
    CHECK_OK(ft_addr_parse("2001:db8::1", &row.event.src, &ipv6));
    CHECK_OK(ft_addr_parse("a01:203::", &row.event.dst, &ipv6));
    CHECK(matches(&row, "src_addr", "2001:db8::/32", false));
    CHECK(!matches(&row, "src_addr", "2001:db8:1::/48", false));
    CHECK(!matches(&row, "dst_addr", "10.1.2.3", false)); /* The same first four bytes. */
}

TEST(time_bounds_are_half_open)
{
    struct ft_row row = full_row();
    struct ft_query query;
    ft_query_init(&query);
    CHECK(ft_query_matches(&query, &row));
    query.begin_ns = row.event.time_ns;
    CHECK(ft_query_matches(&query, &row));
    query.end_ns = row.event.time_ns;
    CHECK(!ft_query_matches(&query, &row));
    ft_query_deinit(&query);
}

TEST(filters_are_all_required)
{
    struct ft_row row = full_row();
    struct ft_query query;
    ft_query_init(&query);
    CHECK_OK(ft_query_add_filter(&query, "dst_port", "443", false, NULL));
    CHECK_OK(ft_query_add_filter(&query, "process_name", "curl", false, NULL));
    CHECK(ft_query_matches(&query, &row));
    CHECK_OK(ft_query_add_filter(&query, "direction", "egress", true, NULL));
    CHECK(!ft_query_matches(&query, &row));
    ft_query_deinit(&query);
}

TEST(a_comma_in_a_text_is_escaped)
{
    struct ft_row row = full_row();
    row.event.process_name = "a,b\\c";
    CHECK(matches(&row, "process_name", "x,a\\,b\\c", false));
    CHECK(!matches(&row, "process_name", "a,b\\c", false));
}

TEST(refusals_say_what_and_where)
{
    static const struct {
        const char *column;
        const char *values;
        ft_err err;
        unsigned at;
    } cases[] = {
        {"colour", "red", FT_E_UNKNOWN_KEY, 0},     {"dst_port", "443,70000", FT_E_RANGE, 5},
        {"dst_port", "", FT_E_SYNTAX, 1},           {"dst_port", "443,", FT_E_SYNTAX, 5},
        {"dst_port", "9-5", FT_E_RANGE, 1},         {"dst_port", "-5", FT_E_SYNTAX, 1},
        {"dst_port", "44x", FT_E_SYNTAX, 1},        {"type", "begin", FT_E_SYNTAX, 1},
        {"src_addr", "10.0.0.1/8", FT_E_SYNTAX, 1}, {"src_addr", "10.0.0", FT_E_SYNTAX, 1},
        {"agent_id", "a1", FT_E_SYNTAX, 1},         {"mark", "0x", FT_E_SYNTAX, 1},
        {"mark", "0x100000000", FT_E_RANGE, 1},     {"seq", "18446744073709551616", FT_E_RANGE, 1},
        {"inferred", "maybe", FT_E_SYNTAX, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_query query;
        struct ft_diag diag = {0};
        ft_query_init(&query);
        CHECK_ERR(ft_query_add_filter(&query, cases[i].column, cases[i].values, false, &diag),
                  cases[i].err);
        CHECK_INT(diag.column, cases[i].at);
        CHECK(diag.text[0] != '\0');
        CHECK_INT(query.n_filters, 0);
        ft_query_deinit(&query);
    }
}

TEST(bounds_on_values_filters_and_length)
{
    struct ft_query query;
    ft_query_init(&query);
    char many[4 * FT_FILTER_VALUES_MAX + 8] = "1";
    for (unsigned i = 1; i < FT_FILTER_VALUES_MAX; i++) {
        strcat(many, ",1");
    }
    CHECK_OK(ft_query_add_filter(&query, "pid", many, false, NULL));
    strcat(many, ",1");
    CHECK_ERR(ft_query_add_filter(&query, "pid", many, false, NULL), FT_E_RANGE);
    char text[FT_EVENT_STRING_LEN_MAX + 2];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    CHECK_ERR(ft_query_add_filter(&query, "rule_id", text, false, NULL), FT_E_RANGE);
    text[sizeof text - 2] = '\0';
    CHECK_OK(ft_query_add_filter(&query, "rule_id", text, false, NULL));
    while (query.n_filters < FT_QUERY_FILTERS_MAX) {
        CHECK_OK(ft_query_add_filter(&query, "pid", "1", false, NULL));
    }
    CHECK_ERR(ft_query_add_filter(&query, "pid", "1", false, NULL), FT_E_RANGE);
    ft_query_deinit(&query);
}
