/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/call_fail.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define INODES_MAX 256
#define RANGES_MAX 4096
#define SITES_MAX  512
#define EINTR_MAX  50

/* Bytes that are written and not durable. */
struct range {
    uint64_t offset;
    uint64_t size;
    bool lost; /* A sync over them has failed: no later one brings them to the disk. */
};

struct inode {
    dev_t dev;
    ino_t number;
    bool sync_failed;
    size_t n_ranges;
    struct range *ranges; /* RANGES_MAX */
};

static struct {
    bool armed;
    bool in_run; /* From start() to finish(). */
    struct ft_call_plan plan;
    bool filling; /* FT_CALL_SHORT_FULL: the next write fails. */
    uint64_t n_interrupts;
    struct ft_call_result result;
    size_t n_inodes;
    struct inode inodes[INODES_MAX];
    unsigned n_sites;
    const void *sites[SITES_MAX];
    int64_t sync_ns;
} state;

int __real_open(const char *path, int flags, ...);
int __real_openat(int dir_fd, const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __real_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t offset);
int __real_ftruncate(int fd, off_t size);
int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_rename(const char *from, const char *to);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_unlink(const char *path);
int __real_unlinkat(int dir_fd, const char *path, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __real_flock(int fd, int operation);
int __real_fchmod(int fd, mode_t mode);
int __real_fstat(int fd, struct stat *status);
int __real_fstatat(int dir_fd, const char *path, struct stat *status, int flags);
int __real_fstatvfs(int fd, struct statvfs *status);
DIR *__real_fdopendir(int fd);
struct dirent *__real_readdir(DIR *dir);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

#define SITE __builtin_return_address(0)

static void note_failure(const char *name, const void *site)
{
    if (state.result.n_failed++ == 0) {
        state.result.name = name;
        state.result.site = site;
    }
    for (unsigned i = 0; i < state.n_sites; i++) {
        if (state.sites[i] == site) {
            return;
        }
    }
    if (state.n_sites < SITES_MAX) {
        state.sites[state.n_sites++] = site;
    }
}

/* Calls that a signal can end, by their manual pages. */
static bool can_be_interrupted(const char *name)
{
    static const char *const names[] = {"open",      "openat",    "close", "read",      "pread",
                                        "write",     "pwrite",    "fsync", "fdatasync", "syncfs",
                                        "ftruncate", "fallocate", "flock", "fstatvfs"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether this call is one that fails; sets errno. */
static bool fails(const char *name, const void *site, bool can_be_short)
{
    if (!state.armed) {
        return false;
    }
    const struct ft_call_plan *plan = &state.plan;
    uint64_t n = ++state.result.n_calls;
    if (getenv("FT_CALL_TRACE") != NULL) {
        (void)fprintf(stderr, "%" PRIu64 " %s %p\n", n, name, site);
    }
    if (state.filling && strstr(name, "write") != NULL) {
        state.filling = false;
        errno = ENOSPC;
        return true;
    }
    bool hit = plan->nth > 0 && n == plan->nth;
    if (plan->nth > 0 && n > plan->nth) {
        hit = plan->scope == FT_CALL_ALL ||
              (plan->scope == FT_CALL_SITE && site == state.result.site);
    }
    if (!hit || (plan->errnum < 0 && !can_be_short)) {
        return false;
    }
    if (plan->errnum == EINTR && (!can_be_interrupted(name) || ++state.n_interrupts > EINTR_MAX)) {
        return false;
    }
    note_failure(name, site);
    errno = plan->errnum;
    return true;
}

static bool is_short(void) { return state.armed && state.plan.errnum < 0; }

void ft_call_fail_start(const struct ft_call_plan *plan)
{
    for (size_t i = 0; i < state.n_inodes; i++) {
        free(state.inodes[i].ranges);
    }
    state.n_inodes = 0;
    state.plan = *plan;
    state.filling = false;
    state.n_interrupts = 0;
    state.result = (struct ft_call_result){.name = "none"};
    state.armed = true;
    state.in_run = true;
}

void ft_call_fail_stop(struct ft_call_result *ret_result)
{
    state.armed = false;
    *ret_result = state.result;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static char run_directory[64];

static void remove_directory(void)
{
    if (run_directory[0] != '\0') {
        (void)nftw(run_directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        run_directory[0] = '\0';
    }
}

const char *ft_call_fail_directory(void)
{
    static bool registered;
    if (!registered) {
        registered = true;
        (void)atexit(remove_directory);
    }
    remove_directory();
    (void)snprintf(run_directory, sizeof run_directory, "/dev/shm/flowtrail-test.XXXXXX");
    if (mkdtemp(run_directory) == NULL) {
        (void)snprintf(run_directory, sizeof run_directory, "/tmp/flowtrail-test.XXXXXX");
        if (mkdtemp(run_directory) == NULL) {
            abort();
        }
    }
    return run_directory;
}

const char *ft_call_fail_describe(void)
{
    static const char *const scopes[] = {"once", "at its site", "and all later ones"};
    static char text[256];
    (void)snprintf(
        text, sizeof text, "call %" PRIu64 " (%s at %p; ft_call_fail_start is at %p), errno %d, %s",
        state.plan.nth, state.result.name, state.result.site,
        (void *)(uintptr_t)&ft_call_fail_start, state.plan.errnum, scopes[state.plan.scope]);
    return text;
}

/* A check has ended a test in the middle of a run. */
__attribute__((destructor)) static void tell_unfinished(void)
{
    if (state.in_run) {
        (void)fprintf(stderr, "it was with %s\n", ft_call_fail_describe());
    }
}

void ft_call_fail_finish(void) { state.in_run = false; }

unsigned ft_call_fail_n_sites(void) { return state.n_sites; }

void ft_call_fail_set_sync_ns(int64_t ns) { state.sync_ns = ns; }

static struct inode *inode_of(int fd)
{
    struct stat status;
    if (__real_fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return NULL;
    }
    for (size_t i = 0; i < state.n_inodes; i++) {
        if (state.inodes[i].dev == status.st_dev && state.inodes[i].number == status.st_ino) {
            return &state.inodes[i];
        }
    }
    if (state.n_inodes == INODES_MAX) {
        abort();
    }
    struct inode *inode = &state.inodes[state.n_inodes++];
    *inode = (struct inode){.dev = status.st_dev, .number = status.st_ino};
    inode->ranges = malloc(RANGES_MAX * sizeof *inode->ranges);
    if (inode->ranges == NULL) {
        abort();
    }
    return inode;
}

/* Written over with the same, a range is on disk or not as it was before. */
static bool is_there(int fd, const void *data, size_t size, uint64_t offset)
{
    char *there = state.armed ? malloc(size) : NULL;
    bool same = there != NULL && __real_pread(fd, there, size, (off_t)offset) == (ssize_t)size &&
                memcmp(there, data, size) == 0;
    free(there);
    return same;
}

static void note_written(int fd, uint64_t offset, uint64_t size)
{
    struct inode *inode = state.armed ? inode_of(fd) : NULL;
    if (inode != NULL && size > 0) {
        if (inode->n_ranges == RANGES_MAX) {
            abort();
        }
        inode->ranges[inode->n_ranges++] = (struct range){offset, size, false};
    }
}

static void note_synced(int fd, bool failed)
{
    struct inode *inode = state.armed ? inode_of(fd) : NULL;
    if (inode == NULL) {
        return;
    }
    state.result.n_breaches += inode->sync_failed;
    inode->sync_failed = inode->sync_failed || failed;
    size_t n = 0;
    for (size_t i = 0; i < inode->n_ranges; i++) {
        struct range range = inode->ranges[i];
        range.lost = range.lost || failed;
        if (range.lost) {
            inode->ranges[n++] = range;
        }
    }
    inode->n_ranges = n;
}

/* A file of this number that was removed is another one now. */
static void note_created(int fd)
{
    struct inode *inode = state.armed ? inode_of(fd) : NULL;
    if (inode != NULL) {
        inode->sync_failed = false;
        inode->n_ranges = 0;
    }
}

static void lose(int fd, const struct inode *inode)
{
    static const char zeros[4096];
    struct stat status;
    if (__real_fstat(fd, &status) != 0) {
        abort();
    }
    for (size_t i = 0; i < inode->n_ranges; i++) {
        uint64_t end = inode->ranges[i].offset + inode->ranges[i].size;
        end = end < (uint64_t)status.st_size ? end : (uint64_t)status.st_size;
        for (uint64_t at = inode->ranges[i].offset; at < end;) {
            size_t size = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;
            ssize_t n = __real_pwrite(fd, zeros, size, (off_t)at);
            if (n <= 0) {
                abort();
            }
            at += (uint64_t)n;
        }
    }
}

void ft_call_fail_cut(const char *directory)
{
    /* It may not have come into being. */
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int fd = openat(dirfd(dir), entry->d_name, O_RDWR | O_NOFOLLOW);
        const struct inode *inode = fd >= 0 ? inode_of(fd) : NULL;
        if (inode != NULL) {
            lose(fd, inode);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    (void)closedir(dir);
}

int __wrap_open(const char *path, int flags, ...);
int __wrap___open_2(const char *path, int flags);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
int __wrap___openat_2(int dir_fd, const char *path, int flags);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *buf, size_t size);
ssize_t __wrap___read_chk(int fd, void *buf, size_t size, size_t room);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __wrap___pread_chk(int fd, void *buf, size_t size, off_t offset, size_t room);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_syncfs(int fd);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_unlink(const char *path);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_flock(int fd, int operation);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fstat(int fd, struct stat *status);
int __wrap_fstatat(int dir_fd, const char *path, struct stat *status, int flags);
int __wrap_fstatvfs(int fd, struct statvfs *status);
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir(DIR *dir);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

static int opened(int fd, int flags)
{
    if (fd >= 0 && (flags & O_EXCL) != 0) {
        note_created(fd);
    }
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails("open", SITE, false) ? -1 : opened(__real_open(path, flags, mode), flags);
}

int __wrap___open_2(const char *path, int flags)
{
    return fails("open", SITE, false) ? -1 : __real_open(path, flags);
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails("openat", SITE, false) ? -1
                                        : opened(__real_openat(dir_fd, path, flags, mode), flags);
}

int __wrap___openat_2(int dir_fd, const char *path, int flags)
{
    return fails("openat", SITE, false) ? -1 : __real_openat(dir_fd, path, flags);
}

/* Linux closes the descriptor whatever it answers. */
int __wrap_close(int fd)
{
    bool failed = fails("close", SITE, false);
    int errnum = errno;
    int result = __real_close(fd);
    errno = failed ? errnum : errno;
    return failed ? -1 : result;
}

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

static ssize_t read_some(int fd, void *buf, size_t size, const void *site)
{
    if (fails("read", site, true)) {
        return is_short() ? __real_read(fd, buf, half(size)) : -1;
    }
    return __real_read(fd, buf, size);
}

static ssize_t pread_some(int fd, void *buf, size_t size, off_t offset, const void *site)
{
    if (fails("pread", site, true)) {
        return is_short() ? __real_pread(fd, buf, half(size), offset) : -1;
    }
    return __real_pread(fd, buf, size, offset);
}

ssize_t __wrap_read(int fd, void *buf, size_t size) { return read_some(fd, buf, size, SITE); }

ssize_t __wrap___read_chk(int fd, void *buf, size_t size, size_t room)
{
    (void)room;
    return read_some(fd, buf, size, SITE);
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset)
{
    return pread_some(fd, buf, size, offset, SITE);
}

ssize_t __wrap___pread_chk(int fd, void *buf, size_t size, off_t offset, size_t room)
{
    (void)room;
    return pread_some(fd, buf, size, offset, SITE);
}

/* -1 for a write that fails, else how much of it is to be done. */
static ssize_t share_of_write(const char *name, const void *site, size_t size)
{
    bool was_filling = state.filling;
    if (!fails(name, site, true)) {
        return (ssize_t)size;
    }
    if (!is_short() || was_filling) {
        return -1;
    }
    state.filling = state.plan.errnum == FT_CALL_SHORT_FULL;
    return (ssize_t)half(size);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    ssize_t share = share_of_write("write", SITE, size);
    return share < 0 ? -1 : __real_write(fd, data, (size_t)share);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t share = share_of_write("pwrite", SITE, size);
    if (share < 0) {
        return -1;
    }
    bool changes = !is_there(fd, data, (size_t)share, (uint64_t)offset);
    ssize_t n = __real_pwrite(fd, data, (size_t)share, offset);
    if (n > 0 && changes) {
        note_written(fd, (uint64_t)offset, (uint64_t)n);
    }
    return n;
}

static int sync_one(const char *name, int fd, const void *site)
{
    bool failed = fails(name, site, false);
    int errnum = errno;
    note_synced(fd, failed);
    if (state.sync_ns > 0) {
        struct timespec wait = {state.sync_ns / 1000000000, state.sync_ns % 1000000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
    }
    errno = errnum;
    return failed ? -1 : 0;
}

int __wrap_fsync(int fd) { return sync_one("fsync", fd, SITE); }
int __wrap_fdatasync(int fd) { return sync_one("fdatasync", fd, SITE); }
int __wrap_syncfs(int fd) { return sync_one("syncfs", fd, SITE); }

int __wrap_ftruncate(int fd, off_t size)
{
    return fails("ftruncate", SITE, false) ? -1 : __real_ftruncate(fd, size);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    return fails("fallocate", SITE, false) ? -1 : __real_fallocate(fd, mode, offset, size);
}

int __wrap_rename(const char *from, const char *to)
{
    return fails("rename", SITE, false) ? -1 : __real_rename(from, to);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return fails("renameat", SITE, false) ? -1 : __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_unlink(const char *path)
{
    return fails("unlink", SITE, false) ? -1 : __real_unlink(path);
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
    return fails("unlinkat", SITE, false) ? -1 : __real_unlinkat(dir_fd, path, flags);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return fails("mkdir", SITE, false) ? -1 : __real_mkdir(path, mode);
}

int __wrap_flock(int fd, int operation)
{
    return fails("flock", SITE, false) ? -1 : __real_flock(fd, operation);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return fails("fchmod", SITE, false) ? -1 : __real_fchmod(fd, mode);
}

int __wrap_fstat(int fd, struct stat *status)
{
    return fails("fstat", SITE, false) ? -1 : __real_fstat(fd, status);
}

int __wrap_fstatat(int dir_fd, const char *path, struct stat *status, int flags)
{
    return fails("fstatat", SITE, false) ? -1 : __real_fstatat(dir_fd, path, status, flags);
}

int __wrap_fstatvfs(int fd, struct statvfs *status)
{
    return fails("fstatvfs", SITE, false) ? -1 : __real_fstatvfs(fd, status);
}

DIR *__wrap_fdopendir(int fd)
{
    return fails("fdopendir", SITE, false) ? NULL : __real_fdopendir(fd);
}

struct dirent *__wrap_readdir(DIR *dir)
{
    return fails("readdir", SITE, false) ? NULL : __real_readdir(dir);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fd >= 0 && fails("mmap", SITE, false)
               ? MAP_FAILED
               : __real_mmap(at, size, protection, flags, fd, offset);
}
