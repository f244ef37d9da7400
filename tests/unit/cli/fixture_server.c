/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

#define CONNECTIONS_MAX 64

struct connection {
    struct server *server;
    pthread_t thread;
    int fd;
};

struct server {
    const struct answer *answers;
    int fd;
    pthread_t thread;
    char where[64];
    pthread_mutex_t lock;
    /* Guarded by 'lock'. */
    struct ft_buf requests;
    struct connection connections[CONNECTIONS_MAX];
    size_t n_connections;
};

static void must(bool good, const char *what)
{
    if (!good) {
        ft_test_fail(__FILE__, __LINE__, "%s: %s", what, strerrordesc_np(errno));
    }
}

static void send_text(int fd, const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* The client has gone. */
        }
        text += n;
        size -= (size_t)n;
    }
}

static void wait_for_end(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    }
}

static void send_answer(int fd, const struct answer *answer)
{
    char head[256];
    (void)snprintf(head, sizeof head, "HTTP/1.1 %s\r\nConnection: close\r\n%s\r\n",
                   answer->status != NULL ? answer->status : "200 OK",
                   answer->cut ? "Content-Length: 100000\r\n" : "");
    send_text(fd, head);
    for (size_t i = 0; i < 8 && answer->parts[i] != NULL; i++) {
        if (i > 0) {
            struct timespec pause = {.tv_nsec = 20000000}; /* Parts arrive as parts. */
            (void)nanosleep(&pause, NULL);
        }
        send_text(fd, answer->parts[i]);
    }
    if (answer->hang) {
        wait_for_end(fd);
    }
}

static const struct answer *find_answer(const struct server *server, const char *path)
{
    static const struct answer none = {
        .status = "404 Not Found",
        .parts = {"{\"error\":{\"code\":\"not_found\",\"message\":\"no such page\"}}"}};
    for (const struct answer *at = server->answers; at->path != NULL; at++) {
        if (strncmp(at->path, path, strlen(at->path)) == 0) {
            return at;
        }
    }
    return &none;
}

static void *serve(void *ctx)
{
    struct connection *connection = ctx;
    struct server *server = connection->server;
    char request[16384];
    size_t size = 0;
    request[0] = '\0';
    while (size + 1 < sizeof request && strstr(request, "\r\n\r\n") == NULL) {
        ssize_t n = recv(connection->fd, request + size, sizeof request - 1 - size, 0);
        if (n <= 0) {
            break;
        }
        size += (size_t)n;
        request[size] = '\0';
    }
    char *path = strchr(request, ' ');
    if (path != NULL) {
        path++;
        path[strcspn(path, " ")] = '\0';
        pthread_mutex_lock(&server->lock);
        ft_buf_addf(&server->requests, "%s\n", path);
        pthread_mutex_unlock(&server->lock);
        send_answer(connection->fd, find_answer(server, path));
    }
    (void)shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *ctx)
{
    struct server *server = ctx;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        pthread_mutex_lock(&server->lock);
        if (server->n_connections == CONNECTIONS_MAX) {
            abort();
        }
        struct connection *connection = &server->connections[server->n_connections++];
        *connection = (struct connection){.server = server, .fd = fd};
        if (pthread_create(&connection->thread, NULL, serve, connection) != 0) {
            abort();
        }
        pthread_mutex_unlock(&server->lock);
    }
}

static void bind_tcp(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(server->fd >= 0 && bind(server->fd, (struct sockaddr *)&address, size) == 0 &&
             getsockname(server->fd, (struct sockaddr *)&address, &size) == 0,
         "bind");
    (void)snprintf(server->where, sizeof server->where, "127.0.0.1:%u", ntohs(address.sin_port));
}

static void bind_unix(struct server *server, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(server->fd >= 0 && bind(server->fd, (struct sockaddr *)&address, sizeof address) == 0,
         "bind");
}

struct server *server_start(const struct answer *answers, const char *unix_path)
{
    struct server *server = calloc(1, sizeof *server);
    must(server != NULL, "server");
    server->answers = answers;
    ft_buf_init(&server->requests, 0);
    must(pthread_mutex_init(&server->lock, NULL) == 0, "mutex");
    if (unix_path != NULL) {
        bind_unix(server, unix_path);
    } else {
        bind_tcp(server);
    }
    must(listen(server->fd, 16) == 0, "listen");
    must(pthread_create(&server->thread, NULL, accept_all, server) == 0, "thread");
    return server;
}

const char *server_where(const struct server *server) { return server->where; }

const char *server_requests(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    const char *text = ft_buf_str(&server->requests);
    pthread_mutex_unlock(&server->lock);
    return text;
}

void server_stop(struct server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->n_connections; i++) {
        (void)shutdown(server->connections[i].fd, SHUT_RDWR);
        (void)pthread_join(server->connections[i].thread, NULL);
        (void)close(server->connections[i].fd);
    }
    (void)close(server->fd);
    ft_buf_deinit(&server->requests);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
