/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "lib/test.h"

static const double bounds[] = {0.1, 1, 2.5};

static double read_seven(void *ctx) { return *(const double *)ctx; }

/* One of each, with everything that needs escaping. */
static struct ft_metrics *build(void)
{
    struct ft_metrics *metrics = NULL;
    struct ft_counter *counter;
    struct ft_gauge *gauge;
    struct ft_histogram *histogram;
    struct ft_counter *causes[3];
    static const char *const cause_names[] = {"enobufs", "overrun", "parse"};
    static double seven = 7.25;
    CHECK_OK(ft_metrics_create(0, &metrics));
    CHECK_OK(ft_metrics_add_counter(metrics, "ft_events_total", "Events seen.", NULL, 0, &counter));
    ft_counter_add(counter, 41);
    ft_counter_inc(counter);
    CHECK_INT(ft_counter_get(counter), 42);
    CHECK_OK(ft_metrics_add_counters(metrics, "ft_lost_total", "Events lost, by cause.", "cause",
                                     cause_names, 3, causes));
    ft_counter_add(causes[1], UINT64_MAX);
    const struct ft_label odd[] = {{"path", "C:\\x \"y\"\nz"}, {"b", ""}};
    CHECK_OK(ft_metrics_add_gauge(metrics, "ft_level", "A \\ and a\nnew line.", odd, 2, &gauge));
    ft_gauge_set(gauge, 1.5);
    ft_gauge_add(gauge, -2);
    CHECK(ft_gauge_get(gauge) == -0.5);
    CHECK_OK(ft_metrics_add_histogram(metrics, "ft_ack_seconds", "Time to the ack.", NULL, 0,
                                      bounds, 3, &histogram));
    ft_histogram_observe(histogram, 0.1);
    ft_histogram_observe(histogram, 0.5);
    ft_histogram_observe(histogram, 3);
    ft_histogram_observe_ns(histogram, INT64_C(2500000000));
    const struct ft_label path[] = {{"path", "/q"}};
    CHECK_OK(ft_metrics_add_histogram(metrics, "ft_ack_seconds", "ignored", path, 1, bounds, 3,
                                      &histogram));
    CHECK_OK(ft_metrics_add_gauge_fn(metrics, "ft_oldest_timestamp_seconds", "Oldest.", NULL, 0,
                                     read_seven, &seven));
    CHECK_OK(ft_metrics_add_counter_fn(metrics, "ft_cpu_seconds_total", "Time.", NULL, 0,
                                       read_seven, &seven));
    return metrics;
}

TEST(text_is_as_recorded)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = build();
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_metrics_write(metrics, &out);
    CHECK_OK(out.err);
    CHECK_GOLDEN("metrics/registry.txt", out.data, out.size);
    ft_buf_deinit(&out);
}

TEST(text_is_accepted_by_promtool)
{
    if (system("command -v promtool >/dev/null") != 0) {
        ft_test_skip("promtool is not installed (package prometheus)");
    }
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = build();
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_metrics_write(metrics, &out);
    char path[256];
    char command[512];
    (void)snprintf(path, sizeof path, "%s/metrics", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fwrite(out.data, 1, out.size, file) == out.size && fclose(file) == 0);
    (void)snprintf(command, sizeof command, "promtool check metrics <%s >&2", path);
    CHECK_INT(system(command), 0);
    ft_buf_deinit(&out);
}

TEST(numbers_are_written_exactly)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "v 0\n"},
                 {1e14, "v 100000000000000\n"},
                 {1e20, "v 1e+20\n"},
                 {0.1, "v 0.1\n"},
                 {1.0 / 3, "v 0.3333333333333333\n"},
                 {1760000000.123456, "v 1760000000.123456\n"},
                 {NAN, "v NaN\n"},
                 {INFINITY, "v +Inf\n"},
                 {-INFINITY, "v -Inf\n"}};
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_gauge *gauge;
    CHECK_OK(ft_metrics_create(0, &metrics));
    CHECK_OK(ft_metrics_add_gauge(metrics, "v", "V.", NULL, 0, &gauge));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_buf out;
        ft_buf_init(&out, 0);
        ft_gauge_set(gauge, cases[i].value);
        ft_metrics_write(metrics, &out);
        CHECK_STR(strstr(ft_buf_str(&out), "gauge\n") + 6, cases[i].text);
        ft_buf_deinit(&out);
    }
}

