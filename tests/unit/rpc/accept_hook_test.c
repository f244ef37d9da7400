/* SPDX-License-Identifier: Apache-2.0 */
/* The hook before accept4: out of descriptors, and too many connections of one address. */
#include "rpc/accept_hook.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "fixture.h"

#define FILL_MAX 256

static int connect_raw(const struct peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(ft_rpc_server_get_port(peer->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)connect(fd, (const struct sockaddr *)&address, sizeof address);
    }
    return fd;
}

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

static void check_serves(const struct peer *peer)
{
    struct ft_stream *stream = client_start(peer, NULL);
    struct ft_stream_event event;
    CHECK_OK(stream->ops->open(stream));
    expect(stream, FT_STREAM_OPENED, &event);
    stream->ops->destroy(stream);
}

static unsigned count_fds(int *ret_highest)
{
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    unsigned n = 0;
    *ret_highest = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        int fd = atoi(entry->d_name);
        *ret_highest = fd > *ret_highest ? fd : *ret_highest;
        n++;
    }
    (void)closedir(dir);
    return n;
}

/* gRPC closes the sockets of an earlier stream a moment later. */
static void wait_for_fds(unsigned n)
{
    int highest = 0;
    int64_t deadline = now_ns() + 5 * FT_NS_PER_S;
    while (count_fds(&highest) > n && now_ns() < deadline) {
        (void)usleep(1000);
    }
    CHECK(count_fds(&highest) <= n);
}

TEST(libgrpc_calls_the_hook) { CHECK(ft_rpc_accept_hook_is_active()); }

