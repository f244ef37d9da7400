/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/log_core.h"

#define SEGMENTS_FIRST ((size_t)16)

struct drop {
    struct ft_log *log;
    uint64_t floor;
    uint64_t n_blocks;
    uint64_t n_events;
};

static void count_dropped(const struct drop *drop);
static void drop_block(void *ctx, const struct ft_block_info *info, uint64_t position, size_t size);

void ft_log_destroy(struct ft_log *log)
{
    if (log != NULL) {
        log->home->destroy(log);
    }
}

ft_err ft_log_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                     size_t size, uint64_t *ret_position)
{
    if (size > FT_LOG_BLOCK_SIZE_MAX) {
        return FT_E_RANGE;
    }
    return log->home->append(log, info, data, size, ret_position);
}

ft_err ft_log_sync(struct ft_log *log, uint64_t *ret_position)
{
    FT_TRY(log->home->sync(log));
    *ret_position = ft_log_durable(log);
    return FT_OK;
}

void ft_log_bounds(struct ft_log *log, uint64_t *ret_first, uint64_t *ret_last)
{
    ft_mutex_lock(&log->lock);
    bool empty = log->n_segments == 0 || log->segments[0]->first > log->last;
    *ret_first = empty ? log->next_position : log->segments[0]->first;
    *ret_last = empty ? log->next_position - 1 : log->last;
    ft_mutex_unlock(&log->lock);
}

uint64_t ft_log_durable(struct ft_log *log)
{
    ft_mutex_lock(&log->lock);
    uint64_t durable = log->durable;
    ft_mutex_unlock(&log->lock);
    return durable;
}

uint64_t ft_log_confirmed(struct ft_log *log)
{
    ft_mutex_lock(&log->lock);
    uint64_t confirmed = ft_store_confirmed_locked(log);
    ft_mutex_unlock(&log->lock);
    return confirmed;
}

struct newest {
    struct ft_block_info info;
    uint64_t position;
};

static void take_newest(void *ctx, const struct ft_block_info *info, uint64_t position, size_t size)
{
    struct newest *newest = ctx;
    (void)size;
    if (position > newest->position) {
        *newest = (struct newest){*info, position};
    }
}

ft_err ft_log_newest(struct ft_log *log, struct ft_block_info *ret_info)
{
    struct newest newest = {0};
    for (size_t i = 1; newest.position == 0; i++) {
        ft_mutex_lock(&log->lock);
        struct ft_log_segment *segment =
            i <= log->n_segments ? log->segments[log->n_segments - i] : NULL;
        ft_mutex_unlock(&log->lock);
        if (segment == NULL) {
            return FT_E_NOT_FOUND;
        }
        FT_TRY(log->home->each_block(log, segment, take_newest, &newest));
    }
    *ret_info = newest.info;
    return FT_OK;
}

void ft_log_stats(struct ft_log *log, struct ft_log_stats *ret_stats)
{
    ft_mutex_lock(&log->lock);
    *ret_stats = log->counters;
    ret_stats->bytes_max = log->options.bytes_max;
    ret_stats->bytes = log->bytes;
    ret_stats->segments = log->n_segments;
    uint64_t confirmed = ft_store_confirmed_locked(log);
    for (size_t i = 0; i < log->n_segments; i++) {
        const struct ft_log_segment *segment = log->segments[i];
        ret_stats->blocks += segment->n_blocks;
        ret_stats->events += segment->n_events;
        if (segment->n_blocks > 0 && segment->last <= confirmed) {
            ret_stats->kept_blocks += segment->n_blocks;
            ret_stats->kept_events += segment->n_events;
            ret_stats->kept_bytes += segment->bytes;
        }
    }
    if (ret_stats->blocks > 0) {
        ret_stats->oldest_time_ns = log->segments[0]->first_time_ns;
    }
    ft_mutex_unlock(&log->lock);
}

void ft_log_wake_all(struct ft_log *log)
{
    ft_mutex_lock(&log->lock);
    log->wakes++;
    ft_cond_broadcast(&log->changed);
    ft_mutex_unlock(&log->lock);
}

void ft_log_set_listener(struct ft_log *log, void (*fn)(void *ctx), void *ctx)
{
    log->listener = fn;
    log->listener_ctx = ctx;
}

