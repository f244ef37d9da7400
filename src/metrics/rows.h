/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics as a table: what a program has counted somewhere, and the name under which it is shown.
 *
 * Thread: as metrics.h.
 */
#ifndef FT_METRICS_ROWS_H
#define FT_METRICS_ROWS_H 1

#include <stdbool.h>

#include "metrics/metrics.h"

struct ft_metric_row {
    const char *name;
    const char *help;
    const char *label; /* NULL: none */
    const char *value; /* of the label */
    ft_metric_read_fn *read;
    const void *from; /* Handed to 'read', which does not write through it. */
    bool gauge;       /* else a counter */
};

/* Registers all; fails as ft_metrics_add_gauge_fn(). */
FT_MUST_USE ft_err ft_metrics_add_rows(struct ft_metrics *metrics, const struct ft_metric_row *rows,
                                       size_t n_rows);

/* Reads '_Atomic uint64_t'. */
double ft_metric_read_u64(void *from);
/* Reads '_Atomic int64_t' of nanoseconds as seconds. */
double ft_metric_read_ns(void *from);

#endif
