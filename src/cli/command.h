/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of `flowtrail` is: a name, a table of options and a function.  Help, completion
 * and manual are made from the same table (cli.c, completion.c, man.c).
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_COMMAND_H
#define FT_CLI_COMMAND_H 1

#include <stdbool.h>
#include <stdio.h>

#include "config/options.h"
#include "http/client.h"

/* Exit codes, the same for all commands. */
enum ft_exit {
    FT_EXIT_OK = 0,
    FT_EXIT_DEGRADED = 1, /* It works, but something needs a look; also: nothing was found. */
    FT_EXIT_FAILED = 2,   /* It does not work. */
    FT_EXIT_USAGE = 64    /* The command line is wrong (sysexits.h: EX_USAGE). */
};

struct ft_command {
    const char *name;
    const char *operands; /* In help: "NAME", or NULL. */
    const char *summary;  /* One line. */
    const char *text;     /* Paragraphs of help, or NULL. */
    const char *examples; /* Lines, or NULL. */
    const struct ft_option_table *table;
    /* 'options' is the table's struct, filled. */
    int (*run)(const void *options, const struct ft_options_args *args);
};

extern const struct ft_command *const ft_commands[];

/* Where a command asks; the first members of its options struct. */
struct ft_cli_where {
    char *server;  /* A collector, or "". */
    char *agent;   /* An agent's socket. */
    char *ca_file; /* For https. */
    int colour;    /* enum ft_cli_colour */
};

enum ft_cli_colour { FT_COLOUR_AUTO, FT_COLOUR_ALWAYS, FT_COLOUR_NEVER };

/* The options of struct ft_cli_where at the start of 'type', for tables. */
#define FT_CLI_WHERE_OPTIONS(type)                                                                 \
    FT_OPT_STRING(type, where.server, "server", NULL,                                              \
                  "Ask the collector at this address instead of the agent of this host; also "     \
                  "from FLOWTRAIL_SERVER.",                                                        \
                  .value_name = "HOST:PORT"),                                                      \
        FT_OPT_STRING(type, where.agent, "agent", "/run/flowtrail/agent.sock",                     \
                      "Socket of the agent.", .value_name = "SOCKET"),                             \
        FT_OPT_PATH(type, where.ca_file, "ca_file", NULL,                                          \
                    "Certificates (PEM) to trust for https.", .flags = FT_OPTION_ADVANCED)

/* Connects where the options say; prints why not and returns NULL. */
struct ft_http_client *ft_cli_connect(const struct ft_cli_where *where);
/* Is a collector asked? */
bool ft_cli_is_collector(const struct ft_cli_where *where);

/* Ctrl-C cancels the client's request; NULL ends that. */
void ft_cli_cancel_on_signal(struct ft_http_client *client);

/* Colour on this stream? */
bool ft_cli_use_colour(FILE *stream, enum ft_cli_colour colour);

/* "flowtrail: TEXT" on standard error. */
void ft_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ft_cli_diag(const struct ft_diag *diag);

#endif
