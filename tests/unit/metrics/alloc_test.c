/* SPDX-License-Identifier: Apache-2.0 */
/* Registration with the n-th allocation failing; the linker leads them here (--wrap). */
#include <stdlib.h>

#include "lib/test.h"
#include "metrics/metrics.h"

static unsigned fail_at;

static bool fails(void) { return fail_at > 0 && --fail_at == 0; }

void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }

static ft_err build(struct ft_metrics **ret_metrics)
{
    static const double bounds[] = {1, 2};
    static const struct ft_label labels[] = {{"a", "1"}, {"b", "2"}};
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_counter *counter;
    struct ft_histogram *histogram;
    FT_TRY(ft_metrics_create(0, &metrics));
    FT_TRY(ft_metrics_add_counter(metrics, "c_total", "C.", labels, 2, &counter));
    FT_TRY(ft_metrics_add_histogram(metrics, "h", "H.", labels, 2, bounds, 2, &histogram));
    *ret_metrics = FT_TAKE(metrics);
    return FT_OK;
}

TEST(registration_survives_each_failing_allocation)
{
    struct ft_metrics *metrics = NULL;
    unsigned n = 0;
    ft_err err;
    do {
        fail_at = ++n;
        err = build(&metrics);
        fail_at = 0;
        if (err != FT_OK) {
            CHECK_ERR(err, ft_err_from_errno(ENOMEM));
        }
    } while (err != FT_OK && n < 1000);
    CHECK_OK(err);
    CHECK(n > 14);
    ft_metrics_destroy(metrics);
}

TEST(a_family_without_series_is_not_shown)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_counter *counter;
    struct ft_buf out;
    ft_buf_init(&out, 0);
    CHECK_OK(ft_metrics_create(0, &metrics));
    fail_at = 3; /* The family's own memory is there, its help is not. */
    CHECK_ERR(ft_metrics_add_counter(metrics, "c_total", "C.", NULL, 0, &counter),
              ft_err_from_errno(ENOMEM));
    fail_at = 0;
    ft_metrics_write(metrics, &out);
    CHECK_INT(out.size, 0);
    CHECK_OK(ft_metrics_add_counter(metrics, "c_total", "C.", NULL, 0, &counter));
    ft_metrics_write(metrics, &out);
    CHECK_STR(ft_buf_str(&out), "# HELP c_total C.\n# TYPE c_total counter\nc_total 0\n");
    ft_buf_deinit(&out);
}
