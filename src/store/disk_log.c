/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_log.h"

#include <stdlib.h>
#include <string.h>

static void publish(struct ft_store_disk_log *disk, struct ft_store_buf *buf);

static ft_err disk_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                          size_t size, uint64_t *ret_position)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    size_t need = ft_store_frame_size(size);
    if (ft_store_disk_is_pending(disk)) {
        FT_TRY(ft_store_disk_write_pending(disk));
    }
    if (disk->doubtful != NULL) {
        FT_TRY(ft_store_disk_drop_doubtful(disk));
    }
    if (disk->unsynced_bytes + need > FT_STORE_UNSYNCED_MAX) {
        FT_TRY(ft_store_disk_sync(log));
    }
    FT_TRY(ft_store_disk_make_room(disk, need));
    FT_TRY(ft_store_disk_ensure_head(disk, need, info->time_ns));

    struct ft_store_buf *buf = ft_store_buf_create(size);
    if (buf == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_lock(&log->lock);
    ft_err err = ft_store_tail_reserve(&disk->tail);
    /* With nothing unsynced also positions that were used up and have no block: were they taken for
     * what a power cut took, they would take this block along (disk_recover.c). */
    uint64_t durable = disk->unsynced_bytes == 0 ? log->next_position - 1 : log->durable;
    struct ft_store_block_header header = {.info = *info,
                                           .salt = disk->salt,
                                           .position = log->next_position,
                                           .durable = durable,
                                           .size = (uint32_t)size};
    buf->segment_number = log->head->number;
    buf->offset = log->head->bytes;
    header.offset = buf->offset;
    ft_mutex_unlock(&log->lock);
    if (err == FT_OK) {
        buf->info = *info;
        buf->position = header.position;
        if (size > 0) {
            memcpy(buf->frame + FT_STORE_BLOCK_HEADER_SIZE, data, size);
        }
        ft_store_encode_block(&header, buf->frame);
        err = disk->disk->ops->write_at(disk->head_file, buf->offset, buf->frame, need);
        /* The range may hold anything now, and its end is not known. */
        disk->head_failed = err != FT_OK;
    }
    if (err != FT_OK) {
        ft_store_buf_unref(buf);
        return err;
    }
    *ret_position = buf->position;
    publish(disk, buf);
    return FT_OK;
}

ft_err ft_store_disk_sync(struct ft_log *log)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    if (ft_store_disk_is_pending(disk)) {
        return ft_store_disk_write_pending(disk);
    }
    if (disk->unsynced_bytes == 0) {
        return FT_OK;
    }
    ft_err err = disk->disk->ops->sync(disk->head_file);
    if (err == FT_OK && disk->dir_dirty) {
        err = disk->disk->ops->sync_dir(disk->disk);
        disk->dir_dirty = err != FT_OK;
    }
    ft_mutex_lock(&log->lock);
    log->counters.syncs++;
    log->counters.sync_failures += err != FT_OK ? 1 : 0;
    ft_mutex_unlock(&log->lock);
    if (err != FT_OK) {
        ft_store_disk_give_up_head(disk);
        return ft_store_disk_write_pending(disk);
    }
    ft_store_disk_became_durable(disk);
    return FT_OK;
}

static void publish(struct ft_store_disk_log *disk, struct ft_store_buf *buf)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    ft_store_tail_add(&disk->tail, buf);
    disk->unsynced_bytes += buf->frame_size;
    ft_store_count_block_locked(log, log->head, &buf->info, buf->position, buf->frame_size);
    log->next_position = buf->position + 1;
    log->last = buf->position;
    log->counters.appended_blocks++;
    log->counters.appended_events += buf->info.n_events;
    ft_cond_broadcast(&log->changed);
    ft_mutex_unlock(&log->lock);
}

void ft_store_disk_became_durable(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    log->durable = log->last;
    disk->unsynced_bytes = 0;
    while (disk->tail.bytes > FT_STORE_RECENT_MAX) {
        ft_store_tail_remove_first(&disk->tail);
    }
    ft_cond_broadcast(&log->changed);
    ft_mutex_unlock(&log->lock);
    if (log->listener != NULL) {
        log->listener(log->listener_ctx);
    }
}

/* What is gone must not be read from memory either. */
static void disk_taken_locked(struct ft_log *log, const struct ft_log_segment *segment)
    FT_REQUIRES(log->lock)
{
    ft_store_tail_remove_to(&ft_store_disk_of(log)->tail, segment->last);
}

/* The head's file goes on until it is full, whatever is confirmed of it. */
static void disk_confirmed_locked(struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock)
{
    (void)log;
    (void)floor;
}

static void disk_destroy(struct ft_log *log) FT_NO_TSA
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    ft_err_ignore(ft_store_disk_seal_head(disk, true),
                  "whoever needs the blocks durable has called ft_log_sync");
    if (disk->head_file != NULL) {
        disk->disk->ops->close(disk->head_file);
    }
    for (size_t i = 0; i < log->n_segments; i++) {
        free(log->segments[i]);
    }
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        ft_store_disk_cursor_close(disk, &log->cursors[i]);
    }
    free(disk->spare);
    ft_store_tail_deinit(&disk->tail);
    ft_store_deinit(log);
    free(disk);
}

const struct ft_log_home ft_store_disk_home = {
    .append = disk_append,
    .sync = ft_store_disk_sync,
    .read = ft_store_disk_read,
    .each_block = ft_store_disk_each_block,
    .discard = ft_store_disk_discard,
    .taken_locked = disk_taken_locked,
    .confirmed_locked = disk_confirmed_locked,
    .cursor_create = ft_store_disk_cursor_create,
    .cursor_store = ft_store_disk_cursor_store,
    .cursor_remove = ft_store_disk_cursor_remove,
    .reader_close = ft_store_disk_reader_close,
    .destroy = disk_destroy,
    .keeps_cursors = true,
};
