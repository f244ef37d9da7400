/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which flows are reported: a list of rules over the tuple, the first that matches decides, and
 * what matches none is kept.  It stands between the flow table and the log: what it drops never
 * becomes an event and never takes a sequence number, but is counted.
 *
 * A rule matches a flow when each of its parts that is set matches: the protocol is in the list,
 * and one end (source or destination, or one of the reply tuple's) has an address in the ranges
 * and, where ports are set, that same end's port is in the ranges.
 *
 * No I/O, no clock.  Thread: a filter is immutable once made, so any; a change makes a new one and
 * the owner swaps them.
 */
#ifndef FT_FILTER_FILTER_H
#define FT_FILTER_FILTER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "flow/event.h"

#define FT_FILTER_RULES_MAX     256
#define FT_FILTER_ADDRESSES_MAX 256
#define FT_FILTER_PORTS_MAX     64
#define FT_FILTER_PROTOCOLS_MAX 32

enum ft_filter_action { FT_FILTER_KEEP, FT_FILTER_DROP };

struct ft_port_range {
    uint16_t first;
    uint16_t last;
};

/* "53" or "1000-2000"; FT_E_SYNTAX, FT_E_RANGE. */
FT_MUST_USE ft_err ft_port_range_parse(const char *text, struct ft_port_range *ret_range);

struct ft_filter_rule {
    enum ft_filter_action action;
    const struct ft_cidr *addresses; /* Borrowed; copied by ft_filter_create. */
    size_t n_addresses;              /* 0: any */
    const struct ft_port_range *ports;
    size_t n_ports; /* 0: any */
    const uint8_t *protocols;
    size_t n_protocols; /* 0: any */
};

/* Why a flow was (not) kept. */
enum ft_filter_verdict {
    FT_VERDICT_KEPT,
    FT_VERDICT_OWN,      /* The exporter's own connection. */
    FT_VERDICT_LOOPBACK, /* Both ends in 127.0.0.0/8 or ::1. */
    FT_VERDICT_RULE,
    FT_VERDICT_N
};

struct ft_filter_options {
    bool drop_loopback;
    const struct ft_filter_rule *rules;
    size_t n_rules;
};

struct ft_filter;

/* Copies the rules.  FT_E_RANGE past the bounds above. */
FT_MUST_USE ft_err ft_filter_create(const struct ft_filter_options *options,
                                    struct ft_filter **ret_filter);
void ft_filter_destroy(struct ft_filter *filter);
FT_DEFINE_CLEANUP(struct ft_filter, ft_filter_destroy);

/*
 * Where the exporter is connected to.  A TCP flow from this host to it is the agent's own: were it
 * reported, each report would make the next one.
 */
struct ft_filter_peer {
    struct ft_addr addr;
    bool ipv6;
    uint16_t port;
};

/* 'peers' are the addresses of the collector in use; an event without a tuple (LOSS) is kept. */
enum ft_filter_verdict ft_filter_judge(const struct ft_filter *filter,
                                       const struct ft_filter_peer *peers, size_t n_peers,
                                       const struct ft_event *event);

#endif
