/* SPDX-License-Identifier: Apache-2.0 */
/* The readers' places on disk: one slot file each (store/slot_file.h, store/format.h). */
#include <stdlib.h>
#include <string.h>

#include "store/disk_log.h"

ft_err ft_store_disk_cursor_create(struct ft_log *log, struct ft_log_cursor *cursor)
{
    struct ft_store_cursor_record record = {.confirmed = cursor->confirmed};
    ft_err err = ft_store_disk_cursor_store(log, cursor, &record, true);
    if (err != FT_OK) {
        ft_store_disk_cursor_close(ft_store_disk_of(log), cursor);
    }
    return err;
}

/* One call at a time (places_lock). */
ft_err ft_store_disk_cursor_store(struct ft_log *log, struct ft_log_cursor *cursor,
                                  const struct ft_store_cursor_record *record, bool durable)
{
    if (cursor->home_own == NULL) {
        cursor->home_own = ft_store_disk_cursor_file(ft_store_disk_of(log), cursor->name, 0);
        if (cursor->home_own == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
    }
    uint8_t bytes[FT_STORE_CURSOR_SIZE_MAX];
    size_t size;
    ft_store_encode_cursor(record, bytes, &size);
    return ft_slot_file_write(cursor->home_own, bytes, size, durable);
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
    (void)disk;
    if (cursor->home_own != NULL) {
        ft_slot_file_close(cursor->home_own);
        free(cursor->home_own);
        cursor->home_own = NULL;
    }
}

ft_err ft_store_disk_cursor_read(struct ft_disk *disk, const char *name,
                                 struct ft_store_cursor_record *ret_record,
                                 uint64_t *ret_generation)
{
    char file_name[FT_DISK_NAME_SIZE];
    ft_store_cursor_name(name, file_name);
    uint8_t record[512];
    size_t size;
    FT_TRY(
        ft_slot_file_read(disk, file_name, &ft_store_cursor_kind, record, &size, ret_generation));
    return ft_store_decode_cursor(record, size, ret_record) ? FT_OK : FT_E_CORRUPT;
}

struct ft_slot_file *ft_store_disk_cursor_file(struct ft_store_disk_log *disk, const char *name,
                                               uint64_t generation)
{
    struct ft_slot_file *file = malloc(sizeof *file);
    if (file != NULL) {
        char file_name[FT_DISK_NAME_SIZE];
        ft_store_cursor_name(name, file_name);
        ft_slot_file_init(file, disk->disk, file_name, &ft_store_cursor_kind, generation);
    }
    return file;
}
