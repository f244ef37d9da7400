/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "lib/test.h"
#include "rows.h"
#include "store.h"

static struct collected rows;

/* -------------------------------------------------------------------- what comes back */

static void check_text(const char *got, const char *expected)
{
    if (expected == NULL || expected[0] == '\0') {
        CHECK(got == NULL);
    } else {
        CHECK_STR(got, expected);
    }
}

/* Field by field: padding and pointers differ. */
static void check_same(const struct ft_row *got, const struct ft_row *expected)
{
    struct ft_row a = *got;
    struct ft_row b = *expected;
    check_text(a.event.process_name, b.event.process_name);
    check_text(a.event.container_id, b.event.container_id);
    check_text(a.event.user_name, b.event.user_name);
    check_text(a.event.src_name, b.event.src_name);
    check_text(a.event.dst_name, b.event.dst_name);
    check_text(a.event.rule_id, b.event.rule_id);
    check_text(a.event.src_resource_id, b.event.src_resource_id);
    check_text(a.event.dst_resource_id, b.event.dst_resource_id);
#define SAME(member) CHECK_BYTES(&a.member, sizeof a.member, &b.member, sizeof b.member)
    SAME(event.seq);
    SAME(event.time_ns);
    SAME(event.fields);
    SAME(event.type);
    SAME(event.direction);
    SAME(event.traffic_class);
    SAME(event.protocol);
    SAME(event.tcp_state);
    SAME(event.icmp_type);
    SAME(event.icmp_code);
    SAME(event.icmp_id);
    SAME(event.src_port);
    SAME(event.dst_port);
    SAME(event.nat_src_port);
    SAME(event.nat_dst_port);
    SAME(event.zone);
    SAME(event.ct_id);
    SAME(event.ct_status);
    SAME(event.mark);
    SAME(event.start_ns);
    SAME(event.src);
    SAME(event.dst);
    SAME(event.nat_src);
    SAME(event.nat_dst);
    SAME(event.rx_packets);
    SAME(event.rx_bytes);
    SAME(event.tx_packets);
    SAME(event.tx_bytes);
    SAME(event.pid);
    SAME(event.uid);
    SAME(event.rtt_us);
    SAME(event.rtt_var_us);
    SAME(event.retransmits);
    SAME(event.n_starts);
    SAME(event.n_ends);
    SAME(event.n_drops);
    SAME(event.window_begin_ns);
    SAME(event.window_end_ns);
    SAME(event.loss.cause);
    SAME(event.loss.estimated);
    SAME(event.loss.begin_ns);
    SAME(event.loss.end_ns);
    SAME(event.loss.count);
    SAME(event.loss.first_seq);
    SAME(event.loss.last_seq);
    SAME(agent_id);
    SAME(instance_id);
    SAME(event_id);
    SAME(flow_id);
    SAME(stored_ns);
#undef SAME
}

static ft_err check_row(void *ctx, const struct ft_row *row)
{
    check_same(row, ctx);
    return FT_OK;
}

static void check_round_trip(struct ft_row row, const struct ft_row *expected)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    struct ft_query_result result;
    ft_query_init(&query);
    store_add(&store, &row, 1, 1);
    STORE_OK(store.reader->ops->rows(store.reader, &query, NULL, check_row,
                                     (void *)(uintptr_t)expected, &result, &diag));
    CHECK_INT(result.n_rows, 1);
    CHECK(!result.more);
    store_close(&store);
}

TEST(every_field_comes_back)
{
    struct ft_row row = row_full(3);
    check_round_trip(row, &row);
}

TEST(absent_fields_stay_absent_even_when_they_hold_something)
{
    struct ft_row row = row_full(3);
    struct ft_row expected = row_bare(3);
    row.event.fields = 0;
    expected.event.type = row.event.type;
    expected.event.direction = row.event.direction;
    expected.event.traffic_class = row.event.traffic_class;
    expected.event_id = row.event_id;
    expected.stored_ns = row.stored_ns;
    check_round_trip(row, &expected);
}

TEST(present_zeros_and_empty_texts_are_not_absent)
{
    struct ft_row row = row_bare(3);
    row.event.fields = FT_FIELD_ALL;
    row.event.process_name = "";
    row.event_id = rows_uuid(1);
    row.flow_id = rows_uuid(2);
    check_round_trip(row, &row);
}

