/* SPDX-License-Identifier: Apache-2.0 */
/* A table with one option of each kind, for the tests of this folder. */
#ifndef FT_TESTS_CONFIG_SAMPLE_H
#define FT_TESTS_CONFIG_SAMPLE_H 1

#include <stdio.h>
#include <string.h>

#include "config/options.h"

enum sample_capture { SAMPLE_DESTROY_ONLY, SAMPLE_ADAPTIVE, SAMPLE_FULL };

struct sample_rule {
    int action;
    struct ft_strings sources;
    uint64_t port;
};

struct sample {
    char *url;
    char *token_file;
    char *token;
    bool tls;
    int64_t flush_ns;
    uint64_t bytes_max;
    uint64_t events_max;
    char *spool_path;
    enum sample_capture capture;
    struct ft_strings networks;
    struct ft_structs rules;
    bool follow;
};

static inline bool sample_check_network(const char *text, char *why, size_t why_size)
{
    if (strchr(text, '/') != NULL) {
        return true;
    }
    (void)snprintf(why, why_size, "a network such as 10.0.0.0/8");
    return false;
}

static inline ft_err sample_check(const void *options, struct ft_diag *reterr_diag)
{
    const struct sample *sample = options;
    if (sample->flush_ns > INT64_C(60000000000) && sample->events_max < 1000) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "log.events_max: at least 1000 are needed when flush is over 1m");
    }
    return FT_OK;
}

static inline void sample_settle(void *options, ft_option_tell_fn *tell, void *ctx)
{
    struct sample *sample = options;
    if (sample->events_max > sample->bytes_max / 100) {
        sample->events_max = sample->bytes_max / 100;
        tell(ctx, "log.events_max is more than log.bytes_max holds, using less");
    }
}

static const char *const sample_capture_names[] = {"destroy-only", "adaptive", "full", NULL};
static const char *const sample_action_names[] = {"drop", "keep", NULL};

static const struct ft_option sample_rule_options[] = {
    FT_OPT_ENUM(struct sample_rule, action, "action", "drop", sample_action_names,
                "What is done with a flow."),
    FT_OPT_STRINGS(struct sample_rule, sources, "sources", NULL, "Networks of the source.",
                   .check = sample_check_network, .flags = FT_OPTION_REQUIRED, .max = 4),
    FT_OPT_U64(struct sample_rule, port, "port", "0", 0, 65535, "Port of the destination."),
};

static const struct ft_option_table sample_rule_table = {.options = sample_rule_options,
                                                         .n_options = sizeof sample_rule_options /
                                                                      sizeof sample_rule_options[0],
                                                         .struct_size = sizeof(struct sample_rule)};

static const struct ft_option sample_options[] = {
    FT_OPT_STRING(struct sample, url, "collector.url", NULL,
                  "Where the events go, such as https://collector.example:4317.", .letter = 'u',
                  .value_name = "URL", .max = 100, .flags = FT_OPTION_LOCAL | FT_OPTION_REQUIRED),
    FT_OPT_SECRET_FILE(struct sample, token_file, "collector.token_file", NULL,
                       "File with the agent's token.", .flags = FT_OPTION_LOCAL),
    FT_OPT_SECRET(struct sample, token, "collector.token", NULL, "The agent's token itself.",
                  .flags = FT_OPTION_LOCAL, .min = 8),
    FT_OPT_BOOL(struct sample, tls, "collector.tls", "true",
                "Whether the connection is encrypted."),
    FT_OPT_DURATION(struct sample, flush_ns, "log.flush", "1s", UINT64_C(10000000),
                    UINT64_C(3600000000000),
                    "Longest time that an event waits for its block to be sealed."),
    FT_OPT_SIZE(struct sample, bytes_max, "log.bytes_max", "64MiB", 1u << 20, UINT64_C(1) << 36,
                "Events kept in memory until the collector has confirmed them; at the bound the "
                "oldest go to the spool."),
    FT_OPT_U64(struct sample, events_max, "log.events_max", "4096", 512, 65536,
               "Events of one block.", .flags = FT_OPTION_ADVANCED),
    FT_OPT_PATH(struct sample, spool_path, "log.spool.path", "$STATE_DIRECTORY/spool",
                "Directory of the spool; none: memory only.", .flags = FT_OPTION_RESTART),
    FT_OPT_ENUM(struct sample, capture, "capture", "adaptive", sample_capture_names,
                "What the kernel is asked for."),
    FT_OPT_STRINGS(struct sample, networks, "networks", "10.0.0.0/8,fd00::/8",
                   "Networks that are ours.", .check = sample_check_network, .max = 8,
                   .letter = 'n'),
    FT_OPT_STRUCTS(struct sample, rules, "filter.rules", &sample_rule_table,
                   "Rules, the first that matches decides.", .max = 3),
    FT_OPT_BOOL(struct sample, follow, "follow", "false", "Go on with new events.", .letter = 'f',
                .flags = FT_OPTION_CLI_ONLY),
};

static const struct ft_option_group sample_groups[] = {
    {"collector", "Connection to the collector"},
    {"log", "Retention"},
    {"log.spool", "Spool on disk"},
};

static const struct ft_option_table sample_table = {
    .options = sample_options,
    .n_options = sizeof sample_options / sizeof sample_options[0],
    .struct_size = sizeof(struct sample),
    .groups = sample_groups,
    .n_groups = sizeof sample_groups / sizeof sample_groups[0],
    .check = sample_check,
    .settle = sample_settle};

#endif
