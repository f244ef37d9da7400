/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/test.h"

/* A service manager's socket. */
static int listen_as_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", ft_test_tmpdir());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    return fd;
}

static int receive(int manager, char *text, size_t size)
{
    struct iovec part = {.iov_base = text, .iov_len = size - 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(manager, &message, MSG_CMSG_CLOEXEC);
    CHECK(n >= 0);
    text[n] = '\0';
    int fd = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
    return fd;
}

TEST(without_a_manager_nothing_happens)
{
    CHECK_INT(unsetenv("NOTIFY_SOCKET"), 0);
    ft_notify("READY=1");
    CHECK(!ft_notify_is_managed());
    CHECK(!ft_notify_store_fd(2, "x"));
    CHECK(!ft_notify_forget_fd("x"));
}

TEST(tells_and_stores)
{
    char text[256];
    int manager = listen_as_manager();
    CHECK(ft_notify_is_managed());
    ft_notify("READY=%d", 1);
    CHECK_INT(receive(manager, text, sizeof text), -1);
    CHECK_STR(text, "READY=1");
    int pipes[2];
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    CHECK(ft_notify_store_fd(pipes[0], "flowtrail-events"));
    int stored = receive(manager, text, sizeof text);
    CHECK_STR(text, "FDSTORE=1\nFDNAME=flowtrail-events\nFDPOLL=0");
    CHECK(stored >= 0);
    struct stat a;
    struct stat b;
    CHECK(fstat(stored, &a) == 0 && fstat(pipes[0], &b) == 0);
    CHECK_INT(a.st_ino, b.st_ino);
    CHECK(ft_notify_forget_fd("flowtrail-events"));
    CHECK_INT(receive(manager, text, sizeof text), -1);
    CHECK_STR(text, "FDSTOREREMOVE=1\nFDNAME=flowtrail-events");
    (void)close(stored);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    (void)close(manager);
}

TEST(takes_what_was_stored_by_its_name)
{
    char pid[32];
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    int a = fcntl(2, F_DUPFD, 3);
    int b = fcntl(2, F_DUPFD, 4);
    CHECK_INT(ft_notify_take_fd("two"), -1);
    CHECK_INT(setenv("LISTEN_PID", pid, 1), 0);
    CHECK_INT(setenv("LISTEN_FDS", "2", 1), 0);
    CHECK_INT(setenv("LISTEN_FDNAMES", "one:two", 1), 0);
    CHECK_INT(ft_notify_take_fd("two"), 4);
    CHECK((fcntl(4, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_INT(ft_notify_take_fd("one"), 3);
    CHECK_INT(ft_notify_take_fd("three"), -1);
    CHECK_INT(ft_notify_take_fd("tw"), -1);
    CHECK_INT(setenv("LISTEN_PID", "1", 1), 0); /* They are another process's. */
    CHECK_INT(ft_notify_take_fd("one"), -1);
    (void)close(a);
    (void)close(b);
}