TEST(derived_ids_need_not_be_given)
{
    struct ft_row row = row_simple(5);
    struct ft_row expected = row;
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    CHECK_OK(ft_id_deriver_create(&deriver));
    ft_id_derive_event(deriver, &row.instance_id, 5, &expected.event_id);
    ft_id_derive_flow(deriver, &row.instance_id, row.event.ct_id, row.event.start_ns,
                      &expected.flow_id);
    check_round_trip(row, &expected);
    check_round_trip(expected, &expected);
}

TEST(text_that_is_not_utf8_is_made_so)
{
    struct ft_row row = row_full(3);
    struct ft_row expected = row;
    row.event.process_name = "a\xff"
                             "b\xc3";
    expected.event.process_name = "a?b?";
    row.event.user_name = "\xed\xa0\x80\xe2\x82\xac\xf4\x90\x80\x80";
    expected.event.user_name = "???\xe2\x82\xac????";
    char longest[FT_EVENT_STRING_LEN_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    row.event.rule_id = expected.event.rule_id = longest;
    check_round_trip(row, &expected);
}

/* -------------------------------------------------------------------- filters */

/* Six rows that differ in everything that is filtered by. */
static void add_filter_rows(struct store *store)
{
    struct ft_row r[6] = {row_full(1),   row_bare(2),   row_simple(3),
                          row_simple(4), row_simple(5), row_simple(6)};
    r[3].event.protocol = FT_PROTO_UDP;
    r[3].event.dst_port = 53;
    r[3].event.fields |= FT_FIELD_PROCESS | FT_FIELD_NAT | FT_FIELD_INFERRED;
    r[3].event.process_name = "dnsmasq";
    rows_addr(&r[3].event.dst, "10.1.2.3");
    rows_addr(&r[3].event.nat_src, "203.0.113.5");
    rows_addr(&r[3].event.nat_dst, "198.51.100.5");
    r[4].event.fields |= FT_FIELD_IPV6 | FT_FIELD_MARK;
    r[4].event.mark = 0x1bd00;
    rows_addr(&r[4].event.src, "2001:db8:0:1::9");
    rows_addr(&r[4].event.dst, "a01:203::"); /* Begins with the bytes of 10.1.2.3. */
    r[5].agent_id = rows_uuid(0xa2);
    r[5].instance_id = rows_uuid(0xb2);
    r[5].event.fields |= FT_FIELD_PROCESS | FT_FIELD_TCP_STATE;
    r[5].event.process_name = "dns%_'; DROP TABLE flows; --";
    r[5].event.tcp_state = 3;
    r[5].event.rx_bytes = UINT64_MAX;
    store_add(store, r, 6, 1);
}

static ft_err remember_row(void *ctx, const struct ft_row *row)
{
    struct ft_row *to = ctx;
    static char texts[8][8][FT_EVENT_STRING_LEN_MAX + 1];
    struct ft_row *r = &to[row->event.seq];
    *r = *row;
    const char **in[] = {&r->event.process_name,    &r->event.container_id,   &r->event.user_name,
                         &r->event.src_name,        &r->event.dst_name,       &r->event.rule_id,
                         &r->event.src_resource_id, &r->event.dst_resource_id};
    for (size_t i = 0; i < 8; i++) {
        if (*in[i] != NULL) {
            (void)strcpy(texts[row->event.seq][i], *in[i]);
            *in[i] = texts[row->event.seq][i];
        }
    }
    return FT_OK;
}

static const struct {
    const char *column;
    const char *values;
    unsigned n; /* Rows that match; 6 - n match when negated. */
} filter_cases[] = {
    {"time", "2026-01-01T00:00:00Z", 0},
    {"time", "1767225600000000003-1767225600000000005", 3},
    {"seq", "1,3-4", 3},
    {"seq", "5-", 2},
    {"agent_id", "a2a2a2a2-a2a2-a2a2-a2a2-a2a2a2a2a2a2", 1},
    {"instance_id", "b1b1b1b1-b1b1-b1b1-b1b1-b1b1b1b1b1b1", 5},
    {"event_id", "e1e1e1e1-e1e1-e1e1-e1e1-e1e1e1e1e1e1", 1},
    {"flow_id", "f1f1f1f1-f1f1-f1f1-f1f1-f1f1f1f1f1f1", 1},
    {"type", "end,update", 5},
    {"type", "255", 0},
    {"direction", "unknown", 1},
    {"traffic_class", "exit", 1},
    {"protocol", "tcp", 3},
    {"src_addr", "10.0.0.0/8", 3},
    {"src_addr", "10.0.0.3", 1},
    {"src_addr", "0.0.0.0/0", 3},
    {"src_addr", "::/0", 2},
    {"src_addr", "2001:db8::/32", 2},
    {"src_addr", "2001:db8:0:1::/64,10.0.0.6", 2},
    {"dst_addr", "10.1.2.3", 1},
    {"dst_addr", "10.0.0.0/7", 1},
    {"dst_addr", "a01:203::", 1},
    {"addr", "203.0.113.0/24", 1},
    {"addr", "192.0.2.1,ff00::/8", 3},
    {"src_port", "40000-49999", 4},
    {"dst_port", "443", 3},
    {"port", "53,65533,65534", 2},
    {"ip_version", "6", 2},
    {"icmp_type", "254", 1},
    {"icmp_code", "0-253", 1},
    {"nat_src_addr", "203.0.113.5", 1},
    {"nat_dst_addr", "::4", 1},
    {"nat_src_port", "0", 1},
    {"nat_dst_port", "65531", 1},
    {"rx_packets", "18446744073709551615", 1},
    {"rx_bytes", "100", 3},
    {"tx_packets", "2-", 5},
    {"tx_bytes", "1000", 4},
    {"bytes", "1100", 3},
    {"bytes", "18446744073709551615", 2},
    {"packets", "3", 4},
    {"tcp_state", "established", 1},
    {"mark", "0x1bd00", 1},
    {"zone", "65530", 1},
    {"conntrack_id", "3-4", 2},
    {"pid", "0", 2},
    {"process_name", "dns*", 2},
    {"process_name", "dnsmasq", 1},
    {"process_name", "dns%_'; DROP TABLE flows; --", 1},
    {"process_name", "dns%", 0},
    {"process_name", "' OR '1'='1", 0},
    {"process_name", "x') OR (true", 0},
    {"process_name", "*", 3},
    {"process_name", "?", 0},
    {"process_name", "$1", 0},
    {"process_name", "\xff", 0},
    {"container_id", "0123*", 1},
    {"uid", "4294967291", 1},
    {"user_name", "j\xc3\xb6rg", 1},
    {"src_name", "a.example", 1},
    {"dst_name", "b.*,c.*", 1},
    {"rule_id", "r-1", 1},
    {"src_resource_id", "s-1", 1},
    {"dst_resource_id", "d-1", 1},
    {"inferred", "true", 2},
    {"loss_cause", "shutdown", 1},
};

/* The store and ft_query_matches must agree on every row. */
static void check_filter(struct store *store, const struct ft_row *all, size_t i, bool negate)
{
    struct ft_query query;
    struct ft_diag words = {0};
    ft_query_init(&query);
    if (ft_query_add_filter(&query, filter_cases[i].column, filter_cases[i].values, negate,
                            &words) != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "case %zu: %s", i, words.text);
    }
    query.order = FT_ORDER_OLDEST_FIRST;
    store_query(store, &query, &rows);
    size_t n = 0;
    for (uint64_t seq = 1; seq <= 6; seq++) {
        bool expected = ft_query_matches(&query, &all[seq]);
        bool got = n < rows.n && rows.seq[n] == seq;
        if (got != expected) {
            ft_test_fail(__FILE__, __LINE__, "%s=%s%s, row %u: the store says %d, the matcher %d",
                         filter_cases[i].column, filter_cases[i].values, negate ? " negated" : "",
                         (unsigned)seq, got, expected);
        }
        n += got;
    }
    if (rows.n != (negate ? 6 - filter_cases[i].n : filter_cases[i].n)) {
        ft_test_fail(__FILE__, __LINE__, "%s=%s%s: %zu rows", filter_cases[i].column,
                     filter_cases[i].values, negate ? " negated" : "", rows.n);
    }
    ft_query_deinit(&query);
}

