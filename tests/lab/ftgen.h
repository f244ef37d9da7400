/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lab's traffic generator: makes connections of every kind and writes down, as JSON, exactly
 * what it did.  What it wrote is an oracle that the tests hold flowtrail against, so it counts what
 * went through its own sockets and asks nobody else.
 *
 * Payload bytes are what the sockets carried; the kernel's connection tracking counts whole IP
 * packets, headers included.
 *
 * Thread: single-threaded.
 */
#ifndef FT_TESTS_LAB_FTGEN_H
#define FT_TESTS_LAB_FTGEN_H 1

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

/* An address with a port, of either family. */
union gen_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* What the command line says; 0 means the default of the mode. */
struct gen_options {
    const char *mode;
    const char *close; /* fin, rst or none */
    const char *serve; /* echo, sink or source */
    const char *chunks;
    union gen_addr to;
    union gen_addr bind;
    uint64_t count;
    double rate;    /* new connections or packets per second; 0: as fast as it goes */
    double seconds; /* how long */
    double hold;    /* how long to keep connections open before closing them */
    uint64_t send_bytes;
    uint64_t recv_bytes;
    double byte_rate;
    uint32_t spread; /* udp: number of destination addresses, from 'to' on */
    uint32_t ports;  /* udp: number of destination ports, from that of 'to' on */
    uint8_t protocol;
    FILE *out;
};

/* One connection, as the report shows it. */
struct gen_flow {
    const char *protocol;
    union gen_addr src;
    union gen_addr dst;
    int echo_id;   /* -1: none */
    int icmp_type; /* -1: none */
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t sent_packets; /* 0: not known (TCP) */
    uint64_t received_packets;
    const char *end; /* how it ended: "fin", "rst", "refused", "open", … */
};

/* The modes; each returns the exit code. */
int gen_udp(const struct gen_options *options);
int gen_udp_client(const struct gen_options *options);
int gen_udp_echo(const struct gen_options *options);
int gen_tcp(const struct gen_options *options);
int gen_tcp_server(const struct gen_options *options);
int gen_ping(const struct gen_options *options);
int gen_sctp(const struct gen_options *options);
int gen_sctp_server(const struct gen_options *options);
int gen_raw(const struct gen_options *options);

/* Pacing: waits until event number 'i' is due at 'rate' since 'begin_ns'.  Never ahead. */
int64_t gen_now_ns(void);
void gen_pace(int64_t begin_ns, uint64_t i, double rate);
void gen_sleep(double seconds);

/* True from SIGTERM or SIGINT on. */
bool gen_stopped(void);

socklen_t gen_addr_len(const union gen_addr *addr);
uint16_t gen_addr_port(const union gen_addr *addr);
void gen_addr_set_port(union gen_addr *addr, uint16_t port);
/* Adds 'n' to an IPv4 address, or to the last 32 bits of an IPv6 one. */
void gen_addr_add(union gen_addr *addr, uint32_t n);

/* Prints the text and errno's, and exits with 1: a generator that could not do what it was told
 * must not look like one that did. */
_Noreturn void gen_die(const char *what);

/* The report: {"mode": …, <fields>, "flows": [ … ]}. */
void gen_report_begin(const struct gen_options *options);
void gen_report_number(const struct gen_options *options, const char *name, uint64_t value);
void gen_report_addr(const struct gen_options *options, const char *name,
                     const union gen_addr *addr);
void gen_report_flows_begin(const struct gen_options *options);
void gen_report_flow(const struct gen_options *options, const struct gen_flow *flow);
void gen_report_end(const struct gen_options *options);

#endif
