/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "web/web_impl.h"

#define BACKLOG   128
#define UNIX_MODE 0660

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:80" or "[::1]:80": a literal, because a name may come to mean another machine. */
static ft_err parse_address(const char *text, union address *ret_address, socklen_t *ret_size,
                            bool *ret_loopback)
{
    const char *colon = strrchr(text, ':');
    bool ipv6 = text[0] == '[' && colon != NULL && colon > text && colon[-1] == ']';
    uint64_t port;
    if (colon == NULL || ft_parse_u64(colon + 1, UINT16_MAX, &port) != FT_OK) {
        return FT_E_SYNTAX;
    }
    char host[INET6_ADDRSTRLEN];
    const char *begin = ipv6 ? text + 1 : text;
    size_t len = (size_t)((ipv6 ? colon - 1 : colon) - begin);
    if (len >= sizeof host) {
        return FT_E_SYNTAX;
    }
    memcpy(host, begin, len);
    host[len] = '\0';
    memset(ret_address, 0, sizeof *ret_address);
    if (ipv6 && inet_pton(AF_INET6, host, &ret_address->v6.sin6_addr) == 1) {
        ret_address->v6.sin6_family = AF_INET6;
        ret_address->v6.sin6_port = htons((uint16_t)port);
        *ret_size = sizeof ret_address->v6;
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(&ret_address->v6.sin6_addr);
        return FT_OK;
    }
    if (!ipv6 && inet_pton(AF_INET, host, &ret_address->v4.sin_addr) == 1) {
        ret_address->v4.sin_family = AF_INET;
        ret_address->v4.sin_port = htons((uint16_t)port);
        *ret_size = sizeof ret_address->v4;
        *ret_loopback = ntohl(ret_address->v4.sin_addr.s_addr) >> 24 == 127;
        return FT_OK;
    }
    return FT_E_SYNTAX;
}

static ft_err bind_tcp(int fd, const union address *address, socklen_t size, uint16_t *ret_port)
{
    int on = 1;
    union address bound;
    socklen_t bound_size = sizeof bound;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (address->any.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(fd, &address->any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &bound.any, &bound_size) != 0) {
        return ft_err_last();
    }
    *ret_port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    return FT_OK;
}

ft_err ft_web_listen_tcp(const char *address, bool allow_remote, int *ret_fd, uint16_t *ret_port,
                         struct ft_diag *reterr_diag)
{
    union address parsed;
    socklen_t size;
    bool loopback;
    if (parse_address(address, &parsed, &size, &loopback) != FT_OK) {
        return ft_diag_set(reterr_diag, FT_E_SYNTAX, "", 0, 0,
                           "\"%s\" is no address with a port, such as 127.0.0.1:8319 or [::1]:8319",
                           address);
    }
    if (!loopback && !allow_remote) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "%s is not a loopback address, and this server has no TLS and no login: "
                           "put a proxy before it, or allow remote access by name",
                           address);
    }
    int fd = socket(parsed.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ft_err err = fd < 0 ? ft_err_last() : bind_tcp(fd, &parsed, size, ret_port);
    if (err != FT_OK) {
        ft_fd_close(&fd);
        return ft_diag_set(reterr_diag, err, "", 0, 0, "cannot listen on %s: %s", address,
                           ft_err_text(err));
    }
    *ret_fd = fd;
    return FT_OK;
}

/* Removes a socket that nobody listens on any more: what a killed process leaves behind. */
static ft_err remove_stale(const struct sockaddr_un *address)
{
    struct stat stat;
    if (lstat(address->sun_path, &stat) != 0) {
        return errno == ENOENT ? FT_OK : ft_err_last();
    }
    if (!S_ISSOCK(stat.st_mode)) {
        return ft_err_from_errno(EEXIST);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return ft_err_last();
    }
    int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    ft_err err = ft_err_from_errno(EADDRINUSE);
    if (result != 0 && errno == ECONNREFUSED) {
        err = unlink(address->sun_path) == 0 || errno == ENOENT ? FT_OK : ft_err_last();
    }
    ft_fd_close(&fd);
    return err;
}

static ft_err bind_unix(int fd, const struct sockaddr_un *address)
{
    /* The mode of a socket that is not bound yet becomes that of its name: nobody else can connect
     * in between. */
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        return ft_err_last();
    }
    if (chmod(address->sun_path, UNIX_MODE) != 0 || listen(fd, BACKLOG) != 0) {
        ft_err err = ft_err_last();
        (void)unlink(address->sun_path);
        return err;
    }
    return FT_OK;
}

ft_err ft_web_listen_unix(const char *path, int *ret_fd, struct ft_diag *reterr_diag)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "the path of a socket has at most %zu bytes: %s",
                           sizeof address.sun_path - 1, path);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ft_err err = remove_stale(&address);
    int fd = -1;
    if (err == FT_OK) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        err = fd < 0 ? ft_err_last() : bind_unix(fd, &address);
    }
    if (err != FT_OK) {
        ft_fd_close(&fd);
        return ft_diag_set(reterr_diag, err, "", 0, 0, "cannot listen on %s: %s", path,
                           ft_err_text(err));
    }
    *ret_fd = fd;
    return FT_OK;
}
