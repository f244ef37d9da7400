/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail losses. */
#include "fixture.h"

#define AGENTS                                                                                     \
    "{\"agents\":[{\"agent_id\":\"11111111-2222-4333-8444-555555555555\",\"host_name\":\"web-1\"}" \
    "]}"

TEST(table_and_sum)
{
    const struct answer answers[] = {{.path = "/api/v1/losses?format=json&order=oldest&limit=1000&"
                                              "begin=2026-11-20T00:00:00.000000000Z",
                                      .parts = {page_json(4, 2, NULL)}},
                                     {.path = "/api/v1/agents", .parts = {AGENTS}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "losses", "--server", server_where(server), "--since", "2026-11-20"),
              1);
    CHECK_STR(ERR(&process), "");
    CHECK_GOLDEN("cli/losses.txt", process.out_text.data, process.out_text.size);
    process_clear(&process);
    CHECK_INT(RUN(&process, "losses", "--server", server_where(server), "--since", "2026-11-20",
                  "-o", "json"),
              1);
    CHECK(strstr(OUT(&process), row_json(4)) == OUT(&process));
    process_clear(&process);
    server_stop(server);
}

TEST(nothing_is_missing)
{
    const struct answer answers[] = {{.path = "/api/v1/losses", .parts = {page_json(0, 0, NULL)}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "losses", "--server", server_where(server)), 0);
    CHECK_STR(OUT(&process), "Nothing is missing since 24h ago.\n");
    process_clear(&process);
    CHECK_INT(RUN(&process, "losses", "--server", server_where(server), "-o", "json"), 0);
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    server_stop(server);
}

TEST(without_an_answer_nothing_is_said_about_losses)
{
    const struct answer answers[] = {{.path = "/api/v1/losses", .status = "503 Busy"}, {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "losses", "--server", server_where(server)), 2);
    CHECK_STR(OUT(&process), "");
    process_clear(&process);
    CHECK_INT(RUN(&process, "losses", "--server", server_where(server), "--since", "x"), 64);
    process_clear(&process);
    server_stop(server);
}
