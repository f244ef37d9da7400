/* SPDX-License-Identifier: Apache-2.0 */
#include "source/ladder.h"

#include "base/clock.h"

const struct ft_ladder_options ft_ladder_options_default = {
    .mode = FT_LADDER_ADAPTIVE,
    .rate_max = {10000, 25000},
    .recover_percent = 50,
    .hold_ns = 10 * FT_NS_PER_S,
    .hold_max_ns = 300 * FT_NS_PER_S,
};

static const char *const step_names[FT_LADDER_STEP_N] = {"full", "no_update", "destroy_only"};

static enum ft_ladder_step step_for(const struct ft_ladder *ladder,
                                    const struct ft_ladder_input *input);
static bool set_step(struct ft_ladder *ladder, enum ft_ladder_step step);
static void shed(struct ft_ladder *ladder, int64_t now_ns);
static bool recover(struct ft_ladder *ladder, int64_t now_ns, uint64_t flows_per_s);

void ft_ladder_init(struct ft_ladder *ladder, const struct ft_ladder_options *options)
{
    *ladder = (struct ft_ladder){
        .options = *options,
        .step =
            options->mode == FT_LADDER_FIXED_DESTROY_ONLY ? FT_LADDER_DESTROY_ONLY : FT_LADDER_FULL,
        .hold_ns = options->hold_ns,
        .calm_since = FT_TIME_NEVER,
        .raised_ns = FT_TIME_NEVER,
    };
}

void ft_ladder_set_options(struct ft_ladder *ladder, const struct ft_ladder_options *options)
{
    ladder->options = *options;
    ladder->hold_ns = options->hold_ns;
    ladder->calm_since = FT_TIME_NEVER;
    ladder->raised_ns = FT_TIME_NEVER;
}

bool ft_ladder_update(struct ft_ladder *ladder, int64_t now_ns, const struct ft_ladder_input *input)
{
    if (ladder->options.mode == FT_LADDER_FIXED_FULL) {
        return set_step(ladder, FT_LADDER_FULL);
    }
    if (ladder->options.mode == FT_LADDER_FIXED_DESTROY_ONLY) {
        return set_step(ladder, FT_LADDER_DESTROY_ONLY);
    }
    enum ft_ladder_step wanted = step_for(ladder, input);
    if (wanted > ladder->step) {
        shed(ladder, now_ns);
        return set_step(ladder, wanted);
    }
    if (ladder->step == FT_LADDER_FULL) {
        return false;
    }
    if (input->pressure) {
        ladder->calm_since = FT_TIME_NEVER;
        return false;
    }
    return recover(ladder, now_ns, input->flows_per_s);
}

const char *ft_ladder_step_name(enum ft_ladder_step step)
{
    return (unsigned)step < FT_LADDER_STEP_N ? step_names[step] : "unknown";
}

/* The step that the load asks for by itself; pressure asks for one more than there is. */
static enum ft_ladder_step step_for(const struct ft_ladder *ladder,
                                    const struct ft_ladder_input *input)
{
    unsigned step = FT_LADDER_FULL;
    while (step < FT_LADDER_DESTROY_ONLY && input->flows_per_s > ladder->options.rate_max[step]) {
        step++;
    }
    if (input->pressure && ladder->step >= step && ladder->step < FT_LADDER_DESTROY_ONLY) {
        step = ladder->step + 1U;
    }
    return (enum ft_ladder_step)step;
}

static bool set_step(struct ft_ladder *ladder, enum ft_ladder_step step)
{
    bool changed = ladder->step != step;
    ladder->step = step;
    return changed;
}

/* A step that was taken back and is needed again within the hold time was taken back too early. */
static void shed(struct ft_ladder *ladder, int64_t now_ns)
{
    const struct ft_ladder_options *options = &ladder->options;
    ladder->calm_since = FT_TIME_NEVER;
    if (ladder->raised_ns != FT_TIME_NEVER && now_ns - ladder->raised_ns < ladder->hold_ns) {
        ladder->hold_ns =
            ladder->hold_ns < options->hold_max_ns / 2 ? ladder->hold_ns * 2 : options->hold_max_ns;
    } else {
        ladder->hold_ns = options->hold_ns;
    }
}

static bool recover(struct ft_ladder *ladder, int64_t now_ns, uint64_t flows_per_s)
{
    const struct ft_ladder_options *options = &ladder->options;
    uint64_t bound = options->rate_max[ladder->step - 1];
    if (flows_per_s > bound * options->recover_percent / 100) {
        ladder->calm_since = FT_TIME_NEVER;
        return false;
    }
    if (ladder->calm_since == FT_TIME_NEVER) {
        ladder->calm_since = now_ns;
    }
    if (now_ns - ladder->calm_since < ladder->hold_ns) {
        return false;
    }
    ladder->raised_ns = now_ns;
    ladder->calm_since = now_ns;
    return set_step(ladder, (enum ft_ladder_step)(ladder->step - 1U));
}
