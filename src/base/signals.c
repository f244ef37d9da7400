/* SPDX-License-Identifier: Apache-2.0 */
#include "base/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

ft_err ft_signals_open(int *ret_fd)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return ft_err_last();
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return ft_err_last();
    }
    *ret_fd = fd;
    return FT_OK;
}

enum ft_signal ft_signals_wait(int fd, int64_t timeout_ns)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    if (poll(&entry, 1, (int)(timeout_ns / FT_NS_PER_MS)) != 1) {
        return FT_SIGNAL_NONE;
    }
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return FT_SIGNAL_NONE;
    }
    return info.ssi_signo == SIGHUP ? FT_SIGNAL_RELOAD : FT_SIGNAL_STOP;
}