void ft_block_release(struct ft_block *block)
{
    struct ft_log_owner *owner = block->owner_;
    block->owner_ = NULL;
    block->data = NULL;
    if (owner != NULL) {
        owner->release(owner);
    }
}

void ft_store_init(struct ft_log *log, const struct ft_log_home *home,
                   const struct ft_log_options *options) FT_NO_TSA
{
    *log = (struct ft_log){.home = home, .options = *options, .next_position = 1};
    log->held_floor = UINT64_MAX;
    ft_mutex_init(&log->places_lock);
    ft_mutex_init(&log->lock);
    ft_cond_init(&log->changed);
}

void ft_store_deinit(struct ft_log *log) FT_NO_TSA
{
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        assert(!log->cursors[i].open);
    }
    free(log->segments);
    ft_cond_deinit(&log->changed);
    ft_mutex_deinit(&log->lock);
    ft_mutex_deinit(&log->places_lock);
}

ft_err ft_store_reserve_segments_locked(struct ft_log *log, size_t n_more)
{
    assert(n_more <= SEGMENTS_FIRST);
    if (log->n_segments + n_more <= log->n_segments_allocated) {
        return FT_OK;
    }
    size_t n = log->n_segments_allocated != 0 ? log->n_segments_allocated * 2 : SEGMENTS_FIRST;
    struct ft_log_segment **larger = realloc(log->segments, n * sizeof *larger);
    if (larger == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    log->segments = larger;
    log->n_segments_allocated = n;
    return FT_OK;
}

void ft_store_add_segment_locked(struct ft_log *log, struct ft_log_segment *segment)
{
    assert(log->n_segments < log->n_segments_allocated);
    log->segments[log->n_segments++] = segment;
    log->bytes += segment->bytes;
}

struct ft_log_segment *ft_store_take_oldest_locked(struct ft_log *log)
{
    return log->n_segments > 0 ? ft_store_take_locked(log, 0) : NULL;
}

struct ft_log_segment *ft_store_take_locked(struct ft_log *log, size_t index)
{
    assert(index < log->n_segments);
    struct ft_log_segment *segment = log->segments[index];
    log->n_segments--;
    memmove(log->segments + index, log->segments + index + 1,
            (log->n_segments - index) * sizeof(struct ft_log_segment *));
    log->bytes -= segment->bytes;
    if (log->head == segment) {
        log->head = NULL;
    }
    log->home->taken_locked(log, segment);
    return segment;
}

size_t ft_store_find_segment_locked(const struct ft_log *log, uint64_t position)
{
    size_t low = 0;
    size_t high = log->n_segments;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->segments[middle]->last < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Only the newest may be empty; its 'last' may still lie at 'position' or behind it. */
    return low < log->n_segments && log->segments[low]->n_blocks == 0 ? low + 1 : low;
}

void ft_store_count_block_locked(struct ft_log *log, struct ft_log_segment *segment,
                                 const struct ft_block_info *info, uint64_t position,
                                 uint64_t bytes)
{
    if (segment->n_blocks == 0) {
        segment->first = position;
        segment->first_time_ns = info->time_ns;
    }
    segment->last = position;
    segment->n_blocks++;
    segment->n_events += info->n_events;
    segment->bytes += bytes;
    log->bytes += bytes;
    log->newest_time_ns = info->time_ns;
}

/* Without any reader nobody has confirmed anything.  'offset' is that of the cursor's position. */
static uint64_t least_locked(const struct ft_log *log, size_t offset) FT_REQUIRES(log->lock)
{
    uint64_t least = log->held_floor;
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        const struct ft_log_cursor *cursor = &log->cursors[i];
        uint64_t position;
        memcpy(&position, (const char *)cursor + offset, sizeof position);
        if (cursor->name[0] != '\0' && !cursor->is_volatile && position < least) {
            least = position;
        }
    }
    return least == UINT64_MAX ? 0 : least;
}

uint64_t ft_store_confirmed_locked(const struct ft_log *log)
{
    return least_locked(log, offsetof(struct ft_log_cursor, confirmed));
}

uint64_t ft_store_taken_locked(const struct ft_log *log)
{
    return least_locked(log, offsetof(struct ft_log_cursor, taken));
}

