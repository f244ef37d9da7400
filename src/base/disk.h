/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system as an argument, for everything whose promise depends on it (the log, state
 * files).  The real one is POSIX below one directory; simulations and fault tests hand in others
 * that tear, lose and refuse writes.
 *
 * A disk is one directory.  Names are plain file names made by the program, never text from
 * outside; a name with '/' or a leading '.' is refused.
 *
 * Thread: any, but one file is written by one thread.
 */
#ifndef FT_BASE_DISK_H
#define FT_BASE_DISK_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FT_DISK_NAME_SIZE 64

struct ft_disk;

/* An open file.  Implementations embed it. */
struct ft_disk_file {
    struct ft_disk *disk;
};

typedef void ft_disk_name_fn(void *ctx, const char *name, uint64_t size);

/* All fail with the system's error, but never with -EAGAIN: by that readers of a log say that there
 * is nothing yet. */
struct ft_disk_ops {
    /* Opens for reading and writing; 'create' demands that the file does not exist. */
    ft_err (*open)(struct ft_disk *disk, const char *name, bool create,
                   struct ft_disk_file **ret_file);
    /* Never fails to release the file. */
    void (*close)(struct ft_disk_file *file);
    /* Writes all or fails; after a failure the content of the range is undefined. */
    ft_err (*write_at)(struct ft_disk_file *file, uint64_t offset, const void *data, size_t size);
    /* Reads up to 'size' bytes; '*ret_size' is smaller only at the end of the file. */
    ft_err (*read_at)(struct ft_disk_file *file, uint64_t offset, void *data, size_t size,
                      size_t *ret_size);
    /* Makes what was written durable.  After a failure the file is lost: never call it again. */
    ft_err (*sync)(struct ft_disk_file *file);
    ft_err (*truncate)(struct ft_disk_file *file, uint64_t size);
    /* Reserves 'size' bytes of disk for the file, without making it longer than it is. */
    ft_err (*allocate)(struct ft_disk_file *file, uint64_t size);
    ft_err (*remove)(struct ft_disk *disk, const char *name);
    ft_err (*rename)(struct ft_disk *disk, const char *from, const char *to);
    /* Makes created, renamed and removed names durable. */
    ft_err (*sync_dir)(struct ft_disk *disk);
    /* Calls 'fn' for each file, in no order. */
    ft_err (*list)(struct ft_disk *disk, ft_disk_name_fn *fn, void *ctx);
    /* Bytes that may still be written, and the size of the file system. */
    ft_err (*space)(struct ft_disk *disk, uint64_t *ret_free, uint64_t *ret_total);
    void (*destroy)(struct ft_disk *disk);
    /* Nobody but the owner may read the file from now on.  NULL where files have no owner. */
    ft_err (*make_private)(struct ft_disk_file *file);
    /*
     * Shows 'size' bytes of the file from 'offset' on, both multiples of 4096 and within the file,
     * as memory: what is stored there outlives the process, and is durable after a sync of the
     * file.  Until then a power cut leaves any mixture of old and new 512-byte sectors.  Unmapped
     * after or before the file is closed.  NULL where files are not memory.
     */
    ft_err (*map)(struct ft_disk_file *file, uint64_t offset, size_t size, void **ret_map);
    void (*unmap)(struct ft_disk *disk, void *map, size_t size);
};

struct ft_disk {
    const struct ft_disk_ops *ops;
};

/*
 * The directory 'path', made with mode 0750 if it does not exist (its parent must).  Fails with
 * the system's error.
 */
FT_MUST_USE ft_err ft_disk_posix_create(const char *path, struct ft_disk **ret_disk);

/*
 * The same for a directory that belongs to this process alone: its mode is 0700 and its files' is
 * 0600, 'path' must not be a symbolic link, and the directory is locked (flock) until the disk is
 * destroyed.  -EBUSY: another process has it.  -EPERM: it belongs to another user.
 */
FT_MUST_USE ft_err ft_disk_posix_create_private(const char *path, struct ft_disk **ret_disk);

/*
 * Whether 'name' may name a file of a disk: 1 to FT_DISK_NAME_SIZE - 1 bytes, no '/', no leading
 * '.', no control byte.  Implementations refuse other names with -EINVAL.
 */
bool ft_disk_name_valid(const char *name);

/* Accepts NULL.  All its files must be closed. */
void ft_disk_destroy(struct ft_disk *disk);

/*
 * Replaces the file 'name' by 'data' so that a crash leaves the old or the new content: write to
 * "name.new", sync, rename, sync the directory.
 */
FT_MUST_USE ft_err ft_disk_replace(struct ft_disk *disk, const char *name, const void *data,
                                   size_t size);

/* The same for a secret: nobody but the owner can ever read it. */
FT_MUST_USE ft_err ft_disk_replace_private(struct ft_disk *disk, const char *name, const void *data,
                                           size_t size);

/*
 * Reads a whole file of at most 'size_max' bytes into memory that the caller frees; one NUL is
 * put behind it.  Fails with FT_E_RANGE when it is larger, -ENOENT when it does not exist.
 */
FT_MUST_USE ft_err ft_disk_read_all(struct ft_disk *disk, const char *name, size_t size_max,
                                    char **ret_data, size_t *ret_size);

/* The same for a secret: what others might have been allowed meanwhile is taken back first. */
FT_MUST_USE ft_err ft_disk_read_private(struct ft_disk *disk, const char *name, size_t size_max,
                                        char **ret_data, size_t *ret_size);

#endif
