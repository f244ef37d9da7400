/* SPDX-License-Identifier: Apache-2.0 */
/* The client as an ft_stream, against the server, on loopback in plaintext. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "fixture.h"

static int listen_raw(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(listen(fd, 8), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

TEST(a_message_goes_there_and_back)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.token = GOOD_TOKEN;
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    struct ft_stream_parts parts = {
        .head = "head:", .head_size = 5, .body = "body", .body_size = 4};
    CHECK_OK(stream->ops->send(stream, &parts));
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_MESSAGE);
    CHECK_BYTES(event.data, event.size, "head:body", 9);
    stream->ops->cancel(stream);
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_CLOSED);
    CHECK_ERR(event.err, FT_E_CANCELLED);
    CHECK(reaches(&peer.n_closed, 1));
    CHECK_INT(peer.n_cancelled, 1);
    CHECK(strncmp(peer.last_peer, "127.0.0.1:", 10) == 0);
    struct ft_rpc_server_stats stats;
    ft_rpc_server_get_stats(peer.server, &stats);
    CHECK_INT(stats.accepted, 1);
    CHECK_INT(stats.messages_received, 1);
    CHECK_INT(stats.bytes_received, 9);
    CHECK_INT(stats.messages_sent, 1);
    CHECK_INT(stats.bytes_sent, 9);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

/* By name only in the integration tests: c-ares 1.18 leaks the word "localhost" at each lookup. */
TEST(an_ipv6_address_is_reached)
{
    struct peer peer;
    struct ft_stream_event event;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has_ipv6 = fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0;
    ft_fd_close(&fd);
    if (!has_ipv6) {
        ft_test_skip("no IPv6 loopback");
    }
    peer_init(&peer);
    struct ft_rpc_server_options server = {.listen = "[::1]:0", .plaintext = true};
    peer_start(&peer, &server);
    char url[64];
    (void)snprintf(url, sizeof url, "http://[::1]:%u",
                   (unsigned)ft_rpc_server_get_port(peer.server));
    struct ft_rpc_client_options options = {.url = url, .plaintext = FT_RPC_PLAINTEXT_LOOPBACK};
    struct ft_stream *stream = client_start(&peer, &options);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    CHECK(strncmp(peer.last_peer, "[::1]:", 6) == 0);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(an_empty_message_is_a_message)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    exchange(stream, NULL, 0);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(a_closed_stream_opens_again)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.close_on_message = true;
    peer.close_status = FT_RPC_RESOURCE_EXHAUSTED;
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(stream->ops->open(stream));
        expect(stream, FT_STREAM_OPENED, &event);
        send_bytes(stream, "x", 1);
        bool echoed = false;
        do {
            next_event(stream, 5000, &event);
            echoed = echoed || event.kind == FT_STREAM_MESSAGE;
        } while (event.kind == FT_STREAM_MESSAGE || event.kind == FT_STREAM_SENT);
        CHECK_INT(event.kind, FT_STREAM_CLOSED);
        CHECK(echoed);
        CHECK_ERR(event.err, FT_E_FULL);
        CHECK_STR(event.text, "RESOURCE_EXHAUSTED: said \\x5cx01 so");
    }
    stream->ops->destroy(stream);
    CHECK(reaches(&peer.n_closed, 3));
    CHECK_INT(peer.n_cancelled, 0);
    peer_deinit(&peer);
}

TEST(a_wrong_token_is_an_authentication_failure_and_never_opens)
{
    static const char *const tokens[] = {"wrong", "", "good.token2"};
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer.token = GOOD_TOKEN;
    peer_start(&peer, NULL);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK,
                                                .token = give_token,
                                                .ctx = (void *)(uintptr_t)tokens[i]};
        struct ft_stream *stream = client_start(&peer, &options);
        CHECK_OK(stream->ops->open(stream));
        expect(stream, FT_STREAM_CLOSED, &event);
        CHECK_ERR(event.err, FT_E_AUTH);
        CHECK_STR(event.text, "UNAUTHENTICATED: not authenticated");
        stream->ops->destroy(stream);
    }
    CHECK_INT(peer.n_refused, 3);
    CHECK_INT(peer.n_open, 0);
    CHECK_INT(peer.n_closed, 0);
    peer_deinit(&peer);
}

