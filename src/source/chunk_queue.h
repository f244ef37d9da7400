/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded queue of chunks from the source thread, which fills them in place, to the pipeline
 * thread, which works through them: a ring of bytes in the working memory (source/memory.h).
 *
 * When there is no room the giver leaves what it would read in the kernel's socket.  This differs
 * from "drop the newest" on purpose: in the socket the messages still have their buffer, and beyond
 * it the kernel keeps the ENDs (NETLINK_BROADCAST_ERROR); read and dropped they would be gone.
 *
 * What a crash leaves.  A chunk counts from ft_chunk_queue_put() on.  The one that is being filled
 * is found, too: the kernel has written each datagram into its place, where a word of zero was
 * before, and the datagram's first word is its length; so even one counts whose reader was killed
 * on its way back from the kernel.  With 'held', room is not free when its chunk was given back,
 * but when the owner says so (ft_chunk_queue_free_until), after what followed from it was
 * committed.
 *
 * Bound: the ring of the memory.
 *
 * Thread: one giver, one taker, and any thread for stop(); a leaf lock inside.
 */
#ifndef FT_SOURCE_CHUNK_QUEUE_H
#define FT_SOURCE_CHUNK_QUEUE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "source/chunk.h"
#include "source/memory.h"

/* Room for data that a chunk has at least. */
#define FT_CHUNK_QUEUE_ROOM_MIN ((size_t)16 * 1024)

/* The smallest ring. */
#define FT_CHUNK_QUEUE_BYTES_MIN ((uint64_t)1 << 20)

struct ft_chunk_queue;

/*
 * In the ring of 'memory' (borrowed), with the chunks that are in it from 'position' on, the first
 * of them without its first 'offset' bytes; 0 and 0 for a new memory.  -ENOMEM; FT_E_CORRUPT when
 * the ring's content is none.
 */
FT_MUST_USE ft_err ft_chunk_queue_create(struct ft_memory *memory, bool held, uint64_t position,
                                         uint64_t offset, struct ft_chunk_queue **ret_queue);

/* Accepts NULL.  Both threads must have left. */
void ft_chunk_queue_destroy(struct ft_chunk_queue *queue);
FT_DEFINE_CLEANUP(struct ft_chunk_queue, ft_chunk_queue_destroy);

/* The giver: an empty chunk, or NULL when there is no room.  One at a time. */
struct ft_chunk *ft_chunk_queue_get_free(struct ft_chunk_queue *queue);

/*
 * The giver, before each datagram is received at 'chunk->data + chunk->size' and after it: so that
 * it counts from the moment on at which the kernel has let it go.  'room' bytes may be written.
 */
void ft_chunk_queue_prepare(struct ft_chunk_queue *queue, struct ft_chunk *chunk, size_t room);
void ft_chunk_queue_received(struct ft_chunk_queue *queue, struct ft_chunk *chunk, size_t size);

/* The giver: hands the chunk to the taker.  There is always room. */
void ft_chunk_queue_put(struct ft_chunk_queue *queue, struct ft_chunk *chunk);

/* The giver: the chunk was not needed. */
void ft_chunk_queue_cancel(struct ft_chunk_queue *queue, struct ft_chunk *chunk);

/* The giver: waits until there is room, the deadline passes or the queue is stopped. */
void ft_chunk_queue_wait_free(struct ft_chunk_queue *queue, int64_t deadline_mono_ns);

/*
 * The taker: the oldest chunk, waiting for one until 'deadline_mono_ns' (INT64_MIN: not at all, not
 * even a look at the clock).  NULL when there is none in time; after stop(), what was put before
 * is still taken, without waiting.  One at a time.
 */
struct ft_chunk *ft_chunk_queue_take(struct ft_chunk_queue *queue, int64_t deadline_mono_ns);

/* The taker: done with the chunk. */
void ft_chunk_queue_give_back(struct ft_chunk_queue *queue, struct ft_chunk *chunk);

/* The taker: where the chunk begins that was taken last, and the one that is taken next. */
uint64_t ft_chunk_queue_get_taken(const struct ft_chunk_queue *queue);
uint64_t ft_chunk_queue_get_next(const struct ft_chunk_queue *queue);

/* Of the first chunk after a crash: bytes of it that had been handled, which it comes without. */
uint64_t ft_chunk_queue_get_cut(const struct ft_chunk_queue *queue);

/* The owner of a held queue: what is before 'position' is not needed any more. */
void ft_chunk_queue_free_until(struct ft_chunk_queue *queue, uint64_t position);

/* The giver: drops at the event socket that chunks have told of, kept with the ring. */
void ft_chunk_queue_set_drops(struct ft_chunk_queue *queue, uint64_t drops);
uint64_t ft_chunk_queue_get_drops(const struct ft_chunk_queue *queue);

/* Bytes that were given back and not freed, and what the ring has in all.  The taker. */
uint64_t ft_chunk_queue_get_bytes_held(const struct ft_chunk_queue *queue);
uint64_t ft_chunk_queue_get_bytes(const struct ft_chunk_queue *queue);

/* Wakes both sides, now and forever.  Any thread. */
void ft_chunk_queue_stop(struct ft_chunk_queue *queue);

/* Makes a take() that waits, or the next one, return at once.  Any thread. */
void ft_chunk_queue_wake(struct ft_chunk_queue *queue);

#endif
