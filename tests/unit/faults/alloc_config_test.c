/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration of both programs without memory, from all sources at once: it is refused with
 * words, and the options stay as they were.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/options.h"
#include "collector/options.h"
#include "config/yaml_tree.h"
#include "lib/alloc_fail.h"
#include "lib/test.h"

/* In no folder: both programs meet here. */
struct program {
    const struct ft_option_table *table;
    const char *file;
    const char *dropin_dir;
    char *const *environment;
    char *const *argv;
    int argc;
};

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void check_unchanged(const struct program *program, void *options)
{
    struct ft_buf text;
    ft_alloc_fail_pause();
    void *defaults = calloc(1, program->table->struct_size);
    CHECK(defaults != NULL);
    CHECK_OK(ft_options_init(program->table, defaults));
    struct ft_buf expected;
    ft_buf_init(&text, 0);
    ft_buf_init(&expected, 0);
    ft_options_dump(program->table, options, NULL, &text);
    ft_options_dump(program->table, defaults, NULL, &expected);
    CHECK_STR(ft_buf_str(&text), ft_buf_str(&expected));
    ft_buf_deinit(&text);
    ft_buf_deinit(&expected);
    ft_options_deinit(program->table, defaults);
    free(defaults);
    ft_alloc_fail_resume();
}

/* All that is written from a table. */
static ft_err show(const struct program *program, const void *options,
                   const struct ft_options_report *report)
{
    struct ft_buf out;
    ft_buf_init(&out, 0);
    ft_options_dump(program->table, options, report, &out);
    ft_options_example(program->table, &out);
    ft_options_help(program->table, FT_ARGS_CONFIG, true, &out);
    ft_err err = out.err;
    ft_buf_deinit(&out);
    return err;
}

static ft_err load_into(const struct program *program, void *options)
{
    struct ft_options_args args;
    struct ft_diag diag = {0};
    FT_CLEANUP(ft_options_report_destroy) struct ft_options_report *report = NULL;
    FT_TRY(ft_options_parse_args(program->table, FT_ARGS_CONFIG, program->argc, program->argv,
                                 &args, &diag));
    struct ft_options_input input = {.file = program->file,
                                     .dropin_dir = program->dropin_dir,
                                     .environment = program->environment,
                                     .args = &args};
    ft_err err = ft_options_load(program->table, &input, options, &report, &diag);
    if (err != FT_OK) {
        CHECK(diag.text[0] != '\0');
        CHECK(report == NULL);
        check_unchanged(program, options);
        return err;
    }
    void *copy = malloc(program->table->struct_size);
    if (copy == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    err = ft_options_dup(program->table, options, copy);
    if (err == FT_OK) {
        ft_options_deinit(program->table, copy);
        err = show(program, options, report);
    }
    free(copy);
    return err;
}

static ft_err load(void *ctx)
{
    const struct program *program = ctx;
    ft_alloc_fail_pause();
    void *options = calloc(1, program->table->struct_size);
    CHECK(options != NULL);
    ft_alloc_fail_resume();
    ft_err err = ft_options_init(program->table, options);
    if (err == FT_OK) {
        err = load_into(program, options);
        ft_options_deinit(program->table, options);
    }
    ft_alloc_fail_pause();
    free(options);
    ft_alloc_fail_resume();
    return err;
}

static void run(const char *name, struct program *program)
{
    struct ft_alloc_scenario scenario = {.name = name, .run = load, .ctx = program};
    ft_alloc_fail_each(&scenario);
}

TEST(agent_options_without_memory)
{
    const char *directory = ft_test_tmpdir();
    const char *dropins = ft_test_tmpdir();
    char file[256];
    (void)snprintf(file, sizeof file, "%s/main.yaml", directory);
    write_file(directory, "main.yaml",
               "collector: {url: 'https://c.example:1', token_file: $CREDENTIALS_DIRECTORY/token}\n"
               "filter.rules:\n"
               "  - {action: drop, addresses: [10.0.0.0/8, fd00::/8], ports: [1-5]}\n"
               "  - {action: keep, protocols: [tcp]}\n");
    write_file(dropins, "a.yaml", "log.bytes_max: 96MiB\n");
    write_file(dropins, "b.yaml", "log: {flush_interval: 2s}\n");
    write_file(dropins, "ignored", "nothing: 1\n");
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_LOGGING_LEVEL=debug",
                           (char *)(uintptr_t) "FLOWTRAIL_NO_SUCH_OPTION=1",
                           (char *)(uintptr_t) "CREDENTIALS_DIRECTORY=/run/c", NULL};
    char *argv[] = {(char *)(uintptr_t) "flowtraild", (char *)(uintptr_t) "--capture-mode=full",
                    (char *)(uintptr_t) "--log-block-events-max", (char *)(uintptr_t) "100"};
    struct program program = {.table = &ft_agent_option_table,
                              .file = file,
                              .dropin_dir = dropins,
                              .environment = environment,
                              .argv = argv,
                              .argc = 4};
    run("agent's options", &program);
}

TEST(collector_options_without_memory)
{
    const char *directory = ft_test_tmpdir();
    const char *dropins = ft_test_tmpdir();
    char file[256];
    (void)snprintf(file, sizeof file, "%s/main.yaml", directory);
    write_file(directory, "main.yaml",
               "log.bytes_max: 1GiB\nduckdb: {retention_age: 3d}\n"
               "ingest: {tokens_file: /etc/tokens, plaintext: true}\n");
    write_file(dropins, "a.yaml", "http.query_timeout: 10s\n");
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_DUCKDB_BATCH_ROWS=1000", NULL};
    char *argv[] = {(char *)(uintptr_t) "flowtrail-collector",
                    (char *)(uintptr_t) "--ingest-sessions-max=7"};
    struct program program = {.table = &ft_collector_option_table,
                              .file = file,
                              .dropin_dir = dropins,
                              .environment = environment,
                              .argv = argv,
                              .argc = 2};
    run("collector's options", &program);
}

static ft_err parse(void *ctx)
{
    (void)ctx;
    static const char text[] = "a: [1, {b: c, d: [e, f, g]}, 'h']\n"
                               "i:\n  j: |\n    block of\n    text\n  k: {}\n";
    FT_CLEANUP(ft_yaml_tree_destroy) struct ft_yaml_tree *tree = NULL;
    struct ft_diag diag = {0};
    ft_err err = ft_yaml_parse(text, sizeof text - 1, "f", &tree, &diag);
    CHECK(err == FT_OK || diag.text[0] != '\0');
    return err;
}

TEST(yaml_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "yaml", .run = parse};
    ft_alloc_fail_each(&scenario);
}
