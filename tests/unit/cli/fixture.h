/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `flowtrail` as a process of its own (this test program, started again), and a small HTTP server
 * with prepared answers for it to ask.
 *
 * Thread: the test's; the server has threads of its own.
 */
#ifndef FT_TESTS_UNIT_CLI_FIXTURE_H
#define FT_TESTS_UNIT_CLI_FIXTURE_H 1

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "lib/test.h"

/* What is answered to a path. */
struct answer {
    const char *path;     /* The beginning of it. */
    const char *status;   /* "200 OK" when NULL. */
    const char *parts[8]; /* Sent one by one, with a pause; ends with NULL. */
    bool hang;            /* The connection stays open until the client goes. */
    bool cut;             /* More is promised than is sent. */
};

struct server;

/* On a Unix socket when 'unix_path' is given, else on a TCP port of loopback.  'answers' ends with
 * one without a path. */
struct server *server_start(const struct answer *answers, const char *unix_path);
/* "127.0.0.1:PORT" */
const char *server_where(const struct server *server);
/* All paths asked for so far, each with a '\n', in their order. */
const char *server_requests(struct server *server);
void server_stop(struct server *server);

/*
 * The rows of tests/golden/text/rows.ndjson, which hold every kind of event and names that try to
 * escape: row 'i' alone as JSON, and a page of 'n' rows from 'first' on, in reverse when 'n' is
 * negative, with 'next' as the cursor of the next one (NULL: none).  Valid until the program ends.
 */
#define ROWS_N 6
const char *row_json(size_t i);
const char *page_json(size_t first, int n, const char *next);

struct process {
    pid_t pid;
    int out; /* Read ends of pipes, or a terminal's. */
    int err;
    struct ft_buf out_text;
    struct ft_buf err_text;
    int code; /* -1 while it runs; 128 + the signal that ended it. */
};

enum {
    PROCESS_TERMINAL = 1, /* Its output and errors are a terminal, read from 'out'. */
    PROCESS_FULL_DISK = 2 /* Its output goes to /dev/full. */
};

/* Words end with NULL; "flowtrail" itself is not among them.  'input' is its standard input. */
void process_start(struct process *process, unsigned flags, const char *input,
                   const char *const *words);
/* Reads until 'text' has appeared in the output; fails after twenty seconds. */
void process_wait_for(struct process *process, const char *text);
/* Closes the reading ends: nobody listens any more. */
void process_stop_reading(struct process *process);
/* Reads to the end; the exit code. */
int process_wait(struct process *process);
void process_clear(struct process *process);

/* Runs to the end. */
int run(struct process *process, const char *input, const char *const *words);
#define RUN(process, ...) run(process, NULL, (const char *const[]){__VA_ARGS__, NULL})

#define OUT(process) ft_buf_str(&(process)->out_text)
#define ERR(process) ft_buf_str(&(process)->err_text)

#endif