TEST(each_filter_finds_its_rows_and_leaves_the_others)
{
    static struct ft_row all[8];
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    struct ft_query_result result;
    add_filter_rows(&store);
    ft_query_init(&query);
    STORE_OK(
        store.reader->ops->rows(store.reader, &query, NULL, remember_row, all, &result, &diag));
    CHECK_INT(result.n_rows, 6);
    for (size_t i = 0; i < sizeof filter_cases / sizeof filter_cases[0]; i++) {
        check_filter(&store, all, i, false);
        check_filter(&store, all, i, true);
    }
    CHECK_INT(store_count(&store), 6); /* Nothing was dropped on the way. */
    store_close(&store);
}

TEST(derived_ids_are_found)
{
    struct store store = store_open(NULL, 1);
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    CHECK_OK(ft_id_deriver_create(&deriver));
    store_add_simple(&store, 1, 50, 1);
    struct ft_row row = row_simple(7);
    char text[FT_UUID_TEXT_SIZE];
    struct ft_query query;
    ft_id_derive_event(deriver, &row.instance_id, 7, &row.event_id);
    ft_uuid_format(&row.event_id, text);
    ft_query_init(&query);
    CHECK_OK(ft_query_add_filter(&query, "event_id", text, false, NULL));
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 1);
    CHECK_INT(rows.seq[0], 7);
    ft_query_deinit(&query);
    ft_id_derive_flow(deriver, &row.instance_id, 9, row.event.start_ns, &row.flow_id);
    ft_uuid_format(&row.flow_id, text);
    ft_query_init(&query);
    CHECK_OK(ft_query_add_filter(&query, "flow_id", text, false, NULL));
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 1);
    CHECK_INT(rows.seq[0], 9);
    ft_query_deinit(&query);
    store_close(&store);
}

