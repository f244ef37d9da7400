/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of table `flows` and what they are of a row: one table (in the .c file) by which rows
 * are written to DuckDB's vectors and read back from them.
 *
 * Thread: any; vectors belong to the caller.
 */
#ifndef FT_SINK_DUCKDB_COLUMNS_H
#define FT_SINK_DUCKDB_COLUMNS_H 1

#include <duckdb.h>

#include "flow/ids.h"
#include "flow/query.h"

unsigned ft_duckdb_columns_n(void);
/* Its name in SQL, quoted where need be; static. */
const char *ft_duckdb_column_sql(unsigned column);

/* A chunk for all columns of `flows`; NULL without memory. */
duckdb_data_chunk ft_duckdb_columns_create_chunk(void);

/*
 * Writes the row as number 'at' of the chunk.  Ids that 'deriver' can compute are left NULL; bytes
 * of a text that are not UTF-8 become '?'.
 */
void ft_duckdb_columns_write(duckdb_data_chunk chunk, idx_t at, const struct ft_row *row,
                             struct ft_id_deriver *deriver);

/* Room for the texts of one row read back. */
struct ft_duckdb_texts {
    char text[8][FT_EVENT_STRING_LEN_MAX + 1];
};

/*
 * Reads row number 'at' of a chunk that has all columns of `flows` in order.  Its texts are in
 * 'texts'; ids that are not stored are computed.
 */
void ft_duckdb_columns_read(duckdb_data_chunk chunk, idx_t at, struct ft_id_deriver *deriver,
                            struct ft_duckdb_texts *texts, struct ft_row *ret_row);

#endif
