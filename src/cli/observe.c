/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail observe: flows, live or stored.  The names of the flags are Hubble's. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/filters.h"
#include "cli/names.h"
#include "cli/observe.h"
#include "cli/terminal.h"

static const char *const output_names[] = {"compact", "table", "dict", "json", "jsonpb", NULL};
static const char *const time_names[] = {"short", "rfc3339", NULL};

#define FILTER(member, name_, value_, help_, ...)                                                  \
    FT_OPT_STRINGS(struct ft_observe_options, member, name_, NULL, help_, .value_name = (value_),  \
                   .flags = FT_OPTION_CLI_ONLY, ##__VA_ARGS__)
#define O struct ft_observe_options

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(O),
    FT_OPT_STRING(O, input_file, "input_file", NULL,
                  "Show rows that \"observe -o json\" has written, instead of asking; - is "
                  "standard input.",
                  .value_name = "FILE"),
    FT_OPT_BOOL(O, follow, "follow", "false", "Stay and show flows as they come, until Ctrl-C.",
                .letter = 'f'),
    FT_OPT_U64(O, last, "last", NULL, 0, FT_CLI_NEWEST_MAX,
               "The newest N; 20 unless something else is asked for.", .value_name = "N"),
    FT_OPT_U64(O, first, "first", NULL, 0, UINT64_MAX / 2, "The oldest N.", .value_name = "N"),
    FT_OPT_BOOL(O, all, "all", "false", "All flows, however many there are."),
    FT_OPT_STRING(O, since, "since", NULL,
                  "From this time on: RFC 3339, or how long ago (\"10m\", \"2h30m\").",
                  .value_name = "TIME"),
    FT_OPT_STRING(O, until, "until", NULL, "Before this time.", .value_name = "TIME"),
    FILTER(ip, "ip", "ADDRESS", "Address or range of either end, also before or behind NAT."),
    FILTER(from_ip, "from_ip", "ADDRESS", "Address or range of the source."),
    FILTER(to_ip, "to_ip", "ADDRESS", "Address or range of the destination."),
    FILTER(port, "port", "PORT", "Port or range (\"1000-2000\") of either end."),
    FILTER(from_port, "from_port", "PORT", "Port or range of the source."),
    FILTER(to_port, "to_port", "PORT", "Port or range of the destination."),
    FILTER(protocol, "protocol", "NAME", "tcp, udp, icmp, icmpv6, sctp, or a number."),
    FILTER(type, "type", "TYPE", "start, update, end, drop or loss.", .letter = 't'),
    FILTER(direction, "traffic_direction", "DIRECTION", "ingress, egress, local or forwarded."),
    FILTER(node_name, "node_name", "NAME",
           "Agent: the name of its host, \"web-*\" for all that begin so, or its id."),
    FILTER(process, "process", "NAME", "Process; \"ngin*\" for all that begin so."),
    FILTER(filter, "filter", "COLUMN=VALUE", "Any other column of the API."),
    FT_OPT_BOOL(O, ipv4, "ipv4", "false", "IPv4 only.", .letter = '4'),
    FT_OPT_BOOL(O, ipv6, "ipv6", "false", "IPv6 only.", .letter = '6'),
    FT_OPT_BOOL(O, not, "not", "false",
                "What matches the filter behind it is left out: --not --port 53."),
    FT_OPT_ENUM(O, output, "output", "compact", output_names,
                "Form of the rows; json is one object a line.", .letter = 'o'),
    FT_OPT_ENUM(O, time_format, "time_format", "short", time_names, "Form of times, in UTC."),
    FT_CLI_COLOUR_OPTION(O, colour),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct ft_observe_options),
};

/* Which column a flag filters by. */
static const struct {
    const char *option;
    const char *column;
    const char *value; /* Of a flag that takes none. */
} columns[] = {{"ip", "addr", NULL},
               {"from_ip", "src_addr", NULL},
               {"to_ip", "dst_addr", NULL},
               {"port", "port", NULL},
               {"from_port", "src_port", NULL},
               {"to_port", "dst_port", NULL},
               {"protocol", "protocol", NULL},
               {"type", "type", NULL},
               {"traffic_direction", "direction", NULL},
               {"process", "process_name", NULL},
               {"ipv4", "ip_version", "4"},
               {"ipv6", "ip_version", "6"}};

static int run(const void *loaded, const struct ft_options_args *args);
static ft_err check_modes(const struct ft_observe_options *options, struct ft_diag *reterr_diag);
static ft_err add_filters(const struct ft_options_args *args, struct ft_cli_names *names,
                          struct ft_cli_filters *filters, struct ft_diag *reterr_diag);

