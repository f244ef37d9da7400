/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets: what the conntrack, address and nftables readers share.  Private to os/.
 *
 * All sockets are non-blocking and close-on-exec.  Only datagrams of the kernel are handed out.
 *
 * Thread: one per socket.
 */
#ifndef FT_OS_NETLINK_H
#define FT_OS_NETLINK_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Datagrams of other processes that one call skips before it gives way with -EAGAIN. */
#define FT_NL_FOREIGN_MAX 64

/* 'bus' is NETLINK_NETFILTER, NETLINK_ROUTE. */
FT_MUST_USE ft_err ft_nl_open(int bus, int *ret_fd);

FT_MUST_USE ft_err ft_nl_join(int fd, unsigned group);
FT_MUST_USE ft_err ft_nl_leave(int fd, unsigned group);

/*
 * Makes the receive buffer 'bytes' as SO_RCVBUF reports it: past net.core.rmem_max with
 * CAP_NET_ADMIN, else up to it.  '*ret_bytes' is what it is then; getting less is no error.
 */
FT_MUST_USE ft_err ft_nl_set_rcvbuf(int fd, uint64_t bytes, uint64_t *ret_bytes);

/* Sends a message that libmnl made. */
FT_MUST_USE ft_err ft_nl_send(int fd, const void *message, size_t size);

/*
 * Reads one datagram of the kernel without waiting.  -EAGAIN: nothing there; -ENOBUFS: the kernel
 * dropped some since the last call; -EMSGSIZE: this one did not fit and is gone.  '*n_foreign'
 * counts up for each datagram that another process sent.
 */
FT_MUST_USE ft_err ft_nl_recv(int fd, void *buf, size_t size, size_t *ret_size,
                              uint64_t *n_foreign);

/* Waits until 'fd' or 'wake_fd' (each may be -1) is readable or failed, or the deadline passes. */
FT_MUST_USE ft_err ft_nl_wait(int fd, int wake_fd, int64_t deadline_mono_ns);

#endif
