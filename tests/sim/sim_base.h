/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every part of the simulation uses: the things that happen at a time, draws, the trace, and
 * how a broken promise is told.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_BASE_H
#define FT_TESTS_SIM_BASE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"

#define SIM_AGENTS_MAX 4

struct sim;

/* Something that happens at a time; run() sets the next one by sim_wake(). */
struct sim_node {
    const char *name;
    int64_t due_ns; /* FT_TIME_NEVER: when somebody wakes it. */
    void (*run)(void *self);
    void *self;
};

void sim_add_node(struct sim *sim, struct sim_node *node, const char *name, void (*run)(void *self),
                  void *self);
/* Not later than 'at_ns'. */
void sim_wake(struct sim_node *node, int64_t at_ns);

uint64_t sim_below(struct ft_random_seeded *random, uint64_t bound);
bool sim_one_in(struct ft_random_seeded *random, uint64_t n);
/* Between 'low' and 'high', both included. */
int64_t sim_between(struct ft_random_seeded *random, int64_t low, int64_t high);

/* A promise does not hold: the run ends after this step.  The first one is told. */
void sim_broken(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool sim_is_broken(const struct sim *sim);

void sim_print_trace(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sim_is_traced(const struct sim *sim);
#define SIM_TRACE(sim, ...)                                                                        \
    do {                                                                                           \
        if (sim_is_traced(sim)) {                                                                  \
            sim_print_trace(sim, __VA_ARGS__);                                                     \
        }                                                                                          \
    } while (0)

#endif
