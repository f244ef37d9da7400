/* SPDX-License-Identifier: Apache-2.0 */
/* The head's file: made with all its space, written to until it is full, and sealed. */
#include <stdlib.h>

#include "base/random.h"
#include "store/disk_log.h"

static bool cut_failed(struct ft_store_disk_log *disk);
static ft_err open_head(struct ft_store_disk_log *disk, uint64_t bytes, int64_t time_ns);
static ft_err allocate_file(struct ft_store_disk_log *disk, const char *name, uint64_t bytes,
                            struct ft_disk_file **ret_file);

/* Whether a block of 'need' bytes goes into the head; a large one may have a head to itself. */
bool ft_store_disk_fits_head(struct ft_store_disk_log *disk, uint64_t need)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    bool fits = log->head != NULL && !disk->head_failed &&
                (log->head->n_blocks == 0 || log->head->bytes + need <= disk->segment_bytes);
    ft_mutex_unlock(&log->lock);
    return fits;
}

/* A head with room for 'need' bytes; a block larger than a segment gets one of its own. */
ft_err ft_store_disk_ensure_head(struct ft_store_disk_log *disk, uint64_t need, int64_t time_ns)
{
    if (ft_store_disk_fits_head(disk, need)) {
        return FT_OK;
    }
    FT_TRY(ft_store_disk_seal_head(disk, false));
    uint64_t bytes = FT_STORE_SEGMENT_HEADER_SIZE + need + FT_STORE_TRAILER_SIZE;
    uint64_t usual = disk->segment_bytes + FT_STORE_TRAILER_SIZE;
    return open_head(disk, bytes > usual ? bytes : usual, time_ns);
}

/*
 * Syncs the head and closes it.  The trailer says that the segment is whole and durable, so it
 * follows the sync; it needs no sync of its own, because without it the segment is read instead.
 * It gets one at the end 'for_good', so that the next start finds everything certain.
 */
ft_err ft_store_disk_seal_head(struct ft_store_disk_log *disk, bool for_good)
{
    struct ft_log *log = &disk->base;
    const struct ft_disk_ops *ops = disk->disk->ops;
    bool is_cut = cut_failed(disk);
    FT_TRY(ft_store_disk_sync(log));
    is_cut = is_cut || !disk->head_failed; /* It went into another file. */
    ft_mutex_lock(&log->lock);
    struct ft_log_segment *head = log->head;
    struct ft_log_segment copy = head != NULL ? *head : (struct ft_log_segment){0};
    if (head != NULL && head->n_blocks == 0) {
        /* Nothing was ever written to it: the write that it was opened for failed. */
        log->bytes -= head->bytes;
        log->n_segments--;
    }
    log->head = NULL;
    ft_mutex_unlock(&log->lock);
    if (head == NULL) {
        return FT_OK;
    }
    struct ft_disk_file *file = disk->head_file;
    disk->head_file = NULL;
    if (copy.n_blocks == 0) {
        ops->close(file);
        ft_store_disk_remove_segment(disk, copy.number);
        free(head);
        return FT_OK;
    }
    struct ft_store_trailer trailer = {.salt = disk->salt,
                                       .number = copy.number,
                                       .first = copy.first,
                                       .last = copy.last,
                                       .n_blocks = copy.n_blocks,
                                       .n_events = copy.n_events,
                                       .offset = copy.bytes,
                                       .first_time_ns = copy.first_time_ns,
                                       .previous = disk->head_previous};
    uint8_t bytes[FT_STORE_TRAILER_SIZE];
    ft_store_encode_trailer(&trailer, bytes);
    if (is_cut && ops->write_at(file, copy.bytes, bytes, sizeof bytes) == FT_OK) {
        /* Also gives back what was reserved for the file and not used. */
        ft_err_ignore(ops->truncate(file, copy.bytes + sizeof bytes), "only space is lost");
        if (for_good) {
            ft_err_ignore(ops->sync(file), "then the next start reads the segment");
        }
    }
    ops->close(file);
    return FT_OK;
}

ft_err ft_store_disk_create_file(struct ft_store_disk_log *disk, const char *name,
                                 const struct ft_store_segment_header *header, uint64_t bytes,
                                 bool must_allocate, struct ft_disk_file **ret_file)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    struct ft_disk_file *file;
    ft_err err = allocate_file(disk, name, bytes, &file);
    if (err != FT_OK && ft_err_kind(err) == FT_KIND_BLOCKED && !must_allocate) {
        /* What is to be written may be much less. */
        err = ops->open(disk->disk, name, true, &file);
    }
    FT_TRY(err);
    uint8_t encoded[FT_STORE_SEGMENT_HEADER_SIZE];
    ft_store_encode_segment_header(header, encoded);
    err = ops->write_at(file, 0, encoded, sizeof encoded);
    if (err != FT_OK) {
        ops->close(file);
        ft_err_ignore(ops->remove(disk->disk, name), "the next start removes it");
        return err;
    }
    *ret_file = file;
    return FT_OK;
}

