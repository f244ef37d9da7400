/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/duckdb_marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sink/duckdb_internal.h"

#define SLOTS_MIN 64

/* Rows of the table beyond four an instance. */
#define FOLD_ROWS_MIN 50000

static ft_err find_or_add(struct ft_marks *marks, const struct ft_uuid *agent_id,
                          const struct ft_uuid *instance_id, struct ft_mark **ret_mark);
static ft_err load_chunk(struct ft_marks *marks, duckdb_data_chunk chunk);
static ft_err load_gaps_chunk(struct ft_marks *marks, duckdb_data_chunk chunk);
static ft_err touch(struct ft_marks *marks, struct ft_mark *mark, const struct ft_row *row);
static ft_err need_gaps(struct ft_mark *mark);
static ft_err save_gaps(const struct ft_mark *mark, duckdb_connection connection,
                        struct ft_diag *reterr_diag);

void ft_marks_init(struct ft_marks *marks) { *marks = (struct ft_marks){0}; }

void ft_marks_deinit(struct ft_marks *marks)
{
    for (uint32_t i = 0; i < marks->n_marks; i++) {
        free(marks->marks[i].gaps);
    }
    free(marks->marks);
    free(marks->slots);
    free(marks->touched);
    ft_marks_init(marks);
}

static ft_err load_each(struct ft_marks *marks, duckdb_connection connection, const char *sql,
                        ft_err (*load)(struct ft_marks *marks, duckdb_data_chunk chunk),
                        struct ft_diag *reterr_diag)
{
    duckdb_result result;
    ft_err err = FT_OK;
    if (duckdb_query(connection, sql, &result) != DuckDBSuccess) {
        err = ft_duckdb_refused(duckdb_result_error_type(&result), "reading the marks",
                                duckdb_result_error(&result), reterr_diag);
    }
    while (err == FT_OK) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk == NULL) {
            break;
        }
        err = load(marks, chunk);
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&result);
    return err;
}

ft_err ft_marks_load(struct ft_marks *marks, duckdb_connection connection,
                     struct ft_diag *reterr_diag)
{
    ft_marks_deinit(marks);
    int64_t n_rows;
    FT_TRY(ft_duckdb_query_numbers(connection, "SELECT count(*) FROM instance_marks", &n_rows, 1,
                                   reterr_diag));
    FT_TRY(load_each(marks, connection,
                     "SELECT agent_id, instance_id, durable_seq, life FROM instances", load_chunk,
                     reterr_diag));
    FT_TRY(load_each(marks, connection,
                     "SELECT agent_id, instance_id, first_seq, last_seq FROM instance_gaps"
                     " ORDER BY ALL",
                     load_gaps_chunk, reterr_diag));
    marks->n_rows = (uint64_t)n_rows;
    return FT_OK;
}

static bool is_in_gap(const struct ft_mark *mark, uint64_t seq)
{
    return mark->gaps != NULL && ft_ranges_overlap(&mark->gaps->now, seq, seq) > 0;
}

/* What the row says of the instance's gaps. */
static void close_gaps(struct ft_mark *mark, const struct ft_event *event)
{
    ft_ranges_remove(&mark->gaps->now, event->seq, event->seq);
    if ((event->fields & FT_FIELD_LOSS) != 0 && event->loss.first_seq > 0) {
        ft_ranges_remove(&mark->gaps->now, event->loss.first_seq, event->loss.last_seq);
    }
}

ft_err ft_marks_pass(struct ft_marks *marks, const struct ft_row *row, bool *ret_is_new)
{
    uint64_t seq = row->event.seq;
    struct ft_mark *mark;
    FT_TRY(find_or_add(marks, &row->agent_id, &row->instance_id, &mark));
    *ret_is_new = seq == 0 || seq > mark->seq || is_in_gap(mark, seq);
    if (!*ret_is_new) {
        return FT_OK;
    }
    FT_TRY(touch(marks, mark, row));
    if (seq > mark->seq) {
        mark->seq = seq;
        mark->life = row->life;
    }
    if (mark->gaps != NULL) {
        close_gaps(mark, &row->event);
    }
    return FT_OK;
}

