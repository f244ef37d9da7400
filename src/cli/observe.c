/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail observe: flows, live or stored. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/rows.h"

/* Rows of one page of a stored query. */
#define PAGE_ROWS    1000
#define LAST_DEFAULT 20

enum output { OUTPUT_COMPACT, OUTPUT_TABLE, OUTPUT_DICT, OUTPUT_JSON };

struct options {
    struct ft_cli_where where;
    bool follow;
    uint64_t last;
    uint64_t first;
    char *since;
    char *until;
    int output; /* enum output */
    int time_format;
    bool not ;
    struct ft_strings ip, from_ip, to_ip, port, from_port, to_port, protocol, type, direction,
        node_name, process, filter;
    bool ipv4;
    bool ipv6;
};

static const char *const output_names[] = {"compact", "table", "dict", "json", NULL};
static const char *const time_names[] = {"short", "rfc3339", NULL};
static const char *const colour_names[] = {"auto", "always", "never", NULL};

#define FILTER(member, name_, help_, ...)                                                          \
    FT_OPT_STRINGS(struct options, member, name_, NULL, help_, .flags = FT_OPTION_CLI_ONLY,        \
                   ##__VA_ARGS__)

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_BOOL(struct options, follow, "follow", "false", "Stay and show flows as they come.",
                .letter = 'f'),
    FT_OPT_U64(struct options, last, "last", "0", 0, 1000000,
               "The newest N (20 unless something else is asked for).", .value_name = "N"),
    FT_OPT_U64(struct options, first, "first", "0", 0, 1000000, "The oldest N of the time range.",
               .value_name = "N"),
    FT_OPT_STRING(struct options, since, "since", NULL,
                  "From this time on: RFC 3339, or how long ago (\"10m\", \"2h30m\").",
                  .value_name = "TIME"),
    FT_OPT_STRING(struct options, until, "until", NULL, "Before this time.", .value_name = "TIME"),
    FILTER(ip, "ip", "Address or range of either end."),
    FILTER(from_ip, "from_ip", "Address or range of the source."),
    FILTER(to_ip, "to_ip", "Address or range of the destination."),
    FILTER(port, "port", "Port or range of either end."),
    FILTER(from_port, "from_port", "Port or range of the source."),
    FILTER(to_port, "to_port", "Port or range of the destination."),
    FILTER(protocol, "protocol", "tcp, udp, icmp, … or a number."),
    FILTER(type, "type", "start, update, end, drop, loss.", .letter = 't'),
    FILTER(direction, "traffic_direction", "ingress, egress, local, forwarded."),
    FILTER(node_name, "node_name", "Agent: its id."),
    FILTER(process, "process", "Name of the process; \"ngin*\" for all that begin so."),
    FILTER(filter, "filter", "COLUMN=VALUE for any column of the API.", .value_name = "FILTER"),
    FT_OPT_BOOL(struct options, ipv4, "ipv4", "false", "IPv4 only.", .letter = '4'),
    FT_OPT_BOOL(struct options, ipv6, "ipv6", "false", "IPv6 only.", .letter = '6'),
    FT_OPT_BOOL(struct options, not, "not", "false",
                "The filter that follows must not match: --not --port 53."),
    FT_OPT_ENUM(struct options, output, "output", "compact", output_names,
                "Form of the rows; json is one object a line.", .letter = 'o'),
    FT_OPT_ENUM(struct options, time_format, "time_format", "short", time_names,
                "Form of times, in UTC."),
    FT_OPT_ENUM(struct options, where.colour, "color", "auto", colour_names,
                "Colour: auto is on a terminal only."),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

/* Which column a flag filters by. */
static const struct {
    const char *option;
    const char *column;
} columns[] = {{"ip", "addr"},
               {"from_ip", "src_addr"},
               {"to_ip", "dst_addr"},
               {"port", "port"},
               {"from_port", "src_port"},
               {"to_port", "dst_port"},
               {"protocol", "protocol"},
               {"type", "type"},
               {"traffic_direction", "direction"},
               {"node_name", "agent_id"},
               {"process", "process_name"}};

struct printer {
    const struct options *options;
    struct ft_text_line_options line;
    struct ft_buf out;
    bool header_due;
    uint64_t n_rows;
};

static int run(const void *loaded, const struct ft_options_args *args);
static ft_err add_filters(const struct options *options, const struct ft_options_args *args,
                          struct ft_buf *query);
static ft_err add_time(const char *name, const char *text, struct ft_buf *query);
static ft_err print_row(void *ctx, const struct ft_row *row, const char *json, size_t json_size);
static ft_err show_stored(struct ft_http_client *client, const struct options *options,
                          const char *filters, struct printer *printer,
                          struct ft_diag *reterr_diag);
static ft_err show_live(struct ft_http_client *client, const char *filters, struct printer *printer,
                        struct ft_diag *reterr_diag);

const struct ft_command ft_command_observe = {
    .name = "observe",
    .summary = "Show flows, live or stored.",
    .text = "Asks the agent of this host, which knows the latest flows, or with --server a "
            "collector,\nwhich knows all that are stored.  Filters of one kind are alternatives, "
            "different kinds must\nall match, and --not turns the next one around.",
    .examples = "  flowtrail observe -f\n"
                "  flowtrail observe --server collector:8319 --since 1h --to-port 443\n"
                "  flowtrail observe -f --ip 10.0.0.0/8 --not --protocol icmp\n"
                "  flowtrail observe --server collector:8319 --type end -o json | jq .tx_bytes\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    const struct options *options = loaded;
    struct ft_buf query;
    ft_buf_init(&query, 0);
    int code = FT_EXIT_USAGE;
    FT_CLEANUP(ft_http_client_destroy) struct ft_http_client *client = NULL;
    if (add_filters(options, args, &query) == FT_OK) {
        client = ft_cli_connect(&options->where);
    }
    if (client != NULL) {
        struct printer printer = {.options = options,
                                  .line = {.time = (enum ft_text_time)options->time_format,
                                           .colour = ft_cli_use_colour(
                                               stdout, (enum ft_cli_colour)options->where.colour)},
                                  .header_due = options->output == OUTPUT_TABLE};
        ft_buf_init(&printer.out, 0);
        ft_cli_cancel_on_signal(client);
        struct ft_diag diag = {0};
        ft_err err = FT_OK;
        if (!options->follow || options->last > 0 || options->since[0] != '\0') {
            err = show_stored(client, options, ft_buf_str(&query), &printer, &diag);
        }
        if (err == FT_OK && options->follow) {
            err = show_live(client, ft_buf_str(&query), &printer, &diag);
        }
        ft_cli_cancel_on_signal(NULL);
        ft_buf_deinit(&printer.out);
        code = FT_EXIT_OK;
        if (err != FT_OK && err != FT_E_CANCELLED && err != ft_err_from_errno(EPIPE)) {
            ft_cli_diag(&diag);
            code = FT_EXIT_FAILED;
        }
    }
    ft_buf_deinit(&query);
    return code;
}

static const char *column_of(const char *option)
{
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (strcmp(columns[i].option, option) == 0) {
            return columns[i].column;
        }
    }
    return NULL;
}

