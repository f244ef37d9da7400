/* SPDX-License-Identifier: Apache-2.0 */
/* The manual flowtrail(1) in scdoc's language. */
#include <string.h>

#include "cli/cli.h"
#include "cli/command.h"

/* scdoc's marks are escaped; an underscore inside a word is none, but an escaped one is the same.
 */
static void add_text(const char *text, struct ft_buf *out)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\*_#[]<>~`", *text) != NULL) {
            ft_buf_add_char(out, '\\');
        }
        ft_buf_add_char(out, *text);
    }
}

/* The options of a command stand one level deeper than in a manual of their own. */
static void add_options(const struct ft_option_table *table, struct ft_buf *out)
{
    struct ft_buf options;
    ft_buf_init(&options, 0);
    ft_options_man_flags(table, 0, &options);
    const char *line = ft_buf_str(&options);
    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        /* Headings, all of which would say the same, are left out. */
        if (line[0] != '#') {
            ft_buf_add(out, line, len);
            ft_buf_add_char(out, '\n');
        } else if (line[len] != '\0' && line[len + 1] == '\n') {
            len++; /* With the empty line behind it. */
        }
        line += len + (line[len] != '\0' ? 1 : 0);
    }
    out->err = out->err == FT_OK ? options.err : out->err;
    ft_buf_deinit(&options);
}

static void add_command(const struct ft_command *command, struct ft_buf *out)
{
    ft_buf_addf(out, "## flowtrail %s\n\n*flowtrail %s* [_OPTION_]...%s%s%s\n\n", command->name,
                command->name, command->operands != NULL ? " _" : "",
                command->operands != NULL ? command->operands : "",
                command->operands != NULL ? "_" : "");
    add_text(command->summary, out);
    ft_buf_add_str(out, "\n\n");
    if (command->text != NULL) {
        add_text(command->text, out);
        ft_buf_add_str(out, "\n\n");
    }
    add_options(command->table, out);
    if (command->examples != NULL) {
        ft_buf_addf(out, "Examples:\n\n```\n%s```\n\n", command->examples);
    }
}

void ft_cli_man(struct ft_buf *out)
{
    ft_buf_add_str(out, "flowtrail(1) \"\" \"flowtrail manual\"\n\n"
                        "# NAME\n\n"
                        "flowtrail - watch network flows, and see that nothing is missing\n\n"
                        "# SYNOPSIS\n\n"
                        "*flowtrail* _COMMAND_ [_OPTION_]...\n\n"
                        "# DESCRIPTION\n\n"
                        "*flowtrail* shows what the agent *flowtraild*(8) of this host sees, and "
                        "what a collector, *flowtrail-collector*(8), has stored; how both are; and "
                        "what has to be changed on a host so that nothing is missed.\n\n"
                        "# COMMANDS\n\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        add_command(ft_commands[i], out);
    }
    ft_buf_add_str(out, "# EXIT STATUS\n\n"
                        "*0*\n\tAll is well.\n\n"
                        "*1*\n\tIt works, but something needs a look.\n\n"
                        "*2*\n\tSomething failed, or there was no answer.\n\n"
                        "*64*\n\tThe command line is wrong.\n\n"
                        "*130*\n\tInterrupted before the answer was complete.\n\n"
                        "# ENVIRONMENT\n\n"
                        "*FLOWTRAIL\\_SERVER*\n\tThe collector that is asked when there is no "
                        "*--server*.\n\n"
                        "*NO\\_COLOR*\n\tNo colour, unless *--color always*.\n\n"
                        "# SEE ALSO\n\n"
                        "*flowtraild*(8), *flowtrail-collector*(8)\n");
}
