/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCTP by raw sockets, because kernels without CONFIG_IP_SCTP still track it.  The client walks an
 * association through the chunks that the kernel's tracking follows (RFC 9260 section 5.1, 9.2):
 * INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, and, for --chunks full, SHUTDOWN, SHUTDOWN ACK, SHUTDOWN
 * COMPLETE.  The server answers each chunk with its counterpart and keeps no state.
 */
#include "ftgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum chunk_type {
    CHUNK_INIT = 1,
    CHUNK_INIT_ACK = 2,
    CHUNK_SHUTDOWN = 7,
    CHUNK_SHUTDOWN_ACK = 8,
    CHUNK_COOKIE_ECHO = 10,
    CHUNK_COOKIE_ACK = 11,
    CHUNK_SHUTDOWN_COMPLETE = 14,
};

#define COMMON_SIZE    12
#define INIT_SIZE      20 /* Chunk header, then the fixed parameters of INIT and INIT ACK. */
#define PACKET_MAX     64
#define ANSWER_WAIT_MS 1000
#define CLIENT_TAG     0x46540001U
#define SERVER_TAG     0x46540002U

/* CRC-32C, bit by bit: a handful of short packets. */
static uint32_t crc32c(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

static void put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
    put16(to, value >> 16);
    put16(to + 2, value & 0xffff);
}

/* 'tag': the receiver's verification tag; 'own_tag': what INIT and INIT ACK announce. */
static size_t make_packet(uint8_t *packet, uint16_t src, uint16_t dst, uint32_t tag,
                          uint32_t own_tag, enum chunk_type type)
{
    size_t size = type == CHUNK_INIT || type == CHUNK_INIT_ACK          ? INIT_SIZE
                  : type == CHUNK_SHUTDOWN || type == CHUNK_COOKIE_ECHO ? 8
                                                                        : 4;
    memset(packet, 0, PACKET_MAX);
    put16(packet, src);
    put16(packet + 2, dst);
    put32(packet + 4, tag);
    packet[COMMON_SIZE] = (uint8_t)type;
    put16(packet + COMMON_SIZE + 2, (unsigned)size);
    if (size == INIT_SIZE) {
        put32(packet + COMMON_SIZE + 4, own_tag);
        put32(packet + COMMON_SIZE + 8, 65536); /* receiver window */
        put16(packet + COMMON_SIZE + 12, 1);    /* streams out and in */
        put16(packet + COMMON_SIZE + 14, 1);
        put32(packet + COMMON_SIZE + 16, 1); /* initial TSN */
    }
    size += COMMON_SIZE;
    uint32_t crc = crc32c(packet, size);
    packet[8] = (uint8_t)crc; /* The checksum is little-endian on the wire. */
    packet[9] = (uint8_t)(crc >> 8);
    packet[10] = (uint8_t)(crc >> 16);
    packet[11] = (uint8_t)(crc >> 24);
    return size;
}

static int open_raw(const union gen_addr *bind_to, int family)
{
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP);
    if (fd < 0) {
        gen_die("raw socket");
    }
    if (bind_to->any.sa_family != AF_UNSPEC) {
        union gen_addr local = *bind_to;
        gen_addr_set_port(&local, 0);
        if (bind(fd, &local.any, gen_addr_len(&local)) != 0) {
            gen_die("bind");
        }
    }
    return fd;
}

/* The first chunk's type of a packet to 'port', or 0. */
static unsigned read_packet(int fd, bool ipv6, uint16_t port, union gen_addr *ret_from,
                            uint16_t *ret_from_port)
{
    uint8_t buf[512];
    socklen_t len = sizeof *ret_from;
    ssize_t size = recvfrom(fd, buf, sizeof buf, MSG_DONTWAIT, &ret_from->any, &len);
    ssize_t skip = ipv6 || size < 1 ? 0 : (buf[0] & 0xf) * 4;
    if (size - skip < COMMON_SIZE + 4) {
        return 0;
    }
    const uint8_t *packet = buf + skip;
    *ret_from_port = (uint16_t)(packet[0] << 8 | packet[1]);
    return (packet[2] << 8 | packet[3]) == port ? packet[COMMON_SIZE] : 0;
}

