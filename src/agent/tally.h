/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's account of events and losses, as it is kept over restarts with a spool.
 *
 *     observed = acknowledged + retained + lost + merged
 *
 * 'Observed' is every event that got a number, every one that was merged into another before it
 * could get one, and every one that is known to be lost before that.  What is acknowledged and what
 * is retained is counted where it happens, by the exporter and by the pipeline.
 *
 * Two kinds of numbers.  'Live' ones go up by themselves with each event, so that each is right
 * whenever the process dies: with a spool they lie in a mapped file.  All others belong together
 * and with the losses that are to be told (loss_book.h): they are one record, which the spool
 * writes before anything that follows from it, and which 'version' says has changed.
 *
 * Thread: any; one leaf lock, and none for the live numbers.
 */
#ifndef FT_AGENT_TALLY_H
#define FT_AGENT_TALLY_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/loss_book.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "store/log.h"

/* Each is written by one thread.  Layout and order are those of the file (spool_state.h). */
struct ft_tally_live {
    _Atomic uint64_t numbered; /* The last sequence number given. */
    _Atomic uint64_t filtered; /* Left out by configuration: no part of the account. */
    _Atomic uint64_t merged;   /* Went into another event of the same flow. */
    _Atomic uint64_t sealed;   /* In blocks that were given to the log. */
    _Atomic uint64_t sent;     /* With repeats. */
};

/* What must survive together. */
struct ft_tally_record {
    uint64_t numbered; /* The live numbers at the time. */
    uint64_t filtered;
    uint64_t merged;
    uint64_t sealed;
    uint64_t sent;
    uint64_t lost[FT_LOSS_CAUSE_N];
    uint64_t lost_unnumbered;  /* The part of 'lost' that never had a number. */
    uint64_t lost_by_exporter; /* The part that the exporter is done with. */
    uint64_t gone_to;          /* The highest number that is known to be lost. */
    /* All that is counted here is of the present instance, which begins behind these. */
    uint64_t base_seq;
    uint64_t merged_base;
    uint64_t n_drops; /* Of the log on disk. */
    /* The block that the spool has last taken from the log in memory, which drops others past it:
     * it is not lost though its numbers are below 'gone_to'.  0: none. */
    uint64_t held_first;
    uint64_t held_last;
    uint64_t version; /* Goes up with each change of the record: the later one is larger. */
    struct ft_loss_book book;
};

struct ft_tally;

/* 'live' NULL: in memory of its own.  'from' NULL: all is zero; else '*live' is set to it where it
 * is behind. */
FT_MUST_USE ft_err ft_tally_create(const struct ft_tally_record *from, struct ft_tally_live *live,
                                   struct ft_tally **ret_tally);
/* Accepts NULL. */
void ft_tally_destroy(struct ft_tally *tally);
FT_DEFINE_CLEANUP(struct ft_tally, ft_tally_destroy);

struct ft_tally_live *ft_tally_live(struct ft_tally *tally);

/* Something is lost that had no number or whose loss is known already: it is to be told. */
void ft_tally_lose(struct ft_tally *tally, const struct ft_loss *loss);
/* Blocks that are dropped together, in their order. */
#define FT_TALLY_RUNS_MAX 64
struct ft_tally_drop {
    bool on_disk;
    uint64_t n_events;
    uint64_t n_unread; /* Further events, of which nothing but their number is known. */
    uint64_t next_seq; /* Of the block behind them; 0: not known. */
    uint64_t first_seq;
    uint64_t last_seq;
    size_t n_runs; /* Of consecutive numbers. */
    struct ft_loss runs[FT_TALLY_RUNS_MAX];
};
void ft_tally_drop_init(struct ft_tally_drop *drop);
void ft_tally_drop_add(struct ft_tally_drop *drop, const struct ft_block_info *info);
/* They are lost. */
void ft_tally_drop(struct ft_tally *tally, const struct ft_tally_drop *drop);
/* The same in a record, which is to be written before the drop. */
void ft_tally_record_drop(struct ft_tally_record *record, const struct ft_tally_drop *drop);

/* The block that is on its way to the disk.  This alone changes no version: it only matters once
 * another is dropped. */
void ft_tally_hold(struct ft_tally *tally, uint64_t first_seq, uint64_t last_seq);

/* Events that the exporter is done with and the collector does not have. */
void ft_tally_reject(struct ft_tally *tally, const struct ft_loss *loss);
/* So many of them come back after all: what the exporter had done was not on disk. */
void ft_tally_forgive(struct ft_tally *tally, uint64_t count);
/* Events that had numbers, whether or not 'loss' can say which. */
void ft_tally_lose_numbered(struct ft_tally *tally, const struct ft_loss *loss);

/* The next loss to be told, by the LOSS event with number 'seq'; false when there is none now. */
bool ft_tally_tell(struct ft_tally *tally, uint64_t seq, struct ft_loss *ret_loss);
/* What was told behind 'seq' never left the process: it is to be told again. */
void ft_tally_untell(struct ft_tally *tally, uint64_t seq);
/* Of what was told there, first..last, the collector has nothing: it is to be told again. */
void ft_tally_not_stored(struct ft_tally *tally, uint64_t first_seq, uint64_t last_seq);
/* Everything up to 'seq' is with the collector. */
void ft_tally_acked(struct ft_tally *tally, uint64_t seq);
/* Nothing behind 'seq' is with it any more; what is lost by that follows through reject(). */
void ft_tally_gone_back(struct ft_tally *tally, uint64_t seq);

/*
 * A new instance begins behind 'base_seq': what came before is acknowledged, 'acked_events' of it,
 * or lost, and counts no more.  Losses of higher numbers stay, and so does what is to be told.
 */
void ft_tally_rebase(struct ft_tally *tally, uint64_t base_seq, uint64_t acked_events);
/* The same in a record, which is to be written before. */
void ft_tally_record_rebase(struct ft_tally_record *record, uint64_t base_seq,
                            uint64_t acked_events);

/* Of the present instance. */
struct ft_tally_sums {
    uint64_t numbered; /* How many numbers it has given. */
    uint64_t merged;
    uint64_t lost[FT_LOSS_CAUSE_N];
    uint64_t lost_unnumbered;
    uint64_t dropped; /* In dropped blocks, since this process began. */
};
void ft_tally_get(struct ft_tally *tally, struct ft_tally_sums *ret_sums);

/* By cause, for the metrics. */
const _Atomic uint64_t *ft_tally_lost(const struct ft_tally *tally, enum ft_loss_cause cause);

/* Goes up with each change of the record. */
uint64_t ft_tally_version(struct ft_tally *tally);
void ft_tally_save(struct ft_tally *tally, struct ft_tally_record *ret_record,
                   uint64_t *ret_version);

#endif
