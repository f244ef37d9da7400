/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ftduck FILE SQL: runs a query on a DuckDB file, read-only, and prints the rows with tabs between
 * the columns.  The tests look into the collector's store with it, past the collector's own code.
 * ftduck FILE SQL --change: runs statements that change it, and prints nothing: damage.
 */
#include <duckdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_value(duckdb_vector vector, idx_t row)
{
    uint64_t *validity = duckdb_vector_get_validity(vector);
    if (validity != NULL && !duckdb_validity_row_is_valid(validity, row)) {
        (void)printf("NULL");
        return;
    }
    duckdb_string_t *texts = duckdb_vector_get_data(vector);
    (void)printf("%.*s", (int)duckdb_string_t_length(texts[row]),
                 duckdb_string_t_data(&texts[row]));
}

/* Every column is text: see main(). */
static void print_rows(duckdb_result *result)
{
    idx_t n_columns = duckdb_column_count(result);
    for (;;) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(*result);
        if (chunk == NULL) {
            return;
        }
        idx_t n_rows = duckdb_data_chunk_get_size(chunk);
        for (idx_t row = 0; row < n_rows; row++) {
            for (idx_t column = 0; column < n_columns; column++) {
                (void)printf("%s", column > 0 ? "\t" : "");
                print_value(duckdb_data_chunk_get_vector(chunk, column), row);
            }
            (void)printf("\n");
        }
        duckdb_destroy_data_chunk(&chunk);
    }
}

int main(int argc, char **argv)
{
    duckdb_config config;
    duckdb_database database;
    duckdb_connection connection;
    duckdb_result result;
    char *error = NULL;
    bool change = argc == 4 && strcmp(argv[3], "--change") == 0;
    if (argc != 3 && !change) {
        (void)fprintf(stderr, "ftduck FILE SQL [--change]\n");
        return 64;
    }
    if (duckdb_create_config(&config) != DuckDBSuccess ||
        duckdb_set_config(config, "access_mode", change ? "READ_WRITE" : "READ_ONLY") !=
            DuckDBSuccess ||
        duckdb_open_ext(argv[1], &database, config, &error) != DuckDBSuccess) {
        (void)fprintf(stderr, "ftduck: %s: %s\n", argv[1], error != NULL ? error : "no database");
        return 1;
    }
    if (duckdb_connect(database, &connection) != DuckDBSuccess) {
        (void)fprintf(stderr, "ftduck: cannot connect\n");
        return 1;
    }
    /* As text whatever the types are. */
    char *sql = NULL;
    if (asprintf(&sql, change ? "%s" : "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (%s)", argv[2]) <
        0) {
        return 1;
    }
    if (duckdb_query(connection, sql, &result) != DuckDBSuccess) {
        (void)fprintf(stderr, "ftduck: %s\n", duckdb_result_error(&result));
        return 1;
    }
    if (!change) {
        print_rows(&result);
    }
    free(sql);
    duckdb_destroy_result(&result);
    duckdb_disconnect(&connection);
    duckdb_close(&database);
    duckdb_destroy_config(&config);
    return 0;
}
