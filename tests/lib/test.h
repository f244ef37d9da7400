/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests that register themselves: TEST(name) { … } and the checks below, run by cmocka.
 * `./unit_store_log full` runs the tests whose name contains "full".  A failed check prints values
 * as text and ends its test.
 */
#ifndef FT_TESTS_LIB_TEST_H
#define FT_TESTS_LIB_TEST_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

typedef void ft_test_fn(void);

void ft_test_register(const char *name, ft_test_fn *fn);
_Noreturn void ft_test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends the test as skipped, with the reason.  CI fails when a privileged test is skipped. */
_Noreturn void ft_test_skip(const char *reason);

void ft_test_check_bytes(const char *file, int line, const void *a, size_t a_size, const void *b,
                         size_t b_size);

/* Compares with the golden file tests/golden/NAME; FT_UPDATE_GOLDEN=1 rewrites it instead. */
void ft_test_check_golden(const char *file, int line, const char *name, const void *data,
                          size_t size);

/* A new empty directory, removed at exit.  The caller does not free it; valid until exit. */
const char *ft_test_tmpdir(void);

#define TEST(name)                                                                                 \
    static void test_##name(void);                                                                 \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        ft_test_register(#name, test_##name);                                                      \
    }                                                                                              \
    static void test_##name(void)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ft_test_fail(__FILE__, __LINE__, "%s", #condition);                                    \
        }                                                                                          \
    } while (0)

#define CHECK_OK(expr) CHECK_ERR(expr, FT_OK)

#define CHECK_ERR(expr, expected)                                                                  \
    do {                                                                                           \
        ft_err err_ = (expr);                                                                      \
        if (err_ != (expected)) {                                                                  \
            ft_test_fail(__FILE__, __LINE__, "%s gave %s (%s), expected %s", #expr,                \
                         ft_err_name(err_), ft_err_text(err_), ft_err_name(expected));             \
        }                                                                                          \
    } while (0)

#define CHECK_INT(a, b)                                                                            \
    do {                                                                                           \
        long long a_ = (long long)(a);                                                             \
        long long b_ = (long long)(b);                                                             \
        if (a_ != b_) {                                                                            \
            ft_test_fail(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #a, a_, #b, b_);    \
        }                                                                                          \
    } while (0)

#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *a_ = (a);                                                                      \
        const char *b_ = (b);                                                                      \
        if (a_ == NULL || b_ == NULL || strcmp(a_, b_) != 0) {                                     \
            ft_test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #a,                  \
                         a_ != NULL ? a_ : "(null)", b_ != NULL ? b_ : "(null)");                  \
        }                                                                                          \
    } while (0)

#define CHECK_BYTES(a, a_size, b, b_size)                                                          \
    ft_test_check_bytes(__FILE__, __LINE__, a, a_size, b, b_size)

#define CHECK_GOLDEN(name, data, size) ft_test_check_golden(__FILE__, __LINE__, name, data, size)

#endif
