/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before the next try: not at all before the first, then an interval that grows
 * by 'multiplier_percent' up to 'max_ns', each drawn uniformly from interval * (1 +- jitter).
 *
 * Other agents wait from the first try on (NetBird: 5 s, 1.5, 50 %, 5 min; reference behaviour
 * K-4).  A conntrack socket that failed can nearly always be opened again at once, and what
 * happens meanwhile is lost, so here the first try has no wait and the second a short one.
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_BACKOFF_H
#define FT_SOURCE_BACKOFF_H 1

#include <stdint.h>

#include "base/random.h"

struct ft_backoff_options {
    int64_t base_ns;
    int64_t max_ns;
    unsigned multiplier_percent; /* 150: each interval is half as long again. */
    unsigned jitter_percent;     /* 50: from half the interval to one and a half. */
};

/* 250 ms, 5 min, 150, 50. */
extern const struct ft_backoff_options ft_backoff_options_default;

struct ft_backoff {
    struct ft_backoff_options options;
    int64_t interval_ns; /* Before jitter; 0: the next try is the first. */
};

void ft_backoff_init(struct ft_backoff *backoff, const struct ft_backoff_options *options);

/* It worked: the next failure starts from the beginning. */
void ft_backoff_reset(struct ft_backoff *backoff);

/* The wait before the next try. */
int64_t ft_backoff_next(struct ft_backoff *backoff, struct ft_random *random);

#endif
