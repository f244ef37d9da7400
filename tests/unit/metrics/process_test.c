/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "lib/test.h"

static double value(struct ft_buf *text, const char *name)
{
    char start[128] = "\n";
    (void)strcat(strcat(start, name), " ");
    const char *at = strstr(ft_buf_str(text), start);
    if (at == NULL) {
        ft_test_fail(__FILE__, __LINE__, "no %s", name);
    }
    return strtod(at + strlen(start), NULL);
}

static void wait_for_pipe(void *ctx)
{
    char byte;
    CHECK_INT(read(*(int *)ctx, &byte, 1), 0);
}

TEST(values_agree_with_the_system)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_buf before;
    struct ft_buf after;
    CHECK_OK(ft_metrics_create(0, &metrics));
    CHECK_OK(ft_metrics_add_process(metrics));
    ft_buf_init(&before, 0);
    ft_buf_init(&after, 0);
    /* A first thread beforehand, because with it ThreadSanitizer starts one of its own. */
    int ends[2];
    struct ft_thread threads[2] = {0};
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK_OK(ft_thread_start(&threads[0], "waits", wait_for_pipe, &ends[0]));
    ft_metrics_write(metrics, &before);
    int more[2];
    CHECK(pipe2(more, O_CLOEXEC) == 0);
    CHECK_OK(ft_thread_start(&threads[1], "waits", wait_for_pipe, &ends[0]));
    ft_metrics_write(metrics, &after);
    CHECK(value(&after, "process_open_fds") == value(&before, "process_open_fds") + 2);
    CHECK(value(&after, "process_threads") == value(&before, "process_threads") + 1);
    CHECK(value(&after, "process_resident_memory_bytes") > 100 * 1024);
    CHECK(value(&after, "process_virtual_memory_bytes") >
          value(&after, "process_resident_memory_bytes"));
    CHECK(value(&after, "process_cpu_seconds_total") >= 0);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(value(&after, "process_max_fds") == (double)limit.rlim_cur);
    double age = (double)time(NULL) - value(&after, "process_start_time_seconds");
    CHECK(age > -5 && age < 300);
    CHECK(close(ends[1]) == 0);
    ft_thread_join(&threads[0]);
    ft_thread_join(&threads[1]);
    CHECK(close(ends[0]) == 0 && close(more[0]) == 0 && close(more[1]) == 0);
    ft_buf_deinit(&before);
    ft_buf_deinit(&after);
}

TEST(build_info_is_one)
{
    FT_CLEANUP(ft_metrics_destroy) struct ft_metrics *metrics = NULL;
    struct ft_buf out;
    CHECK_OK(ft_metrics_create(0, &metrics));
    CHECK_OK(ft_metrics_add_build_info(metrics, "flowtrail_agent", "1.2.3", "abc"));
    ft_buf_init(&out, 0);
    ft_metrics_write(metrics, &out);
    CHECK(strstr(ft_buf_str(&out),
                 "flowtrail_agent_build_info{version=\"1.2.3\",revision=\"abc\"} 1\n") != NULL);
    ft_buf_deinit(&out);
}
