/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form, "exposition format 0.0.4":
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/registry.h"

static void write_family(const struct ft_family *family, struct ft_buf *out);
static void write_value(const struct ft_family *family, const struct ft_series *series,
                        struct ft_buf *out);
static void write_histogram(const struct ft_family *family, const struct ft_series *series,
                            struct ft_buf *out);
static void write_labels(const struct ft_series *series, const char *le, struct ft_buf *out);
static void write_escaped(const char *text, bool quotes, struct ft_buf *out);
static void write_double(double value, struct ft_buf *out);
static void format_double(double value, char *buf, size_t size);

void ft_metrics_write(const struct ft_metrics *metrics, struct ft_buf *out)
{
    const struct ft_family *family = atomic_load_explicit(&metrics->first, memory_order_acquire);
    while (family != NULL) {
        write_family(family, out);
        family = atomic_load_explicit(&family->next, memory_order_acquire);
    }
}

static void write_family(const struct ft_family *family, struct ft_buf *out)
{
    static const char *const types[] = {[FT_METRIC_COUNTER] = "counter",
                                        [FT_METRIC_GAUGE] = "gauge",
                                        [FT_METRIC_HISTOGRAM] = "histogram"};
    const struct ft_series *series = atomic_load_explicit(&family->first, memory_order_acquire);
    if (series == NULL) {
        return;
    }
    ft_buf_addf(out, "# HELP %s ", family->name);
    write_escaped(family->help, false, out);
    ft_buf_addf(out, "\n# TYPE %s %s\n", family->name, types[family->type]);
    while (series != NULL) {
        if (family->type == FT_METRIC_HISTOGRAM) {
            write_histogram(family, series, out);
        } else {
            write_value(family, series, out);
        }
        series = atomic_load_explicit(&series->next, memory_order_acquire);
    }
}

static void write_value(const struct ft_family *family, const struct ft_series *series,
                        struct ft_buf *out)
{
    ft_buf_add_str(out, family->name);
    write_labels(series, NULL, out);
    ft_buf_add_char(out, ' ');
    if (series->read != NULL) {
        write_double(series->read(series->read_ctx), out);
    } else if (family->type == FT_METRIC_COUNTER) {
        ft_buf_add_u64(out, ft_counter_get(&series->counter));
    } else {
        write_double(ft_gauge_get(&series->gauge), out);
    }
    ft_buf_add_char(out, '\n');
}

/*
 * Buckets are cumulative, and "+Inf" and "_count" are the same sum of what was read here, so that
 * they agree with each other although observations go on meanwhile.
 */
static void write_histogram(const struct ft_family *family, const struct ft_series *series,
                            struct ft_buf *out)
{
    const struct ft_histogram *histogram = &series->histogram;
    uint64_t sum_bits = atomic_load_explicit(&histogram->sum_bits, memory_order_relaxed);
    uint64_t total = 0;
    for (size_t i = 0; i <= histogram->n_bounds; i++) {
        char le[32] = "+Inf";
        if (i < histogram->n_bounds) {
            format_double(histogram->bounds[i], le, sizeof le);
        }
        total += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        ft_buf_addf(out, "%s_bucket", family->name);
        write_labels(series, le, out);
        ft_buf_add_char(out, ' ');
        ft_buf_add_u64(out, total);
        ft_buf_add_char(out, '\n');
    }
    double sum;
    memcpy(&sum, &sum_bits, sizeof sum);
    ft_buf_addf(out, "%s_sum", family->name);
    write_labels(series, NULL, out);
    ft_buf_add_char(out, ' ');
    write_double(sum, out);
    ft_buf_addf(out, "\n%s_count", family->name);
    write_labels(series, NULL, out);
    ft_buf_add_char(out, ' ');
    ft_buf_add_u64(out, total);
    ft_buf_add_char(out, '\n');
}

static void write_labels(const struct ft_series *series, const char *le, struct ft_buf *out)
{
    if (series->n_labels == 0 && le == NULL) {
        return;
    }
    ft_buf_add_char(out, '{');
    for (size_t i = 0; i < series->n_labels; i++) {
        ft_buf_addf(out, "%s%s=\"", i > 0 ? "," : "", series->labels[i].name);
        write_escaped(series->labels[i].value, true, out);
        ft_buf_add_char(out, '"');
    }
    if (le != NULL) {
        ft_buf_addf(out, "%sle=\"%s\"", series->n_labels > 0 ? "," : "", le);
    }
    ft_buf_add_char(out, '}');
}

static void write_escaped(const char *text, bool quotes, struct ft_buf *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            ft_buf_add_str(out, "\\n");
        } else if (*text == '\\' || (quotes && *text == '"')) {
            ft_buf_add_char(out, '\\');
            ft_buf_add_char(out, *text);
        } else {
            ft_buf_add_char(out, *text);
        }
    }
}

static void write_double(double value, struct ft_buf *out)
{
    char text[40];
    format_double(value, text, sizeof text);
    ft_buf_add_str(out, text);
}

/* Whole numbers in full, since dashboards and people compare them; else the shortest exact form. */
static void format_double(double value, char *buf, size_t size)
{
    if (isnan(value)) {
        (void)snprintf(buf, size, "NaN");
    } else if (isinf(value)) {
        (void)snprintf(buf, size, "%s", value > 0 ? "+Inf" : "-Inf");
    } else if (fabs(value) < 1e15 && value == floor(value)) {
        (void)snprintf(buf, size, "%.0f", value);
    } else {
        for (int digits = 6; digits <= 17; digits++) {
            (void)snprintf(buf, size, "%.*g", digits, value);
            if (strtod(buf, NULL) == value) {
                break;
            }
        }
    }
}
