/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a program's option table from flags and compares what it says: a refusal, a warning, or
 * nothing.  For the tests of options that concern each other.
 *
 * Thread: the test's.
 */
#ifndef FT_TESTS_LIB_OPTION_CASE_H
#define FT_TESTS_LIB_OPTION_CASE_H 1

#include <stdlib.h>

#include "config/options.h"
#include "lib/test.h"

/* Ends with NULL. */
#define OPTION_FLAGS_MAX 8

struct option_case {
    const char *flags[OPTION_FLAGS_MAX];
    const char *refusal; /* NULL: it loads. */
    const char *warning; /* NULL: none. */
};

/* The options as loaded; the caller deinits and frees them.  NULL after a refusal. */
static inline void *option_case_run(const struct ft_option_table *table,
                                    const struct option_case *given)
{
    struct ft_options_args args;
    struct ft_diag diag = {0};
    char *argv[OPTION_FLAGS_MAX + 1] = {(char *)(uintptr_t) "program"};
    int argc = 1;
    for (size_t i = 0; given->flags[i] != NULL; i++) {
        argv[argc++] = (char *)(uintptr_t)given->flags[i];
    }
    CHECK_OK(ft_options_parse_args(table, FT_ARGS_CONFIG, argc, argv, &args, &diag));
    struct ft_options_input input = {.args = &args};
    struct ft_options_report *report = NULL;
    void *options = calloc(1, table->struct_size);
    CHECK(options != NULL);
    CHECK_OK(ft_options_init(table, options));
    ft_err err = ft_options_load(table, &input, options, &report, &diag);
    CHECK_STR(diag.text, given->refusal != NULL ? given->refusal : "");
    if (err != FT_OK) {
        CHECK(ft_err_kind(err) == FT_KIND_USAGE);
        ft_options_deinit(table, options);
        free(options);
        return NULL;
    }
    CHECK_INT(ft_options_report_n_warnings(report), given->warning != NULL ? 1 : 0);
    CHECK_STR(ft_options_report_warning(report, 0), given->warning != NULL ? given->warning : "");
    ft_options_report_destroy(report);
    return options;
}

static inline void option_cases_run(const struct ft_option_table *table,
                                    const struct option_case *cases, size_t n_cases)
{
    for (size_t i = 0; i < n_cases; i++) {
        void *options = option_case_run(table, &cases[i]);
        if (options != NULL) {
            ft_options_deinit(table, options);
            free(options);
        }
    }
}

#endif
