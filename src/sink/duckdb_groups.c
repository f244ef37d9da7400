/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sink/duckdb_internal.h"
#include "sink/duckdb_query.h"

/*
 * A result row: bucket, rank (0 is the rest), six sums, then the keys.  Each group is summed once,
 * per bucket; the largest are ranked over all buckets.
 */
enum { OUT_BUCKET, OUT_RANK, OUT_EVENTS, OUT_FLOWS, OUT_SUMS, OUT_KEYS = OUT_SUMS + 4 };

struct key_text {
    char text[FT_EVENT_STRING_LEN_MAX + 1];
};

static const char *const rank_of_measure[FT_MEASURE_N] = {
    [FT_MEASURE_BYTES] = "sum(rx_bytes) + sum(tx_bytes)",
    [FT_MEASURE_PACKETS] = "sum(rx_packets) + sum(tx_packets)",
    [FT_MEASURE_RX_BYTES] = "sum(rx_bytes)",
    [FT_MEASURE_TX_BYTES] = "sum(tx_bytes)",
    [FT_MEASURE_EVENTS] = "sum(events)",
    [FT_MEASURE_FLOWS] = "sum(flows)",
};

static const char *const key_names[FT_GROUP_COLUMNS_MAX] = {"k0", "k1", "k2", "k3"};

static ft_err check_group(const struct ft_duckdb_query *run, const struct ft_query *query,
                          const struct ft_group *group);
static void add_groups_sql(struct ft_sql *sql, const struct ft_query *query,
                           const struct ft_group *group, uint64_t limit);
static ft_err hand_out(const struct ft_duckdb_query *run, const struct ft_group *group,
                       duckdb_result result, ft_group_row_fn *fn, void *ctx,
                       struct ft_query_result *ret_result);
static void add_ranked_sql(struct ft_sql *sql, const struct ft_group *group);

ft_err ft_duckdb_groups(const struct ft_duckdb_query *run, const struct ft_query *query,
                        const struct ft_group *group, ft_group_row_fn *fn, void *ctx,
                        struct ft_query_result *ret_result)
{
    FT_TRY(check_group(run, query, group));
    struct ft_sql sql;
    duckdb_result result;
    ft_sql_init(&sql);
    add_groups_sql(&sql, query, group, FT_QUERY_ROWS_MAX + 1);
    ft_err err = ft_duckdb_query_run(run, &sql, &result);
    ft_sql_deinit(&sql);
    FT_TRY(err);
    err = hand_out(run, group, result, fn, ctx, ret_result);
    duckdb_destroy_result(&result);
    return err;
}

static ft_err check_group(const struct ft_duckdb_query *run, const struct ft_query *query,
                          const struct ft_group *group)
{
    if (query->has_cursor || group->n_columns > FT_GROUP_COLUMNS_MAX || group->step_ns < 0 ||
        group->groups_max > FT_DUCKDB_GROUPS_MAX || (unsigned)group->measure >= FT_MEASURE_N) {
        return ft_diag_set(run->diag, FT_E_RANGE, NULL, 0, 0,
                           "at most %d columns and %d groups, no cursor", FT_GROUP_COLUMNS_MAX,
                           FT_DUCKDB_GROUPS_MAX);
    }
    for (unsigned i = 0; i < group->n_columns; i++) {
        if (ft_sql_column(group->columns[i]) == NULL) {
            return ft_diag_set(run->diag, FT_E_UNSUPPORTED, NULL, 0, 0,
                               "\"%s\" stands for several columns: group by one of them",
                               ft_column_name(group->columns[i]));
        }
    }
    return FT_OK;
}

/* ", k0, k1": the keys behind other columns. */
static void add_keys(struct ft_sql *sql, const struct ft_group *group, const char *before)
{
    for (unsigned i = 0; i < group->n_columns; i++) {
        ft_sql_add(sql, before);
        ft_sql_add(sql, key_names[i]);
    }
}

/* Whole numbers as UBIGINT, so that one piece of code reads them. */
static void add_key_columns(struct ft_sql *sql, const struct ft_group *group)
{
    for (unsigned i = 0; i < group->n_columns; i++) {
        enum ft_column column = group->columns[i];
        bool number = ft_column_kind(column) == FT_COLUMN_NUMBER;
        ft_sql_add(sql, ", ");
        ft_sql_add(sql, column == FT_COL_TIME ? "epoch_ns(" : "(");
        ft_sql_add(sql, ft_sql_column(column));
        ft_sql_add(sql, number ? ")::UBIGINT AS " : ") AS ");
        ft_sql_add(sql, key_names[i]);
    }
}

