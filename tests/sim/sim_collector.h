/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector: what src/collector/collector.c assembles, without gRPC, HTTP and DuckDB.  It can
 * be killed at any time and started again from its disk.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_COLLECTOR_H
#define FT_TESTS_SIM_COLLECTOR_H 1

#include "collector/ingest.h"
#include "collector/sinker.h"
#include "lib/fault_disk.h"
#include "sim_backup.h"
#include "sim_base.h"
#include "sim_net.h"

struct sim_collector {
    struct sim *sim;
    struct ft_disk *disk;
    struct ft_disk *seen_disk; /* As the program has it. */
    struct sim_node commit;
    struct sim_node sink;
    struct sim_node boot;
    /* Of the process. */
    bool up;
    bool dying; /* What it says is not heard any more. */
    unsigned life;
    enum ft_fault_cut next_cut; /* How it ends when its disk stops. */
    bool next_silent;
    struct ft_uuid collector_id;
    struct ft_uuid log_id;
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_ledger *ledger;
    struct ft_ingest *ingest;
    struct ft_sink *table;
    struct ft_sinker *sinker;
    bool has_taken;   /* Messages came since the last commit, or that failed. */
    uint64_t flow[3]; /* What was counted of ingest's statistics. */
    bool unsynced;    /* A mutant owes the log a sync. */
    int64_t unsynced_to_ns;
    /* Positions of the log that were durable once: bits. */
    uint64_t kept[SIM_POSITIONS_MAX / 64];
    struct sim_backup backup;
    bool places_may_lag; /* A full disk or a silent fault came in between. */
    bool sink_waits;     /* The last step found nothing to do. */
    int64_t sink_wait_ns;
};

void sim_collector_begin(struct sim *sim);
void sim_collector_end(struct sim *sim);
/* The process is gone now, as next_cut and next_silent say. */
void sim_collector_die(struct sim_collector *collector);
bool sim_collector_is_dying(const struct sim_collector *collector);
/* Whether a power cut now would leave the block at 'position' of its log. */
bool sim_collector_has_durable(const struct sim_collector *collector, uint64_t position);
void sim_collector_check(struct sim_collector *collector);
/* A message was taken in: there is something to commit. */
void sim_collector_took(struct sim_collector *collector);
/* Nothing waits to be committed or stored. */
bool sim_collector_is_drained(struct sim_collector *collector);
/* An answer that is about to leave: what does it promise? */
void sim_collector_says(struct sim_collector *collector, struct sim_conn *conn, const void *data,
                        size_t size);

/* The commit thread appended a block, or syncs its log: called in place of the log's. */
void sim_collector_appended(struct sim_collector *collector, uint64_t position);
ft_err sim_collector_sync(struct sim_collector *collector, struct ft_log *log,
                          uint64_t *ret_position);

/* sinker.c waits: called in place of ft_log_reader_wait. */
bool sim_collector_sink_waits(struct sim_collector *collector, int64_t deadline_mono_ns);

#endif