TEST(wrong_registrations_are_refused)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_counter *counter;
    struct ft_gauge *gauge;
    CHECK_OK(ft_metrics_create(0, &metrics));
    const struct ft_label ab[] = {{"a", "1"}, {"b", "2"}};
    const struct ft_label ba[] = {{"b", "2"}, {"a", "1"}};
    const struct ft_label twice[] = {{"a", "1"}, {"a", "2"}};
    const struct ft_label le[] = {{"le", "1"}};
    const struct ft_label own[] = {{"__name", "1"}};
    CHECK_OK(ft_metrics_add_counter(metrics, "c", "C.", ab, 2, &counter));
    CHECK_ERR(ft_metrics_add_counter(metrics, "c", "C.", ba, 2, &counter),
              ft_err_from_errno(EEXIST));
    CHECK_ERR(ft_metrics_add_gauge(metrics, "c", "C.", NULL, 0, &gauge), FT_E_SYNTAX);
    CHECK_ERR(ft_metrics_add_counter(metrics, "d", "D.", twice, 2, &counter), FT_E_SYNTAX);
    CHECK_ERR(ft_metrics_add_counter(metrics, "d", "D.", le, 1, &counter), FT_E_SYNTAX);
    CHECK_ERR(ft_metrics_add_counter(metrics, "d", "D.", own, 1, &counter), FT_E_SYNTAX);
    CHECK_ERR(ft_metrics_add_counter(metrics, "1d", "D.", NULL, 0, &counter), FT_E_SYNTAX);
    CHECK_ERR(ft_metrics_add_counter(metrics, "", "D.", NULL, 0, &counter), FT_E_SYNTAX);
    CHECK_ERR(ft_metrics_add_counter(metrics, "d d", "D.", NULL, 0, &counter), FT_E_SYNTAX);
}

TEST(series_are_bounded)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_counter *counter;
    struct ft_histogram *histogram;
    CHECK_OK(ft_metrics_create(7, &metrics));
    CHECK_OK(ft_metrics_add_counter(metrics, "a", "A.", NULL, 0, &counter));
    CHECK_OK(ft_metrics_add_histogram(metrics, "h", "H.", NULL, 0, bounds, 3, &histogram));
    CHECK_ERR(ft_metrics_add_counter(metrics, "b", "B.", NULL, 0, &counter), FT_E_FULL);
    /* The name that found no room is not in the text. */
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_metrics_write(metrics, &out);
    CHECK(strstr(ft_buf_str(&out), "# HELP b") == NULL);
    ft_buf_deinit(&out);
}

struct shared {
    struct ft_metrics *metrics;
    struct ft_counter *counter;
    struct ft_gauge *gauge;
    struct ft_histogram *histogram;
};

static void hammer(void *ctx)
{
    struct shared *shared = ctx;
    for (unsigned i = 0; i < 20000; i++) {
        ft_counter_inc(shared->counter);
        ft_gauge_add(shared->gauge, 1);
        ft_histogram_observe(shared->histogram, 1);
    }
}

static void add_more(void *ctx)
{
    struct shared *shared = ctx;
    for (unsigned i = 0; i < 200; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%u", i);
        const struct ft_label labels[] = {{"i", value}};
        struct ft_counter *counter;
        CHECK_OK(ft_metrics_add_counter(shared->metrics, "more_total", "M.", labels, 1, &counter));
    }
}

TEST(threads_lose_nothing)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct shared shared;
    CHECK_OK(ft_metrics_create(0, &metrics));
    shared.metrics = metrics;
    CHECK_OK(ft_metrics_add_counter(metrics, "c", "C.", NULL, 0, &shared.counter));
    CHECK_OK(ft_metrics_add_gauge(metrics, "g", "G.", NULL, 0, &shared.gauge));
    CHECK_OK(ft_metrics_add_histogram(metrics, "h", "H.", NULL, 0, bounds, 3, &shared.histogram));
    struct ft_thread threads[3] = {0};
    CHECK_OK(ft_thread_start(&threads[0], "hammer", hammer, &shared));
    CHECK_OK(ft_thread_start(&threads[1], "hammer", hammer, &shared));
    CHECK_OK(ft_thread_start(&threads[2], "add", add_more, &shared));
    for (unsigned i = 0; i < 20; i++) {
        struct ft_buf out;
        ft_buf_init(&out, 0);
        ft_metrics_write(metrics, &out);
        CHECK_OK(out.err);
        ft_buf_deinit(&out);
    }
    for (unsigned i = 0; i < 3; i++) {
        ft_thread_join(&threads[i]);
    }
    CHECK_INT(ft_counter_get(shared.counter), 40000);
    CHECK(ft_gauge_get(shared.gauge) == 40000);
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_metrics_write(metrics, &out);
    CHECK(strstr(ft_buf_str(&out), "h_count 40000\n") != NULL);
    CHECK(strstr(ft_buf_str(&out), "h_sum 40000\n") != NULL);
    CHECK(strstr(ft_buf_str(&out), "more_total{i=\"199\"} 0\n") != NULL);
    ft_buf_deinit(&out);
}
