/* SPDX-License-Identifier: Apache-2.0 */
/* flowtrail observe -f: the live stream, its ends, and who no longer reads. */
#include <signal.h>
#include <stdio.h>

#include "fixture.h"

/* An event of the stream with row 'i'. */
static const char *event(size_t i)
{
    static char events[ROWS_N][4096];
    (void)snprintf(events[i], sizeof events[i], "data: %s\n\n", row_json(i));
    return events[i];
}

TEST(rows_in_pieces_until_ctrl_c)
{
    static char head[200];
    (void)snprintf(head, sizeof head, "retry: 3000\n\n: heartbeat\n\n%.100s", event(0));
    const struct answer answers[] = {
        {.path = "/api/v1/live", .hang = true, .parts = {head, event(0) + 100, event(3)}}, {0}};
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        struct server *server = server_start(answers, NULL);
        struct process process;
        process_start(&process, 0, NULL,
                      (const char *const[]){"observe", "-f", "--server", server_where(server), "-o",
                                            "json", NULL});
        process_wait_for(&process, row_json(3));
        CHECK_INT(kill(process.pid, signals[i]), 0);
        CHECK_INT(process_wait(&process), 0);
        CHECK_STR(ERR(&process), "");
        CHECK(strstr(OUT(&process), row_json(0)) != NULL);
        CHECK_STR(server_requests(server), "/api/v1/live\n");
        process_clear(&process);
        server_stop(server);
    }
}

TEST(filters_go_to_the_server)
{
    const struct answer answers[] = {{.path = "/api/v1/live", .hang = true, .parts = {event(0)}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "-f", "--server", server_where(server), "--port",
                                        "443", "--not", "--type", "end", "-4", "-o", "json", NULL});
    process_wait_for(&process, row_json(0));
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 0);
    CHECK_STR(server_requests(server), "/api/v1/live?port=443&not.type=end&ip_version=4\n");
    process_clear(&process);
    server_stop(server);
}

/* Rows 0 and 1 are stored; 1 and 2 come live. */
TEST(stored_rows_come_first_and_none_twice)
{
    const struct answer answers[] = {
        {.path = "/api/v1/live", .hang = true, .parts = {"retry: 3000\n\n", event(1), event(2)}},
        {.path = "/api/v1/flows?format=json&order=newest&limit=5&begin=1970",
         .parts = {page_json(0, -2, NULL)}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "-f", "--last", "5", "--server",
                                        server_where(server), "-o", "json", NULL});
    process_wait_for(&process, row_json(2));
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 0);
    char expected[8192];
    (void)snprintf(expected, sizeof expected, "%s\n%s\n%s\n", row_json(0), row_json(1),
                   row_json(2));
    CHECK_STR(OUT(&process), expected);
    process_clear(&process);
    server_stop(server);
}

/*
 * Row 2 was stored between two pages of the answer, row 1 of the same instance behind it: it has a
 * lower number than what was shown, and comes live.
 */
TEST(row_that_the_answer_missed_comes_live_whatever_its_number)
{
    const struct answer answers[] = {
        {.path = "/api/v1/live", .hang = true, .parts = {"retry: 3000\n\n", event(1), event(3)}},
        {.path = "/api/v1/flows?format=json&order=oldest&limit=1000&begin=1970-01-01T00:00:00."
                 "000000000Z&cursor",
         .parts = {page_json(2, 1, NULL)}},
        {.path = "/api/v1/flows", .parts = {page_json(0, 1, "second")}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "-f", "--all", "--server", server_where(server),
                                        "-o", "json", NULL});
    process_wait_for(&process, row_json(3));
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 0);
    char expected[8192];
    (void)snprintf(expected, sizeof expected, "%s\n%s\n%s\n%s\n", row_json(0), row_json(2),
                   row_json(1), row_json(3));
    CHECK_STR(OUT(&process), expected);
    process_clear(&process);
    server_stop(server);
}

