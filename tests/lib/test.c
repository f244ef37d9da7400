/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* cmocka wants the headers above before its own. */
#include <cmocka.h>

#define TESTS_MAX 512

static struct {
    const char *name;
    ft_test_fn *fn;
} tests[TESTS_MAX];
static size_t n_tests;
static char tmpdir[64];

void ft_test_register(const char *name, ft_test_fn *fn)
{
    if (n_tests == TESTS_MAX) {
        abort();
    }
    tests[n_tests].name = name;
    tests[n_tests].fn = fn;
    n_tests++;
}

void ft_test_fail(const char *file, int line, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_error("check failed: %s\n", text);
    _fail(file, line);
    abort();
}

void ft_test_skip(const char *reason)
{
    const char *ci = getenv("CI");
    if (ci != NULL && strcmp(ci, "true") == 0) {
        print_error("skipped, which CI does not allow: %s\n", reason);
        _fail(__FILE__, __LINE__);
        abort();
    }
    print_message("skipped: %s\n", reason);
    _skip(reason, 0);
    abort();
}

static void hex(char *to, size_t size, const unsigned char *data, size_t n)
{
    size_t at = 0;
    to[0] = '\0';
    for (size_t i = 0; i < n && at + 4 < size; i++) {
        at += (size_t)snprintf(to + at, size - at, "%02x ", data[i]);
    }
}

void ft_test_check_bytes(const char *file, int line, const void *a, size_t a_size, const void *b,
                         size_t b_size)
{
    if (a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0)) {
        return;
    }
    const unsigned char *left = a;
    const unsigned char *right = b;
    size_t at = 0;
    while (at < a_size && at < b_size && left[at] == right[at]) {
        at++;
    }
    char left_hex[128];
    char right_hex[128];
    hex(left_hex, sizeof left_hex, left + at, a_size - at < 24 ? a_size - at : 24);
    hex(right_hex, sizeof right_hex, right + at, b_size - at < 24 ? b_size - at : 24);
    ft_test_fail(file, line, "%zu and %zu bytes differ at offset %zu: %s| %s", a_size, b_size, at,
                 left_hex, right_hex);
}

void ft_test_check_golden(const char *file, int line, const char *name, const void *data,
                          size_t size)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/%s", FT_TESTS_DIR, name);
    if (getenv("FT_UPDATE_GOLDEN") != NULL) {
        FILE *to = fopen(path, "wb");
        if (to == NULL || fwrite(data, 1, size, to) != size || fclose(to) != 0) {
            ft_test_fail(file, line, "cannot write %s", path);
        }
        return;
    }
    FILE *from = fopen(path, "rb");
    if (from == NULL) {
        ft_test_fail(file, line, "no golden file %s: make it with FT_UPDATE_GOLDEN=1", path);
    }
    static unsigned char expected[1 << 22];
    size_t n = fread(expected, 1, sizeof expected, from);
    (void)fclose(from);
    ft_test_check_bytes(file, line, data, size, expected, n);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_tmpdir(void)
{
    if (tmpdir[0] != '\0') {
        (void)nftw(tmpdir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
}

const char *ft_test_tmpdir(void)
{
    static unsigned n_dirs;
    static char paths[TESTS_MAX][80];
    if (tmpdir[0] == '\0') {
        (void)snprintf(tmpdir, sizeof tmpdir, "/tmp/flowtrail-test.XXXXXX");
        if (mkdtemp(tmpdir) == NULL) {
            abort();
        }
        (void)atexit(remove_tmpdir);
    }
    if (n_dirs == TESTS_MAX) {
        abort();
    }
    char *path = paths[n_dirs];
    (void)snprintf(path, sizeof paths[0], "%s/%u", tmpdir, n_dirs++);
    if (mkdir(path, 0700) != 0) {
        abort();
    }
    return path;
}

static void run_one(void **state) { tests[(size_t)(uintptr_t)*state].fn(); }

/* Weak: a program with a main of its own may use the checks and helpers above. */
int main(int argc, char **argv) __attribute__((weak));

int main(int argc, char **argv)
{
    static struct CMUnitTest selected[TESTS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < n_tests; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) {
            continue;
        }
        selected[n] = (struct CMUnitTest){
            .name = tests[i].name, .test_func = run_one, .initial_state = (void *)(uintptr_t)i};
        n++;
    }
    if (n == 0) {
        (void)fprintf(stderr, "no test matches\n");
        return 2;
    }
    return _cmocka_run_group_tests(argv[0], selected, n, NULL, NULL);
}
