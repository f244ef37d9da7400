/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may send how much: windows from a budget of memory, so that ten thousand agents that come
 * back at one moment, each with what it kept meanwhile, do not have to fit in at once.
 *
 *   live      An agent that has caught up sends a block now and then.  It is always let in, with a
 *             small window that is not taken from the budget: the queue's own bounds hold for it.
 *   draining  One with a backlog gets a window from the budget until it has caught up.  When the
 *             budget is used up it is told to go away and when to come back.
 *
 * The times to come back are handed out one by one, as far apart as places become free, so that
 * those who were sent away come back about when there is room for them, and not together.
 *
 * Thread: any; one leaf lock.  Time and randomness are arguments.
 */
#ifndef FT_COLLECTOR_ADMISSION_H
#define FT_COLLECTOR_ADMISSION_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "base/thread.h"

/* The window of an agent that has caught up, and the least that one with a backlog gets: two blocks
 * as agents make them. */
#define FT_ADMISSION_WINDOW_MIN ((uint64_t)128 << 10)
/* A backlog in bytes is estimated from its events; real ones have 25 to 50. */
#define FT_ADMISSION_EVENT_BYTES 64

struct ft_admission {
    /* Set at creation. */
    uint64_t budget_bytes;
    uint64_t window_bytes_max;
    struct ft_mutex lock;
    uint64_t granted_bytes FT_GUARDED;
    uint64_t n_draining FT_GUARDED;
    int64_t freed_ns FT_GUARDED;       /* When a place became free last. */
    int64_t interval_ns FT_GUARDED;    /* About so often one does. */
    int64_t next_return_ns FT_GUARDED; /* The latest time that was handed out. */
};

struct ft_admission_verdict {
    bool admitted;
    uint64_t window_bytes;   /* When admitted. */
    uint64_t granted_bytes;  /* To be given back; 0 for a live one. */
    uint32_t retry_after_ms; /* When not. */
};

void ft_admission_init(struct ft_admission *admission, uint64_t budget_bytes,
                       uint64_t window_bytes_max);
void ft_admission_deinit(struct ft_admission *admission);

/* 'backlog_events': what the agent has and we have not. */
struct ft_admission_verdict ft_admission_ask(struct ft_admission *admission, int64_t now_mono_ns,
                                             uint64_t backlog_events, struct ft_random *random);

/* For an agent that is not even asked: when it is to come back. */
uint32_t ft_admission_turn_away(struct ft_admission *admission, int64_t now_mono_ns,
                                struct ft_random *random);

/* The agent has caught up, or has gone. */
void ft_admission_give_back(struct ft_admission *admission, int64_t now_mono_ns,
                            uint64_t granted_bytes);

struct ft_admission_stats {
    uint64_t granted_bytes;
    uint64_t n_draining;
};
void ft_admission_stats(struct ft_admission *admission, struct ft_admission_stats *ret_stats);

#endif
