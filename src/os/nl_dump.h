/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list that the kernel gives over netlink (addresses, nftables rules, hooks), read whole on a
 * socket of its own.  For lists that are asked for seldom; conntrack's table has os/ct_dump.h.
 * Private to os/.
 *
 * Thread: any.
 */
#ifndef FT_OS_NL_DUMP_H
#define FT_OS_NL_DUMP_H 1

#include <linux/netlink.h>
#include <stdbool.h>

#include "base/error.h"

/* The kernel answers at once; a list that stops for so long will not go on (-ETIMEDOUT). */
#define FT_NL_DUMP_WAIT_S 2

/* Gets each message but those of netlink itself; an error ends the dump and is handed up. */
typedef ft_err ft_nl_message_fn(const struct nlmsghdr *header, void *ctx);

/*
 * Sends 'request', which libmnl made, with the flags of a dump, and calls 'fn' for each message of
 * the answer.  '*ret_consistent' is false when the list changed while it was read.  Fails with the
 * kernel's error.
 */
FT_MUST_USE ft_err ft_nl_dump(int bus, struct nlmsghdr *request, ft_nl_message_fn *fn, void *ctx,
                              bool *ret_consistent);

#endif
