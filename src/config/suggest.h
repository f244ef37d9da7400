/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?": the nearest of some names.  Thread: any. */
#ifndef FT_CONFIG_SUGGEST_H
#define FT_CONFIG_SUGGEST_H 1

#include <stddef.h>

/* Longer words are not compared: nobody mistypes them by a letter. */
#define FT_SUGGEST_LEN_MAX 128

/* The search for the best candidate; start with only 'word' set. */
struct ft_suggest {
    const char *word;
    char best[FT_SUGGEST_LEN_MAX + 1]; /* "" while nothing is near enough. */
    size_t best_distance;
};

/* Offers one name. */
void ft_suggest_offer(struct ft_suggest *suggest, const char *name);

/* Steps from one word to the other: insert, delete, replace, swap neighbours. */
size_t ft_suggest_distance(const char *a, const char *b);

#endif
