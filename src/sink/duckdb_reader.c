/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"
#include "sink/duckdb_columns.h"
#include "sink/duckdb_internal.h"
#include "sink/duckdb_query.h"

/* How soon a query that waits for a connection sees that it was cancelled. */
#define WAIT_NS (50 * FT_NS_PER_MS)

/* DuckDB's own threads have all the work: look again after a moment. */
#define IDLE_NS (200 * FT_NS_PER_US)

struct ft_duckdb_reader {
    struct ft_flow_reader reader;
    struct ft_duckdb *db;
    const struct ft_clock *clock;
    int64_t timeout_ns;
    struct ft_mutex lock;
    struct ft_cond freed;
    duckdb_connection free[FT_DUCKDB_CONNECTIONS_MAX] FT_GUARDED;
    unsigned n_free FT_GUARDED;
};

static const struct ft_flow_reader_ops reader_ops;

ft_err ft_duckdb_reader_create(struct ft_duckdb *db, const struct ft_duckdb_reader_options *options,
                               struct ft_flow_reader **ret_reader, struct ft_diag *reterr_diag)
{
    struct ft_duckdb_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    reader->reader.ops = &reader_ops;
    reader->db = db;
    reader->clock = options->clock != NULL ? options->clock : ft_clock_system();
    reader->timeout_ns =
        options->timeout_ns != 0 ? options->timeout_ns : FT_DUCKDB_TIMEOUT_NS_DEFAULT;
    ft_mutex_init(&reader->lock);
    ft_cond_init(&reader->freed);
    ft_err err = FT_OK;
    ft_mutex_lock(&reader->lock);
    while (err == FT_OK && reader->n_free < FT_DUCKDB_CONNECTIONS_MAX) {
        err = ft_duckdb_connect(db, &reader->free[reader->n_free], reterr_diag);
        reader->n_free += err == FT_OK;
    }
    ft_mutex_unlock(&reader->lock);
    if (err != FT_OK) {
        ft_duckdb_reader_destroy(&reader->reader);
        return err;
    }
    *ret_reader = &reader->reader;
    return FT_OK;
}

void ft_duckdb_reader_destroy(struct ft_flow_reader *flow_reader)
{
    struct ft_duckdb_reader *reader = (struct ft_duckdb_reader *)flow_reader;
    if (reader == NULL) {
        return;
    }
    ft_mutex_lock(&reader->lock);
    for (unsigned i = 0; i < reader->n_free; i++) {
        duckdb_disconnect(&reader->free[i]);
    }
    ft_mutex_unlock(&reader->lock);
    ft_cond_deinit(&reader->freed);
    ft_mutex_deinit(&reader->lock);
    free(reader);
}

static struct ft_duckdb_query start(struct ft_flow_reader *flow_reader,
                                    const struct ft_query *query, const atomic_bool *cancel,
                                    struct ft_diag *diag)
{
    struct ft_duckdb_reader *reader = (struct ft_duckdb_reader *)flow_reader;
    int64_t timeout_ns = reader->timeout_ns;
    if (query->timeout_ns > 0 && query->timeout_ns < timeout_ns) {
        timeout_ns = query->timeout_ns;
    }
    return (struct ft_duckdb_query){
        .reader = reader,
        .deadline_mono_ns = ft_clock_mono_ns(reader->clock) + timeout_ns,
        .cancel = cancel,
        .diag = diag,
    };
}

/*
 * First which rows, by the few columns that decide it, then the rows: sorting all columns of ten
 * thousand rows takes five times as long.
 */
static void add_rows_sql(struct ft_sql *sql, const struct ft_query *query, uint64_t limit)
{
    const char *order = query->order == FT_ORDER_NEWEST_FIRST
                            ? " ORDER BY \"time\" DESC, agent_id DESC, instance_id DESC, seq DESC"
                            : " ORDER BY \"time\", agent_id, instance_id, seq";
    ft_sql_add(sql, "SELECT ");
    for (unsigned i = 0; i < ft_duckdb_columns_n(); i++) {
        ft_sql_add(sql, i > 0 ? ", " : "");
        ft_sql_add(sql, ft_duckdb_column_sql(i));
    }
    ft_sql_add(sql, " FROM flows WHERE rowid IN (SELECT rowid FROM flows");
    ft_sql_add_where(sql, query);
    ft_sql_add(sql, order);
    ft_sql_add(sql, " LIMIT ");
    ft_sql_add_u64(sql, limit);
    ft_sql_add(sql, ")");
    ft_sql_add(sql, order);
}