TEST(the_most_filters_and_values_work_together)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    char addrs[32 * 16] = "192.0.2.1";
    store_add_simple(&store, 1, 3, 1);
    for (unsigned i = 1; i < FT_FILTER_VALUES_MAX; i++) {
        (void)snprintf(addrs + strlen(addrs), sizeof addrs - strlen(addrs), ",172.16.%u.0/24", i);
    }
    ft_query_init(&query);
    for (unsigned i = 0; i < FT_QUERY_FILTERS_MAX; i++) {
        CHECK_OK(ft_query_add_filter(&query, "addr", addrs, false, NULL));
    }
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 3);
    ft_query_deinit(&query);
    store_close(&store);
}

/* -------------------------------------------------------------------- order and pages */

TEST(time_range_is_half_open_and_order_is_as_asked)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    store_add_simple(&store, 1, 9, 1);
    ft_query_init(&query);
    query.begin_ns = ROWS_T0 + 3;
    query.end_ns = ROWS_T0 + 6;
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 3);
    CHECK_INT(rows.seq[0], 5);
    CHECK_INT(rows.seq[2], 3);
    query.order = FT_ORDER_OLDEST_FIRST;
    query.rows_max = 2;
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 2);
    CHECK_INT(rows.seq[0], 3);
    CHECK(rows.result.more);
    query.rows_max = 3;
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 3);
    CHECK(!rows.result.more);
    ft_query_deinit(&query);
    store_close(&store);
}

/* 120 rows, most of one time, of several agents and instances. */
static void add_equal_times(struct store *store)
{
    for (uint64_t seq = 1; seq <= 20; seq++) {
        for (unsigned i = 0; i < 6; i++) {
            struct ft_row row = row_simple(seq);
            row.event.time_ns = ROWS_T0 + (seq > 18);
            row.agent_id = rows_uuid((uint8_t)(i < 3 ? 0x01 : 0xf1)); /* Both signs. */
            row.instance_id = rows_uuid((uint8_t)(0x70 + 8 * i));
            STORE_OK(ft_sink_append(store->sink, &row, 1, &diag));
        }
    }
    STORE_OK(ft_sink_commit(store->sink, 1, &diag));
}