TEST(the_listener_survives_the_end_of_descriptors)
{
    struct peer peer;
    struct rlimit before;
    struct ft_rpc_server_stats stats;
    peer_init(&peer);
    peer_start(&peer, NULL);
    check_serves(&peer);
    int highest = 0;
    unsigned n_idle = 0;
    for (unsigned n = count_fds(&highest); n != n_idle; n = count_fds(&highest)) {
        n_idle = n;
        (void)usleep(30 * 1000);
    }
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned round = 1; round <= 3; round++) {
        wait_for_fds(n_idle);
        /* The clients' sockets are made while there are descriptors for them. */
        int clients[3];
        for (unsigned i = 0; i < 3; i++) {
            clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            CHECK(clients[i] >= 0);
        }
        (void)count_fds(&highest);
        struct rlimit low = {.rlim_cur = (rlim_t)highest + 8, .rlim_max = before.rlim_max};
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
        int fill[FILL_MAX];
        unsigned n_fill = 0;
        while (n_fill < FILL_MAX && (fill[n_fill] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
            n_fill++;
        }
        CHECK(n_fill < FILL_MAX);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(ft_rpc_server_get_port(peer.server)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        for (unsigned i = 0; i < 3; i++) {
            CHECK_INT(connect(clients[i], (const struct sockaddr *)&address, sizeof address), 0);
            CHECK(is_closed_within(clients[i], 5000));
        }
        for (unsigned i = 0; i < n_fill; i++) {
            ft_fd_close(&fill[i]);
        }
        for (unsigned i = 0; i < 3; i++) {
            ft_fd_close(&clients[i]);
        }
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
        ft_rpc_server_get_stats(peer.server, &stats);
        CHECK(stats.connections_dropped_no_fd >= 3 * round);
        check_serves(&peer);
    }
    peer_deinit(&peer);
    printf(
        "matrix: R20 3 times no file descriptor left, 3 connections each time; they were dropped, "
        "and the listener served a client afterwards\n");
}

TEST(an_address_has_a_limit_of_connections)
{
    struct peer peer;
    struct ft_rpc_server_stats first;
    struct ft_rpc_server_stats stats;
    struct ft_rpc_server_options options = {.plaintext = true, .connections_per_address_max = 5};
    peer_init(&peer);
    peer_start(&peer, &options);
    ft_rpc_server_get_stats(peer.server, &first);
    int fds[8];
    for (unsigned i = 0; i < 8; i++) {
        fds[i] = connect_raw(&peer);
        CHECK(fds[i] >= 0);
    }
    /* The last three are closed at once; the others stay. */
    unsigned n_closed = 0;
    for (unsigned i = 0; i < 8; i++) {
        n_closed += is_closed_within(fds[i], i < 5 ? 20 : 5000) ? 1 : 0;
    }
    CHECK_INT(n_closed, 3);
    ft_rpc_server_get_stats(peer.server, &stats);
    CHECK_INT(stats.connections_dropped_address - first.connections_dropped_address, 3);
    CHECK_INT(stats.connections_accepted - first.connections_accepted, 5);
    for (unsigned i = 0; i < 8; i++) {
        ft_fd_close(&fds[i]);
    }
    /* The server notices the closed ones by itself and at most a tenth of a second later. */
    bool served = false;
    struct ft_stream *stream = client_start(&peer, NULL);
    for (unsigned i = 0; i < 50 && !served; i++) {
        struct ft_stream_event event;
        CHECK_OK(stream->ops->open(stream));
        next_event(stream, 5000, &event);
        served = event.kind == FT_STREAM_OPENED;
        if (!served) {
            CHECK_INT(event.kind, FT_STREAM_CLOSED);
            (void)usleep(20 * 1000);
        }
    }
    CHECK(served);
    stream->ops->destroy(stream);
    peer_deinit(&peer);
}

/* From an address of its own, so that what other tests have opened does not count. */
static int connect_from(const struct peer *peer, const char *address)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(ft_rpc_server_get_port(peer->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(inet_pton(AF_INET, address, &own.sin_addr), 1);
    CHECK_INT(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

TEST(an_address_that_opens_one_connection_after_the_other_is_held_to_a_rate)
{
    struct peer peer;
    struct ft_rpc_server_stats first;
    struct ft_rpc_server_stats stats;
    struct ft_rpc_server_options options = {.plaintext = true, .connections_per_address_max = 5};
    peer_init(&peer);
    peer_start(&peer, &options);
    ft_rpc_server_get_stats(peer.server, &first);
    uint64_t n_dropped = 0;
    unsigned n = 0;
    for (; n_dropped < 20; n++) {
        CHECK(n < 100 * FT_RPC_ACCEPT_BURST_MIN);
        int fd = connect_from(&peer, "127.0.7.7");
        ft_fd_close(&fd);
        ft_rpc_server_get_stats(peer.server, &stats);
        n_dropped = stats.connections_dropped_rate - first.connections_dropped_rate;
    }
    CHECK(n > FT_RPC_ACCEPT_BURST_MIN);
    /* Nobody else feels it. */
    int fd = connect_from(&peer, "127.0.7.8");
    CHECK(!is_closed_within(fd, 50));
    ft_fd_close(&fd);
    peer_deinit(&peer);
}

TEST(other_listeners_of_the_process_are_left_alone)
{
    struct peer peer;
    struct ft_rpc_accept_stats before;
    struct ft_rpc_accept_stats after;
    struct ft_rpc_server_options options = {.plaintext = true, .connections_per_address_max = 1};
    peer_init(&peer);
    peer_start(&peer, &options);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CHECK_INT(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(listen(listener, 8), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ft_rpc_accept_hook_get_stats(&before);
    CHECK_INT(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
    CHECK_INT(errno, EAGAIN);
    for (unsigned i = 0; i < 3; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_INT(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
        struct sockaddr_in peer_address;
        socklen_t peer_size = sizeof peer_address;
        int accepted =
            accept4(listener, (struct sockaddr *)&peer_address, &peer_size, SOCK_CLOEXEC);
        CHECK(accepted >= 0);
        CHECK_INT(peer_size, sizeof peer_address);
        ft_fd_close(&accepted);
        ft_fd_close(&client);
    }
    ft_rpc_accept_hook_get_stats(&after);
    CHECK_INT(after.accepted, before.accepted);
    ft_fd_close(&listener);
    peer_deinit(&peer);
}
