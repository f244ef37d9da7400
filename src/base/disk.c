/* SPDX-License-Identifier: Apache-2.0 */
#include "base/disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEW_SUFFIX      ".new"
#define READ_SIZE_FIRST ((size_t)4096)

static ft_err replace(struct ft_disk *disk, const char *name, const void *data, size_t size,
                      bool private);
static ft_err write_new(struct ft_disk *disk, const char *name, const void *data, size_t size,
                        bool private);
static ft_err make_private(struct ft_disk_file *file);
static ft_err read_file(struct ft_disk_file *file, size_t size_max, char **ret_data,
                        size_t *ret_size);

bool ft_disk_name_valid(const char *name)
{
    size_t len = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        if (++len == FT_DISK_NAME_SIZE || *c < 0x20 || *c == 0x7f || *c == '/') {
            return false;
        }
    }
    return len > 0 && name[0] != '.';
}

void ft_disk_destroy(struct ft_disk *disk)
{
    if (disk != NULL) {
        disk->ops->destroy(disk);
    }
}

ft_err ft_disk_replace(struct ft_disk *disk, const char *name, const void *data, size_t size)
{
    return replace(disk, name, data, size, false);
}

ft_err ft_disk_replace_private(struct ft_disk *disk, const char *name, const void *data,
                               size_t size)
{
    return replace(disk, name, data, size, true);
}

ft_err ft_disk_read_all(struct ft_disk *disk, const char *name, size_t size_max, char **ret_data,
                        size_t *ret_size)
{
    struct ft_disk_file *file;
    FT_TRY(disk->ops->open(disk, name, false, &file));
    ft_err err = read_file(file, size_max, ret_data, ret_size);
    disk->ops->close(file);
    return err;
}

ft_err ft_disk_read_private(struct ft_disk *disk, const char *name, size_t size_max,
                            char **ret_data, size_t *ret_size)
{
    struct ft_disk_file *file;
    FT_TRY(disk->ops->open(disk, name, false, &file));
    ft_err err = make_private(file);
    if (err == FT_OK) {
        err = read_file(file, size_max, ret_data, ret_size);
    }
    disk->ops->close(file);
    return err;
}

static ft_err replace(struct ft_disk *disk, const char *name, const void *data, size_t size,
                      bool private)
{
    char temporary[FT_DISK_NAME_SIZE];
    int len = snprintf(temporary, sizeof temporary, "%s" NEW_SUFFIX, name);
    if (!ft_disk_name_valid(name) || len >= (int)sizeof temporary) {
        return ft_err_from_errno(EINVAL);
    }
    ft_err err = write_new(disk, temporary, data, size, private);
    if (err == FT_OK) {
        err = disk->ops->rename(disk, temporary, name);
    }
    if (err != FT_OK) {
        ft_err_ignore(disk->ops->remove(disk, temporary), "the next replacement removes it too");
        return err;
    }
    return disk->ops->sync_dir(disk);
}

static ft_err write_new(struct ft_disk *disk, const char *name, const void *data, size_t size,
                        bool private)
{
    /* A crash may have left one behind. */
    ft_err err = disk->ops->remove(disk, name);
    if (err != FT_OK && err != ft_err_from_errno(ENOENT)) {
        return err;
    }
    struct ft_disk_file *file;
    FT_TRY(disk->ops->open(disk, name, true, &file));
    err = private ? make_private(file) : FT_OK; /* While it is still empty. */
    if (err == FT_OK) {
        err = disk->ops->write_at(file, 0, data, size);
    }
    if (err == FT_OK) {
        err = disk->ops->sync(file);
    }
    disk->ops->close(file);
    return err;
}

static ft_err make_private(struct ft_disk_file *file)
{
    const struct ft_disk_ops *ops = file->disk->ops;
    return ops->make_private != NULL ? ops->make_private(file) : FT_OK;
}

/* The size is found by reading: it may change between asking for it and reading. */
static ft_err read_file(struct ft_disk_file *file, size_t size_max, char **ret_data,
                        size_t *ret_size)
{
    assert(size_max < SIZE_MAX / 2);
    char *data = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        capacity = capacity == 0 ? READ_SIZE_FIRST : capacity * 2;
        if (capacity > size_max + 1) {
            capacity = size_max + 1;
        }
        char *larger = realloc(data, capacity);
        if (larger == NULL) {
            free(data);
            return ft_err_from_errno(ENOMEM);
        }
        data = larger;
        size_t n;
        ft_err err = file->disk->ops->read_at(file, size, data + size, capacity - size, &n);
        if (err != FT_OK) {
            free(data);
            return err;
        }
        size += n;
        if (size < capacity) {
            break;
        }
        if (size > size_max) {
            free(data);
            return FT_E_RANGE;
        }
    }
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    return FT_OK;
}
