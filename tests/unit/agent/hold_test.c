/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hold.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/hold_impl.h"
#include "base/thread.h"
#include "lib/test.h"

/* A keeper is the running program once more: this one, too. */
__attribute__((constructor)) static void be_a_keeper(int argc, char **argv)
{
    if (ft_hold_is_keeper(argc, argv)) {
        _exit(ft_hold_keeper_main());
    }
}

static const char *socket_in(const char *dir)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/agent.sock", dir);
    (void)unsetenv("NOTIFY_SOCKET");
    return path;
}

static const char *keep_in(const char *dir)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/agent.sock.keep", dir);
    return path;
}

static int make_file(const char *text)
{
    int fd = memfd_create(text, MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_INT(pwrite(fd, text, strlen(text), 0), strlen(text));
    return fd;
}

static void check_file(int fd, const char *text)
{
    char found[64] = "";
    CHECK(fd >= 0);
    CHECK(pread(fd, found, sizeof found - 1, 0) >= 0);
    CHECK_STR(found, text);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    (void)close(fd);
}

static void check_nothing(const struct ft_held *held)
{
    CHECK_INT(held->memory_fd, -1);
    CHECK_INT(held->events_fd, -1);
}

/* The keeper has a moment to see what has happened. */
static void wait_for_name(const char *path, bool there)
{
    for (unsigned i = 0; i < 500 && (access(path, F_OK) == 0) != there; i++) {
        ft_thread_sleep(10 * FT_NS_PER_MS);
    }
    CHECK_INT(access(path, F_OK) == 0, there);
}

static struct ft_hold *open_again(const char *socket, struct ft_held *ret_held)
{
    struct ft_hold *hold;
    for (unsigned i = 0; i < 500; i++) {
        CHECK_OK(ft_hold_open(socket, &hold, ret_held));
        if (ret_held->memory_fd >= 0) {
            return hold;
        }
        ft_hold_close(hold); /* It still thought that the last one lived. */
        ft_thread_sleep(10 * FT_NS_PER_MS);
    }
    ft_test_fail(__FILE__, __LINE__, "nobody has kept anything");
}

TEST(is_there_again_until_it_is_released)
{
    const char *dir = ft_test_tmpdir();
    const char *socket = socket_in(dir);
    struct ft_hold *hold;
    struct ft_held held;
    CHECK_OK(ft_hold_open(socket, &hold, &held));
    check_nothing(&held);
    int memory = make_file("memory");
    CHECK_OK(ft_hold_keep_memory(hold, memory));
    wait_for_name(keep_in(dir), true);
    struct stat status;
    CHECK_INT(stat(keep_in(dir), &status), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    ft_hold_close(hold); /* As a crash does. */
    hold = open_again(socket, &held);
    check_file(held.memory_fd, "memory");
    CHECK_INT(held.events_fd, -1);
    int events = make_file("events");
    CHECK_OK(ft_hold_keep_events(hold, events));
    int other = make_file("other");
    CHECK_OK(ft_hold_keep_memory(hold, other));
    ft_hold_close(hold);
    hold = open_again(socket, &held);
    check_file(held.memory_fd, "other");
    check_file(held.events_fd, "events");
    ft_hold_release(hold);
    ft_hold_close(hold);
    wait_for_name(keep_in(dir), false);
    CHECK_OK(ft_hold_open(socket, &hold, &held));
    check_nothing(&held);
    ft_hold_close(hold);
    (void)close(memory);
    (void)close(events);
    (void)close(other);
}

/* While its agent lives nobody else gets anything. */
TEST(is_one_agents_at_a_time)
{
    const char *dir = ft_test_tmpdir();
    const char *socket = socket_in(dir);
    struct ft_hold *hold;
    struct ft_hold *second;
    struct ft_held held;
    CHECK_OK(ft_hold_open(socket, &hold, &held));
    int memory = make_file("memory");
    CHECK_OK(ft_hold_keep_memory(hold, memory));
    CHECK_OK(ft_hold_open(socket, &second, &held));
    check_nothing(&held);
    ft_hold_close(second);
    ft_hold_release(hold);
    ft_hold_close(hold);
    (void)close(memory);
}

TEST(a_name_that_nobody_answers_at_is_taken)
{
    const char *dir = ft_test_tmpdir();
    const char *socket = socket_in(dir);
    int file = open(keep_in(dir), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    (void)close(file);
    struct ft_hold *hold;
    struct ft_held held;
    CHECK_OK(ft_hold_open(socket, &hold, &held));
    check_nothing(&held);
    int memory = make_file("memory");
    CHECK_OK(ft_hold_keep_memory(hold, memory));
    ft_hold_release(hold);
    ft_hold_close(hold);
    (void)close(memory);
}

TEST(without_a_place_there_is_no_keeper)
{
    struct ft_hold *hold;
    struct ft_held held;
    (void)unsetenv("NOTIFY_SOCKET");
    CHECK_OK(ft_hold_open("", &hold, &held));
    check_nothing(&held);
    int memory = make_file("memory");
    CHECK_ERR(ft_hold_keep_memory(hold, memory), FT_E_UNSUPPORTED);
    CHECK_ERR(ft_hold_keep_events(hold, memory), FT_E_UNSUPPORTED);
    ft_hold_release(hold);
    ft_hold_close(hold);
    CHECK_OK(ft_hold_open("/nonexistent/agent.sock", &hold, &held));
    CHECK_ERR(ft_hold_keep_memory(hold, memory), ft_err_from_errno(ENOENT));
    ft_hold_close(hold);
    (void)close(memory);
}

/* The service manager's own names and descriptors. */
TEST(below_a_service_manager_it_keeps)
{
    char path[256];
    char pid[32];
    (void)snprintf(path, sizeof path, "%s/notify", ft_test_tmpdir());
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    CHECK_INT(setenv("NOTIFY_SOCKET", path, 1), 0);
    CHECK_INT(setenv("LISTEN_PID", pid, 1), 0);
    CHECK_INT(setenv("LISTEN_FDS", "2", 1), 0);
    CHECK_INT(setenv("LISTEN_FDNAMES", FT_HOLD_EVENTS_NAME ":" FT_HOLD_MEMORY_NAME, 1), 0);
    struct ft_hold *hold;
    struct ft_held held;
    /* The service manager's descriptors begin at 3, whatever whoever runs the test has left there.
     */
    int events = fcntl(make_file("events"), F_DUPFD_CLOEXEC, 10);
    int memory = fcntl(make_file("memory"), F_DUPFD_CLOEXEC, 10);
    CHECK_INT(dup2(events, 3), 3);
    CHECK_INT(dup2(memory, 4), 4);
    (void)close(events);
    (void)close(memory);
    CHECK_OK(ft_hold_open("/nonexistent/agent.sock", &hold, &held));
    check_file(held.events_fd, "events");
    check_file(held.memory_fd, "memory");
    CHECK_ERR(ft_hold_keep_memory(hold, 2), FT_E_UNSUPPORTED); /* It does not listen. */
    ft_hold_close(hold);
    CHECK_INT(unsetenv("NOTIFY_SOCKET"), 0);
}
