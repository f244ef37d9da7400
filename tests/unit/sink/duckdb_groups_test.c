/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "lib/test.h"
#include "rows.h"
#include "store.h"

/* The answer as text, a line a row, for comparison. */
struct answer {
    char text[8192];
    size_t size;
    unsigned n_columns;
    int64_t step_ns;
};

static ft_err write_group(void *ctx, const struct ft_group_row *row)
{
    struct answer *to = ctx;
    char *at = to->text + to->size;
    size_t room = sizeof to->text - to->size;
    int n = 0;
    if (to->step_ns > 0) {
        n += snprintf(at, room, "%lld ", (long long)((row->bucket_ns - ROWS_T0) / to->step_ns));
    }
    n += snprintf(at + n, room - (size_t)n, "%s", row->is_rest ? "rest" : "group");
    for (unsigned i = 0; i < to->n_columns; i++) {
        n += snprintf(at + n, room - (size_t)n, " %s", row->keys[i] != NULL ? row->keys[i] : "-");
    }
    n += snprintf(at + n, room - (size_t)n, " e%llu f%llu %llu/%llu %llu/%llu\n",
                  (unsigned long long)row->events, (unsigned long long)row->flows,
                  (unsigned long long)row->rx_bytes, (unsigned long long)row->tx_bytes,
                  (unsigned long long)row->rx_packets, (unsigned long long)row->tx_packets);
    to->size += (size_t)n;
    return FT_OK;
}

static void check_groups(struct store *store, struct ft_group group, const char *expected)
{
    struct ft_query query;
    struct ft_query_result result;
    struct answer answer = {.n_columns = group.n_columns, .step_ns = group.step_ns};
    ft_query_init(&query);
    STORE_OK(store->reader->ops->groups(store->reader, &query, &group, NULL, write_group, &answer,
                                        &result, &diag));
    CHECK_STR(answer.text, expected);
    CHECK(!result.more);
    ft_query_deinit(&query);
}

/* Ports 443 (3 rows), 53 (2), 22 (1), none (1); 443 in both seconds. */
static void add_rows(struct store *store)
{
    static const uint16_t ports[] = {443, 443, 443, 53, 53, 22};
    for (uint64_t seq = 1; seq <= 6; seq++) {
        struct ft_row row = row_simple(seq);
        row.event.dst_port = ports[seq - 1];
        row.event.time_ns = ROWS_T0 + (seq == 3 ? FT_NS_PER_S : 0);
        row.event.type = seq % 2 == 1 ? FT_EVENT_START : FT_EVENT_END;
        row.event.rx_bytes = ports[seq - 1] == 53 ? 10000 : 100;
        STORE_OK(ft_sink_append(store->sink, &row, 1, &diag));
    }
    struct ft_row bare = row_bare(7);
    bare.event.time_ns = ROWS_T0;
    store_add(store, &bare, 1, 1);
}

TEST(top_ranks_by_measure_and_sums_the_rest)
{
    struct store store = store_open(NULL, 1);
    add_rows(&store);
    struct ft_group group = {
        .n_columns = 1, .columns = {FT_COL_DST_PORT}, .measure = FT_MEASURE_BYTES, .groups_max = 2};
    check_groups(&store, group,
                 "group 53 e2 f1 20000/2000 2/4\n"
                 "group 443 e3 f2 300/3000 3/6\n"
                 "rest - e2 f0 100/1000 1/2\n");
    group.measure = FT_MEASURE_EVENTS;
    group.groups_max = 10;
    check_groups(&store, group,
                 "group 443 e3 f2 300/3000 3/6\n"
                 "group 53 e2 f1 20000/2000 2/4\n"
                 "group 22 e1 f0 100/1000 1/2\n"
                 "group - e1 f0 0/0 0/0\n");
    store_close(&store);
}

TEST(no_columns_is_one_total)
{
    struct store store = store_open(NULL, 1);
    add_rows(&store);
    check_groups(&store, (struct ft_group){.groups_max = 1}, "group e7 f3 20400/6000 6/12\n");
    check_groups(&store, (struct ft_group){.groups_max = 0}, "rest e7 f3 20400/6000 6/12\n");
    store_close(&store);
}

TEST(series_has_buckets_of_each_group)
{
    struct store store = store_open(NULL, 1);
    add_rows(&store);
    struct ft_group group = {.n_columns = 1,
                             .columns = {FT_COL_DST_PORT},
                             .measure = FT_MEASURE_TX_BYTES,
                             .step_ns = FT_NS_PER_S,
                             .groups_max = 1};
    check_groups(&store, group,
                 "0 group 443 e2 f1 200/2000 2/4\n"
                 "1 group 443 e1 f1 100/1000 1/2\n"
                 "0 rest - e4 f1 20100/3000 3/6\n");
    store_close(&store);
}

