/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "http_client.h"
#include "web/request.h"
#include "web/standard.h"
#include "web/ui.h"

static atomic_bool stream_failed;
static atomic_uint_least64_t stream_written;

static void on_hello(void *ctx, struct ft_web_request *request)
{
    (void)ctx;
    ft_web_respond(request, 200, FT_WEB_TEXT, "hello\n", 6);
}

static void on_echo(void *ctx, struct ft_web_request *request)
{
    (void)ctx;
    const struct ft_web_params *params = ft_web_request_get_params(request);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    for (size_t i = 0; i < params->n; i++) {
        ft_buf_addf(&buf, "%s=%s;", params->items[i].name, params->items[i].value);
    }
    ft_web_respond_buf(request, 200, FT_WEB_TEXT, &buf);
    ft_buf_deinit(&buf);
}

static void on_silent(void *ctx, struct ft_web_request *request)
{
    (void)ctx;
    (void)request;
}

/* 'size' bytes (in the parameter "n") in pieces of 10,000. */
static void on_stream(void *ctx, struct ft_web_request *request)
{
    (void)ctx;
    char piece[10000];
    memset(piece, 'x', sizeof piece);
    uint64_t rest = strtoull(ft_web_params_get(ft_web_request_get_params(request), "n"), NULL, 10);
    ft_web_stream_begin(request, FT_WEB_TEXT);
    while (rest > 0) {
        size_t n = rest < sizeof piece ? (size_t)rest : sizeof piece;
        if (ft_web_stream_write(request, piece, n) != FT_OK) {
            atomic_store(&stream_failed, true);
            return;
        }
        (void)atomic_fetch_add(&stream_written, n);
        rest -= n;
    }
    ft_web_stream_set_trailer(request, "Test-Trailer", "behind");
    if (ft_web_params_get(ft_web_request_get_params(request), "fail") != NULL) {
        ft_web_respond_error(request, 500, "test", NULL, "fails at the end");
    }
}

static void on_wait(void *ctx, struct ft_web_request *request)
{
    atomic_uint *n_waiting = ctx;
    (void)atomic_fetch_add(n_waiting, 1);
    while (!atomic_load(ft_web_request_get_cancel(request))) {
        (void)usleep(1000);
    }
    (void)atomic_fetch_sub(n_waiting, 1);
}

static bool is_ready(void *ctx, struct ft_buf *why)
{
    const atomic_bool *ready = ctx;
    if (!atomic_load(ready)) {
        ft_buf_add_str(why, "the store is away");
    }
    return atomic_load(ready);
}

struct fixture {
    struct ft_web *web;
    uint16_t port;
    atomic_uint n_waiting;
    atomic_bool ready;
    struct ft_web_standard standard;
    struct ft_metrics *metrics;
};

static void fixture_init(struct fixture *fixture, const struct ft_web_options *given)
{
    memset(fixture, 0, sizeof *fixture);
    struct ft_web_options options = *given;
    CHECK_OK(ft_metrics_create(0, &fixture->metrics));
    options.address = options.address != NULL ? options.address : "127.0.0.1:0";
    options.metrics = fixture->metrics;
    options.metrics_prefix = "test";
    CHECK_OK(ft_web_create(&options, &fixture->web));
    fixture->standard = (struct ft_web_standard){.program = "tester",
                                                 .version = "1.2.3",
                                                 .metrics = fixture->metrics,
                                                 .ready = is_ready,
                                                 .ctx = &fixture->ready};
    CHECK_OK(ft_web_add_standard(fixture->web, &fixture->standard));
    CHECK_OK(ft_web_add_ui(fixture->web));
    CHECK_OK(ft_web_route(fixture->web, "/hello", FT_WEB_RUN_DIRECT, on_hello, NULL));
    CHECK_OK(ft_web_route(fixture->web, "/echo", FT_WEB_RUN_WORKER, on_echo, NULL));
    CHECK_OK(ft_web_route(fixture->web, "/silent", FT_WEB_RUN_WORKER, on_silent, NULL));
    CHECK_OK(ft_web_route(fixture->web, "/stream", FT_WEB_RUN_WORKER, on_stream, NULL));
    CHECK_OK(ft_web_route(fixture->web, "/wait", FT_WEB_RUN_WORKER, on_wait, &fixture->n_waiting));
    CHECK_ERR(ft_web_route(fixture->web, "/wait", FT_WEB_RUN_WORKER, on_wait, NULL),
              ft_err_from_errno(EEXIST));
    struct ft_diag diag = {0};
    ft_err err = ft_web_start(fixture->web, &diag);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "start: %s", diag.text);
    }
    fixture->port = ft_web_get_port(fixture->web);
}

