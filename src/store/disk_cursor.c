/* SPDX-License-Identifier: Apache-2.0 */
/* The readers' places on disk: one file each, two slots in it (store/format.h). */
#include <stdlib.h>
#include <string.h>

#include "store/disk_log.h"

static ft_err write_anew(struct ft_store_disk_log *disk, const char *name,
                         struct ft_store_disk_cursor *own, uint64_t position);
static ft_err write_slot(struct ft_store_disk_cursor *own, uint64_t position, bool durable);

ft_err ft_store_disk_cursor_create(struct ft_log *log, struct ft_log_cursor *cursor)
{
    ft_err err = ft_store_disk_cursor_store(log, cursor, cursor->confirmed, true);
    if (err != FT_OK) {
        ft_store_disk_cursor_close(ft_store_disk_of(log), cursor);
    }
    return err;
}

/* Of one cursor, called by one thread at a time: the one that opened or confirms it. */
ft_err ft_store_disk_cursor_store(struct ft_log *log, struct ft_log_cursor *cursor,
                                  uint64_t position, bool durable)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    struct ft_store_disk_cursor *own = cursor->home_own;
    if (own == NULL) {
        own = calloc(1, sizeof *own);
        if (own == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
        cursor->home_own = own;
    }
    if (own->file != NULL) {
        ft_err err = write_slot(own, position, durable);
        if (err == FT_OK) {
            return FT_OK;
        }
        /* The file is lost: a new one takes its place, once it is whole. */
        disk->disk->ops->close(own->file);
        own->file = NULL;
    }
    return write_anew(disk, cursor->name, own, position);
}

ft_err ft_store_disk_cursor_remove(struct ft_log *log, struct ft_log_cursor *cursor)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    ft_store_disk_cursor_close(disk, cursor);
    char name[FT_DISK_NAME_SIZE];
    ft_store_cursor_name(cursor->name, name);
    ft_err err = disk->disk->ops->remove(disk->disk, name);
    if (err != FT_OK && err != ft_err_from_errno(ENOENT)) {
        return err;
    }
    return disk->disk->ops->sync_dir(disk->disk);
}

void ft_store_disk_cursor_close(struct ft_store_disk_log *disk, struct ft_log_cursor *cursor)
{
    struct ft_store_disk_cursor *own = cursor->home_own;
    if (own != NULL && own->file != NULL) {
        disk->disk->ops->close(own->file);
    }
    free(own);
    cursor->home_own = NULL;
}

ft_err ft_store_disk_cursor_read(struct ft_disk *disk, const char *name,
                                 struct ft_store_slot *ret_slot)
{
    char file_name[FT_DISK_NAME_SIZE];
    ft_store_cursor_name(name, file_name);
    char *data;
    size_t size;
    ft_err err = ft_disk_read_all(disk, file_name, FT_STORE_CURSOR_SIZE, &data, &size);
    if (err != FT_OK) {
        return err == FT_E_RANGE ? FT_E_CORRUPT : err;
    }
    bool found = false;
    for (unsigned i = 0; i < 2; i++) {
        struct ft_store_slot slot;
        size_t offset = i * FT_STORE_SLOT_OFFSET;
        if (size >= offset + FT_STORE_SLOT_SIZE &&
            ft_store_decode_slot((const uint8_t *)data + offset, &slot) &&
            (!found || slot.generation > ret_slot->generation)) {
            *ret_slot = slot;
            found = true;
        }
    }
    free(data);
    return found ? FT_OK : FT_E_CORRUPT;
}

static ft_err write_anew(struct ft_store_disk_log *disk, const char *name,
                         struct ft_store_disk_cursor *own, uint64_t position)
{
    char file_name[FT_DISK_NAME_SIZE];
    ft_store_cursor_name(name, file_name);
    uint8_t data[FT_STORE_CURSOR_SIZE] = {0};
    own->generation++;
    struct ft_store_slot slot = {.generation = own->generation, .confirmed = position};
    ft_store_encode_slot(&slot, data);
    FT_TRY(ft_disk_replace(disk->disk, file_name, data, sizeof data));
    own->stable = 0;
    return disk->disk->ops->open(disk->disk, file_name, false, &own->file);
}

static ft_err write_slot(struct ft_store_disk_cursor *own, uint64_t position, bool durable)
{
    const struct ft_disk_ops *ops = own->file->disk->ops;
    uint8_t data[FT_STORE_SLOT_SIZE];
    own->generation++;
    struct ft_store_slot slot = {.generation = own->generation, .confirmed = position};
    ft_store_encode_slot(&slot, data);
    unsigned other = 1 - own->stable;
    FT_TRY(ops->write_at(own->file, other * FT_STORE_SLOT_OFFSET, data, sizeof data));
    if (durable) {
        FT_TRY(ops->sync(own->file));
        own->stable = other;
    }
    return FT_OK;
}
