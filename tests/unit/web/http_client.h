/* SPDX-License-Identifier: Apache-2.0 */
/* A raw HTTP client for the tests of this folder: it sends exactly what a test says. */
#ifndef FT_TESTS_UNIT_WEB_HTTP_CLIENT_H
#define FT_TESTS_UNIT_WEB_HTTP_CLIENT_H 1

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "lib/test.h"

/* Longer than anything takes, shorter than a test's time-out. */
#define CLIENT_WAIT_MS 10000

struct answer {
    unsigned status; /* 0: closed without an answer. */
    struct ft_buf raw;
    struct ft_buf body;     /* Without chunks. */
    struct ft_buf trailers; /* Behind the last chunk. */
    char *headers;          /* Up to the empty line. */
    bool complete;          /* The body ended as announced. */
};

static inline int client_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline int client_connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline void client_send(int fd, const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* The server closed: the answer tells why. */
        }
        text += n;
        size -= (size_t)n;
    }
}

/* One read; 0 at the end, also by reset. */
static inline size_t client_read(int fd, struct ft_buf *buf)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (poll(&poll_fd, 1, CLIENT_WAIT_MS) != 1) {
        ft_test_fail(__FILE__, __LINE__, "no answer in %d ms; so far: %s", CLIENT_WAIT_MS,
                     ft_buf_str(buf));
    }
    char piece[16384];
    ssize_t n = recv(fd, piece, sizeof piece, 0);
    if (n <= 0) {
        return 0;
    }
    ft_buf_add(buf, piece, (size_t)n);
    return (size_t)n;
}

/* Reads until 'text' is there, or the end. */
static inline bool client_read_until(int fd, struct ft_buf *buf, const char *text)
{
    while (strstr(ft_buf_str(buf), text) == NULL) {
        if (client_read(fd, buf) == 0) {
            return false;
        }
    }
    return true;
}

/* The value of a header, or NULL. Valid until the next call. */
static inline const char *answer_header(const struct answer *answer, const char *name)
{
    static char value[1024];
    size_t len = strlen(name);
    for (const char *at = answer->headers; at != NULL; at = strstr(at, "\r\n")) {
        at += at == answer->headers ? 0 : 2;
        if (strncasecmp(at, name, len) == 0 && at[len] == ':') {
            size_t n = strcspn(at + len + 2, "\r");
            CHECK(n < sizeof value);
            memcpy(value, at + len + 2, n);
            value[n] = '\0';
            return value;
        }
    }
    return NULL;
}

static inline void answer_dechunk(struct answer *answer, const char *at, const char *end)
{
    for (;;) {
        char *line_end;
        unsigned long size = strtoul(at, &line_end, 16);
        if (line_end == at || line_end + 2 > end) {
            return;
        }
        at = line_end + 2;
        if (size == 0) {
            answer->complete = end - at >= 2 && memcmp(end - 2, "\r\n", 2) == 0;
            ft_buf_add(&answer->trailers, at, (size_t)(end - at));
            return;
        }
        if (at + size + 2 > end) {
            return;
        }
        ft_buf_add(&answer->body, at, size);
        at += size + 2;
    }
}

/* Reads to the end of the connection and closes it. */
static inline void client_receive(int fd, bool head, struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    ft_buf_init(&answer->raw, 0);
    ft_buf_init(&answer->body, 0);
    ft_buf_init(&answer->trailers, 0);
    while (client_read(fd, &answer->raw) > 0) {
    }
    (void)close(fd);
    const char *raw = ft_buf_str(&answer->raw);
    const char *blank = strstr(raw, "\r\n\r\n");
    if (blank == NULL) {
        answer->headers = strdup("");
        return;
    }
    answer->headers = strndup(raw, (size_t)(blank - raw));
    answer->status = (unsigned)strtoul(raw + strlen("HTTP/1.1 "), NULL, 10);
    const char *body = blank + 4;
    const char *end = raw + answer->raw.size;
    const char *encoding = answer_header(answer, "Transfer-Encoding");
    if (head) {
        answer->complete = body == end;
    } else if (encoding != NULL && strcmp(encoding, "chunked") == 0) {
        answer_dechunk(answer, body, end);
    } else {
        const char *length = answer_header(answer, "Content-Length");
        ft_buf_add(&answer->body, body, (size_t)(end - body));
        answer->complete = length != NULL && strtoul(length, NULL, 10) == answer->body.size;
    }
}

static inline void answer_deinit(struct answer *answer)
{
    ft_buf_deinit(&answer->raw);
    ft_buf_deinit(&answer->body);
    ft_buf_deinit(&answer->trailers);
    free(answer->headers);
}

/* Sends 'method path' with Host and further header lines ("A: b\r\n"), receives all. */
static inline void client_request(uint16_t port, const char *method, const char *path,
                                  const char *header_lines, struct answer *answer)
{
    int fd = client_connect(port);
    char *request = NULL;
    CHECK(asprintf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path,
                   header_lines) > 0);
    client_send(fd, request);
    free(request);
    client_receive(fd, strcmp(method, "HEAD") == 0, answer);
}

static inline void client_get(uint16_t port, const char *path, struct answer *answer)
{
    client_request(port, "GET", path, "", answer);
}

#endif
