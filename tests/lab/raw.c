/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that no ordinary socket makes: ICMP echoes with chosen identifiers, and packets of any
 * other IP protocol.
 */
#include "ftgen.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PAYLOAD_MAX    1400
#define ANSWER_WAIT_MS 1000
#define HEADER_SIZE    8 /* of an echo, before the payload */

static uint16_t checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum += (uint32_t)data[i] << (i % 2 == 0 ? 8 : 0);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static int open_raw(const struct gen_options *options, int protocol)
{
    int fd = socket(options->to.any.sa_family, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        gen_die("raw socket");
    }
    if (options->bind.any.sa_family != AF_UNSPEC) {
        union gen_addr local = options->bind;
        gen_addr_set_port(&local, 0);
        if (bind(fd, &local.any, gen_addr_len(&local)) != 0) {
            gen_die("bind");
        }
    }
    union gen_addr to = options->to;
    gen_addr_set_port(&to, 0);
    if (connect(fd, &to.any, gen_addr_len(&to)) != 0) {
        gen_die("connect");
    }
    return fd;
}

/* True when an answer with this identifier came in time. */
static bool wait_answer(int fd, bool ipv6, uint16_t id)
{
    int64_t deadline = gen_now_ns() + (int64_t)ANSWER_WAIT_MS * 1000000;
    uint8_t buf[PAYLOAD_MAX + 128];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (gen_now_ns() < deadline && !gen_stopped()) {
        if (poll(&wait, 1, ANSWER_WAIT_MS / 10) <= 0) {
            continue;
        }
        ssize_t size = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        /* A raw IPv4 socket delivers the IP header, an IPv6 one does not. */
        ssize_t skip = ipv6 || size < 1 ? 0 : (buf[0] & 0xf) * 4;
        if (size - skip >= HEADER_SIZE && buf[skip] == (ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
            buf[skip + 4] == id >> 8 && buf[skip + 5] == (id & 0xff)) {
            return true;
        }
    }
    return false;
}

int gen_ping(const struct gen_options *options)
{
    bool ipv6 = options->to.any.sa_family == AF_INET6;
    uint32_t n_echoes = options->ports > 0 ? options->ports : 1;
    size_t size = HEADER_SIZE + (size_t)options->send_bytes;
    uint8_t packet[HEADER_SIZE + PAYLOAD_MAX] = {0};
    if (options->send_bytes > PAYLOAD_MAX) {
        errno = EINVAL;
        gen_die("too much payload");
    }
    int fd = open_raw(options, ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    union gen_addr local = {0};
    socklen_t len = sizeof local;
    (void)getsockname(fd, &local.any, &len);
    gen_addr_set_port(&local, 0);
    gen_report_begin(options);
    gen_report_flows_begin(options);
    int64_t begin = gen_now_ns();
    for (uint64_t i = 0; i < options->count && !gen_stopped(); i++) {
        uint16_t id = (uint16_t)(0x4600 + i);
        struct gen_flow flow = {.protocol = ipv6 ? "ipv6-icmp" : "icmp",
                                .src = local,
                                .dst = options->to,
                                .echo_id = id,
                                .icmp_type = ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
                                .end = "none"};
        gen_pace(begin, i, options->rate);
        for (uint32_t sequence = 0; sequence < n_echoes; sequence++) {
            memset(packet, 0, HEADER_SIZE);
            packet[0] = (uint8_t)flow.icmp_type;
            packet[4] = (uint8_t)(id >> 8);
            packet[5] = (uint8_t)id;
            packet[7] = (uint8_t)sequence;
            uint16_t sum = ipv6 ? 0 : checksum(packet, size); /* IPv6: the kernel fills it in. */
            packet[2] = (uint8_t)(sum >> 8);
            packet[3] = (uint8_t)sum;
            if (send(fd, packet, size, 0) != (ssize_t)size) {
                gen_die("send");
            }
            flow.sent_packets++;
            flow.sent_bytes += options->send_bytes;
            if (wait_answer(fd, ipv6, id)) {
                flow.received_packets++;
                flow.received_bytes += options->send_bytes;
            }
        }
        gen_report_flow(options, &flow);
    }
    gen_report_end(options);
    (void)close(fd);
    return 0;
}

int gen_raw(const struct gen_options *options)
{
    static const uint8_t payload[PAYLOAD_MAX];
    if (options->protocol == 0 || options->send_bytes > PAYLOAD_MAX) {
        errno = EINVAL;
        gen_die("raw needs --protocol, and a payload that fits");
    }
    int fd = open_raw(options, options->protocol);
    struct gen_flow flow = {
        .protocol = "raw", .dst = options->to, .echo_id = -1, .icmp_type = -1, .end = "none"};
    socklen_t len = sizeof flow.src;
    (void)getsockname(fd, &flow.src.any, &len);
    gen_addr_set_port(&flow.src, 0);
    int64_t begin = gen_now_ns();
    for (uint64_t i = 0; i < options->count && !gen_stopped(); i++) {
        gen_pace(begin, i, options->rate);
        if (send(fd, payload, (size_t)options->send_bytes, 0) != (ssize_t)options->send_bytes) {
            gen_die("send");
        }
        flow.sent_packets++;
        flow.sent_bytes += options->send_bytes;
    }
    gen_report_begin(options);
    gen_report_number(options, "protocol", options->protocol);
    gen_report_flows_begin(options);
    gen_report_flow(options, &flow);
    gen_report_end(options);
    (void)close(fd);
    return 0;
}