struct page {
    const struct ft_duckdb_query *run;
    struct ft_id_deriver *deriver;
    ft_row_fn *fn;
    void *ctx;
    uint64_t rows_max;             /* To hand out; a row behind them only shows that it is there. */
    uint64_t n_rows;               /* Read, the one behind included. */
    struct ft_query_cursor cursor; /* Of the last row that was handed out. */
};

static ft_err hand_out_chunk(struct page *page, duckdb_data_chunk chunk)
{
    struct ft_duckdb_texts texts;
    idx_t n = duckdb_data_chunk_get_size(chunk);
    for (idx_t i = 0; i < n; i++) {
        page->n_rows++;
        if (page->n_rows > page->rows_max) {
            return FT_OK;
        }
        struct ft_row row;
        ft_duckdb_columns_read(chunk, i, page->deriver, &texts, &row);
        page->cursor = (struct ft_query_cursor){.time_ns = row.event.time_ns,
                                                .agent_id = row.agent_id,
                                                .instance_id = row.instance_id,
                                                .seq = row.event.seq};
        FT_TRY(page->fn(page->ctx, &row));
    }
    return FT_OK;
}

static ft_err hand_out_page(struct page *page, const struct ft_query *query, uint64_t limit)
{
    struct ft_sql sql;
    duckdb_result result;
    ft_sql_init(&sql);
    add_rows_sql(&sql, query, limit);
    ft_err err = ft_duckdb_query_run(page->run, &sql, &result);
    ft_sql_deinit(&sql);
    FT_TRY(err);
    while (err == FT_OK) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk == NULL) {
            break;
        }
        err = hand_out_chunk(page, chunk);
        duckdb_destroy_data_chunk(&chunk);
        if (err == FT_OK) {
            err = ft_duckdb_query_check(page->run);
        }
    }
    duckdb_destroy_result(&result);
    return err;
}

static ft_err reader_rows(struct ft_flow_reader *reader, const struct ft_query *query,
                          const atomic_bool *cancel, ft_row_fn *fn, void *ctx,
                          struct ft_query_result *ret_result, struct ft_diag *reterr_diag)
{
    struct ft_duckdb_query run = start(reader, query, cancel, reterr_diag);
    struct ft_query_result result = {0};
    struct ft_query page_query = *query; /* The filters stay the caller's. */
    uint64_t rows_left = query->rows_max != 0 ? query->rows_max : FT_QUERY_ROWS_DEFAULT;
    if (rows_left > FT_QUERY_ROWS_MAX) {
        rows_left = FT_QUERY_ROWS_MAX;
    }
    FT_CLEANUP(ft_id_deriver_destroy) struct ft_id_deriver *deriver = NULL;
    FT_TRY(ft_id_deriver_create(&deriver));
    for (;;) {
        uint64_t rows = rows_left < FT_DUCKDB_PAGE_ROWS ? rows_left : FT_DUCKDB_PAGE_ROWS;
        struct page page = {
            .run = &run, .deriver = deriver, .fn = fn, .ctx = ctx, .rows_max = rows};
        FT_TRY(hand_out_page(&page, &page_query, rows + 1));
        bool more = page.n_rows > rows;
        result.n_rows += more ? rows : page.n_rows;
        rows_left -= rows;
        if (!more || rows_left == 0) {
            result.more = more;
            break;
        }
        page_query.has_cursor = true;
        page_query.cursor = page.cursor;
    }
    *ret_result = result;
    return FT_OK;
}

static ft_err reader_groups(struct ft_flow_reader *reader, const struct ft_query *query,
                            const struct ft_group *group, const atomic_bool *cancel,
                            ft_group_row_fn *fn, void *ctx, struct ft_query_result *ret_result,
                            struct ft_diag *reterr_diag)
{
    struct ft_duckdb_query run = start(reader, query, cancel, reterr_diag);
    return ft_duckdb_groups(&run, query, group, fn, ctx, ret_result);
}

static const struct ft_flow_reader_ops reader_ops = {.rows = reader_rows, .groups = reader_groups};

/* -------------------------------------------------------------------- running SQL in bounds */

