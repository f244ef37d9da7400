/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sim_oracle.h"

#define TABLE      "table"
#define MARKS_MAX  1024
#define TABLE_SIZE ((size_t)64 << 20)

/* What precedes the rows of a transaction. */
struct head {
    uint64_t checksum; /* Of everything behind it. */
    uint64_t number;   /* From 1, without a gap. */
    uint64_t n_rows;
    uint64_t position;
    struct ft_uuid log_id;
};

struct mark {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t committed_seq;
    uint64_t committed_life;
    uint64_t seq;  /* Appended. */
    uint64_t life; /* Of that event. */
};

struct sim_sink {
    struct ft_sink base;
    struct sim_sink_options options;
    struct ft_disk_file *file; /* NULL: to be written anew. */
    uint64_t end;              /* Of the last transaction. */
    struct head last;          /* Committed. */
    struct ft_uuid log_id;     /* Of the log that is read now. */
    struct sim_sink_row *rows; /* Committed ones, then those that are appended. */
    size_t n_rows;
    size_t n_committed;
    size_t n_allocated;
    struct mark marks[MARKS_MAX];
    size_t n_marks;
    struct ft_sink_stats stats;
};

static const struct ft_sink_ops sink_ops;
static ft_err load(struct sim_sink *sink);
static struct mark *mark_of(struct sim_sink *sink, const struct ft_uuid *agent_id,
                            const struct ft_uuid *instance_id);
static void move_mark(struct mark *mark, const struct sim_sink_row *row);
static void add_row(struct sim_sink *sink, const struct sim_sink_row *row);
static uint8_t *encode(const struct head *head, const struct sim_sink_row *rows);
static ft_err write_next(struct sim_sink *sink, struct head *head);
static ft_err write_anew(struct sim_sink *sink, struct head *head);
static void roll_back(struct sim_sink *sink);

static struct sim_sink *sink_of(struct ft_sink *sink) { return (struct sim_sink *)(void *)sink; }

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static size_t size_of(uint64_t n_rows)
{
    return sizeof(struct head) + (size_t)n_rows * sizeof(struct sim_sink_row);
}

ft_err sim_sink_open(const struct sim_sink_options *options, struct ft_sink **ret_sink)
{
    struct sim_sink *sink = must(calloc(1, sizeof *sink));
    sink->base.ops = &sink_ops;
    sink->options = *options;
    ft_err err = load(sink);
    if (err != FT_OK) {
        ft_sink_close(&sink->base);
        return err;
    }
    *ret_sink = &sink->base;
    return FT_OK;
}

ft_err sim_sink_each_instance(struct ft_sink *base, ft_stored_instance_fn *fn, void *ctx)
{
    struct sim_sink *sink = sink_of(base);
    for (size_t i = 0; i < sink->n_marks; i++) {
        const struct mark *mark = &sink->marks[i];
        struct ft_stored_instance stored = {.agent_id = mark->agent_id,
                                            .instance_id = mark->instance_id,
                                            .stored_seq = mark->committed_seq,
                                            .life = mark->committed_life};
        for (size_t k = 0; k < sink->n_committed; k++) {
            const struct sim_sink_row *row = &sink->rows[k];
            if (ft_uuid_equal(&row->instance_id, &mark->instance_id) &&
                ft_uuid_equal(&row->agent_id, &mark->agent_id)) {
                stored.stored_events++;
                stored.lost[row->loss_cause] += row->loss_count;
            }
        }
        FT_TRY(fn(ctx, &stored));
    }
    return FT_OK;
}

size_t sim_sink_count(struct ft_sink *sink) { return sink_of(sink)->n_committed; }

static ft_err sink_begin(struct ft_sink *base, const struct ft_uuid *log_id, uint64_t *ret_position,
                         struct ft_diag *reterr_diag)
{
    (void)reterr_diag;
    struct sim_sink *sink = sink_of(base);
    sink->log_id = *log_id;
    *ret_position = ft_uuid_equal(&sink->last.log_id, log_id) ? sink->last.position : 0;
    return FT_OK;
}

