/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_sink.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "sink/duckdb_columns.h"
#include "sink/duckdb_internal.h"
#include "sink/duckdb_writer.h"

/* DuckDB folds its log in at 'wal_bytes', but passes over it when something is in the way: at
 * twice the size we insist, at eight times running queries are ended for it. */
#define WAL_INSIST 2
#define WAL_FORCE  8

static const struct ft_sink_ops duckdb_ops;

static struct ft_duckdb_writer *writer_of(struct ft_sink *sink)
{
    assert(sink->ops == &duckdb_ops);
    return (struct ft_duckdb_writer *)sink;
}

static void writer_destroy(struct ft_duckdb_writer *writer);
FT_DEFINE_CLEANUP(struct ft_duckdb_writer, writer_destroy);

static void rollback(struct ft_duckdb_writer *writer);
static ft_err append_rows(struct ft_duckdb_writer *writer, const struct ft_row *rows, size_t n_rows,
                          struct ft_diag *reterr_diag);
static ft_err commit_all(struct ft_duckdb_writer *writer, uint64_t position,
                         struct ft_diag *reterr_diag);

ft_err ft_duckdb_sink_create(struct ft_duckdb *db, struct ft_sink **ret_sink,
                             struct ft_diag *reterr_diag)
{
    FT_CLEANUP(writer_destroy) struct ft_duckdb_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    writer->sink.ops = &duckdb_ops;
    writer->db = db;
    ft_marks_init(&writer->marks);
    FT_TRY(ft_id_deriver_create(&writer->deriver));
    FT_TRY(ft_duckdb_connect(db, &writer->connection, reterr_diag));
    FT_TRY(ft_duckdb_prepare(writer->connection, "UPDATE log_cursor SET position = ?",
                             &writer->move_cursor, reterr_diag));
    writer->chunk = ft_duckdb_columns_create_chunk();
    if (writer->chunk == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    FT_TRY(ft_marks_load(&writer->marks, writer->connection, reterr_diag));
    *ret_sink = &FT_TAKE(writer)->sink;
    return FT_OK;
}

static ft_err commit_gaps(struct ft_duckdb_writer *writer, const struct ft_uuid *agent_id,
                          const struct ft_uuid *instance_id, const struct ft_ranges *gaps,
                          struct ft_diag *reterr_diag)
{
    FT_TRY(ft_duckdb_exec(writer->connection, "BEGIN TRANSACTION", reterr_diag));
    FT_TRY(ft_marks_set_gaps(&writer->marks, writer->connection, agent_id, instance_id, gaps,
                             reterr_diag));
    return ft_duckdb_exec(writer->connection, "COMMIT", reterr_diag);
}

ft_err ft_duckdb_sink_set_gaps(struct ft_sink *sink, const struct ft_uuid *agent_id,
                               const struct ft_uuid *instance_id, const struct ft_ranges *gaps,
                               struct ft_diag *reterr_diag)
{
    struct ft_duckdb_writer *writer = writer_of(sink);
    assert(writer->appender == NULL);
    ft_err err = commit_gaps(writer, agent_id, instance_id, gaps, reterr_diag);
    if (err != FT_OK) {
        rollback(writer);
        return err;
    }
    return ft_marks_load(&writer->marks, writer->connection, reterr_diag);
}

void ft_duckdb_writer_bound_wal(struct ft_duckdb_writer *writer)
{
    if (writer->db->wal_path == NULL) {
        return;
    }
    uint64_t wal = ft_duckdb_file_bytes(writer->db->wal_path);
    if (wal > WAL_FORCE * writer->db->wal_bytes) {
        ft_err_ignore(ft_duckdb_exec(writer->connection, "FORCE CHECKPOINT", NULL),
                      "tried again after the next commit");
    } else if (wal > WAL_INSIST * writer->db->wal_bytes) {
        ft_err_ignore(ft_duckdb_exec(writer->connection, "CHECKPOINT", NULL),
                      "tried again after the next commit");
    }
}

static ft_err reset_cursor(struct ft_duckdb_writer *writer, const struct ft_uuid *log_id,
                           struct ft_diag *reterr_diag)
{
    duckdb_prepared_statement statement;
    FT_TRY(ft_duckdb_exec(writer->connection, "BEGIN TRANSACTION; DELETE FROM log_cursor",
                          reterr_diag));
    ft_err err = ft_duckdb_prepare(writer->connection, "INSERT INTO log_cursor VALUES (?, 0)",
                                   &statement, reterr_diag);
    if (err == FT_OK) {
        duckdb_value id = ft_duckdb_uuid_value(log_id);
        (void)duckdb_bind_value(statement, 1, id);
        duckdb_destroy_value(&id);
        err = ft_duckdb_execute(statement, "setting the cursor", reterr_diag);
        duckdb_destroy_prepare(&statement);
    }
    if (err == FT_OK) {
        err = ft_duckdb_exec(writer->connection, "COMMIT", reterr_diag);
    }
    if (err != FT_OK) {
        ft_err_ignore(ft_duckdb_exec(writer->connection, "ROLLBACK", NULL),
                      "the first failure counts");
    }
    return err;
}

static ft_err duckdb_begin(struct ft_sink *sink, const struct ft_uuid *log_id,
                           uint64_t *ret_position, struct ft_diag *reterr_diag)
{
    struct ft_duckdb_writer *writer = writer_of(sink);
    duckdb_result result;
    if (duckdb_query(writer->connection, "SELECT log_id, position FROM log_cursor", &result) !=
        DuckDBSuccess) {
        ft_err err = ft_duckdb_refused(duckdb_result_error_type(&result), "reading the cursor",
                                       duckdb_result_error(&result), reterr_diag);
        duckdb_destroy_result(&result);
        return err;
    }
    bool known = false;
    uint64_t position = 0;
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
    if (chunk != NULL && duckdb_data_chunk_get_size(chunk) > 0) {
        struct ft_uuid stored;
        const duckdb_hugeint *id = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
        ft_duckdb_uuid_from_hugeint(*id, &stored);
        known = ft_uuid_equal(&stored, log_id);
        position = *(uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    }
    duckdb_destroy_data_chunk(&chunk);
    duckdb_destroy_result(&result);
    if (!known) {
        position = 0;
        FT_TRY(reset_cursor(writer, log_id, reterr_diag));
    }
    *ret_position = position;
    return FT_OK;
}

static ft_err duckdb_append(struct ft_sink *sink, const struct ft_row *rows, size_t n_rows,
                            struct ft_diag *reterr_diag)
{
    struct ft_duckdb_writer *writer = writer_of(sink);
    ft_err err = append_rows(writer, rows, n_rows, reterr_diag);
    if (err != FT_OK) {
        rollback(writer);
    }
    return err;
}

static ft_err duckdb_commit(struct ft_sink *sink, uint64_t position, struct ft_diag *reterr_diag)
{
    struct ft_duckdb_writer *writer = writer_of(sink);
    ft_err err = commit_all(writer, position, reterr_diag);
    if (err != FT_OK) {
        rollback(writer);
        return err;
    }
    ft_duckdb_writer_bound_wal(writer);
    if (ft_marks_want_fold(&writer->marks) &&
        ft_marks_fold(&writer->marks, writer->connection, INT64_MIN + 2, NULL) != FT_OK) {
        writer->reload = true;
    }
    return FT_OK;
}

static void duckdb_stats(struct ft_sink *sink, struct ft_sink_stats *ret_stats)
{
    *ret_stats = writer_of(sink)->stats;
}

static void duckdb_sink_close(struct ft_sink *sink) { writer_destroy(writer_of(sink)); }

static const struct ft_sink_ops duckdb_ops = {
    .begin = duckdb_begin,
    .append = duckdb_append,
    .commit = duckdb_commit,
    .stats = duckdb_stats,
    .close = duckdb_sink_close,
};

static void writer_destroy(struct ft_duckdb_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->appender != NULL) {
        rollback(writer);
    }
    duckdb_destroy_data_chunk(&writer->chunk);
    duckdb_destroy_prepare(&writer->move_cursor);
    if (writer->connection != NULL) {
        duckdb_disconnect(&writer->connection);
    }
    ft_id_deriver_destroy(writer->deriver);
    ft_marks_deinit(&writer->marks);
    free(writer);
}

static ft_err start_transaction(struct ft_duckdb_writer *writer, struct ft_diag *reterr_diag)
{
    if (writer->appender != NULL) {
        return FT_OK;
    }
    if (writer->reload) {
        FT_TRY(ft_marks_load(&writer->marks, writer->connection, reterr_diag));
        writer->reload = false;
    }
    FT_TRY(ft_duckdb_exec(writer->connection, "BEGIN TRANSACTION", reterr_diag));
    if (duckdb_appender_create(writer->connection, NULL, "flows", &writer->appender) !=
        DuckDBSuccess) {
        return ft_duckdb_refused(DUCKDB_ERROR_INVALID, "starting a batch",
                                 duckdb_appender_error(writer->appender), reterr_diag);
    }
    return FT_OK;
}

/* What another try of the same rows would give again, however well the database is. */
static bool is_about_rows(duckdb_error_type type)
{
    return type == DUCKDB_ERROR_CONSTRAINT || type == DUCKDB_ERROR_CONVERSION ||
           type == DUCKDB_ERROR_OUT_OF_RANGE || type == DUCKDB_ERROR_INVALID_INPUT ||
           type == DUCKDB_ERROR_MISMATCH_TYPE || type == DUCKDB_ERROR_INVALID_TYPE;
}

static ft_err appender_refused(struct ft_duckdb_writer *writer, struct ft_diag *reterr_diag)
{
    duckdb_error_data data = duckdb_appender_error_data(writer->appender);
    duckdb_error_type type = duckdb_error_data_error_type(data);
    struct ft_diag diag = {0};
    ft_err err = ft_duckdb_refused(type, "storing flows", duckdb_error_data_message(data), &diag);
    if (is_about_rows(type)) {
        err = FT_E_RANGE;
    }
    duckdb_destroy_error_data(&data);
    return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s", diag.text);
}

static ft_err flush_chunk(struct ft_duckdb_writer *writer, struct ft_diag *reterr_diag)
{
    if (writer->chunk_rows == 0) {
        return FT_OK;
    }
    duckdb_data_chunk_set_size(writer->chunk, writer->chunk_rows);
    if (duckdb_append_data_chunk(writer->appender, writer->chunk) != DuckDBSuccess) {
        return appender_refused(writer, reterr_diag);
    }
    duckdb_data_chunk_reset(writer->chunk);
    writer->chunk_rows = 0;
    return FT_OK;
}

static ft_err append_rows(struct ft_duckdb_writer *writer, const struct ft_row *rows, size_t n_rows,
                          struct ft_diag *reterr_diag)
{
    idx_t chunk_rows_max = duckdb_vector_size();
    FT_TRY(start_transaction(writer, reterr_diag));
    for (size_t i = 0; i < n_rows; i++) {
        bool is_new;
        FT_TRY(ft_marks_pass(&writer->marks, &rows[i], &is_new));
        if (!is_new) {
            writer->stats.duplicates++;
            continue;
        }
        ft_duckdb_columns_write(writer->chunk, writer->chunk_rows++, &rows[i], writer->deriver);
        writer->pending_rows++;
        if (writer->chunk_rows == chunk_rows_max) {
            FT_TRY(flush_chunk(writer, reterr_diag));
        }
    }
    return FT_OK;
}

static ft_err commit_all(struct ft_duckdb_writer *writer, uint64_t position,
                         struct ft_diag *reterr_diag)
{
    FT_TRY(start_transaction(writer, reterr_diag));
    FT_TRY(flush_chunk(writer, reterr_diag));
    if (duckdb_appender_close(writer->appender) != DuckDBSuccess) {
        return appender_refused(writer, reterr_diag);
    }
    FT_TRY(ft_marks_save(&writer->marks, writer->connection, reterr_diag));
    (void)duckdb_bind_uint64(writer->move_cursor, 1, position);
    FT_TRY(ft_duckdb_execute(writer->move_cursor, "moving the cursor", reterr_diag));
    FT_TRY(ft_duckdb_exec(writer->connection, "COMMIT", reterr_diag));
    duckdb_appender_destroy(&writer->appender);
    writer->appender = NULL;
    ft_marks_on_commit(&writer->marks);
    writer->stats.rows += writer->pending_rows;
    writer->stats.commits++;
    writer->pending_rows = 0;
    return FT_OK;
}

static void rollback(struct ft_duckdb_writer *writer)
{
    writer->stats.failures++;
    if (writer->appender != NULL) {
        /* Destroying an appender flushes it: into the transaction that ends here. */
        (void)duckdb_appender_clear(writer->appender);
        duckdb_appender_destroy(&writer->appender);
        writer->appender = NULL;
    }
    ft_err_ignore(ft_duckdb_exec(writer->connection, "ROLLBACK", NULL),
                  "there is no transaction after a failed BEGIN or COMMIT");
    ft_marks_on_rollback(&writer->marks);
    duckdb_data_chunk_reset(writer->chunk);
    writer->chunk_rows = 0;
    writer->pending_rows = 0;
    writer->reload = true;
}
