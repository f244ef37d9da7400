/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked batches on their way to the log: many sessions put in, the commit thread takes all at
 * once.  Bounded in bytes: push() always takes the item (the session has read it), but says when
 * the bound is reached, and the session then reads no more until that item is done.  So the queue
 * is at most 'bytes_max' and one message of each session.
 *
 * Thread: any; one leaf lock.
 */
#ifndef FT_COLLECTOR_COMMIT_QUEUE_H
#define FT_COLLECTOR_COMMIT_QUEUE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread.h"

struct ft_ingest_session;

struct ft_commit_item {
    struct ft_commit_item *next;
    struct ft_ingest_session *session; /* A reference. */
    uint8_t *data;                     /* Owned. */
    size_t size;
    uint64_t first_seq;
    uint32_t n_events;   /* 0: a rejected batch that does not say, to be kept only. */
    char *reject_reason; /* Owned; NULL for a good batch. */
    bool waiting;        /* The session reads no more until this is done. */
};

struct ft_commit_queue {
    size_t bytes_max; /* Set at creation. */
    struct ft_mutex lock;
    struct ft_cond filled;
    struct ft_commit_item *first FT_GUARDED;
    struct ft_commit_item *last FT_GUARDED;
    size_t bytes FT_GUARDED;
    bool woken FT_GUARDED;
};

void ft_commit_queue_init(struct ft_commit_queue *queue, size_t bytes_max);
/* Empty, and nobody inside. */
void ft_commit_queue_deinit(struct ft_commit_queue *queue);

/* Takes 'item' over, which is the caller's malloc().  False: the bound is reached, wait until it is
 * done. */
bool ft_commit_queue_push(struct ft_commit_queue *queue, struct ft_commit_item *item);

/* All items, in order; waits for one until the deadline; NULL for none. */
struct ft_commit_item *ft_commit_queue_take(struct ft_commit_queue *queue,
                                            int64_t deadline_mono_ns);
void ft_commit_item_destroy(struct ft_commit_item *item);

size_t ft_commit_queue_bytes(struct ft_commit_queue *queue);
void ft_commit_queue_wake(struct ft_commit_queue *queue);

#endif