TEST(keys_are_in_words)
{
    struct store store = store_open(NULL, 1);
    struct ft_row row = row_full(1);
    row.event.protocol = FT_PROTO_UDP;
    row.event.rx_bytes = row.event.tx_bytes = row.event.rx_packets = row.event.tx_packets = 1;
    row.event.fields &= ~FT_FIELD_WINDOW;
    store_add(&store, &row, 1, 1);
    static const struct {
        enum ft_column column;
        const char *key;
    } cases[] = {
        {FT_COL_TIME, "1767225600000000001"},
        {FT_COL_AGENT, "a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1"},
        {FT_COL_EVENT_ID, "e1e1e1e1-e1e1-e1e1-e1e1-e1e1e1e1e1e1"},
        {FT_COL_TYPE, "LOSS"},
        {FT_COL_DIRECTION, "FORWARDED"},
        {FT_COL_CLASS, "EXIT"},
        {FT_COL_PROTOCOL, "udp"},
        {FT_COL_SRC_ADDR, "2001:db8::1"},
        {FT_COL_IP_VERSION, "6"},
        {FT_COL_BYTES, "2"},
        {FT_COL_TCP_STATE, "SYN_SENT2"},
        {FT_COL_PROCESS_NAME, "curl"},
        {FT_COL_INFERRED, "true"},
        {FT_COL_LOSS_CAUSE, "SHUTDOWN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[256];
        (void)snprintf(expected, sizeof expected, "group %s e1 f0 1/1 1/1\n", cases[i].key);
        check_groups(
            &store,
            (struct ft_group){.n_columns = 1, .columns = {cases[i].column}, .groups_max = 10},
            expected);
    }
    store_close(&store);
}

TEST(four_columns_and_aggregated_events)
{
    struct store store = store_open(NULL, 1);
    struct ft_row row = row_simple(1);
    row.event.fields |= FT_FIELD_WINDOW;
    row.event.n_starts = 12;
    store_add(&store, &row, 1, 1);
    check_groups(&store,
                 (struct ft_group){.n_columns = 4,
                                   .columns = {FT_COL_SRC_ADDR, FT_COL_DST_ADDR, FT_COL_PROTOCOL,
                                               FT_COL_PROCESS_NAME},
                                   .measure = FT_MEASURE_FLOWS,
                                   .groups_max = 10},
                 "group 10.0.0.1 192.0.2.1 tcp - e1 f12 100/1000 1/2\n");
    store_close(&store);
}

TEST(counters_too_large_to_add_do_not_fail_the_query)
{
    struct store store = store_open(NULL, 1);
    struct ft_row r[2] = {row_full(1), row_full(2)};
    r[0].event.fields &= ~FT_FIELD_WINDOW;
    r[1].event.fields &= ~FT_FIELD_WINDOW;
    store_add(&store, r, 2, 1);
    check_groups(&store,
                 (struct ft_group){.n_columns = 1, .columns = {FT_COL_BYTES}, .groups_max = 1},
                 "group 18446744073709551615 e2 f0 18446744073709551615/18446744073709551615 "
                 "18446744073709551615/18446744073709551615\n");
    store_close(&store);
}

TEST(what_cannot_be_grouped_is_refused)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    struct ft_query_result result;
    struct ft_diag words = {0};
    ft_query_init(&query);
    struct ft_group group = {.n_columns = 1, .columns = {FT_COL_ADDR}, .groups_max = 1};
    CHECK_ERR(store.reader->ops->groups(store.reader, &query, &group, NULL, write_group, NULL,
                                        &result, &words),
              FT_E_UNSUPPORTED);
    CHECK(strstr(words.text, "addr") != NULL);
    group.columns[0] = FT_COL_DST_PORT;
    group.groups_max = FT_DUCKDB_GROUPS_MAX + 1;
    CHECK_ERR(store.reader->ops->groups(store.reader, &query, &group, NULL, write_group, NULL,
                                        &result, &words),
              FT_E_RANGE);
    ft_query_deinit(&query);
    store_close(&store);
}

TEST(a_cancelled_group_query_stops)
{
    struct store store = store_open(NULL, 1);
    struct ft_query query;
    struct ft_query_result result;
    atomic_bool cancel = true;
    add_rows(&store);
    ft_query_init(&query);
    struct ft_group group = {.n_columns = 1, .columns = {FT_COL_DST_PORT}, .groups_max = 1};
    CHECK_ERR(store.reader->ops->groups(store.reader, &query, &group, &cancel, write_group, NULL,
                                        &result, NULL),
              FT_E_CANCELLED);
    ft_query_deinit(&query);
    store_close(&store);
}
