/* SPDX-License-Identifier: Apache-2.0 */
#include "config/options.h"
#include "lib/test.h"
#include "sample.h"

#define ALL (FT_ARGS_CONFIG | FT_ARGS_OPERANDS)

static struct ft_options_args args;
static struct ft_diag diag;

static ft_err parse(unsigned flags, const char *const *words)
{
    char *argv[32] = {(char *)(uintptr_t) "program"};
    int argc = 1;
    for (; *words != NULL; words++) {
        argv[argc++] = (char *)(uintptr_t)*words;
    }
    memset(&diag, 0, sizeof diag);
    return ft_options_parse_args(&sample_table, flags, argc, argv, &args, &diag);
}

#define PARSE(flags, ...) parse(flags, (const char *const[]){__VA_ARGS__, NULL})

static void refused(ft_err err, ft_err expected, const char *text)
{
    CHECK_ERR(err, expected);
    CHECK_STR(diag.text, text);
}

TEST(common_flags)
{
    CHECK_OK(PARSE(ALL, "-c", "/a", "--check", "--dump", "-h", "--version"));
    CHECK_STR(args.config_file, "/a");
    CHECK(args.check && args.dump && args.help && args.version && !args.help_all);
    CHECK_OK(PARSE(ALL, "--config=/b", "--help-all", "-V"));
    CHECK_STR(args.config_file, "/b");
    CHECK(args.help_all && args.version && !args.check);
    CHECK_OK(PARSE(ALL, "-c/x"));
    CHECK_STR(args.config_file, "/x");
}

TEST(values_attached_and_apart)
{
    CHECK_OK(PARSE(ALL, "--log-bytes-max", "1MiB", "--log-flush=2s", "-u", "u1", "-uu2",
                   "--log-spool-path="));
    CHECK_INT(args.n_flags, 5);
    CHECK_STR(args.flags[0].option->name, "log.bytes_max");
    CHECK_STR(args.flags[0].value, "1MiB");
    CHECK_STR(args.flags[1].option->name, "log.flush");
    CHECK_STR(args.flags[1].value, "2s");
    CHECK_STR(args.flags[2].value, "u1");
    CHECK_STR(args.flags[3].value, "u2");
    CHECK_STR(args.flags[4].value, "");
}

TEST(switches)
{
    CHECK_OK(PARSE(ALL, "--follow", "--no-collector-tls", "--collector-tls=off", "-f", "x"));
    CHECK_INT(args.n_flags, 4);
    CHECK_STR(args.flags[0].value, "true");
    CHECK_STR(args.flags[1].option->name, "collector.tls");
    CHECK_STR(args.flags[1].value, "false");
    CHECK_STR(args.flags[2].value, "off");
    CHECK_STR(args.flags[3].option->name, "follow");
    CHECK_INT(args.n_operands, 1);
    CHECK_OK(PARSE(ALL, "-fhnx"));
    CHECK(args.help);
    CHECK_INT(args.n_flags, 2);
    CHECK_STR(args.flags[1].option->name, "networks");
    CHECK_STR(args.flags[1].value, "x");
}

TEST(operands)
{
    CHECK_OK(PARSE(ALL, "a", "-f", "-", "--", "-f", "--x"));
    CHECK_INT(args.n_operands, 4);
    CHECK_STR(args.operands[0], "a");
    CHECK_STR(args.operands[1], "-");
    CHECK_STR(args.operands[2], "-f");
    CHECK_STR(args.operands[3], "--x");
    CHECK_INT(args.n_flags, 1);
    CHECK_OK(PARSE(FT_ARGS_STOP_AT_OPERAND, "-f", "observe", "--unknown", "-x"));
    CHECK_INT(args.n_operands, 3);
    CHECK_STR(args.operands[1], "--unknown");
}

TEST(mistakes_are_named)
{
    refused(PARSE(ALL, "--log-byte-max", "1"), FT_E_UNKNOWN_KEY,
            "unknown flag \"--log-byte-max\"; did you mean \"--log-bytes-max\"?");
    refused(PARSE(ALL, "--hepl"), FT_E_UNKNOWN_KEY,
            "unknown flag \"--hepl\"; did you mean \"--help\"?");
    refused(PARSE(ALL, "--quite-different=1"), FT_E_UNKNOWN_KEY,
            "unknown flag \"--quite-different\"; --help lists the flags");
    refused(PARSE(ALL, "-fx"), FT_E_UNKNOWN_KEY, "unknown flag \"-x\"; --help lists the flags");
    refused(PARSE(ALL, "--log-flush"), FT_E_SYNTAX, "--log-flush: needs a value");
    refused(PARSE(ALL, "-u"), FT_E_SYNTAX, "-u: needs a value");
    refused(PARSE(ALL, "--no-collector-tls=1"), FT_E_SYNTAX, "--no-collector-tls: takes no value");
    refused(PARSE(0, "word"), FT_E_SYNTAX, "\"word\" is not expected here; --help lists the flags");
    refused(PARSE(0, "--check"), FT_E_UNKNOWN_KEY,
            "unknown flag \"--check\"; --help lists the flags");
    refused(PARSE(0, "-c", "x"), FT_E_UNKNOWN_KEY, "unknown flag \"-c\"; --help lists the flags");
    /* No abbreviations. */
    refused(PARSE(ALL, "--fol"), FT_E_UNKNOWN_KEY,
            "unknown flag \"--fol\"; did you mean \"--follow\"?");
}

TEST(secrets_have_no_flag_and_are_not_repeated)
{
    refused(PARSE(ALL, "--collector-token=verysecret"), FT_E_SYNTAX,
            "--collector-token: is a secret, which every user could see on the command line; put "
            "it into a file");
}

TEST(too_many_flags)
{
    static char *argv[FT_OPTIONS_FLAGS_MAX + 3];
    for (size_t i = 0; i < FT_OPTIONS_FLAGS_MAX + 2; i++) {
        argv[i] = (char *)(uintptr_t) "-f";
    }
    CHECK_ERR(
        ft_options_parse_args(&sample_table, ALL, FT_OPTIONS_FLAGS_MAX + 2, argv, &args, &diag),
        FT_E_RANGE);
    CHECK_OK(
        ft_options_parse_args(&sample_table, ALL, FT_OPTIONS_FLAGS_MAX + 1, argv, &args, &diag));
    static char *words[FT_OPTIONS_OPERANDS_MAX + 3];
    for (size_t i = 0; i < FT_OPTIONS_OPERANDS_MAX + 2; i++) {
        words[i] = (char *)(uintptr_t) "w";
    }
    CHECK_ERR(
        ft_options_parse_args(&sample_table, ALL, FT_OPTIONS_OPERANDS_MAX + 2, words, &args, &diag),
        FT_E_RANGE);
}
