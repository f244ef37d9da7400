/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's own addresses, and from them the direction of a flow.
 *
 * The source is the original tuple's source; the destination is where packets really go, which is
 * the reply tuple's source.  So a port forwarded to another machine is FORWARDED although its
 * original destination is this host, and a redirect into this host is INGRESS although it is not;
 * masquerading changes nothing, because the original source stays another machine's.
 *
 *     destination local -> INGRESS     source local -> EGRESS     both -> LOCAL     none ->
 *     FORWARDED
 *
 * A group or broadcast address is where this host takes part, so it counts as local when the source
 * is not.  127.0.0.0/8 and ::1 are always local.  As long as no addresses were given, everything
 * else is UNKNOWN.
 *
 * Bound: FT_LOCALS_MAX addresses; further ones are passed over and counted.
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_LOCALS_H
#define FT_SOURCE_LOCALS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/event.h"
#include "os/ct_record.h"

#define FT_LOCALS_MAX 4096

/* The size of one address in a LOCAL_ADDRS chunk: family (4, 6) and the address. */
#define FT_LOCALS_ENTRY_SIZE 17

struct ft_locals {
    bool known;
    size_t n_addrs;
    size_t n_skipped; /* Of the last set(): beyond the bound, or of no known family. */
    struct ft_addr addrs[2 * FT_LOCALS_MAX]; /* An open hash; 'used' says which places count. */
    uint8_t used[2 * FT_LOCALS_MAX];         /* 0, 4 or 6 */
};

void ft_locals_init(struct ft_locals *locals);

/* Replaces the addresses by those of a LOCAL_ADDRS chunk. */
void ft_locals_set(struct ft_locals *locals, const uint8_t *data, size_t size);

bool ft_locals_contains(const struct ft_locals *locals, const struct ft_addr *addr, bool ipv6);

enum ft_direction ft_locals_direction(const struct ft_locals *locals,
                                      const struct ft_ct_record *record);

#endif
