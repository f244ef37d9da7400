/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the registry looks inside; for this folder only.
 *
 * Families and series form lists that only grow.  Adding takes the lock and links with release
 * order what is complete already, so that the writer of the text walks the lists without a lock and
 * may call back for values.
 */
#ifndef FT_METRICS_REGISTRY_H
#define FT_METRICS_REGISTRY_H 1

#include "base/thread.h"
#include "metrics/metrics.h"

enum ft_metric_type { FT_METRIC_COUNTER, FT_METRIC_GAUGE, FT_METRIC_HISTOGRAM };

struct ft_series {
    struct ft_series *_Atomic next;
    struct {
        char *name;
        char *value;
    } labels[FT_METRICS_LABELS_MAX];
    size_t n_labels;
    ft_metric_read_fn *read; /* NULL: the value is below. */
    void *read_ctx;
    union {
        struct ft_counter counter;
        struct ft_gauge gauge;
        struct ft_histogram histogram;
    };
};

struct ft_family {
    struct ft_family *_Atomic next;
    struct ft_series *_Atomic first;
    enum ft_metric_type type;
    char *name;
    char *help;
};

struct ft_metrics {
    struct ft_mutex lock;
    size_t series_max;
    size_t n_series FT_GUARDED;
    struct ft_family *_Atomic first; /* Read without the lock. */
};

#endif
