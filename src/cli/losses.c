/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail losses: what is missing from the trail, when, how much and why. */
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/rows.h"

struct options {
    struct ft_cli_where where;
    char *since;
    char *until;
    bool json;
};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_STRING(struct options, since, "since", "24h",
                  "From this time on: RFC 3339, or how long ago.", .value_name = "TIME"),
    FT_OPT_STRING(struct options, until, "until", NULL, "Before this time.", .value_name = "TIME"),
    FT_OPT_BOOL(struct options, json, "json", "false", "One JSON object a line."),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args);
static ft_err print_loss(void *ctx, const struct ft_row *row, const char *json, size_t json_size);

const struct ft_command ft_command_losses = {
    .name = "losses",
    .summary = "What is missing from the trail: when, how much, why.",
    .text = "Exit code 0: nothing is missing in the time asked for; 1: something is.",
    .examples = "  flowtrail losses\n"
                "  flowtrail losses --server collector:8319 --since 7d\n",
    .table = &table,
    .run = run,
};

struct printer {
    bool json;
    uint64_t n_losses;
    uint64_t n_events;
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    struct ft_buf filters;
    ft_buf_init(&filters, 0);
    const char *const names[] = {"begin", "end"};
    const char *const times[] = {options->since, options->until};
    for (size_t i = 0; i < 2; i++) {
        int64_t when_ns;
        if (times[i][0] == '\0') {
            continue;
        }
        if (ft_cli_parse_time(times[i], &when_ns) != FT_OK) {
            ft_cli_error("\"%s\" is no time: write 2026-01-31T12:00:00Z, or how long ago: 10m",
                         times[i]);
            ft_buf_deinit(&filters);
            return FT_EXIT_USAGE;
        }
        char when[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(when_ns, 9, when);
        ft_buf_addf(&filters, "&%s=%s", names[i], when);
    }
    FT_CLEANUP(ft_http_client_destroy)
    struct ft_http_client *client = ft_cli_connect(&options->where);
    int code = FT_EXIT_USAGE;
    if (client != NULL) {
        struct printer printer = {.json = options->json};
        struct ft_diag diag = {0};
        struct ft_cli_rows_query query = {
            .path = "/api/v1/losses", .filters = ft_buf_str(&filters), .page_rows = 1000};
        ft_err err = ft_cli_rows_stored(client, &query, print_loss, &printer, &diag);
        if (err != FT_OK && err != ft_err_from_errno(EPIPE)) {
            ft_cli_diag(&diag);
            code = FT_EXIT_FAILED;
        } else {
            code = printer.n_losses > 0 ? FT_EXIT_DEGRADED : FT_EXIT_OK;
            if (!options->json && printer.n_losses == 0) {
                (void)printf("nothing is missing\n");
            } else if (!options->json) {
                (void)printf("%llu events in %llu losses\n", (unsigned long long)printer.n_events,
                             (unsigned long long)printer.n_losses);
            }
        }
    }
    ft_buf_deinit(&filters);
    return code;
}

static ft_err print_loss(void *ctx, const struct ft_row *row, const char *json, size_t json_size)
{
    struct printer *printer = ctx;
    const struct ft_loss *loss = &row->event.loss;
    printer->n_losses++;
    printer->n_events += loss->count;
    struct ft_buf out;
    ft_buf_init(&out, 0);
    if (printer->json) {
        ft_buf_add(&out, json, json_size);
        ft_buf_add_char(&out, '\n');
    } else {
        char begin[FT_RFC3339_SIZE];
        char end[FT_RFC3339_SIZE];
        char agent[FT_UUID_TEXT_SIZE];
        ft_time_format_rfc3339(loss->begin_ns, 3, begin);
        ft_time_format_rfc3339(loss->end_ns, 3, end);
        ft_uuid_format(&row->agent_id, agent);
        ft_buf_addf(&out, "%s to %s  agent %s  %s%llu events  %s\n", begin, end, agent,
                    loss->estimated ? "about " : "", (unsigned long long)loss->count,
                    ft_loss_cause_name((unsigned)loss->cause));
    }
    ft_err err = ft_cli_write(&out);
    ft_buf_deinit(&out);
    return err;
}
