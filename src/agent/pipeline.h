/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From events to the log: filters what the tracker emits, numbers it, packs it into blocks and
 * appends them to the log; turns losses into LOSS events.
 *
 *     tracker ─► filter ─► (merge) ─► number ─► block ─► log
 *
 * Events of one flow are merged while the log is more than half full (merger.h).
 *
 * Losses and the numbers that outlive the process are in the tally (agent/tally.h).
 *
 * Thread: the pipeline thread, except the functions marked "any".
 */
#ifndef FT_AGENT_PIPELINE_H
#define FT_AGENT_PIPELINE_H 1

#include <stdatomic.h>
#include <stdint.h>

#include "agent/tally.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "filter/filter.h"
#include "flow/ids.h"
#include "store/log.h"

/* Addresses that the name of a collector may have. */
#define FT_PIPELINE_PEERS_MAX 16

struct ft_pipeline_options {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t life; /* Of the log (export/lives.h); 0: none. */
    uint64_t block_events_max;
    uint64_t block_bytes_max;
    int64_t flush_interval_ns;
    const struct ft_clock *clock; /* Borrowed. */
    struct ft_tally *tally;       /* Borrowed; NULL: one of its own, from zero. */
    uint64_t kept_events;         /* Retained or done with before this process began. */
    /* How full the log is, in thousandths, for merging under pressure.  May be NULL. */
    unsigned (*fill)(void *ctx);
    void *fill_ctx;
    /* Each event that is kept, after it was numbered: for live streams.  May be NULL. */
    void (*on_event)(void *ctx, const struct ft_event *event);
    void *on_event_ctx;
};

/* Since the process began, but for the first. */
struct ft_pipeline_stats {
    _Atomic uint64_t numbered_events; /* The last sequence number given. */
    _Atomic uint64_t events[FT_EVENT_TYPE_N];
    _Atomic uint64_t inferred_events;
    _Atomic uint64_t filtered[FT_VERDICT_N]; /* [KEPT] stays 0. */
    _Atomic uint64_t open_events;            /* In the block that is being filled. */
    _Atomic uint64_t sealed_events;          /* In blocks that were given to the log. */
    _Atomic uint64_t sealed_blocks;
    _Atomic uint64_t sealed_bytes;
    _Atomic uint64_t merging; /* 1 while events of one flow are merged. */
};

struct ft_pipeline;

FT_MUST_USE ft_err ft_pipeline_create(const struct ft_pipeline_options *options,
                                      struct ft_pipeline **ret_pipeline);
void ft_pipeline_destroy(struct ft_pipeline *pipeline);
FT_DEFINE_CLEANUP(struct ft_pipeline, ft_pipeline_destroy);

/* The log is made after the pipeline, whose ft_pipeline_on_drop it calls; borrowed. */
void ft_pipeline_set_log(struct ft_pipeline *pipeline, struct ft_log *log);
/* ft_log_drop_fn; 'ctx' is the pipeline. */
void ft_pipeline_on_drop(void *ctx, const struct ft_block_info *info, size_t size);

/* Replaces the filter; the old one is destroyed.  Thread: any. */
void ft_pipeline_set_filter(struct ft_pipeline *pipeline, struct ft_filter *filter);
/* Where the exporter connects to.  Thread: any. */
void ft_pipeline_set_peers(struct ft_pipeline *pipeline, const struct ft_filter_peer *peers,
                           size_t n_peers);

/*
 * For a working memory that outlives the process (agent/rescue.h).  With 'on_seal' blocks are
 * sealed only where the tracker's state is whole: in ft_pipeline_settle(), ft_pipeline_commit(),
 * tick() and flush(); and each goes through it before it goes into the log, with what
 * ft_pipeline_get_kept() then gives.  Without a block ('info' NULL) it is only told that everything
 * so far may be committed.  Before the first event.
 */
typedef void ft_pipeline_seal_fn(void *ctx, const struct ft_block_info *info, const void *data,
                                 size_t size);
void ft_pipeline_set_on_seal(struct ft_pipeline *pipeline, ft_pipeline_seal_fn *on_seal, void *ctx);

/* The tracker's state is whole: the open block is sealed if it is full. */
void ft_pipeline_settle(struct ft_pipeline *pipeline);
/* The same, and it is sealed whatever is in it. */
void ft_pipeline_commit(struct ft_pipeline *pipeline);

/* What a later process needs to go on behind the last block.  No pointers. */
struct ft_pipeline_kept {
    struct ft_uuid instance_id;
    struct ft_tally_record tally;
};
void ft_pipeline_get_kept(struct ft_pipeline *pipeline, struct ft_pipeline_kept *ret_kept);

/* A block that an earlier process had sealed and not brought to the disk.  Before the first event.
 */
void ft_pipeline_restore(struct ft_pipeline *pipeline, const struct ft_block_info *info,
                         const void *data, size_t size);

/* Takes an event from the tracker; its number is set here. */
void ft_pipeline_take(struct ft_pipeline *pipeline, struct ft_event *event);

/* Seals the open block when it is old enough; ft_pipeline_deadline says when that is. */
void ft_pipeline_tick(struct ft_pipeline *pipeline);
int64_t ft_pipeline_deadline(const struct ft_pipeline *pipeline);
/* Seals the open block now. */
void ft_pipeline_flush(struct ft_pipeline *pipeline);

/* Events were rejected by the collector, or could not be sent: they are lost.  Thread: any. */
void ft_pipeline_lost(struct ft_pipeline *pipeline, enum ft_loss_cause cause, uint64_t first_seq,
                      uint64_t last_seq);
/* Everything up to 'seq' is with the collector.  Thread: any. */
void ft_pipeline_acked(struct ft_pipeline *pipeline, uint64_t seq);

/* Seals the open block under another instance from the next one on.  Thread: any. */
void ft_pipeline_set_instance(struct ft_pipeline *pipeline, const struct ft_uuid *instance_id);

/* With it goes the account of the instance before: so many events that were done with then. */
void ft_pipeline_forget_done(struct ft_pipeline *pipeline, uint64_t done_events);

/* The agent's account so far; all numbers belong to one moment. */
struct ft_pipeline_account {
    uint64_t observed; /* Numbered, merged, or lost before that. */
    uint64_t merged;
    uint64_t kept; /* In the open block, or sealed and not dropped: acknowledged or retained. */
    uint64_t lost;
    uint64_t lost_by_cause[FT_LOSS_CAUSE_N];
};

/* Thread: any. */
void ft_pipeline_get_account(struct ft_pipeline *pipeline, struct ft_pipeline_account *ret_account);

struct ft_tally *ft_pipeline_tally(struct ft_pipeline *pipeline);
/* Thread: any. */
const struct ft_pipeline_stats *ft_pipeline_stats(const struct ft_pipeline *pipeline);

#endif