static void fixture_deinit(struct fixture *fixture)
{
    ft_web_destroy(fixture->web);
    ft_metrics_destroy(fixture->metrics);
}

/* Waits until a counter has a value; the wait is bounded, not timed. */
static void wait_for(const atomic_uint *value, unsigned expected)
{
    for (int i = 0; i < CLIENT_WAIT_MS && atomic_load(value) != expected; i++) {
        (void)usleep(1000);
    }
    CHECK_INT(atomic_load(value), expected);
}

static void check_get(const struct fixture *fixture, const char *path, unsigned status,
                      const char *body)
{
    struct answer answer;
    client_get(fixture->port, path, &answer);
    CHECK_INT(answer.status, status);
    CHECK(answer.complete);
    if (strstr(ft_buf_str(&answer.body), body) == NULL) {
        ft_test_fail(__FILE__, __LINE__, "%s gave %s", path, ft_buf_str(&answer.body));
    }
    answer_deinit(&answer);
}

TEST(handlers_of_both_kinds_answer)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    check_get(&fixture, "/hello", 200, "hello\n");
    check_get(&fixture, "/echo?a=1&b=%41+c&a=2", 200, "a=1;b=A c;a=2;");
    check_get(&fixture, "/silent", 500, "not answered");
    fixture_deinit(&fixture);
}

TEST(standard_routes)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    check_get(&fixture, "/livez", 200, "ok\n");
    check_get(&fixture, "/healthz", 200, "ok\n");
    check_get(&fixture, "/readyz", 503, "the store is away\n");
    atomic_store(&fixture.ready, true);
    check_get(&fixture, "/readyz", 200, "ready\n");
    check_get(&fixture, "/version", 200, "{\"program\":\"tester\",\"version\":\"1.2.3\"}\n");
    check_get(&fixture, "/metrics", 200, "test_http_responses_total{code=\"5xx\"} 1\n");
    fixture_deinit(&fixture);
}

TEST(every_answer_has_security_headers)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    static const char *const paths[] = {"/", "/hello", "/nothing", "/echo?%", "/stream?n=5"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct answer answer;
        client_get(fixture.port, paths[i], &answer);
        CHECK_STR(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
        CHECK_STR(answer_header(&answer, "Referrer-Policy"), "no-referrer");
        CHECK_STR(answer_header(&answer, "X-Frame-Options"), "DENY");
        CHECK_STR(answer_header(&answer, "Connection"), "close");
        const char *policy = answer_header(&answer, "Content-Security-Policy");
        CHECK(strstr(policy, "default-src 'self'") != NULL);
        CHECK(strstr(policy, "frame-ancestors 'none'") != NULL);
        CHECK(strstr(policy, "unsafe") == NULL);
        CHECK(answer_header(&answer, "Cache-Control") != NULL);
        answer_deinit(&answer);
    }
    fixture_deinit(&fixture);
}

TEST(only_get_and_head)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct answer answer;
        client_request(fixture.port, methods[i], "/hello", "Content-Length: 0\r\n", &answer);
        CHECK_INT(answer.status, 405);
        CHECK_STR(answer_header(&answer, "Allow"), "GET, HEAD");
        CHECK(strstr(ft_buf_str(&answer.body), "\"code\":\"method_not_allowed\"") != NULL);
        answer_deinit(&answer);
    }
    fixture_deinit(&fixture);
}

TEST(head_is_get_without_body)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    struct answer answer;
    client_request(fixture.port, "HEAD", "/hello", "", &answer);
    CHECK_INT(answer.status, 200);
    CHECK_STR(answer_header(&answer, "Content-Length"), "6");
    CHECK(answer.complete);
    answer_deinit(&answer);
    client_request(fixture.port, "HEAD", "/nothing", "", &answer);
    CHECK_INT(answer.status, 404);
    CHECK(answer.complete);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

TEST(bodies_are_refused)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    static const char *const headers[] = {"Content-Length: 5\r\n",
                                          "Transfer-Encoding: chunked\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct answer answer;
        client_request(fixture.port, "GET", "/hello", headers[i], &answer);
        CHECK_INT(answer.status, 413);
        answer_deinit(&answer);
    }
    fixture_deinit(&fixture);
}

TEST(paths_are_exact)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    static const char *const paths[] = {"/hello/",
                                        "/hello/x",
                                        "//hello",
                                        "/HELLO",
                                        "/%68ello",
                                        "/hello%00",
                                        "/../../../../etc/passwd",
                                        "/%2e%2e/%2e%2e/etc/passwd",
                                        "/..%2f..%2fetc%2fpasswd",
                                        "/app.js/../app.js",
                                        "/style.css%00.html",
                                        "/.",
                                        "http://localhost/hello",
                                        "*"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        check_get(&fixture, paths[i], 404, "not_found");
    }
    fixture_deinit(&fixture);
}

