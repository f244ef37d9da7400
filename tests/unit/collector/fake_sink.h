/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink in memory that keeps what was committed, recognises repeats as the real one does, and
 * refuses on demand.  Included by one test program each.
 */
#ifndef FT_TESTS_UNIT_COLLECTOR_FAKE_SINK_H
#define FT_TESTS_UNIT_COLLECTOR_FAKE_SINK_H 1

#include <stdlib.h>

#include "lib/test.h"
#include "sink/sink.h"

#define FAKE_ROWS_MAX 65536

struct fake_sink {
    struct ft_sink sink;
    uint64_t position; /* Committed. */
    size_t n_rows;     /* Committed. */
    size_t n_appended; /* Committed, and appended behind that. */
    struct ft_row rows[FAKE_ROWS_MAX];
    unsigned n_commits;
    unsigned fail_commits; /* So many commits fail from now on. */
    /* Rows it cannot take; NULL: takes all. */
    bool (*is_poison)(const struct ft_row *row);
    /* The error of a poisoned row comes at the commit, as where rows are buffered. */
    bool poison_at_commit;
    bool poisoned;
    ft_err poison_err;
};

static inline ft_err fake_begin(struct ft_sink *sink, const struct ft_uuid *log_id,
                                uint64_t *ret_position, struct ft_diag *reterr_diag)
{
    (void)log_id;
    (void)reterr_diag;
    *ret_position = ((struct fake_sink *)sink)->position;
    return FT_OK;
}

static inline void fake_rollback(struct fake_sink *fake)
{
    fake->n_appended = fake->n_rows;
    fake->poisoned = false;
}

static inline ft_err fake_refuse(struct fake_sink *fake, ft_err err, const char *words,
                                 struct ft_diag *reterr_diag)
{
    fake_rollback(fake);
    return ft_diag_set(reterr_diag, err, NULL, 0, 0, "%s", words);
}

static inline bool fake_has(const struct fake_sink *fake, const struct ft_row *row)
{
    for (size_t i = fake->n_appended; i > 0; i--) {
        const struct ft_row *at = &fake->rows[i - 1];
        if (ft_uuid_equal(&at->instance_id, &row->instance_id)) {
            return row->event.seq <= at->event.seq;
        }
    }
    return false;
}

static inline ft_err fake_append(struct ft_sink *sink, const struct ft_row *rows, size_t n_rows,
                                 struct ft_diag *reterr_diag)
{
    struct fake_sink *fake = (struct fake_sink *)sink;
    for (size_t i = 0; i < n_rows; i++) {
        if (fake_has(fake, &rows[i])) {
            continue;
        }
        if (fake->is_poison != NULL && fake->is_poison(&rows[i])) {
            if (!fake->poison_at_commit) {
                return fake_refuse(fake, fake->poison_err, "this row hurts", reterr_diag);
            }
            fake->poisoned = true;
        }
        CHECK(fake->n_appended < FAKE_ROWS_MAX);
        fake->rows[fake->n_appended++] = rows[i];
    }
    return FT_OK;
}

static inline ft_err fake_commit(struct ft_sink *sink, uint64_t position,
                                 struct ft_diag *reterr_diag)
{
    struct fake_sink *fake = (struct fake_sink *)sink;
    if (fake->fail_commits > 0) {
        fake->fail_commits--;
        return fake_refuse(fake, FT_E_STORE, "the disk is away", reterr_diag);
    }
    if (fake->poisoned) {
        return fake_refuse(fake, fake->poison_err, "some row hurts", reterr_diag);
    }
    /* It goes back only alone. */
    CHECK(position >= fake->position || fake->n_appended == fake->n_rows);
    fake->position = position;
    fake->n_rows = fake->n_appended;
    fake->n_commits++;
    return FT_OK;
}

static inline void fake_stats(struct ft_sink *sink, struct ft_sink_stats *ret_stats)
{
    *ret_stats = (struct ft_sink_stats){.rows = ((struct fake_sink *)sink)->n_rows};
}

static inline void fake_close(struct ft_sink *sink) { (void)sink; }

static const struct ft_sink_ops fake_ops = {.begin = fake_begin,
                                            .append = fake_append,
                                            .commit = fake_commit,
                                            .stats = fake_stats,
                                            .close = fake_close};

static inline struct fake_sink *fake_sink_create(void)
{
    struct fake_sink *fake = calloc(1, sizeof *fake);
    CHECK(fake != NULL);
    fake->sink.ops = &fake_ops;
    fake->poison_err = FT_E_STORE;
    return fake;
}

#endif
