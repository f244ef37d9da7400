/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room on the file system.  Every segment gets its whole space before anything is written to it,
 * so that no write into it can meet a full disk.  Some segments' space is kept in reserve, as empty
 * files: with them the log goes on while others have filled the disk, until it has dropped enough
 * of its own.
 */
#include <stdio.h>

#include "store/disk_log.h"

static ft_err make_file(struct ft_store_disk_log *disk, const char *name, uint64_t bytes);
static ft_err open_earlier(struct ft_store_disk_log *disk, const char *name,
                           struct ft_disk_file **ret_file);
static void forget_reserve(struct ft_store_disk_log *disk, unsigned i);
static void reserve_name(unsigned i, char *buf);

bool ft_store_disk_may_grow(struct ft_store_disk_log *disk)
{
    double least = disk->base.options.free_ratio_min;
    uint64_t free_bytes;
    uint64_t total;
    if (least <= 0 || disk->disk->ops->space(disk->disk, &free_bytes, &total) != FT_OK) {
        return true; /* If there is no room, the allocation says so. */
    }
    return (double)free_bytes - (double)disk->segment_bytes >= least * (double)total;
}

uint64_t ft_store_disk_share_of_space(struct ft_store_disk_log *disk, uint64_t segment_bytes)
{
    uint64_t free_bytes;
    uint64_t total;
    if (disk->base.options.reserve_segments == 0 ||
        disk->disk->ops->space(disk->disk, &free_bytes, &total) != FT_OK) {
        return segment_bytes;
    }
    uint64_t share = total / FT_STORE_SPACE_SHARE;
    return share < segment_bytes ? share : segment_bytes;
}

void ft_store_disk_note_refusal(struct ft_store_disk_log *disk, bool refused)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    log->counters.space_low = refused;
    log->counters.space_refusals += refused ? 1 : 0;
    ft_mutex_unlock(&log->lock);
}

void ft_store_disk_fill_reserve(struct ft_store_disk_log *disk)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < disk->base.options.reserve_segments; i++) {
        if (!disk->reserved[i]) {
            char name[FT_DISK_NAME_SIZE];
            reserve_name(i, name);
            disk->reserved[i] =
                make_file(disk, name, disk->segment_bytes + FT_STORE_TRAILER_SIZE) == FT_OK;
        }
        bytes += disk->reserved[i] ? disk->segment_bytes : 0;
    }
    ft_mutex_lock(&disk->base.lock);
    disk->base.counters.reserve_bytes = bytes;
    ft_mutex_unlock(&disk->base.lock);
}

ft_err ft_store_disk_take_reserve(struct ft_store_disk_log *disk, const char *name)
{
    for (unsigned i = disk->base.options.reserve_segments; i-- > 0;) {
        if (disk->reserved[i]) {
            char from[FT_DISK_NAME_SIZE];
            reserve_name(i, from);
            FT_TRY(disk->disk->ops->rename(disk->disk, from, name));
            forget_reserve(disk, i);
            return FT_OK;
        }
    }
    return ft_err_from_errno(ENOSPC);
}

bool ft_store_disk_give_reserve(struct ft_store_disk_log *disk)
{
    char name[FT_DISK_NAME_SIZE];
    for (unsigned i = disk->base.options.reserve_segments; i-- > 0;) {
        reserve_name(i, name);
        if (disk->reserved[i] && disk->disk->ops->remove(disk->disk, name) == FT_OK) {
            forget_reserve(disk, i);
            return true;
        }
    }
    return false;
}

static void forget_reserve(struct ft_store_disk_log *disk, unsigned i)
{
    disk->reserved[i] = false;
    ft_mutex_lock(&disk->base.lock);
    disk->base.counters.reserve_bytes -= disk->segment_bytes;
    ft_mutex_unlock(&disk->base.lock);
}

/*
 * One of an earlier start is used again: its space may have been for smaller segments.  But one
 * with content may be a segment as well: where a power cut came after the renaming of a reserve, a
 * file system without a journal may show the file under both names.
 */
static ft_err open_earlier(struct ft_store_disk_log *disk, const char *name,
                           struct ft_disk_file **ret_file)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    FT_TRY(ops->open(disk->disk, name, false, ret_file));
    uint8_t byte;
    size_t size = 0;
    ft_err err = ops->read_at(*ret_file, 0, &byte, 1, &size);
    if (err == FT_OK && size == 0) {
        return FT_OK;
    }
    ops->close(*ret_file);
    FT_TRY(err);
    FT_TRY(ops->remove(disk->disk, name));
    return ft_err_from_errno(ENOENT);
}

static ft_err make_file(struct ft_store_disk_log *disk, const char *name, uint64_t bytes)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    struct ft_disk_file *file;
    ft_err err = open_earlier(disk, name, &file);
    if (err == ft_err_from_errno(ENOENT)) {
        err = ops->open(disk->disk, name, true, &file);
    }
    FT_TRY(err);
    err = ops->allocate(file, bytes);
    ops->close(file);
    /* Where space cannot be reserved an empty file is as good as none, and does no harm. */
    return err == FT_E_UNSUPPORTED ? FT_OK : err;
}

static void reserve_name(unsigned i, char *buf)
{
    (void)snprintf(buf, FT_DISK_NAME_SIZE, "reserve-%016x", i + 1);
}