static unsigned status_of_host(uint16_t port, const char *host_lines)
{
    struct answer answer;
    int fd = client_connect(port);
    char request[512];
    (void)snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\n%s\r\n", host_lines);
    client_send(fd, request);
    client_receive(fd, false, &answer);
    unsigned status = answer.status;
    answer_deinit(&answer);
    return status;
}

TEST(names_that_are_not_ours_are_refused)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){
                               .hosts = (const char *const[]){"flows.example.net"}, .n_hosts = 1});
    CHECK_INT(status_of_host(fixture.port, "Host: localhost:1\r\n"), 200);
    CHECK_INT(status_of_host(fixture.port, "Host: [::1]\r\n"), 200);
    CHECK_INT(status_of_host(fixture.port, "Host: flows.example.net\r\n"), 200);
    CHECK_INT(status_of_host(fixture.port, "Host: evil.example\r\n"), 421);
    CHECK_INT(status_of_host(fixture.port, "Host: localhost\r\nHost: evil.example\r\n"), 421);
    unsigned missing = status_of_host(fixture.port, "");
    CHECK(missing == 421 || missing == 400);
    fixture_deinit(&fixture);
}

TEST(malformed_requests_do_no_harm)
{
    struct fixture fixture;
    /* Some of them are beginnings: those end with their time. */
    fixture_init(&fixture, &(struct ft_web_options){.header_ms_max = 30});
    static const char *const requests[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello\r\n\r\n",
        "GET /hello HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: localhost\n\n",
        "GET /echo?%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct answer answer;
        int fd = client_connect(fixture.port);
        client_send(fd, requests[i]);
        (void)shutdown(fd, SHUT_WR);
        client_receive(fd, false, &answer);
        answer_deinit(&answer);
    }
    check_get(&fixture, "/hello", 200, "hello\n");
    fixture_deinit(&fixture);
}

TEST(large_headers_are_refused)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.header_bytes_max = 8192});
    struct ft_buf request;
    ft_buf_init(&request, 0);
    ft_buf_add_str(&request, "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ");
    for (int i = 0; i < 20000; i++) {
        ft_buf_add_char(&request, 'x');
    }
    ft_buf_add_str(&request, "\r\n\r\n");
    struct answer answer;
    int fd = client_connect(fixture.port);
    client_send(fd, ft_buf_str(&request));
    client_receive(fd, false, &answer);
    /* The answer may be lost to the reset that follows unread bytes. */
    CHECK(answer.status == 431 || answer.status == 413 || answer.status == 0);
    answer_deinit(&answer);

    ft_buf_clear(&request);
    ft_buf_add_str(&request, "GET /echo?");
    for (int i = 0; i < 20000; i++) {
        ft_buf_add_char(&request, 'x');
    }
    ft_buf_add_str(&request, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    fd = client_connect(fixture.port);
    client_send(fd, ft_buf_str(&request));
    client_receive(fd, false, &answer);
    CHECK(answer.status == 414 || answer.status == 431 || answer.status == 0);
    answer_deinit(&answer);
    ft_buf_deinit(&request);
    check_get(&fixture, "/hello", 200, "hello\n");
    fixture_deinit(&fixture);
}

TEST(dripping_headers_are_cut_off)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.header_ms_max = 60});
    int fd = client_connect(fixture.port);
    client_send(fd, "GET /hello HTTP/1.1\r\n");
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int n_sent = 0;
    /* A byte every 10 ms would keep the connection alive for ever. */
    while (poll(&poll_fd, 1, 10) == 0 && n_sent < 1000) {
        client_send(fd, "X");
        n_sent++;
    }
    CHECK(n_sent > 0 && n_sent < 1000);
    (void)close(fd);
    check_get(&fixture, "/metrics", 200, "test_http_refused_total{reason=\"slow_headers\"} 1\n");
    fixture_deinit(&fixture);
}

TEST(streams_arrive_whole)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    static const size_t sizes[] = {0, 1, 10000, 65536, 70000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/stream?n=%zu", sizes[i]);
        struct answer answer;
        client_get(fixture.port, path, &answer);
        CHECK_INT(answer.status, 200);
        CHECK(answer.complete);
        CHECK_INT(answer.body.size, sizes[i]);
        CHECK(strstr(ft_buf_str(&answer.trailers), "Test-Trailer: behind\r\n") != NULL);
        answer_deinit(&answer);
    }
    fixture_deinit(&fixture);
}

