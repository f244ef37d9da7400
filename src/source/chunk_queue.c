/* SPDX-License-Identifier: Apache-2.0 */
#include "source/chunk_queue.h"

#include <assert.h>
#include <stdlib.h>

#include "base/thread.h"
#include "os/ct_record.h"

/* In front of each chunk's data.  The stamp tells it from what an earlier lap has left. */
struct header {
    uint64_t stamp;
    uint32_t kind;
    uint32_t size;
    int64_t real_ns;
    int64_t mono_ns;
    int64_t value;
    uint8_t spare[24];
};

_Static_assert(sizeof(struct header) == FT_CHUNK_HEADER_BYTES, "chunks begin at cache lines");

#define STAMP(position) ((position) ^ UINT64_C(0x6368756e6b210a00))
#define PAGE_BYTES      ((size_t)4096)

struct ft_chunk_queue {
    /* Set at creation. */
    struct ft_memory *memory;
    bool held;
    uint64_t bytes;

    /* The giver. */
    struct ft_chunk given;
    bool giving;
    size_t touched; /* Of the chunk's data: pages are there up to here. */

    /* The taker. */
    struct ft_chunk taken;
    uint64_t taken_at;
    uint64_t next; /* The giver moves it, under the lock, when there is no chunk at all. */
    uint64_t cut;

    struct ft_mutex lock;
    struct ft_cond filled;
    struct ft_cond freed;

    uint64_t head FT_GUARDED; /* Behind the last chunk that was put. */
    uint64_t tail FT_GUARDED; /* In front of it is free room. */
    bool stopped FT_GUARDED;
    bool woken FT_GUARDED;
};

static struct header *header_at(const struct ft_chunk_queue *queue, uint64_t position);
static uint64_t span_of(size_t size);
static ft_err attach(struct ft_chunk_queue *queue, uint64_t position, uint64_t offset);
static bool is_chunk(const struct ft_chunk_queue *queue, uint64_t position, uint64_t end);
static uint64_t finish_open_chunk(struct ft_chunk_queue *queue, uint64_t head, uint64_t tail);

ft_err ft_chunk_queue_create(struct ft_memory *memory, bool held, uint64_t position,
                             uint64_t offset, struct ft_chunk_queue **ret_queue)
{
    struct ft_chunk_queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    queue->memory = memory;
    queue->held = held;
    queue->bytes = memory->header->ring_bytes;
    ft_mutex_init(&queue->lock);
    ft_cond_init(&queue->filled);
    ft_cond_init(&queue->freed);
    ft_err err = attach(queue, position, offset);
    if (err != FT_OK) {
        ft_chunk_queue_destroy(queue);
        return err;
    }
    *ret_queue = queue;
    return FT_OK;
}

void ft_chunk_queue_destroy(struct ft_chunk_queue *queue)
{
    if (queue != NULL) {
        ft_cond_deinit(&queue->freed);
        ft_cond_deinit(&queue->filled);
        ft_mutex_deinit(&queue->lock);
        free(queue);
    }
}

struct ft_chunk *ft_chunk_queue_get_free(struct ft_chunk_queue *queue)
{
    assert(!queue->giving);
    ft_mutex_lock(&queue->lock);
    if (queue->head == queue->tail && !queue->held) {
        /* Nobody has a chunk: from the beginning, which is warm in the cache. */
        queue->head = (queue->head + queue->bytes - 1) / queue->bytes * queue->bytes;
        queue->tail = queue->head;
        queue->next = queue->head;
    }
    uint64_t head = queue->head;
    uint64_t room = queue->bytes - (head - queue->tail);
    ft_mutex_unlock(&queue->lock);
    if (room < FT_CHUNK_HEADER_BYTES + FT_CHUNK_QUEUE_ROOM_MIN) {
        return NULL;
    }
    room -= FT_CHUNK_HEADER_BYTES;
    struct header *header = header_at(queue, head);
    header->kind = FT_CHUNK_EVENTS;
    header->size = 0;
    memset(header + 1, 0, sizeof(uint32_t));
    ft_memory_barrier();
    header->stamp = STAMP(head);
    queue->given = (struct ft_chunk){
        .kind = FT_CHUNK_EVENTS,
        .size_max = room < FT_CHUNK_SIZE_MAX ? (size_t)room : FT_CHUNK_SIZE_MAX,
        .data = (uint8_t *)(header + 1),
    };
    queue->giving = true;
    queue->touched = 0;
    return &queue->given;
}

