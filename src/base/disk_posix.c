/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of production: one directory, every name resolved relative to its descriptor, so that
 * neither a renamed parent nor a symbolic link in the directory leads anywhere else.
 */
#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"

#define DIR_MODE         0750
#define FILE_MODE        0640
#define PRIVATE_MODE     0600
#define PRIVATE_DIR_MODE 0700

struct posix_disk {
    struct ft_disk base;
    int dir_fd;
    mode_t file_mode;
};

struct posix_file {
    struct ft_disk_file base;
    int fd;
};

static const struct ft_disk_ops posix_ops;

static int open_dir(int at_fd, const char *path, int flags);
static ft_err claim_dir(int dir_fd);
static ft_err make_disk(int dir_fd, mode_t file_mode, struct ft_disk **ret_disk);
static ft_err sync_parent(int dir_fd);
static ft_err posix_list_entry(int dir_fd, const char *name, ft_disk_name_fn *fn, void *ctx);

static struct posix_disk *disk_of(struct ft_disk *disk) { return (struct posix_disk *)disk; }
static struct posix_file *file_of(struct ft_disk_file *file) { return (struct posix_file *)file; }

ft_err ft_disk_posix_create(const char *path, struct ft_disk **ret_disk)
{
    if (mkdir(path, DIR_MODE) != 0 && errno != EEXIST) {
        return ft_err_last();
    }
    int dir_fd = open_dir(AT_FDCWD, path, 0);
    if (dir_fd < 0) {
        return ft_err_last();
    }
    return make_disk(dir_fd, FILE_MODE, ret_disk);
}

ft_err ft_disk_posix_create_private(const char *path, struct ft_disk **ret_disk)
{
    if (mkdir(path, PRIVATE_DIR_MODE) != 0 && errno != EEXIST) {
        return ft_err_last();
    }
    int dir_fd = open_dir(AT_FDCWD, path, O_NOFOLLOW);
    if (dir_fd < 0) {
        return ft_err_last();
    }
    ft_err err = claim_dir(dir_fd);
    if (err != FT_OK) {
        ft_fd_close(&dir_fd);
        return err;
    }
    return make_disk(dir_fd, PRIVATE_MODE, ret_disk);
}

