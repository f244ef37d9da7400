/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_sql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sink/duckdb_internal.h"

/* Largest text of a query: all filters with all values. */
#define SQL_BYTES_MAX ((size_t)1 << 20)

/* DuckDB takes the two smallest and the largest number for "infinity". */
#define TIME_NS_MIN (INT64_MIN + 2)
#define TIME_NS_MAX (INT64_MAX - 1)

static void add_filter(struct ft_sql *sql, const struct ft_query_filter *filter);
static void add_cursor(struct ft_sql *sql, const struct ft_query *query);

static const char *const columns[FT_COLUMN_N] = {
    [FT_COL_TIME] = "\"time\"",
    [FT_COL_SEQ] = "seq",
    [FT_COL_AGENT] = "agent_id",
    [FT_COL_INSTANCE] = "instance_id",
    [FT_COL_EVENT_ID] = "coalesce(event_id, derived_event_id(instance_id, seq))",
    [FT_COL_FLOW_ID] = "coalesce(flow_id, derived_flow_id(instance_id, conntrack_id, start_time))",
    [FT_COL_TYPE] = "type",
    [FT_COL_DIRECTION] = "direction",
    [FT_COL_CLASS] = "traffic_class",
    [FT_COL_PROTOCOL] = "protocol",
    [FT_COL_SRC_ADDR] = "src_addr",
    [FT_COL_DST_ADDR] = "dst_addr",
    [FT_COL_SRC_PORT] = "src_port",
    [FT_COL_DST_PORT] = "dst_port",
    [FT_COL_IP_VERSION] = "ip_version",
    [FT_COL_ICMP_TYPE] = "icmp_type",
    [FT_COL_ICMP_CODE] = "icmp_code",
    [FT_COL_NAT_SRC_ADDR] = "nat_src_addr",
    [FT_COL_NAT_DST_ADDR] = "nat_dst_addr",
    [FT_COL_NAT_SRC_PORT] = "nat_src_port",
    [FT_COL_NAT_DST_PORT] = "nat_dst_port",
    [FT_COL_RX_PACKETS] = "rx_packets",
    [FT_COL_RX_BYTES] = "rx_bytes",
    [FT_COL_TX_PACKETS] = "tx_packets",
    [FT_COL_TX_BYTES] = "tx_bytes",
    /* A sum of two counters may not fit into 64 bits; it stays at the end of the range then
     * (not by least(), which passes over NULL). */
    [FT_COL_BYTES] =
        "(CASE WHEN rx_bytes + 0::HUGEINT + tx_bytes > 18446744073709551615"
        " THEN 18446744073709551615 ELSE rx_bytes + 0::HUGEINT + tx_bytes END)::UBIGINT",
    [FT_COL_PACKETS] =
        "(CASE WHEN rx_packets + 0::HUGEINT + tx_packets > 18446744073709551615"
        " THEN 18446744073709551615 ELSE rx_packets + 0::HUGEINT + tx_packets END)::UBIGINT",
    [FT_COL_TCP_STATE] = "tcp_state",
    [FT_COL_MARK] = "mark",
    [FT_COL_ZONE] = "zone",
    [FT_COL_CONNTRACK_ID] = "conntrack_id",
    [FT_COL_PID] = "pid",
    [FT_COL_PROCESS_NAME] = "process_name",
    [FT_COL_CONTAINER_ID] = "container_id",
    [FT_COL_UID] = "uid",
    [FT_COL_USER_NAME] = "user_name",
    [FT_COL_SRC_NAME] = "src_name",
    [FT_COL_DST_NAME] = "dst_name",
    [FT_COL_RULE_ID] = "rule_id",
    [FT_COL_SRC_RESOURCE_ID] = "src_resource_id",
    [FT_COL_DST_RESOURCE_ID] = "dst_resource_id",
    [FT_COL_INFERRED] = "((fields >> 6) & 1)::UTINYINT",
    [FT_COL_LOSS_CAUSE] = "loss_cause",
};

void ft_sql_init(struct ft_sql *sql)
{
    *sql = (struct ft_sql){0};
    ft_buf_init(&sql->text, SQL_BYTES_MAX);
}

void ft_sql_deinit(struct ft_sql *sql)
{
    for (unsigned i = 0; i < sql->n_params; i++) {
        duckdb_destroy_value(&sql->params[i]);
    }
    free(sql->params);
    ft_buf_deinit(&sql->text);
}

void ft_sql_add(struct ft_sql *sql, const char *text) { ft_buf_add_str(&sql->text, text); }

void ft_sql_add_param(struct ft_sql *sql, duckdb_value value)
{
    if (sql->n_params == sql->params_capacity) {
        unsigned capacity = sql->params_capacity != 0 ? 2 * sql->params_capacity : 16;
        duckdb_value *params = reallocarray(sql->params, capacity, sizeof *params);
        if (params == NULL) {
            sql->text.err = ft_err_from_errno(ENOMEM);
            duckdb_destroy_value(&value);
            return;
        }
        sql->params = params;
        sql->params_capacity = capacity;
    }
    sql->params[sql->n_params++] = value;
    ft_buf_add_char(&sql->text, '?');
}