static int compare_cursors(const struct ft_query_cursor *a, const struct ft_query_cursor *b)
{
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    int agents = memcmp(&a->agent_id, &b->agent_id, sizeof a->agent_id);
    int instances = memcmp(&a->instance_id, &b->instance_id, sizeof a->instance_id);
    if (agents != 0 || instances != 0) {
        return agents != 0 ? agents : instances;
    }
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static void check_pages(struct store *store, enum ft_query_order order, uint32_t page_rows)
{
    struct ft_query query;
    struct ft_query_cursor last = {0};
    size_t n = 0;
    ft_query_init(&query);
    query.order = order;
    query.rows_max = page_rows;
    for (;;) {
        store_query(store, &query, &rows);
        CHECK(n == 0 || rows.n == 0 ||
              (compare_cursors(&rows.last, &last) < 0) == (order == FT_ORDER_NEWEST_FIRST));
        n += rows.n;
        last = rows.last;
        CHECK(n <= 120);
        if (!rows.result.more) {
            break;
        }
        query.has_cursor = true;
        query.cursor = rows.last;
    }
    CHECK_INT(n, 120);
    ft_query_deinit(&query);
}

TEST(pages_over_equal_times_visit_each_row_once)
{
    struct store store = store_open(NULL, 1);
    add_equal_times(&store);
    for (unsigned order = 0; order < 2; order++) {
        check_pages(&store, (enum ft_query_order)order, 1);
        check_pages(&store, (enum ft_query_order)order, 7);
        check_pages(&store, (enum ft_query_order)order, 120);
    }
    store_close(&store);
}

TEST(a_large_answer_comes_whole_and_in_order)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    uint64_t n = 2 * FT_DUCKDB_PAGE_ROWS + 5;
    store_add_simple(&store, 1, n, 1);
    ft_query_init(&query);
    query.rows_max = FT_QUERY_ROWS_MAX;
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, n);
    CHECK(!rows.result.more);
    for (uint64_t i = 0; i < n; i++) {
        CHECK_INT(rows.seq[i], n - i);
    }
    query.rows_max = 2 * FT_DUCKDB_PAGE_ROWS;
    store_query(&store, &query, &rows);
    CHECK_INT(rows.n, 2 * FT_DUCKDB_PAGE_ROWS);
    CHECK(rows.result.more);
    ft_query_deinit(&query);
    store_close(&store);
}

/* -------------------------------------------------------------------- bounds */

static ft_err stop_with_full(void *ctx, const struct ft_row *row)
{
    (void)row;
    ++*(unsigned *)ctx;
    return FT_E_FULL;
}

TEST(the_receiver_can_stop_the_query)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    struct ft_query_result result;
    unsigned calls = 0;
    store_add_simple(&store, 1, 10, 1);
    ft_query_init(&query);
    CHECK_ERR(
        store.reader->ops->rows(store.reader, &query, NULL, stop_with_full, &calls, &result, NULL),
        FT_E_FULL);
    CHECK_INT(calls, 1);
    ft_query_deinit(&query);
    store_close(&store);
}

static ft_err cancel_now(void *ctx, const struct ft_row *row)
{
    (void)row;
    atomic_store((atomic_bool *)ctx, true);
    return FT_OK;
}

TEST(cancelled_before_and_during)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    struct ft_query_result result;
    struct ft_diag words = {0};
    atomic_bool cancel = true;
    store_add_simple(&store, 1, 5000, 1);
    ft_query_init(&query);
    query.rows_max = 5000;
    CHECK_ERR(
        store.reader->ops->rows(store.reader, &query, &cancel, collect_row, &rows, &result, &words),
        FT_E_CANCELLED);
    CHECK(words.text[0] != '\0');
    cancel = false;
    CHECK_ERR(store.reader->ops->rows(store.reader, &query, &cancel, cancel_now, &cancel, &result,
                                      &words),
              FT_E_CANCELLED);
    /* The connections are as good as new. */
    for (unsigned i = 0; i < 2 * FT_DUCKDB_CONNECTIONS_MAX; i++) {
        store_query(&store, &query, &rows);
        CHECK_INT(rows.n, 5000);
    }
    ft_query_deinit(&query);
    store_close(&store);
}

/* A clock that runs on each look. */
struct running_clock {
    struct ft_clock clock;
    atomic_llong now_ns;
};

static int64_t running_now(const struct ft_clock *clock)
{
    struct running_clock *running = (struct running_clock *)(uintptr_t)clock;
    return atomic_fetch_add(&running->now_ns, FT_NS_PER_MS);
}