static int open_dir(int at_fd, const char *path, int flags)
{
    int fd;
    do {
        fd = openat(at_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* The lock is on the directory itself: a file for it could be removed while it is held. */
static ft_err claim_dir(int dir_fd)
{
    struct stat status;
    if (fstat(dir_fd, &status) != 0) {
        return ft_err_last();
    }
    if (status.st_uid != geteuid()) {
        return ft_err_from_errno(EPERM);
    }
    int result;
    do {
        result = flock(dir_fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return errno == EWOULDBLOCK ? ft_err_from_errno(EBUSY) : ft_err_last();
    }
    if ((status.st_mode & 07777) != PRIVATE_DIR_MODE && fchmod(dir_fd, PRIVATE_DIR_MODE) != 0) {
        return ft_err_last();
    }
    return FT_OK;
}

/* Takes 'dir_fd' over, also when it fails. */
static ft_err make_disk(int dir_fd, mode_t file_mode, struct ft_disk **ret_disk)
{
    ft_err err = sync_parent(dir_fd);
    struct posix_disk *disk = err == FT_OK ? malloc(sizeof *disk) : NULL;
    if (disk == NULL) {
        ft_fd_close(&dir_fd);
        return err != FT_OK ? err : ft_err_from_errno(ENOMEM);
    }
    disk->base.ops = &posix_ops;
    disk->dir_fd = dir_fd;
    disk->file_mode = file_mode;
    *ret_disk = &disk->base;
    return FT_OK;
}

/*
 * Syncing files in a directory that is itself not on disk yet promises nothing.  This is done at
 * each start: the process that made the directory may have been killed before it could.
 */
static ft_err sync_parent(int dir_fd)
{
    int parent_fd = open_dir(dir_fd, "..", 0);
    if (parent_fd >= 0) {
        int result = fsync(parent_fd);
        ft_fd_close(&parent_fd);
        if (result == 0) {
            return FT_OK;
        }
    }
    /* A parent that may not be read, or a file system that cannot sync directories. */
    return syncfs(dir_fd) == 0 ? FT_OK : ft_err_last();
}

/* -EAGAIN means elsewhere that there is nothing yet: a disk that says so, is in use. */
static ft_err last_error(void)
{
    return errno == EAGAIN ? ft_err_from_errno(EBUSY) : ft_err_last();
}

static ft_err posix_open(struct ft_disk *disk, const char *name, bool create,
                         struct ft_disk_file **ret_file)
{
    if (!ft_disk_name_valid(name)) {
        return ft_err_from_errno(EINVAL);
    }
    struct posix_file *file = malloc(sizeof *file);
    if (file == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    /* O_NONBLOCK: a FIFO that someone put there must not hang the program. */
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    if (create) {
        flags |= O_CREAT | O_EXCL;
    }
    do {
        file->fd = openat(disk_of(disk)->dir_fd, name, flags, disk_of(disk)->file_mode);
    } while (file->fd < 0 && errno == EINTR);
    struct stat status;
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        ft_err err = last_error();
        ft_fd_close(&file->fd);
        free(file);
        return err;
    }
    if (!S_ISREG(status.st_mode)) {
        ft_fd_close(&file->fd);
        free(file);
        return ft_err_from_errno(EINVAL);
    }
    file->base.disk = disk;
    *ret_file = &file->base;
    return FT_OK;
}

static void posix_close(struct ft_disk_file *file)
{
    ft_fd_close(&file_of(file)->fd);
    free(file);
}

static ft_err posix_write_at(struct ft_disk_file *file, uint64_t offset, const void *data,
                             size_t size)
{
    const char *at = data;
    if (offset > INT64_MAX || size > INT64_MAX - offset) {
        return ft_err_from_errno(EFBIG);
    }
    while (size > 0) {
        ssize_t n = pwrite(file_of(file)->fd, at, size, (off_t)offset);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return last_error();
        }
        if (n == 0) {
            return ft_err_from_errno(EIO);
        }
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return FT_OK;
}

static ft_err posix_read_at(struct ft_disk_file *file, uint64_t offset, void *data, size_t size,
                            size_t *ret_size)
{
    char *at = data;
    if (offset > INT64_MAX || size > INT64_MAX - offset) {
        return ft_err_from_errno(EINVAL);
    }
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(file_of(file)->fd, at + done, size - done, (off_t)(offset + done));
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return last_error();
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *ret_size = done;
    return FT_OK;
}

/* EINTR is a failure like any other: what became of the pages is not known. */
static ft_err posix_sync(struct ft_disk_file *file)
{
    return fdatasync(file_of(file)->fd) == 0 ? FT_OK : last_error();
}

static ft_err posix_truncate(struct ft_disk_file *file, uint64_t size)
{
    if (size > INT64_MAX) {
        return ft_err_from_errno(EFBIG);
    }
    int result;
    do {
        result = ftruncate(file_of(file)->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? FT_OK : last_error();
}

static ft_err posix_allocate(struct ft_disk_file *file, uint64_t size)
{
    if (size == 0) {
        return FT_OK;
    }
    if (size > INT64_MAX) {
        return ft_err_from_errno(EFBIG);
    }
    int result;
    do {
        result = fallocate(file_of(file)->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        return FT_OK;
    }
    return errno == EOPNOTSUPP || errno == ENOSYS ? FT_E_UNSUPPORTED : last_error();
}

static ft_err posix_remove(struct ft_disk *disk, const char *name)
{
    if (!ft_disk_name_valid(name)) {
        return ft_err_from_errno(EINVAL);
    }
    return unlinkat(disk_of(disk)->dir_fd, name, 0) == 0 ? FT_OK : last_error();
}

static ft_err posix_rename(struct ft_disk *disk, const char *from, const char *to)
{
    if (!ft_disk_name_valid(from) || !ft_disk_name_valid(to)) {
        return ft_err_from_errno(EINVAL);
    }
    int dir_fd = disk_of(disk)->dir_fd;
    return renameat(dir_fd, from, dir_fd, to) == 0 ? FT_OK : last_error();
}

static ft_err posix_sync_dir(struct ft_disk *disk)
{
    return fsync(disk_of(disk)->dir_fd) == 0 ? FT_OK : last_error();
}

static ft_err posix_list(struct ft_disk *disk, ft_disk_name_fn *fn, void *ctx)
{
    /* A descriptor of its own: the position in the directory belongs to the descriptor. */
    int fd = open_dir(disk_of(disk)->dir_fd, ".", 0);
    if (fd < 0) {
        return last_error();
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        ft_err err = last_error();
        ft_fd_close(&fd);
        return err;
    }
    ft_err err = FT_OK;
    while (err == FT_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            err = last_error();
            break;
        }
        err = posix_list_entry(disk_of(disk)->dir_fd, entry->d_name, fn, ctx);
    }
    (void)closedir(dir);
    return err;
}

static ft_err posix_list_entry(int dir_fd, const char *name, ft_disk_name_fn *fn, void *ctx)
{
    if (!ft_disk_name_valid(name)) {
        return FT_OK;
    }
    struct stat status;
    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        /* Removed since it was listed. */
        return errno == ENOENT ? FT_OK : last_error();
    }
    if (S_ISREG(status.st_mode)) {
        fn(ctx, name, (uint64_t)status.st_size);
    }
    return FT_OK;
}

static ft_err posix_space(struct ft_disk *disk, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs status;
    int result;
    do {
        result = fstatvfs(disk_of(disk)->dir_fd, &status);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return last_error();
    }
    *ret_free = (uint64_t)status.f_bavail * status.f_frsize;
    *ret_total = (uint64_t)status.f_blocks * status.f_frsize;
    return FT_OK;
}

static ft_err posix_map(struct ft_disk_file *file, uint64_t offset, size_t size, void **ret_map)
{
    if (offset > INT64_MAX) {
        return ft_err_from_errno(EINVAL);
    }
    void *map =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_of(file)->fd, (off_t)offset);
    if (map == MAP_FAILED) {
        return last_error();
    }
    *ret_map = map;
    return FT_OK;
}

static void posix_unmap(struct ft_disk *disk, void *map, size_t size)
{
    (void)disk;
    (void)munmap(map, size);
}

static ft_err posix_make_private(struct ft_disk_file *file)
{
    return fchmod(file_of(file)->fd, PRIVATE_MODE) == 0 ? FT_OK : last_error();
}

static void posix_destroy(struct ft_disk *disk)
{
    ft_fd_close(&disk_of(disk)->dir_fd);
    free(disk);
}

static const struct ft_disk_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .write_at = posix_write_at,
    .read_at = posix_read_at,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .remove = posix_remove,
    .rename = posix_rename,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .space = posix_space,
    .destroy = posix_destroy,
    .make_private = posix_make_private,
    .map = posix_map,
    .unmap = posix_unmap,
};
