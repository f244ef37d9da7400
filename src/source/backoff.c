/* SPDX-License-Identifier: Apache-2.0 */
#include "source/backoff.h"

#include "base/clock.h"

const struct ft_backoff_options ft_backoff_options_default = {
    .base_ns = 250 * FT_NS_PER_MS,
    .max_ns = 300 * FT_NS_PER_S,
    .multiplier_percent = 150,
    .jitter_percent = 50,
};

static int64_t grow(int64_t interval_ns, const struct ft_backoff_options *options);

void ft_backoff_init(struct ft_backoff *backoff, const struct ft_backoff_options *options)
{
    *backoff = (struct ft_backoff){.options = *options};
}

void ft_backoff_reset(struct ft_backoff *backoff) { backoff->interval_ns = 0; }

int64_t ft_backoff_next(struct ft_backoff *backoff, struct ft_random *random)
{
    const struct ft_backoff_options *options = &backoff->options;
    int64_t interval = backoff->interval_ns;
    if (interval == 0) {
        backoff->interval_ns = options->base_ns;
        return 0;
    }
    backoff->interval_ns = grow(interval, options);
    int64_t half_width = interval / 100 * options->jitter_percent;
    if (half_width <= 0) {
        return interval;
    }
    return interval - half_width + (int64_t)ft_random_below(random, 2 * (uint64_t)half_width + 1);
}

static int64_t grow(int64_t interval_ns, const struct ft_backoff_options *options)
{
    if (interval_ns >= options->max_ns) {
        return options->max_ns;
    }
    int64_t more = interval_ns / 100 * options->multiplier_percent;
    return more < options->max_ns ? more : options->max_ns;
}
