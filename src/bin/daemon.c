/* SPDX-License-Identifier: Apache-2.0 */
#include "bin/daemon.h"

#include <stdio.h>
#include <stdlib.h>

extern char **environ;

static void print(struct ft_buf *buf)
{
    (void)fputs(ft_buf_str(buf), stdout);
    ft_buf_deinit(buf);
}

static void complain(const struct ft_daemon *daemon, const struct ft_diag *diag)
{
    char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
    ft_diag_format(diag, text, sizeof text);
    (void)fprintf(stderr, "%s: %s\n", daemon->name, text);
}

static void help(const struct ft_daemon *daemon, bool all)
{
    (void)printf("Usage: %s [OPTION]...\n\n%s\n\n", daemon->name, daemon->summary);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_options_help(daemon->table, FT_ARGS_CONFIG, all, &buf);
    print(&buf);
    (void)printf("\nConfiguration: %s, then %s/*.yaml; FLOWTRAIL_… in the environment; flags.\n",
                 daemon->config_file, daemon->dropin_dir);
}

static ft_err load(const struct ft_daemon *daemon, void *options,
                   struct ft_options_report **ret_report, struct ft_diag *reterr_diag)
{
    bool named = daemon->args.config_file != NULL;
    struct ft_options_input input = {.file = named ? daemon->args.config_file : daemon->config_file,
                                     .file_optional = !named,
                                     .dropin_dir = named ? NULL : daemon->dropin_dir,
                                     .environment = environ,
                                     .args = &daemon->args};
    return ft_options_load(daemon->table, &input, options, ret_report, reterr_diag);
}

static void warn(const struct ft_daemon *daemon, const struct ft_options_report *report)
{
    for (size_t i = 0; i < ft_options_report_n_warnings(report); i++) {
        (void)fprintf(stderr, "%s: warning: %s\n", daemon->name,
                      ft_options_report_warning(report, i));
    }
}

bool ft_daemon_begin(struct ft_daemon *daemon, int argc, char **argv, void *options, int *ret_code)
{
    struct ft_diag diag = {0};
    *ret_code = FT_DAEMON_EXIT_USAGE;
    if (ft_options_parse_args(daemon->table, FT_ARGS_CONFIG, argc, argv, &daemon->args, &diag) !=
        FT_OK) {
        complain(daemon, &diag);
        (void)fprintf(stderr, "%s: see %s --help\n", daemon->name, daemon->name);
        return false;
    }
    *ret_code = 0;
    if (daemon->args.help || daemon->args.help_all) {
        help(daemon, daemon->args.help_all);
        return false;
    }
    if (daemon->args.version) {
        (void)printf("%s %s\n", daemon->name, FT_VERSION);
        return false;
    }
    if (ft_options_init(daemon->table, options) != FT_OK) {
        (void)fprintf(stderr, "%s: out of memory\n", daemon->name);
        *ret_code = 1;
        return false;
    }
    FT_CLEANUP(ft_options_report_destroy) struct ft_options_report *report = NULL;
    if (load(daemon, options, &report, &diag) != FT_OK) {
        complain(daemon, &diag);
        ft_options_deinit(daemon->table, options);
        *ret_code = FT_DAEMON_EXIT_CONFIG;
        return false;
    }
    warn(daemon, report);
    if (daemon->args.dump) {
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        ft_options_dump(daemon->table, options, report, &buf);
        print(&buf);
    } else if (daemon->args.check) {
        (void)printf("%s: the configuration is good\n", daemon->name);
    }
    if (daemon->args.dump || daemon->args.check) {
        ft_options_deinit(daemon->table, options);
        return false;
    }
    return true;
}

ft_err ft_daemon_load(struct ft_daemon *daemon, void *options, struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_options_report_destroy) struct ft_options_report *report = NULL;
    FT_TRY(load(daemon, options, &report, reterr_diag));
    warn(daemon, report);
    return FT_OK;
}
