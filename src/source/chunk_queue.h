/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded pool of chunks and the queue that they travel in: from the source thread, which fills
 * free chunks and puts them, to the pipeline thread, which takes them and gives them back.
 *
 * A chunk that is not free is with the giver, in the queue or with the taker, so the pool bounds
 * the queue, too.  When no chunk is free the giver leaves what it would read in the kernel's
 * socket.  This differs from "drop the newest" on purpose: in the socket the messages still have
 * their buffer, and beyond it the kernel keeps the ENDs (NETLINK_BROADCAST_ERROR); read and
 * dropped they would be gone.
 *
 * Bound: n_chunks, each of FT_CHUNK_SIZE_MAX bytes of address space; memory is used as far as
 * chunks were ever filled.
 *
 * Thread: one giver, one taker, and any thread for stop(); a leaf lock inside.
 */
#ifndef FT_SOURCE_CHUNK_QUEUE_H
#define FT_SOURCE_CHUNK_QUEUE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "source/chunk.h"

#define FT_CHUNK_QUEUE_CHUNKS_MIN 4
#define FT_CHUNK_QUEUE_CHUNKS_MAX 4096

struct ft_chunk_queue;

/* 'bytes_max' / FT_CHUNK_SIZE_MAX chunks, within the two bounds above.  -ENOMEM. */
FT_MUST_USE ft_err ft_chunk_queue_create(uint64_t bytes_max, struct ft_chunk_queue **ret_queue);

/* Accepts NULL.  Both threads must have left; chunks that were not given back are freed, too. */
void ft_chunk_queue_destroy(struct ft_chunk_queue *queue);
FT_DEFINE_CLEANUP(struct ft_chunk_queue, ft_chunk_queue_destroy);

/* The giver: an empty chunk, or NULL when none is free. */
struct ft_chunk *ft_chunk_queue_get_free(struct ft_chunk_queue *queue);

/* The giver: hands the chunk to the taker.  There is always room. */
void ft_chunk_queue_put(struct ft_chunk_queue *queue, struct ft_chunk *chunk);

/* The giver: waits until a chunk is free, the deadline passes or the queue is stopped. */
void ft_chunk_queue_wait_free(struct ft_chunk_queue *queue, int64_t deadline_mono_ns);

/*
 * The taker: the oldest chunk, waiting for one until 'deadline_mono_ns' (INT64_MIN: not at all, not
 * even a look at the clock).  NULL when there is none in time; after stop(), what was put before
 * is still taken, without waiting.
 */
struct ft_chunk *ft_chunk_queue_take(struct ft_chunk_queue *queue, int64_t deadline_mono_ns);

/* The taker, or the giver with a chunk that it did not use: the chunk is free again. */
void ft_chunk_queue_give_back(struct ft_chunk_queue *queue, struct ft_chunk *chunk);

/* Wakes both sides, now and forever.  Any thread. */
void ft_chunk_queue_stop(struct ft_chunk_queue *queue);

/* Makes a take() that waits, or the next one, return at once.  Any thread. */
void ft_chunk_queue_wake(struct ft_chunk_queue *queue);

/* How many chunks there are, and how many of them wait for the taker.  Any thread. */
size_t ft_chunk_queue_get_n_chunks(const struct ft_chunk_queue *queue);
size_t ft_chunk_queue_get_n_waiting(struct ft_chunk_queue *queue);

#endif
