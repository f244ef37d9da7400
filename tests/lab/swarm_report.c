/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "swarm.h"

static const char *const status_names[17] = {
    "ok",        "cancelled",      "unknown",       "invalid_argument",   "deadline_exceeded",
    "not_found", "already_exists", "denied",        "resource_exhausted", "failed_precondition",
    "aborted",   "out_of_range",   "unimplemented", "internal",           "unavailable",
    "data_loss", "unauthenticated"};

static int compare_u32(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* 'values' is sorted. */
static uint32_t quantile(const uint32_t *values, size_t n, unsigned per_mille)
{
    return n > 0 ? values[(n - 1) * per_mille / 1000] : 0;
}

static void print_times(const char *name, struct swarm_times *times)
{
    if (times->n > 0) {
        qsort(times->us, times->n, sizeof times->us[0], compare_u32);
    }
    printf(", \"%s\": {\"n\": %zu, \"left_out\": %zu", name, times->n, times->n_left_out);
    static const struct {
        const char *name;
        unsigned per_mille;
    } shown[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"max", 1000}};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        printf(", \"%s_ms\": %.3f", shown[i].name,
               quantile(times->us, times->n, shown[i].per_mille) / 1000.0);
    }
    printf("}");
}

static void print_connects(const struct swarm *swarm)
{
    unsigned n = swarm->options.n_agents;
    uint32_t *connects = calloc(n, sizeof *connects);
    if (connects == NULL) {
        swarm_die("a report", ft_err_from_errno(ENOMEM));
    }
    for (unsigned i = 0; i < n; i++) {
        connects[i] = swarm->agents[i].n_connects;
    }
    qsort(connects, n, sizeof connects[0], compare_u32);
    printf(", \"attempts\": {\"total\": %" PRIu64 ", \"median\": %" PRIu32 ", \"p99\": %" PRIu32
           ", \"max\": %" PRIu32 "}",
           swarm->counts.connects, quantile(connects, n, 500), quantile(connects, n, 990),
           quantile(connects, n, 1000));
    free(connects);
}

static double seconds(int64_t ns) { return (double)ns / (double)FT_NS_PER_S; }

void swarm_report(struct swarm *swarm, const char *why, int64_t now_ns)
{
    struct swarm_counts *counts = &swarm->counts;
    printf("{\"phase\": %u, \"why\": \"%s\", \"agents\": %u, \"connected\": %u, "
           "\"retained_blocks\": %" PRIu64,
           swarm->phase, why, swarm->options.n_agents, swarm->n_connected,
           swarm->n_retained_blocks);
    /* Of the same clock as Python's time.monotonic(). */
    printf(", \"began\": %.3f, \"all_connected\": %.3f, \"settled\": %.3f, \"now\": %.3f",
           seconds(counts->begin_ns), seconds(counts->connected_ns), seconds(counts->settled_ns),
           seconds(now_ns));
    print_connects(swarm);
    printf(", \"welcomes\": %" PRIu64 ", \"go_aways\": %" PRIu64 ", \"retry_ms_max\": %" PRIu32
           ", \"slow_downs\": %" PRIu64,
           counts->welcomes, counts->go_aways, counts->retry_ms_max, counts->slow_downs);
    printf(", \"made_events\": %" PRIu64 ", \"unmade_blocks\": %" PRIu64
           ", \"sent_events\": %" PRIu64 ", \"acked_events\": %" PRIu64
           ", \"rejected_events\": %" PRIu64,
           counts->made_events, counts->unmade_blocks, counts->sent_events, counts->acked_events,
           counts->rejected_events);
    print_times("ack", &counts->ack_us);
    print_times("age", &counts->age_us);
    const char *comma = "";
    printf(", \"ends\": {");
    for (unsigned i = 0; i < FT_LINK_REASON_N; i++) {
        if (counts->ends[i] > 0) {
            printf("%s\"%s\": %" PRIu64, comma, ft_link_reason_name((enum ft_link_reason)i),
                   counts->ends[i]);
            comma = ", ";
        }
    }
    comma = "";
    printf("}, \"statuses\": {");
    for (unsigned i = 0; i < sizeof status_names / sizeof status_names[0]; i++) {
        if (counts->statuses[i] > 0) {
            printf("%s\"%s\": %" PRIu64, comma, status_names[i], counts->statuses[i]);
            comma = ", ";
        }
    }
    printf("}, \"text\": \"");
    for (const char *c = counts->text; *c != '\0'; c++) {
        /* The text is printable ASCII. */
        (void)putchar(*c == '"' || *c == '\\' ? '\'' : *c);
    }
    printf("\"}\n");
    (void)fflush(stdout);
}

void swarm_counts_begin(struct swarm_counts *counts, int64_t now_ns)
{
    struct swarm_times ack_us = {.us = counts->ack_us.us};
    struct swarm_times age_us = {.us = counts->age_us.us};
    *counts = (struct swarm_counts){.begin_ns = now_ns, .ack_us = ack_us, .age_us = age_us};
}

void swarm_times_add(struct swarm_times *times, int64_t ns)
{
    if (times->us == NULL) {
        times->us = calloc(SWARM_TIMES_MAX, sizeof times->us[0]);
    }
    if (times->us == NULL || times->n == SWARM_TIMES_MAX) {
        times->n_left_out++;
        return;
    }
    int64_t us = ns / FT_NS_PER_US;
    times->us[times->n++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}
