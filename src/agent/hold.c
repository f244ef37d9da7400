/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/hold_impl.h"
#include "base/fd.h"
#include "base/notify.h"

/* How long a keeper may take to answer. */
#define ANSWER_MS 2000

/* Where the two descriptors of a new keeper wait, clear of the places that they go to. */
#define FD_ASIDE_MIN 16

struct ft_hold {
    bool managed;               /* The service manager holds. */
    struct sockaddr_un address; /* Of the keeper; sun_path[0] is 0 where there can be none. */
    int keeper;                 /* Connection; -1: there is none. */
};

static int connect_keeper(const struct sockaddr_un *address);
static bool is_own(int socket);
static ft_err start_keeper(struct ft_hold *hold);
static ft_err spawn_keeper(int agent_fd, int listen_fd);
static int listen_for_keeper(const struct sockaddr_un *address);

ft_err ft_hold_open(const char *control_socket, struct ft_hold **ret_hold, struct ft_held *ret_held)
{
    struct ft_hold *hold = calloc(1, sizeof *hold);
    if (hold == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    *ret_held = (struct ft_held){-1, -1};
    hold->keeper = -1;
    hold->managed = ft_notify_is_managed();
    hold->address.sun_family = AF_UNIX;
    size_t size = sizeof hold->address.sun_path;
    if (hold->managed) {
        ret_held->memory_fd = ft_notify_take_fd(FT_HOLD_MEMORY_NAME);
        ret_held->events_fd = ft_notify_take_fd(FT_HOLD_EVENTS_NAME);
    } else if (control_socket[0] != '\0' && strlen(control_socket) + sizeof ".keep" <= size) {
        (void)snprintf(hold->address.sun_path, size, "%s.keep", control_socket);
        hold->keeper = connect_keeper(&hold->address);
    }
    if (hold->keeper >= 0) {
        char word;
        int fds[FT_HOLD_FDS_MAX];
        if (ft_hold_receive(hold->keeper, &word, fds) == FT_OK) {
            ret_held->memory_fd = fds[0];
            ret_held->events_fd = fds[1];
        } else {
            ft_fd_close(&hold->keeper);
        }
    }
    *ret_hold = hold;
    return FT_OK;
}

void ft_hold_close(struct ft_hold *hold)
{
    if (hold != NULL) {
        ft_fd_close(&hold->keeper);
        free(hold);
    }
}

ft_err ft_hold_keep_memory(struct ft_hold *hold, int memory_fd)
{
    if (hold->managed) {
        (void)ft_notify_forget_fd(FT_HOLD_MEMORY_NAME);
        return ft_notify_store_fd(memory_fd, FT_HOLD_MEMORY_NAME) ? FT_OK : FT_E_UNSUPPORTED;
    }
    if (hold->keeper < 0) {
        FT_TRY(start_keeper(hold));
    }
    return ft_hold_send(hold->keeper, FT_HOLD_KEEP_MEMORY, &memory_fd, 1);
}

ft_err ft_hold_keep_events(struct ft_hold *hold, int events_fd)
{
    if (hold->managed) {
        (void)ft_notify_forget_fd(FT_HOLD_EVENTS_NAME);
        return ft_notify_store_fd(events_fd, FT_HOLD_EVENTS_NAME) ? FT_OK : FT_E_UNSUPPORTED;
    }
    if (hold->keeper < 0) {
        return FT_E_UNSUPPORTED;
    }
    return ft_hold_send(hold->keeper, FT_HOLD_KEEP_EVENTS, &events_fd, 1);
}

void ft_hold_release(struct ft_hold *hold)
{
    if (hold->managed) {
        (void)ft_notify_forget_fd(FT_HOLD_MEMORY_NAME);
        (void)ft_notify_forget_fd(FT_HOLD_EVENTS_NAME);
    }
    if (hold->keeper >= 0) {
        /* It has done so when it hangs up: then its name is free for another one. */
        if (ft_hold_send(hold->keeper, FT_HOLD_RELEASE, NULL, 0) == FT_OK) {
            char word;
            int fds[FT_HOLD_FDS_MAX];
            ft_err_ignore(ft_hold_receive(hold->keeper, &word, fds), "it only hangs up");
        }
        ft_fd_close(&hold->keeper);
    }
}

ft_err ft_hold_send(int socket, enum ft_hold_word word, const int *fds, size_t n_fds)
{
    char byte = (char)word;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FT_HOLD_FDS_MAX * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? FT_OK : ft_err_last();
}

ft_err ft_hold_receive(int socket, char *ret_word, int *ret_fds)
{
    struct iovec part = {.iov_base = ret_word, .iov_len = 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FT_HOLD_FDS_MAX * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    for (size_t i = 0; i < FT_HOLD_FDS_MAX; i++) {
        ret_fds[i] = -1;
    }
    ssize_t n;
    do {
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n == 0 ? FT_E_CLOSED : ft_err_last();
    }
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        memcpy(ret_fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    }
    return FT_OK;
}

bool ft_hold_is_keeper(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], FT_HOLD_KEEPER_WORD) == 0;
}

/* -1: there is none, or it is not ours. */
static int connect_keeper(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct timeval timeout = {.tv_sec = ANSWER_MS / 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 || !is_own(fd)) {
        ft_fd_close(&fd);
    }
    return fd;
}

/* What is at the other end may be somebody else's program in a directory that others can write. */
static bool is_own(int socket)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static ft_err start_keeper(struct ft_hold *hold)
{
    if (hold->address.sun_path[0] == '\0') {
        return FT_E_UNSUPPORTED;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return ft_err_last();
    }
    int listen_fd = listen_for_keeper(&hold->address);
    ft_err err = listen_fd >= 0 ? spawn_keeper(pair[1], listen_fd) : ft_err_last();
    ft_fd_close(&listen_fd);
    ft_fd_close(&pair[1]);
    if (err != FT_OK) {
        ft_fd_close(&pair[0]);
        return err;
    }
    hold->keeper = pair[0];
    return FT_OK;
}

/* The socket's file is ours alone from the beginning, whatever the process's umask is. */
static int listen_for_keeper(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)unlink(address->sun_path); /* Nobody answered there. */
    mode_t mask = umask(0177);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
    int error = errno;
    (void)umask(mask);
    if (bound != 0 || listen(fd, 4) != 0) {
        error = bound != 0 ? error : errno;
        ft_fd_close(&fd);
        errno = error;
    }
    return fd;
}

/* This program once more, in a session of its own; the child that we see ends at once. */
static ft_err spawn_keeper(int agent_fd, int listen_fd)
{
    char name[] = "flowtraild";
    char word[] = FT_HOLD_KEEPER_WORD;
    char *argv[] = {name, word, NULL};
    char *environment[] = {NULL}; /* It may have secrets, and the keeper lives on. */
    int agent = fcntl(agent_fd, F_DUPFD_CLOEXEC, FD_ASIDE_MIN);
    int listening = fcntl(listen_fd, F_DUPFD_CLOEXEC, FD_ASIDE_MIN);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    pid_t pid = -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        (void)posix_spawnattr_init(&attributes);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
        (void)posix_spawn_file_actions_adddup2(&actions, agent, FT_HOLD_AGENT_FD);
        (void)posix_spawn_file_actions_adddup2(&actions, listening, FT_HOLD_LISTEN_FD);
        error = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv, environment);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    ft_fd_close(&agent);
    ft_fd_close(&listening);
    if (error != 0) {
        return ft_err_from_errno(error);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? FT_OK : FT_E_UNSUPPORTED;
}
