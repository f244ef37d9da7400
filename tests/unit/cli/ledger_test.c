/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail ledger. */
#include "fixture.h"

#define INSTANCE(name, id, state, agent, collector, account, balanced)                             \
    "{\"agent_id\":\"11111111-2222-4333-8444-555555555555\",\"instance_id\":\"" id                 \
    "-2222-4333-8444-555555555555\",\"host_name\":\"" name "\",\"state\":\"" state                 \
    "\",\"agent\":{" agent "},\"collector\":{" collector "},\"account\":{" account                 \
    "},\"balanced\":" balanced
#define THERE                                                                                      \
    "\"told\":\"2023-11-14T22:13:21.000Z\",\"observed\":144,\"filtered\":11,\"merged\":5,"         \
    "\"sealed\":140,\"sent\":135,\"acknowledged\":100,\"retained\":30,\"lost\":9"
#define HERE                                                                                       \
    "\"received\":121,\"duplicate\":21,\"rejected\":7,\"missing\":2,\"stored\":90,"                \
    "\"quarantined\":4,\"damaged\":3,\"waiting\":3,\"lost\":0"
#define LOSSES "\"lost\":9,\"lost_by_cause\":{\"LOG_FULL\":2,\"REJECTED\":7}"
#define ACCOUNT                                                                                    \
    "\"observed\":144,\"stored\":93,\"quarantined\":4,\"damaged\":3,\"retained\":30,"              \
    "\"merged\":5," LOSSES
#define WEB INSTANCE("web-1", "09abcdef", "connected", THERE, HERE, ACCOUNT, "true") "}"
#define AWAY                                                                                       \
    INSTANCE("web-2", "09abcd00", "away", THERE, HERE, "\"observed\":90,\"stored\":90", "true") "}"
#define ENDED                                                                                      \
    INSTANCE("web-2", "09abcd01", "ended", THERE, HERE,                                            \
             "\"observed\":90,\"stored\":80,\"retained\":10", "null")                              \
    ",\"why\":\"what became of them is not known: 10\"}"
#define SILENT                                                                                     \
    INSTANCE("", "0a", "connected", "", "\"stored\":5,\"waiting\":0",                              \
             "\"observed\":5,\"stored\":5", "null")                                                \
    ",\"why\":\"the agent has not told its account yet\"}"
#define WRONG                                                                                      \
    INSTANCE("db\\u001b[31m", "0b\\u001b[31m", "connected", "\"told\":\"now\"", "",                \
             "\"observed\":10,\"stored\":3,\"unaccounted\":7", "false")                            \
    ",\"why\":\"events that the agent believes here and are not: 7\"}"
#define PAGE(balanced, total, rows, next)                                                          \
    "{\"balanced\":" balanced ",\"total\":{" total "},\"ledger\":[" rows "]" next "}\n"
#define SUMS                                                                                       \
    "\"agent\":{\"observed\":444,\"filtered\":33},\"collector\":{\"stored\":268},\"account\":{"    \
    "\"observed\":339,\"stored\":271,\"retained\":40,\"merged\":5,\"quarantined\":4,"              \
    "\"unaccounted\":7," LOSSES "}"
#define NOT_BALANCED "\"instances\":5,\"unbalanced\":1,\"unknown\":2," SUMS
#define ALL          PAGE("false", NOT_BALANCED, WEB "," AWAY "," ENDED "," SILENT "," WRONG, "")
/* What an agent says of itself. */
#define OWN                                                                                        \
    "{\"balanced\":true,\"total\":{\"instances\":1,\"account\":{\"observed\":144,"                 \
    "\"stored\":100,\"retained\":30,\"merged\":5," LOSSES "}},\"ledger\":[{\"agent_id\":\"\","     \
    "\"instance_id\":\"09abcdef-2\",\"host_name\":\"web-1\",\"state\":\"active\","                 \
    "\"agent\":{" THERE "},\"account\":{\"observed\":144,\"stored\":100,\"retained\":30,"          \
    "\"merged\":5," LOSSES "},\"balanced\":true}]}\n"

static struct server *serve(const char *body)
{
    static struct answer answers[2]; /* For one server at a time. */
    answers[0] = (struct answer){.path = "/api/v1/ledger?limit=1000", .parts = {body}};
    return server_start(answers, NULL);
}

static void shows(int code, const char *golden, const char *body, const char *option)
{
    struct server *server = serve(body);
    struct process process;
    CHECK_INT(RUN(&process, "ledger", "--server", server_where(server), option), code);
    CHECK_STR(ERR(&process), "");
    CHECK_GOLDEN(golden, process.out_text.data, process.out_text.size);
    process_clear(&process);
    server_stop(server);
}

TEST(table) { shows(1, "cli/ledger.txt", ALL, NULL); }
TEST(details) { shows(1, "cli/ledger-detail.txt", ALL, "--detail"); }
TEST(an_agent_has_its_own_side) { shows(0, "cli/ledger-agent.txt", OWN, "-d"); }

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
    CHECK_INT(RUN(&process, "ledger", "--agent", "/nowhere/agent.sock"), 2);
    CHECK(strstr(ERR(&process), "is the agent running") != NULL);
    process_clear(&process);
    server_stop(server);
}
