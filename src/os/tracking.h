/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does this network namespace track connections at all?  A namespace does so only once something
 * in it asks: an nftables or iptables rule that looks at connection state, NAT, IPVS, a load
 * balancer's hook.  Without, there are no entries, no events and no error: the agent would report
 * silence as if nothing were going on.
 *
 * What is looked at, strongest first:
 *   1. The hooks themselves (nfnetlink_hook, Linux 5.14): conntrack's own function in the
 *      prerouting hook of IPv4 and IPv6.  This is the truth, whoever asked for it.
 *   2. Entries in the table: something is tracked, or was a short time ago.
 *   3. All nftables rules (iptables-nft's too), for expressions that need conntrack.
 *   4. The legacy iptables tables that exist (/proc/net/ip_tables_names).  Their rules are not
 *      read: where there are any, and nothing above says "yes", the answer is "unknown".
 * What it cannot know: without (1), requests that are not rules (IPVS, Open vSwitch, tc's act_ct, a
 * limit inside an nftables set); ever, rules that exempt some traffic (notrack), zones, and whether
 * IPv6 is asked for when only (2) or a rule of unclear family speaks.
 *
 * The repair is one nftables table of our own, 'inet flowtrail', with a single rule "ct state new"
 * without verdict, in a chain that no hook calls.  The kernel turns tracking on when a rule that
 * needs it is loaded, whether or not it is ever run; so no packet is looked at by our rule and none
 * can be altered, dropped or delayed by it.
 *
 * All of it acts in the calling thread's network namespace and needs CAP_NET_ADMIN.
 *
 * Thread: one call at a time (libnftables).
 */
#ifndef FT_OS_TRACKING_H
#define FT_OS_TRACKING_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum ft_tracking_state {
    FT_TRACKING_UNKNOWN, /* Nothing says yes, and not everything could be looked at. */
    FT_TRACKING_NONE,    /* Nothing here asks for tracking: there will be no events. */
    FT_TRACKING_ON,
    FT_TRACKING_STATE_N
};

/* What was found, for status and doctor. */
struct ft_tracking_report {
    enum ft_tracking_state state;
    bool hooks_known; /* The kernel lists its hooks. */
    bool ipv4;        /* Asked for by a hook or, where hooks are not known, by a rule. */
    bool ipv6;
    bool entries_known; /* 'n_entries' could be read. */
    uint64_t n_entries;
    bool rules_known; /* The nftables rules could be read. */
    bool rule;        /* One of them needs conntrack (ours included). */
    bool legacy;      /* There are legacy iptables tables. */
    bool repaired;    /* Our own table is there. */
};

/* Never fails as a whole: what could not be looked at is "not known". */
void ft_tracking_probe(struct ft_tracking_report *ret_report);

/*
 * Turns tracking on by our own table; one that a crash has left is replaced in the same
 * transaction.  -EEXIST when a table of that name is there that we did not make; -EPERM,
 * FT_E_UNSUPPORTED (no nftables in this kernel) and other errors of the kernel.
 */
FT_MUST_USE ft_err ft_tracking_repair(void);

/* Removes our table.  No error when there is none; -EEXIST as above. */
FT_MUST_USE ft_err ft_tracking_unrepair(void);

/* The conclusion alone, from what was found; ft_tracking_probe has done it already. */
enum ft_tracking_state ft_tracking_judge(const struct ft_tracking_report *report);

/* "on", "none", "unknown". */
const char *ft_tracking_state_name(enum ft_tracking_state state);

#endif
