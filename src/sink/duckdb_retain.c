/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "sink/duckdb_internal.h"
#include "sink/duckdb_sink.h"
#include "sink/duckdb_writer.h"

/* Above the bound the store is brought a little below it, so that not every call deletes. */
#define BYTES_SLACK_PERCENT 5

/* Takes the value. */
static ft_err run_with(struct ft_duckdb_writer *writer, const char *sql, duckdb_value value,
                       int64_t *ret_number, struct ft_diag *reterr_diag);
static ft_err delete_until(struct ft_duckdb_writer *writer, int64_t until_ns,
                           uint64_t *deleted_rows, struct ft_diag *reterr_diag);
static ft_err oldest_rows_end(struct ft_duckdb_writer *writer, uint64_t n_rows, int64_t *ret_end_ns,
                              struct ft_diag *reterr_diag);

/* Rows beyond the bound by bytes, as far as they can be told from the average row. */
static uint64_t rows_beyond(const struct ft_duckdb_stats *stats, uint64_t bytes_max)
{
    if (bytes_max == 0 || stats->used_bytes <= bytes_max) {
        return 0;
    }
    uint64_t target = bytes_max - bytes_max / 100 * BYTES_SLACK_PERCENT;
    double part = (double)(stats->used_bytes - target) / (double)stats->used_bytes;
    return (uint64_t)(part * (double)stats->rows) + 1;
}

ft_err ft_duckdb_sink_retain(struct ft_sink *sink, const struct ft_duckdb_retention *retention,
                             int64_t now_real_ns, struct ft_duckdb_retained *ret_retained,
                             struct ft_diag *reterr_diag)
{
    struct ft_duckdb_writer *writer = (struct ft_duckdb_writer *)sink;
    assert(writer->appender == NULL);
    uint64_t step = retention->step_rows != 0 ? retention->step_rows : FT_DUCKDB_RETAIN_STEP_ROWS;
    struct ft_duckdb_retained retained = {0};
    FT_TRY(ft_duckdb_get_stats(writer->db, &retained.stats, reterr_diag));
    if (retained.stats.rows > 0) {
        int64_t step_end_ns;
        FT_TRY(oldest_rows_end(writer, step, &step_end_ns, reterr_diag));
        int64_t until_ns = INT64_MIN + 2;
        if (retention->age_ns > 0) {
            until_ns = now_real_ns - retention->age_ns;
        }
        uint64_t beyond = rows_beyond(&retained.stats, retention->bytes_max);
        if (beyond > 0) {
            int64_t bytes_end_ns;
            FT_TRY(
                oldest_rows_end(writer, beyond < step ? beyond : step, &bytes_end_ns, reterr_diag));
            until_ns = bytes_end_ns > until_ns ? bytes_end_ns : until_ns;
        }
        if (until_ns > step_end_ns) {
            until_ns = step_end_ns;
        }
        FT_TRY(delete_until(writer, until_ns, &retained.deleted_rows, reterr_diag));
    }
    uint64_t used_before = retained.stats.used_bytes;
    if (retained.deleted_rows > 0) {
        FT_TRY(ft_marks_fold(&writer->marks, writer->connection, now_real_ns - FT_DUCKDB_FORGET_NS,
                             reterr_diag));
        FT_TRY(ft_duckdb_exec(writer->connection,
                              "DELETE FROM deleted_rows WHERE instance_id NOT IN"
                              " (SELECT instance_id FROM instance_marks)",
                              reterr_diag));
        /* A query that is running now may hold the old blocks: a later call frees them. */
        ft_err_ignore(ft_duckdb_exec(writer->connection, "CHECKPOINT", NULL),
                      "tried again at the next call");
        FT_TRY(ft_duckdb_get_stats(writer->db, &retained.stats, reterr_diag));
    }
    bool too_old = retention->age_ns > 0 && retained.stats.rows > 0 &&
                   retained.stats.oldest_ns < now_real_ns - retention->age_ns;
    /* While nothing was freed the size does not say what is needed: more would be too much. */
    bool too_large = retention->bytes_max > 0 && retained.stats.used_bytes > retention->bytes_max &&
                     retained.stats.used_bytes < used_before;
    retained.more = retained.deleted_rows > 0 && (too_old || too_large);
    *ret_retained = retained;
    return FT_OK;
}