ft_err ft_duckdb_query_check(const struct ft_duckdb_query *query)
{
    if (query->cancel != NULL && atomic_load(query->cancel)) {
        return ft_diag_set(query->diag, FT_E_CANCELLED, NULL, 0, 0, "the query was cancelled");
    }
    if (ft_clock_mono_ns(query->reader->clock) >= query->deadline_mono_ns) {
        return ft_diag_set(query->diag, ft_err_from_errno(ETIMEDOUT), NULL, 0, 0,
                           "the query took too long: narrow the time range or the filter");
    }
    return FT_OK;
}

static ft_err take_connection(const struct ft_duckdb_query *query,
                              duckdb_connection *ret_connection)
{
    struct ft_duckdb_reader *reader = query->reader;
    ft_err err = FT_OK;
    ft_mutex_lock(&reader->lock);
    while (reader->n_free == 0 && err == FT_OK) {
        (void)ft_cond_wait_until(&reader->freed, &reader->lock,
                                 ft_clock_mono_ns(ft_clock_system()) + WAIT_NS);
        err = ft_duckdb_query_check(query);
    }
    if (err == FT_OK) {
        *ret_connection = reader->free[--reader->n_free];
    }
    ft_mutex_unlock(&reader->lock);
    return err;
}

/*
 * A query that was stopped leaves its transaction open until the connection is used again, and an
 * open transaction keeps deleted rows on disk: the connection is changed for a new one.
 */
static void renew_connection(struct ft_duckdb_reader *reader, duckdb_connection *connection)
{
    duckdb_connection fresh;
    if (ft_duckdb_connect(reader->db, &fresh, NULL) == FT_OK) {
        duckdb_disconnect(connection);
        *connection = fresh;
    }
}

static void give_connection_back(struct ft_duckdb_reader *reader, duckdb_connection connection)
{
    ft_mutex_lock(&reader->lock);
    reader->free[reader->n_free++] = connection;
    ft_cond_signal(&reader->freed);
    ft_mutex_unlock(&reader->lock);
}

/* Works on the query's tasks, one by one, for as long as it may. */
static ft_err execute_tasks(const struct ft_duckdb_query *query, duckdb_pending_result pending)
{
    for (;;) {
        FT_TRY(ft_duckdb_query_check(query));
        switch (duckdb_pending_execute_task(pending)) {
        case DUCKDB_PENDING_RESULT_READY:
            return FT_OK;
        case DUCKDB_PENDING_ERROR:
            return ft_duckdb_refused(DUCKDB_ERROR_INVALID, "query", duckdb_pending_error(pending),
                                     query->diag);
        case DUCKDB_PENDING_NO_TASKS_AVAILABLE:
            (void)nanosleep(&(struct timespec){.tv_nsec = IDLE_NS}, NULL);
            break;
        case DUCKDB_PENDING_RESULT_NOT_READY:
            break;
        }
    }
}

static ft_err execute(const struct ft_duckdb_query *query, duckdb_connection connection,
                      duckdb_prepared_statement statement, duckdb_result *ret_result)
{
    duckdb_pending_result pending;
    if (duckdb_pending_prepared(statement, &pending) != DuckDBSuccess) {
        ft_err err = ft_duckdb_refused(DUCKDB_ERROR_INVALID, "query", duckdb_pending_error(pending),
                                       query->diag);
        duckdb_destroy_pending(&pending);
        return err;
    }
    ft_err err = execute_tasks(query, pending);
    if (err != FT_OK) {
        duckdb_interrupt(connection);
    } else if (duckdb_execute_pending(pending, ret_result) != DuckDBSuccess) {
        err = ft_duckdb_refused(duckdb_result_error_type(ret_result), "query",
                                duckdb_result_error(ret_result), query->diag);
        duckdb_destroy_result(ret_result);
    }
    duckdb_destroy_pending(&pending);
    return err;
}

ft_err ft_duckdb_query_run(const struct ft_duckdb_query *query, struct ft_sql *sql,
                           duckdb_result *ret_result)
{
    duckdb_connection connection;
    duckdb_prepared_statement statement;
    FT_TRY(take_connection(query, &connection));
    ft_err err = ft_sql_prepare(sql, connection, &statement, query->diag);
    if (err == FT_OK) {
        err = execute(query, connection, statement, ret_result);
        duckdb_destroy_prepare(&statement);
    }
    if (err != FT_OK) {
        renew_connection(query->reader, &connection);
    }
    give_connection_back(query->reader, connection);
    return err;
}