static ft_err touch(struct ft_marks *marks, struct ft_mark *mark, const struct ft_row *row)
{
    int64_t time_ns = row->event.time_ns;
    if (mark->n_events == 0) {
        if (marks->n_touched == marks->touched_capacity) {
            uint32_t capacity = marks->touched_capacity != 0 ? 2 * marks->touched_capacity : 64;
            uint32_t *touched = reallocarray(marks->touched, capacity, sizeof *touched);
            if (touched == NULL) {
                return ft_err_from_errno(ENOMEM);
            }
            marks->touched = touched;
            marks->touched_capacity = capacity;
        }
        marks->touched[marks->n_touched++] = (uint32_t)(mark - marks->marks);
        mark->first_ns = time_ns;
        mark->last_ns = time_ns;
        mark->stored_ns = row->stored_ns;
    }
    mark->n_events++;
    mark->first_ns = time_ns < mark->first_ns ? time_ns : mark->first_ns;
    mark->last_ns = time_ns > mark->last_ns ? time_ns : mark->last_ns;
    mark->stored_ns = row->stored_ns > mark->stored_ns ? row->stored_ns : mark->stored_ns;
    return FT_OK;
}

ft_err ft_marks_set_gaps(struct ft_marks *marks, duckdb_connection connection,
                         const struct ft_uuid *agent_id, const struct ft_uuid *instance_id,
                         const struct ft_ranges *gaps, struct ft_diag *reterr_diag)
{
    struct ft_mark *mark;
    FT_TRY(find_or_add(marks, agent_id, instance_id, &mark));
    FT_TRY(need_gaps(mark));
    mark->gaps->now = *gaps;
    return save_gaps(mark, connection, reterr_diag);
}

static ft_err need_gaps(struct ft_mark *mark)
{
    if (mark->gaps == NULL) {
        mark->gaps = calloc(1, sizeof *mark->gaps);
    }
    return mark->gaps != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
}

static bool gaps_changed(const struct ft_mark *mark)
{
    return mark->gaps != NULL && (mark->gaps->now.n != mark->gaps->committed.n ||
                                  memcmp(mark->gaps->now.at, mark->gaps->committed.at,
                                         mark->gaps->now.n * sizeof mark->gaps->now.at[0]) != 0);
}

/* In place of what the table has of this instance: it is a few rows, and rarely. */
static ft_err save_gaps(const struct ft_mark *mark, duckdb_connection connection,
                        struct ft_diag *reterr_diag)
{
    char agent[FT_UUID_TEXT_SIZE];
    char instance[FT_UUID_TEXT_SIZE];
    char sql[256];
    ft_uuid_format(&mark->agent_id, agent);
    ft_uuid_format(&mark->instance_id, instance);
    (void)snprintf(sql, sizeof sql,
                   "DELETE FROM instance_gaps WHERE agent_id = '%s' AND instance_id = '%s'", agent,
                   instance);
    FT_TRY(ft_duckdb_exec(connection, sql, reterr_diag));
    for (unsigned i = 0; i < mark->gaps->now.n; i++) {
        const struct ft_range *gap = &mark->gaps->now.at[i];
        (void)snprintf(sql, sizeof sql, "INSERT INTO instance_gaps VALUES ('%s', '%s', %llu, %llu)",
                       agent, instance, (unsigned long long)gap->first,
                       (unsigned long long)gap->last);
        FT_TRY(ft_duckdb_exec(connection, sql, reterr_diag));
    }
    return FT_OK;
}

static bool append_mark(duckdb_appender appender, const struct ft_mark *mark)
{
    duckdb_value values[] = {
        ft_duckdb_uuid_value(&mark->agent_id), ft_duckdb_uuid_value(&mark->instance_id),
        duckdb_create_uint64(mark->seq),       duckdb_create_uint64(mark->n_events),
        ft_duckdb_time_value(mark->first_ns),  ft_duckdb_time_value(mark->last_ns),
        ft_duckdb_time_value(mark->stored_ns), duckdb_create_uint64(mark->life),
    };
    bool good = true;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        good = good && duckdb_append_value(appender, values[i]) == DuckDBSuccess;
        duckdb_destroy_value(&values[i]);
    }
    return good && duckdb_appender_end_row(appender) == DuckDBSuccess;
}

