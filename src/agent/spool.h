/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's log on disk, its identity and its account, in one directory that outlives the
 * process.
 *
 *     pipeline ─► log in memory ─► spool ─► log on disk ─► exporter
 *
 * The pipeline appends to the log in memory as it does without a spool.  The spool is that log's
 * reader: it moves each block to the log on disk, in order, and syncs.  While the disk is slow or
 * refuses, events wait in memory, up to that log's bound; so a disk never holds up the capture.
 * The exporter reads only what is durable: a number that has left this host is never given again,
 * whatever happens to the host.
 *
 * What must survive a crash together is written in an order: the account of a loss before the
 * blocks that tell of it, before the blocks that come after it, and before the file that is given
 * up for it.  At the next start account and log are held against each other; what was numbered and
 * is not there is reported as LOSS.
 *
 * Files: a log's (store/format.h), and "state" and "live" (agent/spool_state.h).
 *
 * It waits only in run(); clock, disk and randomness are handed in.
 * Thread: work() and the disk log's writer side belong to one thread; functions marked "any".
 */
#ifndef FT_AGENT_SPOOL_H
#define FT_AGENT_SPOOL_H 1

#include "agent/spool_state.h"
#include "agent/tally.h"
#include "base/clock.h"
#include "base/random.h"
#include "export/progress.h"
#include "flow/ids.h"
#include "store/log.h"

struct ft_spool;

/*
 * What has outlived the last process beside the spool (agent/rescue.h): its last commit.  Events up
 * to 'numbered' that are not in the log are in blocks that come again, from 'first_seq' on; what
 * was numbered behind it never left the process, and its numbers are given anew.
 */
struct ft_spool_kept {
    struct ft_uuid instance_id;
    struct ft_tally_record tally;
    uint64_t first_seq; /* 0: no block comes. */
};

struct ft_spool_options {
    uint64_t bytes_max;
    double free_ratio_min;
    uint64_t segment_bytes; /* 0: the log's own choice. */
    bool sync_each;         /* Sync what there is at once, else each 'sync_interval_ns'. */
    int64_t sync_interval_ns;
    uint64_t window_bytes; /* So much the exporter may have sent without an acknowledgement. */
    /* Acknowledged events stay for a collector that loses its store (ft_log_options.keep_bytes). */
    uint64_t hold_bytes;
    int64_t hold_ns;
    const struct ft_clock *clock; /* Borrowed. */
    struct ft_random *random;     /* Borrowed. */
    bool has_agent_id;            /* Else the one that the spool knows, or a new one. */
    struct ft_uuid agent_id;
    struct ft_uuid boot_id;           /* Of the running kernel; all zero: not known. */
    const struct ft_spool_kept *kept; /* Borrowed for the opening; NULL: nothing. */
};

/* What was found at the start; texts and warnings are the caller's. */
struct ft_spool_report {
    bool is_new;
    bool state_lost;    /* "state" cannot be read: a new instance, bound to no collector. */
    bool agent_changed; /* The spool was another agent's: a new instance. */
    bool unclean;       /* The last process was killed, or the host went down. */
    bool same_boot;     /* Then what the last process had counted is exact. */
    bool went_on;       /* What was kept is this spool's: nothing is missing behind it. */
    uint64_t n_kept;    /* Events that are not in the log and come again. */
    uint64_t n_crash;   /* Events that were numbered and are in no block. */
    uint64_t n_missing; /* Events that should be in the log and are not. */
    uint64_t n_surplus; /* Events that are in the log and should not be. */
    uint64_t damaged_parts;
    struct ft_log_damage first_damage;
    uint64_t retained_events;
    uint64_t retained_bytes;
    int64_t took_ns;
};

/* The exporter's window where there is a spool: what is under way is not dropped, so that it must
 * leave room for what is. */
static inline uint64_t ft_spool_window(uint64_t window_bytes, uint64_t bytes_max)
{
    return window_bytes < bytes_max / 4 ? window_bytes : bytes_max / 4;
}

/*
 * Opens or makes a spool in 'disk' (borrowed).  Fails with the disk's error, FT_E_UNSUPPORTED when
 * another version has written it.
 */
