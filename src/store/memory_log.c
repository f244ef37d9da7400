/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's home in memory: segments of anonymous memory, blocks packed one behind the other.
 *
 * A segment counts its handed-out blocks; a dropped segment lives on until the last of them is
 * released.  What is mapped and written to ('taken') stays below bytes_max: pages that were never
 * touched cost nothing and are not counted, except in the segment that is being filled.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store/log_core.h"

#define SEGMENT_BYTES_DEFAULT (UINT64_C(4) << 20)
#define PAGE_BYTES            UINT64_C(4096)
/* The share of bytes_max that one segment may take: the slack of "within 5 %". */
#define SEGMENT_SHARE 20

struct memory_block {
    struct ft_block_info info;
    uint64_t position;
    uint64_t size;
    uint8_t data[];
};

struct memory_log;

struct memory_segment {
    struct ft_log_segment base;
    struct ft_log_owner owner;
    struct memory_log *memory;
    uint8_t *map;
    uint64_t capacity;
    /* Guarded by the log's lock. */
    uint64_t used;
    uint64_t taken;
    uint64_t n_refs; /* Blocks handed out, and one while it is off the list but in use. */
    bool gone;
};

struct memory_log {
    struct ft_log base;
    uint64_t segment_bytes;
    /* Guarded by base.lock. */
    struct memory_segment *spare;
    uint64_t taken;
    uint64_t next_number;
};

static const struct ft_log_home memory_home;

/*
 * FT_NO_TSA below: 'memory->base.lock' and 'log->lock' are one lock under two names, which clang 14
 * cannot see.  The names of the functions say who holds it.
 */
static struct memory_log *memory_of(struct ft_log *log) { return (struct memory_log *)log; }

static struct memory_segment *segment_of(struct ft_log_segment *segment)
{
    return (struct memory_segment *)segment;
}

static uint64_t page_round(uint64_t bytes) { return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1); }

static uint64_t block_bytes(uint64_t size)
{
    return (sizeof(struct memory_block) + size + 7) & ~UINT64_C(7);
}

static const struct memory_block *block_at(const struct memory_segment *segment, uint64_t offset)
{
    /* Offsets are multiples of 8. */
    return (const struct memory_block *)(const void *)(segment->map + offset);
}

static bool oldest_may_go_locked(const struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock);
static ft_err place_locked(struct memory_log *memory, const struct ft_block_info *info,
                           const void *data, size_t size, uint64_t *ret_position)
    FT_REQUIRES(memory->base.lock);
static ft_err begin_segment_locked(struct memory_log *memory, uint64_t need)
    FT_REQUIRES(memory->base.lock);
static void unmap_segment(struct memory_segment *segment);
static void let_go_locked(struct memory_log *memory, struct memory_segment *segment)
    FT_REQUIRES(memory->base.lock);
static void release_block(struct ft_log_owner *owner);

ft_err ft_log_memory_create(const struct ft_log_options *options, struct ft_log **ret_log)
{
    if (options->bytes_max == 0) {
        return FT_E_RANGE;
    }
    struct memory_log *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_store_init(&memory->base, &memory_home, options);
    uint64_t bytes = options->segment_bytes != 0 ? options->segment_bytes : SEGMENT_BYTES_DEFAULT;
    uint64_t share = options->bytes_max / SEGMENT_SHARE;
    bytes = (bytes < share ? bytes : share) & ~(PAGE_BYTES - 1);
    memory->segment_bytes = bytes > PAGE_BYTES ? bytes : PAGE_BYTES;
    *ret_log = &memory->base;
    return FT_OK;
}

/* The copy is made under the lock: it is short, and appends may come from several threads. */
static ft_err memory_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                            size_t size, uint64_t *ret_position) FT_NO_TSA
{
    struct memory_log *memory = memory_of(log);
    for (;;) {
        ft_mutex_lock(&log->lock);
        ft_err err = place_locked(memory, info, data, size, ret_position);
        struct ft_log_segment *victim = NULL;
        uint64_t floor = ft_store_confirmed_locked(log);
        uint64_t taken = log->options.readers_hold ? ft_store_taken_locked(log) : 0;
        if (err == FT_E_FULL && oldest_may_go_locked(log, floor) &&
            page_round(block_bytes(size)) <= log->options.bytes_max) {
            victim = ft_store_take_oldest_locked(log);
        }
        if (err == FT_OK) {
            ft_cond_broadcast(&log->changed);
        }
        ft_mutex_unlock(&log->lock);
        if (err == FT_OK && log->listener != NULL) {
            log->listener(log->listener_ctx);
        }
        if (victim == NULL) {
            return err;
        }
        ft_store_drop(log, victim, taken > floor ? taken : floor);
    }
}

static ft_err memory_sync(struct ft_log *log)
{
    (void)log;
    return FT_OK;
}

