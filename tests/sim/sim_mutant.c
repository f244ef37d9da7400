/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_mutant.h"

#include <stdlib.h>
#include <string.h>

struct mutant_disk {
    struct ft_disk base;
    enum sim_mutant mutant;
    struct ft_disk *inner;
};

struct mutant_file {
    struct ft_disk_file base;
    struct ft_disk_file *inner;
    bool is_cursor;
};

static struct mutant_disk *disk_of(struct ft_disk *disk) { return (struct mutant_disk *)disk; }

static struct mutant_file *file_of(struct ft_disk_file *file) { return (struct mutant_file *)file; }

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static ft_err mutant_open(struct ft_disk *disk, const char *name, bool create,
                          struct ft_disk_file **ret_file)
{
    struct ft_disk *inner = disk_of(disk)->inner;
    struct ft_disk_file *file;
    FT_TRY(inner->ops->open(inner, name, create, &file));
    struct mutant_file *own = must(malloc(sizeof *own));
    *own = (struct mutant_file){
        .base = {disk}, .inner = file, .is_cursor = strncmp(name, "cursor-", 7) == 0};
    *ret_file = &own->base;
    return FT_OK;
}

static void mutant_close(struct ft_disk_file *file)
{
    struct ft_disk_file *inner = file_of(file)->inner;
    inner->disk->ops->close(inner);
    free(file);
}

static ft_err mutant_write(struct ft_disk_file *file, uint64_t offset, const void *data,
                           size_t size)
{
    struct ft_disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->write_at(inner, offset, data, size);
}

static ft_err mutant_read(struct ft_disk_file *file, uint64_t offset, void *data, size_t size,
                          size_t *ret_size)
{
    struct ft_disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->read_at(inner, offset, data, size, ret_size);
}

static ft_err mutant_sync(struct ft_disk_file *file)
{
    enum sim_mutant mutant = disk_of(file->disk)->mutant;
    struct ft_disk_file *inner = file_of(file)->inner;
    if (mutant == SIM_MUTANT_UNLINK_BEFORE_CURSOR && file_of(file)->is_cursor) {
        return FT_OK;
    }
    ft_err err = inner->disk->ops->sync(inner);
    for (unsigned i = 0; i < 3 && err != FT_OK && mutant == SIM_MUTANT_SYNC_RETRIED; i++) {
        err = inner->disk->ops->sync(inner);
    }
    return err;
}

static ft_err mutant_truncate(struct ft_disk_file *file, uint64_t size)
{
    struct ft_disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->truncate(inner, size);
}

static ft_err mutant_allocate(struct ft_disk_file *file, uint64_t size)
{
    struct ft_disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->allocate(inner, size);
}

static ft_err mutant_remove(struct ft_disk *disk, const char *name)
{
    struct ft_disk *inner = disk_of(disk)->inner;
    return inner->ops->remove(inner, name);
}

static ft_err mutant_rename(struct ft_disk *disk, const char *from, const char *to)
{
    struct ft_disk *inner = disk_of(disk)->inner;
    return inner->ops->rename(inner, from, to);
}

static ft_err mutant_sync_dir(struct ft_disk *disk)
{
    struct ft_disk *inner = disk_of(disk)->inner;
    return disk_of(disk)->mutant == SIM_MUTANT_DIR_NOT_SYNCED ? FT_OK : inner->ops->sync_dir(inner);
}

static ft_err mutant_list(struct ft_disk *disk, ft_disk_name_fn *fn, void *ctx)
{
    struct ft_disk *inner = disk_of(disk)->inner;
    return inner->ops->list(inner, fn, ctx);
}

static ft_err mutant_space(struct ft_disk *disk, uint64_t *ret_free, uint64_t *ret_total)
{
    struct ft_disk *inner = disk_of(disk)->inner;
    return inner->ops->space(inner, ret_free, ret_total);
}

static void mutant_destroy(struct ft_disk *disk) { free(disk_of(disk)); }

/* No file of the collector is private or mapped here. */
static const struct ft_disk_ops mutant_ops = {.open = mutant_open,
                                              .close = mutant_close,
                                              .write_at = mutant_write,
                                              .read_at = mutant_read,
                                              .sync = mutant_sync,
                                              .truncate = mutant_truncate,
                                              .allocate = mutant_allocate,
                                              .remove = mutant_remove,
                                              .rename = mutant_rename,
                                              .sync_dir = mutant_sync_dir,
                                              .list = mutant_list,
                                              .space = mutant_space,
                                              .destroy = mutant_destroy};

struct ft_disk *sim_mutant_disk_create(enum sim_mutant mutant, struct ft_disk *inner)
{
    struct mutant_disk *disk = must(calloc(1, sizeof *disk));
    *disk = (struct mutant_disk){.base = {&mutant_ops}, .mutant = mutant, .inner = inner};
    return &disk->base;
}
