/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL for queries: text made of constants only, values as bound parameters only.  Nothing that
 * came from outside ever becomes part of the text.
 *
 * Thread: owner only.
 */
#ifndef FT_SINK_DUCKDB_SQL_H
#define FT_SINK_DUCKDB_SQL_H 1

#include <duckdb.h>

#include "base/buf.h"
#include "flow/query.h"

struct ft_sql {
    struct ft_buf text;
    duckdb_value *params;
    unsigned n_params;
    unsigned params_capacity;
};

void ft_sql_init(struct ft_sql *sql);
void ft_sql_deinit(struct ft_sql *sql);

/* Failures show in ft_sql_prepare. 'text' is a constant of the program. */
void ft_sql_add(struct ft_sql *sql, const char *text);
/* Adds "?" for the value, which belongs to 'sql' from here on. */
void ft_sql_add_param(struct ft_sql *sql, duckdb_value value);
void ft_sql_add_u64(struct ft_sql *sql, uint64_t number);

/* "WHERE …": time bounds, cursor and filters of the query. */
void ft_sql_add_where(struct ft_sql *sql, const struct ft_query *query);

/* The value of a column as an expression; NULL for one that stands for several (addr, port). */
const char *ft_sql_column(enum ft_column column);

FT_MUST_USE ft_err ft_sql_prepare(struct ft_sql *sql, duckdb_connection connection,
                                  duckdb_prepared_statement *ret_statement,
                                  struct ft_diag *reterr_diag);

#endif