TEST(a_stream_that_fails_is_an_error_or_is_cut)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    check_get(&fixture, "/stream?n=1000&fail=1", 500, "fails at the end");
    struct answer answer;
    client_get(fixture.port, "/stream?n=1000000&fail=1", &answer);
    CHECK_INT(answer.status, 200);
    CHECK(!answer.complete);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}

TEST(a_client_that_does_not_read_holds_the_stream_back)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    atomic_store(&stream_failed, false);
    atomic_store(&stream_written, 0);
    int fd = client_connect(fixture.port);
    int small = 4096;
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    client_send(fd, "GET /stream?n=1000000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct ft_buf head;
    ft_buf_init(&head, 0);
    CHECK(client_read_until(fd, &head, "\r\n\r\n"));
    ft_buf_deinit(&head);
    /* It stops somewhere: with the bound, and what the kernel's buffers take. */
    uint64_t before;
    do {
        before = atomic_load(&stream_written);
        (void)usleep(50000);
    } while (atomic_load(&stream_written) != before);
    CHECK(before < 30000000);
    CHECK(!atomic_load(&stream_failed));
    (void)close(fd);
    for (int i = 0; i < CLIENT_WAIT_MS && !atomic_load(&stream_failed); i++) {
        (void)usleep(1000);
    }
    CHECK(atomic_load(&stream_failed));
    fixture_deinit(&fixture);
}

TEST(a_gone_client_cancels_its_handler)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    int fd = client_connect(fixture.port);
    client_send(fd, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&fixture.n_waiting, 1);
    (void)close(fd);
    wait_for(&fixture.n_waiting, 0);
    check_get(&fixture, "/hello", 200, "hello\n");
    fixture_deinit(&fixture);
}

TEST(too_many_waiting_requests_are_refused)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.workers = 1, .queue_max = 1});
    int first = client_connect(fixture.port);
    client_send(first, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&fixture.n_waiting, 1);
    /* Of two more one waits and one is refused, in whatever order they come. */
    int second = client_connect(fixture.port);
    int third = client_connect(fixture.port);
    client_send(second, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client_send(third, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct pollfd poll_fds[2] = {{.fd = second, .events = POLLIN}, {.fd = third, .events = POLLIN}};
    CHECK_INT(poll(poll_fds, 2, CLIENT_WAIT_MS), 1);
    int refused = poll_fds[0].revents != 0 ? second : third;
    struct answer answer;
    client_receive(refused, false, &answer);
    CHECK_INT(answer.status, 503);
    CHECK_STR(answer_header(&answer, "Retry-After"), "1");
    CHECK(strstr(ft_buf_str(&answer.body), "\"code\":\"busy\"") != NULL);
    answer_deinit(&answer);
    check_get(&fixture, "/hello", 200, "hello\n");
    (void)close(first);
    (void)close(refused == second ? third : second);
    fixture_deinit(&fixture);
}

TEST(stopping_ends_waiting_requests)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.workers = 1});
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client_connect(fixture.port);
        client_send(fds[i], "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    int idle = client_connect(fixture.port);
    wait_for(&fixture.n_waiting, 1);
    ft_web_stop(fixture.web);
    CHECK_INT(atomic_load(&fixture.n_waiting), 0);
    ft_web_stop(fixture.web);
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
    (void)close(idle);
    struct ft_diag diag;
    CHECK_OK(ft_web_start(fixture.web, &diag));
    fixture.port = ft_web_get_port(fixture.web);
    check_get(&fixture, "/hello", 200, "hello\n");
    fixture_deinit(&fixture);
}

TEST(connections_are_bounded)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.threads = 1, .connections_per_ip_max = 4});
    int fds[16];
    for (int i = 0; i < 16; i++) {
        fds[i] = client_connect(fixture.port);
        client_send(fds[i], "GET /hello HTTP/1.1\r\n");
    }
    /* Those past the bound are closed at once. */
    unsigned n_closed = 0;
    for (int i = 4; i < 16; i++) {
        struct pollfd poll_fd = {.fd = fds[i], .events = POLLIN};
        n_closed += poll(&poll_fd, 1, CLIENT_WAIT_MS) == 1 ? 1 : 0;
    }
    CHECK_INT(n_closed, 12);
    for (int i = 0; i < 16; i++) {
        (void)close(fds[i]);
    }
    fixture_deinit(&fixture);
}

