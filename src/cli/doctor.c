/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail doctor: what on this host, and on the way to the collector, would lose flows. */
#include "cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/terminal.h"

struct options {
    struct ft_cli_where where;
    char *url;
    char *token_file;
    int output;
    int colour;
};

enum output { OUTPUT_TABLE, OUTPUT_JSON };
static const char *const output_names[] = {"table", "json", NULL};

static const struct ft_option table_options[] = {
    FT_CLI_WHERE_OPTIONS(struct options),
    FT_OPT_STRING(
        struct options, url, "url", NULL,
        "Where agents send to: the agent's collector.url, which is asked for unless given "
        "here.",
        .value_name = "URL"),
    FT_OPT_PATH(struct options, token_file, "token_file", NULL,
                "The agent's collector.token_file, in the same way.", .value_name = "FILE"),
    FT_OPT_ENUM(struct options, output, "output", "table", output_names, "Form of the answer.",
                .letter = 'o'),
    FT_CLI_COLOUR_OPTION(struct options, colour),
};

static const struct ft_option_table table = {
    .options = table_options,
    .n_options = sizeof table_options / sizeof table_options[0],
    .struct_size = sizeof(struct options),
};

static int run(const void *loaded, const struct ft_options_args *args);
static void check_clock(const struct options *options, const struct ft_doctor_target *target,
                        struct ft_checkup *checkup);

const struct ft_command ft_command_doctor = {
    .name = "doctor",
    .summary = "Find what would lose flows on this host and on the way to the collector.",
    .text = "Looks at the kernel's switches, capabilities, buffers and connection table; asks the "
            "agent; and tries the way to the collector as the agent goes it: name, TCP, TLS, "
            "token, clock. Each row that is not well has the line that mends it. Nothing is "
            "changed.\n\n"
            "Without root it says what it could not see.\n\n"
            "Exit code 0: all that could be seen is well; 1: something needs a look; 2: something "
            "does not work.",
    .examples = "  sudo flowtrail doctor\n"
                "  flowtrail doctor --url https://collector.example:4317 --token-file ./token\n"
                "  flowtrail doctor -o json\n",
    .table = &table,
    .run = run,
};

static int run(const void *loaded, const struct ft_options_args *args)
{
    (void)args;
    const struct options *options = loaded;
    struct ft_checkup *checkup = calloc(1, sizeof *checkup);
    if (checkup == NULL) {
        ft_cli_error("%s", ft_err_text(ft_err_last()));
        return FT_EXIT_FAILED;
    }
    struct ft_doctor_kernel kernel;
    struct ft_doctor_target target = {0};
    (void)snprintf(target.url, sizeof target.url, "%s", options->url);
    (void)snprintf(target.token_file, sizeof target.token_file, "%s", options->token_file);
    (void)snprintf(target.ca_file, sizeof target.ca_file, "%s", options->where.ca_file);
    ft_doctor_kernel_look(&kernel);
    ft_doctor_kernel_judge(&kernel, checkup);
    ft_doctor_agent(&options->where, &target, checkup);
    ft_doctor_collector(&target, checkup);
    check_clock(options, &target, checkup);
    struct ft_buf out;
    ft_buf_init(&out, 0);
    if (options->output == OUTPUT_JSON) {
        ft_checkup_write_json(checkup, &out);
    } else {
        ft_checkup_write_table(checkup, ft_cli_use_colour(options->colour), &out);
    }
    int code = ft_cli_finish(&out, ft_checkup_judge(checkup));
    ft_buf_deinit(&out);
    free(checkup);
    return code;
}

/* The time that a collector tells, against the middle of the asking. */
static bool ask_time(const struct ft_cli_where *where, double *ret_skew_s)
{
    FT_CLEANUP(ft_json_doc_destroy) struct ft_json_doc *doc = NULL;
    FT_CLEANUP(ft_cli_disconnect) struct ft_http_client *client = ft_cli_connect(where);
    struct ft_diag diag = {0};
    int64_t theirs_ns = 0;
    int64_t before_ns = ft_clock_real_ns(ft_clock_system());
    if (client == NULL || ft_cli_get_json(client, "/api/v1/status", &doc, &diag) != FT_OK ||
        ft_parse_rfc3339(ft_cli_text_of(ft_json_doc_get_root(doc), "time"), &theirs_ns) != FT_OK) {
        return false;
    }
    int64_t after_ns = ft_clock_real_ns(ft_clock_system());
    int64_t skew_ns = theirs_ns - before_ns - (after_ns - before_ns) / 2;
    *ret_skew_s = (double)skew_ns / (double)FT_NS_PER_S;
    return true;
}

static void check_clock(const struct options *options, const struct ft_doctor_target *target,
                        struct ft_checkup *checkup)
{
    double skew_s = target->clock_skew_s;
    if (target->clock_skew_known) {
        ft_doctor_clock_judge(true, skew_s, "the collector, as the agent sees it", checkup);
    } else {
        bool known = ft_cli_is_collector(&options->where) && ask_time(&options->where, &skew_s);
        ft_doctor_clock_judge(known, skew_s, "the collector", checkup);
    }
}

void ft_doctor_clock_judge(bool known, double skew_s, const char *source,
                           struct ft_checkup *checkup)
{
    /* Events keep their own order; skew only moves them against those of other hosts. */
    static const double warn_s = 1;
    static const double fail_s = 60;
    double size_s = skew_s < 0 ? -skew_s : skew_s;
    if (!known) {
        ft_checkup_add(checkup, "clock", FT_CHECK_UNSEEN,
                       "nobody told the collector's time: no connected agent, no --server");
        return;
    }
    enum ft_check_state state = size_s >= fail_s   ? FT_CHECK_FAIL
                                : size_s >= warn_s ? FT_CHECK_WARN
                                                   : FT_CHECK_OK;
    struct ft_check *check = ft_checkup_add(checkup, "clock", state, "%.3f s %s %s", size_s,
                                            skew_s < 0 ? "ahead of" : "behind", source);
    if (state != FT_CHECK_OK) {
        ft_check_set_fix(check, "timedatectl set-ntp true");
    }
}