static bool wait_chunk(int fd, bool ipv6, uint16_t port, enum chunk_type type)
{
    int64_t deadline = gen_now_ns() + (int64_t)ANSWER_WAIT_MS * 1000000;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (gen_now_ns() < deadline && !gen_stopped()) {
        union gen_addr from;
        uint16_t from_port;
        if (poll(&wait, 1, ANSWER_WAIT_MS / 10) > 0 &&
            read_packet(fd, ipv6, port, &from, &from_port) == type) {
            return true;
        }
    }
    return false;
}

static void send_chunk(int fd, const union gen_addr *to, uint16_t src, uint32_t tag,
                       uint32_t own_tag, enum chunk_type type)
{
    uint8_t packet[PACKET_MAX];
    union gen_addr raw_to = *to;
    size_t size = make_packet(packet, src, gen_addr_port(to), tag, own_tag, type);
    gen_addr_set_port(&raw_to, 0);
    if (sendto(fd, packet, size, 0, &raw_to.any, gen_addr_len(&raw_to)) != (ssize_t)size) {
        gen_die("sendto");
    }
}

int gen_sctp(const struct gen_options *options)
{
    static const struct {
        enum chunk_type ask;
        enum chunk_type answer; /* 0: none comes */
    } steps[] = {
        {CHUNK_INIT, CHUNK_INIT_ACK},
        {CHUNK_COOKIE_ECHO, CHUNK_COOKIE_ACK},
        {CHUNK_SHUTDOWN, CHUNK_SHUTDOWN_ACK},
        {CHUNK_SHUTDOWN_COMPLETE, 0},
    };
    bool ipv6 = options->to.any.sa_family == AF_INET6;
    bool full = strcmp(options->chunks, "full") == 0;
    int fd = open_raw(&options->bind, options->to.any.sa_family);
    gen_report_begin(options);
    gen_report_flows_begin(options);
    for (uint64_t i = 0; i < options->count && !gen_stopped(); i++) {
        uint16_t port = (uint16_t)(20000 + i);
        struct gen_flow flow = {.protocol = "sctp",
                                .src = options->bind,
                                .dst = options->to,
                                .echo_id = -1,
                                .icmp_type = -1,
                                .end = full ? "complete" : "init"};
        gen_addr_set_port(&flow.src, port);
        for (size_t step = 0; step < (full ? sizeof steps / sizeof steps[0] : 1); step++) {
            send_chunk(fd, &options->to, port, step == 0 ? 0 : SERVER_TAG, CLIENT_TAG,
                       steps[step].ask);
            flow.sent_packets++;
            if (full && steps[step].answer != 0) {
                if (!wait_chunk(fd, ipv6, port, steps[step].answer)) {
                    errno = ETIMEDOUT;
                    gen_die("no answer from the SCTP server");
                }
                flow.received_packets++;
            }
        }
        gen_report_flow(options, &flow);
    }
    gen_report_end(options);
    (void)close(fd);
    return 0;
}

int gen_sctp_server(const struct gen_options *options)
{
    bool ipv6 = options->bind.any.sa_family == AF_INET6;
    uint16_t port = gen_addr_port(&options->bind);
    int fd = open_raw(&options->bind, options->bind.any.sa_family);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    uint64_t n = 0;
    (void)fprintf(stderr, "ready\n");
    while (!gen_stopped()) {
        union gen_addr from;
        uint16_t from_port;
        if (poll(&wait, 1, 200) <= 0) {
            continue;
        }
        unsigned type = read_packet(fd, ipv6, port, &from, &from_port);
        unsigned answer = type == CHUNK_INIT          ? CHUNK_INIT_ACK
                          : type == CHUNK_COOKIE_ECHO ? CHUNK_COOKIE_ACK
                          : type == CHUNK_SHUTDOWN    ? CHUNK_SHUTDOWN_ACK
                                                      : 0;
        if (answer != 0) {
            gen_addr_set_port(&from, from_port);
            send_chunk(fd, &from, port, CLIENT_TAG, SERVER_TAG, answer);
            n++;
        }
    }
    gen_report_begin(options);
    gen_report_number(options, "answered", n);
    gen_report_flows_begin(options);
    gen_report_end(options);
    (void)close(fd);
    return 0;
}
