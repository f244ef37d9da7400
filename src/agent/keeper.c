/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper (agent/hold.h): a process that holds descriptors and does nothing else. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/hold.h"
#include "agent/hold_impl.h"
#include "base/fd.h"
#include "os/ct_kernel.h"
#include "os/sysctl.h"

/* How often the kernel's table is looked at while nobody reads the socket. */
#define LOOK_MS 1000

struct keeper {
    int listen_fd;
    int agent_fd; /* -1: it is dead. */
    int memory_fd;
    int events_fd;
    int64_t until_mono_ns; /* Without an agent. */
};

static bool become_daemon(void);
static bool hear_agent(struct keeper *keeper);
static void greet(struct keeper *keeper);
static void spare_the_table(const struct keeper *keeper);
static void remove_name(int listen_fd);

int ft_hold_keeper_main(void)
{
    struct keeper keeper = {.listen_fd = FT_HOLD_LISTEN_FD,
                            .agent_fd = FT_HOLD_AGENT_FD,
                            .memory_fd = -1,
                            .events_fd = -1};
    if (!become_daemon()) {
        return 1;
    }
    const struct ft_clock *clock = ft_clock_system();
    for (;;) {
        struct pollfd fds[2] = {{.fd = keeper.listen_fd, .events = POLLIN},
                                {.fd = keeper.agent_fd, .events = POLLIN}};
        if (poll(fds, 2, keeper.agent_fd < 0 ? LOOK_MS : -1) < 0 && errno != EINTR) {
            break;
        }
        if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !hear_agent(&keeper)) {
            break;
        }
        if ((fds[0].revents & POLLIN) != 0) {
            greet(&keeper);
        }
        if (keeper.agent_fd < 0) {
            if (ft_clock_mono_ns(clock) >= keeper.until_mono_ns) {
                break;
            }
            spare_the_table(&keeper);
        }
    }
    remove_name(keeper.listen_fd);
    return 0;
}

/*
 * The parent, for which the agent waits, ends; the child stays, in no directory and with no output.
 */
static bool become_daemon(void)
{
    pid_t pid = fork();
    if (pid != 0) {
        _exit(pid > 0 ? 0 : 1);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || chdir("/") != 0) {
        return false;
    }
    for (int fd = 0; fd < 3; fd++) {
        if (dup2(null, fd) < 0) {
            return false;
        }
    }
    ft_fd_close(&null);
    (void)close_range(FT_HOLD_LISTEN_FD + 1, ~0U, 0);
    (void)prctl(PR_SET_NAME, "flowtrail-keep");
    return signal(SIGHUP, SIG_IGN) != SIG_ERR && signal(SIGINT, SIG_IGN) != SIG_ERR;
}

/* False when nothing is to be held any more. */
static bool hear_agent(struct keeper *keeper)
{
    char word = 0;
    int fds[FT_HOLD_FDS_MAX];
    ft_err err = ft_hold_receive(keeper->agent_fd, &word, fds);
    if (err != FT_OK) {
        /* It is dead.  Another one will come, or not. */
        ft_fd_close(&keeper->agent_fd);
        keeper->until_mono_ns = ft_clock_mono_ns(ft_clock_system()) + FT_HOLD_NS;
        return keeper->memory_fd >= 0;
    }
    if (word == FT_HOLD_RELEASE) {
        return false;
    }
    int *kept = word == FT_HOLD_KEEP_MEMORY ? &keeper->memory_fd : &keeper->events_fd;
    if (fds[0] >= 0 && (word == FT_HOLD_KEEP_MEMORY || word == FT_HOLD_KEEP_EVENTS)) {
        ft_fd_close(kept);
        *kept = fds[0];
        fds[0] = -1;
    }
    for (size_t i = 0; i < FT_HOLD_FDS_MAX; i++) {
        ft_fd_close(&fds[i]);
    }
    return true;
}

/* Somebody connects: the next agent, if it is our user's and the last one is dead. */
static void greet(struct keeper *keeper)
{
    int fd = accept4(keeper->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct ucred peer;
    socklen_t size = sizeof peer;
    bool welcome = keeper->agent_fd < 0 &&
                   getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                   peer.uid == geteuid();
    const int fds[FT_HOLD_FDS_MAX] = {keeper->memory_fd, keeper->events_fd};
    size_t n = keeper->memory_fd < 0 ? 0 : keeper->events_fd < 0 ? 1 : 2;
    static const enum ft_hold_word words[] = {FT_HOLD_HELD_NONE, FT_HOLD_HELD_MEMORY,
                                              FT_HOLD_HELD_BOTH};
    if (!welcome || ft_hold_send(fd, words[n], fds, n) != FT_OK) {
        ft_fd_close(&fd);
        return;
    }
    keeper->agent_fd = fd;
}

/* Ends that the kernel keeps for a socket that nobody reads fill its table: the host matters more.
 */
static void spare_the_table(const struct keeper *keeper)
{
    uint64_t count;
    uint64_t max;
    if (keeper->events_fd < 0 ||
        ft_sysctl_get("net/netfilter/nf_conntrack_count", &count) != FT_OK ||
        ft_sysctl_get("net/netfilter/nf_conntrack_max", &max) != FT_OK ||
        count <= max / 100 * FT_HOLD_TABLE_PERCENT_MAX) {
        return;
    }
    ft_err_ignore(ft_ct_socket_set_reliable(keeper->events_fd, false), "another look follows");
}

static void remove_name(int listen_fd)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address;
    if (getsockname(listen_fd, (struct sockaddr *)&address, &size) == 0 &&
        address.sun_path[0] == '/') {
        (void)unlink(address.sun_path);
    }
}
