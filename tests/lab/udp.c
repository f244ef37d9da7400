/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP.  Distinct tuples come from distinct destination addresses and ports, in a fixed order, so
 * that a million flows are described by four numbers: flow i goes to address 'to' + i % spread,
 * port 'to' + i / spread.
 */
#include "ftgen.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define BATCH_MAX   64
#define PAYLOAD_MAX 1400
#define FIRST_PORT  10000
#define N_PORTS     20000

static int open_udp(const union gen_addr *bind_to, int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        gen_die("socket");
    }
    int room = 8 << 20;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    union gen_addr local = *bind_to;
    if (local.any.sa_family == AF_UNSPEC) {
        local.any.sa_family = (sa_family_t)family;
    }
    if (bind(fd, &local.any, gen_addr_len(&local)) != 0) {
        gen_die("bind");
    }
    return fd;
}

static union gen_addr destination(const struct gen_options *options, uint64_t i)
{
    union gen_addr to = options->to;
    gen_addr_add(&to, (uint32_t)(i % options->spread));
    gen_addr_set_port(&to, (uint16_t)(gen_addr_port(&to) + i / options->spread));
    return to;
}

static void send_batch(int fd, const struct gen_options *options, uint64_t first, unsigned n)
{
    static char payload[PAYLOAD_MAX];
    struct mmsghdr messages[BATCH_MAX];
    struct iovec iov = {.iov_base = payload, .iov_len = (size_t)options->send_bytes};
    union gen_addr to[BATCH_MAX];
    for (unsigned i = 0; i < n; i++) {
        to[i] = destination(options, first + i);
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &to[i],
                                                   .msg_namelen = gen_addr_len(&to[i]),
                                                   .msg_iov = &iov,
                                                   .msg_iovlen = 1}};
    }
    for (unsigned done = 0; done < n;) {
        int sent = sendmmsg(fd, messages + done, n - done, 0);
        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR && errno != ECONNREFUSED) {
            gen_die("sendmmsg");
        }
    }
}

/* What comes back, until nothing has come for the last 300 ms or everything is answered. */
static uint64_t receive_answers(int fd, uint64_t expected, uint64_t *ret_bytes)
{
    char buf[PAYLOAD_MAX];
    uint64_t n = 0;
    *ret_bytes = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (n < expected && poll(&wait, 1, 300) > 0) {
        ssize_t size = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (size >= 0) {
            n++;
            *ret_bytes += (uint64_t)size;
        } else if (errno != ECONNREFUSED && errno != EAGAIN) {
            gen_die("recv");
        }
    }
    return n;
}

int gen_udp(const struct gen_options *given)
{
    struct gen_options options = *given;
    options.spread = options.spread > 0 ? options.spread : 1;
    options.ports = options.ports > 0 ? options.ports : 1;
    uint64_t total = options.count > 1 ? options.count : (uint64_t)options.spread * options.ports;
    if (options.rate > 0 && options.seconds > 0) {
        total = (uint64_t)(options.rate * options.seconds);
    }
    if (total > (uint64_t)options.spread * options.ports || options.send_bytes > PAYLOAD_MAX) {
        errno = EINVAL;
        gen_die("more packets than --spread times --ports tuples, or too long ones");
    }
    int fd = open_udp(&options.bind, options.to.any.sa_family);
    int64_t begin = gen_now_ns();
    uint64_t sent = 0;
    /* Slow traffic is not to come in bursts. */
    unsigned batch = options.rate <= 0 || options.rate > BATCH_MAX * 100 ? BATCH_MAX : 1;
    while (sent < total && !gen_stopped()) {
        unsigned n = total - sent < batch ? (unsigned)(total - sent) : batch;
        gen_pace(begin, sent, options.rate);
        send_batch(fd, &options, sent, n);
        sent += n;
    }
    int64_t took = gen_now_ns() - begin;
    uint64_t bytes = 0;
    uint64_t answers = options.recv_bytes > 0 ? receive_answers(fd, sent, &bytes) : 0;
    union gen_addr local = {0};
    socklen_t len = sizeof local;
    (void)getsockname(fd, &local.any, &len);
    gen_report_begin(&options);
    gen_report_addr(&options, "src", &local);
    gen_report_addr(&options, "dst", &options.to);
    gen_report_number(&options, "sent", sent);
    gen_report_number(&options, "spread", options.spread);
    gen_report_number(&options, "payload_bytes", options.send_bytes);
    gen_report_number(&options, "answers", answers);
    gen_report_number(&options, "answer_bytes", bytes);
    gen_report_number(&options, "took_ns", (uint64_t)took);
    gen_report_flows_begin(&options);
    gen_report_end(&options);
    (void)close(fd);
    return sent == total ? 0 : 1;
}

/* A socket with a port that this run has not had yet: the kernel's own choice repeats itself. */
static int open_fresh_port(const struct gen_options *options, uint64_t i)
{
    union gen_addr local = options->bind;
    local.any.sa_family = options->to.any.sa_family;
    gen_addr_set_port(&local, (uint16_t)(FIRST_PORT + ((uint64_t)getpid() * 97 + i) % N_PORTS));
    return open_udp(&local, local.any.sa_family);
}

int gen_udp_client(const struct gen_options *options)
{
    static const char payload[PAYLOAD_MAX];
    if (options->send_bytes > PAYLOAD_MAX) {
        errno = EINVAL;
        gen_die("too much payload");
    }
    gen_report_begin(options);
    gen_report_flows_begin(options);
    int64_t begin = gen_now_ns();
    for (uint64_t i = 0; i < options->count && !gen_stopped(); i++) {
        struct gen_flow flow = {
            .protocol = "udp", .dst = options->to, .echo_id = -1, .icmp_type = -1, .end = "none"};
        gen_pace(begin, i, options->rate);
        int fd = open_fresh_port(options, i);
        if (connect(fd, &options->to.any, gen_addr_len(&options->to)) != 0 ||
            send(fd, payload, (size_t)options->send_bytes, 0) != (ssize_t)options->send_bytes) {
            gen_die("send");
        }
        socklen_t len = sizeof flow.src;
        (void)getsockname(fd, &flow.src.any, &len);
        flow.sent_packets = 1;
        flow.sent_bytes = options->send_bytes;
        if (options->recv_bytes > 0) {
            flow.received_packets = receive_answers(fd, 1, &flow.received_bytes);
        }
        gen_report_flow(options, &flow);
        (void)close(fd);
    }
    gen_report_end(options);
    return 0;
}

int gen_udp_echo(const struct gen_options *options)
{
    char buf[PAYLOAD_MAX];
    int fd = open_udp(&options->bind, options->bind.any.sa_family);
    uint64_t n = 0;
    (void)fprintf(stderr, "ready\n");
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (!gen_stopped()) {
        if (poll(&wait, 1, 200) <= 0) {
            continue;
        }
        union gen_addr from;
        socklen_t len = sizeof from;
        ssize_t size = recvfrom(fd, buf, sizeof buf, MSG_DONTWAIT, &from.any, &len);
        if (size >= 0 && sendto(fd, buf, (size_t)size, 0, &from.any, len) == size) {
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
