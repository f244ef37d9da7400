/* SPDX-License-Identifier: Apache-2.0 */
#include "source/chunk_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/thread.h"

struct ft_chunk_queue {
    /* Set at creation. */
    size_t n_chunks;
    struct ft_chunk *chunks;
    uint8_t *memory; /* One mapping for all chunks: pages that are never filled cost nothing. */

    struct ft_mutex lock;
    struct ft_cond filled;
    struct ft_cond freed;

    struct ft_chunk **free FT_GUARDED; /* A stack: the chunk used last is warm in the cache. */
    size_t n_free FT_GUARDED;
    struct ft_chunk **waiting FT_GUARDED; /* A ring of n_chunks places. */
    size_t first FT_GUARDED;
    size_t n_waiting FT_GUARDED;
    bool stopped FT_GUARDED;
    bool woken FT_GUARDED;
};

ft_err ft_chunk_queue_create(uint64_t bytes_max, struct ft_chunk_queue **ret_queue)
{
    uint64_t n = bytes_max / FT_CHUNK_SIZE_MAX;
    n = n < FT_CHUNK_QUEUE_CHUNKS_MIN ? FT_CHUNK_QUEUE_CHUNKS_MIN : n;
    n = n > FT_CHUNK_QUEUE_CHUNKS_MAX ? FT_CHUNK_QUEUE_CHUNKS_MAX : n;
    struct ft_chunk_queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    queue->n_chunks = (size_t)n;
    ft_mutex_init(&queue->lock);
    ft_cond_init(&queue->filled);
    ft_cond_init(&queue->freed);
    void *memory = mmap(NULL, (size_t)n * FT_CHUNK_SIZE_MAX, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    queue->memory = memory != MAP_FAILED ? memory : NULL;
    queue->chunks = calloc((size_t)n, sizeof *queue->chunks);
    struct ft_chunk **free_chunks = calloc((size_t)n, sizeof(struct ft_chunk *));
    ft_mutex_lock(&queue->lock);
    queue->free = free_chunks;
    queue->waiting = calloc((size_t)n, sizeof(struct ft_chunk *));
    bool complete = queue->memory != NULL && queue->chunks != NULL && queue->free != NULL &&
                    queue->waiting != NULL;
    for (size_t i = 0; complete && i < queue->n_chunks; i++) {
        queue->chunks[i].data = queue->memory + i * FT_CHUNK_SIZE_MAX;
        queue->free[queue->n_free++] = &queue->chunks[i];
    }
    ft_mutex_unlock(&queue->lock);
    if (!complete) {
        ft_chunk_queue_destroy(queue);
        return ft_err_from_errno(ENOMEM);
    }
    *ret_queue = queue;
    return FT_OK;
}

void ft_chunk_queue_destroy(struct ft_chunk_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    if (queue->memory != NULL) {
        munmap(queue->memory, queue->n_chunks * FT_CHUNK_SIZE_MAX);
    }
    ft_mutex_lock(&queue->lock);
    free(queue->free);
    free(queue->waiting);
    ft_mutex_unlock(&queue->lock);
    free(queue->chunks);
    ft_cond_deinit(&queue->freed);
    ft_cond_deinit(&queue->filled);
    ft_mutex_deinit(&queue->lock);
    free(queue);
}

struct ft_chunk *ft_chunk_queue_get_free(struct ft_chunk_queue *queue)
{
    struct ft_chunk *chunk = NULL;
    ft_mutex_lock(&queue->lock);
    if (queue->n_free > 0) {
        chunk = queue->free[--queue->n_free];
    }
    ft_mutex_unlock(&queue->lock);
    if (chunk != NULL) {
        *chunk = (struct ft_chunk){.data = chunk->data};
    }
    return chunk;
}

void ft_chunk_queue_put(struct ft_chunk_queue *queue, struct ft_chunk *chunk)
{
    ft_mutex_lock(&queue->lock);
    assert(queue->n_waiting < queue->n_chunks);
    queue->waiting[(queue->first + queue->n_waiting++) % queue->n_chunks] = chunk;
    ft_cond_signal(&queue->filled);
    ft_mutex_unlock(&queue->lock);
}

void ft_chunk_queue_wait_free(struct ft_chunk_queue *queue, int64_t deadline_mono_ns)
{
    ft_mutex_lock(&queue->lock);
    while (queue->n_free == 0 && !queue->stopped &&
           ft_cond_wait_until(&queue->freed, &queue->lock, deadline_mono_ns)) {
    }
    ft_mutex_unlock(&queue->lock);
}

struct ft_chunk *ft_chunk_queue_take(struct ft_chunk_queue *queue, int64_t deadline_mono_ns)
{
    struct ft_chunk *chunk = NULL;
    ft_mutex_lock(&queue->lock);
    while (queue->n_waiting == 0 && !queue->stopped && !queue->woken &&
           deadline_mono_ns != INT64_MIN &&
           ft_cond_wait_until(&queue->filled, &queue->lock, deadline_mono_ns)) {
    }
    queue->woken = false;
    if (queue->n_waiting > 0) {
        chunk = queue->waiting[queue->first];
        queue->first = (queue->first + 1) % queue->n_chunks;
        queue->n_waiting--;
    }
    ft_mutex_unlock(&queue->lock);
    return chunk;
}

void ft_chunk_queue_give_back(struct ft_chunk_queue *queue, struct ft_chunk *chunk)
{
    ft_mutex_lock(&queue->lock);
    assert(queue->n_free < queue->n_chunks);
    queue->free[queue->n_free++] = chunk;
    ft_cond_signal(&queue->freed);
    ft_mutex_unlock(&queue->lock);
}

void ft_chunk_queue_stop(struct ft_chunk_queue *queue)
{
    ft_mutex_lock(&queue->lock);
    queue->stopped = true;
    ft_cond_broadcast(&queue->filled);
    ft_cond_broadcast(&queue->freed);
    ft_mutex_unlock(&queue->lock);
}

void ft_chunk_queue_wake(struct ft_chunk_queue *queue)
{
    ft_mutex_lock(&queue->lock);
    queue->woken = true;
    ft_cond_broadcast(&queue->filled);
    ft_mutex_unlock(&queue->lock);
}

size_t ft_chunk_queue_get_n_chunks(const struct ft_chunk_queue *queue) { return queue->n_chunks; }

size_t ft_chunk_queue_get_n_waiting(struct ft_chunk_queue *queue)
{
    ft_mutex_lock(&queue->lock);
    size_t n = queue->n_waiting;
    ft_mutex_unlock(&queue->lock);
    return n;
}
