/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that is restored from an old snapshot: the agent's disk is what it was at some earlier
 * moment, as a power cut or a copy of the running machine has it.  The agent goes on from there,
 * gives numbers that it had given before, and often has many events before it can connect.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_SNAPSHOT_H
#define FT_TESTS_SIM_SNAPSHOT_H 1

#include "lib/fault_disk.h"
#include "sim_base.h"
#include "sim_oracle.h"

struct sim_agent;

struct sim_snapshot {
    struct ft_disk *disk; /* NULL: there is none. */
    struct sim_memory memory;
    size_t n_placed;
    bool due; /* The next start is from it. */
    /* The agent is set back and not heard of yet. */
    int64_t offline_to_ns;
    uint64_t n_first; /* Events that come before anything else. */
};

/* Takes one, or sets the agent back to the one that there is. */
void sim_snapshot_fault(struct sim_agent *agent);
/* The agent's process is gone, and what is to be read from its disk next is up to this. */
void sim_snapshot_restore(struct sim_agent *agent);
void sim_snapshot_drop(struct sim_agent *agent);

#endif
