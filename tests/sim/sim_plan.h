/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a seed decides before the run begins: sizes, rates, and which faults may happen.  Each run
 * has a few kinds of fault rather than all, so that rare combinations get a chance.
 *
 * Thread: plain data.
 */
#ifndef FT_TESTS_SIM_PLAN_H
#define FT_TESTS_SIM_PLAN_H 1

#include "sim_base.h"
#include "sim_fault.h"

struct sim_agent_plan {
    bool on_disk;
    uint64_t log_bytes_max;   /* In memory. */
    uint64_t spool_bytes_max; /* On disk. */
    uint64_t hold_bytes;      /* Of what is acknowledged. */
    uint64_t window_bytes;
    uint64_t block_events_max;
    int64_t flush_interval_ns;
    int64_t sync_interval_ns; /* Of the spool; 0: whatever is there is synced at once. */
    int64_t gap_ns;           /* Between events, in the mean. */
    unsigned burst_one_in;    /* Events that bring a burst with them; 0: none. */
    unsigned burst_max;
    uint64_t n_events;
    int64_t backoff_max_ns;
};

struct sim_plan {
    unsigned n_agents;
    bool same_instance_id; /* Of different agents: the collector must not mix them up. */
    struct sim_agent_plan agents[SIM_AGENTS_MAX];
    uint64_t log_bytes_max; /* The collector's. */
    uint64_t queue_bytes_max;
    uint64_t agent_events_per_s;
    uint64_t agent_bytes_per_s;
    uint64_t window_bytes;
    uint64_t batch_rows;
    int64_t batch_interval_ns;
    int64_t commit_delay_ns;
    int64_t net_delay_ns;
    uint64_t pipe_bytes_max;
    int64_t load_ns; /* How long events and faults come. */
    int64_t fault_gap_ns;
    bool fault[SIM_FAULT_N];
};

void sim_plan_make(struct sim *sim);

#endif