void ft_sql_add_u64(struct ft_sql *sql, uint64_t number)
{
    ft_sql_add_param(sql, duckdb_create_uint64(number));
}

static void add_time(struct ft_sql *sql, int64_t time_ns)
{
    if (time_ns < TIME_NS_MIN) {
        time_ns = TIME_NS_MIN;
    } else if (time_ns > TIME_NS_MAX) {
        time_ns = TIME_NS_MAX;
    }
    ft_sql_add_param(sql, ft_duckdb_time_value(time_ns));
}

void ft_sql_add_where(struct ft_sql *sql, const struct ft_query *query)
{
    ft_sql_add(sql, " WHERE \"time\" >= ");
    add_time(sql, query->begin_ns);
    ft_sql_add(sql, " AND \"time\" < ");
    add_time(sql, query->end_ns);
    if (query->has_cursor) {
        add_cursor(sql, query);
    }
    for (unsigned i = 0; i < query->n_filters; i++) {
        add_filter(sql, &query->filters[i]);
    }
}

const char *ft_sql_column(enum ft_column column) { return columns[column]; }

ft_err ft_sql_prepare(struct ft_sql *sql, duckdb_connection connection,
                      duckdb_prepared_statement *ret_statement, struct ft_diag *reterr_diag)
{
    const char *text = ft_buf_str(&sql->text);
    FT_TRY(sql->text.err);
    duckdb_prepared_statement statement;
    FT_TRY(ft_duckdb_prepare(connection, text, &statement, reterr_diag));
    for (unsigned i = 0; i < sql->n_params; i++) {
        if (duckdb_bind_value(statement, i + 1, sql->params[i]) != DuckDBSuccess) {
            ft_err err = ft_duckdb_refused(DUCKDB_ERROR_INVALID, "bind",
                                           duckdb_prepare_error(statement), reterr_diag);
            duckdb_destroy_prepare(&statement);
            return err;
        }
    }
    *ret_statement = statement;
    return FT_OK;
}

/*
 * Rows behind the cursor.  The first condition is implied by the second; DuckDB skips whole row
 * groups by it.
 */
static void add_cursor(struct ft_sql *sql, const struct ft_query *query)
{
    bool newest = query->order == FT_ORDER_NEWEST_FIRST;
    const char *than = newest ? " < " : " > ";
    const struct ft_query_cursor *cursor = &query->cursor;
    ft_sql_add(sql, newest ? " AND \"time\" <= " : " AND \"time\" >= ");
    add_time(sql, cursor->time_ns);
    ft_sql_add(sql, " AND (\"time\"");
    ft_sql_add(sql, than);
    add_time(sql, cursor->time_ns);
    ft_sql_add(sql, " OR agent_id");
    ft_sql_add(sql, than);
    ft_sql_add_param(sql, ft_duckdb_uuid_value(&cursor->agent_id));
    ft_sql_add(sql, " OR agent_id = ");
    ft_sql_add_param(sql, ft_duckdb_uuid_value(&cursor->agent_id));
    ft_sql_add(sql, " AND (instance_id");
    ft_sql_add(sql, than);
    ft_sql_add_param(sql, ft_duckdb_uuid_value(&cursor->instance_id));
    ft_sql_add(sql, " OR instance_id = ");
    ft_sql_add_param(sql, ft_duckdb_uuid_value(&cursor->instance_id));
    ft_sql_add(sql, " AND seq");
    ft_sql_add(sql, than);
    ft_sql_add_u64(sql, cursor->seq);
    ft_sql_add(sql, "))");
}

static void add_number(struct ft_sql *sql, const char *column, const struct ft_filter_value *value)
{
    ft_sql_add(sql, column);
    ft_sql_add(sql, value->min == value->max ? " = " : " BETWEEN ");
    ft_sql_add_u64(sql, value->min);
    if (value->min != value->max) {
        ft_sql_add(sql, " AND ");
        ft_sql_add_u64(sql, value->max);
    }
}

static void add_time_range(struct ft_sql *sql, const struct ft_filter_value *value)
{
    ft_sql_add(sql, "\"time\" BETWEEN ");
    add_time(sql, value->min > INT64_MAX ? INT64_MAX : (int64_t)value->min);
    ft_sql_add(sql, " AND ");
    add_time(sql, value->max > INT64_MAX ? INT64_MAX : (int64_t)value->max);
}

/* Bytes of IPv4 and IPv6 sort among each other, hence the version. */
static void add_addr(struct ft_sql *sql, const char *column, const struct ft_filter_value *value)
{
    const struct ft_cidr *cidr = &value->cidr;
    struct ft_addr last = ft_cidr_last(cidr);
    idx_t size = cidr->ipv6 ? 16 : 4;
    ft_sql_add(sql, cidr->ipv6 ? "(ip_version = 6 AND " : "(ip_version = 4 AND ");
    ft_sql_add(sql, column);
    ft_sql_add(sql, " BETWEEN ");
    ft_sql_add_param(sql, duckdb_create_blob(cidr->addr.bytes, size));
    ft_sql_add(sql, " AND ");
    ft_sql_add_param(sql, duckdb_create_blob(last.bytes, size));
    ft_sql_add(sql, ")");
}

