/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of `flowtrail` is: a name, a table of options and a function.  Help, completion
 * and manual are made from the same table (help.c, completion.c, man.c).
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_COMMAND_H
#define FT_CLI_COMMAND_H 1

#include "config/options.h"

/* Exit codes, the same for all commands. */
enum ft_exit {
    FT_EXIT_OK = 0,
    FT_EXIT_DEGRADED = 1,     /* It works, but something needs a look; also: something was lost. */
    FT_EXIT_FAILED = 2,       /* It does not work. */
    FT_EXIT_USAGE = 64,       /* The command line is wrong (sysexits.h: EX_USAGE). */
    FT_EXIT_INTERRUPTED = 130 /* By Ctrl-C, before the answer was complete. */
};

struct ft_command {
    const char *name;
    const char *operands;             /* In help: "NAME", or NULL. */
    const char *const *operand_words; /* What the operand can be, ends with NULL; NULL: anything. */
    const char *summary;              /* One line. */
    const char *text;                 /* Paragraphs, divided by empty lines; wrapped when shown. */
    const char *examples;             /* Lines. */
    const struct ft_option_table *table;
    /* 'options' is the table's struct, filled. */
    int (*run)(const void *options, const struct ft_options_args *args);
};

extern const struct ft_command ft_command_observe;
extern const struct ft_command ft_command_status;
extern const struct ft_command ft_command_losses;
extern const struct ft_command ft_command_ledger;
extern const struct ft_command ft_command_doctor;
extern const struct ft_command ft_command_token;
extern const struct ft_command ft_command_completion;
extern const struct ft_command ft_command_version;

/* All, in the order of help; ends with NULL. */
extern const struct ft_command *const ft_commands[];

/* NULL when there is none of that name. */
const struct ft_command *ft_command_find(const char *name);

/* The help of all commands, and of one; 'all' with the advanced options. */
void ft_cli_usage(struct ft_buf *out);
void ft_cli_help(const struct ft_command *command, bool all, struct ft_buf *out);

#endif
