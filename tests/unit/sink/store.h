/* SPDX-License-Identifier: Apache-2.0 */
/* An open DuckDB store for a test: database, sink, reader, and rows collected from queries. */
#ifndef FT_TESTS_UNIT_SINK_STORE_H
#define FT_TESTS_UNIT_SINK_STORE_H 1

#include <stdlib.h>

#include "rows.h"
#include "sink/duckdb_reader.h"
#include "sink/duckdb_sink.h"

struct store {
    struct ft_duckdb *db;
    struct ft_sink *sink;
    struct ft_flow_reader *reader;
    uint64_t position; /* What begin() gave. */
};

#define STORE_OK(expr)                                                                             \
    do {                                                                                           \
        struct ft_diag diag = {0};                                                                 \
        ft_err store_err_ = (expr);                                                                \
        if (store_err_ != FT_OK) {                                                                 \
            ft_test_fail(__FILE__, __LINE__, "%s: %s: %s", #expr, ft_err_text(store_err_),         \
                         diag.text);                                                               \
        }                                                                                          \
    } while (0)

/* 'path' NULL: in memory.  The log's id is made of 'log' bytes. */
static inline struct store store_open(const char *path, uint8_t log)
{
    struct store store = {0};
    const struct ft_duckdb_options options = {
        .path = path, .memory_bytes = UINT64_C(128) << 20, .threads = 2};
    const struct ft_duckdb_reader_options reader_options = {0};
    struct ft_uuid log_id = rows_uuid(log);
    STORE_OK(ft_duckdb_open(&options, &store.db, &diag));
    STORE_OK(ft_duckdb_sink_create(store.db, &store.sink, &diag));
    STORE_OK(ft_sink_begin(store.sink, &log_id, &store.position, &diag));
    STORE_OK(ft_duckdb_reader_create(store.db, &reader_options, &store.reader, &diag));
    return store;
}

static inline void store_close(struct store *store)
{
    ft_duckdb_reader_destroy(store->reader);
    ft_sink_close(store->sink);
    ft_duckdb_close(store->db);
}

static inline void store_add(struct store *store, const struct ft_row *rows, size_t n_rows,
                             uint64_t position)
{
    STORE_OK(ft_sink_append(store->sink, rows, n_rows, &diag));
    STORE_OK(ft_sink_commit(store->sink, position, &diag));
}

/* Rows first_seq to last_seq of row_simple. */
static inline void store_add_simple(struct store *store, uint64_t first_seq, uint64_t last_seq,
                                    uint64_t position)
{
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        struct ft_row row = row_simple(seq);
        STORE_OK(ft_sink_append(store->sink, &row, 1, &diag));
    }
    STORE_OK(ft_sink_commit(store->sink, position, &diag));
}

#define COLLECTED_MAX 40000

/* What a query gave: the seqs, and the first row with copies of its texts. */
struct collected {
    size_t n;
    uint64_t seq[COLLECTED_MAX];
    struct ft_query_cursor last;
    struct ft_query_result result;
};

static inline ft_err collect_row(void *ctx, const struct ft_row *row)
{
    struct collected *to = ctx;
    CHECK(to->n < COLLECTED_MAX);
    to->seq[to->n++] = row->event.seq;
    to->last = (struct ft_query_cursor){.time_ns = row->event.time_ns,
                                        .agent_id = row->agent_id,
                                        .instance_id = row->instance_id,
                                        .seq = row->event.seq};
    return FT_OK;
}

static inline void store_query(struct store *store, const struct ft_query *query,
                               struct collected *ret_rows)
{
    memset(ret_rows, 0, sizeof *ret_rows);
    STORE_OK(store->reader->ops->rows(store->reader, query, NULL, collect_row, ret_rows,
                                      &ret_rows->result, &diag));
    CHECK_INT(ret_rows->result.n_rows, ret_rows->n);
}

static inline size_t store_count(struct store *store)
{
    static struct collected rows;
    struct ft_query query;
    ft_query_init(&query);
    query.rows_max = FT_QUERY_ROWS_MAX;
    store_query(store, &query, &rows);
    ft_query_deinit(&query);
    return rows.n;
}

#endif
