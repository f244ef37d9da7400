/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace of the test's own, entered by the calling process, with flows on its loopback
 * device.  Nothing outside is touched, and the kernel removes it with the process.
 *
 * Each function is static inline so that a test that needs one of them needs no library more.
 */
#ifndef FT_TESTS_UNIT_OS_NETNS_H
#define FT_TESTS_UNIT_OS_NETNS_H 1

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/test.h"

/* Skips the test when the process may not. */
static inline void netns_enter(void)
{
    if (geteuid() != 0) {
        ft_test_skip("needs root: enters a network namespace");
    }
    if (unshare(CLONE_NEWNET) != 0) {
        ft_test_skip("unshare(CLONE_NEWNET) is not allowed here");
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    CHECK_INT(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    (void)close(fd);
}

/* 127.0.0.1 or ::1 as a socket address; returns its size. */
static inline socklen_t loopback(bool ipv6, uint16_t port, struct sockaddr_storage *ret_addr)
{
    memset(ret_addr, 0, sizeof *ret_addr);
    if (ipv6) {
        struct sockaddr_in6 addr = {
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        memcpy(ret_addr, &addr, sizeof addr);
        return sizeof addr;
    }
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(ret_addr, &addr, sizeof addr);
    return sizeof addr;
}

static inline int bound_socket(bool ipv6, int type, uint16_t port)
{
    struct sockaddr_storage addr;
    socklen_t size = loopback(ipv6, port, &addr);
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (const struct sockaddr *)&addr, size), 0);
    return fd;
}

/* One datagram from each of 'n' source ports, from 'first_port' on, to 'to_port', where 'sink' (an
 * open socket, so that no ICMP error comes back) takes it. */
static inline void udp_flows(bool ipv6, uint16_t first_port, uint16_t to_port, unsigned n)
{
    struct sockaddr_storage to;
    socklen_t to_size = loopback(ipv6, to_port, &to);
    for (unsigned i = 0; i < n; i++) {
        int fd = bound_socket(ipv6, SOCK_DGRAM, (uint16_t)(first_port + i));
        CHECK_INT(sendto(fd, "flowtrail", 9, 0, (const struct sockaddr *)&to, to_size), 9);
        (void)close(fd);
    }
}

/* One TCP connection from 'from_port' to 'to_port' that sends 'n_bytes' and is closed by both. */
static inline void tcp_flow(bool ipv6, uint16_t from_port, uint16_t to_port, size_t n_bytes)
{
    struct sockaddr_storage to;
    socklen_t to_size = loopback(ipv6, to_port, &to);
    int listener = bound_socket(ipv6, SOCK_STREAM, to_port);
    CHECK_INT(listen(listener, 1), 0);
    int client = bound_socket(ipv6, SOCK_STREAM, from_port);
    CHECK_INT(connect(client, (const struct sockaddr *)&to, to_size), 0);
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0);
    char data[1000] = {0};
    for (size_t sent = 0; sent < n_bytes;) {
        size_t part = n_bytes - sent < sizeof data ? n_bytes - sent : sizeof data;
        CHECK_INT(send(client, data, part, 0), part);
        CHECK_INT(recv(server, data, part, MSG_WAITALL), part);
        sent += part;
    }
    (void)close(client);
    CHECK_INT(recv(server, data, sizeof data, 0), 0);
    (void)close(server);
    (void)close(listener);
}

#endif
