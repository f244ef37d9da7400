/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

void ft_fd_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
        *fd = -1;
    }
}

ft_err ft_wakefd_open(int *ret_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return ft_err_last();
    }
    *ret_fd = fd;
    return FT_OK;
}

void ft_wakefd_signal(int fd)
{
    /* Fails only when the counter is at its maximum: the other side is awake then. */
    ssize_t n = write(fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
}

void ft_wakefd_clear(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

uint64_t ft_fd_raise_limit(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = limit;
        raised.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        limit = setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised : limit;
    }
    return limit.rlim_cur;
}

ft_err ft_read_text_file(const char *path, char *buf, size_t size)
{
    buf[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ft_err_last();
    }
    size_t at = 0;
    ft_err err = FT_OK;
    for (;;) {
        ssize_t n = read(fd, buf + at, size - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            err = ft_err_last();
            break;
        }
        if (n == 0) {
            break;
        }
        at += (size_t)n;
        if (at == size) {
            at = size - 1;
            err = FT_E_RANGE;
            break;
        }
    }
    ft_fd_close(&fd);
    while (at > 0 && isspace((unsigned char)buf[at - 1])) {
        at--;
    }
    buf[at] = '\0';
    return err;
}