FT_MUST_USE ft_err ft_spool_open(const struct ft_spool_options *options, struct ft_disk *disk,
                                 struct ft_spool **ret_spool, struct ft_spool_report *ret_report);
/*
 * Accepts NULL.  Stopped; what is in the log stays.  With 'clean' nothing was lost by stopping, and
 * the next start needs not look.
 */
void ft_spool_close(struct ft_spool *spool, bool clean);

/* Identity as it is now.  Thread: any. */
struct ft_spool_identity {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t base_seq;  /* Numbers up to here belong to an earlier instance. */
    uint64_t known_seq; /* The newest number in the log at the start. */
    /* Numbers up to here were in the log or known to be lost then: what was kept of them beside the
     * spool must not come again. */
    uint64_t settled_seq;
    uint64_t held_seq;     /* But for the block that begins with this; 0: none. */
    struct ft_lives lives; /* This process's is the last one. */
    struct ft_spool_binding binding;
};
void ft_spool_get_identity(struct ft_spool *spool, struct ft_spool_identity *ret_identity);

/* Durably, or fails and changes nothing that is told.  Thread: any. */
FT_MUST_USE ft_err ft_spool_bind(struct ft_spool *spool, const struct ft_spool_binding *binding);
/* The account begins anew with it (ft_tally_rebase). */
FT_MUST_USE ft_err ft_spool_new_instance(struct ft_spool *spool, uint64_t base_seq,
                                         uint64_t acked_events, struct ft_uuid *ret_instance_id);

/*
 * What the tally has counted is durable, or this fails.  After a loss that the exporter tells, and
 * before its place moves past it: a later start finds out what became of the last loss only.
 * Thread: any.
 */
FT_MUST_USE ft_err ft_spool_keep_account(struct ft_spool *spool);

/* The log that the exporter reads; durable blocks only. */
struct ft_log *ft_spool_log(struct ft_spool *spool);
struct ft_tally *ft_spool_tally(struct ft_spool *spool);
/* Events that were retained or done with when the spool was opened (ft_pipeline_options). */
uint64_t ft_spool_kept_events(const struct ft_spool *spool);
/* How far the exporter had come then; it goes on from there, if there is one. */
const struct ft_progress *ft_spool_progress(const struct ft_spool *spool);
/* Events that had been dropped at the bound by then. */
uint64_t ft_spool_lost_before(const struct ft_spool *spool);

/* Where blocks come from: the log in memory, borrowed; before the first work(). */
FT_MUST_USE ft_err ft_spool_set_source(struct ft_spool *spool, struct ft_log *memory);

/* Moves what is there and syncs what is due; never waits.  Thread: the spool's. */
void ft_spool_work(struct ft_spool *spool);
/* When work() has something to do without a new block; FT_TIME_NEVER for never. */
int64_t ft_spool_deadline(const struct ft_spool *spool);
/* Everything is moved and durable. */
bool ft_spool_is_drained(struct ft_spool *spool);

/* A thread that works until it is stopped; stop() first moves and syncs what is there, for
 * 'timeout_ns' at most. */
FT_MUST_USE ft_err ft_spool_start(struct ft_spool *spool);
void ft_spool_stop(struct ft_spool *spool, int64_t timeout_ns);

struct ft_spool_stats {
    /* The last number in the log on disk: it survives the end of the process.  And the last one
     * that is durable. */
    _Atomic uint64_t stored_seq;
    _Atomic uint64_t durable_seq;
    _Atomic uint64_t moved_blocks;
    _Atomic uint64_t state_writes;
    _Atomic uint64_t failures;        /* Of append, sync or state; tried again. */
    _Atomic int64_t failing_since_ns; /* 0: all is well. */
    _Atomic int last_error;           /* ft_err of the last failure. */
    _Atomic int64_t sync_ns_max;      /* The longest append or sync, ever. */
    _Atomic int64_t sync_ns_total;
    _Atomic uint64_t new_instances;
};
/* Thread: any. */
const struct ft_spool_stats *ft_spool_stats(const struct ft_spool *spool);

#endif