static void add_groups_sql(struct ft_sql *sql, const struct ft_query *query,
                           const struct ft_group *group, uint64_t limit)
{
    ft_sql_add(sql, "WITH g AS MATERIALIZED (SELECT ");
    if (group->step_ns > 0) {
        ft_sql_add(sql, "(epoch_ns(\"time\") // ");
        ft_sql_add_param(sql, duckdb_create_int64(group->step_ns));
        ft_sql_add(sql, ")::BIGINT");
    } else {
        ft_sql_add(sql, "0::BIGINT");
    }
    ft_sql_add(sql, " AS b");
    add_key_columns(sql, group);
    ft_sql_add(sql, ", count(*)::HUGEINT AS events,"
                    " sum(coalesce(n_starts, (type = 1)::UINTEGER))::HUGEINT AS flows,"
                    " coalesce(sum(rx_bytes), 0)::HUGEINT AS rx_bytes,"
                    " coalesce(sum(tx_bytes), 0)::HUGEINT AS tx_bytes,"
                    " coalesce(sum(rx_packets), 0)::HUGEINT AS rx_packets,"
                    " coalesce(sum(tx_packets), 0)::HUGEINT AS tx_packets FROM flows");
    ft_sql_add_where(sql, query);
    ft_sql_add(sql, " GROUP BY b");
    add_keys(sql, group, ", ");
    ft_sql_add(sql, "), top AS (SELECT ");
    ft_sql_add(sql, rank_of_measure[group->measure]);
    ft_sql_add(sql, " AS m");
    add_keys(sql, group, ", ");
    ft_sql_add(sql, " FROM g");
    for (unsigned i = 0; i < group->n_columns; i++) {
        ft_sql_add(sql, i == 0 ? " GROUP BY " : ", ");
        ft_sql_add(sql, key_names[i]);
    }
    ft_sql_add(sql, " ORDER BY m DESC");
    add_keys(sql, group, ", ");
    ft_sql_add(sql, " LIMIT ");
    ft_sql_add_u64(sql, group->groups_max);
    ft_sql_add(sql, "), t AS (SELECT row_number() OVER (ORDER BY m DESC");
    add_keys(sql, group, ", ");
    ft_sql_add(sql, ")::BIGINT AS r");
    add_keys(sql, group, ", ");
    ft_sql_add(sql, " FROM top)");
    add_ranked_sql(sql, group);
    ft_sql_add(sql, " LIMIT ");
    ft_sql_add_u64(sql, limit);
}

/* Sums per bucket and rank; what has no rank falls together as the rest, which comes last. */
static void add_ranked_sql(struct ft_sql *sql, const struct ft_group *group)
{
    static const char *const sums[] = {"events",   "flows",      "rx_bytes",
                                       "tx_bytes", "rx_packets", "tx_packets"};
    ft_sql_add(sql, " SELECT b, coalesce(r, 0)");
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        ft_sql_add(sql, ", least(sum(");
        ft_sql_add(sql, sums[i]);
        ft_sql_add(sql, "), 18446744073709551615)::UBIGINT");
    }
    add_keys(sql, group, ", t.");
    ft_sql_add(sql, " FROM g LEFT JOIN t ON true");
    for (unsigned i = 0; i < group->n_columns; i++) {
        ft_sql_add(sql, " AND g.");
        ft_sql_add(sql, key_names[i]);
        ft_sql_add(sql, " IS NOT DISTINCT FROM t.");
        ft_sql_add(sql, key_names[i]);
    }
    ft_sql_add(sql, " GROUP BY b, r");
    add_keys(sql, group, ", t.");
    ft_sql_add(sql, " ORDER BY r NULLS LAST, b");
}

static void number_text(enum ft_column column, uint64_t number, struct key_text *to)
{
    const char *name = NULL;
    unsigned value = number <= UINT8_MAX ? (unsigned)number : UINT8_MAX;
    switch ((unsigned)column) {
    case FT_COL_TYPE:
        name = ft_event_type_name(value);
        break;
    case FT_COL_DIRECTION:
        name = ft_direction_name(value);
        break;
    case FT_COL_CLASS:
        name = ft_traffic_class_name(value);
        break;
    case FT_COL_PROTOCOL:
        name = ft_protocol_name(value);
        break;
    case FT_COL_TCP_STATE:
        name = ft_tcp_state_name(value);
        break;
    case FT_COL_LOSS_CAUSE:
        name = ft_loss_cause_name(value);
        break;
    case FT_COL_INFERRED:
        name = value != 0 ? "true" : "false";
        break;
    default:
        break;
    }
    if (name != NULL) {
        (void)snprintf(to->text, sizeof to->text, "%s", name);
    } else {
        (void)snprintf(to->text, sizeof to->text, "%" PRIu64, number);
    }
}

