/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's connection tracking as an argument: the event socket, dumps, table fill and
 * switches.  Linux implements it (ct_kernel_linux.c); tests and simulations hand in others.
 *
 * What it delivers are raw netlink messages; decoding is ct_record.h's, meaning is source/'s.
 *
 * Thread: the events_ functions belong to the source thread, the dump_ functions to the pipeline
 * thread (they use sockets of their own), the rest to any one thread at a time.
 */
#ifndef FT_OS_CT_KERNEL_H
#define FT_OS_CT_KERNEL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct ft_ct_kernel;

/* Groups to listen to. */
#define FT_CT_GROUP_NEW     1U
#define FT_CT_GROUP_UPDATE  2U
#define FT_CT_GROUP_DESTROY 4U

struct ft_ct_events_options {
    unsigned groups;
    uint64_t rcvbuf_bytes; /* Effective bytes wanted (what SO_RCVBUF reports back). */
    bool reliable;         /* NETLINK_BROADCAST_ERROR: the kernel re-sends ENDs that did not fit. */
};

/* The switches below net.netfilter. */
enum ft_ct_switch {
    FT_CT_SWITCH_ACCT,
    FT_CT_SWITCH_TIMESTAMP,
    FT_CT_SWITCH_EVENTS,
    FT_CT_SWITCH_N
};

struct ft_ct_kernel_ops {
    /* Opens and subscribes.  '*ret_rcvbuf' is what was got. */
    ft_err (*events_open)(struct ft_ct_kernel *kernel, const struct ft_ct_events_options *options,
                          uint64_t *ret_rcvbuf);
    /*
     * The same with a socket that another process has opened and left, 'fd', which is taken over,
     * also on failure; 'drops' are those at this socket that were known there, and events_drops
     * goes on from them.  FT_E_UNSUPPORTED: it is no socket for events of conntrack.
     */
    ft_err (*events_adopt)(struct ft_ct_kernel *kernel, int fd,
                           const struct ft_ct_events_options *options, uint64_t drops,
                           uint64_t *ret_rcvbuf);
    /* Its descriptor, borrowed; -1 while closed.  May be NULL: there is none. */
    int (*events_fd)(const struct ft_ct_kernel *kernel);
    void (*events_close)(struct ft_ct_kernel *kernel);
    /* Reads one datagram without waiting.  -EAGAIN: nothing there.  FT_E_OVERRUN: the kernel
     * dropped something since the last call; go on reading.  Anything else: the socket is dead.
     * Datagrams that are not from the kernel (nl_pid != 0) are skipped and counted (n_foreign); one
     * that does not fit 'size' is lost, which is FT_E_OVERRUN too. */
    ft_err (*events_recv)(struct ft_ct_kernel *kernel, void *buf, size_t size, size_t *ret_size);
    /* Waits until something can be read, 'wake_fd' (-1: none) is readable or the deadline passes;
     * may return early.  Without an open socket it waits for the other two. */
    ft_err (*events_wait)(struct ft_ct_kernel *kernel, int wake_fd, int64_t deadline_mono_ns);
    ft_err (*events_set_groups)(struct ft_ct_kernel *kernel, unsigned groups);
    ft_err (*events_set_reliable)(struct ft_ct_kernel *kernel, bool reliable);
    /* Messages the kernel could not queue on this socket so far (sk_drops).  Counts each failed
     * attempt, so with 'reliable' it is more than what is lost. */
    ft_err (*events_drops)(struct ft_ct_kernel *kernel, uint64_t *ret_drops);

    /* Asks for the whole table, IPv4 and IPv6, on a socket of its own; one dump at a time. */
    ft_err (*dump_start)(struct ft_ct_kernel *kernel);
    /* Reads the next datagram of the answer, waiting at most 'wait_ms'.  FT_E_END when all is
     * told ('*ret_consistent', set only then, is false when the kernel says that the table changed
     * under the walk), -EAGAIN when nothing came in time.  Any other error, the kernel's own
     * included, ends the dump: begin a new one.  'size' is at least FT_CT_DATAGRAM_SIZE_MAX. */
    ft_err (*dump_recv)(struct ft_ct_kernel *kernel, unsigned wait_ms, void *buf, size_t size,
                        size_t *ret_size, bool *ret_consistent);
    void (*dump_abort)(struct ft_ct_kernel *kernel);

    ft_err (*table_fill)(struct ft_ct_kernel *kernel, uint64_t *ret_count, uint64_t *ret_max);
    ft_err (*switch_get)(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int *ret_value);
    ft_err (*switch_set)(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int value);
    /* Datagrams of other processes that were skipped.  May be NULL: none.  Source thread. */
    uint64_t (*n_foreign)(const struct ft_ct_kernel *kernel);

    void (*destroy)(struct ft_ct_kernel *kernel);
};

struct ft_ct_kernel {
    const struct ft_ct_kernel_ops *ops;
};

/* Larger than any datagram of ctnetlink: a dump's is at most 32 KiB (netlink_dump's allocation). */
#define FT_CT_DATAGRAM_SIZE_MAX 65536

/*
 * The running kernel, in the network namespace of the calling thread, which all threads that use
 * it must be in.  -EPERM without CAP_NET_ADMIN.
 */
FT_MUST_USE ft_err ft_ct_kernel_linux_create(struct ft_ct_kernel **ret_kernel);

/* Accepts NULL; closes what is open. */
void ft_ct_kernel_destroy(struct ft_ct_kernel *kernel);
FT_DEFINE_CLEANUP(struct ft_ct_kernel, ft_ct_kernel_destroy);

/* ops->n_foreign, 0 where there is none. */
uint64_t ft_ct_kernel_n_foreign(const struct ft_ct_kernel *kernel);

/* NETLINK_BROADCAST_ERROR of an event socket that is held for somebody else.  The system's error.
 */
FT_MUST_USE ft_err ft_ct_socket_set_reliable(int fd, bool reliable);

/* "nf_conntrack_acct": the file below /proc/sys/net/netfilter. */
const char *ft_ct_switch_name(enum ft_ct_switch which);

#endif
