/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "metrics/registry.h"

const double ft_metrics_latency_bounds[FT_METRICS_N_LATENCY_BOUNDS] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
const double ft_metrics_size_bounds[FT_METRICS_N_SIZE_BOUNDS] = {
    256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};

/* What a registration asks for. */
struct request {
    const char *name;
    const char *help;
    const struct ft_label *labels;
    size_t n_labels;
    enum ft_metric_type type;
    size_t cost; /* Lines in the text. */
};

static ft_err add_series(struct ft_metrics *metrics, const struct request *request,
                         struct ft_series *fresh) FT_REQUIRES(metrics->lock);
static ft_err register_series(struct ft_metrics *metrics, const struct request *request,
                              struct ft_series **series);
static ft_err add_fn(struct ft_metrics *metrics, const struct request *request,
                     ft_metric_read_fn *read, void *ctx);
static ft_err find_family(struct ft_metrics *metrics, const struct request *request,
                          struct ft_family **ret_family) FT_REQUIRES(metrics->lock);
static struct ft_series *series_create(const struct request *request);
static void series_destroy(struct ft_series *series);
static bool same_labels(const struct ft_series *series, const struct request *request);
static bool request_ok(const struct request *request);
static bool name_ok(const char *name, bool colons);
static uint64_t double_bits(double value);
static double bits_double(uint64_t bits);
static void add_double(_Atomic uint64_t *bits, double delta);

ft_err ft_metrics_create(size_t series_max, struct ft_metrics **ret_metrics)
{
    struct ft_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&metrics->lock);
    metrics->series_max = series_max != 0 ? series_max : FT_METRICS_SERIES_MAX;
    *ret_metrics = metrics;
    return FT_OK;
}

void ft_metrics_destroy(struct ft_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (struct ft_family *family = atomic_load(&metrics->first); family != NULL;) {
        struct ft_family *next_family = atomic_load(&family->next);
        for (struct ft_series *series = atomic_load(&family->first); series != NULL;) {
            struct ft_series *next = atomic_load(&series->next);
            series_destroy(series);
            series = next;
        }
        free(family->name);
        free(family->help);
        free(family);
        family = next_family;
    }
    ft_mutex_deinit(&metrics->lock);
    free(metrics);
}

ft_err ft_metrics_add_counter(struct ft_metrics *metrics, const char *name, const char *help,
                              const struct ft_label *labels, size_t n_labels,
                              struct ft_counter **ret_counter)
{
    struct request request = {name, help, labels, n_labels, FT_METRIC_COUNTER, 1};
    struct ft_series *series = NULL;
    FT_TRY(register_series(metrics, &request, &series));
    *ret_counter = &series->counter;
    return FT_OK;
}

ft_err ft_metrics_add_gauge(struct ft_metrics *metrics, const char *name, const char *help,
                            const struct ft_label *labels, size_t n_labels,
                            struct ft_gauge **ret_gauge)
{
    struct request request = {name, help, labels, n_labels, FT_METRIC_GAUGE, 1};
    struct ft_series *series = NULL;
    FT_TRY(register_series(metrics, &request, &series));
    *ret_gauge = &series->gauge;
    return FT_OK;
}

