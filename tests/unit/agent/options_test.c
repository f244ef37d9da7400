/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's options where they concern each other. */
#include "agent/options.h"

#include "lib/option_case.h"

TEST(contradictions_are_refused_and_both_are_named)
{
    static const struct option_case cases[] = {
        {{NULL}, NULL, NULL},
        {{"--collector-backoff-base=30s", "--collector-backoff-max=10s"},
         "collector.backoff_base: the first wait is longer than the longest, "
         "collector.backoff_max",
         NULL},
        {{"--collector-backoff-base=10s", "--collector-backoff-max=10s"}, NULL, NULL},
        {{"--capture-reopen-base=2m", "--capture-reopen-max=1m"},
         "capture.reopen_base: the first wait is longer than the longest, capture.reopen_max",
         NULL},
        {{"--replay-full-speed"}, "--replay-full-speed is for --replay FILE", NULL},
        {{"--record=/tmp/a", "--replay=/tmp/b"}, "--record and --replay exclude each other", NULL},
    };
    option_cases_run(&ft_agent_option_table, cases, sizeof cases / sizeof cases[0]);
}

TEST(a_window_larger_than_the_log_gives_way)
{
    static const struct option_case both = {
        {"--log-bytes-max=2MiB", "--collector-window-bytes=64MiB"},
        NULL,
        "collector.window_bytes (65536 KiB) is more than log.bytes_max (2048 KiB) holds, using "
        "2048 KiB"};
    struct ft_agent_options *options = option_case_run(&ft_agent_option_table, &both);
    CHECK_INT(options->collector.window_bytes, 2 << 20);
    CHECK_INT(options->log.bytes_max, 2 << 20);
    ft_options_deinit(&ft_agent_option_table, options);
    free(options);
    static const struct option_case equal = {
        {"--log-bytes-max=4MiB", "--collector-window-bytes=4MiB"}, NULL, NULL};
    option_cases_run(&ft_agent_option_table, &equal, 1);
}