static void bytes_text(enum ft_column column, const char *bytes, size_t size, struct key_text *to)
{
    if (ft_column_kind(column) == FT_COLUMN_ADDR) {
        struct ft_addr addr = {0};
        memcpy(addr.bytes, bytes, size < sizeof addr.bytes ? size : sizeof addr.bytes);
        ft_addr_format(&addr, size != 4, to->text);
        return;
    }
    size = size < sizeof to->text ? size : sizeof to->text - 1;
    memcpy(to->text, bytes, size);
    to->text[size] = '\0';
}

/* The key as text, NULL when it is absent. */
static const char *read_key(enum ft_column column, duckdb_vector vector, idx_t at,
                            struct key_text *to)
{
    const char *data = duckdb_vector_get_data(vector);
    if (!duckdb_validity_row_is_valid(duckdb_vector_get_validity(vector), at)) {
        return NULL;
    }
    switch (ft_column_kind(column)) {
    case FT_COLUMN_NUMBER: {
        uint64_t number;
        memcpy(&number, data + at * sizeof number, sizeof number);
        number_text(column, number, to);
        break;
    }
    case FT_COLUMN_UUID: {
        duckdb_hugeint number;
        struct ft_uuid uuid;
        memcpy(&number, data + at * sizeof number, sizeof number);
        ft_duckdb_uuid_from_hugeint(number, &uuid);
        ft_uuid_format(&uuid, to->text);
        break;
    }
    case FT_COLUMN_ADDR:
    case FT_COLUMN_TEXT: {
        duckdb_string_t string;
        memcpy(&string, data + at * sizeof string, sizeof string);
        bytes_text(column, duckdb_string_t_data(&string), duckdb_string_t_length(string), to);
        break;
    }
    }
    return to->text;
}

static uint64_t number_at(duckdb_data_chunk chunk, idx_t column, idx_t at)
{
    uint64_t number;
    const char *data = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
    memcpy(&number, data + at * sizeof number, sizeof number);
    return number;
}

static void read_group_row(const struct ft_group *group, duckdb_data_chunk chunk, idx_t at,
                           struct key_text keys[FT_GROUP_COLUMNS_MAX], struct ft_group_row *ret_row)
{
    *ret_row = (struct ft_group_row){
        .bucket_ns = (int64_t)number_at(chunk, OUT_BUCKET, at) * group->step_ns,
        .is_rest = number_at(chunk, OUT_RANK, at) == 0,
        .events = number_at(chunk, OUT_EVENTS, at),
        .flows = number_at(chunk, OUT_FLOWS, at),
        .rx_bytes = number_at(chunk, OUT_SUMS, at),
        .tx_bytes = number_at(chunk, OUT_SUMS + 1, at),
        .rx_packets = number_at(chunk, OUT_SUMS + 2, at),
        .tx_packets = number_at(chunk, OUT_SUMS + 3, at),
    };
    for (unsigned i = 0; i < group->n_columns; i++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, OUT_KEYS + i);
        ret_row->keys[i] = read_key(group->columns[i], vector, at, &keys[i]);
    }
}

static ft_err hand_out_chunk(const struct ft_group *group, duckdb_data_chunk chunk,
                             ft_group_row_fn *fn, void *ctx, struct ft_query_result *result)
{
    struct key_text keys[FT_GROUP_COLUMNS_MAX];
    idx_t n = duckdb_data_chunk_get_size(chunk);
    for (idx_t i = 0; i < n; i++) {
        if (result->n_rows == FT_QUERY_ROWS_MAX) {
            result->more = true;
            return FT_OK;
        }
        struct ft_group_row row;
        read_group_row(group, chunk, i, keys, &row);
        result->n_rows++;
        FT_TRY(fn(ctx, &row));
    }
    return FT_OK;
}

static ft_err hand_out(const struct ft_duckdb_query *run, const struct ft_group *group,
                       duckdb_result result, ft_group_row_fn *fn, void *ctx,
                       struct ft_query_result *ret_result)
{
    struct ft_query_result handed = {0};
    ft_err err = FT_OK;
    while (err == FT_OK) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk == NULL) {
            break;
        }
        err = hand_out_chunk(group, chunk, fn, ctx, &handed);
        duckdb_destroy_data_chunk(&chunk);
        if (err == FT_OK) {
            err = ft_duckdb_query_check(run);
        }
    }
    *ret_result = handed;
    return err;
}