ft_err ft_metrics_add_histogram(struct ft_metrics *metrics, const char *name, const char *help,
                                const struct ft_label *labels, size_t n_labels,
                                const double *bounds, size_t n_bounds,
                                struct ft_histogram **ret_histogram)
{
    assert(n_bounds > 0 && n_bounds <= FT_METRICS_BUCKETS_MAX);
    struct request request = {name, help, labels, n_labels, FT_METRIC_HISTOGRAM, n_bounds + 3};
    struct ft_series *series = series_create(&request);
    if (series == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    /* Complete before it is linked: a writer may look at once. */
    series->histogram.bounds = bounds;
    series->histogram.n_bounds = n_bounds;
    ft_mutex_lock(&metrics->lock);
    ft_err err = add_series(metrics, &request, series);
    ft_mutex_unlock(&metrics->lock);
    if (err != FT_OK) {
        series_destroy(series);
        return err;
    }
    *ret_histogram = &series->histogram;
    return FT_OK;
}

ft_err ft_metrics_add_counters(struct ft_metrics *metrics, const char *name, const char *help,
                               const char *label, const char *const *values, size_t n,
                               struct ft_counter **ret_counters)
{
    for (size_t i = 0; i < n; i++) {
        struct ft_label labels[] = {{label, values[i]}};
        FT_TRY(ft_metrics_add_counter(metrics, name, help, labels, 1, &ret_counters[i]));
    }
    return FT_OK;
}

ft_err ft_metrics_add_counter_fn(struct ft_metrics *metrics, const char *name, const char *help,
                                 const struct ft_label *labels, size_t n_labels,
                                 ft_metric_read_fn *read, void *ctx)
{
    struct request request = {name, help, labels, n_labels, FT_METRIC_COUNTER, 1};
    return add_fn(metrics, &request, read, ctx);
}

ft_err ft_metrics_add_gauge_fn(struct ft_metrics *metrics, const char *name, const char *help,
                               const struct ft_label *labels, size_t n_labels,
                               ft_metric_read_fn *read, void *ctx)
{
    struct request request = {name, help, labels, n_labels, FT_METRIC_GAUGE, 1};
    return add_fn(metrics, &request, read, ctx);
}

void ft_gauge_set(struct ft_gauge *gauge, double value)
{
    atomic_store_explicit(&gauge->bits, double_bits(value), memory_order_relaxed);
}

void ft_gauge_add(struct ft_gauge *gauge, double delta) { add_double(&gauge->bits, delta); }

double ft_gauge_get(const struct ft_gauge *gauge)
{
    return bits_double(atomic_load_explicit(&gauge->bits, memory_order_relaxed));
}

void ft_histogram_observe(struct ft_histogram *histogram, double value)
{
    size_t bucket = 0;
    while (bucket < histogram->n_bounds && value > histogram->bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    add_double(&histogram->sum_bits, value);
}

void ft_histogram_observe_ns(struct ft_histogram *histogram, int64_t ns)
{
    ft_histogram_observe(histogram, (double)ns / (double)FT_NS_PER_S);
}

static ft_err register_series(struct ft_metrics *metrics, const struct request *request,
                              struct ft_series **series)
{
    struct ft_series *fresh = series_create(request);
    if (fresh == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_lock(&metrics->lock);
    ft_err err = add_series(metrics, request, fresh);
    ft_mutex_unlock(&metrics->lock);
    if (err != FT_OK) {
        series_destroy(fresh);
        return err;
    }
    *series = fresh;
    return FT_OK;
}

static ft_err add_fn(struct ft_metrics *metrics, const struct request *request,
                     ft_metric_read_fn *read, void *ctx)
{
    struct ft_series *series = series_create(request);
    if (series == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    series->read = read;
    series->read_ctx = ctx;
    ft_mutex_lock(&metrics->lock);
    ft_err err = add_series(metrics, request, series);
    ft_mutex_unlock(&metrics->lock);
    if (err != FT_OK) {
        series_destroy(series);
    }
    return err;
}

/* Links 'fresh', whose labels are set, into its family; on failure it stays the caller's. */
static ft_err add_series(struct ft_metrics *metrics, const struct request *request,
                         struct ft_series *fresh)
{
    if (!request_ok(request)) {
        return FT_E_SYNTAX;
    }
    if (request->cost > metrics->series_max - metrics->n_series) {
        return FT_E_FULL;
    }
    struct ft_family *family = NULL;
    FT_TRY(find_family(metrics, request, &family));
    struct ft_series *_Atomic *link = &family->first;
    for (struct ft_series *series = atomic_load(link); series != NULL; series = atomic_load(link)) {
        if (same_labels(series, request)) {
            return ft_err_from_errno(EEXIST);
        }
        link = &series->next;
    }
    metrics->n_series += request->cost;
    atomic_store_explicit(link, fresh, memory_order_release);
    return FT_OK;
}

static ft_err find_family(struct ft_metrics *metrics, const struct request *request,
                          struct ft_family **ret_family)
{
    struct ft_family *_Atomic *link = &metrics->first;
    for (struct ft_family *family = atomic_load(link); family != NULL; family = atomic_load(link)) {
        if (strcmp(family->name, request->name) == 0) {
            *ret_family = family;
            return family->type == request->type ? FT_OK : FT_E_SYNTAX;
        }
        link = &family->next;
    }
    struct ft_family *family = calloc(1, sizeof *family);
    if (family != NULL) {
        family->type = request->type;
        family->name = strdup(request->name);
        family->help = strdup(request->help);
    }
    if (family == NULL || family->name == NULL || family->help == NULL) {
        if (family != NULL) {
            free(family->name);
            free(family->help);
        }
        free(family);
        return ft_err_from_errno(ENOMEM);
    }
    atomic_store_explicit(link, family, memory_order_release);
    *ret_family = family;
    return FT_OK;
}

static struct ft_series *series_create(const struct request *request)
{
    struct ft_series *series = calloc(1, sizeof *series);
    if (series == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < request->n_labels && i < FT_METRICS_LABELS_MAX; i++) {
        series->labels[i].name = strdup(request->labels[i].name);
        series->labels[i].value = strdup(request->labels[i].value);
        series->n_labels++;
        if (series->labels[i].name == NULL || series->labels[i].value == NULL) {
            series_destroy(series);
            return NULL;
        }
    }
    return series;
}

static void series_destroy(struct ft_series *series)
{
    for (size_t i = 0; i < series->n_labels; i++) {
        free(series->labels[i].name);
        free(series->labels[i].value);
    }
    free(series);
}

static bool same_labels(const struct ft_series *series, const struct request *request)
{
    if (series->n_labels != request->n_labels) {
        return false;
    }
    for (size_t i = 0; i < request->n_labels; i++) {
        bool found = false;
        for (size_t k = 0; k < series->n_labels && !found; k++) {
            found = strcmp(series->labels[k].name, request->labels[i].name) == 0 &&
                    strcmp(series->labels[k].value, request->labels[i].value) == 0;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool request_ok(const struct request *request)
{
    if (!name_ok(request->name, true) || request->n_labels > FT_METRICS_LABELS_MAX) {
        return false;
    }
    for (size_t i = 0; i < request->n_labels; i++) {
        const char *name = request->labels[i].name;
        /* "le" is the histogram's own; what begins with two underscores is Prometheus's own. */
        if (!name_ok(name, false) || strcmp(name, "le") == 0 || strncmp(name, "__", 2) == 0) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(name, request->labels[k].name) == 0) {
                return false;
            }
        }
    }
    return true;
}

static bool name_ok(const char *name, bool colons)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789:";
    size_t len = strlen(name);
    return len > 0 && strchr(letters, name[0]) != NULL && strspn(name, more) == len &&
           (colons || strchr(name, ':') == NULL);
}

static uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* C11 has no atomic addition of doubles. */
static void add_double(_Atomic uint64_t *bits, double delta)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bits, &old, double_bits(bits_double(old) + delta),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}
