/* SPDX-License-Identifier: Apache-2.0 */
#include "config/suggest.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static size_t min3(size_t a, size_t b, size_t c);
static bool is_shortened_flag(const char *word, size_t len, const char *name);

void ft_suggest_offer(struct ft_suggest *suggest, const char *name)
{
    size_t len = strlen(suggest->word);
    if (len > FT_SUGGEST_LEN_MAX || strlen(name) > FT_SUGGEST_LEN_MAX) {
        return;
    }
    /* A third of the letters may differ: more, and the suggestion is a guess that misleads. */
    size_t allowed = len / 3 > 1 ? len / 3 : 1;
    size_t distance = ft_suggest_distance(suggest->word, name);
    if (is_shortened_flag(suggest->word, len, name)) {
        distance = 0;
    }
    if (distance <= allowed && (suggest->best[0] == '\0' || distance < suggest->best_distance)) {
        (void)snprintf(suggest->best, sizeof suggest->best, "%s", name);
        suggest->best_distance = distance;
    }
}

/* "--prot" for "--protocol": other programs take it, so people write it. */
static bool is_shortened_flag(const char *word, size_t len, const char *name)
{
    return len >= 5 && strncmp(word, "--", 2) == 0 && strncmp(word, name, len) == 0;
}

/* Optimal string alignment, three rows. */
size_t ft_suggest_distance(const char *a, const char *b)
{
    size_t a_len = strnlen(a, FT_SUGGEST_LEN_MAX);
    size_t b_len = strnlen(b, FT_SUGGEST_LEN_MAX);
    size_t rows[3][FT_SUGGEST_LEN_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3];
        const size_t *last = rows[(i + 2) % 3];
        const size_t *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t replace = last[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < now[j]) {
                now[j] = before[j - 2] + 1;
            }
        }
    }
    return rows[a_len % 3][b_len];
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}
