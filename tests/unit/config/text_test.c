/* SPDX-License-Identifier: Apache-2.0 */
/* What is written from a table: dump, example, help, manual. */
#include <stdlib.h>
#include <unistd.h>

#include "config/options.h"
#include "config/wrap.h"
#include "lib/test.h"
#include "sample.h"

static struct ft_diag diag;

static void load(struct sample *options, const char *text, struct ft_options_report **ret_report)
{
    struct ft_options_input input = {.remote_text = text, .remote_size = strlen(text)};
    CHECK_OK(ft_options_init(&sample_table, options));
    /* Local options come as flags, as the text plays the collector's part. */
    static struct ft_options_args args;
    char *argv[] = {(char *)(uintptr_t) "program", (char *)(uintptr_t) "-uhttps://\"q\"\\c",
                    (char *)(uintptr_t) "--collector-token-file=/t"};
    CHECK_OK(ft_options_parse_args(&sample_table, 0, 3, argv, &args, &diag));
    input.args = &args;
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_TOKEN=verysecret", NULL};
    input.environment = environment;
    ft_err err = ft_options_load(&sample_table, &input, options, ret_report, &diag);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%s", diag.text);
    }
}

static const char full[] = "log:\n"
                           "  flush: 1h\n"
                           "  bytes_max: 1048577\n"
                           "networks: [\"a/ä\", 'q\"\\/']\n"
                           "filter:\n"
                           "  rules:\n"
                           "    - sources: [1.0.0.0/8, 2.0.0.0/8]\n"
                           "      action: keep\n"
                           "    - sources: [3.0.0.0/8]\n"
                           "      port: 53\n";

TEST(dump_shows_origins_and_hides_secrets)
{
    struct sample options;
    struct ft_options_report *report = NULL;
    struct ft_buf out;
    load(&options, full, &report);
    ft_buf_init(&out, 0);
    ft_options_dump(&sample_table, &options, report, &out);
    CHECK_OK(out.err);
    CHECK(strstr(ft_buf_str(&out), "verysecret") == NULL);
    CHECK_GOLDEN("config/dump.txt", out.data, out.size);
    ft_buf_deinit(&out);
    ft_options_report_destroy(report);
    ft_options_deinit(&sample_table, &options);
}

static void count(void *ctx, const struct ft_option *option)
{
    /* The secret itself cannot come back. */
    if (option->kind != FT_OPTION_SECRET) {
        ft_test_fail(__FILE__, __LINE__, "%s changed", option->name);
    }
    ++*(unsigned *)ctx;
}

TEST(dump_loads_again_to_the_same)
{
    struct sample options;
    struct sample again;
    struct ft_options_report *report = NULL;
    struct ft_buf out;
    load(&options, full, &report);
    ft_buf_init(&out, 0);
    ft_options_dump(&sample_table, &options, report, &out);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/dump.yaml", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fwrite(out.data, 1, out.size, file) == out.size && fclose(file) == 0);
    struct ft_options_input input = {.file = path};
    CHECK_OK(ft_options_init(&sample_table, &again));
    CHECK_OK(ft_options_load(&sample_table, &input, &again, NULL, &diag));
    unsigned n = 0;
    ft_options_diff(&sample_table, &options, &again, count, &n);
    CHECK_INT(n, 1);
    ft_buf_deinit(&out);
    ft_options_report_destroy(report);
    ft_options_deinit(&sample_table, &options);
    ft_options_deinit(&sample_table, &again);
}

TEST(example_is_as_recorded_and_valid_when_uncommented)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_options_example(&sample_table, &out);
    CHECK_OK(out.err);
    CHECK_GOLDEN("config/example.txt", out.data, out.size);
    /* With every '#' that is not followed by a space taken away it loads, and is all defaults. */
    struct ft_buf bare;
    ft_buf_init(&bare, 0);
    for (const char *line = ft_buf_str(&out); *line != '\0';) {
        size_t len = strcspn(line, "\n");
        size_t skip = line[0] == '#' && line[1] != ' ' ? 1 : 0;
        ft_buf_add(&bare, line + skip, len - skip);
        ft_buf_add_char(&bare, '\n');
        line += len + 1;
    }
    char path[256];
    (void)snprintf(path, sizeof path, "%s/bare.yaml", ft_test_tmpdir());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fwrite(bare.data, 1, bare.size, file) == bare.size && fclose(file) == 0);
    struct sample options;
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=u",
                           (char *)(uintptr_t) "STATE_DIRECTORY=/var/lib/x", NULL};
    struct ft_options_input input = {.file = path, .environment = environment};
    CHECK_OK(ft_options_init(&sample_table, &options));
    if (ft_options_load(&sample_table, &input, &options, NULL, &diag) != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%u:%u %s", diag.line, diag.column, diag.text);
    }
    ft_options_deinit(&sample_table, &options);
    ft_buf_deinit(&bare);
    ft_buf_deinit(&out);
}

TEST(help_is_as_recorded)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_options_help(&sample_table, FT_ARGS_CONFIG, false, &out);
    CHECK(strstr(ft_buf_str(&out), "--log-events-max") == NULL);
    CHECK(strstr(ft_buf_str(&out), "--collector-token ") == NULL);
    CHECK_GOLDEN("config/help.txt", out.data, out.size);
    ft_buf_clear(&out);
    ft_options_help(&sample_table, FT_ARGS_CONFIG, true, &out);
    CHECK(strstr(ft_buf_str(&out), "--log-events-max") != NULL);
    for (const char *line = ft_buf_str(&out); *line != '\0';) {
        size_t len = strcspn(line, "\n");
        CHECK(len <= 80);
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    ft_buf_deinit(&out);
}

TEST(manual_is_as_recorded)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_options_man_flags(&sample_table, FT_ARGS_CONFIG, &out);
    ft_options_man_keys(&sample_table, &out);
    CHECK_OK(out.err);
    CHECK_GOLDEN("config/manual.scd", out.data, out.size);
    ft_buf_deinit(&out);
}

TEST(manual_is_accepted_by_scdoc)
{
    if (access("/usr/bin/scdoc", X_OK) != 0) {
        ft_test_skip("scdoc is not installed");
    }
    CHECK_INT(system("{ printf 'sample(8)\\n\\n'; cat " FT_TESTS_DIR "/golden/config/manual.scd; } "
                     "| /usr/bin/scdoc >/dev/null"),
              0);
}

TEST(wrapping)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_wrap("one two  three\nfour", "# ", 9, &out);
    CHECK_STR(ft_buf_str(&out), "# one two\n# three\n# four\n");
    ft_buf_clear(&out);
    ft_wrap("averyverylongword b", "  ", 8, &out);
    CHECK_STR(ft_buf_str(&out), "  averyverylongword\n  b\n");
    ft_buf_deinit(&out);
}
