/* SPDX-License-Identifier: Apache-2.0 */
/* A token store with the n-th allocation failing; the linker leads them here (--wrap). */
#include <stdio.h>
#include <stdlib.h>

#include "auth/token_store.h"
#include "lib/test.h"

static unsigned fail_at;

static bool fails(void) { return fail_at > 0 && --fail_at == 0; }

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *old, size_t size) { return fails() ? NULL : __real_realloc(old, size); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }

TEST(store_survives_each_failing_allocation)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/tokens", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fprintf(file, "a: sha256:%064x\n", 1) > 0 && fclose(file) == 0);
    struct ft_token_store *store = NULL;
    struct ft_diag diag;
    unsigned n = 0;
    ft_err err;
    do {
        fail_at = ++n;
        err = ft_token_store_create(path, &store, &diag);
        fail_at = 0;
        if (err != FT_OK) {
            CHECK_ERR(err, ft_err_from_errno(ENOMEM));
        }
    } while (err != FT_OK && n < 100);
    CHECK_OK(err);
    CHECK(n > 5);
    /* A reload that finds no memory keeps the set. */
    fail_at = 1;
    CHECK_ERR(ft_token_store_reload(store, &diag), ft_err_from_errno(ENOMEM));
    fail_at = 0;
    CHECK_INT(ft_token_store_size(store), 1);
    ft_token_store_destroy(store);
}
