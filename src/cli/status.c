/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail status: a row per component, and the account. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/where.h"
#include "json/reader.h"

#define STATUS_PATH       "/api/v1/status"
#define STATUS_TIMEOUT_MS 10000L

struct options {
    struct ft_cli_where where;
    int output;
    bool watch;
    int64_t interval;
    int colour;
};

enum output { OUTPUT_TABLE, OUTPUT_JSON };
static const char *const output_names[] = {"table", "json", NULL};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_ENUM(struct options, output, "output", "table", output_names,
                "Form of the answer; json is the answer as it came.", .letter = 'o'),
    FT_OPT_BOOL(struct options, watch, "watch", "false", "Ask again and again, until Ctrl-C.",
                .letter = 'w'),
    FT_OPT_DURATION(struct options, interval, "interval", "2s", 100 * FT_NS_PER_MS,
                    3600 * FT_NS_PER_S, "How often, with --watch."),
    FT_CLI_COLOUR_OPTION(struct options, colour),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args);
static int show(struct ft_http_client *client, const struct options *options);
static int ask(struct ft_http_client *client, const struct options *options, struct ft_buf *out);
static int judge(const struct ft_json_value *status);
static void add_table(const struct ft_json_value *status, bool colour, struct ft_buf *out);
static void add_account(const struct ft_json_value *account, bool colour, struct ft_buf *out);
static void wait_for(int64_t interval_ns);

const struct ft_command ft_command_status = {
    .name = "status",
    .summary = "How agent or collector are: a row per component, and the account.",
    .text =
        "Exit code 0: all is well; 1: something needs a look; 2: something failed, or there "
        "is no answer.\n\n"
        "The account says where each event is that was observed: stored, retained (kept until "
        "the collector has it), or reported lost, with the cause; rarely in quarantine, damaged in "
        "the collector's log, or merged into another event. It balances, or something "
        "failed.",
    .examples = "  flowtrail status\n"
                "  flowtrail status --server collector:8319 -o json\n"
                "  flowtrail status --watch\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(&options->where);
    if (client == NULL) {
        return FT_EXIT_USAGE;
    }
    if (!options->watch) {
        return show(client, options);
    }
    ft_cli_catch_signals();
    int code = FT_EXIT_OK;
    while (!ft_cli_is_interrupted() && ft_cli_has_reader()) {
        code = show(client, options);
        wait_for(options->interval);
    }
    return code;
}

static int show(struct ft_http_client *client, const struct options *options)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    int code = ask(client, options, &out);
    if (options->watch && options->output == OUTPUT_TABLE) {
        ft_buf_add_char(&out, '\n');
    }
    code = ft_cli_finish(&out, code);
    ft_buf_deinit(&out);
    return code;
}

static int ask(struct ft_http_client *client, const struct options *options, struct ft_buf *out)
{
    struct ft_buf body;
    ft_buf_init(&body, FT_HTTP_BODY_BYTES_MAX);
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    ft_err err = ft_http_get_all(client, STATUS_PATH, STATUS_TIMEOUT_MS, &body, &diag);
    if (err == FT_OK) {
        err = ft_json_parse(ft_buf_str(&body), body.size, STATUS_PATH, &doc, &diag);
    }
    int code = FT_EXIT_FAILED;
    if (err == FT_OK) {
        const struct ft_json_value *root = ft_json_doc_get_root(doc);
        code = judge(root);
        if (options->output == OUTPUT_JSON) {
            size_t size = body.size;
            while (size > 0 && body.data[size - 1] == '\n') {
                size--;
            }
            ft_cli_add_json(out, body.data, size);
            ft_buf_add_char(out, '\n');
        } else {
            add_table(root, ft_cli_use_colour(options->colour), out);
        }
    } else if (err != FT_E_CANCELLED) {
        ft_cli_tell_failure(&options->where, err, &diag);
    }
    ft_buf_deinit(&body);
    return code;
}

static int code_of(const char *health)
{
    if (strcmp(health, "ok") == 0) {
        return FT_EXIT_OK;
    }
    return strcmp(health, "failed") == 0 ? FT_EXIT_FAILED : FT_EXIT_DEGRADED;
}

static const char *paint(int code, bool colour)
{
    static const char *const paints[] = {"\033[32m", "\033[33m", "\033[31m"};
    return colour ? paints[code] : "";
}