TEST(rows_left_out_and_rows_not_understood_are_told)
{
    const struct answer answers[] = {
        {.path = "/api/v1/live",
         .hang = true,
         .parts = {"event: dropped\ndata: {\"count\":17}\n\n", "data: {\"time\":\"soon\"}\n\n",
                   "event: news\ndata: {}\n\n", event(0)}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "-f", "--server", server_where(server), "-o",
                                        "json", NULL});
    process_wait_for(&process, row_json(0));
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 0);
    CHECK(strstr(ERR(&process), "flowtrail: 17 rows were left out: there are more than can be "
                                "shown\nflowtrail: a row was not understood: ") == ERR(&process));
    CHECK(strstr(ERR(&process), "news") == NULL);
    process_clear(&process);
    server_stop(server);
}

TEST(server_that_goes_away_is_told)
{
    const struct answer ends[] = {{.path = "/api/v1/live", .parts = {event(0)}}, {0}};
    const struct answer breaks[] = {
        {.path = "/api/v1/live", .cut = true, .parts = {event(0), "data: {"}}, {0}};
    const struct answer *const both[] = {ends, breaks};
    for (size_t i = 0; i < 2; i++) {
        struct server *server = server_start(both[i], NULL);
        struct process process;
        CHECK_INT(RUN(&process, "observe", "-f", "--server", server_where(server), "-o", "json"),
                  2);
        CHECK(strstr(OUT(&process), row_json(0)) != NULL);
        CHECK_STR(ERR(&process), "flowtrail: the stream of flows ended: the server went away\n");
        process_clear(&process);
        server_stop(server);
    }
}

TEST(endless_line_is_bounded)
{
    static char piece[700000];
    memset(piece, 'x', sizeof piece - 1);
    memcpy(piece, "data: ", 6);
    const struct answer answers[] = {
        {.path = "/api/v1/live", .hang = true, .parts = {piece, piece}}, {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    CHECK_INT(RUN(&process, "observe", "-f", "--server", server_where(server)), 2);
    CHECK(strlen(ERR(&process)) < 200);
    process_clear(&process);
    server_stop(server);
}

/* `observe -f | head -1`, while no further row comes. */
TEST(reader_that_has_enough_ends_it_quietly)
{
    const struct answer answers[] = {{.path = "/api/v1/live", .hang = true, .parts = {event(0)}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "-f", "--server", server_where(server), "-o",
                                        "json", NULL});
    process_wait_for(&process, row_json(0));
    process_stop_reading(&process);
    CHECK_INT(process_wait(&process), 0);
    CHECK_STR(ERR(&process), "");
    process_clear(&process);
    server_stop(server);
}

/* `observe --all | head -1`: a write fails. */
TEST(closed_pipe_ends_stored_rows_quietly)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows", .parts = {page_json(0, 6, "endless")}}, {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "--first", "200", "--server",
                                        server_where(server), "-o", "json", NULL});
    process_wait_for(&process, row_json(0));
    process_stop_reading(&process);
    CHECK_INT(process_wait(&process), 0);
    CHECK_STR(ERR(&process), "");
    process_clear(&process);
    server_stop(server);
}

TEST(interrupted_answer_is_not_complete)
{
    const struct answer answers[] = {
        {.path = "/api/v1/flows?format=json&order=oldest&limit=1000&begin=1970-01-01T00:00:00."
                 "000000000Z&cursor",
         .hang = true},
        {.path = "/api/v1/flows", .parts = {page_json(0, 1, "second")}},
        {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, 0, NULL,
                  (const char *const[]){"observe", "--all", "--server", server_where(server), "-o",
                                        "json", NULL});
    process_wait_for(&process, row_json(0));
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 130);
    CHECK_STR(ERR(&process), "");
    process_clear(&process);
    server_stop(server);
}

TEST(person_at_a_terminal_is_told_how_it_ends)
{
    const struct answer answers[] = {{.path = "/api/v1/live", .hang = true, .parts = {event(0)}},
                                     {0}};
    struct server *server = server_start(answers, NULL);
    struct process process;
    process_start(&process, PROCESS_TERMINAL, NULL,
                  (const char *const[]){"observe", "-f", "--server", server_where(server), NULL});
    process_wait_for(&process, "Flows are shown as they come; Ctrl-C ends.\r\n");
    process_wait_for(&process, "10.0.0.1:43210");
    CHECK_INT(kill(process.pid, SIGINT), 0);
    CHECK_INT(process_wait(&process), 0);
    process_clear(&process);
    server_stop(server);
}
