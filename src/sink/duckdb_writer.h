/* SPDX-License-Identifier: Apache-2.0 */
/* The DuckDB sink as its own two files know it. Thread: owner only. */
#ifndef FT_SINK_DUCKDB_WRITER_H
#define FT_SINK_DUCKDB_WRITER_H 1

#include <duckdb.h>

#include "flow/ids.h"
#include "sink/duckdb_marks.h"
#include "sink/duckdb_sink.h"

struct ft_duckdb_writer {
    struct ft_sink sink;
    struct ft_duckdb *db;
    duckdb_connection connection;
    duckdb_prepared_statement move_cursor;
    struct ft_id_deriver *deriver;
    duckdb_data_chunk chunk;
    idx_t chunk_rows;         /* Written into 'chunk'. */
    duckdb_appender appender; /* NULL outside a transaction. */
    struct ft_marks marks;
    bool reload; /* A failure left it open what is stored: ask the database before going on. */
    uint64_t pending_rows;
    struct ft_sink_stats stats;
};

/* Folds the write-ahead log in when DuckDB has not done so by itself. */
void ft_duckdb_writer_bound_wal(struct ft_duckdb_writer *writer);

#endif
