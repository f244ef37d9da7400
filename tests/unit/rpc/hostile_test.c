/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that do not speak gRPC, or speak it badly: the server goes on serving the others. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"
#include "fixture.h"

static int connect_raw(const struct peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(ft_rpc_server_get_port(peer->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Reads until the server closes.  False when it does not within 'ms'. */
static bool is_closed_within(int fd, int ms)
{
    int64_t deadline = now_ns() + ms * FT_NS_PER_MS;
    for (;;) {
        char buf[4096];
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};
        int left = (int)((deadline - now_ns()) / FT_NS_PER_MS);
        if (left <= 0 || poll(&pollfd, 1, left) <= 0) {
            return false;
        }
        if (read(fd, buf, sizeof buf) <= 0) {
            return true;
        }
    }
}

static void write_some(int fd, const void *data, size_t size)
{
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
    (void)n; /* The server may have closed already. */
}

static void check_serves(const struct peer *peer, const struct ft_rpc_client_options *options)
{
    struct ft_rpc_client_options copy =
        options != NULL ? *options
                        : (struct ft_rpc_client_options){.plaintext = FT_RPC_PLAINTEXT_LOOPBACK};
    struct ft_stream *stream = client_start(peer, &copy);
    struct ft_stream_event event;
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    exchange(stream, "x", 1);
    stream->ops->destroy(stream);
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const uint8_t empty_settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};

TEST(garbage_is_closed_and_others_are_served)
{
    struct peer peer;
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 7);
    peer_init(&peer);
    peer_start(&peer, NULL);
    for (unsigned i = 0; i < 20; i++) {
        int fd = connect_raw(&peer);
        uint8_t data[512];
        random.base.fill(&random.base, data, sizeof data);
        if (i % 4 == 1) {
            write_some(fd, preface, sizeof preface - 1);
        } else if (i % 4 == 2) {
            write_some(fd, preface, sizeof preface - 1);
            write_some(fd, empty_settings, sizeof empty_settings);
        } else if (i % 4 == 3) {
            write_some(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
        }
        write_some(fd, data, sizeof data);
        ft_fd_close(&fd);
    }
    check_serves(&peer, NULL);
    CHECK_INT(peer.n_open, 1);
    peer_deinit(&peer);
}

TEST(silent_connections_are_closed_by_the_handshake_timeout)
{
    const struct certificates *files = certificates_get();
    struct ft_rpc_server_options options = {.certificate_path = files->server,
                                            .key_path = files->server_key,
                                            .handshake_timeout_ns = 100 * FT_NS_PER_MS};
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    int fds[10];
    for (unsigned i = 0; i < 10; i++) {
        fds[i] = connect_raw(&peer);
    }
    for (unsigned i = 0; i < 10; i++) {
        CHECK(is_closed_within(fds[i], 5000));
        ft_fd_close(&fds[i]);
    }
    struct ft_rpc_client_options client = {.url = peer_url(&peer, true), .ca_path = files->ca};
    check_serves(&peer, &client);
    peer_deinit(&peer);
}

TEST(a_preface_alone_is_closed_too)
{
    struct ft_rpc_server_options options = {.plaintext = true,
                                            .handshake_timeout_ns = 100 * FT_NS_PER_MS};
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    int fd = connect_raw(&peer);
    write_some(fd, preface, sizeof preface - 1);
    CHECK(is_closed_within(fd, 5000));
    ft_fd_close(&fd);
    check_serves(&peer, NULL);
    peer_deinit(&peer);
}

TEST(a_connection_without_calls_is_closed)
{
    struct ft_rpc_server_options options = {.plaintext = true,
                                            .connection_idle_ns = 150 * FT_NS_PER_MS};
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, &options);
    int fd = connect_raw(&peer);
    write_some(fd, preface, sizeof preface - 1);
    write_some(fd, empty_settings, sizeof empty_settings);
    CHECK(is_closed_within(fd, 5000));
    ft_fd_close(&fd);
    check_serves(&peer, NULL);
    peer_deinit(&peer);
}

TEST(a_flood_of_pings_is_closed)
{
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, NULL);
    int fd = connect_raw(&peer);
    static const uint8_t ping[17] = {0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    write_some(fd, preface, sizeof preface - 1);
    write_some(fd, empty_settings, sizeof empty_settings);
    for (unsigned i = 0; i < 100; i++) {
        write_some(fd, ping, sizeof ping);
    }
    CHECK(is_closed_within(fd, 5000));
    ft_fd_close(&fd);
    check_serves(&peer, NULL);
    peer_deinit(&peer);
}

TEST(headers_above_the_limit_are_refused)
{
    struct ft_rpc_server_options options = {.plaintext = true, .metadata_bytes_max = 2048};
    struct peer peer;
    struct ft_stream_event event;
    peer_init(&peer);
    peer_start(&peer, &options);
    static char token[5000];
    memset(token, 'a', sizeof token - 1);
    struct ft_rpc_client_options client = {
        .plaintext = FT_RPC_PLAINTEXT_LOOPBACK, .token = give_token, .ctx = token};
    struct ft_stream *stream = client_start(&peer, &client);
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_CLOSED, &event);
    CHECK_INT(peer.n_open, 0);
    stream->ops->destroy(stream);
    check_serves(&peer, NULL);
    peer_deinit(&peer);
}

