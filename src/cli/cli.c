/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/where.h"
#include "config/suggest.h"

static int run_command(const struct ft_command *command, int argc, char **argv);
static int run_with(const struct ft_command *command, const struct ft_options_args *args);
static int show(void (*write)(struct ft_buf *out));
static int show_help(const struct ft_command *command, bool all);
static int no_words(void);
static int no_command(const char *name);

int ft_cli_run(int argc, char **argv)
{
    /* A closed pipe (`flowtrail observe | head`) is an error of write, not a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        return no_words();
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        if (argc < 3) {
            return show(ft_cli_usage);
        }
        const struct ft_command *command = ft_command_find(argv[2]);
        return command != NULL ? show_help(command, false) : no_command(argv[2]);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    const struct ft_command *command = ft_command_find(name);
    return command != NULL ? run_command(command, argc - 1, argv + 1) : no_command(name);
}

/* The commands, but to standard error: a script that fell short reads no answer. */
static int no_words(void)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_cli_usage(&out);
    (void)fputs(ft_buf_str(&out), stderr);
    ft_buf_deinit(&out);
    return FT_EXIT_USAGE;
}

static int no_command(const char *name)
{
    struct ft_suggest suggest = {.word = name};
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        ft_suggest_offer(&suggest, ft_commands[i]->name);
    }
    if (suggest.best[0] != '\0') {
        ft_cli_error("there is no command \"%s\"; did you mean \"%s\"?", name, suggest.best);
    } else {
        ft_cli_error("there is no command \"%s\"; flowtrail --help lists them", name);
    }
    return FT_EXIT_USAGE;
}

static int run_command(const struct ft_command *command, int argc, char **argv)
{
    static struct ft_options_args args;
    struct ft_diag diag = {0};
    unsigned flags = command->operands != NULL ? FT_ARGS_OPERANDS : 0;
    if (ft_options_parse_args(command->table, flags, argc, argv, &args, &diag) != FT_OK) {
        ft_cli_diag(&diag);
        ft_cli_error("flowtrail %s --help says more", command->name);
        return FT_EXIT_USAGE;
    }
    if (args.help || args.help_all) {
        return show_help(command, args.help_all);
    }
    if (args.version) {
        static const struct ft_options_args none;
        return run_with(&ft_command_version, &none);
    }
    return run_with(command, &args);
}

/*
 * Flags alone count, so that a command does not change with what the programs are configured by;
 * the one exception is whom to ask.
 */
static ft_err load(const struct ft_command *command, const struct ft_options_args *args,
                   void *options, struct ft_diag *reterr_diag)
{
    char *variable = NULL;
    const char *server = getenv(FT_CLI_SERVER_VARIABLE);
    bool wanted = server != NULL && ft_options_find(command->table, "server") != NULL;
    if (wanted && asprintf(&variable, FT_CLI_SERVER_VARIABLE "=%s", server) < 0) {
        return ft_diag_set(reterr_diag, ft_err_from_errno(ENOMEM), NULL, 0, 0, "out of memory");
    }
    char *environment[2] = {variable, NULL};
    struct ft_options_input input = {.args = args, .environment = environment};
    ft_err err = ft_options_load(command->table, &input, options, NULL, reterr_diag);
    free(variable);
    return err;
}

static int run_with(const struct ft_command *command, const struct ft_options_args *args)
{
    struct ft_diag diag = {0};
    void *options = calloc(1, command->table->struct_size);
    if (options == NULL || ft_options_init(command->table, options) != FT_OK) {
        ft_cli_error("out of memory");
        free(options);
        return FT_EXIT_FAILED;
    }
    int code = FT_EXIT_USAGE;
    if (load(command, args, options, &diag) == FT_OK) {
        code = command->run(options, args);
    } else {
        ft_cli_diag(&diag);
    }
    ft_options_deinit(command->table, options);
    free(options);
    return code;
}

static int show(void (*write)(struct ft_buf *out))
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    write(&out);
    int code = ft_cli_finish(&out, FT_EXIT_OK);
    ft_buf_deinit(&out);
    return code;
}

static int show_help(const struct ft_command *command, bool all)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_cli_help(command, all, &out);
    int code = ft_cli_finish(&out, FT_EXIT_OK);
    ft_buf_deinit(&out);
    return code;
}
