/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The faults: one table, the counters, and the one that brings them about.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_FAULT_H
#define FT_TESTS_SIM_FAULT_H 1

#include <stdbool.h>
#include <stdint.h>

/*
 * X(id, name, weight, per_20000): how often it is drawn among the kinds of a run (0: it comes about
 * by others, or from the plan), and how often it must have had an effect in 20,000 seeds.  Counted
 * is the effect, not the attempt.
 */
#define SIM_FAULTS(X) X(OVERRUN, "log_overrun", 0, 0)

enum sim_fault {
#define SIM_FAULT_ENUM(id, name, weight, least) SIM_FAULT_##id,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_N
};

struct sim_fault_kind {
    const char *name;
    unsigned weight;
    uint64_t least;
};
extern const struct sim_fault_kind sim_fault_kinds[SIM_FAULT_N];

struct sim_faults {
    struct sim_node *node_;
    int unused;
};

struct sim;
void sim_faults_begin(struct sim *sim);
/* Everything works from now on. */
void sim_faults_end(struct sim *sim);
void sim_count(struct sim *sim, enum sim_fault fault);

#endif