static unsigned unix_status(const char *path, const char *target)
{
    struct answer answer;
    char request[256];
    int fd = client_connect_unix(path);
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: whatever\r\n\r\n", target);
    client_send(fd, request);
    client_receive(fd, false, &answer);
    unsigned status = answer.status;
    answer_deinit(&answer);
    return status;
}

TEST(tcp_may_be_for_health_and_metrics_alone)
{
    char path[100];
    (void)snprintf(path, sizeof path, "%s/private.sock", ft_test_tmpdir());
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.unix_path = path, .tcp_public_only = true});
    check_get(&fixture, "/livez", 200, "ok\n");
    check_get(&fixture, "/metrics", 200, "test_http_connections");
    check_get(&fixture, "/hello", 404, "not_found");
    check_get(&fixture, "/echo?a=1", 404, "not_found");
    CHECK_INT(unix_status(path, "/hello"), 200);
    CHECK_INT(unix_status(path, "/echo?a=1"), 200);
    fixture_deinit(&fixture);
}

TEST(a_unix_socket_serves_its_group)
{
    char path[100];
    (void)snprintf(path, sizeof path, "%s/web.sock", ft_test_tmpdir());
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){.unix_path = path});
    struct stat stat;
    CHECK_INT(lstat(path, &stat), 0);
    CHECK(S_ISSOCK(stat.st_mode));
    CHECK_INT(stat.st_mode & 0777, 0660);
    struct answer answer;
    int fd = client_connect_unix(path);
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: whatever\r\n\r\n");
    client_receive(fd, false, &answer);
    CHECK_INT(answer.status, 200);
    CHECK_STR(ft_buf_str(&answer.body), "hello\n");
    answer_deinit(&answer);

    /* A second server may not take a socket that is in use. */
    struct ft_web *second;
    struct ft_diag diag;
    CHECK_OK(ft_web_create(&(struct ft_web_options){.unix_path = path}, &second));
    CHECK_ERR(ft_web_start(second, &diag), ft_err_from_errno(EADDRINUSE));
    fixture_deinit(&fixture);
    CHECK_INT(lstat(path, &stat), -1);

    /* One that a killed process left behind is replaced; another file is not. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    CHECK_OK(ft_web_start(second, &diag));
    ft_web_stop(second);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    (void)fclose(file);
    CHECK_ERR(ft_web_start(second, &diag), ft_err_from_errno(EEXIST));
    ft_web_destroy(second);
}

static void check_start(const char *address, bool allow_remote, ft_err expected)
{
    struct ft_web *web;
    struct ft_diag diag = {0};
    CHECK_OK(ft_web_create(
        &(struct ft_web_options){.address = address, .allow_remote = allow_remote}, &web));
    CHECK_ERR(ft_web_start(web, &diag), expected);
    CHECK(expected == FT_OK || diag.text[0] != '\0');
    ft_web_destroy(web);
}

TEST(addresses_are_loopback_unless_allowed)
{
    check_start("[::1]:0", false, FT_OK);
    check_start("127.1.2.3:0", false, FT_OK);
    check_start("0.0.0.0:0", false, FT_E_RANGE);
    check_start("[::]:0", false, FT_E_RANGE);
    check_start("0.0.0.0:0", true, FT_OK);
    check_start("localhost:80", false, FT_E_SYNTAX);
    check_start("127.0.0.1", false, FT_E_SYNTAX);
    check_start("127.0.0.1:70000", false, FT_E_SYNTAX);
    check_start("::1:80", false, FT_E_SYNTAX);
}

TEST(files_of_the_dashboard_are_cached_by_content)
{
    struct fixture fixture;
    fixture_init(&fixture, &(struct ft_web_options){0});
    struct answer answer;
    client_get(fixture.port, "/", &answer);
    CHECK_INT(answer.status, 200);
    CHECK_STR(answer_header(&answer, "Content-Type"), "text/html; charset=utf-8");
    /* The policy forbids inline script and style: the page must have none. */
    const char *page = ft_buf_str(&answer.body);
    CHECK(strstr(page, "<script>") == NULL && strstr(page, "<style") == NULL);
    CHECK(strstr(page, " style=") == NULL && strstr(page, " onclick=") == NULL);
    char header[1100];
    (void)snprintf(header, sizeof header, "If-None-Match: %s\r\n", answer_header(&answer, "ETag"));
    answer_deinit(&answer);
    client_request(fixture.port, "GET", "/", header, &answer);
    CHECK_INT(answer.status, 304);
    CHECK_INT(answer.body.size, 0);
    answer_deinit(&answer);
    client_request(fixture.port, "GET", "/app.js", header, &answer);
    CHECK_INT(answer.status, 200);
    answer_deinit(&answer);
    fixture_deinit(&fixture);
}
