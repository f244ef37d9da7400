/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "sink/duckdb_internal.h"

static ft_err configure(duckdb_config config, const struct ft_duckdb_options *options,
                        struct ft_diag *reterr_diag);
static ft_err prepare_schema(duckdb_connection connection, struct ft_diag *reterr_diag);
static ft_err open_database(struct ft_duckdb *db, const struct ft_duckdb_options *options,
                            struct ft_diag *reterr_diag);

ft_err ft_duckdb_open(const struct ft_duckdb_options *options, struct ft_duckdb **ret_db,
                      struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_duckdb_close) struct ft_duckdb *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    db->wal_bytes = options->wal_bytes != 0 ? options->wal_bytes : FT_DUCKDB_WAL_BYTES_DEFAULT;
    if (options->path != NULL) {
        db->path = strdup(options->path);
        if (db->path == NULL || asprintf(&db->wal_path, "%s.wal", options->path) < 0) {
            db->wal_path = NULL; /* asprintf leaves anything there. */
            return ft_err_from_errno(ENOMEM);
        }
    }
    FT_TRY(open_database(db, options, reterr_diag));
    duckdb_connection connection;
    FT_TRY(ft_duckdb_connect(db, &connection, reterr_diag));
    ft_err err = prepare_schema(connection, reterr_diag);
    duckdb_disconnect(&connection);
    FT_TRY(err);
    *ret_db = FT_TAKE(db);
    return FT_OK;
}

void ft_duckdb_close(struct ft_duckdb *db)
{
    if (db == NULL) {
        return;
    }
    if (db->database != NULL) {
        duckdb_close(&db->database);
    }
    free(db->path);
    free(db->wal_path);
    free(db);
}

const char *ft_duckdb_version(void) { return duckdb_library_version(); }

ft_err ft_duckdb_get_stats(struct ft_duckdb *db, struct ft_duckdb_stats *ret_stats,
                           struct ft_diag *reterr_diag)
{
    duckdb_connection connection;
    FT_TRY(ft_duckdb_connect(db, &connection, reterr_diag));
    int64_t numbers[4] = {0};
    /* min() and max() are answered from the statistics of the row groups. */
    ft_err err = ft_duckdb_query_numbers(
        connection,
        "SELECT (SELECT used_blocks * block_size FROM pragma_database_size() LIMIT 1),"
        " (SELECT estimated_size FROM duckdb_tables() WHERE table_name = 'flows'),"
        " epoch_ns(min(\"time\")), epoch_ns(max(\"time\")) FROM flows",
        numbers, 4, reterr_diag);
    duckdb_disconnect(&connection);
    FT_TRY(err);
    *ret_stats = (struct ft_duckdb_stats){
        .file_bytes = db->path != NULL ? ft_duckdb_file_bytes(db->path) : 0,
        .wal_bytes = db->wal_path != NULL ? ft_duckdb_file_bytes(db->wal_path) : 0,
        .used_bytes = (uint64_t)numbers[0],
        .rows = (uint64_t)numbers[1],
        .oldest_ns = numbers[2],
        .newest_ns = numbers[3],
    };
    return FT_OK;
}

static ft_err set(duckdb_config config, const char *name, const char *value,
                  struct ft_diag *reterr_diag)
{
    if (duckdb_set_config(config, name, value) != DuckDBSuccess) {
        return ft_diag_set(reterr_diag, FT_E_STORE, NULL, 0, 0, "DuckDB refuses %s = %s", name,
                           value);
    }
    return FT_OK;
}

static ft_err set_bytes(duckdb_config config, const char *name, uint64_t bytes,
                        struct ft_diag *reterr_diag)
{
    char value[32];
    (void)snprintf(value, sizeof value, "%lluB", (unsigned long long)bytes);
    return set(config, name, value, reterr_diag);
}

