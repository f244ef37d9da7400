/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms of a program, and their text form (Prometheus 0.0.4).
 *
 * A series (a name with its label values) is registered once, at start, and gives a handle; on the
 * hot path a handle is one relaxed atomic addition and takes no lock.  Label values are fixed at
 * registration: nothing that comes from the network may become one, so the number of series is
 * known, and bounded by 'series_max' besides.
 *
 * Names follow reference conventions: base units, "_total" on counters, "_seconds", "_bytes".
 *
 * Thread: any, also registration while another thread writes the text.  Handles live as long as the
 * registry.
 */
#ifndef FT_METRICS_METRICS_H
#define FT_METRICS_METRICS_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

#define FT_METRICS_LABELS_MAX  8
#define FT_METRICS_BUCKETS_MAX 32
/* Series of a registry unless told otherwise; a histogram counts as one per bucket and two more. */
#define FT_METRICS_SERIES_MAX 4096

struct ft_metrics;

/* The structs are open only so that the hot path is inline. */
struct ft_counter {
    _Atomic uint64_t value;
};

struct ft_gauge {
    _Atomic uint64_t bits; /* Of a double. */
};

struct ft_histogram {
    const double *bounds; /* Upper bounds, ascending, without +Inf. */
    size_t n_bounds;
    _Atomic uint64_t sum_bits;                           /* Of a double. */
    _Atomic uint64_t counts[FT_METRICS_BUCKETS_MAX + 1]; /* Each bucket alone, the last is +Inf. */
};

struct ft_label {
    const char *name;
    const char *value; /* UTF-8; escaped when written. */
};

/* Reads a value when the text is written.  Thread: that of the writer; must not block. */
typedef double ft_metric_read_fn(void *ctx);

/* 'series_max' 0 means FT_METRICS_SERIES_MAX. */
FT_MUST_USE ft_err ft_metrics_create(size_t series_max, struct ft_metrics **ret_metrics);

/* Accepts NULL.  All handles die with it. */
void ft_metrics_destroy(struct ft_metrics *metrics);
FT_DEFINE_CLEANUP(struct ft_metrics, ft_metrics_destroy);

/*
 * Registration copies name, help and labels.  The first series of a name sets its help and type.
 * Fails with FT_E_FULL at 'series_max', -EEXIST for a series that exists, FT_E_SYNTAX for a name
 * that is none or that has another type already, -ENOMEM.
 */
FT_MUST_USE ft_err ft_metrics_add_counter(struct ft_metrics *metrics, const char *name,
                                          const char *help, const struct ft_label *labels,
                                          size_t n_labels, struct ft_counter **ret_counter);
FT_MUST_USE ft_err ft_metrics_add_gauge(struct ft_metrics *metrics, const char *name,
                                        const char *help, const struct ft_label *labels,
                                        size_t n_labels, struct ft_gauge **ret_gauge);
/* 'bounds' are ascending and borrowed: static storage. */
FT_MUST_USE ft_err ft_metrics_add_histogram(struct ft_metrics *metrics, const char *name,
                                            const char *help, const struct ft_label *labels,
                                            size_t n_labels, const double *bounds, size_t n_bounds,
                                            struct ft_histogram **ret_histogram);

/* One counter for each of 'n' values of the label 'label', into ret_counters[0..n-1]: what an enum
 * of causes needs. */
FT_MUST_USE ft_err ft_metrics_add_counters(struct ft_metrics *metrics, const char *name,
                                           const char *help, const char *label,
                                           const char *const *values, size_t n,
                                           struct ft_counter **ret_counters);

/* A value that already lives elsewhere, read when the text is written. */
FT_MUST_USE ft_err ft_metrics_add_counter_fn(struct ft_metrics *metrics, const char *name,
                                             const char *help, const struct ft_label *labels,
                                             size_t n_labels, ft_metric_read_fn *read, void *ctx);
FT_MUST_USE ft_err ft_metrics_add_gauge_fn(struct ft_metrics *metrics, const char *name,
                                           const char *help, const struct ft_label *labels,
                                           size_t n_labels, ft_metric_read_fn *read, void *ctx);

static inline void ft_counter_add(struct ft_counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

static inline void ft_counter_inc(struct ft_counter *counter) { ft_counter_add(counter, 1); }

static inline uint64_t ft_counter_get(const struct ft_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

void ft_gauge_set(struct ft_gauge *gauge, double value);
void ft_gauge_add(struct ft_gauge *gauge, double delta);
double ft_gauge_get(const struct ft_gauge *gauge);

void ft_histogram_observe(struct ft_histogram *histogram, double value);
/* 'ns' as seconds. */
void ft_histogram_observe_ns(struct ft_histogram *histogram, int64_t ns);

/* Bounds for latencies, 1 ms to 60 s, and for sizes, 256 B to 64 MiB. */
#define FT_METRICS_N_LATENCY_BOUNDS 15
#define FT_METRICS_N_SIZE_BOUNDS    10
extern const double ft_metrics_latency_bounds[FT_METRICS_N_LATENCY_BOUNDS];
extern const double ft_metrics_size_bounds[FT_METRICS_N_SIZE_BOUNDS];

/* Content type of the text. */
#define FT_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* All series, families in the order of registration.  Failure is in 'out->err'. */
void ft_metrics_write(const struct ft_metrics *metrics, struct ft_buf *out);

#endif