/* Just behind the time of the n-th oldest row: at least n rows are before it. */
static ft_err oldest_rows_end(struct ft_duckdb_writer *writer, uint64_t n_rows, int64_t *ret_end_ns,
                              struct ft_diag *reterr_diag)
{
    int64_t last_ns;
    FT_TRY(run_with(writer,
                    "SELECT epoch_ns(max(t)) FROM"
                    " (SELECT \"time\" AS t FROM flows ORDER BY t LIMIT ?)",
                    duckdb_create_uint64(n_rows), &last_ns, reterr_diag));
    *ret_end_ns = last_ns + 1;
    return FT_OK;
}

/* What is deleted is counted by instance in the same transaction. */
static ft_err delete_in_transaction(struct ft_duckdb_writer *writer, int64_t until_ns,
                                    int64_t *ret_n_rows, struct ft_diag *reterr_diag)
{
    int64_t n_counted;
    FT_TRY(run_with(writer,
                    "CREATE OR REPLACE TEMP TABLE deleted_now AS"
                    " SELECT agent_id, instance_id, count(*)::UBIGINT AS n_rows FROM flows"
                    " WHERE \"time\" < ? GROUP BY ALL",
                    ft_duckdb_time_value(until_ns), &n_counted, reterr_diag));
    FT_TRY(run_with(writer, "DELETE FROM flows WHERE \"time\" < ?", ft_duckdb_time_value(until_ns),
                    ret_n_rows, reterr_diag));
    return ft_duckdb_exec(writer->connection,
                          "INSERT INTO deleted_now SELECT * FROM deleted_rows;"
                          "DELETE FROM deleted_rows;"
                          "INSERT INTO deleted_rows SELECT agent_id, instance_id,"
                          " sum(n_rows)::UBIGINT FROM deleted_now GROUP BY ALL;"
                          "DROP TABLE deleted_now",
                          reterr_diag);
}

static ft_err delete_until(struct ft_duckdb_writer *writer, int64_t until_ns,
                           uint64_t *deleted_rows, struct ft_diag *reterr_diag)
{
    int64_t n_rows = 0;
    FT_TRY(run_with(writer, "SELECT count(*) FROM (SELECT 1 FROM flows WHERE \"time\" < ? LIMIT 1)",
                    ft_duckdb_time_value(until_ns), &n_rows, reterr_diag));
    if (n_rows == 0) {
        return FT_OK;
    }
    FT_TRY(ft_duckdb_exec(writer->connection, "BEGIN TRANSACTION", reterr_diag));
    ft_err err = delete_in_transaction(writer, until_ns, &n_rows, reterr_diag);
    if (err == FT_OK) {
        err = ft_duckdb_exec(writer->connection, "COMMIT", reterr_diag);
    }
    if (err != FT_OK) {
        ft_err_ignore(ft_duckdb_exec(writer->connection, "ROLLBACK", NULL),
                      "the first failure counts");
        return err;
    }
    *deleted_rows = (uint64_t)n_rows;
    return FT_OK;
}

static ft_err run_with(struct ft_duckdb_writer *writer, const char *sql, duckdb_value value,
                       int64_t *ret_number, struct ft_diag *reterr_diag)
{
    duckdb_prepared_statement statement = NULL;
    ft_err err = ft_duckdb_prepare(writer->connection, sql, &statement, reterr_diag);
    if (err == FT_OK) {
        duckdb_result result;
        (void)duckdb_bind_value(statement, 1, value);
        if (duckdb_execute_prepared(statement, &result) != DuckDBSuccess) {
            err = ft_duckdb_refused(duckdb_result_error_type(&result), "retention",
                                    duckdb_result_error(&result), reterr_diag);
        } else {
            duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
            *ret_number = 0;
            if (chunk != NULL && duckdb_data_chunk_get_size(chunk) > 0) {
                duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, 0);
                if (duckdb_validity_row_is_valid(duckdb_vector_get_validity(vector), 0)) {
                    *ret_number = *(int64_t *)duckdb_vector_get_data(vector);
                }
            }
            duckdb_destroy_data_chunk(&chunk);
        }
        duckdb_destroy_result(&result);
        duckdb_destroy_prepare(&statement);
    }
    duckdb_destroy_value(&value);
    return err;
}
