/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP server: "echo" sends back what comes, "sink" swallows it, "source" sends --send bytes to
 * each client.  A client that has finished sending is closed as soon as it has its answer.
 */
#include "ftgen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHUNK_SIZE 65536
#define EVENTS_MAX 256

struct client {
    int fd;
    bool ended;    /* It sends no more. */
    size_t size;   /* Echo: what is still to be sent back. */
    uint64_t left; /* Source: what is still to be sent. */
    char *buf;
};

static uint64_t n_accepted;
static uint64_t n_received_bytes;
static uint64_t n_sent_bytes;

static void drop(struct client *client)
{
    (void)close(client->fd);
    free(client->buf);
    free(client);
}

static void accept_all(int epoll_fd, int fd, const struct gen_options *options)
{
    for (;;) {
        int client_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client_fd < 0) {
            return;
        }
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL) {
            gen_die("memory");
        }
        client->fd = client_fd;
        client->left = strcmp(options->serve, "source") == 0 ? options->send_bytes : 0;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client_fd, &event) != 0) {
            gen_die("epoll");
        }
        n_accepted++;
    }
}

/* False when the connection is gone. */
static bool flush(struct client *client)
{
    static const char zeros[CHUNK_SIZE];
    while (client->size > 0 || client->left > 0) {
        size_t source_size = client->left < CHUNK_SIZE ? (size_t)client->left : CHUNK_SIZE;
        ssize_t n = client->size > 0 ? send(client->fd, client->buf, client->size, 0)
                                     : send(client->fd, zeros, source_size, 0);
        if (n < 0) {
            return errno == EAGAIN;
        }
        n_sent_bytes += (uint64_t)n;
        if (client->size > 0) {
            client->size -= (size_t)n;
            memmove(client->buf, client->buf + n, client->size);
        } else {
            client->left -= (uint64_t)n;
        }
    }
    return true;
}

/* False when the connection is gone or done.  Reads until there is nothing (edge-triggered). */
static bool serve(struct client *client, bool echo)
{
    static char buf[CHUNK_SIZE];
    for (;;) {
        if (!flush(client)) {
            return false;
        }
        if (client->size > 0) {
            return true; /* Room comes with the next EPOLLOUT. */
        }
        if (client->ended) {
            return client->left > 0;
        }
        ssize_t n = recv(client->fd, buf, sizeof buf, 0);
        if (n < 0) {
            return errno == EAGAIN;
        }
        client->ended = n == 0;
        n_received_bytes += (uint64_t)n;
        if (echo && n > 0) {
            client->buf = client->buf != NULL ? client->buf : malloc(CHUNK_SIZE);
            if (client->buf == NULL) {
                gen_die("memory");
            }
            memcpy(client->buf, buf, (size_t)n);
            client->size = (size_t)n;
        }
    }
}

static int open_listener(const struct gen_options *options)
{
    int one = 1;
    int fd = socket(options->bind.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, &options->bind.any, gen_addr_len(&options->bind)) != 0 || listen(fd, 4096) != 0) {
        gen_die("listen");
    }
    return fd;
}

int gen_tcp_server(const struct gen_options *options)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    int fd = open_listener(options);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &listening) != 0) {
        gen_die("epoll");
    }
    bool echo = strcmp(options->serve, "echo") == 0;
    (void)fprintf(stderr, "ready\n");
    while (!gen_stopped()) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, 200);
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (client == NULL) {
                accept_all(epoll_fd, fd, options);
            } else if (!serve(client, echo)) {
                drop(client);
            }
        }
    }
    gen_report_begin(options);
    gen_report_number(options, "accepted", n_accepted);
    gen_report_number(options, "received_bytes", n_received_bytes);
    gen_report_number(options, "sent_bytes", n_sent_bytes);
    gen_report_flows_begin(options);
    gen_report_end(options);
    return 0;
}
