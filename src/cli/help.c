/* SPDX-License-Identifier: Apache-2.0 */
/* The help of `flowtrail` and of its commands. */
#include <string.h>

#include "cli/command.h"
#include "config/wrap.h"

#define HELP_WIDTH 80

static void add_paragraphs(const char *text, struct ft_buf *out);

void ft_cli_usage(struct ft_buf *out)
{
    ft_buf_add_str(out, "Usage: flowtrail COMMAND [OPTION]...\n\n"
                        "The trail of every network connection: watch it, and see that nothing is "
                        "missing.\n\nCommands:\n");
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        ft_buf_addf(out, "  %-11s ", ft_commands[i]->name);
        ft_wrap_continue(ft_commands[i]->summary, "              ", HELP_WIDTH, out);
    }
    ft_buf_add_str(out, "\n\"flowtrail COMMAND --help\" says more.\n\n"
                        "Exit codes: 0 all is well, 1 something needs a look, 2 failed,\n"
                        "64 wrong command line.\n");
}

void ft_cli_help(const struct ft_command *command, bool all, struct ft_buf *out)
{
    ft_buf_addf(out, "Usage: flowtrail %s [OPTION]...%s%s\n\n", command->name,
                command->operands != NULL ? " " : "",
                command->operands != NULL ? command->operands : "");
    ft_wrap(command->summary, "", HELP_WIDTH, out);
    if (command->text != NULL) {
        add_paragraphs(command->text, out);
    }
    ft_buf_add_char(out, '\n');
    ft_options_help(command->table, 0, all, out);
    if (command->examples != NULL) {
        ft_buf_addf(out, "\nExamples:\n%s", command->examples);
    }
}

static void add_paragraphs(const char *text, struct ft_buf *out)
{
    struct ft_buf paragraph;
    ft_buf_init(&paragraph, 0);
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        ft_buf_clear(&paragraph);
        ft_buf_add(&paragraph, text, len);
        ft_buf_add_char(out, '\n');
        ft_wrap(ft_buf_str(&paragraph), "", HELP_WIDTH, out);
        text += len + strspn(text + len, "\n");
    }
    out->err = out->err == FT_OK ? paragraph.err : out->err;
    ft_buf_deinit(&paragraph);
}
