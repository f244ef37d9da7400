/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent's spool, on a disk that outlives the agent and fails: what agent.c and delivery.c do
 * for it, and what is true of it after each start.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_SPOOL_H
#define FT_TESTS_SIM_SPOOL_H 1

#include "agent/pipeline.h"
#include "agent/spool.h"
#include "export/exporter.h"
#include "lib/fault_disk.h"
#include "sim_base.h"

struct sim_agent;

/* Blocks of one segment. */
#define SIM_DROPS_MAX     1024
#define SIM_GONE_LATE_MAX 16

struct sim_spool {
    struct ft_disk *disk; /* NULL: the agent has a log in memory only. */
    struct ft_uuid boot_id;
    struct sim_node node;
    /* Of the process. */
    struct ft_spool *spool;
    uint64_t n_surplus; /* Events that were found and should not be. */
    bool names_torn;    /* Of the changes of its directory some are there and earlier ones not. */
    /* The log is about to give up these. */
    size_t n_drops;
    struct ft_block_info drops[SIM_DROPS_MAX];
    /* What was appended at each position. */
    struct ft_block_info *placed;
    size_t n_placed;
    size_t n_placed_allocated;
    /* Told as its disk stopped: whether it is on the disk the next start tells. */
    size_t n_gone_late;
    struct ft_loss gone_late[SIM_GONE_LATE_MAX];
    /* How the host ends when its disk stops. */
    enum ft_fault_cut next_cut;
};

/* The host is there again. */
void sim_spool_restart_disk(struct sim_agent *agent, enum ft_fault_cut cut);

void sim_spool_begin(struct sim_agent *agent);
void sim_spool_end(struct sim_agent *agent);

/* A process starts: finds the spool, and sets the agent's instance to what it says. */
ft_err sim_spool_open(struct sim_agent *agent);
/* For the pipeline and the exporter of that process. */
void sim_spool_fill_pipeline(struct sim_agent *agent, struct ft_pipeline_options *options);
void sim_spool_fill_exporter(struct sim_agent *agent, struct ft_exporter_options *options);
/* The pipeline has its log in memory. */
void sim_spool_set_source(struct sim_agent *agent, struct ft_log *memory);
void sim_spool_close(struct sim_agent *agent, bool clean);

/* Its disk has refused something. */
bool sim_spool_has_failed(const struct sim_agent *agent);

void sim_spool_gone_late(struct sim_agent *agent, const struct ft_loss *loss);
/* As in delivery.c: after a loss that the exporter has told. */
void sim_spool_keep_account(struct sim_agent *agent);

/* What a stop of the service does before: everything goes to the disk, if it can. */
bool sim_spool_flush(struct sim_agent *agent);

/* A block went to this position. */
void sim_spool_appended(struct sim_agent *agent, const struct ft_block_info *info,
                        uint64_t position);
/* In place of ft_spool_on_drop and ft_spool_on_dropped. */
void sim_spool_drops(struct ft_spool *spool, const struct ft_block_info *info);
void sim_spool_dropped(struct ft_spool *spool, uint64_t first, uint64_t last, uint64_t n_unread,
                       ft_err err);

#endif
