/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked batches on their way to the log: many sessions put in, the commit thread takes a part.
 *
 * Each agent has a line of its own, and the lines are served in turn, by bytes (deficit round
 * robin): however much one agent sends, a batch of another is in the next part.  Within a line the
 * order stays.
 *
 * Bounded in bytes, in three ways.  A line that has its share of the queue, or a queue that is
 * full, still takes the item (its session has read it), but its session then reads no more until
 * that item is done.  So does a session whose agent is over its rate, until that is paid for.  A
 * queue that has twice its bound, because very many sessions had one more item each, refuses.
 *
 * Thread: any; one leaf lock.
 */
#ifndef FT_COLLECTOR_COMMIT_QUEUE_H
#define FT_COLLECTOR_COMMIT_QUEUE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread.h"
#include "collector/pace.h"
#include "flow/ids.h"

struct ft_ingest_session;

/* What one take gives at most: appended and synced together. */
#define FT_COMMIT_TAKE_BYTES ((size_t)4 << 20)

struct ft_commit_item {
    struct ft_commit_item *next;
    struct ft_ingest_session *session; /* A reference. */
    uint8_t *data;                     /* Owned. */
    size_t size;
    uint64_t first_seq;
    uint64_t life;
    uint32_t n_events;     /* 0: a rejected batch that does not say, to be kept only. */
    char *reject_reason;   /* Owned; NULL for a good batch. */
    bool waiting;          /* The session reads no more until this is done. */
    int64_t wait_until_ns; /* And not before this time. */
};

/* An agent's line. */
struct ft_commit_line {
    struct ft_uuid agent_id;
    struct ft_commit_line *next_known;
    /* Guarded by the queue's lock. */
    unsigned n_refs;
    struct ft_commit_item *first;
    struct ft_commit_item *last;
    size_t bytes;
    size_t credit; /* What it may still take in this turn. */
    bool is_active;
    struct ft_commit_line *next_active;
    struct ft_pace events;
    struct ft_pace volume;
};

struct ft_commit_queue_options {
    size_t bytes_max;
    uint64_t agent_events_per_s; /* 0: no bound. */
    uint64_t agent_bytes_per_s;  /* 0: no bound. */
};

#define FT_COMMIT_LINE_SLOTS 4096

struct ft_commit_queue {
    struct ft_commit_queue_options options; /* Set at creation. */
    struct ft_mutex lock;
    struct ft_cond filled;
    /* The lines that have something, in their order. */
    struct ft_commit_line *first FT_GUARDED;
    struct ft_commit_line *last FT_GUARDED;
    size_t n_active FT_GUARDED;
    size_t bytes FT_GUARDED;
    bool woken FT_GUARDED;
    struct ft_commit_line *known[FT_COMMIT_LINE_SLOTS] FT_GUARDED; /* By hash, chained. */
};

void ft_commit_queue_init(struct ft_commit_queue *queue,
                          const struct ft_commit_queue_options *options);
/* Empty, all lines left, and nobody inside. */
void ft_commit_queue_deinit(struct ft_commit_queue *queue);

/* The line of an agent, made if it is new, with a reference; NULL without memory. */
struct ft_commit_line *ft_commit_queue_enter(struct ft_commit_queue *queue,
                                             const struct ft_uuid *agent_id, int64_t now_mono_ns);
/* Accepts NULL.  A line that is over its rate is kept until it has paid: coming back with a new
 * connection changes nothing. */
void ft_commit_queue_leave(struct ft_commit_queue *queue, struct ft_commit_line *line);

enum ft_commit_push {
    FT_COMMIT_ROOM,  /* Taken. */
    FT_COMMIT_WAIT,  /* Taken; read no more until it is done. */
    FT_COMMIT_REFUSE /* Not taken. */
};

/* Takes 'item' over, which is the caller's malloc(), unless it refuses. */
enum ft_commit_push ft_commit_queue_push(struct ft_commit_queue *queue, struct ft_commit_line *line,
                                         struct ft_commit_item *item, int64_t now_mono_ns);

/* Items of about FT_COMMIT_TAKE_BYTES; waits for one until the deadline; NULL for none. */
struct ft_commit_item *ft_commit_queue_take(struct ft_commit_queue *queue,
                                            int64_t deadline_mono_ns);
void ft_commit_item_destroy(struct ft_commit_item *item);

size_t ft_commit_queue_bytes(struct ft_commit_queue *queue);
void ft_commit_queue_wake(struct ft_commit_queue *queue);

#endif
