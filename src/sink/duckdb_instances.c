/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_instances.h"

#include <string.h>

#include "sink/duckdb_internal.h"

/* One row an instance and cause; an instance without losses has one row with a NULL cause. */
static const char query[] =
    "SELECT i.agent_id, i.instance_id, i.durable_seq, i.n_events, epoch_ns(i.last_time), "
    "       l.loss_cause, l.lost, "
    "       greatest(i.n_events::BIGINT - coalesce(f.n, 0) - coalesce(d.n, 0), 0)::UBIGINT, i.life "
    "FROM instances i LEFT JOIN ("
    "    SELECT agent_id, instance_id, count(*) AS n FROM flows GROUP BY ALL) f "
    "ON i.agent_id = f.agent_id AND i.instance_id = f.instance_id LEFT JOIN ("
    "    SELECT agent_id, instance_id, sum(n_rows)::BIGINT AS n FROM deleted_rows GROUP BY ALL) d "
    "ON i.agent_id = d.agent_id AND i.instance_id = d.instance_id LEFT JOIN ("
    "    SELECT agent_id, instance_id, loss_cause, sum(loss_count)::UBIGINT AS lost FROM flows "
    "    WHERE type = 5 GROUP BY ALL) l "
    "ON i.agent_id = l.agent_id AND i.instance_id = l.instance_id "
    "ORDER BY i.agent_id, i.instance_id";

struct walk {
    ft_stored_instance_fn *fn;
    ft_stored_gap_fn *gap_fn;
    void *ctx;
    bool any;
    struct ft_stored_instance instance;
};

static ft_err walk_chunk(struct walk *walk, duckdb_data_chunk chunk);
static ft_err walk_gaps(struct walk *walk, duckdb_data_chunk chunk);
static ft_err give(struct walk *walk);

/* Gives each chunk of a query's result to 'take'. */
static ft_err each_chunk(struct ft_duckdb *db, const char *sql,
                         ft_err (*take)(struct walk *walk, duckdb_data_chunk chunk),
                         struct walk *walk, struct ft_diag *reterr_diag)
{
    duckdb_connection connection;
    FT_TRY(ft_duckdb_connect(db, &connection, reterr_diag));
    duckdb_result result;
    ft_err err = FT_OK;
    if (duckdb_query(connection, sql, &result) != DuckDBSuccess) {
        err = ft_duckdb_refused(duckdb_result_error_type(&result), "reading the instances",
                                duckdb_result_error(&result), reterr_diag);
    }
    while (err == FT_OK) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk == NULL) {
            break;
        }
        err = take(walk, chunk);
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&result);
    duckdb_disconnect(&connection);
    return err;
}

ft_err ft_duckdb_each_instance(struct ft_duckdb *db, ft_stored_instance_fn *fn, void *ctx,
                               struct ft_diag *reterr_diag)
{
    struct walk walk = {.fn = fn, .ctx = ctx};
    FT_TRY(each_chunk(db, query, walk_chunk, &walk, reterr_diag));
    return give(&walk);
}

ft_err ft_duckdb_each_gap(struct ft_duckdb *db, ft_stored_gap_fn *fn, void *ctx,
                          struct ft_diag *reterr_diag)
{
    struct walk walk = {.gap_fn = fn, .ctx = ctx};
    return each_chunk(db,
                      "SELECT agent_id, instance_id, first_seq, last_seq FROM instance_gaps"
                      " ORDER BY ALL",
                      walk_gaps, &walk, reterr_diag);
}

static void *column(duckdb_data_chunk chunk, idx_t number)
{
    return duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, number));
}

static bool is_null(duckdb_data_chunk chunk, idx_t number, idx_t row)
{
    uint64_t *valid = duckdb_vector_get_validity(duckdb_data_chunk_get_vector(chunk, number));
    return valid != NULL && !duckdb_validity_row_is_valid(valid, row);
}

static ft_err walk_chunk(struct walk *walk, duckdb_data_chunk chunk)
{
    const duckdb_hugeint *agents = column(chunk, 0);
    const duckdb_hugeint *instances = column(chunk, 1);
    const uint64_t *seqs = column(chunk, 2);
    const uint64_t *events = column(chunk, 3);
    const int64_t *times = column(chunk, 4);
    const uint8_t *causes = column(chunk, 5);
    const uint64_t *lost = column(chunk, 6);
    const uint64_t *vanished = column(chunk, 7);
    const uint64_t *lives = column(chunk, 8);
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++) {
        struct ft_uuid agent_id;
        struct ft_uuid instance_id;
        ft_duckdb_uuid_from_hugeint(agents[row], &agent_id);
        ft_duckdb_uuid_from_hugeint(instances[row], &instance_id);
        if (!walk->any || !ft_uuid_equal(&walk->instance.agent_id, &agent_id) ||
            !ft_uuid_equal(&walk->instance.instance_id, &instance_id)) {
            FT_TRY(give(walk));
            memset(&walk->instance, 0, sizeof walk->instance);
            walk->any = true;
            walk->instance.agent_id = agent_id;
            walk->instance.instance_id = instance_id;
            walk->instance.stored_seq = seqs[row];
            walk->instance.stored_events = events[row];
            walk->instance.vanished_events = vanished[row];
            walk->instance.life = lives[row];
            walk->instance.last_time_ns = is_null(chunk, 4, row) ? 0 : times[row];
        }
        if (!is_null(chunk, 5, row) && causes[row] < FT_LOSS_CAUSE_N) {
            walk->instance.lost[causes[row]] += lost[row];
        }
    }
    return FT_OK;
}

static ft_err give(struct walk *walk)
{
    return walk->any ? walk->fn(walk->ctx, &walk->instance) : FT_OK;
}

static ft_err walk_gaps(struct walk *walk, duckdb_data_chunk chunk)
{
    const duckdb_hugeint *agents = column(chunk, 0);
    const duckdb_hugeint *instances = column(chunk, 1);
    const uint64_t *firsts = column(chunk, 2);
    const uint64_t *lasts = column(chunk, 3);
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk); row++) {
        struct ft_uuid agent_id;
        struct ft_uuid instance_id;
        ft_duckdb_uuid_from_hugeint(agents[row], &agent_id);
        ft_duckdb_uuid_from_hugeint(instances[row], &instance_id);
        FT_TRY(walk->gap_fn(walk->ctx, &agent_id, &instance_id, firsts[row], lasts[row]));
    }
    return FT_OK;
}
