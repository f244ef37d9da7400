/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail observe: stored rows, rows of a file, filters, forms. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"

#define AGENT_ID "11111111-2222-4333-8444-555555555555"
#define AGENTS                                                                                     \
    "{\"agents\":[{\"agent_id\":\"" AGENT_ID "\",\"host_name\":\"web-1\\u001b[2J\"},"              \
    "{\"agent_id\":\"" AGENT_ID "\",\"host_name\":\"web-1\\u001b[2J\"}]}"

static const char *all_rows(void)
{
    static struct ft_buf rows;
    if (rows.size == 0) {
        ft_buf_init(&rows, 0);
        for (size_t i = 0; i < ROWS_N; i++) {
            ft_buf_addf(&rows, "%s\n", row_json(i));
        }
    }
    return ft_buf_str(&rows);
}

/* No byte that a terminal would obey. */
static bool is_tame(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if ((*c < 0x20 && *c != '\n') || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

TEST(forms)
{
    static const char *const forms[] = {"compact", "table", "dict", "json", "jsonpb"};
    static const char *const goldens[] = {"compact", "table", "dict", "json", "json"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct process process;
        char name[64];
        (void)snprintf(name, sizeof name, "cli/observe-%s.txt", goldens[i]);
        CHECK_INT(run(&process, all_rows(),
                      (const char *const[]){"observe", "--input-file", "-", "-o", forms[i], NULL}),
                  0);
        CHECK_STR(ERR(&process), "");
        CHECK_GOLDEN(name, process.out_text.data, process.out_text.size);
        CHECK(is_tame(OUT(&process)));
        process_clear(&process);
    }
}

TEST(json_is_what_was_read)
{
    struct process process;
    CHECK_INT(run(&process, all_rows(),
                  (const char *const[]){"observe", "--input-file", "-", "-o", "json", NULL}),
              0);
    CHECK_STR(OUT(&process), all_rows());
    process_clear(&process);
}

TEST(what_a_terminal_obeys_is_escaped_in_json_too)
{
    struct process process;
    CHECK_INT(run(&process,
                  "{\"time\":\"2026-11-21T09:00:01Z\",\"type\":\"START\",\"pid\":1,"
                  "\"process_name\":\"a\xc2\x9b[31m\xe2\x80\xae\x7f\xef\xbb\xbf\xc3\xbc\"}\n",
                  (const char *const[]){"observe", "--input-file", "-", "-o", "json", NULL}),
              0);
    CHECK(strstr(OUT(&process), "\"a\\u009b[31m\\u202e\\u007f\\ufeff\xc3\xbc\"") != NULL);
    process_clear(&process);
}

/* The sequence numbers of the rows that come through. */
static void filtered(const char *seqs, const char *const *words)
{
    struct process process;
    const char *all[32] = {"observe", "--input-file", "-", "-o", "json"};
    size_t n = 5;
    while (*words != NULL) {
        all[n++] = *words++;
    }
    CHECK_INT(run(&process, all_rows(), all), 0);
    char got[64] = "";
    size_t at = 0;
    for (const char *seq = strstr(OUT(&process), "\"seq\":"); seq != NULL;
         seq = strstr(seq + 1, "\"seq\":")) {
        at += (size_t)snprintf(got + at, sizeof got - at, "%.1s", seq + 6);
    }
    CHECK_STR(got, seqs);
    process_clear(&process);
}
#define FILTERED(seqs, ...) filtered(seqs, (const char *const[]){__VA_ARGS__, NULL})

TEST(filters_of_a_file)
{
    FILTERED("12", "--protocol", "tcp");
    FILTERED("34", "--not", "--protocol", "tcp", "--not", "--type", "loss");
    FILTERED("123", "--protocol", "tcp", "--protocol", "icmpv6");
    FILTERED("123", "--protocol", "tcp,icmpv6");
    FILTERED("1", "--protocol", "tcp", "--type", "start");
    FILTERED("12", "--from-ip", "10.0.0.0/8");
    FILTERED("12", "-4");
    FILTERED("34", "-6");
    FILTERED("34", "--not", "-4", "--not", "--type", "loss");
    FILTERED("1234", "-4", "-6");
    FILTERED("2", "--ip", "203.0.113.9");
    FILTERED("12", "--to-port", "400-500");
    FILTERED("12", "--port", "43210");
    FILTERED("12", "--from-port", "43210");
    FILTERED("34", "--to-ip", "2001:db8::2");
    FILTERED("2", "--process", "=cmd*");
    FILTERED("3", "--traffic-direction", "forwarded");
    FILTERED("1", "--filter", "seq=1");
    FILTERED("12", "--since", "2026-11-21T00:00:00Z", "--until", "2026-11-21T09:00:01.126Z");
    FILTERED("1", "--first", "1");
    FILTERED("2", "--protocol", "tcp", "--last", "1");
    FILTERED("12", "--protocol", "tcp", "--last", "100");
}

static void refused(const char *message, const char *const *words)
{
    struct process process;
    const char *all[32] = {"observe", "--server", "127.0.0.1:1"};
    size_t n = 3;
    while (*words != NULL) {
        all[n++] = *words++;
    }
    CHECK_INT(run(&process, NULL, all), 64);
    CHECK_STR(OUT(&process), "");
    CHECK_STR(ERR(&process), message);
    process_clear(&process);
}
#define REFUSED(message, ...) refused(message, (const char *const[]){__VA_ARGS__, NULL})

/* Nobody is asked: there is nobody. */
TEST(bad_values_are_refused_here)
{
    REFUSED("flowtrail: --ip: \"10.0.0.300\" is no address or prefix (no bits may follow the "
            "prefix)\n",
            "--ip", "10.0.0.300");
    REFUSED("flowtrail: --from-ip: \"10.0.0.1/8\" is no address or prefix (no bits may follow the "
            "prefix)\n",
            "--from-ip", "10.0.0.1/8");
    REFUSED("flowtrail: --to-port: \"65536\" is out of range\n", "--to-port", "65536");
    REFUSED("flowtrail: --port: \"http\" is no number or range of numbers\n", "--port", "http");
    REFUSED("flowtrail: --protocol: \"tpc\" is no known name and no number\n", "--protocol",
            "tcp,tpc");
    REFUSED("flowtrail: --type: \"began\" is no known name and no number\n", "-t", "began");
    REFUSED("flowtrail: --filter: no column \"colour\"\n", "--filter", "colour=red");
    REFUSED("flowtrail: --filter: \"pid\" is not COLUMN=VALUE\n", "--filter", "pid");
    REFUSED("flowtrail: --since: \"yesterday\" is no time: write 2026-01-31T12:00:00Z, or how long "
            "ago: 10m, 2h30m\n",
            "--since", "yesterday");
    REFUSED("flowtrail: --since must be before --until: there is nothing in between\n", "--since",
            "1h", "--until", "2h");
    REFUSED("flowtrail: --last, --first and --all exclude each other\n", "--last", "5", "--all");
    REFUSED("flowtrail: --follow has no end: neither --first nor --until goes with it\n", "-f",
            "--first", "1");
    REFUSED("flowtrail: --follow asks; with --input-file nobody is asked\n", "-f", "--input-file",
            "-");
    REFUSED("flowtrail: --not has no filter behind it\n", "--not");
    REFUSED("flowtrail: --not stands before a filter, which --last is not\n", "--not", "--last",
            "1");
}

TEST(bad_addresses_are_refused_here)
{
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--server", "collector"), 64);
    CHECK_STR(ERR(&process), "flowtrail: \"collector\" is no address: write HOST:PORT, "
                             "https://HOST:PORT or unix:/PATH\n");
    process_clear(&process);
    CHECK_INT(RUN(&process, "observe", "--agent", "relative.sock"), 64);
    process_clear(&process);
}

TEST(newest_rows_are_asked_for_and_turned_around)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows?format=json&order=newest&limit=18&begin=1970-01-01T00:00:00."
                 "000000000Z&cursor=c%251%26x",
         .parts = {page_json(0, -2, NULL)}},
        {.path = "/api/v1/flows?format=json&order=newest&limit=20&begin=1970-01-01T00:00:00."
                 "000000000Z",
         .parts = {page_json(2, -2, "c%1&x")}},
        {.path = "/api/v1/agents", .parts = {AGENTS}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--server", server_where(server)), 0);
    CHECK_STR(ERR(&process), "");
    CHECK_GOLDEN("cli/observe-stored.txt", process.out_text.data, process.out_text.size);
    process_clear(&process);
    server_stop(server);
}

TEST(range_is_asked_for_oldest_first_page_by_page)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows?format=json&order=oldest&limit=1000&not.port=53%2C1000-2000&addr="
                 "10.0.0.0/8%2C192.0.2.7&begin=2026-11-21T00:00:00.000000000Z&end=2026-11-"
                 "22T00:00:00.000000000Z&cursor=second",
         .parts = {page_json(3, 1, NULL)}},
        {.path = "/api/v1/flows?format=json&order=oldest&limit=1000&not.port=53%2C1000-2000&addr="
                 "10.0.0.0/8%2C192.0.2.7&begin=2026-11-21T00:00:00.000000000Z&end=2026-11-"
                 "22T00:00:00.000000000Z",
         .parts = {page_json(0, 3, "second")}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--server", server_where(server), "--since", "2026-11-21",
                  "--until", "2026-11-22T00:00:00Z", "--not", "--port", "53", "--ip", "10.0.0.0/8",
                  "--not", "--port", "1000-2000", "--ip", "192.0.2.7", "-o", "json"),
              0);
    CHECK_STR(ERR(&process), "");
    struct ft_buf expected;
    ft_buf_init(&expected, 0);
    ft_buf_addf(&expected, "%s\n%s\n%s\n%s\n", row_json(0), row_json(1), row_json(2), row_json(3));
    CHECK_STR(OUT(&process), ft_buf_str(&expected));
    ft_buf_deinit(&expected);
    process_clear(&process);
    server_stop(server);
}

