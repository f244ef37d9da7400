/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

const char *row_json(size_t i)
{
    static char *rows[ROWS_N];
    if (rows[0] == NULL) {
        FILE *file = fopen(FT_TESTS_DIR "/golden/text/rows.ndjson", "r");
        CHECK(file != NULL);
        for (size_t row = 0; row < ROWS_N; row++) {
            size_t size = 0;
            CHECK(getline(&rows[row], &size, file) > 0);
            rows[row][strcspn(rows[row], "\n")] = '\0';
        }
        (void)fclose(file);
    }
    CHECK(i < ROWS_N);
    return rows[i];
}

const char *page_json(size_t first, int n, const char *next)
{
    static struct ft_buf pages[16];
    static size_t n_pages;
    CHECK(n_pages < 16);
    struct ft_buf *page = &pages[n_pages++];
    int count = n < 0 ? -n : n;
    ft_buf_init(page, 0);
    ft_buf_add_str(page, "{\"begin\":\"2026-11-21T00:00:00Z\",\"flows\":[");
    for (int i = 0; i < count; i++) {
        size_t row = first + (size_t)(n < 0 ? count - 1 - i : i);
        ft_buf_addf(page, "%s%s", i > 0 ? "," : "", row_json(row));
    }
    ft_buf_addf(page, "],\"count\":%d,\"more\":%s", count, next != NULL ? "true" : "false");
    if (next != NULL) {
        ft_buf_addf(page, ",\"next\":\"%s\"", next);
    }
    ft_buf_add_str(page, "}\n");
    return ft_buf_str(page);
}