static void add_filter(struct ft_buf *query, const char *column, const char *value, bool negate)
{
    ft_buf_addf(query, "&%s%s=", negate ? "not." : "", column);
    ft_http_add_escaped(query, value);
}

/* The flags in their order, because --not belongs to the one behind it. */
static ft_err add_filters(const struct options *options, const struct ft_options_args *args,
                          struct ft_buf *query)
{
    bool negate = false;
    for (size_t i = 0; i < args->n_flags; i++) {
        const char *option = args->flags[i].option->name;
        const char *value = args->flags[i].value;
        if (strcmp(option, "not") == 0) {
            negate = !negate;
            continue;
        }
        const char *column = column_of(option);
        if (column != NULL) {
            add_filter(query, column, value, negate);
        } else if (strcmp(option, "filter") == 0) {
            const char *equals = strchr(value, '=');
            if (equals == NULL) {
                ft_cli_error("--filter %s: write COLUMN=VALUE", value);
                return FT_E_SYNTAX;
            }
            char name[64];
            (void)snprintf(name, sizeof name, "%.*s", (int)(equals - value), value);
            add_filter(query, name, equals + 1, negate);
        } else if (negate) {
            ft_cli_error("--not stands before a filter, not before --%s", option);
            return FT_E_SYNTAX;
        }
        negate = false;
    }
    if (options->ipv4 != options->ipv6) {
        add_filter(query, "ip_version", options->ipv4 ? "4" : "6", false);
    }
    FT_TRY(add_time("begin", options->since, query));
    return add_time("end", options->until, query);
}

static ft_err add_time(const char *name, const char *text, struct ft_buf *query)
{
    if (text[0] == '\0') {
        return FT_OK;
    }
    int64_t when_ns;
    if (ft_cli_parse_time(text, &when_ns) != FT_OK) {
        ft_cli_error("\"%s\" is no time: write 2026-01-31T12:00:00Z, or how long ago: 10m, 2h30m",
                     text);
        return FT_E_SYNTAX;
    }
    char when[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(when_ns, 9, when);
    ft_buf_addf(query, "&%s=%s", name, when);
    return FT_OK;
}

static ft_err print_row(void *ctx, const struct ft_row *row, const char *json, size_t json_size)
{
    struct printer *printer = ctx;
    ft_buf_clear(&printer->out);
    if (printer->header_due) {
        ft_text_table_header(&printer->out, &printer->line);
        printer->header_due = false;
    }
    switch ((enum output)printer->options->output) {
    case OUTPUT_COMPACT:
        ft_text_compact_row(&printer->out, &printer->line, row);
        break;
    case OUTPUT_TABLE:
        ft_text_table_row(&printer->out, &printer->line, row);
        break;
    case OUTPUT_DICT:
        ft_text_dict_row(&printer->out, &printer->line, row, printer->n_rows == 0);
        break;
    case OUTPUT_JSON:
        ft_buf_add(&printer->out, json, json_size);
        ft_buf_add_char(&printer->out, '\n');
        break;
    }
    printer->n_rows++;
    return ft_cli_write(&printer->out);
}

/* Pages through the stored flows, oldest first; the newest N are asked for newest first. */
static ft_err show_stored(struct ft_http_client *client, const struct options *options,
                          const char *filters, struct printer *printer, struct ft_diag *reterr_diag)
{
    uint64_t want = options->first > 0 ? options->first : options->last;
    bool newest = options->first == 0 && (options->last > 0 || options->since[0] == '\0');
    if (newest && want == 0) {
        want = LAST_DEFAULT;
    }
    struct ft_cli_rows_query query = {.path = "/api/v1/flows",
                                      .filters = filters,
                                      .newest_first = newest,
                                      .rows_max = want,
                                      .page_rows = PAGE_ROWS};
    return ft_cli_rows_stored(client, &query, print_row, printer, reterr_diag);
}

static ft_err show_live(struct ft_http_client *client, const char *filters, struct printer *printer,
                        struct ft_diag *reterr_diag)
{
    char *path = NULL;
    if (asprintf(&path, "/api/v1/live%s%s", filters[0] != '\0' ? "?" : "",
                 filters[0] != '\0' ? filters + 1 : "") < 0) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = ft_cli_rows_live(client, path, print_row, printer, reterr_diag);
    free(path);
    return err;
}
