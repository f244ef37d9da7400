/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP clients.  One connection after the other, each with the bytes asked for; with --hold all stay
 * open until the last is, and that much longer.  Ends: "fin" (both sides), "rst" (a reset by this
 * side), "none" (a SYN that is never followed up), "refused", "timeout".
 */
#include "ftgen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHUNK_SIZE      (64U * 1024)
#define CONNECT_WAIT_MS 3000
#define IDLE_WAIT_MS    10000

struct connection {
    int fd;
    struct gen_flow flow;
};

static int open_socket(const struct gen_options *options)
{
    int fd = socket(options->to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        gen_die("socket");
    }
    if (options->bind.any.sa_family != AF_UNSPEC &&
        bind(fd, &options->bind.any, gen_addr_len(&options->bind)) != 0) {
        gen_die("bind");
    }
    return fd;
}

/* NULL when connected, else how it ended. */
static const char *finish_connect(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (poll(&wait, 1, CONNECT_WAIT_MS) <= 0) {
        return "timeout";
    }
    int error = 0;
    socklen_t len = sizeof error;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    switch (error) {
    case 0:
        return NULL;
    case ECONNREFUSED:
        return "refused";
    case ETIMEDOUT:
    case EHOSTUNREACH:
        return "timeout";
    default:
        errno = error;
        gen_die("connect");
    }
}

static void open_connection(const struct gen_options *options, struct connection *connection)
{
    int fd = open_socket(options);
    connection->fd = fd;
    connection->flow = (struct gen_flow){
        .protocol = "tcp", .dst = options->to, .echo_id = -1, .icmp_type = -1, .end = "open"};
    if (connect(fd, &options->to.any, gen_addr_len(&options->to)) != 0 && errno != EINPROGRESS &&
        errno != ECONNREFUSED) {
        gen_die("connect");
    }
    socklen_t len = sizeof connection->flow.src;
    (void)getsockname(fd, &connection->flow.src.any, &len);
    /* Closed while connecting, a socket sends nothing more: the SYN stays alone. */
    const char *end = strcmp(options->close, "none") == 0 ? "none" : finish_connect(fd);
    if (end != NULL) {
        connection->flow.end = end;
        (void)close(fd);
        connection->fd = -1;
    }
}

/* Sends and receives until both amounts are reached; both at once, or an echo would dam up. */
static void exchange(const struct gen_options *options, struct connection *connection)
{
    static char buf[CHUNK_SIZE];
    int64_t begin = gen_now_ns();
    struct gen_flow *flow = &connection->flow;
    while (flow->sent_bytes < options->send_bytes || flow->received_bytes < options->recv_bytes) {
        if (gen_stopped()) {
            return;
        }
        bool sending = flow->sent_bytes < options->send_bytes;
        struct pollfd wait = {.fd = connection->fd,
                              .events = (short)((sending ? POLLOUT : 0) | POLLIN)};
        if (poll(&wait, 1, IDLE_WAIT_MS) <= 0) {
            errno = ETIMEDOUT;
            gen_die("waiting for the other side");
        }
        if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            ssize_t n = recv(connection->fd, buf, sizeof buf, 0);
            if (n == 0 || (n < 0 && errno != EAGAIN)) {
                gen_die(n == 0 ? "the other side closed too early" : "recv");
            }
            flow->received_bytes += n > 0 ? (uint64_t)n : 0;
        }
        if ((wait.revents & POLLOUT) != 0) {
            uint64_t left = options->send_bytes - flow->sent_bytes;
            size_t size = left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE;
            gen_pace(begin, flow->sent_bytes, options->byte_rate);
            ssize_t n = send(connection->fd, buf, size, 0);
            if (n < 0 && errno != EAGAIN) {
                gen_die("send");
            }
            flow->sent_bytes += n > 0 ? (uint64_t)n : 0;
        }
    }
}

static void close_connection(const struct gen_options *options, struct connection *connection)
{
    if (connection->fd < 0) {
        return;
    }
    if (strcmp(options->close, "rst") == 0) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        connection->flow.end = "rst";
    } else {
        char buf[4096];
        struct pollfd wait = {.fd = connection->fd, .events = POLLIN};
        (void)shutdown(connection->fd, SHUT_WR);
        connection->flow.end = "fin";
        for (;;) {
            ssize_t n =
                poll(&wait, 1, IDLE_WAIT_MS) > 0 ? recv(connection->fd, buf, sizeof buf, 0) : -1;
            if (n <= 0) {
                break;
            }
            connection->flow.received_bytes += (uint64_t)n;
        }
    }
    (void)close(connection->fd);
    connection->fd = -1;
}

static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int gen_tcp(const struct gen_options *options)
{
    raise_fd_limit();
    struct connection *all = calloc(options->count, sizeof *all);
    if (all == NULL) {
        gen_die("memory");
    }
    int64_t begin = gen_now_ns();
    uint64_t n = 0;
    for (; n < options->count && !gen_stopped(); n++) {
        gen_pace(begin, n, options->rate);
        open_connection(options, &all[n]);
        if (all[n].fd >= 0) {
            exchange(options, &all[n]);
            if (options->hold <= 0) {
                close_connection(options, &all[n]);
            }
        }
    }
    if (options->hold > 0) {
        (void)fprintf(stderr, "holding\n");
        gen_sleep(options->hold);
    }
    gen_report_begin(options);
    gen_report_number(options, "connections", n);
    gen_report_flows_begin(options);
    for (uint64_t i = 0; i < n; i++) {
        close_connection(options, &all[i]);
        gen_report_flow(options, &all[i].flow);
    }
    gen_report_end(options);
    free(all);
    return 0;
}
