/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the DuckDB store share: the open database, errors, small queries, ids.
 * Only files named duckdb_*.c include this.
 *
 * Thread: as duckdb.h; a connection belongs to one thread at a time.
 */
#ifndef FT_SINK_DUCKDB_INTERNAL_H
#define FT_SINK_DUCKDB_INTERNAL_H 1

#include <duckdb.h>

#include "flow/ids.h"
#include "sink/duckdb.h"

struct ft_duckdb {
    duckdb_database database;
    char *path;         /* NULL in memory. */
    char *wal_path;     /* NULL in memory. */
    uint64_t wal_bytes; /* From the options. */
};

/* schema.sql and upgrade.sql, put into the program by the build. */
extern const char ft_duckdb_schema_sql[];
extern const char ft_duckdb_upgrade_sql[];
#define FT_DUCKDB_SCHEMA_VERSION 1

/*
 * DuckDB's refusal as ours.  FT_E_CLOSED when the database has shut itself off, -ENOMEM, else
 * FT_E_STORE; the words go to '*reterr_diag'.
 */
ft_err ft_duckdb_refused(duckdb_error_type type, const char *what, const char *text,
                         struct ft_diag *reterr_diag);

FT_MUST_USE ft_err ft_duckdb_connect(struct ft_duckdb *db, duckdb_connection *ret_connection,
                                     struct ft_diag *reterr_diag);

/* One or several statements without a result. */
FT_MUST_USE ft_err ft_duckdb_exec(duckdb_connection connection, const char *sql,
                                  struct ft_diag *reterr_diag);

/* The first row of a query, all of whose 'n' columns are whole numbers; NULL and no row give 0. */
FT_MUST_USE ft_err ft_duckdb_query_numbers(duckdb_connection connection, const char *sql,
                                           int64_t *ret_numbers, unsigned n,
                                           struct ft_diag *reterr_diag);

FT_MUST_USE ft_err ft_duckdb_prepare(duckdb_connection connection, const char *sql,
                                     duckdb_prepared_statement *ret_statement,
                                     struct ft_diag *reterr_diag);

/* Runs a statement whose parameters are bound; its result is not wanted. */
FT_MUST_USE ft_err ft_duckdb_execute(duckdb_prepared_statement statement, const char *what,
                                     struct ft_diag *reterr_diag);

/* 0 when the file does not exist. */
uint64_t ft_duckdb_file_bytes(const char *path);

/* DuckDB keeps a UUID as a signed 128-bit number with the top bit turned, so that it sorts as its
 * bytes do. */
duckdb_hugeint ft_duckdb_uuid_to_hugeint(const struct ft_uuid *uuid);
void ft_duckdb_uuid_from_hugeint(duckdb_hugeint number, struct ft_uuid *ret_uuid);
/* As a parameter: duckdb_destroy_value it. */
duckdb_value ft_duckdb_uuid_value(const struct ft_uuid *uuid);
duckdb_value ft_duckdb_time_value(int64_t time_ns);

#endif