static ft_err configure(duckdb_config config, const struct ft_duckdb_options *options,
                        struct ft_diag *reterr_diag)
{
    uint64_t memory =
        options->memory_bytes != 0 ? options->memory_bytes : FT_DUCKDB_MEMORY_BYTES_DEFAULT;
    uint64_t spill =
        options->spill_bytes != 0 ? options->spill_bytes : FT_DUCKDB_SPILL_BYTES_DEFAULT;
    uint64_t wal = options->wal_bytes != 0 ? options->wal_bytes : FT_DUCKDB_WAL_BYTES_DEFAULT;
    char threads[16];
    (void)snprintf(threads, sizeof threads, "%u",
                   options->threads != 0 ? options->threads : FT_DUCKDB_THREADS_DEFAULT);
    if (memory < FT_DUCKDB_MEMORY_BYTES_MIN) {
        memory = FT_DUCKDB_MEMORY_BYTES_MIN;
    }
    FT_TRY(set_bytes(config, "memory_limit", memory, reterr_diag));
    FT_TRY(set_bytes(config, "max_temp_directory_size", spill, reterr_diag));
    FT_TRY(set_bytes(config, "checkpoint_threshold", wal, reterr_diag));
    FT_TRY(set(config, "threads", threads, reterr_diag));
    /* Nothing but the file: a query is built from constants, and this is the second wall. */
    FT_TRY(set(config, "enable_external_access", "false", reterr_diag));
    FT_TRY(set(config, "autoinstall_known_extensions", "false", reterr_diag));
    FT_TRY(set(config, "autoload_known_extensions", "false", reterr_diag));
    FT_TRY(set(config, "allow_community_extensions", "false", reterr_diag));
    return set(config, "lock_configuration", "true", reterr_diag);
}

static ft_err open_database(struct ft_duckdb *db, const struct ft_duckdb_options *options,
                            struct ft_diag *reterr_diag)
{
    duckdb_config config;
    if (duckdb_create_config(&config) != DuckDBSuccess) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = configure(config, options, reterr_diag);
    char *text = NULL;
    if (err == FT_OK &&
        duckdb_open_ext(options->path, &db->database, config, &text) != DuckDBSuccess) {
        err = ft_diag_set(reterr_diag, FT_E_STORE, options->path, 0, 0, "%.400s",
                          text != NULL ? text : "cannot be opened");
        db->database = NULL;
    }
    duckdb_free(text);
    duckdb_destroy_config(&config);
    return err;
}

static ft_err add_deleted_rows(duckdb_connection connection, struct ft_diag *reterr_diag);

/* In the caller's transaction: views and later tables, and that they are those of this program. */
static ft_err upgrade(duckdb_connection connection, const char *made_by,
                      struct ft_diag *reterr_diag)
{
    char sql[160];
    FT_TRY(ft_duckdb_exec(connection, ft_duckdb_upgrade_sql, reterr_diag));
    (void)snprintf(sql, sizeof sql, "UPDATE schema_version SET made_by = '%s'", made_by);
    return ft_duckdb_exec(connection, sql, reterr_diag);
}

static ft_err make_schema(duckdb_connection connection, const char *made_by, bool is_new,
                          struct ft_diag *reterr_diag)
{
    FT_TRY(ft_duckdb_exec(connection, "BEGIN TRANSACTION", reterr_diag));
    ft_err err = is_new ? ft_duckdb_exec(connection, ft_duckdb_schema_sql, reterr_diag) : FT_OK;
    if (err == FT_OK) {
        err = upgrade(connection, made_by, reterr_diag);
    }
    if (err == FT_OK) {
        return ft_duckdb_exec(connection, "COMMIT", reterr_diag);
    }
    ft_err_ignore(ft_duckdb_exec(connection, "ROLLBACK", NULL), "the first failure counts");
    return err;
}