TEST(a_malformed_token_is_refused_before_it_travels)
{
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK,
                                            .token = give_token,
                                            .ctx = (void *)(uintptr_t) "two words\n"};
    struct ft_stream *stream = client_start(&peer, &options);
    CHECK_ERR(stream->ops->open(stream), FT_E_AUTH);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

static ft_err next_token(void *ctx, char *buf, size_t buf_size)
{
    unsigned *n = ctx;
    (void)snprintf(buf, buf_size, "%s", (*n)++ == 0 ? "old.token" : GOOD_TOKEN);
    return FT_OK;
}

TEST(the_token_is_asked_for_at_each_open)
{
    struct peer peer;
    struct ft_stream_event event;
    unsigned n = 0;
    peer_init(&peer);
    peer.token = GOOD_TOKEN;
    peer_start(&peer, NULL);
    struct ft_rpc_client_options options = {
        .plaintext = FT_RPC_PLAINTEXT_LOOPBACK, .token = next_token, .ctx = &n};
    struct ft_stream *stream = client_start(&peer, &options);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_CLOSED, &event);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(a_restarted_server_is_found_at_once)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                   (unsigned)ft_rpc_server_get_port(peer.server));
    struct ft_stream *stream = client_start(&peer, NULL);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(stream->ops->open(stream));
        expect(stream, FT_STREAM_OPENED, &event);
        peer_stop(&peer);
        expect(stream, FT_STREAM_CLOSED, &event);
        CHECK(ft_err_kind(event.err) == FT_KIND_TRANSIENT);
        int64_t begun = now_ns();
        /* No back-off of gRPC's own: each try fails by itself, quickly. */
        for (unsigned j = 0; j < 5; j++) {
            CHECK_OK(stream->ops->open(stream));
            expect(stream, FT_STREAM_CLOSED, &event);
            CHECK_ERR(event.err, FT_E_UNREACHABLE);
        }
        struct ft_rpc_server_options again = {.listen = address, .plaintext = true};
        peer_start(&peer, &again);
        CHECK_OK(stream->ops->open(stream));
        expect(stream, FT_STREAM_OPENED, &event);
        CHECK(now_ns() - begun < 3 * FT_NS_PER_S);
        stream->ops->cancel(stream);
        expect(stream, FT_STREAM_CLOSED, &event);
    }
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(a_peer_that_never_sends_headers_is_given_up)
{
    uint16_t port = 0;
    struct ft_stream_event event;
    ft_rpc_init(NULL);
    int fd = listen_raw(&port);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)port);
    struct ft_rpc_client_options options = {
        .url = url, .plaintext = FT_RPC_PLAINTEXT_LOOPBACK, .open_timeout_ns = 150 * FT_NS_PER_MS};
    struct ft_stream *stream = client_start(NULL, &options);
    for (unsigned i = 0; i < 2; i++) {
        int64_t begun = now_ns();
        CHECK_OK(stream->ops->open(stream));
        expect(stream, FT_STREAM_CLOSED, &event);
        CHECK_ERR(event.err, FT_E_UNREACHABLE);
        CHECK(now_ns() - begun >= 100 * FT_NS_PER_MS);
        CHECK(now_ns() - begun < 3 * FT_NS_PER_S);
    }
    stream->ops->destroy(stream);
    ft_fd_close(&fd);
    ft_rpc_shutdown();
}

TEST(destroy_in_any_state_returns)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    uint16_t port = 0;
    int fd = listen_raw(&port);
    for (unsigned state = 0; state < 5; state++) {
        struct ft_rpc_client_options options = {.plaintext = FT_RPC_PLAINTEXT_LOOPBACK};
        char url[64];
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)port);
        options.url = state == 1 ? url : NULL;
        struct ft_stream *stream = client_start(&peer, &options);
        if (state > 0) {
            CHECK_OK(stream->ops->open(stream));
        }
        if (state > 1) {
            expect(stream, FT_STREAM_OPENED, &event);
        }
        if (state > 2) {
            send_bytes(stream, "abc", 3);
        }
        if (state == 4) {
            stream->ops->wake(stream);
            stream->ops->cancel(stream);
        }
        stream->ops->destroy(stream);
    }
    ft_fd_close(&fd);
    peer_deinit(&peer);
}

static void wake_soon(void *ctx)
{
    struct ft_stream *stream = ctx;
    (void)usleep(30 * 1000);
    stream->ops->wake(stream);
}