/* The worst of all components and the account. */
static int judge(const struct ft_json_value *status)
{
    const struct ft_json_value *components = ft_json_get(status, "components");
    /* Who has no components did not say that it is well. */
    int code = ft_json_size(components) > 0 ? FT_EXIT_OK : FT_EXIT_FAILED;
    for (size_t i = 0; i < ft_json_size(components); i++) {
        int row = code_of(ft_cli_text_of(ft_json_at(components, i), "health"));
        code = row > code ? row : code;
    }
    const struct ft_json_value *account = ft_json_get(status, "account");
    return account != NULL && !ft_cli_is_set(account, "balanced") ? FT_EXIT_FAILED : code;
}

static void add_table(const struct ft_json_value *status, bool colour, struct ft_buf *out)
{
    const char *end = colour ? "\033[0m" : "";
    ft_cli_add_clean(out, ft_cli_text_of(status, "program"));
    ft_buf_add_char(out, ' ');
    ft_cli_add_clean(out, ft_cli_text_of(status, "version"));
    ft_buf_add_str(out, " on ");
    ft_cli_add_clean(out, ft_cli_text_of(status, "host_name"));
    ft_buf_add_str(out, "\n\n");
    const struct ft_json_value *components = ft_json_get(status, "components");
    if (ft_json_size(components) == 0) {
        ft_buf_add_str(out, "The answer names no components.\n");
    }
    for (size_t i = 0; i < ft_json_size(components); i++) {
        const struct ft_json_value *component = ft_json_at(components, i);
        const char *health = ft_cli_text_of(component, "health");
        ft_cli_add_column(out, ft_cli_text_of(component, "name"), 14);
        ft_buf_addf(out, " %s", paint(code_of(health), colour));
        ft_cli_add_column(out, health, 9);
        ft_buf_addf(out, "%s ", end);
        ft_cli_add_clean(out, ft_cli_text_of(component, "text"));
        ft_buf_add_char(out, '\n');
    }
    const struct ft_json_value *account = ft_json_get(status, "account");
    if (account != NULL) {
        add_account(account, colour, out);
    }
}

static bool add_cause(void *ctx, const char *key, const struct ft_json_value *value)
{
    struct ft_buf *out = ctx;
    uint64_t count = 0;
    if (ft_json_as_u64(value, &count) && count > 0) {
        ft_buf_add_str(out, "  ");
        ft_cli_add_column(out, key, 16);
        ft_buf_addf(out, " %12llu\n", (unsigned long long)count);
    }
    return true;
}

static void add_account(const struct ft_json_value *account, bool colour, struct ft_buf *out)
{
    static const struct {
        const char *name;
        bool rare; /* Needs an explanation where it is seen. */
    } parts[] = {{"observed", false}, {"stored", false}, {"quarantined", true}, {"damaged", true},
                 {"retained", false}, {"merged", true},  {"lost", false}};
    ft_buf_add_str(out, "\nEvents\n");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint64_t count = ft_cli_number_of(account, parts[i].name);
        if (count > 0 || !parts[i].rare) {
            ft_buf_addf(out, "%-18s %12llu\n", parts[i].name, (unsigned long long)count);
        }
    }
    ft_json_each(ft_json_get(account, "lost_by_cause"), add_cause, out);
    bool balanced = ft_cli_is_set(account, "balanced");
    uint64_t unaccounted = ft_cli_number_of(account, "unaccounted");
    if (unaccounted > 0) {
        ft_buf_addf(out, "%-18s %12llu\n", "unaccounted for", (unsigned long long)unaccounted);
    }
    ft_buf_addf(out, "%-18s %s%12s%s\n", "account",
                paint(balanced ? FT_EXIT_OK : FT_EXIT_FAILED, colour),
                balanced ? "balanced" : "NOT BALANCED", colour ? "\033[0m" : "");
}

/* Until the time is over or Ctrl-C. */
static void wait_for(int64_t interval_ns)
{
    struct timespec time = {.tv_sec = interval_ns / FT_NS_PER_S,
                            .tv_nsec = interval_ns % FT_NS_PER_S};
    if (!ft_cli_is_interrupted()) {
        (void)nanosleep(&time, NULL);
    }
}
