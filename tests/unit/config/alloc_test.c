/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load with the n-th allocation failing, n = 1, 2, … until it succeeds: it must say so, leave the
 * options alone and leak nothing.  The linker leads the allocations of our own code here (--wrap);
 * libyaml's come from its shared library and are not met.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/test.h"
#include "sample.h"

/* The allocation that fails, counted down; 0: none. */
static unsigned fail_at;

static bool fails(void) { return fail_at > 0 && --fail_at == 0; }

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
int __real_vasprintf(char **ret, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
int __wrap_vasprintf(char **ret, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *old, size_t size) { return fails() ? NULL : __real_realloc(old, size); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }

char *__wrap_strndup(const char *text, size_t len)
{
    return fails() ? NULL : __real_strndup(text, len);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
    return fails() ? -1 : __real_vasprintf(ret, format, args);
}

static const char text[] = "log: {flush: 2s, spool: {path: /x}}\n"
                           "networks: [1.0.0.0/8, 2.0.0.0/8]\n"
                           "filter.rules:\n"
                           "  - sources: [1.0.0.0/8, 3.0.0.0/8]\n"
                           "  - {sources: [1.0.0.0/8], action: keep}\n";

TEST(load_survives_each_failing_allocation)
{
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=u",
                           (char *)(uintptr_t) "FLOWTRAIL_UNKNOWN_THING=1",
                           (char *)(uintptr_t) "FLOWTRAIL_NETWORKS=4.0.0.0/8, 5.0.0.0/8", NULL};
    struct ft_options_input input = {
        .remote_text = text, .remote_size = sizeof text - 1, .environment = environment};
    struct sample options;
    CHECK_OK(ft_options_init(&sample_table, &options));
    unsigned n = 0;
    ft_err err;
    do {
        struct ft_options_report *report = NULL;
        struct ft_diag diag = {0};
        fail_at = ++n;
        err = ft_options_load(&sample_table, &input, &options, &report, &diag);
        fail_at = 0;
        if (err != FT_OK) {
            CHECK_ERR(err, ft_err_from_errno(ENOMEM));
            CHECK(diag.text[0] != '\0');
            CHECK(report == NULL);
            CHECK_INT(options.flush_ns, 1000000000);
        }
        ft_options_report_destroy(report);
    } while (err != FT_OK && n < 1000);
    CHECK_OK(err);
    CHECK(n > 30);
    CHECK_INT(options.flush_ns, 2000000000);
    ft_options_deinit(&sample_table, &options);
}

TEST(copy_survives_each_failing_allocation)
{
    struct ft_options_input input = {.remote_text = text, .remote_size = sizeof text - 1};
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=u", NULL};
    input.environment = environment;
    struct sample options;
    struct ft_diag diag;
    CHECK_OK(ft_options_init(&sample_table, &options));
    CHECK_OK(ft_options_load(&sample_table, &input, &options, NULL, &diag));
    unsigned n = 0;
    ft_err err;
    do {
        struct sample copy;
        fail_at = ++n;
        err = ft_options_dup(&sample_table, &options, &copy);
        fail_at = 0;
        if (err == FT_OK) {
            ft_options_deinit(&sample_table, &copy);
        } else {
            CHECK_ERR(err, ft_err_from_errno(ENOMEM));
        }
    } while (err != FT_OK && n < 1000);
    CHECK_OK(err);
    CHECK(n > 8);
    ft_options_deinit(&sample_table, &options);
}
