/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

static const struct ft_command *find_command(const char *name);
static int usage(FILE *to);
static int run_command(const struct ft_command *command, int argc, char **argv);
static int run_with(const struct ft_command *command, const struct ft_options_args *args);
static void help(const struct ft_command *command, bool all);

static struct ft_http_client *volatile cancelled_client;

int ft_cli_run(int argc, char **argv)
{
    /* A closed pipe (`flowtrail observe | head`) is an error of write, not a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        (void)usage(stderr);
        return FT_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        const struct ft_command *command = argc > 2 ? find_command(argv[2]) : NULL;
        if (command != NULL) {
            help(command, false);
            return FT_EXIT_OK;
        }
        return usage(stdout);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    const struct ft_command *command = find_command(name);
    if (command == NULL) {
        ft_cli_error("there is no command \"%s\": see flowtrail --help", name);
        return FT_EXIT_USAGE;
    }
    return run_command(command, argc - 1, argv + 1);
}

struct ft_http_client *ft_cli_connect(const struct ft_cli_where *where)
{
    struct ft_http_client *client = NULL;
    struct ft_diag diag = {0};
    char address[600];
    if (ft_cli_is_collector(where)) {
        (void)snprintf(address, sizeof address, "%s", where->server);
    } else {
        (void)snprintf(address, sizeof address, "unix:%s", where->agent);
    }
    ft_err err = ft_http_client_create(address, &client, &diag);
    if (err == FT_OK && where->ca_file[0] != '\0') {
        err = ft_http_client_set_ca(client, where->ca_file);
    }
    if (err != FT_OK) {
        ft_cli_diag(&diag);
        ft_http_client_destroy(client);
        return NULL;
    }
    return client;
}

bool ft_cli_is_collector(const struct ft_cli_where *where) { return where->server[0] != '\0'; }

static void on_signal(int number)
{
    (void)number;
    if (cancelled_client != NULL) {
        ft_http_client_cancel(cancelled_client);
    }
}

void ft_cli_cancel_on_signal(struct ft_http_client *client)
{
    cancelled_client = client;
    struct sigaction action = {.sa_handler = client != NULL ? on_signal : SIG_DFL};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool ft_cli_use_colour(FILE *stream, enum ft_cli_colour colour)
{
    if (colour != FT_COLOUR_AUTO) {
        return colour == FT_COLOUR_ALWAYS;
    }
    /* https://no-color.org */
    const char *no_color = getenv("NO_COLOR");
    return (no_color == NULL || no_color[0] == '\0') && isatty(fileno(stream)) == 1;
}

void ft_cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "flowtrail: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n");
    va_end(args);
}

void ft_cli_diag(const struct ft_diag *diag)
{
    char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
    ft_diag_format(diag, text, sizeof text);
    ft_cli_error("%s", text);
}

static const struct ft_command *find_command(const char *name)
{
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        if (strcmp(ft_commands[i]->name, name) == 0) {
            return ft_commands[i];
        }
    }
    return NULL;
}

static int usage(FILE *to)
{
    (void)fprintf(to, "Usage: flowtrail COMMAND [OPTION]...\n\n"
                      "The trail of every network connection: watch it, and see that nothing is "
                      "missing.\n\nCommands:\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        (void)fprintf(to, "  %-12s %s\n", ft_commands[i]->name, ft_commands[i]->summary);
    }
    (void)fprintf(to, "\n\"flowtrail COMMAND --help\" says more.\n\n"
                      "Exit codes: 0 all is well, 1 something needs a look, 2 failed, 64 wrong "
                      "command line.\n");
    return FT_EXIT_OK;
}

static int run_command(const struct ft_command *command, int argc, char **argv)
{
    static struct ft_options_args args;
    struct ft_diag diag = {0};
    unsigned flags = command->operands != NULL ? FT_ARGS_OPERANDS : 0;
    if (ft_options_parse_args(command->table, flags, argc, argv, &args, &diag) != FT_OK) {
        ft_cli_diag(&diag);
        ft_cli_error("see flowtrail %s --help", command->name);
        return FT_EXIT_USAGE;
    }
    if (args.help || args.help_all) {
        help(command, args.help_all);
        return FT_EXIT_OK;
    }
    return run_with(command, &args);
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
    /* Flags alone, so that a command does not change with what the programs are configured by;
     * the one exception is where to ask. */
    char variable[512];
    char *environment[2] = {NULL, NULL};
    const char *server = getenv("FLOWTRAIL_SERVER");
    if (server != NULL && ft_options_find(command->table, "server") != NULL) {
        (void)snprintf(variable, sizeof variable, "FLOWTRAIL_SERVER=%s", server);
        environment[0] = variable;
    }
    struct ft_options_input input = {.args = args, .environment = environment};
    int code = FT_EXIT_USAGE;
    ft_err err = ft_options_load(command->table, &input, options, NULL, &diag);
    if (err == FT_OK) {
        code = command->run(options, args);
    } else {
        ft_cli_diag(&diag);
    }
    ft_options_deinit(command->table, options);
    free(options);
    return code;
}

static void help(const struct ft_command *command, bool all)
{
    (void)printf("Usage: flowtrail %s [OPTION]...%s%s\n\n%s\n", command->name,
                 command->operands != NULL ? " " : "",
                 command->operands != NULL ? command->operands : "", command->summary);
    if (command->text != NULL) {
        (void)printf("\n%s\n", command->text);
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_options_help(command->table, 0, all, &buf);
    (void)printf("\n%s", ft_buf_str(&buf));
    ft_buf_deinit(&buf);
    if (command->examples != NULL) {
        (void)printf("\nExamples:\n%s", command->examples);
    }
}
