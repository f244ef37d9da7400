/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One running query of the reader: its bounds and how SQL is run within them.
 *
 * Thread: owner only.
 */
#ifndef FT_SINK_DUCKDB_QUERY_H
#define FT_SINK_DUCKDB_QUERY_H 1

#include <duckdb.h>

#include "sink/duckdb_reader.h"
#include "sink/duckdb_sql.h"

struct ft_duckdb_reader;

struct ft_duckdb_query {
    struct ft_duckdb_reader *reader;
    int64_t deadline_mono_ns;
    const atomic_bool *cancel; /* May be NULL. */
    struct ft_diag *diag;
};

/* FT_E_CANCELLED or -ETIMEDOUT when it is over. */
FT_MUST_USE ft_err ft_duckdb_query_check(const struct ft_duckdb_query *query);

/*
 * Runs 'sql' on a connection of the pool.  The result is complete and in memory, the connection
 * free again: duckdb_destroy_result it.
 */
FT_MUST_USE ft_err ft_duckdb_query_run(const struct ft_duckdb_query *query, struct ft_sql *sql,
                                       duckdb_result *ret_result);

/* The reader's groups(). */
FT_MUST_USE ft_err ft_duckdb_groups(const struct ft_duckdb_query *run, const struct ft_query *query,
                                    const struct ft_group *group, ft_group_row_fn *fn, void *ctx,
                                    struct ft_query_result *ret_result);

#endif
