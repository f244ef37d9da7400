/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_snapshot.h"

#include <inttypes.h>

#include "sim.h"

#define OFFLINE_NS_MAX (30 * FT_NS_PER_S)
/* More than most spools retain: numbers are given again beyond all that the collector has. */
#define FIRST_MAX 400

static void take(struct sim_agent *agent)
{
    struct sim_snapshot *snapshot = &agent->snapshot;
    sim_snapshot_drop(agent);
    SIM_TRACE(agent->sim, "agent %u: its disk is copied", agent->index);
    snapshot->disk = ft_fault_disk_clone(agent->spool.disk);
    snapshot->n_placed = agent->spool.n_placed;
    sim_oracle_remember(agent->instance, &snapshot->memory);
}

void sim_snapshot_fault(struct sim_agent *agent)
{
    struct ft_random_seeded *random = &agent->sim->fault_random;
    if (agent->snapshot.disk == NULL || sim_one_in(random, 4)) {
        take(agent);
        return;
    }
    static const enum ft_fault_cut cuts[] = {FT_FAULT_KILL, FT_FAULT_LOSE, FT_FAULT_TEAR};
    enum ft_fault_cut cut = cuts[sim_below(random, sizeof cuts / sizeof cuts[0])];
    agent->snapshot.due = true;
    sim_agent_die(agent, cut != FT_FAULT_KILL, cut);
}

void sim_snapshot_restore(struct sim_agent *agent)
{
    struct sim *sim = agent->sim;
    struct ft_random_seeded *random = &sim->fault_random;
    struct sim_snapshot *snapshot = &agent->snapshot;
    if (!snapshot->due) {
        return;
    }
    snapshot->due = false;
    SIM_TRACE(sim, "agent %u is set back to when it had given %" PRIu64, agent->index,
              snapshot->memory.n);
    sim_count(sim, SIM_FAULT_SPOOL_SET_BACK);
    ft_fault_disk_copy(agent->spool.disk, snapshot->disk);
    agent->instance->alive = false;
    agent->instance = snapshot->memory.instance;
    sim_oracle_set_back(&snapshot->memory);
    agent->spool.n_placed = snapshot->n_placed;
    agent->spool.n_gone_late = 0;
    snapshot->offline_to_ns =
        sim_one_in(random, 3) ? 0 : sim->now_ns + sim_between(random, 0, OFFLINE_NS_MAX);
    snapshot->n_first = sim_one_in(random, 3) ? 0 : sim_below(random, FIRST_MAX);
}

void sim_snapshot_drop(struct sim_agent *agent)
{
    struct sim_snapshot *snapshot = &agent->snapshot;
    ft_disk_destroy(snapshot->disk);
    snapshot->disk = NULL;
    sim_oracle_forget_memory(&snapshot->memory);
}