static bool has_row(const struct sim_sink *sink, const struct ft_row *row)
{
    for (size_t i = 0; i < sink->n_rows; i++) {
        const struct sim_sink_row *kept = &sink->rows[i];
        if (kept->seq == row->event.seq && ft_uuid_equal(&kept->instance_id, &row->instance_id) &&
            ft_uuid_equal(&kept->agent_id, &row->agent_id)) {
            return true;
        }
    }
    return false;
}

static ft_err sink_append(struct ft_sink *base, const struct ft_row *rows, size_t n_rows,
                          struct ft_diag *reterr_diag)
{
    (void)reterr_diag;
    struct sim_sink *sink = sink_of(base);
    for (size_t i = 0; i < n_rows; i++) {
        const struct ft_row *row = &rows[i];
        struct mark *mark = mark_of(sink, &row->agent_id, &row->instance_id);
        if (row->event.seq != 0 && row->event.seq <= mark->seq && has_row(sink, row)) {
            sink->stats.duplicates++;
            continue;
        }
        struct sim_sink_row kept = {.agent_id = row->agent_id,
                                    .instance_id = row->instance_id,
                                    .seq = row->event.seq,
                                    .hash = sim_event_hash(&row->event),
                                    .life = row->life};
        move_mark(mark, &kept);
        if ((row->event.fields & FT_FIELD_LOSS) != 0) {
            kept.loss_count = row->event.loss.count;
            kept.loss_cause = row->event.loss.cause;
        }
        add_row(sink, &kept);
    }
    return FT_OK;
}

static ft_err sink_commit(struct ft_sink *base, uint64_t position, struct ft_diag *reterr_diag)
{
    struct sim_sink *sink = sink_of(base);
    struct head head = {.number = sink->last.number + 1,
                        .n_rows = sink->n_rows - sink->n_committed,
                        .position = position,
                        .log_id = sink->log_id};
    ft_err err = sink->file != NULL ? write_next(sink, &head) : write_anew(sink, &head);
    if (err != FT_OK) {
        sink->stats.failures++;
        roll_back(sink);
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "the table cannot be written");
    }
    for (size_t i = sink->n_committed; i < sink->n_rows; i++) {
        sink->options.on_row(sink->options.on_row_ctx, &sink->rows[i]);
    }
    sink->stats.rows += sink->n_rows - sink->n_committed;
    sink->stats.commits++;
    sink->n_committed = sink->n_rows;
    sink->last = head;
    for (size_t i = 0; i < sink->n_marks; i++) {
        sink->marks[i].committed_seq = sink->marks[i].seq;
        sink->marks[i].committed_life = sink->marks[i].life;
    }
    return FT_OK;
}

static void sink_stats(struct ft_sink *sink, struct ft_sink_stats *ret_stats)
{
    *ret_stats = sink_of(sink)->stats;
}

static void sink_close(struct ft_sink *base)
{
    struct sim_sink *sink = sink_of(base);
    if (sink->file != NULL) {
        sink->options.disk->ops->close(sink->file);
    }
    free(sink->rows);
    free(sink);
}

static const struct ft_sink_ops sink_ops = {.begin = sink_begin,
                                            .append = sink_append,
                                            .commit = sink_commit,
                                            .stats = sink_stats,
                                            .close = sink_close};

/* Takes one transaction; false behind the last that is whole. */
static bool load_next(struct sim_sink *sink, const char *data, size_t size)
{
    struct head head;
    if (size - sink->end < sizeof head) {
        return false;
    }
    memcpy(&head, data + sink->end, sizeof head);
    if (head.number != sink->last.number + 1 ||
        head.n_rows > (size - sink->end) / sizeof(struct sim_sink_row) ||
        size - sink->end < size_of(head.n_rows) ||
        head.checksum != ft_hash64(data + sink->end + sizeof head.checksum,
                                   size_of(head.n_rows) - sizeof head.checksum, 0)) {
        return false;
    }
    for (uint64_t i = 0; i < head.n_rows; i++) {
        struct sim_sink_row row;
        memcpy(&row, data + sink->end + size_of(i), sizeof row);
        add_row(sink, &row);
        struct mark *mark = mark_of(sink, &row.agent_id, &row.instance_id);
        move_mark(mark, &row);
        mark->committed_seq = mark->seq;
        mark->committed_life = mark->life;
        sink->options.on_row(sink->options.on_row_ctx, &row);
    }
    sink->n_committed = sink->n_rows;
    sink->last = head;
    sink->end += size_of(head.n_rows);
    return true;
}

