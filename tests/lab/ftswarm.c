/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The swarm's command line, its loop, and the source addresses of its connections.
 *
 *   ftswarm --to HOST:PORT --token FILE --agents N [--events N] [--blocks N] [--interval MS] …
 *
 * All agents connect at once.  A phase gives each --blocks blocks; it begins with the start and
 * with each SIGUSR1.  SIGUSR2 begins one without new blocks.  With SIGTERM no more blocks are made;
 * it ends when all are acknowledged, or at the second SIGTERM.  One line of JSON is printed when a
 * phase is over, when it has settled (all welcomed, nothing waits), and at the end.
 */
#include "swarm.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rpc/rpc.h"

static volatile sig_atomic_t next_phases;
static volatile sig_atomic_t next_counts;
static volatile sig_atomic_t stops;

/* For connect(), which gRPC calls from threads of its own. */
static atomic_uint n_connections;
static unsigned n_addresses;
static unsigned subnet;

/* It has a name of its own because libc declares connect with a union instead of a pointer. */
int swarm_connect(int fd, const struct sockaddr *address, socklen_t size) __asm__("connect")
    __attribute__((visibility("default")));

/*
 * Takes precedence over libc's also for calls from within libgrpc.  A collector bounds what one
 * address may have, and a fleet has many: each connection gets the next one of 127.SUBNET.0.0/16.
 */
int swarm_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    if (n_addresses > 0) {
        uint32_t number = atomic_fetch_add(&n_connections, 1) % n_addresses;
        uint32_t host = htonl((UINT32_C(127) << 24) + (subnet << 16) + number + 1);
        if (address->sa_family == AF_INET6) {
            struct sockaddr_in6 own = {.sin6_family = AF_INET6};
            memset(own.sin6_addr.s6_addr + 10, 0xff, 2);
            memcpy(own.sin6_addr.s6_addr + 12, &host, sizeof host);
            (void)bind(fd, (const struct sockaddr *)&own, sizeof own);
        } else if (address->sa_family == AF_INET) {
            struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {.s_addr = host}};
            (void)bind(fd, (const struct sockaddr *)&own, sizeof own);
        }
    }
    return (int)syscall(SYS_connect, fd, address, size);
}

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        next_phases++;
    } else if (number == SIGUSR2) {
        next_counts++;
    } else {
        stops++;
    }
}

int64_t swarm_now(void) { return ft_clock_mono_ns(ft_clock_system()); }

_Noreturn void swarm_die(const char *what, ft_err err)
{
    (void)fprintf(stderr, "ftswarm: %s: %s\n", what, ft_err_text(err));
    exit(1);
}

static _Noreturn void usage(void)
{
    (void)fprintf(stderr, "ftswarm --to HOST:PORT --token FILE --agents N\n"
                          "  --events N     events of a block (50)\n"
                          "  --blocks N     blocks of each agent in each phase (1)\n"
                          "  --interval MS  between further blocks of an agent (none)\n"
                          "  --retain KIB   blocks of an agent that wait at most (16384)\n"
                          "  --ca FILE      TLS, with these authorities (none)\n"
                          "  --addresses N  source addresses (--agents, 60000 at most)\n"
                          "  --subnet N     of 127.N.0.0/16 (100)\n"
                          "  --connecting N agents that connect at the same time (500)\n"
                          "  --seed N       of identities and waits (1)\n"
                          "  --conduct good|flood|malformed|hang-up\n");
    exit(64);
}

static char *read_token(const char *path)
{
    static char line[FT_RPC_TOKEN_LEN_MAX + 2];
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        swarm_die(path, ft_err_last());
    }
    (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static enum swarm_conduct parse_conduct(const char *name)
{
    static const char *const names[] = {"good", "flood", "malformed", "hang-up"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum swarm_conduct)i;
        }
    }
    usage();
}

static void parse(int argc, char **argv, struct swarm_options *options)
{
    static const struct option known[] = {
        {"to", required_argument, NULL, 't'},         {"token", required_argument, NULL, 'k'},
        {"agents", required_argument, NULL, 'n'},     {"events", required_argument, NULL, 'e'},
        {"blocks", required_argument, NULL, 'b'},     {"interval", required_argument, NULL, 'i'},
        {"retain", required_argument, NULL, 'r'},     {"addresses", required_argument, NULL, 'a'},
        {"subnet", required_argument, NULL, 's'},     {"seed", required_argument, NULL, 'S'},
        {"connecting", required_argument, NULL, 'C'}, {"ca", required_argument, NULL, 'A'},
        {"conduct", required_argument, NULL, 'c'},    {NULL, 0, NULL, 0}};
    int which;
    while ((which = getopt_long(argc, argv, "", known, NULL)) != -1) {
        unsigned long number = which != '?' ? strtoul(optarg, NULL, 10) : 0;
        switch (which) {
        case 't':
            options->to = optarg;
            break;
        case 'k':
            options->token = read_token(optarg);
            break;
        case 'n':
            options->n_agents = (unsigned)number;
            break;
        case 'e':
            options->n_events = (unsigned)number;
            break;
        case 'b':
            options->n_blocks = (unsigned)number;
            break;
        case 'i':
            options->interval_ns = (int64_t)number * FT_NS_PER_MS;
            break;
        case 'r':
            options->retain_bytes = (uint64_t)number << 10;
            break;
        case 'a':
            options->n_addresses = (unsigned)number;
            break;
        case 's':
            options->subnet = (unsigned)number;
            break;
        case 'A':
            options->ca = optarg;
            break;
        case 'C':
            options->connecting_max = (unsigned)number;
            break;
        case 'S':
            options->seed = number;
            break;
        case 'c':
            options->conduct = parse_conduct(optarg);
            break;
        default:
            usage();
        }
    }
    if (options->to == NULL || options->token == NULL || options->n_agents == 0 ||
        options->n_events == 0 || options->n_events > FT_BATCH_EVENTS_MAX ||
        options->subnet > 255) {
        usage();
    }
    if (options->n_addresses == 0) {
        options->n_addresses = options->n_agents;
    }
    if (options->n_addresses > 60000) {
        options->n_addresses = 60000;
    }
}

