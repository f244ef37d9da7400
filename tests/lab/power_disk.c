/* SPDX-License-Identifier: Apache-2.0 */
/*
 * power_disk IMAGE DIR [--seed N] [--lose-all]: a disk whose power can be cut.
 *
 *     file system ─► loop device ─► file "disk" (FUSE, in DIR) ─► cache (power_cache.h) ─► IMAGE
 *
 * The loop device hands a flush of the block layer on as an fsync of its file, so what a program
 * has synced is in IMAGE and what it has not may be.  Prints "ready /dev/loopN", and then does what
 * signals say:
 *
 *     SIGUSR1   cuts the power: all requests fail with EIO from now on, IMAGE is what is left, and
 * a line of JSON says what became of the writes that were not flushed SIGTERM   ends, without a
 * word to whoever still uses it
 *
 * DIR is a mount point in a mount namespace of its own, and the loop device goes with its last user
 * (autoclear): whatever becomes of the test that started it, nothing is left behind.
 */
#define FUSE_USE_VERSION 35

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "power_cache.h"

#define FILE_NAME     "disk"
#define FILE_INODE    2
#define REQUEST_MAX   (1U << 20)
#define ATTEMPTS_MAX  100
#define FOREVER_S     1e9
#define CUT_AFTER_MAX 8 /* Requests. */
#define CUT_AFTER_MS  150
#define MODE_OF_FILE  (S_IFREG | 0600)
#define MODE_OF_MOUNT (S_IFDIR | 0700)

static struct {
    struct power_cache *cache;
    uint64_t size;
    uint64_t seed;
    bool lose_all;
    bool has_power;
    unsigned cut_in; /* So many requests; 0: nobody wants it cut. */
    uint8_t buffer[REQUEST_MAX];
} disk = {.has_power = true};

static void die(const char *what)
{
    (void)fprintf(stderr, "power_disk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool fill_attr(fuse_ino_t inode, struct stat *ret_attr)
{
    *ret_attr = (struct stat){.st_ino = inode, .st_nlink = 1};
    ret_attr->st_mode = inode == FILE_INODE ? MODE_OF_FILE : MODE_OF_MOUNT;
    ret_attr->st_size = inode == FILE_INODE ? (off_t)disk.size : 0;
    return inode == FILE_INODE || inode == FUSE_ROOT_ID;
}

static void on_init(void *ctx, struct fuse_conn_info *connection)
{
    (void)ctx;
    /* Each write comes here at once: what the kernel would hold back it would not lose. */
    connection->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ);
    connection->max_write = REQUEST_MAX;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {
        .ino = FILE_INODE, .attr_timeout = FOREVER_S, .entry_timeout = FOREVER_S};
    if (parent != FUSE_ROOT_ID || strcmp(name, FILE_NAME) != 0) {
        (void)fuse_reply_err(request, ENOENT);
        return;
    }
    (void)fill_attr(FILE_INODE, &entry.attr);
    (void)fuse_reply_entry(request, &entry);
}

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
    struct stat attr;
    (void)info;
    if (fill_attr(inode, &attr)) {
        (void)fuse_reply_attr(request, &attr, FOREVER_S);
    } else {
        (void)fuse_reply_err(request, ENOENT);
    }
}

static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
    if (inode == FILE_INODE) {
        (void)fuse_reply_open(request, info);
    } else {
        (void)fuse_reply_err(request, EISDIR);
    }
}

static void on_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    (void)inode;
    (void)info;
    uint64_t from = (uint64_t)offset;
    uint64_t left = from < disk.size ? disk.size - from : 0;
    size = size < left ? size : (size_t)left;
    int error = !disk.has_power || size > REQUEST_MAX
                    ? EIO
                    : power_cache_read(disk.cache, from, size, disk.buffer);
    if (error == 0) {
        (void)fuse_reply_buf(request, (const char *)disk.buffer, size);
    } else {
        (void)fuse_reply_err(request, error);
    }
}

static void cut(void)
{
    if (!disk.has_power) {
        return;
    }
    disk.has_power = false;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct power_counts counts = *power_cache_counts(disk.cache);
    struct power_cut made;
    int error = power_cache_cut(disk.cache, disk.seed, disk.lose_all, &made);
    if (error != 0) {
        errno = error;
        die("the image");
    }
    (void)printf(
        "{\"at\": %.6f, \"requests\": %" PRIu64 ", \"sectors\": %" PRIu64 ", \"kept\": %" PRIu64
        ", \"older\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"torn\": %" PRIu64
        ", \"flushes\": %" PRIu64 ", \"flushed\": %" PRIu64 ", \"overflows\": %" PRIu64 "}\n",
        (double)now.tv_sec + (double)now.tv_nsec / 1e9, made.requests, made.sectors, made.kept,
        made.older, made.lost, made.torn, counts.flushes, counts.flushed_sectors, counts.overflows);
    (void)fflush(stdout);
}

