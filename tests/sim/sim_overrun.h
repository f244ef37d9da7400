/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel drops before anybody has seen it: it never has a number, only a LOSS tells of it.
 * Each call is an observation, as in sim_oracle.h.
 *
 * What is held: the LOSS events that an agent makes of it are of a time in which it was; a process
 * that comes later knows of all that the state on the disk knew; and in the end the LOSS events in
 * the table add up to exactly what the agent, and the collector for it, count as lost.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_OVERRUN_H
#define FT_TESTS_SIM_OVERRUN_H 1

#include "flow/event.h"
#include "sim_base.h"

struct sim_agent;
struct sim_instance;

/* Of an instance. */
struct sim_overrun {
    uint64_t count;   /* Its agent knows of so many. */
    uint64_t durable; /* So many at least a later process knows of. */
    uint64_t stored;  /* What LOSS events in the table say. */
    int64_t begin_ns; /* When all that was; 0: nothing ever was. */
    int64_t end_ns;
};

/* The kernel has dropped 'n' events. */
void sim_overrun_happen(struct sim_agent *agent, uint64_t n);
/* A LOSS event was made. */
void sim_overrun_told(struct sim *sim, const struct sim_instance *instance,
                      const struct ft_loss *loss);
/* The agent's state is on its disk, with what the agent counts now. */
void sim_overrun_kept(struct sim_agent *agent);
/* A process has found its spool, which knows of 'count'. */
void sim_overrun_revived(struct sim *sim, struct sim_instance *instance, uint64_t count);
/* The agent's account and its instance. */
void sim_overrun_check(struct sim *sim, const struct sim_agent *agent);
/* At the end: what the collector counts. */
void sim_overrun_end(struct sim *sim, const struct sim_instance *instance);

#endif