static ft_err memory_read(struct ft_log_reader *reader, bool durable_only,
                          struct ft_block *ret_block)
{
    (void)durable_only;
    struct ft_log *log = reader->log;
    ft_mutex_lock(&log->lock);
    size_t i = ft_store_find_segment_locked(log, reader->next);
    if (i == log->n_segments) {
        /* What a volatile reader did not come to may be gone. */
        if (reader->next < log->next_position) {
            reader->next = log->next_position;
        }
        ft_mutex_unlock(&log->lock);
        return ft_err_from_errno(EAGAIN);
    }
    struct memory_segment *segment = segment_of(log->segments[i]);
    uint64_t offset = 0;
    if (reader->hint_number == segment->base.number && reader->hint_position <= reader->next) {
        offset = reader->hint_offset;
    }
    const struct memory_block *block = block_at(segment, offset);
    while (block->position < reader->next) {
        offset += block_bytes(block->size);
        block = block_at(segment, offset);
    }
    segment->n_refs++;
    *ret_block = (struct ft_block){.info = block->info,
                                   .position = block->position,
                                   .data = block->data,
                                   .size = block->size,
                                   .owner_ = &segment->owner};
    reader->next = block->position + 1;
    reader->cursor->taken = block->position;
    reader->hint_number = segment->base.number;
    reader->hint_position = reader->next;
    reader->hint_offset = offset + block_bytes(block->size);
    ft_mutex_unlock(&log->lock);
    return FT_OK;
}

static ft_err memory_each_block(struct ft_log *log, struct ft_log_segment *base,
                                ft_store_block_fn *fn, void *ctx)
{
    (void)log;
    const struct memory_segment *segment = segment_of(base);
    for (uint64_t offset = 0; offset < segment->used;) {
        const struct memory_block *block = block_at(segment, offset);
        fn(ctx, &block->info, block->position, block->size);
        offset += block_bytes(block->size);
    }
    return FT_OK;
}

static void memory_discard(struct ft_log *log, struct ft_log_segment *base) FT_NO_TSA
{
    struct memory_segment *segment = segment_of(base);
    ft_mutex_lock(&log->lock);
    segment->gone = true;
    if (segment->n_refs == 0) {
        let_go_locked(memory_of(log), segment);
    }
    ft_mutex_unlock(&log->lock);
}

static void memory_taken_locked(struct ft_log *log, const struct ft_log_segment *segment)
{
    (void)log;
    (void)segment;
}

/* An idle log gives its pages back: the segment that is being filled begins again. */
static void memory_confirmed_locked(struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock)
{
    struct memory_segment *head = log->head != NULL ? segment_of(log->head) : NULL;
    if (head == NULL || head->base.n_blocks == 0 || head->base.last > floor || head->n_refs > 0 ||
        log->segments[0] != log->head || head->base.bytes <= log->options.keep_bytes) {
        return;
    }
    log->bytes -= head->base.bytes;
    head->base = (struct ft_log_segment){.number = ++memory_of(log)->next_number,
                                         .first = log->next_position,
                                         .last = log->next_position - 1};
    head->used = 0;
}

static ft_err memory_cursor_create(struct ft_log *log, struct ft_log_cursor *cursor)
{
    (void)log;
    (void)cursor;
    return FT_OK;
}

static ft_err memory_cursor_store(struct ft_log *log, struct ft_log_cursor *cursor,
                                  const struct ft_store_cursor_record *record, bool durable)
{
    (void)log;
    (void)cursor;
    (void)record;
    (void)durable;
    return FT_OK;
}

static ft_err memory_cursor_remove(struct ft_log *log, struct ft_log_cursor *cursor)
{
    (void)log;
    (void)cursor;
    return FT_OK;
}

static void memory_reader_close(struct ft_log_reader *reader) { (void)reader; }

static void memory_destroy(struct ft_log *log) FT_NO_TSA
{
    struct memory_log *memory = memory_of(log);
    for (size_t i = 0; i < log->n_segments; i++) {
        assert(segment_of(log->segments[i])->n_refs == 0);
        unmap_segment(segment_of(log->segments[i]));
    }
    if (memory->spare != NULL) {
        unmap_segment(memory->spare);
    }
    ft_store_deinit(log);
    free(memory);
}

static bool oldest_may_go_locked(const struct ft_log *log, uint64_t floor)
{
    return log->options.full == FT_LOG_DROP_OLDEST ||
           (log->n_segments > 0 && log->segments[0]->last <= floor);
}