static void begin(struct swarm *swarm)
{
    ft_random_seeded_init(&swarm->random, swarm->options.seed);
    char url[256];
    const char *ca = swarm->options.ca;
    (void)snprintf(url, sizeof url, "%s://%s", ca != NULL ? "https" : "http", swarm->options.to);
    struct ft_rpc_client_options client = {
        .url = url, .plaintext = FT_RPC_PLAINTEXT_ANYWHERE, .ca_path = ca};
    struct ft_diag diag = {0};
    if (ft_rpc_channel_config_init(&swarm->channel_config, &client, &diag) != FT_OK) {
        swarm_die(diag.text, FT_E_SYNTAX);
    }
    swarm->queue = grpc_completion_queue_create_for_next(NULL);
    ft_buf_init(&swarm->buf, 0);
    ft_err err = ft_batch_builder_create(&(struct ft_uuid){0}, &swarm->builder);
    swarm->agents = calloc(swarm->options.n_agents, sizeof swarm->agents[0]);
    if (err != FT_OK || swarm->agents == NULL) {
        swarm_die("memory", ft_err_from_errno(ENOMEM));
    }
    int64_t now_ns = swarm_now();
    swarm_counts_begin(&swarm->counts, now_ns);
    for (unsigned i = 0; i < swarm->options.n_agents; i++) {
        swarm_agent_init(&swarm->agents[i], swarm, now_ns);
        swarm_agent_give(&swarm->agents[i], now_ns);
    }
}

static void next_phase(struct swarm *swarm, bool give, int64_t now_ns)
{
    swarm_report(swarm, "next", now_ns);
    swarm->phase++;
    swarm_counts_begin(&swarm->counts, now_ns);
    for (unsigned i = 0; i < swarm->options.n_agents; i++) {
        swarm->agents[i].n_connects = 0;
        if (give) {
            swarm_agent_give(&swarm->agents[i], now_ns);
        }
    }
}

static bool is_settled(const struct swarm *swarm)
{
    return swarm->n_connected == swarm->options.n_agents && swarm->n_retained_blocks == 0;
}

/* True: go on. */
static bool do_signals(struct swarm *swarm, int64_t now_ns)
{
    static sig_atomic_t phases_done;
    static sig_atomic_t counts_done;
    while (phases_done < next_phases) {
        phases_done++;
        next_phase(swarm, true, now_ns);
    }
    while (counts_done < next_counts) {
        counts_done++;
        next_phase(swarm, false, now_ns);
    }
    swarm->stopping = stops > 0;
    if (swarm->counts.settled_ns == 0 && is_settled(swarm)) {
        swarm->counts.settled_ns = now_ns;
        swarm_report(swarm, "settled", now_ns);
    }
    return stops == 0 || (stops == 1 && swarm->n_retained_blocks > 0);
}

/* Does what all connections have to do, whatever the agents are at: gRPC lets any queue's poller.
 */
static void *do_io(void *arg)
{
    grpc_completion_queue *queue = arg;
    for (;;) {
        (void)grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    }
    return NULL;
}

/*
 * A connection takes half a millisecond to make.  Other hosts go on meanwhile with what they have
 * begun, and so must the other agents: else the collector sees a host that answers after seconds.
 */
static void run_all(struct swarm *swarm)
{
    static unsigned turn; /* Who waited longest to connect comes first. */
    unsigned n = swarm->options.n_agents;
    unsigned begin_at = turn;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = (begin_at + i) % n;
        uint64_t before = swarm->counts.connects;
        swarm_agent_run(&swarm->agents[at], swarm_now());
        if (swarm->counts.connects != before) {
            turn = at + 1;
            while (swarm_stream_next(swarm, 0)) {
            }
        }
    }
}

static void run(struct swarm *swarm)
{
    /* Looking after all of them takes a while. */
    int64_t tick_ns = swarm->options.n_agents > 1000 ? 20 * FT_NS_PER_MS : FT_NS_PER_MS;
    int64_t tick_due_ns = 0;
    for (;;) {
        int64_t now_ns = swarm_now();
        if (now_ns >= tick_due_ns) {
            if (!do_signals(swarm, now_ns)) {
                break;
            }
            run_all(swarm);
            tick_due_ns = swarm_now() + tick_ns;
        }
        (void)swarm_stream_next(swarm, tick_due_ns);
    }
    swarm_report(swarm, "end", swarm_now());
}

int main(int argc, char **argv)
{
    static struct swarm swarm = {.options = {.n_events = 50,
                                             .n_blocks = 1,
                                             .retain_bytes = (uint64_t)16 << 20,
                                             .subnet = 100,
                                             .connecting_max = 500,
                                             .seed = 1}};
    parse(argc, argv, &swarm.options);
    n_addresses = swarm.options.n_addresses;
    subnet = swarm.options.subnet;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigaction(SIGUSR2, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    ft_rpc_init(NULL);
    begin(&swarm);
    pthread_t io;
    if (pthread_create(&io, NULL, do_io, grpc_completion_queue_create_for_next(NULL)) != 0) {
        swarm_die("a thread", ft_err_from_errno(EAGAIN));
    }
    run(&swarm);
    for (unsigned i = 0; i < swarm.options.n_agents; i++) {
        swarm_agent_deinit(&swarm.agents[i]);
    }
    /* The process ends with ten thousand connections open: closing them in order helps nobody. */
    _exit(0);
}
