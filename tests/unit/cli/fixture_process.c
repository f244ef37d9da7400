/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "fixture.h"

#define WORDS_MAX  40
#define TIMEOUT_MS 20000

/* With this in the environment the program is `flowtrail`. */
#define RUN_VARIABLE "FT_TEST_RUN_CLI"

__attribute__((constructor)) static void be_flowtrail(int argc, char **argv)
{
    if (getenv(RUN_VARIABLE) != NULL) {
        exit(ft_cli_run(argc, argv));
    }
}

static void must(bool good, const char *what)
{
    if (!good) {
        ft_test_fail(__FILE__, __LINE__, "%s: %s", what, strerrordesc_np(errno));
    }
}

#define N_KEPT 5

/* What the sanitizers are told and what a test sets, and nothing else of what the person at the
 * keyboard has set. */
static void make_environment(char *environment[16])
{
    size_t n = 0;
    environment[n++] = (char *)(uintptr_t)RUN_VARIABLE "=1";
    environment[n++] = (char *)(uintptr_t) "PATH=/usr/bin:/bin";
    /* A proxy that does not exist must not be asked. */
    environment[n++] = (char *)(uintptr_t) "http_proxy=http://127.0.0.1:1";
    static const char *const kept[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
                                       "FLOWTRAIL_SERVER", "NO_COLOR"};
    static char texts[N_KEPT][1024];
    for (size_t i = 0; i < N_KEPT; i++) {
        const char *value = getenv(kept[i]);
        if (value != NULL) {
            (void)snprintf(texts[i], sizeof texts[i], "%s=%s", kept[i], value);
            environment[n++] = texts[i];
        }
    }
    environment[n] = NULL;
}

static void write_input(const char *input, int *ret_fd)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    size_t size = input != NULL ? strlen(input) : 0;
    must(fd >= 0 && write(fd, input != NULL ? input : "", size) == (ssize_t)size &&
             lseek(fd, 0, SEEK_SET) == 0,
         "input");
    *ret_fd = fd;
}

void process_start(struct process *process, unsigned flags, const char *input,
                   const char *const *words)
{
    *process = (struct process){.out = -1, .err = -1, .code = -1};
    ft_buf_init(&process->out_text, 0);
    ft_buf_init(&process->err_text, 0);
    char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "flowtrail"};
    for (size_t i = 0; words[i] != NULL && i < WORDS_MAX; i++) {
        argv[i + 1] = (char *)(uintptr_t)words[i];
    }
    char *environment[16];
    make_environment(environment);
    int in;
    int out[2];
    int err[2] = {-1, -1};
    write_input(input, &in);
    if ((flags & PROCESS_TERMINAL) != 0) {
        must(openpty(&out[0], &out[1], NULL, NULL, NULL) == 0, "openpty");
        must(fcntl(out[0], F_SETFD, FD_CLOEXEC) == 0, "fcntl");
    } else {
        must(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe");
    }
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in, 0);
    if ((flags & PROCESS_FULL_DISK) != 0) {
        (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/full", O_WRONLY, 0);
    } else {
        (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    }
    (void)posix_spawn_file_actions_adddup2(&actions, err[1] >= 0 ? err[1] : out[1], 2);
    errno = posix_spawn(&process->pid, "/proc/self/exe", &actions, NULL, argv, environment);
    must(errno == 0, "posix_spawn");
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in);
    (void)close(out[1]);
    process->out = out[0];
    if (err[1] >= 0) {
        (void)close(err[1]);
        process->err = err[0];
    }
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Takes what is there; a terminal whose program has gone gives EIO. */
static void take(int *fd, struct ft_buf *text)
{
    char piece[4096];
    ssize_t n = read(*fd, piece, sizeof piece);
    if (n > 0) {
        ft_buf_add(text, piece, (size_t)n);
    } else {
        (void)close(*fd);
        *fd = -1;
    }
}

/* Reads something; false when both ends are closed. */
static bool pump(struct process *process, int64_t deadline_ms)
{
    struct pollfd fds[2] = {{.fd = process->out, .events = POLLIN},
                            {.fd = process->err, .events = POLLIN}};
    if (process->out < 0 && process->err < 0) {
        return false;
    }
    int64_t left_ms = deadline_ms - now_ms();
    if (left_ms <= 0 || poll(fds, 2, (int)left_ms) <= 0) {
        (void)kill(process->pid, SIGKILL);
        ft_test_fail(__FILE__, __LINE__, "no end after 20 s; so far:\n%s%s", OUT(process),
                     ERR(process));
    }
    if (fds[0].revents != 0) {
        take(&process->out, &process->out_text);
    }
    if (fds[1].revents != 0) {
        take(&process->err, &process->err_text);
    }
    return true;
}

void process_wait_for(struct process *process, const char *text)
{
    int64_t deadline_ms = now_ms() + TIMEOUT_MS;
    while (strstr(OUT(process), text) == NULL) {
        if (!pump(process, deadline_ms)) {
            ft_test_fail(__FILE__, __LINE__, "it ended without \"%s\":\n%s%s", text, OUT(process),
                         ERR(process));
        }
    }
}

void process_stop_reading(struct process *process)
{
    if (process->out >= 0) {
        (void)close(process->out);
        process->out = -1;
    }
}

int process_wait(struct process *process)
{
    int64_t deadline_ms = now_ms() + TIMEOUT_MS;
    while (pump(process, deadline_ms)) {
    }
    int status = 0;
    must(waitpid(process->pid, &status, 0) == process->pid, "waitpid");
    process->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return process->code;
}

void process_clear(struct process *process)
{
    ft_buf_deinit(&process->out_text);
    ft_buf_deinit(&process->err_text);
}

int run(struct process *process, const char *input, const char *const *words)
{
    process_start(process, 0, input, words);
    return process_wait(process);
}
