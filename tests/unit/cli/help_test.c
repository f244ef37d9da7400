/* SPDX-License-Identifier: Apache-2.0 */
/* Help, the manual, the command line and its mistakes. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "fixture.h"

TEST(tables_are_right)
{
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        struct ft_diag diag = {0};
        if (!ft_options_table_ok(ft_commands[i]->table, &diag)) {
            ft_test_fail(__FILE__, __LINE__, "%s: %s", ft_commands[i]->name, diag.text);
        }
        CHECK(ft_commands[i]->examples != NULL);
    }
}

TEST(help_of_each_command)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_cli_usage(&out);
    CHECK_OK(out.err);
    CHECK_GOLDEN("cli/help.txt", out.data, out.size);
    for (size_t i = 0; ft_commands[i] != NULL; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "cli/help-%s.txt", ft_commands[i]->name);
        ft_buf_clear(&out);
        ft_cli_help(ft_commands[i], true, &out);
        CHECK_OK(out.err);
        CHECK_GOLDEN(name, out.data, out.size);
    }
    ft_buf_deinit(&out);
}

TEST(manual)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_cli_man(&out);
    CHECK_OK(out.err);
    CHECK_GOLDEN("cli/flowtrail.1.scd", out.data, out.size);
    ft_buf_deinit(&out);
}

static void says(int code, const char *out, const char *err, const char *const *words)
{
    struct process process;
    CHECK_INT(run(&process, NULL, words), code);
    CHECK(strstr(OUT(&process), out) != NULL);
    CHECK_STR(ERR(&process), err);
    process_clear(&process);
}
#define SAYS(code, out, err, ...) says(code, out, err, (const char *const[]){__VA_ARGS__, NULL})

TEST(asking_for_help)
{
    SAYS(0, "Commands:", "", "--help");
    SAYS(0, "Commands:", "", "help");
    SAYS(0, "Usage: flowtrail observe", "", "help", "observe");
    SAYS(0, "Usage: flowtrail observe", "", "observe", "--help");
    SAYS(0, "--ca-file", "", "observe", "--help-all");
    SAYS(0, "flowtrail " FT_VERSION "\n", "", "--version");
    SAYS(0, "flowtrail " FT_VERSION "\n", "", "version");
    SAYS(0, "flowtrail " FT_VERSION "\n", "", "observe", "--version");
}

TEST(no_command_shows_the_commands)
{
    struct process process;
    CHECK_INT(run(&process, NULL, (const char *const[]){NULL}), 64);
    CHECK_STR(OUT(&process), "");
    CHECK(strstr(ERR(&process), "Commands:") != NULL);
    process_clear(&process);
}

TEST(mistakes_are_answered_with_the_right_word)
{
    SAYS(64, "", "flowtrail: there is no command \"obsrve\"; did you mean \"observe\"?\n",
         "obsrve");
    SAYS(64, "", "flowtrail: there is no command \"zzz\"; flowtrail --help lists them\n", "help",
         "zzz");
    SAYS(64, "",
         "flowtrail: unknown flag \"--prot\"; did you mean \"--protocol\"?\n"
         "flowtrail: flowtrail observe --help says more\n",
         "observe", "--prot", "tcp");
    SAYS(64, "", "flowtrail: --output: \"xml\" is not known here; allowed: table, json\n", "status",
         "--output", "xml");
    SAYS(64, "", "flowtrail: there is no command \"\\x1b[2J\"; flowtrail --help lists them\n",
         "\x1b[2J");
}

TEST(full_disk_is_told)
{
    struct process process;
    process_start(&process, PROCESS_FULL_DISK, NULL, (const char *const[]){"version", NULL});
    CHECK_INT(process_wait(&process), 2);
    CHECK_STR(ERR(&process), "flowtrail: cannot write the answer: No space left on device\n");
    process_clear(&process);
}
