/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <sys/stat.h>

#include "config/options.h"
#include "lib/test.h"
#include "sample.h"

static struct ft_diag diag;

/* A load under test: its options, what it was given and its report. */
struct load {
    struct sample options;
    struct ft_options_input input;
    struct ft_options_args args;
    struct ft_options_report *report;
    char file[256];
    char dropins[256];
};

static void setup(struct load *load)
{
    memset(load, 0, sizeof *load);
    memset(&diag, 0, sizeof diag);
    CHECK_OK(ft_options_init(&sample_table, &load->options));
    const char *directory = ft_test_tmpdir();
    (void)snprintf(load->file, sizeof load->file, "%s/main.yaml", directory);
    (void)snprintf(load->dropins, sizeof load->dropins, "%s/conf.d", directory);
    CHECK(mkdir(load->dropins, 0700) == 0);
}

static void teardown(struct load *load)
{
    ft_options_report_destroy(load->report);
    ft_options_deinit(&sample_table, &load->options);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void write_dropin(const struct load *load, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", load->dropins, name);
    write_file(path, text);
}

static void flags(struct load *load, const char *const *words)
{
    char *argv[32] = {(char *)(uintptr_t) "program"};
    int argc = 1;
    for (; *words != NULL; words++) {
        argv[argc++] = (char *)(uintptr_t)*words;
    }
    CHECK_OK(ft_options_parse_args(&sample_table, FT_ARGS_CONFIG, argc, argv, &load->args, &diag));
    load->input.args = &load->args;
}

static ft_err run(struct load *load)
{
    ft_options_report_destroy(load->report);
    load->report = NULL;
    return ft_options_load(&sample_table, &load->input, &load->options, &load->report, &diag);
}

static const char *origin(const struct load *load, const char *name)
{
    return ft_options_report_origin(load->report, ft_options_find(&sample_table, name));
}

static char *const minimal_environment[] = {(char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=https://c",
                                            NULL};

TEST(table_is_sound)
{
    if (!ft_options_table_ok(&sample_table, &diag)) {
        ft_test_fail(__FILE__, __LINE__, "%s", diag.text);
    }
}

TEST(unsound_tables_are_found)
{
    static const struct {
        struct ft_option options[3];
        size_t n;
        const char *text;
    } cases[] = {
        {{FT_OPT_BOOL(struct sample, tls, "Bad", NULL, "h")}, 1, "Bad: malformed name"},
        {{FT_OPT_BOOL(struct sample, tls, "a..b", NULL, "h")}, 1, "a..b: malformed name"},
        {{FT_OPT_BOOL(struct sample, tls, "a.b", NULL, "h"),
          FT_OPT_BOOL(struct sample, tls, "a_b", NULL, "h")},
         2,
         "a_b: name or letter is used twice"},
        {{FT_OPT_BOOL(struct sample, tls, "a", NULL, "h"),
          FT_OPT_BOOL(struct sample, tls, "a.b", NULL, "h")},
         2,
         "a.b: is an option and a section"},
        {{FT_OPT_BOOL(struct sample, tls, "a.b", NULL, "h"),
          FT_OPT_BOOL(struct sample, tls, "c", NULL, "h"),
          FT_OPT_BOOL(struct sample, tls, "a.d", NULL, "h")},
         3,
         "a.d: the section's options are not together"},
        {{FT_OPT_BOOL(struct sample, tls, "check", NULL, "h")},
         1,
         "check: the name is taken by a common flag"},
        {{FT_OPT_BOOL(struct sample, tls, "x", NULL, "h", .letter = 'h')},
         1,
         "x: the letter is taken by a common flag"},
        {{FT_OPT_U64(struct sample, bytes_max, "x", "5", 10, 20, "h")},
         1,
         "x: \"5\" is out of range; allowed: 10 to 20"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_option_table table = {.options = cases[i].options,
                                        .n_options = cases[i].n,
                                        .struct_size = sizeof(struct sample)};
        CHECK(!ft_options_table_ok(&table, &diag));
        CHECK_STR(diag.text, cases[i].text);
    }
}

TEST(defaults)
{
    struct load load;
    setup(&load);
    CHECK_STR(load.options.url, "");
    CHECK(load.options.tls);
    CHECK_INT(load.options.flush_ns, 1000000000);
    CHECK_INT(load.options.bytes_max, 64 << 20);
    CHECK_INT(load.options.events_max, 4096);
    CHECK_STR(load.options.spool_path, "");
    CHECK_INT(load.options.capture, SAMPLE_ADAPTIVE);
    CHECK_INT(load.options.networks.n, 2);
    CHECK_STR(load.options.networks.items[0], "10.0.0.0/8");
    CHECK_STR(load.options.networks.items[1], "fd00::/8");
    CHECK_INT(load.options.rules.n, 0);
    teardown(&load);
}

TEST(every_kind_is_read_from_a_file)
{
    struct load load;
    setup(&load);
    write_file(load.file, "collector:\n"
                          "  url: https://c:4317\n"
                          "  token_file: /etc/token\n"
                          "  token: 'secret-in-file'\n"
                          "  tls: No\n"
                          "log:\n"
                          "  flush: 250ms\n"
                          "  bytes_max: 2MiB\n"
                          "  events_max: \"1000\"\n"
                          "  spool: {path: /var/spool}\n"
                          "capture: full\n"
                          "networks:\n"
                          "  - 192.168.0.0/16\n"
                          "filter.rules:\n"
                          "  - action: keep\n"
                          "    sources: [10.1.0.0/16, 10.2.0.0/16]\n"
                          "    port: 53\n"
                          "  - {sources: [0.0.0.0/0]}\n");
    load.input.file = load.file;
    CHECK_OK(run(&load));
    CHECK_STR(load.options.url, "https://c:4317");
    CHECK_STR(load.options.token_file, "/etc/token");
    CHECK_STR(load.options.token, "secret-in-file");
    CHECK(!load.options.tls);
    CHECK_INT(load.options.flush_ns, 250000000);
    CHECK_INT(load.options.bytes_max, 2 << 20);
    CHECK_INT(load.options.events_max, 1000);
    CHECK_STR(load.options.spool_path, "/var/spool");
    CHECK_INT(load.options.capture, SAMPLE_FULL);
    CHECK_INT(load.options.networks.n, 1);
    CHECK_INT(load.options.rules.n, 2);
    const struct sample_rule *rules = load.options.rules.items;
    CHECK_INT(rules[0].action, 1);
    CHECK_INT(rules[0].sources.n, 2);
    CHECK_STR(rules[0].sources.items[1], "10.2.0.0/16");
    CHECK_INT(rules[0].port, 53);
    CHECK_INT(rules[1].action, 0);
    CHECK_INT(rules[1].port, 0);
    teardown(&load);
}

TEST(precedence_flag_environment_remote_dropin_file_default)
{
    struct load load;
    setup(&load);
    write_file(load.file, "collector.url: u\nlog:\n  flush: 2s\n  bytes_max: 2MiB\n"
                          "  events_max: 600\ncapture: full\n");
    write_dropin(&load, "20.yaml", "log: {flush: 4s, bytes_max: 4MiB, events_max: 604}\n");
    write_dropin(&load, "10.yaml", "log: {flush: 3s, bytes_max: 3MiB, events_max: 603}\n");
    write_dropin(&load, ".hidden.yaml", "]");
    write_dropin(&load, "30.yaml~", "]");
    static const char remote[] = "log: {bytes_max: 5MiB, events_max: 605}\n";
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_LOG_EVENTS_MAX=606",
                           (char *)(uintptr_t) "FLOWTRAIL_CAPTURE=",
                           (char *)(uintptr_t) "FLOWTRAIL_NETWORKS=1.0.0.0/8, 2.0.0.0/8",
                           (char *)(uintptr_t) "FLOWTRAIL_FILTER_RULES=[{sources: [3.0.0.0/8]}]",
                           NULL};
    load.input.file = load.file;
    load.input.dropin_dir = load.dropins;
    load.input.remote_text = remote;
    load.input.remote_size = sizeof remote - 1;
    load.input.environment = environment;
    flags(&load, (const char *const[]){"--networks", "4.0.0.0/8", "-n5.0.0.0/8", NULL});
    CHECK_OK(run(&load));
    CHECK_INT(load.options.flush_ns, 4000000000);
    CHECK_INT(load.options.bytes_max, 5 << 20);
    CHECK_INT(load.options.events_max, 606);
    CHECK_INT(load.options.capture, SAMPLE_FULL);
    CHECK_INT(load.options.networks.n, 2);
    CHECK_STR(load.options.networks.items[0], "4.0.0.0/8");
    CHECK_STR(load.options.networks.items[1], "5.0.0.0/8");
    CHECK_INT(load.options.rules.n, 1);
    char expected[600];
    (void)snprintf(expected, sizeof expected, "%s/20.yaml:1:14", load.dropins);
    CHECK_STR(origin(&load, "log.flush"), expected);
    CHECK_STR(origin(&load, "log.bytes_max"), "remote configuration:1:18");
    CHECK_STR(origin(&load, "log.events_max"), "FLOWTRAIL_LOG_EVENTS_MAX");
    CHECK_STR(origin(&load, "networks"), "--networks");
    CHECK_STR(origin(&load, "collector.tls"), "default");
    CHECK_INT(ft_options_report_source(load.report, ft_options_find(&sample_table, "networks")),
              FT_OPTIONS_FLAG);
    CHECK_INT(ft_options_report_n_warnings(load.report), 0);
    teardown(&load);
}

TEST(a_failed_load_changes_nothing)
{
    struct load load;
    setup(&load);
    load.input.environment = minimal_environment;
    CHECK_OK(run(&load));
    load.input.file = load.file;
    /* The last line is wrong; what stands before it must not be applied. */
    write_file(load.file, "log: {flush: 7s}\nnetworks: [9.0.0.0/8]\ncapture: everything\n");
    char *url = load.options.url;
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK(load.report == NULL);
    CHECK(load.options.url == url);
    CHECK_INT(load.options.flush_ns, 1000000000);
    CHECK_INT(load.options.networks.n, 2);
    teardown(&load);
}

TEST(remote_text_cannot_set_what_is_local)
{
    struct load load;
    setup(&load);
    static const char remote[] = "capture: full\ncollector:\n  url: https://elsewhere\n";
    load.input.environment = minimal_environment;
    load.input.remote_text = remote;
    load.input.remote_size = sizeof remote - 1;
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK_STR(diag.file, "remote configuration");
    CHECK_INT(diag.line, 3);
    CHECK_STR(diag.text, "collector.url: can be set on this host only");
    teardown(&load);
}

TEST(required_options_name_their_three_places)
{
    struct load load;
    setup(&load);
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK_STR(diag.text,
              "collector.url: must be set, here or by FLOWTRAIL_COLLECTOR_URL or --collector-url");
    teardown(&load);
}

TEST(a_check_of_the_whole_points_to_the_option)
{
    struct load load;
    setup(&load);
    load.input.environment = minimal_environment;
    load.input.file = load.file;
    write_file(load.file, "log:\n  flush: 2m\n  events_max: 512\n");
    CHECK_ERR(run(&load), FT_E_RANGE);
    char expected[300];
    (void)snprintf(expected, sizeof expected, "%s:3:15", load.file);
    CHECK_STR(diag.file, expected);
    CHECK_STR(diag.text, "log.events_max: at least 1000 are needed when flush is over 1m");
    teardown(&load);
}

TEST(environment_warnings)
{
    struct load load;
    setup(&load);
    char *environment[] = {(char *)(uintptr_t) "PATH=/bin",
                           (char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_URL=tcp://u",
                           (char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_TOKEN=secretsecret",
                           (char *)(uintptr_t) "FLOWTRAIL_LOG_BYTE_MAX=1",
                           (char *)(uintptr_t) "FLOWTRAIL_ZZZZZZZZZZZZZZZZZ=1",
                           (char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_SERVICE_HOST=10.0.0.1",
                           (char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_SERVICE_PORT_GRPC=4317",
                           (char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_PORT=tcp://10.0.0.1:4317",
                           (char *)(uintptr_t) "FLOWTRAIL_COLLECTOR_PORT_4317_TCP_ADDR=10.0.0.1",
                           NULL};
    load.input.environment = environment;
    CHECK_OK(run(&load));
    CHECK_STR(load.options.url, "tcp://u");
    CHECK_INT(ft_options_report_n_warnings(load.report), 3);
    CHECK(strstr(ft_options_report_warning(load.report, 0),
                 "FLOWTRAIL_COLLECTOR_TOKEN: a secret") != NULL);
    CHECK_STR(ft_options_report_warning(load.report, 1),
              "environment variable \"FLOWTRAIL_LOG_BYTE_MAX\" is not known, ignoring it; did you "
              "mean \"FLOWTRAIL_LOG_BYTES_MAX\"?");
    CHECK_STR(ft_options_report_warning(load.report, 2),
              "environment variable \"FLOWTRAIL_ZZZZZZZZZZZZZZZZZ\" is not known, ignoring it");
    for (size_t i = 0; i < 3; i++) {
        CHECK(strstr(ft_options_report_warning(load.report, i), "secretsecret") == NULL);
    }
    teardown(&load);
}

TEST(warnings_are_bounded_and_the_rest_counted)
{
    struct load load;
    setup(&load);
    static char names[50][48];
    char *environment[52] = {minimal_environment[0]};
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(names[i], sizeof names[i], "FLOWTRAIL_QQQQQQQQQQQQQQQQ%u=1", i);
        environment[i + 1] = names[i];
    }
    load.input.environment = environment;
    CHECK_OK(run(&load));
    CHECK_INT(ft_options_report_n_warnings(load.report), FT_OPTIONS_WARNINGS_MAX + 1);
    CHECK_STR(ft_options_report_warning(load.report, FT_OPTIONS_WARNINGS_MAX), "18 more warnings");
    teardown(&load);
}

TEST(bad_environment_and_flags_are_named_as_written)
{
    struct load load;
    setup(&load);
    char *environment[] = {(char *)(uintptr_t) "FLOWTRAIL_LOG_FLUSH=soon", NULL};
    load.input.environment = environment;
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK_STR(diag.file, "");
    CHECK_STR(diag.text, "FLOWTRAIL_LOG_FLUSH: \"soon\" is not a duration such as 250ms, 5s or "
                         "1h30m; allowed: 10ms to 1h");
    load.input.environment = NULL;
    flags(&load, (const char *const[]){"--log-bytes-max", "1k", NULL});
    CHECK_ERR(run(&load), FT_E_RANGE);
    CHECK_STR(diag.text, "--log-bytes-max: \"1k\" is out of range; allowed: 1MiB to 64GiB");
    flags(&load, (const char *const[]){"--networks", "1.0.0.0/8", "--networks", "x", NULL});
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK_STR(diag.text, "--networks: \"x\" is not valid; allowed: a network such as 10.0.0.0/8");
    teardown(&load);
}

TEST(credentials_directory_is_put_in)
{
    struct load load;
    setup(&load);
    char *environment[] = {minimal_environment[0],
                           (char *)(uintptr_t) "CREDENTIALS_DIRECTORY=/run/credentials/x", NULL};
    load.input.environment = environment;
    load.input.file = load.file;
    write_file(load.file, "collector: {token_file: $CREDENTIALS_DIRECTORY/token}\n");
    CHECK_OK(run(&load));
    CHECK_STR(load.options.token_file, "/run/credentials/x/token");
    load.input.environment = minimal_environment;
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK_STR(load.options.token_file, "/run/credentials/x/token");
    teardown(&load);
}

TEST(state_directory_is_put_in_also_by_default)
{
    struct load load;
    setup(&load);
    load.input.environment = minimal_environment;
    CHECK_OK(run(&load));
    CHECK_STR(load.options.spool_path, "");
    char *environment[] = {minimal_environment[0],
                           (char *)(uintptr_t) "STATE_DIRECTORY=/var/lib/x:/var/lib/y", NULL};
    load.input.environment = environment;
    CHECK_OK(run(&load));
    CHECK_STR(load.options.spool_path, "/var/lib/x/spool");
    load.input.file = load.file;
    write_file(load.file, "log.spool.path: $STATE_DIRECTORY/other\n");
    CHECK_OK(run(&load));
    CHECK_STR(load.options.spool_path, "/var/lib/x/other");
    write_file(load.file, "log.spool.path: \"\"\n");
    CHECK_OK(run(&load));
    CHECK_STR(load.options.spool_path, "");
    write_file(load.file, "log.spool.path: $STATE_DIRECTORY/other\n");
    load.input.environment = minimal_environment;
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    CHECK_STR(diag.text, "log.spool.path: STATE_DIRECTORY is not set; StateDirectory= in the unit "
                         "sets it");
    write_file(load.file, "log.spool.path: $CREDENTIALS_DIRECTORY/spool\n");
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    teardown(&load);
}

TEST(missing_files)
{
    struct load load;
    setup(&load);
    load.input.environment = minimal_environment;
    load.input.file = "/nonexistent/x.yaml";
    load.input.dropin_dir = "/nonexistent/conf.d";
    CHECK_ERR(run(&load), ft_err_from_errno(ENOENT));
    load.input.file_optional = true;
    CHECK_OK(run(&load));
    /* Optional means absent, not broken. */
    load.input.file = load.dropins;
    CHECK_ERR(run(&load), FT_E_SYNTAX);
    teardown(&load);
}

TEST(too_many_dropins)
{
    struct load load;
    setup(&load);
    load.input.environment = minimal_environment;
    load.input.dropin_dir = load.dropins;
    for (unsigned i = 0; i <= FT_OPTIONS_DROPINS_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%03u.yaml", i);
        write_dropin(&load, name, "{}\n");
    }
    CHECK_ERR(run(&load), FT_E_RANGE);
    teardown(&load);
}

static void collect(void *ctx, const struct ft_option *option)
{
    char *names = ctx;
    (void)strcat(strcat(names, option->name), " ");
}

TEST(copies_are_deep_and_differences_found)
{
    struct load load;
    setup(&load);
    load.input.environment = minimal_environment;
    load.input.file = load.file;
    write_file(load.file, "filter:\n  rules:\n    - sources: [1.0.0.0/8]\n");
    CHECK_OK(run(&load));
    struct sample copy;
    char names[256] = "";
    CHECK_OK(ft_options_dup(&sample_table, &load.options, &copy));
    ft_options_diff(&sample_table, &load.options, &copy, collect, names);
    CHECK_STR(names, "");
    CHECK(copy.url != load.options.url);
    struct sample_rule *rule = copy.rules.items;
    rule->port = 1;
    CHECK_OK(ft_options_set(&sample_table, &copy, "capture", "full", &diag));
    CHECK_OK(ft_options_set(&sample_table, &copy, "networks", "", &diag));
    CHECK_ERR(ft_options_set(&sample_table, &copy, "captured", "full", &diag), FT_E_UNKNOWN_KEY);
    ft_options_diff(&sample_table, &load.options, &copy, collect, names);
    CHECK_STR(names, "capture networks filter.rules ");
    ft_options_deinit(&sample_table, &copy);
    CHECK(copy.url == NULL);
    teardown(&load);
}

TEST(what_does_not_fit_together_gives_way_with_a_warning)
{
    struct load load;
    setup(&load);
    write_file(load.file, "collector.url: u\nlog: {bytes_max: 1MiB, events_max: 65536}\n");
    load.input.file = load.file;
    CHECK_OK(ft_options_load(&sample_table, &load.input, &load.options, &load.report, &diag));
    CHECK_INT(load.options.events_max, (1 << 20) / 100);
    CHECK_INT(ft_options_report_n_warnings(load.report), 1);
    CHECK_STR(ft_options_report_warning(load.report, 0),
              "log.events_max is more than log.bytes_max holds, using less");
    teardown(&load);
}
