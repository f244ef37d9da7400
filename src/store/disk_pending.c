/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the head's sync has failed nobody knows what of it is on the disk, and the kernel has
 * forgotten it: what is not durable is written once more, to another file.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/random.h"
#include "store/disk_log.h"

static void move_frame(struct ft_store_buf *buf, uint64_t salt, uint64_t offset);
static ft_err write_tail(struct ft_store_disk_log *disk, struct ft_disk_file *file, uint64_t first);

bool ft_store_disk_is_pending(struct ft_store_disk_log *disk)
{
    ft_mutex_lock(&disk->base.lock);
    struct ft_log_segment *head = disk->base.head;
    bool pending = head != NULL && !ft_store_disk_segment_of(head)->on_disk;
    ft_mutex_unlock(&disk->base.lock);
    return pending;
}

/* The head's sync has failed: what is not durable moves to a pending segment. */
void ft_store_disk_give_up_head(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    disk->disk->ops->close(disk->head_file);
    disk->head_file = NULL;
    ft_mutex_lock(&log->lock);
    struct ft_log_segment *old = log->head;
    if (old->first > log->durable) {
        /* None of it is durable: the same segment goes on, without its file. */
        if (disk->n_doomed < FT_STORE_DOOMED_MAX) {
            disk->doomed[disk->n_doomed++] = old->number;
        }
        ft_store_disk_segment_of(old)->on_disk = false;
        ft_mutex_unlock(&log->lock);
        return;
    }
    assert(disk->spare != NULL);
    struct ft_log_segment *pending = &disk->spare->base;
    disk->spare = NULL;
    *pending = (struct ft_log_segment){.number = ++disk->next_number,
                                       .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    size_t i = ft_store_tail_find(&disk->tail, log->durable + 1);
    for (; i < disk->tail.n; i++) {
        const struct ft_store_buf *buf = ft_store_tail_at(&disk->tail, i);
        old->n_blocks--;
        old->n_events -= buf->info.n_events;
        old->bytes -= buf->frame_size;
        log->bytes -= buf->frame_size;
        pending->n_blocks++;
        pending->n_events += buf->info.n_events;
        pending->bytes += buf->frame_size;
        if (pending->n_blocks == 1) {
            pending->first = buf->position;
            pending->first_time_ns = buf->info.time_ns;
        }
        pending->last = buf->position;
    }
    old->last = log->durable;
    ft_store_add_segment_locked(log, pending);
    log->head = pending;
    ft_mutex_unlock(&log->lock);
}

/* Under the name "new-…" until it is whole: a half of it must not count at the next start. */
ft_err ft_store_disk_write_pending(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    const struct ft_disk_ops *ops = disk->disk->ops;
    if (disk->spare == NULL) {
        disk->spare = calloc(1, sizeof *disk->spare);
        if (disk->spare == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
    }
    ft_mutex_lock(&log->lock);
    ft_err err = ft_store_reserve_segments_locked(log, 1);
    if (err != FT_OK) {
        ft_mutex_unlock(&log->lock);
        return err;
    }
    struct ft_log_segment *head = log->head;
    head->number = ++disk->next_number;
    disk->salt = ft_random_u64(ft_random_system());
    uint64_t before = log->n_segments > 1 ? log->segments[log->n_segments - 2]->last : 0;
    struct ft_store_segment_header header = {.number = head->number,
                                             .salt = disk->salt,
                                             .first = head->first,
                                             .previous = before,
                                             .first_time_ns = head->first_time_ns};
    uint64_t bytes = head->bytes;
    ft_mutex_unlock(&log->lock);

    char new_name[FT_DISK_NAME_SIZE];
    char name[FT_DISK_NAME_SIZE];
    ft_store_new_name(header.number, new_name);
    ft_store_segment_name(header.number, name);
    bytes = bytes > disk->segment_bytes ? bytes : disk->segment_bytes;
    struct ft_disk_file *file;
    FT_TRY(ft_store_disk_create_file(disk, new_name, &header, bytes, false, &file));
    err = write_tail(disk, file, header.first);
    if (err == FT_OK) {
        err = ops->sync(file);
    }
    const char *made = new_name;
    if (err == FT_OK) {
        err = ops->rename(disk->disk, new_name, name);
        made = err == FT_OK ? name : new_name;
    }
    if (err == FT_OK) {
        err = ops->sync_dir(disk->disk);
    }
    ft_mutex_lock(&log->lock);
    log->counters.syncs++;
    log->counters.sync_failures += err != FT_OK ? 1 : 0;
    if (err == FT_OK) {
        ft_store_disk_segment_of(head)->on_disk = true;
        ft_store_disk_segment_of(head)->salt = disk->salt;
        ft_store_disk_segment_of(head)->salt_known = true;
        for (size_t i = 0; i < log->n_segments; i++) {
            log->segments[i]->shared = false;
        }
    }
    ft_mutex_unlock(&log->lock);
    if (err != FT_OK) {
        ops->close(file);
        ft_err_ignore(ops->remove(disk->disk, made), "the next start removes or reads it");
        return err;
    }
    disk->head_file = file;
    disk->head_failed = false;
    disk->head_previous = header.previous;
    disk->dir_dirty = false;
    ft_store_disk_became_durable(disk);
    while (disk->n_doomed > 0) {
        ft_store_disk_remove_segment(disk, disk->doomed[--disk->n_doomed]);
    }
    return FT_OK;
}

/*
 * The block goes into another segment, and to another place there.  That segment counts once it is
 * durable as a whole, so what is missing in it is not missing because of a crash.  Readers look at
 * the payload alone, which stays as it is.
 */
static void move_frame(struct ft_store_buf *buf, uint64_t salt, uint64_t offset)
{
    struct ft_store_block_header header;
    bool whole = ft_store_decode_block_header(buf->frame, NULL, &header);
    assert(whole);
    (void)whole;
    header.salt = salt;
    header.offset = offset;
    header.durable = header.position - 1;
    ft_store_encode_block(&header, buf->frame);
}

/* Only the writer removes from the tail what is not durable, so the buffers stay. */
static ft_err write_tail(struct ft_store_disk_log *disk, struct ft_disk_file *file, uint64_t first)
{
    struct ft_log *log = &disk->base;
    uint64_t offset = FT_STORE_SEGMENT_HEADER_SIZE;
    uint64_t position = first;
    for (;;) {
        ft_mutex_lock(&log->lock);
        size_t i = ft_store_tail_find(&disk->tail, position);
        struct ft_store_buf *buf = i < disk->tail.n ? ft_store_tail_at(&disk->tail, i) : NULL;
        if (buf != NULL) {
            buf->segment_number = log->head->number;
            buf->offset = offset;
        }
        ft_mutex_unlock(&log->lock);
        if (buf == NULL) {
            return FT_OK;
        }
        move_frame(buf, disk->salt, offset);
        FT_TRY(disk->disk->ops->write_at(file, offset, buf->frame, buf->frame_size));
        offset += buf->frame_size;
        position = buf->position + 1;
    }
}
