/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipeline, a spool on a disk that fails, and in place of the exporter and its collector a reader
 * that takes what is durable, acknowledges some of it and remembers every number that it has seen:
 * the oracle that nothing is lost, invented or given twice.
 */
#ifndef FT_TESTS_UNIT_AGENT_SPOOL_WORLD_H
#define FT_TESTS_UNIT_AGENT_SPOOL_WORLD_H 1

#include "agent/pipeline.h"
#include "agent/spool.h"
#include "base/random.h"
#include "export/progress.h"
#include "lib/fault_disk.h"

#define WORLD_SEQ_MAX    60000
#define WORLD_BLOCKS_MAX 1024

/* A block that outlives the process. */
struct world_block {
    struct ft_block_info info;
    void *data;
    size_t size;
};

struct world {
    struct ft_disk *disk;
    struct ft_random_seeded random;
    uint64_t bytes_max;
    uint64_t memory_bytes;
    bool sync_each;
    struct ft_uuid boot_id;
    uint8_t agent_byte; /* Of the agent's id; 0: the usual one. */
    bool may_repeat;    /* Numbers may come again as another event's: the spool is damaged. */
    /* One life. */
    struct ft_spool *spool;
    struct ft_spool_report report;
    struct ft_pipeline *pipeline;
    struct ft_log *memory;
    struct ft_log_reader *reader;
    struct ft_progress progress;
    struct ft_uuid instance_id;
    /* What was made. */
    uint32_t n_made;
    /* What the collector has seen: event 'seen[seq]', 0 for none; its own LOSS events are 1. */
    uint32_t seen[WORLD_SEQ_MAX];
    uint32_t seen_event[WORLD_SEQ_MAX]; /* Times that the event of this number was stored. */
    uint64_t durable_seq;
    uint64_t n_stored;
    /* What outlives the process beside the disk, with 'keeps': the last commit. */
    bool keeps;
    bool has_kept;
    struct ft_pipeline_kept kept;
    uint32_t n_made_then;
    uint64_t n_lost_then;
    struct world_block blocks[WORLD_BLOCKS_MAX]; /* Not known to be on disk, in order. */
    size_t n_blocks;
    uint64_t n_lost_made;      /* Events that the tracker has reported as lost. */
    uint64_t n_told;           /* Sum of what stored LOSS events tell. */
    uint64_t n_told_estimated; /* The part that is an estimate. */
};

void world_init(struct world *world, uint64_t seed);
void world_deinit(struct world *world);

/* A life begins; the error of opening the spool. */
ft_err world_open(struct world *world);
/* Ends it; with 'clean' everything is moved first, as at a stop. */
void world_close(struct world *world, bool clean);

void world_make(struct world *world, unsigned n);
/* The tracker reports that 'n' events are lost. */
void world_lose(struct world *world, uint64_t n);
/* Time passes, and the spool works. */
void world_work(struct world *world, int64_t ns);
/* Reads up to 'n' blocks, stores them, and acknowledges all but the last 'unacked'. */
void world_deliver(struct world *world, unsigned n, unsigned unacked);
/* Until everything is stored and told. */
void world_drain(struct world *world);

/* The account at this moment must balance. */
void world_check_account(struct world *world);
/* Drained: what was observed is stored or told. */
void world_check_end(struct world *world);

#endif