TEST(first_asks_for_no_more_than_that)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows?format=json&order=oldest&limit=2&begin=1970",
         .parts = {page_json(0, 2, "more")}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(
        RUN(&process, "observe", "--server", server_where(server), "--first", "2", "-o", "json"),
        0);
    CHECK_INT(process.out_text.size, strlen(row_json(0)) + strlen(row_json(1)) + 2);
    process_clear(&process);
    server_stop(server);
}

TEST(page_without_rows_ends_it)
{
    const struct answer answers[] = {{.path = "/api/v1/flows", .parts = {page_json(0, 0, "again")}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--all", "--server", server_where(server)), 0);
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    server_stop(server);
}

TEST(names_of_hosts_filter)
{
    const struct answer answers[] = {
        {.path = "/api/v1/agents",
         .parts = {"{\"agents\":[{\"agent_id\":\"" AGENT_ID "\",\"host_name\":\"web-1\"},"
                   "{\"agent_id\":\"21111111-2222-4333-8444-555555555555\",\"host_name\":\"web-2\"}"
                   ",{\"agent_id\":\"31111111-2222-4333-8444-555555555555\",\"host_name\":\"db\"}"
                   "]}"}},
        {.path = "/api/v1/flows?format=json&order=newest&limit=20&agent_id=" AGENT_ID
                 "%2C21111111-2222-4333-8444-555555555555&begin",
         .parts = {page_json(0, 1, NULL)}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--server", server_where(server), "--node-name", "web-*"),
              0);
    CHECK(strstr(OUT(&process), "[web-1]") != NULL);
    process_clear(&process);
    CHECK_INT(RUN(&process, "observe", "--server", server_where(server), "--node-name", "mail"), 2);
    CHECK_STR(ERR(&process),
              "flowtrail: --node-name: no agent on a host called \"mail\" is known\n");
    process_clear(&process);
    server_stop(server);
}

TEST(server_from_the_environment)
{
    const struct answer answers[] = {{.path = "/api/v1/flows", .parts = {page_json(0, 1, NULL)}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK(setenv("FLOWTRAIL_SERVER", server_where(server), 1) == 0);
    int code = RUN(&process, "observe", "-o", "json");
    CHECK(unsetenv("FLOWTRAIL_SERVER") == 0);
    CHECK_INT(code, 0);
    CHECK(strstr(OUT(&process), row_json(0)) == OUT(&process));
    process_clear(&process);
    server_stop(server);
}

TEST(words_of_the_server)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows",
         .status = "400 Bad Request",
         .parts = {"{\"error\":{\"code\":\"invalid_parameter\",\"message\":\"begin: is no "
                   "time\\u001b[2J\",\"parameter\":\"begin\"}}\n"}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--server", server_where(server)), 2);
    CHECK_STR(ERR(&process), "flowtrail: begin: is no time [2J\n");
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    server_stop(server);
}

/* 'message' with the server's address for '@'. */
static void fails(const char *message, const struct answer *answers)
{
    struct server *server = server_start(answers, NULL);
    struct process process;
    char expected[512];
    CHECK_INT(RUN(&process, "observe", "--server", server_where(server)), 2);
    size_t len = strcspn(message, "@");
    (void)snprintf(expected, sizeof expected, "%.*s%s%s", (int)len, message,
                   message[len] == '@' ? server_where(server) : "",
                   message[len] == '@' ? message + len + 1 : "");
    CHECK_STR(ERR(&process), expected);
    process_clear(&process);
    server_stop(server);
}

TEST(answers_that_are_none)
{
    fails("flowtrail: http://@ answered with status 503\n",
          (struct answer[]){{.path = "/", .status = "503 Busy"}, {0}});
    fails("flowtrail: try later\n",
          (struct answer[]){{.path = "/", .status = "503 Busy", .parts = {"try later"}}, {0}});
    fails("flowtrail: http://@ broke off its answer\n",
          (struct answer[]){{.path = "/", .cut = true, .parts = {"{\"flows\""}}, {0}});
    fails("flowtrail: /api/v1/flows: the answer has no rows\n",
          (struct answer[]){{.path = "/", .parts = {"{\"flows\":7}"}}, {0}});
    fails("flowtrail: /api/v1/flows:1:1: invalid token near '<'\n",
          (struct answer[]){{.path = "/", .parts = {"<html>"}}, {0}});
}

TEST(nobody_there)
{
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--server", "127.0.0.1:1"), 2);
    CHECK_STR(ERR(&process), "flowtrail: cannot reach http://127.0.0.1:1: Connection refused\n");
    process_clear(&process);
    CHECK_INT(RUN(&process, "observe", "--agent", "/nowhere/agent.sock"), 2);
    CHECK(strstr(ERR(&process), "cannot reach /nowhere/agent.sock: No such file or directory\n") !=
          NULL);
    process_clear(&process);
}

TEST(agents_socket)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows", .parts = {page_json(0, -1, NULL)}},
        {.path = "/api/v1/status",
         .parts = {"{\"agent_id\":\"" AGENT_ID "\",\"host_name\":\"here\"}"}},
        {0}};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/agent.sock", ft_test_tmpdir());
    struct server *server = server_start(answers, path);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--agent", path), 0);
    CHECK(strstr(OUT(&process), "[here]") != NULL);
    process_clear(&process);
    server_stop(server);
}

TEST(bad_lines_of_a_file_are_named)
{
    struct process process;
    struct ft_buf input;
    ft_buf_init(&input, 0);
    ft_buf_addf(&input, "%s\n\n  \r\n{\"time\":\"2026\"}\n", row_json(0));
    CHECK_INT(run(&process, ft_buf_str(&input),
                  (const char *const[]){"observe", "--input-file", "-", NULL}),
              2);
    CHECK(strstr(ERR(&process), "flowtrail: standard input:4: ") == ERR(&process));
    CHECK(strstr(OUT(&process), "10.0.0.1:43210") != NULL);
    process_clear(&process);
    ft_buf_deinit(&input);
    CHECK_INT(
        run(&process, "{\"time\":", (const char *const[]){"observe", "--input-file", "-", NULL}),
        2);
    CHECK(strstr(ERR(&process), "flowtrail: standard input:1: ") == ERR(&process));
    process_clear(&process);
    CHECK_INT(RUN(&process, "observe", "--input-file", "/nowhere/rows"), 2);
    CHECK_STR(ERR(&process), "flowtrail: /nowhere/rows: No such file or directory\n");
    process_clear(&process);
}

TEST(line_without_end_is_bounded)
{
    struct process process;
    CHECK_INT(RUN(&process, "observe", "--input-file", "/dev/zero"), 2);
    CHECK_STR(ERR(&process), "flowtrail: /dev/zero:1: the line is longer than 1 MiB\n");
    process_clear(&process);
}

TEST(colour_is_for_terminals)
{
    struct process process;
    CHECK_INT(run(&process, row_json(0),
                  (const char *const[]){"observe", "--input-file", "-", "--color", "always", NULL}),
              0);
    CHECK(strstr(OUT(&process), "\x1b[") != NULL);
    process_clear(&process);
    process_start(&process, PROCESS_TERMINAL, row_json(0),
                  (const char *const[]){"observe", "--input-file", "-", NULL});
    CHECK_INT(process_wait(&process), 0);
    CHECK(strstr(OUT(&process), "\x1b[") != NULL);
    process_clear(&process);
    CHECK(setenv("NO_COLOR", "1", 1) == 0);
    process_start(&process, PROCESS_TERMINAL, row_json(0),
                  (const char *const[]){"observe", "--input-file", "-", NULL});
    CHECK(unsetenv("NO_COLOR") == 0);
    CHECK_INT(process_wait(&process), 0);
    CHECK(strstr(OUT(&process), "\x1b[") == NULL);
    process_clear(&process);
    process_start(&process, PROCESS_TERMINAL, row_json(0),
                  (const char *const[]){"observe", "--input-file", "-", "--color", "never", NULL});
    CHECK_INT(process_wait(&process), 0);
    CHECK(strstr(OUT(&process), "\x1b[") == NULL);
    process_clear(&process);
}