TEST(connections_that_stay_do_not_hold_up_the_stop)
{
    struct peer peer;
    peer_init(&peer);
    peer_start(&peer, NULL);
    int silent = connect_raw(&peer);
    int idle = connect_raw(&peer);
    write_some(idle, preface, sizeof preface - 1);
    write_some(idle, empty_settings, sizeof empty_settings);
    check_serves(&peer, NULL);
    int64_t begun = now_ns();
    peer_stop(&peer);
    CHECK(now_ns() - begun < 2 * FT_NS_PER_S);
    ft_fd_close(&silent);
    ft_fd_close(&idle);
    peer_deinit(&peer);
}

/* One HEADERS frame of a call and the RST_STREAM that takes it back (RFC 9113, RFC 7541). */
static size_t put_reset_call(uint8_t *to, uint32_t stream)
{
    static const uint8_t headers[] = "\x83\x86\x04\x1b/flowtrail.v1.Ingest/Export"
                                     "\x01\x01x"
                                     "\x0f\x10\x10"
                                     "application/grpc"
                                     "\x00\x02te\x08trailers";
    const size_t size = sizeof headers - 1;
    const uint8_t id[4] = {(uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8),
                           (uint8_t)stream};
    const uint8_t reset[] = {0, 0, 4, 3, 0, id[0], id[1], id[2], id[3], 0, 0, 0, 8};
    const uint8_t begin[] = {0, 0, (uint8_t)size, 1, 4, id[0], id[1], id[2], id[3]};
    memcpy(to, begin, sizeof begin);
    memcpy(to + sizeof begin, headers, size);
    memcpy(to + sizeof begin + size, reset, sizeof reset);
    return sizeof begin + size + sizeof reset;
}

TEST(a_rapid_reset_is_cut_and_its_address_kept_out_for_a_time)
{
    struct peer peer;
    struct ft_rpc_server_stats stats;
    struct ft_rpc_server_options options = {
        .plaintext = true, .calls_per_second_max = 20, .quarantine_ns = 200 * FT_NS_PER_MS};
    peer_init(&peer);
    peer_start(&peer, &options);
    /* Up to the limit nothing happens. */
    int fd = connect_raw(&peer);
    static uint8_t data[2000 * 128];
    size_t size = 0;
    write_some(fd, preface, sizeof preface - 1);
    write_some(fd, empty_settings, sizeof empty_settings);
    for (uint32_t i = 0; i < 20; i++) {
        size += put_reset_call(data + size, 2 * i + 1);
    }
    write_some(fd, data, size);
    CHECK(reaches(&peer.n_closed, 20));
    CHECK(!is_closed_within(fd, 50));
    ft_rpc_server_get_stats(peer.server, &stats);
    CHECK_INT(stats.rejected[FT_RPC_REJECT_RATE], 0);

    size = 0;
    for (uint32_t i = 20; i < 2000; i++) {
        size += put_reset_call(data + size, 2 * i + 1);
    }
    write_some(fd, data, size);
    CHECK(is_closed_within(fd, 5000));
    ft_fd_close(&fd);
    fd = connect_raw(&peer);
    CHECK(is_closed_within(fd, 150));
    ft_fd_close(&fd);
    ft_rpc_server_get_stats(peer.server, &stats);
    CHECK(stats.rejected[FT_RPC_REJECT_RATE] > 0);
    CHECK(stats.connections_dropped_quarantine > 0);
    (void)usleep(250 * 1000);
    check_serves(&peer, NULL);
    peer_deinit(&peer);
    printf(
        "matrix: R20 2000 calls that are reset at once, on one connection, after garbage, silent "
        "connections, a preface alone, a flood of pings and large headers on others; each was cut "
        "off, and the listener served a client after each\n");
}
