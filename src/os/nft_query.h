/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What os/tracking.h asks the kernel's nftables and hook lists, read message by message, so that a
 * rule set of any size takes no memory.  Private to os/.
 *
 * Thread: any.
 */
#ifndef FT_OS_NFT_QUERY_H
#define FT_OS_NFT_QUERY_H 1

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Which address families ask for tracking. */
struct ft_nft_needs {
    bool known; /* The answer said something that could be used. */
    bool ipv4;
    bool ipv6;
};

/* Adds what one message of a list says; garbage says nothing. */
void ft_nft_needs_of_rule(const struct nlmsghdr *header, struct ft_nft_needs *needs);
void ft_nft_needs_of_hook(const struct nlmsghdr *header, struct ft_nft_needs *needs);

/* All rules of all tables, whose expressions need conntrack. */
FT_MUST_USE ft_err ft_nft_query_rules(struct ft_nft_needs *ret_needs);

/* The prerouting hooks.  Fails on kernels that cannot list them. */
FT_MUST_USE ft_err ft_nft_query_hooks(struct ft_nft_needs *ret_needs);

/* Whether 'inet NAME' is there and, if so, whether it carries 'comment'. */
FT_MUST_USE ft_err ft_nft_query_table(const char *name, const char *comment, bool *ret_there,
                                      bool *ret_ours);

#endif
