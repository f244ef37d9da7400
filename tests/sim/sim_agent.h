/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent: a generator in place of the kernel and the tracker, then the agent's own code from the
 * pipeline to the exporter.  It can be killed at any time and started again.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_AGENT_H
#define FT_TESTS_SIM_AGENT_H 1

#include "agent/pipeline.h"
#include "export/exporter.h"
#include "lib/fault_disk.h"
#include "sim_base.h"
#include "sim_net.h"
#include "sim_oracle.h"
#include "sim_plan.h"
#include "sim_snapshot.h"
#include "sim_spool.h"

struct sim_agent {
    struct sim *sim;
    unsigned index;
    const struct sim_agent_plan *plan;
    struct ft_uuid agent_id;
    uint64_t n_left; /* Events that the generator still has. */
    int64_t next_event_ns;
    struct sim_spool spool;
    struct sim_snapshot snapshot;
    struct sim_node work; /* Generator and pipeline. */
    struct sim_node deliver;
    struct sim_node boot;
    /* Of the process. */
    bool up;
    bool opening; /* In sim_spool_open. */
    unsigned life;
    struct sim_instance *instance;
    struct ft_pipeline *pipeline;
    struct ft_log *memory;
    struct ft_log *log; /* What the exporter reads: the same, or the spool's. */
    struct ft_exporter *exporter;
    struct sim_stream stream;
    bool poison;         /* The next event breaks the rules. */
    uint64_t poison_seq; /* The last one that did. */
};

void sim_agents_begin(struct sim *sim);
void sim_agents_end(struct sim *sim);
/* 'n' events at once. */
void sim_agent_burst(struct sim_agent *agent, unsigned n);
/* The next event breaks the rules. */
void sim_agent_poison(struct sim_agent *agent);
/* The process dies now.  'silently': the host with it, so that no peer hears of it. */
void sim_agent_die(struct sim_agent *agent, bool silently, enum ft_fault_cut cut);
/* As when the service is stopped: what can be brought to the disk is there then. */
void sim_agent_quit(struct sim_agent *agent);
/* The disk may have stopped in the middle of a step: so has the process. */
void sim_agent_after_step(struct sim_agent *agent);
/* It ends with this step, because its disk has stopped: what it does now nobody hears. */
bool sim_agent_is_dead(const struct sim_agent *agent);
/* Its pipeline gave a block to its log. */
void sim_agent_appended(struct sim_agent *agent, const struct ft_block_info *info, ft_err err);
void sim_agent_check(struct sim_agent *agent);
/* All that was taken is sealed and acknowledged. */
bool sim_agent_is_drained(struct sim_agent *agent);

#endif
