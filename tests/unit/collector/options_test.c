/* SPDX-License-Identifier: Apache-2.0 */
/* The collector's options where they concern each other. */
#include "collector/options.h"

#include "lib/option_case.h"

/* What must be set in any case. */
#define PLAIN "--ingest-tokens-file=/t", "--ingest-plaintext"
#define TLS   "--ingest-tokens-file=/t", "--ingest-cert-file=/c", "--ingest-key-file=/k"

TEST(contradictions_are_refused_and_both_are_named)
{
    static const struct option_case cases[] = {
        {{PLAIN}, NULL, NULL},
        {{TLS}, NULL, NULL},
        {{TLS, "--ingest-plaintext"},
         "ingest.plaintext: true and ingest.cert_file contradict each other: leave one out",
         NULL},
        {{PLAIN, "--ingest-client-ca-file=/a"},
         "ingest.client_ca_file: without TLS (ingest.plaintext) nobody shows a certificate",
         NULL},
        {{PLAIN, "--log-bytes-max=16MiB"},
         "log.bytes_max must hold two segments of log.segment_bytes",
         NULL},
        {{PLAIN, "--http-connections-max=64", "--http-live-clients-max=64"},
         "http.live_clients_max: live streams could take all of http.connections_max, and nothing "
         "else would be answered",
         NULL},
        {{PLAIN, "--http-connections-max=8", "--http-live-clients-max=4", "--http-queries-max=9"},
         "http.queries_max is more than http.connections_max lets in",
         NULL},
    };
    option_cases_run(&ft_collector_option_table, cases, sizeof cases / sizeof cases[0]);
}

TEST(a_window_larger_than_the_queue_gives_way)
{
    static const struct option_case both = {
        {PLAIN, "--ingest-queue-bytes-max=1MiB"},
        NULL,
        "ingest.window_bytes (4096 KiB) is more than ingest.queue_bytes_max (1024 KiB) holds, "
        "using 1024 KiB"};
    struct ft_collector_options *options = option_case_run(&ft_collector_option_table, &both);
    CHECK_INT(options->ingest.window_bytes, 1 << 20);
    ft_options_deinit(&ft_collector_option_table, options);
    free(options);
}