const struct ft_command ft_command_observe = {
    .name = "observe",
    .summary = "Show flows, live or stored.",
    .text = "Asks the agent of this host, which knows its latest flows, or with --server a "
            "collector, which knows all that are stored.\n\n"
            "A filter that is given several times, or as a list with commas, has alternatives; "
            "different filters must all match; --not turns the next one around.",
    .examples = "  flowtrail observe -f\n"
                "  flowtrail observe --server collector:8319 --since 1h --to-port 443\n"
                "  flowtrail observe -f --ip 10.0.0.0/8 --not --protocol icmp\n"
                "  flowtrail observe --server collector:8319 --type end -o json | jq .tx_bytes\n"
                "  flowtrail observe --input-file flows.json --from-ip 192.0.2.7\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    const struct ft_observe_options *options = loaded;
    struct ft_cli_names names = {.where = &options->where};
    struct ft_cli_filters filters;
    struct ft_diag diag = {0};
    ft_cli_filters_init(&filters);
    ft_err err = check_modes(options, &diag);
    if (err == FT_OK) {
        err = ft_cli_filters_set_time(&filters, options->since, options->until,
                                      ft_clock_real_ns(ft_clock_system()), &diag);
    }
    if (err == FT_OK) {
        err = add_filters(args, &names, &filters, &diag);
    }
    int code = ft_err_kind(err) == FT_KIND_USAGE ? FT_EXIT_USAGE : FT_EXIT_FAILED;
    if (err == FT_OK) {
        code = ft_observe(options, &filters, &names);
    } else {
        ft_cli_error("%s", diag.text[0] != '\0' ? diag.text : ft_err_text(err));
    }
    ft_cli_filters_deinit(&filters);
    ft_cli_names_deinit(&names);
    return code;
}

/* Flags that contradict each other: whichever won, the answer would be to another question. */
static ft_err check_modes(const struct ft_observe_options *options, struct ft_diag *reterr_diag)
{
    const char *why = NULL;
    bool file = options->input_file[0] != '\0';
    if ((options->last > 0) + (options->first > 0) + options->all > 1) {
        why = "--last, --first and --all exclude each other";
    } else if (options->follow && (options->first > 0 || options->until[0] != '\0')) {
        why = "--follow has no end: neither --first nor --until goes with it";
    } else if (options->follow && file) {
        why = "--follow asks; with --input-file nobody is asked";
    } else if (file && options->node_name.n > 0) {
        why = "a file knows no names: instead of --node-name write --filter agent_id=ID";
    }
    return why == NULL ? FT_OK : ft_diag_set(reterr_diag, FT_E_SYNTAX, NULL, 0, 0, "%s", why);
}

static ft_err add_column_filter(const char *value, bool negate, struct ft_cli_filters *filters,
                                struct ft_diag *reterr_diag)
{
    const char *equals = strchr(value, '=');
    if (equals == NULL) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, NULL, 0, 0,
                           "--filter: \"%s\" is not COLUMN=VALUE", value);
    }
    char *column = strndup(value, (size_t)(equals - value));
    if (column == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = ft_cli_filters_add(filters, "--filter", column, equals + 1, negate, reterr_diag);
    free(column);
    return err;
}

/* FT_E_NOT_FOUND: the flag is no filter. */
static ft_err add_filter(const struct ft_options_flag *flag, bool negate,
                         struct ft_cli_names *names, struct ft_cli_filters *filters,
                         struct ft_diag *reterr_diag)
{
    const char *option = flag->option->name;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (strcmp(columns[i].option, option) == 0) {
            char name[64];
            const char *value = columns[i].value != NULL ? columns[i].value : flag->value;
            ft_option_flag_name(flag->option, name, sizeof name);
            if (columns[i].value != NULL && strcmp(flag->value, "true") != 0) {
                return FT_OK;
            }
            return ft_cli_filters_add(filters, name, columns[i].column, value, negate, reterr_diag);
        }
    }
    if (strcmp(option, "filter") == 0) {
        return add_column_filter(flag->value, negate, filters, reterr_diag);
    }
    if (strcmp(option, "node_name") == 0) {
        return ft_cli_names_filter(names, flag->value, negate, filters, reterr_diag);
    }
    if (negate) {
        char name[64];
        ft_option_flag_name(flag->option, name, sizeof name);
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, NULL, 0, 0,
                           "--not stands before a filter, which %s is not", name);
    }
    return FT_OK;
}

/* In the order of the command line, because --not belongs to the flag behind it. */
static ft_err add_filters(const struct ft_options_args *args, struct ft_cli_names *names,
                          struct ft_cli_filters *filters, struct ft_diag *reterr_diag)
{
    bool negate = false;
    for (size_t i = 0; i < args->n_flags; i++) {
        const struct ft_options_flag *flag = &args->flags[i];
        if (strcmp(flag->option->name, "not") == 0) {
            negate = strcmp(flag->value, "true") == 0;
            continue;
        }
        FT_TRY(add_filter(flag, negate, names, filters, reterr_diag));
        negate = false;
    }
    if (negate) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, NULL, 0, 0, "--not has no filter behind it");
    }
    return FT_OK;
}
