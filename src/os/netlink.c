/* SPDX-License-Identifier: Apache-2.0 */
#include "os/netlink.h"

#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"

ft_err ft_nl_open(int bus, int *ret_fd)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, bus);
    if (fd < 0) {
        return ft_err_last();
    }
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    if (bind(fd, (const struct sockaddr *)&self, sizeof self) != 0) {
        ft_err err = ft_err_last();
        ft_fd_close(&fd);
        return err;
    }
    *ret_fd = fd;
    return FT_OK;
}

static ft_err set_membership(int fd, int option, unsigned group)
{
    int value = (int)group;
    if (setsockopt(fd, SOL_NETLINK, option, &value, sizeof value) != 0) {
        return ft_err_last();
    }
    return FT_OK;
}

ft_err ft_nl_join(int fd, unsigned group)
{
    return set_membership(fd, NETLINK_ADD_MEMBERSHIP, group);
}

ft_err ft_nl_leave(int fd, unsigned group)
{
    return set_membership(fd, NETLINK_DROP_MEMBERSHIP, group);
}

ft_err ft_nl_set_rcvbuf(int fd, uint64_t bytes, uint64_t *ret_bytes)
{
    /* The kernel doubles what is asked for, to have room for its own book-keeping. */
    uint64_t half = bytes / 2;
    int asked = half > INT_MAX / 2 ? INT_MAX / 2 : (int)half;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &asked, sizeof asked) != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &asked, sizeof asked) != 0) {
        return ft_err_last();
    }
    int got = 0;
    socklen_t size = sizeof got;
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &size) != 0) {
        return ft_err_last();
    }
    *ret_bytes = got > 0 ? (uint64_t)got : 0;
    return FT_OK;
}

ft_err ft_nl_send(int fd, const void *message, size_t size)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n;
    do {
        n = sendto(fd, message, size, 0, (const struct sockaddr *)&kernel, sizeof kernel);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? ft_err_last() : FT_OK;
}

ft_err ft_nl_recv(int fd, void *buf, size_t size, size_t *ret_size, uint64_t *n_foreign)
{
    for (unsigned skipped = 0; skipped < FT_NL_FOREIGN_MAX;) {
        struct sockaddr_nl from = {0};
        struct iovec part = {.iov_base = buf, .iov_len = size};
        struct msghdr message = {
            .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return ft_err_last();
        }
        if (message.msg_namelen != sizeof from || from.nl_pid != 0) {
            (*n_foreign)++;
            skipped++;
            continue;
        }
        if ((message.msg_flags & MSG_TRUNC) != 0) {
            return ft_err_from_errno(EMSGSIZE);
        }
        *ret_size = (size_t)n;
        return FT_OK;
    }
    return ft_err_from_errno(EAGAIN);
}

ft_err ft_nl_wait(int fd, int wake_fd, int64_t deadline_mono_ns)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    struct timespec timeout;
    struct timespec *wait = NULL;
    if (deadline_mono_ns != FT_TIME_NEVER) {
        int64_t left = deadline_mono_ns - ft_clock_mono_ns(ft_clock_system());
        left = left > 0 ? left : 0;
        timeout.tv_sec = left / FT_NS_PER_S;
        timeout.tv_nsec = left % FT_NS_PER_S;
        wait = &timeout;
    }
    /* A signal ends the wait early, which is harmless: the caller looks again. */
    if (ppoll(fds, 2, wait, NULL) < 0 && errno != EINTR) {
        return ft_err_last();
    }
    return FT_OK;
}
