/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents and a collector in one thread, on virtual time, disks and network, driven from one seed.
 *
 *     generator ─► pipeline ─► log ─► exporter ═══ sim_net ═══► ingest ─► commit ─► log ─► sinker
 *                        (sim_agent)                              (sim_collector)            │
 *                                                                          sim_sink, a table ◄
 *
 * Everything between the generator and the table is the code of the programs; clock, randomness,
 * disk (tests/lib/fault_disk.h), stream and peers are the simulation's.  Faults come from
 * sim_fault.c.  The oracle (sim_oracle.h) knows each event that was ever numbered and holds both
 * ends to their promises at every step.
 *
 * The same seed gives the same run, call by call: there is no other input, no thread, no real time.
 *
 * Thread: one world at a time in a process (sim_world).
 */
#ifndef FT_TESTS_SIM_SIM_H
#define FT_TESTS_SIM_SIM_H 1

#include <stdio.h>

#include "sim_agent.h"
#include "sim_base.h"
#include "sim_collector.h"
#include "sim_fault.h"
#include "sim_mutant.h"
#include "sim_net.h"
#include "sim_oracle.h"
#include "sim_overrun.h"
#include "sim_plan.h"

/* A run that takes more steps goes round in circles. */
#define SIM_STEPS_MAX 1000000
#define SIM_NODES_MAX 32
#define SIM_TEXT_SIZE 512

struct sim_options {
    uint64_t seed;
    FILE *trace; /* NULL: none. */
    enum sim_mutant mutant;
    bool no_damage; /* No silent faults on the agents' disks: their counts are exact then. */
};

struct sim_result {
    bool failed;
    char text[SIM_TEXT_SIZE]; /* What was broken first. */
    uint64_t steps;
    uint64_t events;
    uint64_t stored;
    int64_t virtual_ns;
    uint64_t faults[SIM_FAULT_N];
};

struct sim {
    struct ft_clock clock; /* First: the clock's functions cast back. */
    int64_t now_ns;
    int64_t real_offset_ns;
    struct sim_options options;
    struct sim_result *result;
    struct sim_plan plan;
    /* One for each part, so that a change in one does not shift the others. */
    struct ft_random_seeded plan_random;
    struct ft_random_seeded event_random;
    struct ft_random_seeded net_random;
    struct ft_random_seeded fault_random;
    struct ft_random_seeded time_random;
    struct ft_random_seeded program_random; /* What the programs draw from the kernel. */
    struct sim_node *nodes[SIM_NODES_MAX];
    size_t n_nodes;
    bool calm; /* The faults are over. */
    struct sim_faults faults;
    struct sim_oracle oracle;
    struct sim_net net;
    struct sim_collector collector;
    struct sim_agent agents[SIM_AGENTS_MAX];
};

/* The log's own sync (sim_wrap.c). */
ft_err sim_wrap_real_sync(struct ft_log *log, uint64_t *ret_position);

/* The world that runs now; NULL between runs. */
extern struct sim *sim_world;

/* True when nothing was broken. */
bool sim_run(const struct sim_options *options, struct sim_result *ret_result);

#endif
