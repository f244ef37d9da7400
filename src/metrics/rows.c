/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/rows.h"

#include <stdatomic.h>

ft_err ft_metrics_add_rows(struct ft_metrics *metrics, const struct ft_metric_row *rows,
                           size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        const struct ft_metric_row *row = &rows[i];
        struct ft_label label = {row->label, row->value};
        size_t n_labels = row->label != NULL ? 1 : 0;
        void *from = (void *)row->from;
        if (row->gauge) {
            FT_TRY(ft_metrics_add_gauge_fn(metrics, row->name, row->help, &label, n_labels,
                                           row->read, from));
        } else {
            FT_TRY(ft_metrics_add_counter_fn(metrics, row->name, row->help, &label, n_labels,
                                             row->read, from));
        }
    }
    return FT_OK;
}

double ft_metric_read_u64(void *from) { return (double)*(_Atomic uint64_t *)from; }

double ft_metric_read_ns(void *from) { return (double)*(_Atomic int64_t *)from / 1e9; }
