/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail ledger. */
#include "fixture.h"

#define INSTANCE(name, id, numbers, collector, balanced)                                           \
    "{\"agent_id\":\"11111111-2222-4333-8444-555555555555\",\"instance_id\":\"" id                 \
    "-2222-4333-8444-555555555555\",\"host_name\":\"" name                                         \
    "\",\"state\":\"connected\",\"agent\":{"                                                       \
    "\"filtered\":11},\"collector\":{" collector "},\"account\":{" numbers                         \
    "},\"balanced\":" balanced
#define WEB                                                                                        \
    INSTANCE("web-1", "09abcdef",                                                                  \
             "\"observed\":144,\"stored\":93,\"quarantined\":4,\"damaged\":3,\"retained\":30,"     \
             "\"merged\":5,\"lost\":9,\"lost_by_cause\":{\"LOG_FULL\":2,\"REJECTED\":7}",          \
             "\"waiting\":3,\"duplicate\":21,\"rejected\":7,\"missing\":2", "true")                \
    "}"
#define SILENT                                                                                     \
    INSTANCE("", "0a", "\"observed\":5,\"stored\":5", "\"waiting\":0", "null")                     \
    ",\"why\":\"the agent has not told its account yet\"}"
#define WRONG                                                                                      \
    INSTANCE("db\\u001b[31m", "0b\\u001b[31m", "\"observed\":10,\"stored\":3,\"unaccounted\":7",   \
             "\"waiting\":0", "false")                                                             \
    ",\"why\":\"events that the agent believes here and are not: 7\"}"
#define PAGE(balanced, total, rows, next)                                                          \
    "{\"balanced\":" balanced ",\"total\":{" total "},\"ledger\":[" rows "]" next "}\n"
#define SUMS         "\"account\":{\"observed\":159,\"stored\":101,\"unaccounted\":7}"
#define NOT_BALANCED "\"instances\":3,\"unbalanced\":1,\"unknown\":1," SUMS

static struct server *serve(const char *body)
{
    static struct answer answers[2]; /* For one server at a time. */
    answers[0] = (struct answer){.path = "/api/v1/ledger?limit=1000", .parts = {body}};
    return server_start(answers, NULL);
}

TEST(table)
{
    struct server *server = serve(PAGE("false", NOT_BALANCED, WEB "," SILENT "," WRONG, ""));
    struct process process;
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server)), 1);
    CHECK_STR(ERR(&process), "");
    CHECK_GOLDEN("cli/ledger.txt", process.out_text.data, process.out_text.size);
    process_clear(&process);
    server_stop(server);
}

TEST(pages_are_one_table)
{
    const struct answer answers[] = {
        {.path = "/api/v1/ledger?limit=1000&agent=web-*&agent=db&cursor=a/b",
         .parts = {PAGE("true", "\"instances\":2," SUMS, WEB, "")}},
        {.path = "/api/v1/ledger?limit=1000&agent=web-*&agent=db",
         .parts = {PAGE("true", "\"instances\":2," SUMS, WEB, ",\"next\":\"a/b\"")}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server), "--node-name", "web-*",
                  "--node-name", "db"),
              0);
    CHECK_STR(ERR(&process), "");
    const char *first = strstr(OUT(&process), "web-1 ");
    CHECK(first != NULL && strstr(first + 1, "web-1 ") != NULL);
    CHECK(strstr(first, "agent  ") == NULL);
    CHECK(strstr(OUT(&process), "\nBalanced: 2 instances.\n") != NULL);
    process_clear(&process);
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server), "--node-name", "web-*",
                  "--node-name", "db", "-o", "json"),
              0);
    const char *line = strchr(OUT(&process), '\n');
    CHECK(line != NULL && line[1] == '{' && line[strlen(line) - 1] == '\n');
    process_clear(&process);
    server_stop(server);
}

static void check(int code, const char *body, const char *text)
{
    struct server *server = serve(body);
    struct process process;
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server)), code);
    CHECK(strstr(OUT(&process), text) != NULL);
    process_clear(&process);
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server), "-o", "json"), code);
    process_clear(&process);
    server_stop(server);
}

TEST(what_cannot_be_told_is_not_balanced)
{
    check(2, PAGE("null", "\"instances\":1,\"unknown\":1", SILENT, ""),
          "Cannot be told for 1 of 1 instances.\n");
    check(2, PAGE("true", "\"instances\":0", "", ""), "No such agent is known.\n");
    check(2, "{}", "No such agent is known.\n");
    check(2, "{\"total\":{\"instances\":4}}", "Cannot be told");
}

TEST(no_answer)
{
    struct server *server = serve("not JSON");
    struct process process;
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server)), 2);
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    CHECK_INT(RUN(&process, "ledger", "--server", "127.0.0.1:1"), 2);
    CHECK_STR(ERR(&process), "flowtrail: cannot reach http://127.0.0.1:1: Connection refused\n");
    process_clear(&process);
    CHECK_INT(RUN(&process, "ledger"), 64);
    CHECK(strstr(ERR(&process), "--server HOST:PORT") != NULL);
    process_clear(&process);
    server_stop(server);
}