TEST(wake_ends_a_poll_that_waits_and_the_next_one)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    /* Without a stream and with one. */
    for (unsigned i = 0; i < 2; i++) {
        struct ft_thread thread = {.started = false};
        CHECK_OK(ft_thread_start(&thread, "wake", wake_soon, stream));
        int64_t begun = now_ns();
        next_event(stream, 10000, &event);
        CHECK_INT(event.kind, FT_STREAM_NONE);
        CHECK(now_ns() - begun < 5 * FT_NS_PER_S);
        ft_thread_join(&thread);
        stream->ops->wake(stream);
        stream->ops->wake(stream);
        next_event(stream, 10000, &event);
        CHECK_INT(event.kind, FT_STREAM_NONE);
        CHECK(now_ns() - begun < 5 * FT_NS_PER_S);
        /* Two wakes are one; the deadline ends this one. */
        begun = now_ns();
        next_event(stream, 20, &event);
        CHECK_INT(event.kind, FT_STREAM_NONE);
        CHECK(now_ns() - begun >= 10 * FT_NS_PER_MS);
        if (i == 0) {
            CHECK_OK(stream->ops->open(stream));
            expect(stream, FT_STREAM_OPENED, &event);
        }
    }
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(one_send_at_a_time_and_none_without_a_stream)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    struct ft_stream_parts parts = {.head = "x", .head_size = 1};
    CHECK_ERR(stream->ops->send(stream, &parts), FT_E_CLOSED);
    /* Some peers answer only after the first message, so it may go before OPENED. */
    CHECK_OK(stream->ops->open(stream));
    CHECK_OK(stream->ops->send(stream, &parts));
    CHECK_ERR(stream->ops->send(stream, &parts), ft_err_from_errno(EBUSY));
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; i++) {
        next_event(stream, 5000, &event);
        seen |= 1U << event.kind;
    }
    CHECK_INT(seen, 1U << FT_STREAM_OPENED | 1U << FT_STREAM_SENT | 1U << FT_STREAM_MESSAGE);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

/* Sends 'n' messages, at most 100 ahead of the answers: what the server's queue holds. */
static void pump(struct ft_stream *stream, const void *data, size_t size, unsigned n)
{
    struct ft_stream_event event;
    unsigned sent = 0;
    unsigned answered = 0;
    bool sending = false;
    while (answered < n) {
        if (!sending && sent < n && sent - answered < 100) {
            send_bytes(stream, data, size);
            sending = true;
        }
        next_event(stream, 5000, &event);
        CHECK(event.kind == FT_STREAM_SENT || event.kind == FT_STREAM_MESSAGE);
        if (event.kind == FT_STREAM_SENT) {
            sending = false;
            sent++;
        } else {
            CHECK_INT(event.size, size);
            answered++;
        }
    }
    CHECK_INT(sent, n);
}

TEST(many_messages_all_arrive_in_time)
{
    struct peer peer;
    struct ft_stream_event event;
    const char *count = getenv("FT_RPC_TEST_MESSAGES");
    unsigned n = count != NULL ? (unsigned)atoi(count) : 50000;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    char message[120];
    memset(message, 'm', sizeof message);
    int64_t begun = now_ns();
    pump(stream, message, sizeof message, n);
    double seconds = (double)(now_ns() - begun) / 1e9;
    (void)fprintf(stderr, "%u messages there and back in %.3f s, %.0f/s\n", n, seconds,
                  n / seconds);
    CHECK_INT(peer.bytes, (size_t)n * sizeof message);
    CHECK(seconds < 30);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

TEST(large_messages_arrive_whole)
{
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, NULL);
    struct ft_stream *stream = client_start(&peer, NULL);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    size_t size = (size_t)1000 * 1000;
    uint8_t *data = malloc(size);
    CHECK(data != NULL);
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    struct ft_stream_parts parts = {
        .head = data, .head_size = 100, .body = data + 100, .body_size = size - 100};
    CHECK_OK(stream->ops->send(stream, &parts));
    do {
        next_event(stream, 5000, &event);
    } while (event.kind == FT_STREAM_SENT);
    CHECK_INT(event.kind, FT_STREAM_MESSAGE);
    CHECK_BYTES(event.data, event.size, data, size);
    free(data);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}