/* A write or a flush: is this the one? */
static void come_nearer(void)
{
    if (disk.cut_in > 0 && --disk.cut_in == 0) {
        cut();
    }
}

static void on_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *info)
{
    (void)inode;
    (void)info;
    int error = disk.has_power
                    ? power_cache_write(disk.cache, (uint64_t)offset, size, (const uint8_t *)data)
                    : EIO;
    come_nearer();
    if (error == 0 && disk.has_power) {
        (void)fuse_reply_write(request, size);
    } else {
        (void)fuse_reply_err(request, error != 0 ? error : EIO);
    }
}

static void on_fsync(fuse_req_t request, fuse_ino_t inode, int data_only,
                     struct fuse_file_info *info)
{
    (void)inode;
    (void)data_only;
    (void)info;
    come_nearer();
    (void)fuse_reply_err(request, disk.has_power ? power_cache_flush(disk.cache) : EIO);
}

/* A loop device on the file, which keeps it until the last one who has it open is gone. */
static int attach(const char *dir)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/" FILE_NAME, dir);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int backing = open(path, O_RDWR | O_CLOEXEC);
    if (control < 0 || backing < 0) {
        die(control < 0 ? "/dev/loop-control" : path);
    }
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        (void)snprintf(path, sizeof path, "/dev/loop%d", number);
        int device = number >= 0 ? open(path, O_RDWR | O_CLOEXEC) : -1;
        struct loop_config config = {.fd = (__u32)backing,
                                     .block_size = FT_POWER_SECTOR,
                                     .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
        (void)snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "power_disk %d", getppid());
        if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) == 0) {
            (void)close(backing);
            (void)close(control);
            (void)printf("ready %s\n", path);
            (void)fflush(stdout);
            return device;
        }
        /* Somebody else was quicker, or has not let go of it yet. */
        if (device >= 0) {
            (void)close(device);
        }
        (void)usleep(10000);
    }
    die("no loop device");
    return -1;
}

/* Opening the file asks this very program, so another process does it. */
static void attach_aside(struct fuse_session *session, const char *dir)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        die("fork");
    }
    if (child > 0) {
        return;
    }
    (void)close(fuse_session_fd(session));
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        (void)attach(dir);
        (void)pause();
    }
    _exit(0);
}

/* Returns when it is told to end. */
static void serve(struct fuse_session *session, int signals)
{
    struct fuse_buf buffer = {0};
    struct pollfd wait[] = {{.fd = fuse_session_fd(session), .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};
    while (!fuse_session_exited(session)) {
        int n_ready = poll(wait, 2, disk.cut_in > 0 ? CUT_AFTER_MS : -1);
        if (n_ready < 0) {
            die("poll");
        }
        if (n_ready == 0) {
            cut();
            disk.cut_in = 0;
            continue;
        }
        struct signalfd_siginfo signal;
        if (wait[1].revents != 0 && read(signals, &signal, sizeof signal) == sizeof signal) {
            if (signal.ssi_signo != SIGUSR1) {
                break;
            }
            srand((unsigned)disk.seed);
            disk.cut_in = 1 + (unsigned)rand() % CUT_AFTER_MAX;
        }
        if (wait[0].revents != 0) {
            int n = fuse_session_receive_buf(session, &buffer);
            if (n > 0) {
                fuse_session_process_buf(session, &buffer);
            } else if (n != -EINTR && n != -EAGAIN) {
                break;
            }
        }
    }
    free(buffer.mem);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"lose-all", no_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            disk.seed = strtoull(optarg, NULL, 10);
            break;
        case 'l':
            disk.lose_all = true;
            break;
        default:
            exit(64);
        }
    }
    if (argc - optind != 2) {
        (void)fprintf(stderr, "power_disk IMAGE DIR [--seed N] [--lose-all]\n");
        exit(64);
    }
}

int main(int argc, char **argv)
{
    static const struct fuse_lowlevel_ops operations = {.init = on_init,
                                                        .lookup = on_lookup,
                                                        .getattr = on_getattr,
                                                        .open = on_open,
                                                        .read = on_read,
                                                        .write = on_write,
                                                        .fsync = on_fsync};
    parse(argc, argv);
    const char *dir = argv[optind + 1];
    int image = open(argv[optind], O_RDWR | O_CLOEXEC);
    struct stat attr;
    if (image < 0 || fstat(image, &attr) != 0) {
        die(argv[optind]);
    }
    disk.size = (uint64_t)attr.st_size;
    disk.cache = power_cache_create(image, disk.size);
    if (disk.cache == NULL) {
        die("the cache");
    }
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        die("a mount namespace");
    }
    /* The kernel must not wait for a disk that waits for this process when memory is short. */
    (void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    char *words[] = {argv[0], NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, words);
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (signals < 0 || session == NULL || fuse_session_mount(session, dir) != 0) {
        die("FUSE");
    }
    attach_aside(session, dir);
    serve(session, signals);
    /* Not unmounted: who still uses it would be waited for.  The end of the process does it. */
    _exit(0);
}
