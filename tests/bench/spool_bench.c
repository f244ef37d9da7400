/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an agent with a large spool takes to be ready, and what it needs for that.
 *
 * A first process really writes the spool and is killed, so that the next one finds no clean end.
 * The page cache is emptied of it; a second process opens it, a third one after a clean stop.
 * Prints a line of JSON for each start.
 *
 *   spool_bench DIRECTORY [GIB [BLOCK_BYTES]]
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/spool.h"

#define EVENTS_PER_BLOCK 2048U

struct bench {
    const char *path;
    uint64_t bytes;
    size_t block_bytes;
};

static void demand(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

static void must(ft_err err, const char *what)
{
    if (err != FT_OK) {
        (void)fprintf(stderr, "%s: %s\n", what, ft_err_text(err));
        exit(1);
    }
}

static struct ft_spool *open_spool(const struct bench *bench, struct ft_spool_report *report)
{
    struct ft_disk *disk;
    struct ft_spool *spool;
    must(ft_disk_posix_create_private(bench->path, &disk), bench->path);
    struct ft_spool_options options = {.bytes_max = bench->bytes * 2,
                                       .sync_interval_ns = FT_NS_PER_S,
                                       .window_bytes = 4 << 20,
                                       .clock = ft_clock_system(),
                                       .random = ft_random_system(),
                                       .has_agent_id = true};
    must(ft_spool_open(&options, disk, &spool, report), "open");
    return spool;
}

static void fill(const struct bench *bench)
{
    struct ft_spool_report report;
    struct ft_spool *spool = open_spool(bench, &report);
    uint8_t *data = malloc(bench->block_bytes);
    demand(data != NULL, "malloc");
    memset(data, 0x5a, bench->block_bytes);
    uint64_t n_blocks = bench->bytes / bench->block_bytes;
    uint64_t position;
    for (uint64_t i = 0; i < n_blocks; i++) {
        struct ft_block_info info = {.first_seq = 1 + i * EVENTS_PER_BLOCK,
                                     .n_events = EVENTS_PER_BLOCK,
                                     .time_ns = ft_clock_real_ns(ft_clock_system())};
        must(ft_log_append(ft_spool_log(spool), &info, data, bench->block_bytes, &position),
             "append");
    }
    must(ft_log_sync(ft_spool_log(spool), &position), "sync");
    _exit(0); /* As if killed. */
}

/* Resident memory, "VmRSS" or its peak "VmHWM", in KiB. */
static long memory_kib(const char *key)
{
    FILE *file = fopen("/proc/self/status", "re");
    demand(file != NULL, "/proc/self/status");
    char line[256];
    long value = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            value = strtol(line + strlen(key) + 1, NULL, 10);
        }
    }
    (void)fclose(file);
    return value;
}

static void start(const struct bench *bench, const char *what)
{
    struct ft_spool_report report;
    struct ft_spool *spool = open_spool(bench, &report);
    struct ft_log_stats stats;
    ft_log_stats(ft_spool_log(spool), &stats);
    printf("{\"start\": \"%s\", \"gib\": %.2f, \"segments\": %llu, \"events\": %llu, "
           "\"ready_ms\": %.1f, \"rss_mib\": %.1f, \"rss_peak_mib\": %.1f}\n",
           what, (double)stats.bytes / (1 << 30), (unsigned long long)stats.segments,
           (unsigned long long)report.retained_events, (double)report.took_ns / FT_NS_PER_MS,
           (double)memory_kib("VmRSS:") / 1024, (double)memory_kib("VmHWM:") / 1024);
    demand(report.n_missing == 0 && report.n_surplus == 0 && report.damaged_parts == 0,
           "the account");
    ft_spool_close(spool, true);
    (void)fflush(stdout);
    _exit(0);
}

static void forget_pages(const struct bench *bench)
{
    DIR *dir = opendir(bench->path);
    demand(dir != NULL, bench->path);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            (void)close(fd);
        }
    }
    (void)closedir(dir);
}

static void in_child(void (*fn)(const struct bench *, const char *), const struct bench *bench,
                     const char *what)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    demand(pid >= 0, "fork");
    if (pid == 0) {
        fn(bench, what);
        _exit(0);
    }
    int status;
    demand(waitpid(pid, &status, 0) == pid && status == 0, what);
}

static void fill_child(const struct bench *bench, const char *what)
{
    (void)what;
    fill(bench);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: spool_bench DIRECTORY [GIB [BLOCK_BYTES]]\n");
        return 64;
    }
    struct bench bench = {.path = argv[1], .bytes = UINT64_C(2) << 30, .block_bytes = 64 << 10};
    if (argc > 2) {
        bench.bytes = (uint64_t)(strtod(argv[2], NULL) * (1 << 30));
    }
    if (argc > 3) {
        bench.block_bytes = strtoull(argv[3], NULL, 10);
    }
    in_child(fill_child, &bench, "fill");
    forget_pages(&bench);
    in_child(start, &bench, "after a kill");
    forget_pages(&bench);
    in_child(start, &bench, "after a clean stop");
    return 0;
}