/* Text that is not UTF-8 is in no row. */
static void add_text(struct ft_sql *sql, const char *column, const struct ft_filter_value *value)
{
    size_t len = strlen(value->text);
    bool prefix = len > 0 && value->text[len - 1] == '*';
    if (prefix && len == 1) {
        ft_sql_add(sql, column);
        ft_sql_add(sql, " <> ''");
        return;
    }
    duckdb_value text = duckdb_create_varchar_length(value->text, prefix ? len - 1 : len);
    if (text == NULL) {
        ft_sql_add(sql, "false");
        return;
    }
    ft_sql_add(sql, prefix ? "starts_with(" : "(");
    ft_sql_add(sql, column);
    ft_sql_add(sql, prefix ? ", " : " = ");
    ft_sql_add_param(sql, text);
    ft_sql_add(sql, ")");
}

/*
 * A stored id is compared as it is.  A derived one is the SHA-1 of other columns (schema.sql): its
 * first twelve digits are compared before a UUID is made of it, which takes five times as long.
 */
static void add_uuid(struct ft_sql *sql, enum ft_column column, const struct ft_uuid *uuid)
{
    bool event = column == FT_COL_EVENT_ID;
    if (!event && column != FT_COL_FLOW_ID) {
        ft_sql_add(sql, columns[column]);
        ft_sql_add(sql, " = ");
        ft_sql_add_param(sql, ft_duckdb_uuid_value(uuid));
        return;
    }
    char digits[FT_UUID_TEXT_SIZE];
    ft_uuid_format(uuid, digits);
    memmove(digits + 8, digits + 9, 4);
    ft_sql_add(sql, event ? "CASE WHEN event_id IS NOT NULL THEN event_id = "
                          : "CASE WHEN flow_id IS NOT NULL THEN flow_id = ");
    ft_sql_add_param(sql, ft_duckdb_uuid_value(uuid));
    ft_sql_add(sql, " WHEN starts_with(sha1(instance_id::BLOB || unhex(");
    ft_sql_add(sql, event ? "printf('%016x', seq)"
                          : "printf('%08x%016x', conntrack_id, epoch_ns(start_time))");
    ft_sql_add(sql, ")), ");
    ft_sql_add_param(sql, duckdb_create_varchar_length(digits, 12));
    ft_sql_add(sql, ") THEN ");
    ft_sql_add(sql, columns[column]);
    ft_sql_add(sql, " = ");
    ft_sql_add_param(sql, ft_duckdb_uuid_value(uuid));
    ft_sql_add(sql, " ELSE false END");
}

/* One value against one column that holds it. */
static void add_value(struct ft_sql *sql, enum ft_column column,
                      const struct ft_filter_value *value)
{
    switch (ft_column_kind(column)) {
    case FT_COLUMN_NUMBER:
        if (column == FT_COL_TIME) {
            add_time_range(sql, value);
        } else {
            add_number(sql, columns[column], value);
        }
        return;
    case FT_COLUMN_ADDR:
        add_addr(sql, columns[column], value);
        return;
    case FT_COLUMN_TEXT:
        add_text(sql, columns[column], value);
        return;
    case FT_COLUMN_UUID:
        add_uuid(sql, column, &value->uuid);
        return;
    }
}

/* The columns that a filter column stands for: itself, or the several of addr and port. */
static unsigned columns_of(enum ft_column column, enum ft_column ret_columns[4])
{
    if (column == FT_COL_ADDR) {
        ret_columns[0] = FT_COL_SRC_ADDR;
        ret_columns[1] = FT_COL_DST_ADDR;
        ret_columns[2] = FT_COL_NAT_SRC_ADDR;
        ret_columns[3] = FT_COL_NAT_DST_ADDR;
        return 4;
    }
    ret_columns[0] = column;
    if (column == FT_COL_PORT) {
        ret_columns[0] = FT_COL_SRC_PORT;
        ret_columns[1] = FT_COL_DST_PORT;
        return 2;
    }
    return 1;
}

static void add_filter(struct ft_sql *sql, const struct ft_query_filter *filter)
{
    enum ft_column in[4];
    unsigned n_in = columns_of(filter->column, in);
    /* NULL matches nothing, and so passes a negated filter. */
    ft_sql_add(sql, filter->negate ? " AND NOT coalesce(" : " AND (");
    for (unsigned i = 0; i < filter->n_values; i++) {
        for (unsigned j = 0; j < n_in; j++) {
            if (i + j > 0) {
                ft_sql_add(sql, " OR ");
            }
            add_value(sql, in[j], &filter->values[i]);
        }
    }
    if (filter->n_values == 0) {
        ft_sql_add(sql, "false");
    }
    ft_sql_add(sql, filter->negate ? ", false)" : ")");
}