/* A file that was not closed is written anew: what the page cache shows of it may not be on disk.
 */
static ft_err load(struct sim_sink *sink)
{
    char *data = NULL;
    size_t size = 0;
    ft_err err = ft_disk_read_all(sink->options.disk, TABLE, TABLE_SIZE, &data, &size);
    if (err == ft_err_from_errno(ENOENT)) {
        return FT_OK;
    }
    FT_TRY(err);
    while (load_next(sink, data, size)) {
    }
    free(data);
    /* One transaction with everything, under the number of the last one. */
    struct head head = sink->last;
    sink->n_committed = 0;
    err = write_anew(sink, &head);
    sink->n_committed = sink->n_rows;
    return err;
}

static struct mark *mark_of(struct sim_sink *sink, const struct ft_uuid *agent_id,
                            const struct ft_uuid *instance_id)
{
    for (size_t i = 0; i < sink->n_marks; i++) {
        struct mark *mark = &sink->marks[i];
        if (ft_uuid_equal(&mark->instance_id, instance_id) &&
            ft_uuid_equal(&mark->agent_id, agent_id)) {
            return mark;
        }
    }
    if (sink->n_marks == MARKS_MAX) {
        abort();
    }
    struct mark *mark = &sink->marks[sink->n_marks++];
    *mark = (struct mark){.agent_id = *agent_id, .instance_id = *instance_id};
    return mark;
}

static void move_mark(struct mark *mark, const struct sim_sink_row *row)
{
    if (row->seq > mark->seq) {
        mark->seq = row->seq;
        mark->life = row->life;
    }
}

static void add_row(struct sim_sink *sink, const struct sim_sink_row *row)
{
    if (sink->n_rows == sink->n_allocated) {
        sink->n_allocated = sink->n_allocated != 0 ? sink->n_allocated * 2 : 256;
        sink->rows = must(realloc(sink->rows, sink->n_allocated * sizeof *sink->rows));
    }
    sink->rows[sink->n_rows++] = *row;
}

static uint8_t *encode(const struct head *head, const struct sim_sink_row *rows)
{
    uint8_t *data = must(malloc(size_of(head->n_rows)));
    memcpy(data, head, sizeof *head);
    memcpy(data + sizeof *head, rows, size_of(head->n_rows) - sizeof *head);
    uint64_t checksum =
        ft_hash64(data + sizeof head->checksum, size_of(head->n_rows) - sizeof head->checksum, 0);
    memcpy(data, &checksum, sizeof checksum);
    return data;
}

static ft_err write_next(struct sim_sink *sink, struct head *head)
{
    const struct ft_disk_ops *ops = sink->options.disk->ops;
    uint8_t *data = encode(head, sink->rows + sink->n_committed);
    ft_err err = ops->write_at(sink->file, sink->end, data, size_of(head->n_rows));
    free(data);
    if (err == FT_OK) {
        err = ops->sync(sink->file);
    }
    if (err != FT_OK) {
        ops->close(sink->file);
        sink->file = NULL;
        return err;
    }
    sink->end += size_of(head->n_rows);
    return FT_OK;
}

/* The whole table as one transaction: the first of the new file. */
static ft_err write_anew(struct sim_sink *sink, struct head *head)
{
    const struct ft_disk_ops *ops = sink->options.disk->ops;
    head->number = 1;
    head->n_rows = sink->n_rows;
    uint8_t *data = encode(head, sink->rows);
    ft_err err = ft_disk_replace(sink->options.disk, TABLE, data, size_of(head->n_rows));
    free(data);
    FT_TRY(err);
    FT_TRY(ops->open(sink->options.disk, TABLE, false, &sink->file));
    sink->end = size_of(head->n_rows);
    sink->last.number = 1;
    return FT_OK;
}

static void roll_back(struct sim_sink *sink)
{
    sink->n_rows = sink->n_committed;
    for (size_t i = 0; i < sink->n_marks; i++) {
        sink->marks[i].seq = sink->marks[i].committed_seq;
        sink->marks[i].life = sink->marks[i].committed_life;
    }
}
