/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of stored flows, and the interface to whatever stores them.  The web server
 * fills a query, a store (sink/duckdb.h) answers it, and the assembly introduces the two.
 *
 * Thread: a query is plain data; a reader is safe for any number of threads.
 */
#ifndef FT_FLOW_QUERY_H
#define FT_FLOW_QUERY_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/event.h"
#include "flow/ids.h"

/* A stored row: the event with whose it is and where it stands in the store's order. */
struct ft_row {
    struct ft_event event;
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    struct ft_uuid event_id;
    struct ft_uuid flow_id; /* Only with FT_FIELD_FLOW. */
    int64_t stored_ns;
    uint64_t life; /* In which the event was made (export.proto); 0: not known.  Not a column. */
};

/* Columns that can be filtered by, in the order of ft_column_name. */
enum ft_column {
    FT_COL_TIME,
    FT_COL_SEQ,
    FT_COL_AGENT,
    FT_COL_INSTANCE,
    FT_COL_EVENT_ID,
    FT_COL_FLOW_ID,
    FT_COL_TYPE,
    FT_COL_DIRECTION,
    FT_COL_CLASS,
    FT_COL_PROTOCOL,
    FT_COL_SRC_ADDR,
    FT_COL_DST_ADDR,
    FT_COL_ADDR, /* source or destination, or the NAT addresses */
    FT_COL_SRC_PORT,
    FT_COL_DST_PORT,
    FT_COL_PORT,
    FT_COL_IP_VERSION,
    FT_COL_ICMP_TYPE,
    FT_COL_ICMP_CODE,
    FT_COL_NAT_SRC_ADDR,
    FT_COL_NAT_DST_ADDR,
    FT_COL_NAT_SRC_PORT,
    FT_COL_NAT_DST_PORT,
    FT_COL_RX_PACKETS,
    FT_COL_RX_BYTES,
    FT_COL_TX_PACKETS,
    FT_COL_TX_BYTES,
    FT_COL_BYTES, /* rx + tx */
    FT_COL_PACKETS,
    FT_COL_TCP_STATE,
    FT_COL_MARK,
    FT_COL_ZONE,
    FT_COL_CONNTRACK_ID,
    FT_COL_PID,
    FT_COL_PROCESS_NAME,
    FT_COL_CONTAINER_ID,
    FT_COL_UID,
    FT_COL_USER_NAME,
    FT_COL_SRC_NAME,
    FT_COL_DST_NAME,
    FT_COL_RULE_ID,
    FT_COL_SRC_RESOURCE_ID,
    FT_COL_DST_RESOURCE_ID,
    FT_COL_INFERRED,
    FT_COL_LOSS_CAUSE,
    FT_COLUMN_N
};

enum ft_column_kind { FT_COLUMN_NUMBER, FT_COLUMN_ADDR, FT_COLUMN_TEXT, FT_COLUMN_UUID };

/* The name in URLs, JSON and CSV ("src_addr"); static. */
const char *ft_column_name(enum ft_column column);
enum ft_column_kind ft_column_kind(enum ft_column column);
bool ft_column_parse(const char *name, enum ft_column *ret_column);

/* One alternative of a filter: a range of numbers, an address range, a text, an id. */
struct ft_filter_value {
    uint64_t min; /* FT_COLUMN_NUMBER: both ends included. */
    uint64_t max;
    struct ft_cidr cidr;
    struct ft_uuid uuid;
    char text[FT_EVENT_STRING_LEN_MAX + 1]; /* '*' at the end: any text that begins so. */
};

#define FT_FILTER_VALUES_MAX  32
#define FT_QUERY_FILTERS_MAX  32
#define FT_QUERY_ROWS_MAX     100000
#define FT_QUERY_ROWS_DEFAULT 100

/* The row must (not) match one of the values; an absent column matches none. */
struct ft_query_filter {
    enum ft_column column;
    bool negate;
    unsigned n_values;
    struct ft_filter_value *values; /* FT_FILTER_VALUES_MAX at most; owned by the query. */
};