static ft_err place_locked(struct memory_log *memory, const struct ft_block_info *info,
                           const void *data, size_t size, uint64_t *ret_position) FT_NO_TSA
{
    struct ft_log *log = &memory->base;
    uint64_t need = block_bytes(size);
    struct memory_segment *head = log->head != NULL ? segment_of(log->head) : NULL;
    if (head == NULL || head->used + need > head->capacity) {
        FT_TRY(begin_segment_locked(memory, need));
        head = segment_of(log->head);
    }
    struct memory_block *block = (struct memory_block *)(void *)(head->map + head->used);
    block->info = *info;
    block->position = log->next_position++;
    block->size = size;
    if (size > 0) {
        memcpy(block->data, data, size);
    }
    head->used += need;
    ft_store_count_block_locked(log, &head->base, info, block->position, need);
    log->last = block->position;
    log->durable = block->position;
    log->counters.appended_blocks++;
    log->counters.appended_events += info->n_events;
    *ret_position = block->position;
    return FT_OK;
}

/* What the segments would take if the head were closed now. */
static uint64_t taken_without_slack_locked(const struct memory_log *memory)
    FT_REQUIRES(memory->base.lock)
{
    const struct ft_log_segment *head = memory->base.head;
    if (head == NULL) {
        return memory->taken;
    }
    const struct memory_segment *segment = (const struct memory_segment *)head;
    return memory->taken - segment->taken + page_round(segment->used);
}

/* Closes the head: its untouched or left-over pages behind the last block are given back. */
static void close_head_locked(struct memory_log *memory) FT_REQUIRES(memory->base.lock)
{
    if (memory->base.head == NULL) {
        return;
    }
    struct memory_segment *head = segment_of(memory->base.head);
    uint64_t used = page_round(head->used);
    if (used < head->capacity) {
        (void)madvise(head->map + used, head->capacity - used, MADV_DONTNEED);
    }
    memory->taken -= head->taken - used;
    head->taken = used;
    memory->base.head = NULL;
}

static struct memory_segment *map_segment(struct memory_log *memory, uint64_t capacity)
{
    struct memory_segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL) {
        return NULL;
    }
    void *map = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        free(segment);
        return NULL;
    }
    segment->owner.release = release_block;
    segment->memory = memory;
    segment->map = map;
    segment->capacity = capacity;
    return segment;
}

/* FT_E_FULL when the oldest segment must go first. */
static ft_err begin_segment_locked(struct memory_log *memory, uint64_t need) FT_NO_TSA
{
    struct ft_log *log = &memory->base;
    uint64_t capacity = need > memory->segment_bytes ? page_round(need) : memory->segment_bytes;
    /* A spare of the right size is used again, any other makes room. */
    struct memory_segment *segment = memory->spare;
    if (segment != NULL) {
        memory->taken -= segment->taken;
        memory->spare = NULL;
        if (segment->capacity != capacity) {
            unmap_segment(segment);
            segment = NULL;
        }
    }
    ft_err err = FT_OK;
    if (taken_without_slack_locked(memory) + capacity > log->options.bytes_max) {
        err = FT_E_FULL;
    }
    if (err == FT_OK) {
        err = ft_store_reserve_segments_locked(log, 1);
    }
    if (err == FT_OK && segment == NULL) {
        segment = map_segment(memory, capacity);
        err = segment != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    }
    if (err != FT_OK) {
        if (segment != NULL) {
            unmap_segment(segment);
        }
        return err;
    }
    close_head_locked(memory);
    segment->base = (struct ft_log_segment){.number = ++memory->next_number,
                                            .first = log->next_position,
                                            .last = log->next_position - 1};
    segment->used = 0;
    segment->gone = false;
    segment->taken = capacity;
    memory->taken += capacity;
    ft_store_add_segment_locked(log, &segment->base);
    log->head = &segment->base;
    return FT_OK;
}

static void unmap_segment(struct memory_segment *segment)
{
    (void)munmap(segment->map, segment->capacity);
    free(segment);
}

/* Off the list and unused: kept as the spare, or given back. */
static void let_go_locked(struct memory_log *memory, struct memory_segment *segment)
{
    if (memory->spare == NULL && segment->capacity == memory->segment_bytes) {
        memory->spare = segment;
        return;
    }
    memory->taken -= segment->taken;
    unmap_segment(segment);
}

static void release_block(struct ft_log_owner *owner)
{
    struct memory_segment *segment =
        (struct memory_segment *)(void *)((char *)owner - offsetof(struct memory_segment, owner));
    struct memory_log *memory = segment->memory;
    ft_mutex_lock(&memory->base.lock);
    assert(segment->n_refs > 0);
    segment->n_refs--;
    if (segment->n_refs == 0 && segment->gone) {
        let_go_locked(memory, segment);
    }
    ft_mutex_unlock(&memory->base.lock);
}

static const struct ft_log_home memory_home = {
    .append = memory_append,
    .sync = memory_sync,
    .read = memory_read,
    .each_block = memory_each_block,
    .discard = memory_discard,
    .taken_locked = memory_taken_locked,
    .confirmed_locked = memory_confirmed_locked,
    .cursor_create = memory_cursor_create,
    .cursor_store = memory_cursor_store,
    .cursor_remove = memory_cursor_remove,
    .reader_close = memory_reader_close,
    .destroy = memory_destroy,
    .keeps_cursors = false,
};