ft_err ft_marks_save(struct ft_marks *marks, duckdb_connection connection,
                     struct ft_diag *reterr_diag)
{
    duckdb_appender appender;
    if (marks->n_touched == 0) {
        return FT_OK;
    }
    bool good =
        duckdb_appender_create(connection, NULL, "instance_marks", &appender) == DuckDBSuccess;
    for (uint32_t i = 0; good && i < marks->n_touched; i++) {
        good = append_mark(appender, &marks->marks[marks->touched[i]]);
    }
    good = good && duckdb_appender_close(appender) == DuckDBSuccess;
    ft_err err = FT_OK;
    if (!good) {
        err = ft_duckdb_refused(DUCKDB_ERROR_INVALID, "writing the marks",
                                duckdb_appender_error(appender), reterr_diag);
    }
    duckdb_appender_destroy(&appender);
    for (uint32_t i = 0; i < marks->n_touched && err == FT_OK; i++) {
        const struct ft_mark *mark = &marks->marks[marks->touched[i]];
        err = gaps_changed(mark) ? save_gaps(mark, connection, reterr_diag) : FT_OK;
    }
    return err;
}

void ft_marks_on_commit(struct ft_marks *marks)
{
    for (uint32_t i = 0; i < marks->n_touched; i++) {
        struct ft_mark *mark = &marks->marks[marks->touched[i]];
        if (mark->gaps != NULL) {
            mark->gaps->committed = mark->gaps->now;
        }
        mark->committed_seq = mark->seq;
        mark->committed_life = mark->life;
        mark->n_events = 0;
    }
    marks->n_rows += marks->n_touched;
    marks->n_touched = 0;
}

void ft_marks_on_rollback(struct ft_marks *marks)
{
    for (uint32_t i = 0; i < marks->n_touched; i++) {
        struct ft_mark *mark = &marks->marks[marks->touched[i]];
        mark->seq = mark->committed_seq;
        mark->life = mark->committed_life;
        mark->n_events = 0;
        if (mark->gaps != NULL) {
            mark->gaps->now = mark->gaps->committed;
        }
    }
    marks->n_touched = 0;
}

bool ft_marks_want_fold(const struct ft_marks *marks)
{
    return marks->n_rows > FOLD_ROWS_MIN + UINT64_C(4) * marks->n_marks;
}

ft_err ft_marks_fold(struct ft_marks *marks, duckdb_connection connection, int64_t forget_before_ns,
                     struct ft_diag *reterr_diag)
{
    duckdb_prepared_statement statement;
    FT_TRY(ft_duckdb_exec(connection, "BEGIN TRANSACTION", reterr_diag));
    ft_err err = ft_duckdb_prepare(
        connection,
        "CREATE OR REPLACE TEMP TABLE folded_marks AS"
        " SELECT agent_id, instance_id, durable_seq, n_events, first_time, last_time, stored_time,"
        " life"
        " FROM instances WHERE stored_time >= ?",
        &statement, reterr_diag);
    if (err == FT_OK) {
        duckdb_value before = ft_duckdb_time_value(forget_before_ns);
        (void)duckdb_bind_value(statement, 1, before);
        duckdb_destroy_value(&before);
        err = ft_duckdb_execute(statement, "folding the marks", reterr_diag);
        duckdb_destroy_prepare(&statement);
    }
    if (err == FT_OK) {
        err = ft_duckdb_exec(connection,
                             /* Those of an instance that is forgotten now. */
                             "DELETE FROM instance_gaps g WHERE EXISTS (FROM instance_marks m WHERE"
                             " m.agent_id = g.agent_id AND m.instance_id = g.instance_id)"
                             " AND NOT EXISTS (FROM folded_marks m WHERE"
                             " m.agent_id = g.agent_id AND m.instance_id = g.instance_id);"
                             "DELETE FROM instance_marks;"
                             "INSERT INTO instance_marks SELECT * FROM folded_marks;"
                             "DROP TABLE folded_marks;"
                             "COMMIT",
                             reterr_diag);
    }
    if (err != FT_OK) {
        ft_err_ignore(ft_duckdb_exec(connection, "ROLLBACK", NULL), "the first failure counts");
        return err;
    }
    return ft_marks_load(marks, connection, reterr_diag);
}

