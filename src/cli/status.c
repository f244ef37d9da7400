/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail status: a row per component, and the account. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/rows.h"
#include "json/reader.h"

#define STATUS_PATH       "/api/v1/status"
#define STATUS_TIMEOUT_MS 10000L

struct options {
    struct ft_cli_where where;
    int output;
    bool watch;
    int64_t interval;
};

enum output { OUTPUT_TABLE, OUTPUT_JSON };
static const char *const output_names[] = {"table", "json", NULL};
static const char *const colour_names[] = {"auto", "always", "never", NULL};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_ENUM(struct options, output, "output", "table", output_names, "Form of the answer.",
                .letter = 'o'),
    FT_OPT_BOOL(struct options, watch, "watch", "false", "Ask again and again.", .letter = 'w'),
    FT_OPT_DURATION(struct options, interval, "interval", "2s", 100000000, 3600000000000,
                    "How often, with --watch."),
    FT_OPT_ENUM(struct options, where.colour, "color", "auto", colour_names,
                "Colour: auto is on a terminal only."),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args);
static int show(struct ft_http_client *client, const struct options *options);
static int judge(const struct ft_json_value *status);
static void show_table(const struct ft_json_value *status, bool colour);
static void show_account(const struct ft_json_value *account, bool colour);

const struct ft_command ft_command_status = {
    .name = "status",
    .summary = "How agent or collector are: a row per component, and the account.",
    .text = "Exit code 0: all is well; 1: something needs a look; 2: something failed, or there "
            "is no answer.",
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
    FT_CLEANUP(ft_http_client_destroy)
    struct ft_http_client *client = ft_cli_connect(&options->where);
    if (client == NULL) {
        return FT_EXIT_USAGE;
    }
    int code = show(client, options);
    while (options->watch) {
        (void)usleep((useconds_t)(options->interval / 1000));
        (void)printf("\n");
        code = show(client, options);
    }
    return code;
}

static int show(struct ft_http_client *client, const struct options *options)
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
    if (err != FT_OK) {
        ft_cli_diag(&diag);
        if (!ft_cli_is_collector(&options->where)) {
            ft_cli_error("is the agent running? (systemctl status flowtraild)");
        }
    } else {
        code = judge(ft_json_doc_get_root(doc));
        if (options->output == OUTPUT_JSON) {
            (void)printf("%s\n", ft_buf_str(&body));
        } else {
            show_table(ft_json_doc_get_root(doc),
                       ft_cli_use_colour(stdout, (enum ft_cli_colour)options->where.colour));
        }
    }
    ft_buf_deinit(&body);
    return code;
}

static const char *text_of(const struct ft_json_value *object, const char *key)
{
    const char *text = "";
    ft_err_ignore(ft_json_get_str(object, key, &text, NULL), "absent is empty");
    return text;
}

static uint64_t number_of(const struct ft_json_value *object, const char *key)
{
    uint64_t number = 0;
    ft_err_ignore(ft_json_get_u64(object, key, &number, NULL), "absent is zero");
    return number;
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

static bool is_balanced(const struct ft_json_value *account)
{
    bool balanced = false;
    ft_err_ignore(ft_json_get_bool(account, "balanced", &balanced, NULL), "absent is false");
    return balanced;
}

/* The worst of all components and the account. */
static int judge(const struct ft_json_value *status)
{
    int code = FT_EXIT_OK;
    const struct ft_json_value *components = ft_json_get(status, "components");
    for (size_t i = 0; i < ft_json_size(components); i++) {
        int row = code_of(text_of(ft_json_at(components, i), "health"));
        code = row > code ? row : code;
    }
    const struct ft_json_value *account = ft_json_get(status, "account");
    return account != NULL && !is_balanced(account) ? FT_EXIT_FAILED : code;
}

static void show_table(const struct ft_json_value *status, bool colour)
{
    const char *end = colour ? "\033[0m" : "";
    (void)printf("%s %s on %s\n\n", text_of(status, "program"), text_of(status, "version"),
                 text_of(status, "host_name"));
    const struct ft_json_value *components = ft_json_get(status, "components");
    for (size_t i = 0; i < ft_json_size(components); i++) {
        const struct ft_json_value *component = ft_json_at(components, i);
        const char *health = text_of(component, "health");
        (void)printf("%-14s %s%-9s%s %s\n", text_of(component, "name"),
                     paint(code_of(health), colour), health, end, text_of(component, "text"));
    }
    show_account(ft_json_get(status, "account"), colour);
}

static bool print_cause(void *ctx, const char *key, const struct ft_json_value *value)
{
    (void)ctx;
    uint64_t count = 0;
    if (ft_json_as_u64(value, &count) && count > 0) {
        (void)printf("  %-16s %12llu\n", key, (unsigned long long)count);
    }
    return true;
}

static void show_account(const struct ft_json_value *account, bool colour)
{
    if (account == NULL) {
        return;
    }
    static const char *const parts[] = {"observed", "stored", "retained", "lost"};
    (void)printf("\nEvents\n");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)printf("%-18s %12llu\n", parts[i], (unsigned long long)number_of(account, parts[i]));
    }
    ft_json_each(ft_json_get(account, "lost_by_cause"), print_cause, NULL);
    bool balanced = is_balanced(account);
    (void)printf("%-18s %s%12s%s\n", "account",
                 paint(balanced ? FT_EXIT_OK : FT_EXIT_FAILED, colour),
                 balanced ? "balanced" : "NOT BALANCED", colour ? "\033[0m" : "");
}