void ft_chunk_queue_prepare(struct ft_chunk_queue *queue, struct ft_chunk *chunk, size_t room)
{
    if (queue->touched >= chunk->size + room) {
        return;
    }
    struct header *header = (struct header *)(void *)chunk->data - 1;
    header->real_ns = chunk->real_ns;
    header->mono_ns = chunk->mono_ns;
    /* A page that is missing while a signal kills us could make the kernel drop the datagram. */
    for (; queue->touched < chunk->size + room + PAGE_BYTES && queue->touched < chunk->size_max;
         queue->touched += PAGE_BYTES) {
        if (queue->touched > chunk->size) {
            chunk->data[queue->touched] = 0;
        }
    }
    ft_memory_barrier();
}

void ft_chunk_queue_received(struct ft_chunk_queue *queue, struct ft_chunk *chunk, size_t size)
{
    (void)queue;
    chunk->size += size;
    if (chunk->size + sizeof(uint32_t) <= chunk->size_max) {
        memset(chunk->data + chunk->size, 0, sizeof(uint32_t)); /* Where the next one may be. */
    }
    struct header *header = (struct header *)(void *)chunk->data - 1;
    ft_memory_barrier();
    header->size = (uint32_t)chunk->size;
    ft_memory_barrier();
}

void ft_chunk_queue_put(struct ft_chunk_queue *queue, struct ft_chunk *chunk)
{
    assert(queue->giving && chunk == &queue->given && chunk->size <= chunk->size_max);
    struct header *header = (struct header *)(void *)chunk->data - 1;
    header->kind = chunk->kind;
    header->size = (uint32_t)chunk->size;
    header->real_ns = chunk->real_ns;
    header->mono_ns = chunk->mono_ns;
    header->value = chunk->value;
    queue->giving = false;
    ft_mutex_lock(&queue->lock);
    ft_memory_barrier();
    queue->head += span_of(chunk->size);
    queue->memory->header->ring_head = queue->head;
    ft_memory_barrier();
    ft_cond_signal(&queue->filled);
    ft_mutex_unlock(&queue->lock);
}

void ft_chunk_queue_cancel(struct ft_chunk_queue *queue, struct ft_chunk *chunk)
{
    assert(queue->giving && chunk == &queue->given && chunk->size == 0);
    (void)chunk;
    queue->giving = false;
}

void ft_chunk_queue_wait_free(struct ft_chunk_queue *queue, int64_t deadline_mono_ns)
{
    uint64_t needed = FT_CHUNK_HEADER_BYTES + FT_CHUNK_QUEUE_ROOM_MIN;
    ft_mutex_lock(&queue->lock);
    while (queue->bytes - (queue->head - queue->tail) < needed && !queue->stopped &&
           ft_cond_wait_until(&queue->freed, &queue->lock, deadline_mono_ns)) {
    }
    ft_mutex_unlock(&queue->lock);
}

struct ft_chunk *ft_chunk_queue_take(struct ft_chunk_queue *queue, int64_t deadline_mono_ns)
{
    ft_mutex_lock(&queue->lock);
    while (queue->next == queue->head && !queue->stopped && !queue->woken &&
           deadline_mono_ns != INT64_MIN &&
           ft_cond_wait_until(&queue->filled, &queue->lock, deadline_mono_ns)) {
    }
    queue->woken = false;
    bool any = queue->next != queue->head;
    ft_mutex_unlock(&queue->lock);
    if (!any) {
        return NULL;
    }
    struct header *header = header_at(queue, queue->next);
    queue->taken_at = queue->next;
    queue->next += span_of(header->size);
    queue->taken = (struct ft_chunk){
        .kind = (enum ft_chunk_kind)header->kind,
        .real_ns = header->real_ns,
        .mono_ns = header->mono_ns,
        .value = header->value,
        .size = header->size - queue->cut,
        .size_max = header->size - queue->cut,
        .data = (uint8_t *)(header + 1) + queue->cut,
    };
    return &queue->taken;
}