static ft_err prepare_schema(duckdb_connection connection, struct ft_diag *reterr_diag)
{
    int64_t made;
    int64_t version;
    int64_t current;
    char made_by[64];
    char sql[160];
    uint64_t hash = ft_hash64(ft_duckdb_upgrade_sql, strlen(ft_duckdb_upgrade_sql), 0);
    (void)snprintf(made_by, sizeof made_by, "flowtrail %016llx", (unsigned long long)hash);
    FT_TRY(ft_duckdb_query_numbers(
        connection, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'schema_version'",
        &made, 1, reterr_diag));
    if (made == 0) {
        return make_schema(connection, made_by, true, reterr_diag);
    }
    FT_TRY(ft_duckdb_query_numbers(connection, "SELECT max(version) FROM schema_version", &version,
                                   1, reterr_diag));
    if (version != FT_DUCKDB_SCHEMA_VERSION) {
        return ft_diag_set(reterr_diag, FT_E_UNSUPPORTED, NULL, 0, 0,
                           "the flow store has schema %lld, this program knows %d",
                           (long long)version, FT_DUCKDB_SCHEMA_VERSION);
    }
    FT_TRY(add_deleted_rows(connection, reterr_diag));
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM schema_version WHERE made_by = '%s'",
                   made_by);
    FT_TRY(ft_duckdb_query_numbers(connection, sql, &current, 1, reterr_diag));
    return current > 0 ? FT_OK : make_schema(connection, made_by, false, reterr_diag);
}

/* Stores of the first programs do not have it: what is not there now retention has deleted. */
static ft_err add_deleted_rows(duckdb_connection connection, struct ft_diag *reterr_diag)
{
    int64_t made;
    FT_TRY(ft_duckdb_query_numbers(
        connection, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'deleted_rows'", &made,
        1, reterr_diag));
    if (made != 0) {
        return FT_OK;
    }
    return ft_duckdb_exec(
        connection,
        "BEGIN TRANSACTION;"
        "CREATE TABLE deleted_rows (agent_id UUID, instance_id UUID, n_rows UBIGINT);"
        "INSERT INTO deleted_rows SELECT i.agent_id, i.instance_id,"
        "    greatest(i.n_events::BIGINT - coalesce(f.n, 0), 0)::UBIGINT"
        " FROM instances i LEFT JOIN"
        "    (SELECT agent_id, instance_id, count(*) AS n FROM flows GROUP BY ALL) f"
        " ON i.agent_id = f.agent_id AND i.instance_id = f.instance_id;"
        "COMMIT",
        reterr_diag);
}

/* -------------------------------------------------------------------- for the other parts */

ft_err ft_duckdb_refused(duckdb_error_type type, const char *what, const char *text,
                         struct ft_diag *reterr_diag)
{
    ft_err err = FT_E_STORE;
    if (type == DUCKDB_ERROR_FATAL || type == DUCKDB_ERROR_INTERNAL) {
        /* After these DuckDB answers every statement with the same refusal. */
        err = FT_E_CLOSED;
    } else if (type == DUCKDB_ERROR_OUT_OF_MEMORY) {
        err = ft_err_from_errno(ENOMEM);
    }
    return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s: %.400s", what,
                       text != NULL ? text : "no reason given");
}

ft_err ft_duckdb_connect(struct ft_duckdb *db, duckdb_connection *ret_connection,
                         struct ft_diag *reterr_diag)
{
    if (duckdb_connect(db->database, ret_connection) != DuckDBSuccess) {
        return ft_diag_set(reterr_diag, FT_E_STORE, NULL, 0, 0, "cannot connect to the store");
    }
    return FT_OK;
}

ft_err ft_duckdb_exec(duckdb_connection connection, const char *sql, struct ft_diag *reterr_diag)
{
    duckdb_result result;
    ft_err err = FT_OK;
    if (duckdb_query(connection, sql, &result) != DuckDBSuccess) {
        char what[48];
        (void)snprintf(what, sizeof what, "%.40s", sql);
        err = ft_duckdb_refused(duckdb_result_error_type(&result), what,
                                duckdb_result_error(&result), reterr_diag);
    }
    duckdb_destroy_result(&result);
    return err;
}

