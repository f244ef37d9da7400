/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail status and version. */
#include <signal.h>
#include <stdio.h>

#include "fixture.h"

#define HEAD "{\"program\":\"flowtraild\",\"version\":\"0.1.0\",\"host_name\":\"web-1\","
#define GOOD_ACCOUNT                                                                               \
    "\"account\":{\"observed\":1204,\"stored\":1180,\"retained\":24,\"lost\":0,"                   \
    "\"lost_by_cause\":{},\"balanced\":true}"
#define COMPONENT(name, health, text)                                                              \
    "{\"name\":\"" name "\",\"health\":\"" health "\",\"text\":\"" text "\"}"
#define OK                                                                                         \
    HEAD "\"components\":[" COMPONENT("capture", "ok", "full, 60 entries") "," COMPONENT(          \
        "log", "ok", "24 events retained") "]," GOOD_ACCOUNT "}\n"
#define DEGRADED                                                                                   \
    HEAD "\"components\":[" COMPONENT("capture", "ok", "full") "," COMPONENT(                      \
        "stream", "degraded",                                                                      \
        "https://c:4317: backoff, \\u001b[31mrefused\\nby peer") "]," GOOD_ACCOUNT "}"
#define FAILED                                                                                     \
    HEAD "\"components\":[" COMPONENT("log", "degraded", "was full") "," COMPONENT(                \
        "configuration", "failed",                                                                 \
        "the last reload was refused") "],"                                                        \
                                       "\"account\":{\"observed\":1204,\"stored\":1180,"           \
                                       "\"retained\":20,\"lost\":4,"                               \
                                       "\"lost_by_cause\":{\"LOG_FULL\":3,\"KERNEL_OVERRUN\":1},"  \
                                       "\"balanced\":true}}"
#define UNBALANCED                                                                                 \
    HEAD "\"components\":[" COMPONENT("log", "ok",                                                 \
                                      "well") "],"                                                 \
                                              "\"account\":{\"observed\":10,\"stored\":3,"         \
                                              "\"retained\":2,\"lost\":4,\"unaccounted\":1,"       \
                                              "\"balanced\":false}}"

static void shows(int code, const char *golden, const char *body, const char *const *words)
{
    const struct answer answers[] = {{.path = "/api/v1/status", .parts = {body}}, {0}};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/agent.sock", ft_test_tmpdir());
    struct server *server = server_start(answers, path);
    struct process process;
    const char *all[16] = {"status", "--agent", path};
    size_t n = 3;
    while (*words != NULL) {
        all[n++] = *words++;
    }
    CHECK_INT(run(&process, NULL, all), code);
    CHECK_STR(ERR(&process), "");
    CHECK_GOLDEN(golden, process.out_text.data, process.out_text.size);
    process_clear(&process);
    server_stop(server);
}
#define SHOWS(code, golden, body, ...) shows(code, golden, body, (const char *const[]){__VA_ARGS__})

TEST(tables)
{
    SHOWS(0, "cli/status-ok.txt", OK, NULL);
    SHOWS(1, "cli/status-degraded.txt", DEGRADED, NULL);
    SHOWS(2, "cli/status-failed.txt", FAILED, NULL);
    SHOWS(2, "cli/status-unbalanced.txt", UNBALANCED, NULL);
    SHOWS(2, "cli/status-empty.txt", "{}", NULL);
    SHOWS(2, "cli/status-colour.txt", FAILED, "--color", "always", NULL);
}

TEST(json_is_the_answer_on_one_line)
{
    SHOWS(0, "cli/status-ok.json", OK, "-o", "json", NULL);
    SHOWS(2, "cli/status-empty.json", "{\n  \"components\": [\n ]\n}\n", "-o", "json", NULL);
}

TEST(no_answer)
{
    struct process process;
    CHECK_INT(RUN(&process, "status", "--agent", "/nowhere/agent.sock"), 2);
    CHECK_STR(OUT(&process), "");
    CHECK_STR(ERR(&process),
              "flowtrail: cannot reach /nowhere/agent.sock: No such file or directory\n"
              "flowtrail: is the agent running, and may you ask it?  systemctl status flowtraild; "
              "or ask a collector: --server HOST:PORT\n");
    process_clear(&process);
    CHECK_INT(RUN(&process, "status", "--server", "127.0.0.1:1"), 2);
    CHECK_STR(ERR(&process), "flowtrail: cannot reach http://127.0.0.1:1: Connection refused\n");
    process_clear(&process);
}

TEST(watching_ends_with_ctrl_c_and_the_last_state)
{
    const struct answer answers[] = {{.path = "/api/v1/status", .parts = {DEGRADED}}, {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"status", "-w", "--interval", "100ms", "--server",
                                        server_where(server), NULL});
    process_wait_for(&process, "balanced\n\nflowtraild");
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 1);
    process_clear(&process);
    server_stop(server);
}

TEST(version_of_a_collector)
{
    const struct answer answers[] = {
        {.path = "/version",
         .parts = {"{\"program\":\"flowtrail-collector\",\"version\":\"9.1\\u001b\"}\n"}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "version", "--server", server_where(server)), 0);
    CHECK_STR(OUT(&process), "flowtrail " FT_VERSION "\nflowtrail-collector 9.1\\x1b\n");
    process_clear(&process);
    server_stop(server);
}