static uint32_t slot_of(const struct ft_marks *marks, const struct ft_uuid *agent_id,
                        const struct ft_uuid *instance_id)
{
    uint8_t key[32];
    memcpy(key, agent_id->bytes, 16);
    memcpy(key + 16, instance_id->bytes, 16);
    return (uint32_t)ft_hash64(key, sizeof key, 0) & (marks->n_slots - 1);
}

/* The mark, or the free slot where it belongs. */
static uint32_t probe(const struct ft_marks *marks, const struct ft_uuid *agent_id,
                      const struct ft_uuid *instance_id)
{
    uint32_t slot = slot_of(marks, agent_id, instance_id);
    while (marks->slots[slot] != 0) {
        const struct ft_mark *mark = &marks->marks[marks->slots[slot] - 1];
        if (ft_uuid_equal(&mark->instance_id, instance_id) &&
            ft_uuid_equal(&mark->agent_id, agent_id)) {
            break;
        }
        slot = (slot + 1) & (marks->n_slots - 1);
    }
    return slot;
}

/* Slots are twice the marks at least, so that a probe always ends. */
static ft_err grow(struct ft_marks *marks)
{
    uint32_t n_slots = marks->n_slots != 0 ? 2 * marks->n_slots : SLOTS_MIN;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    struct ft_mark *more = reallocarray(marks->marks, n_slots / 2, sizeof *more);
    if (more != NULL) {
        marks->marks = more;
        marks->marks_capacity = n_slots / 2;
    }
    if (slots == NULL || more == NULL) {
        free(slots);
        return ft_err_from_errno(ENOMEM);
    }
    free(marks->slots);
    marks->slots = slots;
    marks->n_slots = n_slots;
    for (uint32_t i = 0; i < marks->n_marks; i++) {
        slots[probe(marks, &marks->marks[i].agent_id, &marks->marks[i].instance_id)] = i + 1;
    }
    return FT_OK;
}

static ft_err find_or_add(struct ft_marks *marks, const struct ft_uuid *agent_id,
                          const struct ft_uuid *instance_id, struct ft_mark **ret_mark)
{
    if (2 * (marks->n_marks + 1) > marks->n_slots) {
        FT_TRY(grow(marks));
    }
    uint32_t slot = probe(marks, agent_id, instance_id);
    if (marks->slots[slot] == 0) {
        if (marks->n_marks == FT_DUCKDB_INSTANCES_MAX) {
            return FT_E_FULL;
        }
        marks->marks[marks->n_marks] =
            (struct ft_mark){.agent_id = *agent_id, .instance_id = *instance_id};
        marks->slots[slot] = ++marks->n_marks;
    }
    *ret_mark = &marks->marks[marks->slots[slot] - 1];
    return FT_OK;
}

static ft_err load_chunk(struct ft_marks *marks, duckdb_data_chunk chunk)
{
    const duckdb_hugeint *agents = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    const duckdb_hugeint *instances =
        duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    const uint64_t *seqs = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2));
    const uint64_t *lives = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 3));
    idx_t n = duckdb_data_chunk_get_size(chunk);
    for (idx_t i = 0; i < n; i++) {
        struct ft_uuid agent;
        struct ft_uuid instance;
        struct ft_mark *mark;
        ft_duckdb_uuid_from_hugeint(agents[i], &agent);
        ft_duckdb_uuid_from_hugeint(instances[i], &instance);
        FT_TRY(find_or_add(marks, &agent, &instance, &mark));
        mark->seq = mark->committed_seq = seqs[i];
        mark->life = mark->committed_life = lives[i];
    }
    return FT_OK;
}

static ft_err load_gaps_chunk(struct ft_marks *marks, duckdb_data_chunk chunk)
{
    const duckdb_hugeint *agents = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    const duckdb_hugeint *instances =
        duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
    const uint64_t *firsts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2));
    const uint64_t *lasts = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 3));
    for (idx_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
        struct ft_uuid agent;
        struct ft_uuid instance;
        struct ft_mark *mark;
        ft_duckdb_uuid_from_hugeint(agents[i], &agent);
        ft_duckdb_uuid_from_hugeint(instances[i], &instance);
        FT_TRY(find_or_add(marks, &agent, &instance, &mark));
        FT_TRY(need_gaps(mark));
        (void)ft_ranges_add(&mark->gaps->now, firsts[i], lasts[i]); /* No more than were kept. */
        mark->gaps->committed = mark->gaps->now;
    }
    return FT_OK;
}
