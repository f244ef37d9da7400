/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shedding ladder: what is asked of the kernel, by measured rate and pressure.
 *
 *     FULL           START and END as they happen, counters of long flows by dump
 *     NO_UPDATE      the same without the dumps for counters
 *     DESTROY_ONLY   END only: START is rebuilt from it, marked inferred
 *
 * A NEW event costs the host some 1.9 us of the connection's own packet path whatever the agent
 * does with it: with NEW a host that makes nothing but connections keeps 0.64 of its rate, without
 * 0.92 (measured, Linux 6.18).  So START events are heard while they are cheap: at 25,000 flows a
 * second NEW takes 5 % of one core.
 *
 * Down at once, to the step that the rate asks for; up one step at a time, after the rate was
 * below half of the step's bound for a while; that while doubles when a step up is soon taken
 * back, so that a load near a bound does not make the ladder swing.
 *
 * A pure function of what it is told.  Thread: owner only (the source thread).
 */
#ifndef FT_SOURCE_LADDER_H
#define FT_SOURCE_LADDER_H 1

#include <stdbool.h>
#include <stdint.h>

/* Numbers are those of the recording's STEP chunks. */
enum ft_ladder_step {
    FT_LADDER_FULL = 0,
    FT_LADDER_NO_UPDATE = 1,
    FT_LADDER_DESTROY_ONLY = 2,
    FT_LADDER_STEP_N
};

enum ft_ladder_mode { FT_LADDER_ADAPTIVE, FT_LADDER_FIXED_FULL, FT_LADDER_FIXED_DESTROY_ONLY };

struct ft_ladder_options {
    enum ft_ladder_mode mode;
    /* Flows a second above which the step is left: [FULL] for NO_UPDATE, [NO_UPDATE] for
     * DESTROY_ONLY. */
    uint64_t rate_max[FT_LADDER_DESTROY_ONLY];
    unsigned recover_percent; /* Of rate_max: below it the step is taken back. */
    int64_t hold_ns;          /* For so long. */
    int64_t hold_max_ns;      /* And never longer than this. */
};

/* Adaptive; 10,000 and 25,000 flows a second; 50 %; 10 s; 5 min. */
extern const struct ft_ladder_options ft_ladder_options_default;

struct ft_ladder {
    struct ft_ladder_options options;
    enum ft_ladder_step step;
    int64_t hold_ns;    /* Now. */
    int64_t calm_since; /* FT_TIME_NEVER while it is not calm. */
    int64_t raised_ns;  /* When a step was last taken back; FT_TIME_NEVER: never. */
};

/* What was measured since the last call. */
struct ft_ladder_input {
    uint64_t flows_per_s;
    bool pressure; /* The pipeline does not keep up (source/pressure.h). */
};

void ft_ladder_init(struct ft_ladder *ladder, const struct ft_ladder_options *options);

/* Another mode or other bounds, from now on; the step follows with the next update. */
void ft_ladder_set_options(struct ft_ladder *ladder, const struct ft_ladder_options *options);

/* Gives the step from here on; true when it changed. */
bool ft_ladder_update(struct ft_ladder *ladder, int64_t now_ns,
                      const struct ft_ladder_input *input);

/* "full", "no_update", "destroy_only". */
const char *ft_ladder_step_name(enum ft_ladder_step step);

#endif