static int64_t number_at(duckdb_vector vector)
{
    uint64_t *validity = duckdb_vector_get_validity(vector);
    if (!duckdb_validity_row_is_valid(validity, 0)) {
        return 0;
    }
    duckdb_logical_type type = duckdb_vector_get_column_type(vector);
    duckdb_type id = duckdb_get_type_id(type);
    duckdb_destroy_logical_type(&type);
    const void *data = duckdb_vector_get_data(vector);
    switch ((int)id) {
    case DUCKDB_TYPE_INTEGER:
        return *(const int32_t *)data;
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UBIGINT:
        return *(const int64_t *)data;
    default:
        return 0;
    }
}

ft_err ft_duckdb_query_numbers(duckdb_connection connection, const char *sql, int64_t *ret_numbers,
                               unsigned n, struct ft_diag *reterr_diag)
{
    duckdb_result result;
    if (duckdb_query(connection, sql, &result) != DuckDBSuccess) {
        ft_err err = ft_duckdb_refused(duckdb_result_error_type(&result), "query",
                                       duckdb_result_error(&result), reterr_diag);
        duckdb_destroy_result(&result);
        return err;
    }
    memset(ret_numbers, 0, n * sizeof *ret_numbers);
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
    if (chunk != NULL && duckdb_data_chunk_get_size(chunk) > 0) {
        for (unsigned i = 0; i < n; i++) {
            ret_numbers[i] = number_at(duckdb_data_chunk_get_vector(chunk, i));
        }
    }
    duckdb_destroy_data_chunk(&chunk);
    duckdb_destroy_result(&result);
    return FT_OK;
}

ft_err ft_duckdb_prepare(duckdb_connection connection, const char *sql,
                         duckdb_prepared_statement *ret_statement, struct ft_diag *reterr_diag)
{
    if (duckdb_prepare(connection, sql, ret_statement) != DuckDBSuccess) {
        ft_err err = ft_duckdb_refused(DUCKDB_ERROR_INVALID, "prepare",
                                       duckdb_prepare_error(*ret_statement), reterr_diag);
        duckdb_destroy_prepare(ret_statement);
        return err;
    }
    return FT_OK;
}

ft_err ft_duckdb_execute(duckdb_prepared_statement statement, const char *what,
                         struct ft_diag *reterr_diag)
{
    duckdb_result result;
    ft_err err = FT_OK;
    if (duckdb_execute_prepared(statement, &result) != DuckDBSuccess) {
        err = ft_duckdb_refused(duckdb_result_error_type(&result), what,
                                duckdb_result_error(&result), reterr_diag);
    }
    duckdb_destroy_result(&result);
    return err;
}

uint64_t ft_duckdb_file_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static uint64_t read_be64(const uint8_t *from)
{
    uint64_t number;
    memcpy(&number, from, sizeof number);
    return be64toh(number);
}

duckdb_hugeint ft_duckdb_uuid_to_hugeint(const struct ft_uuid *uuid)
{
    return (duckdb_hugeint){.lower = read_be64(uuid->bytes + 8),
                            .upper = (int64_t)(read_be64(uuid->bytes) ^ (UINT64_C(1) << 63))};
}

void ft_duckdb_uuid_from_hugeint(duckdb_hugeint number, struct ft_uuid *ret_uuid)
{
    uint64_t upper = htobe64((uint64_t)number.upper ^ (UINT64_C(1) << 63));
    uint64_t lower = htobe64(number.lower);
    memcpy(ret_uuid->bytes, &upper, sizeof upper);
    memcpy(ret_uuid->bytes + 8, &lower, sizeof lower);
}

duckdb_value ft_duckdb_uuid_value(const struct ft_uuid *uuid)
{
    /* The value's constructor takes the plain number and turns the bit itself. */
    return duckdb_create_uuid(
        (duckdb_uhugeint){.lower = read_be64(uuid->bytes + 8), .upper = read_be64(uuid->bytes)});
}

duckdb_value ft_duckdb_time_value(int64_t time_ns)
{
    return duckdb_create_timestamp_ns((duckdb_timestamp_ns){.nanos = time_ns});
}
