/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool in parts: spool_open.c finds it and holds its account against its log, spool_damage.c
 * helps where something is lost, spool.c works.
 *
 * Not for other files.
 */
#ifndef FT_AGENT_SPOOL_IMPL_H
#define FT_AGENT_SPOOL_IMPL_H 1

#include "agent/spool.h"
#include "base/thread.h"

#define FT_SPOOL_STATE_NAME "state"
#define FT_SPOOL_LIVE_NAME  "live"

struct ft_spool {
    /* Set at the start. */
    struct ft_spool_options options;
    struct ft_disk *disk;
    struct ft_log *log;
    struct ft_tally *tally;
    struct ft_spool_page *page; /* NULL where files cannot be mapped. */
    uint64_t kept_events;
    uint64_t lost_before;
    struct ft_progress progress;
    bool opened;
    bool clean;
    struct ft_log *memory;
    struct ft_thread thread;
    /* The spool's thread. */
    struct ft_log_reader *source;
    struct ft_block block; /* Taken and not moved yet. */
    bool has_block;
    uint64_t last_position; /* In the log on disk. */
    int64_t unsynced_ns;    /* When the oldest block that is not durable was moved; 0: none. */
    int64_t retry_ns;
    struct ft_tally_drop drop; /* Of the segment that the log is about to drop. */
    /* Any thread. */
    _Atomic bool stopping;
    _Atomic int64_t stop_deadline_ns;
    _Atomic uint64_t written_version; /* Of the tally, in the state on disk. */
    _Atomic int64_t state_ns;         /* When the state is to be written; 0: it is as it should. */
    struct ft_spool_stats stats;
    /* The state is written under it: whoever changes it waits for the disk (ARCHITECTURE.md). */
    struct ft_mutex lock;
    struct ft_spool_identity identity FT_GUARDED;
    size_t n_dropped FT_GUARDED;
    struct ft_log_range dropped[FT_SPOOL_DROPPED_MAX] FT_GUARDED;
    struct ft_tally_drop last_drop FT_GUARDED;
    struct ft_slot_file slots FT_GUARDED;
    struct ft_spool_state *scratch FT_GUARDED;
    uint8_t *encoded FT_GUARDED;
};

void ft_spool_on_drop(void *ctx, const struct ft_block_info *info, size_t size);
ft_err ft_spool_on_dropped(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread);
FT_MUST_USE ft_err ft_spool_write_state(struct ft_spool *spool);
FT_MUST_USE ft_err ft_spool_write_state_locked(struct ft_spool *spool) FT_REQUIRES(spool->lock);

/* spool_damage.c: blocks from number 'kept_seq' on come again (0: none). */
/* LOSS events behind 'acked_seq' that are not there are to be told again. */
FT_MUST_USE ft_err ft_spool_tell_again(struct ft_spool *spool, uint64_t acked_seq,
                                       uint64_t kept_seq);
/*
 * The exporter's place cannot be read: sets it to where it was at most, and '*ret_done_max' to how
 * many events were done with at most.
 */
FT_MUST_USE ft_err ft_spool_guess_place(struct ft_spool *spool, const struct ft_spool_state *state,
                                        uint64_t kept_seq, struct ft_progress *progress,
                                        uint64_t *ret_done_max);

#endif