uint64_t ft_store_taken_by_any_locked(const struct ft_log *log)
{
    uint64_t most = 0;
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        const struct ft_log_cursor *cursor = &log->cursors[i];
        if (cursor->name[0] != '\0' && !cursor->is_volatile && cursor->taken > most) {
            most = cursor->taken;
        }
    }
    return most;
}

uint64_t ft_store_held_locked(const struct ft_log *log)
{
    return least_locked(log, offsetof(struct ft_log_cursor, held));
}

void ft_store_drop(struct ft_log *log, struct ft_log_segment *segment, uint64_t floor)
{
    struct drop drop = {.log = log, .floor = floor};
    ft_err_ignore(log->home->each_block(log, segment, drop_block, &drop), "in memory it cannot");
    count_dropped(&drop);
    log->home->discard(log, segment);
}

ft_err ft_store_drop_listed(struct ft_log *log, struct ft_log_segment *segment, uint64_t floor,
                            bool *ret_in_doubt)
{
    struct drop drop = {.log = log, .floor = floor};
    ft_err err = log->home->each_block(log, segment, drop_block, &drop);
    *ret_in_doubt = false;
    if (err == FT_OK && log->options.on_dropped != NULL) {
        uint64_t n_unread = 0;
        if (floor < segment->first && segment->n_events > drop.n_events) {
            n_unread = segment->n_events - drop.n_events;
        }
        err = log->options.on_dropped(log->options.on_drop_ctx, segment->first, segment->last,
                                      n_unread);
        *ret_in_doubt = err != FT_OK;
    }
    ft_mutex_lock(&log->lock);
    segment->dropping = *ret_in_doubt;
    for (size_t i = 0; i < log->n_segments && err == FT_OK; i++) {
        if (log->segments[i] == segment) {
            (void)ft_store_take_locked(log, i);
            break;
        }
    }
    ft_cond_broadcast(&log->changed);
    ft_mutex_unlock(&log->lock);
    FT_TRY(err);
    count_dropped(&drop);
    log->home->discard(log, segment);
    return FT_OK;
}

static void count_dropped(const struct drop *drop)
{
    ft_mutex_lock(&drop->log->lock);
    drop->log->counters.dropped_blocks += drop->n_blocks;
    drop->log->counters.dropped_events += drop->n_events;
    ft_mutex_unlock(&drop->log->lock);
}

uint64_t ft_store_bytes_to_locked(const struct ft_log *log, uint64_t floor)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < log->n_segments && log->segments[i]->last <= floor; i++) {
        bytes += log->segments[i]->bytes;
    }
    return bytes;
}

/* The oldest segment, which is confirmed up to 'floor', stays a while. */
static bool is_kept_locked(const struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock)
{
    const struct ft_log_segment *oldest = log->segments[0];
    uint64_t behind = ft_store_bytes_to_locked(log, floor) - oldest->bytes;
    /* Its newest block is about as old as the first of the next. */
    int64_t time_ns = log->n_segments > 1 ? log->segments[1]->first_time_ns : log->newest_time_ns;
    bool is_old = log->options.keep_ns > 0 && log->newest_time_ns - time_ns > log->options.keep_ns;
    return behind < log->options.keep_bytes && !is_old;
}

void ft_store_free_confirmed(struct ft_log *log)
{
    for (;;) {
        ft_mutex_lock(&log->lock);
        uint64_t floor = ft_store_held_locked(log);
        struct ft_log_segment *segment = NULL;
        if (log->n_segments > 0 && log->segments[0] != log->head && !log->segments[0]->shared &&
            log->segments[0]->last <= floor && !is_kept_locked(log, floor)) {
            segment = ft_store_take_oldest_locked(log);
        } else {
            log->home->confirmed_locked(log, floor);
        }
        ft_mutex_unlock(&log->lock);
        if (segment == NULL) {
            return;
        }
        log->home->discard(log, segment);
    }
}

static void drop_block(void *ctx, const struct ft_block_info *info, uint64_t position, size_t size)
{
    struct drop *drop = ctx;
    if (position <= drop->floor) {
        return;
    }
    drop->n_blocks++;
    drop->n_events += info->n_events;
    if (drop->log->options.on_drop != NULL) {
        drop->log->options.on_drop(drop->log->options.on_drop_ctx, info, size);
    }
}
