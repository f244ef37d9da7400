/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"

/* Fields of /proc/self/stat as proc(5) numbers them. */
#define STAT_THREADS   20
#define STAT_STARTTIME 22
#define STAT_VSIZE     23
#define STAT_RSS       24

static double read_cpu(void *ctx);
static double read_rss(void *ctx);
static double read_vsize(void *ctx);
static double read_threads(void *ctx);
static double read_start_time(void *ctx);
static double read_open_fds(void *ctx);
static double read_max_fds(void *ctx);
static double stat_field(unsigned number);

ft_err ft_metrics_add_process(struct ft_metrics *metrics)
{
    FT_TRY(ft_metrics_add_counter_fn(metrics, "process_cpu_seconds_total",
                                     "User and system CPU time of the process.", NULL, 0, read_cpu,
                                     NULL));
    static const struct {
        const char *name;
        const char *help;
        ft_metric_read_fn *read;
    } gauges[] = {
        {"process_resident_memory_bytes", "Memory of the process in RAM.", read_rss},
        {"process_virtual_memory_bytes", "Address space of the process.", read_vsize},
        {"process_threads", "Threads of the process.", read_threads},
        {"process_open_fds", "Open file descriptors.", read_open_fds},
        {"process_max_fds", "Most file descriptors that may be open.", read_max_fds},
        {"process_start_time_seconds", "When the process began, in seconds since 1970.",
         read_start_time},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        FT_TRY(ft_metrics_add_gauge_fn(metrics, gauges[i].name, gauges[i].help, NULL, 0,
                                       gauges[i].read, NULL));
    }
    return FT_OK;
}

ft_err ft_metrics_add_build_info(struct ft_metrics *metrics, const char *prefix,
                                 const char *version, const char *revision)
{
    char name[128];
    int len = snprintf(name, sizeof name, "%s_build_info", prefix);
    if (len < 0 || (size_t)len >= sizeof name) {
        return FT_E_SYNTAX;
    }
    const struct ft_label labels[] = {{"version", version}, {"revision", revision}};
    struct ft_gauge *gauge;
    FT_TRY(ft_metrics_add_gauge(metrics, name, "Always 1; the labels say what runs here.", labels,
                                2, &gauge));
    ft_gauge_set(gauge, 1);
    return FT_OK;
}

static double read_cpu(void *ctx)
{
    (void)ctx;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return NAN;
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double read_rss(void *ctx)
{
    (void)ctx;
    return stat_field(STAT_RSS) * (double)sysconf(_SC_PAGESIZE);
}

static double read_vsize(void *ctx)
{
    (void)ctx;
    return stat_field(STAT_VSIZE);
}

static double read_threads(void *ctx)
{
    (void)ctx;
    return stat_field(STAT_THREADS);
}

/* The kernel counts the start from its boot; "btime" of /proc/stat is when that was. */
static double read_start_time(void *ctx)
{
    (void)ctx;
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return NAN;
    }
    double boot = NAN;
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "btime ", 6) == 0) {
            boot = strtod(line + 6, NULL);
            break;
        }
    }
    (void)fclose(file);
    return boot + stat_field(STAT_STARTTIME) / (double)sysconf(_SC_CLK_TCK);
}

static double read_open_fds(void *ctx)
{
    (void)ctx;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return NAN;
    }
    unsigned n = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        n += isdigit((unsigned char)entry->d_name[0]) ? 1 : 0;
    }
    (void)closedir(directory);
    /* Not the one that is reading. */
    return n > 0 ? n - 1 : 0;
}

static double read_max_fds(void *ctx)
{
    (void)ctx;
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : NAN;
}

/* NaN, which is written as such, where /proc is not to be had. */
static double stat_field(unsigned number)
{
    char text[1024];
    if (ft_read_text_file("/proc/self/stat", text, sizeof text) != FT_OK) {
        return NAN;
    }
    /* The second field is the name in brackets and may itself hold spaces and brackets. */
    const char *at = strrchr(text, ')');
    for (unsigned i = 2; at != NULL && i < number; i++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? strtod(at + 1, NULL) : NAN;
}
