/* SPDX-License-Identifier: Apache-2.0 */
#include "ftgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stopped;

static const struct {
    const char *name;
    int (*run)(const struct gen_options *options);
    const char *what;
} modes[] = {
    {"udp", gen_udp, "single packets to distinct tuples (--spread, --ports), or --count"},
    {"udp-client", gen_udp_client, "one packet from a new port, and its answer"},
    {"udp-echo", gen_udp_echo, "answers every datagram on --bind"},
    {"tcp", gen_tcp, "connect, send, receive, close"},
    {"tcp-server", gen_tcp_server, "--serve echo|sink|source on --bind"},
    {"ping", gen_ping, "ICMP or ICMPv6 echo, one identifier per --count, --ports echoes each"},
    {"sctp", gen_sctp, "an association by raw packets: --chunks init or full"},
    {"sctp-server", gen_sctp_server, "answers it on --bind"},
    {"raw", gen_raw, "packets of IP protocol --protocol"},
};

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

bool gen_stopped(void) { return stopped != 0; }

void gen_die(const char *what)
{
    (void)fprintf(stderr, "ftgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

static _Noreturn void usage(const char *problem)
{
    (void)fprintf(stderr, "ftgen: %s\n\nftgen MODE --to ADDR:PORT [options]\n", problem);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        (void)fprintf(stderr, "  %-12s %s\n", modes[i].name, modes[i].what);
    }
    (void)fprintf(stderr,
                  "options: --bind ADDR[:PORT] --count N --rate PER_SECOND --seconds S --hold S\n"
                  "         --send BYTES --recv BYTES --byte-rate PER_SECOND --close fin|rst|none\n"
                  "         --serve echo|sink|source --spread N --ports N --protocol N\n"
                  "         --chunks init|full --out FILE\n");
    exit(64);
}

/* "192.0.2.1:80", "[2001:db8::1]:80", or either without the port. */
static void parse_addr(const char *text, union gen_addr *ret_addr)
{
    char host[64];
    unsigned long port = 0;
    const char *colon = strrchr(text, ':');
    size_t len = strlen(text);
    memset(ret_addr, 0, sizeof *ret_addr);
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL) {
            usage("a bracket is missing in an address");
        }
        port = end[1] == ':' ? strtoul(end + 2, NULL, 10) : 0;
        text++;
        len = (size_t)(end - text);
    } else if (colon != NULL && strchr(text, ':') == colon) {
        port = strtoul(colon + 1, NULL, 10);
        len = (size_t)(colon - text);
    }
    if (len >= sizeof host || port > 65535) {
        usage("bad address");
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, &ret_addr->v4.sin_addr) == 1) {
        ret_addr->any.sa_family = AF_INET;
    } else if (inet_pton(AF_INET6, host, &ret_addr->v6.sin6_addr) == 1) {
        ret_addr->any.sa_family = AF_INET6;
    } else {
        usage("bad address");
    }
    gen_addr_set_port(ret_addr, (uint16_t)port);
}

static void parse_option(struct gen_options *options, int which)
{
    switch (which) {
    case 't':
        parse_addr(optarg, &options->to);
        break;
    case 'b':
        parse_addr(optarg, &options->bind);
        break;
    case 'n':
        options->count = strtoull(optarg, NULL, 10);
        break;
    case 'r':
        options->rate = strtod(optarg, NULL);
        break;
    case 's':
        options->seconds = strtod(optarg, NULL);
        break;
    case 'h':
        options->hold = strtod(optarg, NULL);
        break;
    case 'S':
        options->send_bytes = strtoull(optarg, NULL, 10);
        break;
    case 'R':
        options->recv_bytes = strtoull(optarg, NULL, 10);
        break;
    case 'B':
        options->byte_rate = strtod(optarg, NULL);
        break;
    case 'c':
        options->close = optarg;
        break;
    case 'v':
        options->serve = optarg;
        break;
    case 'd':
        options->spread = (uint32_t)strtoul(optarg, NULL, 10);
        break;
    case 'p':
        options->ports = (uint32_t)strtoul(optarg, NULL, 10);
        break;
    case 'P':
        options->protocol = (uint8_t)strtoul(optarg, NULL, 10);
        break;
    case 'k':
        options->chunks = optarg;
        break;
    case 'o':
        options->out = fopen(optarg, "we");
        if (options->out == NULL) {
            gen_die(optarg);
        }
        break;
    default:
        usage("unknown option");
    }
}

static void parse(int argc, char **argv, struct gen_options *options)
{
    static const struct option longs[] = {
        {"to", 1, 0, 't'},
        {"bind", 1, 0, 'b'},
        {"count", 1, 0, 'n'},
        {"rate", 1, 0, 'r'},
        {"seconds", 1, 0, 's'},
        {"hold", 1, 0, 'h'},
        {"send", 1, 0, 'S'},
        {"recv", 1, 0, 'R'},
        {"byte-rate", 1, 0, 'B'},
        {"close", 1, 0, 'c'},
        {"serve", 1, 0, 'v'},
        {"spread", 1, 0, 'd'},
        {"ports", 1, 0, 'p'},
        {"protocol", 1, 0, 'P'},
        {"chunks", 1, 0, 'k'},
        {"out", 1, 0, 'o'},
        {0, 0, 0, 0},
    };
    *options = (struct gen_options){
        .close = "fin", .serve = "echo", .chunks = "full", .count = 1, .out = stdout};
    for (;;) {
        int which = getopt_long(argc, argv, "", longs, NULL);
        if (which < 0) {
            break;
        }
        parse_option(options, which);
    }
    if (optind + 1 != argc) {
        usage("one mode, please");
    }
    options->mode = argv[optind];
}

int main(int argc, char **argv)
{
    struct gen_options options;
    parse(argc, argv, &options);
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(options.mode, modes[i].name) == 0) {
            int status = modes[i].run(&options);
            if (fclose(options.out) != 0) {
                gen_die("the report");
            }
            return status;
        }
    }
    usage("no such mode");
}

int64_t gen_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void gen_pace(int64_t begin_ns, uint64_t i, double rate)
{
    if (rate <= 0) {
        return;
    }
    int64_t due_ns = begin_ns + (int64_t)((double)i * 1e9 / rate);
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    while (due_ns > gen_now_ns() && !gen_stopped()) {
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}

void gen_sleep(double seconds) { gen_pace(gen_now_ns(), 1, seconds > 0 ? 1 / seconds : 0); }

socklen_t gen_addr_len(const union gen_addr *addr)
{
    return addr->any.sa_family == AF_INET6 ? sizeof addr->v6 : sizeof addr->v4;
}

uint16_t gen_addr_port(const union gen_addr *addr)
{
    return ntohs(addr->any.sa_family == AF_INET6 ? addr->v6.sin6_port : addr->v4.sin_port);
}

void gen_addr_set_port(union gen_addr *addr, uint16_t port)
{
    if (addr->any.sa_family == AF_INET6) {
        addr->v6.sin6_port = htons(port);
    } else {
        addr->v4.sin_port = htons(port);
    }
}

void gen_addr_add(union gen_addr *addr, uint32_t n)
{
    if (addr->any.sa_family == AF_INET6) {
        uint32_t *last = &addr->v6.sin6_addr.s6_addr32[3];
        *last = htonl(ntohl(*last) + n);
    } else {
        addr->v4.sin_addr.s_addr = htonl(ntohl(addr->v4.sin_addr.s_addr) + n);
    }
}
