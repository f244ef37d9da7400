/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of its connections, as text: the lines of `conntrack -E -o timestamp,
 * extended,id` with the start and stop time in nanoseconds behind, from libnetfilter_conntrack and
 * so from another parser than the agent's.  The tool itself will not do for bursts: its option for
 * the buffer size (1.4.7) does not reach the socket that the events come on.
 *
 * Ends with SIGTERM, when everything queued is printed; exits with 1 when the kernel dropped
 * something, because then it is no witness.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile sig_atomic_t stopped;
static bool overrun;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static int on_event(enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *data)
{
    char text[1024];
    struct timeval now;
    (void)data;
    (void)gettimeofday(&now, NULL);
    (void)nfct_snprintf(text, sizeof text, ct, (unsigned)type, NFCT_O_DEFAULT,
                        NFCT_OF_SHOW_LAYER3 | NFCT_OF_ID);
    (void)printf("[%ld.%06ld]\t%s", (long)now.tv_sec, (long)now.tv_usec, text);
    if (nfct_attr_is_set(ct, ATTR_TIMESTAMP_START) > 0) {
        (void)printf(" start_ns=%" PRIu64, nfct_get_attr_u64(ct, ATTR_TIMESTAMP_START));
    }
    if (nfct_attr_is_set(ct, ATTR_TIMESTAMP_STOP) > 0) {
        (void)printf(" stop_ns=%" PRIu64, nfct_get_attr_u64(ct, ATTR_TIMESTAMP_STOP));
    }
    (void)printf("\n");
    return NFCT_CB_CONTINUE;
}

/* Prints what is queued; nfct_catch() goes on until the socket, which does not block, is empty. */
static void drain(struct nfct_handle *handle)
{
    while (nfct_catch(handle) < 0 && errno != EAGAIN) {
        if (errno == ENOBUFS) {
            overrun = true;
        } else if (errno != EINTR) {
            (void)fprintf(stderr, "ftwatch: %s\n", strerror(errno));
            exit(1);
        }
    }
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    struct nfct_handle *handle =
        nfct_open(CONNTRACK, NF_NETLINK_CONNTRACK_NEW | NF_NETLINK_CONNTRACK_DESTROY |
                                 NF_NETLINK_CONNTRACK_UPDATE);
    int room = 512 << 20;
    if (handle == NULL ||
        setsockopt(nfct_fd(handle), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0) {
        (void)fprintf(stderr, "ftwatch: %s\n", strerror(errno));
        return 1;
    }
    (void)fcntl(nfct_fd(handle), F_SETFL, O_NONBLOCK);
    (void)nfct_callback_register(handle, NFCT_T_ALL, on_event, NULL);
    struct pollfd wait = {.fd = nfct_fd(handle), .events = POLLIN};
    (void)fprintf(stderr, "ready\n");
    while (stopped == 0) {
        if (poll(&wait, 1, 100) > 0) {
            drain(handle);
        }
    }
    drain(handle);
    if (overrun) {
        (void)fprintf(stderr, "ftwatch: the kernel dropped events\n");
    }
    (void)nfct_close(handle);
    return overrun ? 1 : 0;
}
