/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/* The first descriptor that a service manager hands over: sd_listen_fds(3). */
#define LISTEN_FDS_START 3
#define LISTEN_FDS_MAX   64

static bool send_text(const char *text, int fd_to_send);

void ft_notify(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size >= 0 && (size_t)size < sizeof text) {
        (void)send_text(text, -1);
    }
}

bool ft_notify_store_fd(int fd, const char *name)
{
    char text[256];
    (void)snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    return send_text(text, fd);
}

bool ft_notify_forget_fd(const char *name)
{
    char text[256];
    (void)snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return send_text(text, -1);
}

int ft_notify_take_fd(const char *name)
{
    const char *pid = getenv("LISTEN_PID");
    const char *n_fds = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    if (pid == NULL || n_fds == NULL || names == NULL || strtol(pid, NULL, 10) != (long)getpid()) {
        return -1;
    }
    long n = strtol(n_fds, NULL, 10);
    size_t size = strlen(name);
    for (int i = 0; i < n && i < LISTEN_FDS_MAX; i++) {
        size_t len = strcspn(names, ":");
        int fd = LISTEN_FDS_START + i;
        if (len == size && strncmp(names, name, len) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
            return fd;
        }
        names += len + (names[len] == ':' ? 1 : 0);
    }
    return -1;
}

bool ft_notify_is_managed(void) { return getenv("NOTIFY_SOCKET") != NULL; }

/* False when nobody listens. */
static bool send_text(const char *text, int fd_to_send)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path) {
        return false;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* The abstract namespace. */
    }
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen =
                                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)),
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    if (fd_to_send >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd_to_send, sizeof fd_to_send);
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    /* A manager that does not listen misses nothing that we could repair. */
    bool sent = sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
    ft_fd_close(&fd);
    return sent;
}

int64_t ft_notify_watchdog_ns(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())) {
        return 0;
    }
    long long value = strtoll(usec, NULL, 10);
    return value > 0 ? value * 1000 / 2 : 0;
}
