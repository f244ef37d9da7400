/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail losses: what is missing from the trail, when, how much and why. */
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/filters.h"
#include "cli/names.h"
#include "cli/rows.h"
#include "cli/terminal.h"
#include "cli/where.h"
#include "text/json.h"

struct options {
    struct ft_cli_where where;
    char *since;
    char *until;
    struct ft_strings node_name;
    int output;
};

enum output { OUTPUT_TABLE, OUTPUT_JSON };
static const char *const output_names[] = {"table", "json", NULL};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_STRING(struct options, since, "since", "24h",
                  "From this time on: RFC 3339, or how long ago.", .value_name = "TIME"),
    FT_OPT_STRING(struct options, until, "until", NULL, "Before this time.", .value_name = "TIME"),
    FT_OPT_STRINGS(struct options, node_name, "node_name", NULL,
                   "Agent: the name of its host, \"web-*\" for all that begin so, or its id.",
                   .value_name = "NAME"),
    FT_OPT_ENUM(struct options, output, "output", "table", output_names,
                "Form of the answer; json is one object a line.", .letter = 'o'),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

struct printer {
    bool json;
    struct ft_cli_names *names;
    struct ft_buf out;
    uint64_t n_losses;
    uint64_t n_events;
};

static int run(const void *loaded, const struct ft_options_args *args);
static ft_err set_filters(const struct options *options, struct ft_cli_names *names,
                          struct ft_cli_filters *filters, struct ft_diag *reterr_diag);
static int show(const struct options *options, struct ft_cli_names *names, const char *filters);
static ft_err print_loss(void *ctx, const struct ft_row *row);
static int print_sum(struct printer *printer, const char *since);

const struct ft_command ft_command_losses = {
    .name = "losses",
    .summary = "What is missing from the trail: when, how much, why.",
    .text = "Exit code 0: nothing is missing in the time asked for; 1: something is; 2: there is "
            "no answer.",
    .examples = "  flowtrail losses\n"
                "  flowtrail losses --server collector:8319 --since 7d\n"
                "  flowtrail losses --server collector:8319 --node-name web-1 -o json\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    struct ft_cli_names names = {.where = &options->where};
    struct ft_cli_filters filters;
    struct ft_buf query;
    struct ft_diag diag = {0};
    ft_cli_filters_init(&filters);
    ft_buf_init(&query, 0);
    int code = FT_EXIT_USAGE;
    ft_err err = set_filters(options, &names, &filters, &diag);
    if (err == FT_OK) {
        ft_cli_filters_format(&filters, true, &query);
        code = show(options, &names, ft_buf_str(&query));
    } else {
        ft_cli_diag(&diag);
        code = ft_err_kind(err) == FT_KIND_USAGE ? FT_EXIT_USAGE : FT_EXIT_FAILED;
    }
    ft_buf_deinit(&query);
    ft_cli_filters_deinit(&filters);
    ft_cli_names_deinit(&names);
    return code;
}

static ft_err set_filters(const struct options *options, struct ft_cli_names *names,
                          struct ft_cli_filters *filters, struct ft_diag *reterr_diag)
{
    FT_TRY(ft_cli_filters_set_time(filters, options->since, options->until,
                                   ft_clock_real_ns(ft_clock_system()), reterr_diag));
    for (size_t i = 0; i < options->node_name.n; i++) {
        FT_TRY(
            ft_cli_names_filter(names, options->node_name.items[i], false, filters, reterr_diag));
    }
    return FT_OK;
}

static int show(const struct options *options, struct ft_cli_names *names, const char *filters)
{
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(&options->where);
    if (client == NULL) {
        return FT_EXIT_USAGE;
    }
    struct printer printer = {.json = options->output == OUTPUT_JSON, .names = names};
    struct ft_diag diag = {0};
    struct ft_cli_rows_query query = {.path = "/api/v1/losses", .filters = filters};
    ft_buf_init(&printer.out, 0);
    ft_err err = ft_cli_rows_stored(client, &query, print_loss, &printer, &diag);
    int code = FT_EXIT_FAILED;
    if (err == FT_OK || err == ft_err_from_errno(EPIPE)) {
        code = print_sum(&printer, options->since);
    } else {
        ft_cli_tell_failure(&options->where, err, &diag);
    }
    ft_buf_deinit(&printer.out);
    return code;
}

static void format_loss(struct printer *printer, const struct ft_row *row)
{
    const struct ft_loss *loss = &row->event.loss;
    char begin[FT_RFC3339_SIZE];
    char end[FT_RFC3339_SIZE];
    char id[FT_UUID_TEXT_SIZE];
    ft_time_format_rfc3339(loss->begin_ns, 3, begin);
    ft_time_format_rfc3339(loss->end_ns, 3, end);
    ft_uuid_format(&row->agent_id, id);
    const char *name = ft_cli_names_find(printer->names, &row->agent_id);
    ft_buf_addf(&printer->out, "%s - %s  ", begin, end);
    ft_cli_add_column(&printer->out, name != NULL ? name : id, 12);
    ft_buf_addf(&printer->out, "  %s%llu events  %s\n", loss->estimated ? "at most " : "",
                (unsigned long long)loss->count, ft_loss_cause_name((unsigned)loss->cause));
}

static ft_err print_loss(void *ctx, const struct ft_row *row)
{
    struct printer *printer = ctx;
    printer->n_losses++;
    printer->n_events += row->event.loss.count;
    ft_buf_clear(&printer->out);
    if (printer->json) {
        ft_text_ndjson_row(&printer->out, row);
    } else {
        format_loss(printer, row);
    }
    return ft_cli_write(&printer->out);
}

static int print_sum(struct printer *printer, const char *since)
{
    ft_buf_clear(&printer->out);
    if (!printer->json && printer->n_losses == 0) {
        ft_buf_addf(&printer->out, "Nothing is missing since %s%s.\n", since,
                    strchr(since, ':') == NULL && strchr(since, '-') == NULL ? " ago" : "");
    } else if (!printer->json) {
        ft_buf_addf(&printer->out, "%llu events in %llu losses.\n",
                    (unsigned long long)printer->n_events, (unsigned long long)printer->n_losses);
    }
    return ft_cli_finish(&printer->out, printer->n_losses > 0 ? FT_EXIT_DEGRADED : FT_EXIT_OK);
}