void ft_chunk_queue_give_back(struct ft_chunk_queue *queue, struct ft_chunk *chunk)
{
    assert(chunk == &queue->taken);
    (void)chunk;
    queue->cut = 0;
    if (!queue->held) {
        ft_chunk_queue_free_until(queue, queue->next);
    }
}

uint64_t ft_chunk_queue_get_taken(const struct ft_chunk_queue *queue) { return queue->taken_at; }

uint64_t ft_chunk_queue_get_next(const struct ft_chunk_queue *queue) { return queue->next; }

uint64_t ft_chunk_queue_get_cut(const struct ft_chunk_queue *queue) { return queue->cut; }

void ft_chunk_queue_free_until(struct ft_chunk_queue *queue, uint64_t position)
{
    ft_mutex_lock(&queue->lock);
    assert(position >= queue->tail && position <= queue->next);
    queue->tail = position;
    ft_cond_signal(&queue->freed);
    ft_mutex_unlock(&queue->lock);
}

void ft_chunk_queue_set_drops(struct ft_chunk_queue *queue, uint64_t drops)
{
    queue->memory->header->ring_drops = drops;
}

uint64_t ft_chunk_queue_get_drops(const struct ft_chunk_queue *queue)
{
    return queue->memory->header->ring_drops;
}

uint64_t ft_chunk_queue_get_bytes_held(const struct ft_chunk_queue *queue) FT_NO_TSA
{
    return queue->next - queue->tail; /* Only the taker's own thread moves either. */
}

uint64_t ft_chunk_queue_get_bytes(const struct ft_chunk_queue *queue) { return queue->bytes; }

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

static struct header *header_at(const struct ft_chunk_queue *queue, uint64_t position)
{
    return (struct header *)(void *)(queue->memory->ring + position % queue->bytes);
}

/* What a chunk takes of the ring: whole cache lines. */
static uint64_t span_of(size_t size)
{
    return FT_CHUNK_HEADER_BYTES + ((size + 63) & ~(uint64_t)63);
}

/* Finds the chunks that a crash has left. */
static ft_err attach(struct ft_chunk_queue *queue, uint64_t position, uint64_t offset)
{
    uint64_t head = queue->memory->header->ring_head;
    if (position > head || head - position > queue->bytes) {
        return FT_E_CORRUPT;
    }
    for (uint64_t at = position; at != head; at += span_of(header_at(queue, at)->size)) {
        if (!is_chunk(queue, at, head)) {
            return FT_E_CORRUPT;
        }
    }
    head = finish_open_chunk(queue, head, position);
    if (offset > 0 && (position == head || offset > header_at(queue, position)->size)) {
        return FT_E_CORRUPT;
    }
    queue->memory->header->ring_head = head;
    queue->next = position;
    queue->taken_at = position;
    queue->cut = offset;
    ft_mutex_lock(&queue->lock);
    queue->head = head;
    queue->tail = position;
    ft_mutex_unlock(&queue->lock);
    return FT_OK;
}

static bool is_chunk(const struct ft_chunk_queue *queue, uint64_t position, uint64_t end)
{
    const struct header *header = header_at(queue, position);
    return header->stamp == STAMP(position) && header->size <= FT_CHUNK_SIZE_MAX &&
           span_of(header->size) <= end - position;
}

/* The chunk that was being filled counts with what it has.  Returns where it ends. */
static uint64_t finish_open_chunk(struct ft_chunk_queue *queue, uint64_t head, uint64_t tail)
{
    uint64_t room = queue->bytes - (head - tail);
    if (!queue->held || room < FT_CHUNK_HEADER_BYTES + FT_CHUNK_QUEUE_ROOM_MIN ||
        !is_chunk(queue, head, head + room) || header_at(queue, head)->kind != FT_CHUNK_EVENTS) {
        return head;
    }
    struct header *header = header_at(queue, head);
    room -= FT_CHUNK_HEADER_BYTES;
    room = room < FT_CHUNK_SIZE_MAX ? room : FT_CHUNK_SIZE_MAX;
    header->size += (uint32_t)ft_ct_event_size((uint8_t *)(header + 1) + header->size,
                                               (size_t)room - header->size);
    header->value = 0; /* Whether the socket was empty then is not known. */
    return header->size > 0 ? head + span_of(header->size) : head;
}
