/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_plan.h"

#include "sim.h"

static uint64_t pick(struct ft_random_seeded *random, const uint64_t *values, size_t n)
{
    return values[sim_below(random, n)];
}
#define PICK(random, ...)                                                                          \
    pick(random, (const uint64_t[]){__VA_ARGS__},                                                  \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void plan_agent(struct sim *sim, struct sim_agent_plan *agent)
{
    struct ft_random_seeded *random = &sim->plan_random;
    *agent = (struct sim_agent_plan){
        .on_disk = sim_one_in(random, 2),
        .log_bytes_max = PICK(random, 16 << 10, 48 << 10, 256 << 10),
        .spool_bytes_max = PICK(random, 32 << 10, 64 << 10, 256 << 10),
        .hold_bytes = PICK(random, 0, 4 << 10, 16 << 10),
        .window_bytes = PICK(random, 600, 4 << 10, 32 << 10),
        .block_events_max = PICK(random, 1, 3, 8, 16, 64, 64),
        .flush_interval_ns = (int64_t)PICK(random, 20, 200, 1000) * FT_NS_PER_MS,
        .sync_interval_ns = (int64_t)PICK(random, 0, 50, 1000) * FT_NS_PER_MS,
        .gap_ns = (int64_t)PICK(random, 50, 200, 600) * FT_NS_PER_MS,
        .burst_one_in = (unsigned)PICK(random, 0, 20, 50),
        .burst_max = (unsigned)PICK(random, 10, 60, 200),
        .backoff_max_ns = (int64_t)PICK(random, 1, 8, 60) * FT_NS_PER_S,
    };
    agent->n_events = 30 + sim_below(random, 300);
}

static void leave_out(struct sim_plan *plan, enum sim_fault from, enum sim_fault to)
{
    for (unsigned i = from; i <= to; i++) {
        plan->fault[i] = false;
    }
}

/*
 * What excuses much is not in a run with what is to be held exactly.  An agent that is set back to
 * before it has heard that the collector was believes there what is not: the collector's account
 * says so, but nobody can tell any more what that is.  And a set-back brings back what silent
 * faults had taken.
 */
static void untangle(struct sim_plan *plan, struct ft_random_seeded *random)
{
    bool store = plan->fault[SIM_FAULT_STORE_SET_BACK];
    if (plan->fault[SIM_FAULT_SPOOL_SET_BACK] && store) {
        store = sim_one_in(random, 2);
        plan->fault[SIM_FAULT_STORE_SET_BACK] = store;
        plan->fault[SIM_FAULT_SPOOL_SET_BACK] = !store;
    }
    if (store) {
        leave_out(plan, SIM_FAULT_BIT_FLIP, SIM_FAULT_MISDIRECTED);
    }
    if (store || plan->fault[SIM_FAULT_SPOOL_SET_BACK]) {
        leave_out(plan, SIM_FAULT_SPOOL_BIT_FLIP, SIM_FAULT_SPOOL_MISDIRECTED);
    }
}

void sim_plan_make(struct sim *sim)
{
    struct ft_random_seeded *random = &sim->plan_random;
    struct sim_plan *plan = &sim->plan;
    *plan = (struct sim_plan){
        .n_agents = 1 + (unsigned)sim_below(random, SIM_AGENTS_MAX),
        .same_instance_id = sim_one_in(random, 4),
        .log_bytes_max = PICK(random, 64 << 10, 256 << 10, 1 << 20),
        .queue_bytes_max = PICK(random, 1 << 10, 4 << 10, 16 << 10, 256 << 10),
        .window_bytes = PICK(random, 1000, 16 << 10, 256 << 10),
        .agent_events_per_s = PICK(random, 0, 0, 20),
        .agent_bytes_per_s = PICK(random, 0, 0, 2 << 10),
        .batch_rows = PICK(random, 1, 20, 100, 1000),
        .batch_interval_ns = (int64_t)PICK(random, 10, 250, 2000) * FT_NS_PER_MS,
        .commit_delay_ns = (int64_t)PICK(random, 0, 2, 30, 300) * FT_NS_PER_MS,
        .net_delay_ns = (int64_t)PICK(random, 1, 10, 100) * FT_NS_PER_MS,
        .pipe_bytes_max = PICK(random, 500, 8 << 10, 64 << 10),
        .load_ns = (int64_t)PICK(random, 10, 30, 60) * FT_NS_PER_S,
        .fault_gap_ns = (int64_t)PICK(random, 60, 250, 1000) * FT_NS_PER_MS,
    };
    if (plan->window_bytes > plan->queue_bytes_max) {
        plan->window_bytes = plan->queue_bytes_max; /* As collector/options.c settles it. */
    }
    /* A third of the runs has few kinds, a third has many, the rest something between. */
    uint64_t one_in = PICK(random, 2, 6, 20);
    for (unsigned i = 0; i < SIM_FAULT_N; i++) {
        bool is_damage = i >= SIM_FAULT_SPOOL_BIT_FLIP && i <= SIM_FAULT_SPOOL_MISDIRECTED;
        bool drawn = sim_fault_kinds[i].weight > 0 && sim_one_in(random, one_in);
        plan->fault[i] = drawn && !(is_damage && sim->options.no_damage);
    }
    untangle(plan, random);
    for (unsigned i = 0; i < plan->n_agents; i++) {
        plan_agent(sim, &plan->agents[i]);
    }
}