void ft_store_disk_remove_segment(struct ft_store_disk_log *disk, uint64_t number)
{
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(number, name);
    ft_err_ignore(disk->disk->ops->remove(disk->disk, name),
                  "a file that stays is found confirmed or superseded at the next start");
}

/*
 * What a failed write has left behind the blocks may be a whole one, and then it may be on the
 * disk. A trailer would hide it from the next start and, while it is not synced, not from one after
 * a power cut: what was told as lost would be there again.  True when it is gone for good, as soon
 * as the head is synced.
 */
static bool cut_failed(struct ft_store_disk_log *disk)
{
    if (!disk->head_failed || disk->head_file == NULL) {
        return true;
    }
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    uint64_t bytes = log->head != NULL ? log->head->bytes : 0;
    ft_mutex_unlock(&log->lock);
    return bytes > 0 && disk->disk->ops->truncate(disk->head_file, bytes) == FT_OK &&
           (disk->unsynced_bytes > 0 || disk->disk->ops->sync(disk->head_file) == FT_OK);
}

static ft_err open_head(struct ft_store_disk_log *disk, uint64_t bytes, int64_t time_ns)
{
    struct ft_log *log = &disk->base;
    struct ft_store_disk_segment *segment = calloc(1, sizeof *segment);
    if (disk->spare == NULL) {
        disk->spare = calloc(1, sizeof *disk->spare);
    }
    if (segment == NULL || disk->spare == NULL) {
        free(segment);
        return ft_err_from_errno(ENOMEM);
    }
    disk->salt = ft_random_u64(ft_random_system());
    ft_mutex_lock(&log->lock);
    struct ft_store_segment_header header = {.number = ++disk->next_number,
                                             .salt = disk->salt,
                                             .first = log->next_position,
                                             .previous = log->last,
                                             .first_time_ns = time_ns};
    ft_err err = ft_store_reserve_segments_locked(log, 2);
    ft_mutex_unlock(&log->lock);
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(header.number, name);
    struct ft_disk_file *file = NULL;
    if (err == FT_OK) {
        err = ft_store_disk_create_file(disk, name, &header, bytes, true, &file);
    }
    if (err != FT_OK) {
        free(segment);
        return err;
    }
    segment->base = (struct ft_log_segment){.number = header.number,
                                            .first = header.first,
                                            .last = header.first - 1,
                                            .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    segment->on_disk = true;
    segment->salt = disk->salt;
    segment->salt_known = true;
    disk->head_file = file;
    disk->head_failed = false;
    disk->head_previous = header.previous;
    disk->dir_dirty = true;
    ft_mutex_lock(&log->lock);
    ft_store_add_segment_locked(log, &segment->base);
    log->head = &segment->base;
    bool low = log->counters.space_low;
    ft_mutex_unlock(&log->lock);
    if (!low) {
        ft_store_disk_fill_reserve(disk);
    }
    return FT_OK;
}

/*
 * Where the file system has no room the oldest segments go, then the reserve is used: whoever has
 * filled it may take what is given back faster than it is allocated here.
 */
static ft_err allocate_file(struct ft_store_disk_log *disk, const char *name, uint64_t bytes,
                            struct ft_disk_file **ret_file)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    for (;;) {
        struct ft_disk_file *file;
        FT_TRY(ops->open(disk->disk, name, true, &file));
        ft_err err = ops->allocate(file, bytes);
        if (err == FT_OK || err == FT_E_UNSUPPORTED) {
            *ret_file = file;
            return FT_OK;
        }
        ops->close(file);
        ft_err_ignore(ops->remove(disk->disk, name), "the next start removes it");
        if (ft_err_kind(err) != FT_KIND_BLOCKED || disk->base.options.reserve_segments == 0) {
            return err;
        }
        ft_store_disk_note_refusal(disk, true);
        uint64_t freed = 0;
        bool may_drop =
            disk->base.options.full == FT_LOG_DROP_OLDEST && !ft_store_disk_is_pending(disk);
        if (!may_drop || ft_store_disk_let_one_go(disk, &freed) != FT_OK) {
            FT_TRY(ft_store_disk_take_reserve(disk, name));
            return ops->open(disk->disk, name, false, ret_file);
        }
    }
}
