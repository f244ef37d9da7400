/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log costs beside the bare disk: appends blocks and syncs every so many of them, first
 * with write and fdatasync alone, then through the log, in the same directory and run; then reads
 * them back, and measures the log in memory.
 *
 *   log_bench [DIRECTORY [BLOCK_BYTES [BLOCKS_PER_SYNC [MIB]]]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/log.h"

struct bench {
    const char *path;
    size_t block_size;
    unsigned per_sync;
    unsigned n_blocks;
    uint8_t *data;
};

static void demand(bool condition, const char *what)
{
    if (!condition) {
        perror(what);
        exit(1);
    }
}

static int64_t now(void) { return ft_clock_mono_ns(ft_clock_system()); }

static void print(const struct bench *bench, const char *what, int64_t ns)
{
    double bytes = (double)bench->block_size * bench->n_blocks;
    printf("%-24s %9.1f MB/s %12.0f ns/block\n", what, bytes * 1e3 / (double)ns,
           (double)ns / bench->n_blocks);
}

static int64_t bench_raw(const struct bench *bench)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/raw", bench->path);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    demand(fd >= 0, path);
    (void)posix_fallocate(fd, 0, (off_t)bench->block_size * bench->n_blocks);
    int64_t begin = now();
    for (unsigned i = 0; i < bench->n_blocks; i++) {
        off_t offset = (off_t)i * (off_t)bench->block_size;
        demand(pwrite(fd, bench->data, bench->block_size, offset) == (ssize_t)bench->block_size,
               "pwrite");
        if ((i + 1) % bench->per_sync == 0) {
            demand(fdatasync(fd) == 0, "fdatasync");
        }
    }
    demand(fdatasync(fd) == 0, "fdatasync");
    int64_t ns = now() - begin;
    (void)close(fd);
    (void)unlink(path);
    return ns;
}

static int64_t append_all(const struct bench *bench, struct ft_log *log)
{
    struct ft_block_info info = {.n_events = 1};
    uint64_t position;
    int64_t begin = now();
    for (unsigned i = 0; i < bench->n_blocks; i++) {
        info.first_seq = i;
        demand(ft_log_append(log, &info, bench->data, bench->block_size, &position) == FT_OK,
               "append");
        if ((i + 1) % bench->per_sync == 0) {
            demand(ft_log_sync(log, &position) == FT_OK, "sync");
        }
    }
    demand(ft_log_sync(log, &position) == FT_OK, "sync");
    return now() - begin;
}

static int64_t read_all(const struct bench *bench, struct ft_log *log)
{
    struct ft_log_reader *reader;
    demand(ft_log_reader_open(log, "bench", true, &reader) == FT_OK, "reader");
    int64_t begin = now();
    for (unsigned i = 0; i < bench->n_blocks; i++) {
        struct ft_block block;
        demand(ft_log_reader_next(reader, true, &block) == FT_OK, "next");
        ft_block_release(&block);
    }
    int64_t ns = now() - begin;
    ft_log_reader_close(reader);
    return ns;
}

static void remove_file(void *ctx, const char *name, uint64_t size)
{
    (void)size;
    struct ft_disk *disk = ctx;
    ft_err_ignore(disk->ops->remove(disk, name), "the directory is the caller's");
}

int main(int argc, char **argv)
{
    struct bench bench = {.path = argc > 1 ? argv[1] : ".",
                          .block_size = argc > 2 ? strtoul(argv[2], NULL, 10) : 65536,
                          .per_sync = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 16};
    uint64_t mib = argc > 4 ? strtoul(argv[4], NULL, 10) : 256;
    demand(bench.block_size > 0 && bench.block_size <= FT_LOG_BLOCK_SIZE_MAX && bench.per_sync > 0,
           "arguments");
    bench.n_blocks = (unsigned)((mib << 20) / bench.block_size);
    bench.data = malloc(bench.block_size);
    demand(bench.data != NULL, "malloc");
    for (size_t i = 0; i < bench.block_size; i++) {
        bench.data[i] = (uint8_t)(i * 2654435761U >> 13);
    }
    printf("%u blocks of %zu bytes, a sync every %u\n", bench.n_blocks, bench.block_size,
           bench.per_sync);
    int64_t raw_ns = bench_raw(&bench);
    print(&bench, "write + fdatasync", raw_ns);

    char path[4096];
    (void)snprintf(path, sizeof path, "%s/log_bench.d", bench.path);
    struct ft_disk *disk;
    demand(ft_disk_posix_create(path, &disk) == FT_OK, path);
    struct ft_log_options options = {.bytes_max = (mib << 20) * 4, .full = FT_LOG_REFUSE};
    struct ft_log *log;
    demand(ft_log_disk_open(disk, &options, NULL, NULL, &log) == FT_OK, "open");
    int64_t log_ns = append_all(&bench, log);
    print(&bench, "log, append + sync", log_ns);
    printf("%-24s %9.2f of write + fdatasync\n", "", (double)raw_ns / (double)log_ns);
    print(&bench, "log, read", read_all(&bench, log));
    ft_log_destroy(log);
    int64_t begin = now();
    demand(ft_log_disk_open(disk, &options, NULL, NULL, &log) == FT_OK, "open again");
    printf("%-24s %9.1f ms\n", "log, open again", (double)(now() - begin) / 1e6);
    ft_log_destroy(log);
    (void)disk->ops->list(disk, remove_file, disk);
    ft_disk_destroy(disk);
    (void)rmdir(path);

    demand(ft_log_memory_create(&options, &log) == FT_OK, "memory");
    print(&bench, "memory, append", append_all(&bench, log));
    print(&bench, "memory, read", read_all(&bench, log));
    ft_log_destroy(log);
    free(bench.data);
    return 0;
}
