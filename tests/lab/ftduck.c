/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ftduck FILE SQL: runs a query on a DuckDB file, read-only, and prints the rows with tabs between
 * the columns.  The tests look into the collector's store with it, past the collector's own code.
 */
#include <duckdb.h>
#include <stdio.h>

static int print_rows(duckdb_result *result)
{
    idx_t n_columns = duckdb_column_count(result);
    idx_t n_rows = duckdb_row_count(result);
    for (idx_t row = 0; row < n_rows; row++) {
        for (idx_t column = 0; column < n_columns; column++) {
            char *text = duckdb_value_varchar(result, column, row);
            (void)printf("%s%s", column > 0 ? "\t" : "", text != NULL ? text : "NULL");
            duckdb_free(text);
        }
        (void)printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    duckdb_config config;
    duckdb_database database;
    duckdb_connection connection;
    duckdb_result result;
    char *error = NULL;
    if (argc != 3) {
        (void)fprintf(stderr, "ftduck FILE SQL\n");
        return 64;
    }
    if (duckdb_create_config(&config) != DuckDBSuccess ||
        duckdb_set_config(config, "access_mode", "READ_ONLY") != DuckDBSuccess ||
        duckdb_open_ext(argv[1], &database, config, &error) != DuckDBSuccess) {
        (void)fprintf(stderr, "ftduck: %s: %s\n", argv[1], error != NULL ? error : "no database");
        return 1;
    }
    if (duckdb_connect(database, &connection) != DuckDBSuccess) {
        (void)fprintf(stderr, "ftduck: cannot connect\n");
        return 1;
    }
    if (duckdb_query(connection, argv[2], &result) != DuckDBSuccess) {
        (void)fprintf(stderr, "ftduck: %s\n", duckdb_result_error(&result));
        return 1;
    }
    int status = print_rows(&result);
    duckdb_destroy_result(&result);
    duckdb_disconnect(&connection);
    duckdb_close(&database);
    duckdb_destroy_config(&config);
    return status;
}
