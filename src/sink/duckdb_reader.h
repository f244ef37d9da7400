/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries against the embedded store: struct ft_flow_reader (flow/query.h) over a few connections
 * of its own, so that queries neither wait for the sink nor hold it up.
 *
 * Every query has a time bound and can be cancelled; it runs on the caller's thread.  Rows come in
 * pages: while the receiver is slow, no transaction is open and no connection is taken.  Rows that
 * are stored meanwhile may show in later pages.
 *
 * Thread: any; FT_DUCKDB_CONNECTIONS_MAX queries at once, others wait within their own time bound.
 */
#ifndef FT_SINK_DUCKDB_READER_H
#define FT_SINK_DUCKDB_READER_H 1

#include "base/clock.h"
#include "flow/query.h"
#include "sink/duckdb.h"

#define FT_DUCKDB_CONNECTIONS_MAX 4

/* Rows that are in memory at once, for one query. */
#define FT_DUCKDB_PAGE_ROWS 10000

/* No query runs longer, whatever it asks for. */
#define FT_DUCKDB_TIMEOUT_NS_DEFAULT (30 * FT_NS_PER_S)

/* Largest groups that may be asked for. */
#define FT_DUCKDB_GROUPS_MAX 1000

struct ft_duckdb_reader_options {
    int64_t timeout_ns;           /* 0: default. */
    const struct ft_clock *clock; /* NULL: the system's. */
};

/* 'db' is borrowed until ft_duckdb_reader_destroy. */
FT_MUST_USE ft_err ft_duckdb_reader_create(struct ft_duckdb *db,
                                           const struct ft_duckdb_reader_options *options,
                                           struct ft_flow_reader **ret_reader,
                                           struct ft_diag *reterr_diag);

/* Accepts NULL.  No query is running. */
void ft_duckdb_reader_destroy(struct ft_flow_reader *reader);

#endif