enum ft_query_order { FT_ORDER_NEWEST_FIRST, FT_ORDER_OLDEST_FIRST };

/* Where a page ended: rows have one total order by (time, agent, instance, seq). */
struct ft_query_cursor {
    int64_t time_ns;
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t seq;
};

struct ft_query {
    int64_t begin_ns; /* time >= begin */
    int64_t end_ns;   /* time < end */
    unsigned n_filters;
    struct ft_query_filter filters[FT_QUERY_FILTERS_MAX];
    enum ft_query_order order;
    uint32_t rows_max;
    bool has_cursor;
    struct ft_query_cursor cursor; /* Rows behind it, in the order asked for. */
    int64_t timeout_ns;            /* 0: the store's own bound. */
};

void ft_query_init(struct ft_query *query);
void ft_query_deinit(struct ft_query *query);

/*
 * Adds "column=value[,value…]": numbers may be ranges ("1000-2000"), addresses may be prefixes,
 * enumerations go by name.  FT_E_SYNTAX, FT_E_UNKNOWN_KEY or FT_E_RANGE with '*reterr_diag'.
 */
FT_MUST_USE ft_err ft_query_add_filter(struct ft_query *query, const char *column,
                                       const char *values, bool negate,
                                       struct ft_diag *reterr_diag);

/* Does a row match the filters and the time range?  For live streams. */
bool ft_query_matches(const struct ft_query *query, const struct ft_row *row);

/* Aggregates for /api/v1/top and /api/v1/series. */
#define FT_GROUP_COLUMNS_MAX 4
enum ft_measure {
    FT_MEASURE_BYTES,
    FT_MEASURE_PACKETS,
    FT_MEASURE_RX_BYTES,
    FT_MEASURE_TX_BYTES,
    FT_MEASURE_EVENTS,
    FT_MEASURE_FLOWS, /* distinct flows that ended or began: count of START events */
    FT_MEASURE_N
};
const char *ft_measure_name(enum ft_measure measure);
bool ft_measure_parse(const char *name, enum ft_measure *ret_measure);

struct ft_group {
    unsigned n_columns;
    enum ft_column columns[FT_GROUP_COLUMNS_MAX];
    enum ft_measure measure; /* What ranks. */
    int64_t step_ns;         /* Series: the width of a bucket; top: 0. */
    uint32_t groups_max;     /* The largest groups; the rest is one group without keys. */
};

/* One group (top) or one group's bucket (series).  Texts are valid during the call only. */
struct ft_group_row {
    int64_t bucket_ns; /* Series only. */
    bool is_rest;
    const char *keys[FT_GROUP_COLUMNS_MAX]; /* NULL: absent. */
    uint64_t events;
    uint64_t flows;
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    uint64_t rx_packets;
    uint64_t tx_packets;
};

/* Gives one row out; anything but FT_OK stops the query with that error. */
typedef ft_err ft_row_fn(void *ctx, const struct ft_row *row);
typedef ft_err ft_group_row_fn(void *ctx, const struct ft_group_row *row);

/* How a query ended. */
struct ft_query_result {
    uint64_t n_rows;
    bool more; /* rows_max was reached and there is more behind. */
};

struct ft_flow_reader;
struct ft_flow_reader_ops {
    /* 'cancel' may be NULL; when it becomes true the query stops soon with FT_E_CANCELLED.
     * -ETIMEDOUT when the time bound passes.  'reterr_diag' has the store's words. */
    ft_err (*rows)(struct ft_flow_reader *reader, const struct ft_query *query,
                   const atomic_bool *cancel, ft_row_fn *fn, void *ctx,
                   struct ft_query_result *ret_result, struct ft_diag *reterr_diag);
    ft_err (*groups)(struct ft_flow_reader *reader, const struct ft_query *query,
                     const struct ft_group *group, const atomic_bool *cancel, ft_group_row_fn *fn,
                     void *ctx, struct ft_query_result *ret_result, struct ft_diag *reterr_diag);
};
struct ft_flow_reader {
    const struct ft_flow_reader_ops *ops;
};

#endif