TEST(a_query_over_its_time_is_stopped_and_the_next_one_works)
{
    struct store store = store_open(NULL, 1);
    struct running_clock clock = {.clock = {.mono_ns = running_now, .real_ns = running_now}};
    const struct ft_duckdb_reader_options options = {.clock = &clock.clock};
    struct ft_flow_reader *reader;
    struct ft_query query;
    struct ft_query_result result;
    struct ft_diag words = {0};
    store_add_simple(&store, 1, 100, 1);
    CHECK_OK(ft_duckdb_reader_create(store.db, &options, &reader, NULL));
    ft_query_init(&query);
    query.timeout_ns = FT_NS_PER_MS;
    for (unsigned i = 0; i < 2 * FT_DUCKDB_CONNECTIONS_MAX; i++) {
        CHECK_ERR(reader->ops->rows(reader, &query, NULL, collect_row, &rows, &result, &words),
                  ft_err_from_errno(ETIMEDOUT));
    }
    query.timeout_ns = 0;
    rows.n = 0;
    STORE_OK(reader->ops->rows(reader, &query, NULL, collect_row, &rows, &result, &diag));
    CHECK_INT(rows.n, 100);
    ft_query_deinit(&query);
    ft_duckdb_reader_destroy(reader);
    store_close(&store);
}

TEST(a_query_stopped_at_any_point_leaves_a_good_connection)
{
    struct store store = store_open(NULL, 1);
    struct running_clock clock = {.clock = {.mono_ns = running_now, .real_ns = running_now}};
    const struct ft_duckdb_reader_options options = {.clock = &clock.clock};
    struct ft_flow_reader *reader;
    struct ft_query query;
    struct ft_query_result result;
    unsigned n_stopped = 0;
    store_add_simple(&store, 1, 5000, 1);
    CHECK_OK(ft_duckdb_reader_create(store.db, &options, &reader, NULL));
    ft_query_init(&query);
    query.rows_max = 5000;
    for (int64_t looks = 1; looks <= 60; looks++) {
        rows.n = 0;
        query.timeout_ns = looks * FT_NS_PER_MS;
        ft_err err = reader->ops->rows(reader, &query, NULL, collect_row, &rows, &result, NULL);
        CHECK(err == FT_OK || err == ft_err_from_errno(ETIMEDOUT));
        CHECK(err != FT_OK || rows.n == 5000);
        n_stopped += err != FT_OK;
    }
    CHECK(n_stopped > 1);
    query.timeout_ns = 0;
    rows.n = 0;
    STORE_OK(reader->ops->rows(reader, &query, NULL, collect_row, &rows, &result, &diag));
    CHECK_INT(rows.n, 5000);
    ft_query_deinit(&query);
    ft_duckdb_reader_destroy(reader);
    store_close(&store);
}

struct worker {
    struct ft_thread thread;
    struct store *store;
    uint64_t n_rows;
    ft_err err;
};

static ft_err count_row(void *ctx, const struct ft_row *row)
{
    (void)row;
    ++*(uint64_t *)ctx;
    return FT_OK;
}

static void work(void *ctx)
{
    struct worker *worker = ctx;
    struct ft_query query;
    struct ft_query_result result;
    ft_query_init(&query);
    query.rows_max = 1000;
    for (unsigned i = 0; i < 10 && worker->err == FT_OK; i++) {
        worker->err = worker->store->reader->ops->rows(worker->store->reader, &query, NULL,
                                                       count_row, &worker->n_rows, &result, NULL);
    }
    ft_query_deinit(&query);
}

TEST(more_queries_than_connections_while_rows_are_stored)
{
    struct store store = store_open(NULL, 1);
    struct worker workers[2 * FT_DUCKDB_CONNECTIONS_MAX];
    store_add_simple(&store, 1, 1000, 1);
    for (unsigned i = 0; i < 2 * FT_DUCKDB_CONNECTIONS_MAX; i++) {
        workers[i] = (struct worker){.store = &store};
        CHECK_OK(ft_thread_start(&workers[i].thread, "query", work, &workers[i]));
    }
    for (uint64_t batch = 1; batch <= 5; batch++) {
        store_add_simple(&store, batch * 1000 + 1, batch * 1000 + 1000, batch + 1);
    }
    for (unsigned i = 0; i < 2 * FT_DUCKDB_CONNECTIONS_MAX; i++) {
        ft_thread_join(&workers[i].thread);
        CHECK_OK(workers[i].err);
        CHECK_INT(workers[i].n_rows, 10000);
    }
    CHECK_INT(store_count(&store), 6000);
    store_close(&store);
}
