/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's own addresses, as the kernel lists them, and word when they change: the base of a
 * flow's direction.
 *
 * A change only says "look again": the list is then read whole, so that no missed message can leave
 * a wrong address in it.  Whole ranges that are local without being listed (127.0.0.0/8, routes of
 * type local) are the caller's to know.
 *
 * Thread: owner only.
 */
#ifndef FT_OS_IFADDR_H
#define FT_OS_IFADDR_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "flow/event.h"

/* Addresses that are kept; those beyond are counted ('n_left_out').  16,384 take 272 KiB. */
#define FT_IFADDR_MAX 16384

/* Family 4 or 6 and the address as in struct ft_addr: 17 bytes, without padding. */
struct ft_ifaddr {
    uint8_t family;
    uint8_t bytes[16];
};

/* Sorted by memcmp, each address once. */
struct ft_ifaddr_set {
    struct ft_ifaddr *addrs;
    size_t n_addrs;
    size_t capacity;
    size_t n_left_out;
};

void ft_ifaddr_set_deinit(struct ft_ifaddr_set *set);
bool ft_ifaddr_set_contains(const struct ft_ifaddr_set *set, const struct ft_addr *addr, bool ipv6);

struct ft_ifaddr_monitor;

/* In the calling thread's network namespace.  Needs no capability. */
FT_MUST_USE ft_err ft_ifaddr_monitor_create(struct ft_ifaddr_monitor **ret_monitor);
void ft_ifaddr_monitor_destroy(struct ft_ifaddr_monitor *monitor);
FT_DEFINE_CLEANUP(struct ft_ifaddr_monitor, ft_ifaddr_monitor_destroy);

/* Readable when ft_ifaddr_monitor_refresh has something to do.  Borrowed. */
int ft_ifaddr_monitor_fd(const struct ft_ifaddr_monitor *monitor);

/*
 * Takes what the kernel has told and, if an address came or went (or at the first call), reads the
 * whole list.  '*ret_changed' says whether the set differs from the one of the call before.  On
 * failure the set stays as it was and the next call tries again.
 */
FT_MUST_USE ft_err ft_ifaddr_monitor_refresh(struct ft_ifaddr_monitor *monitor, bool *ret_changed);

/* The present set.  Borrowed; valid until the next refresh. */
const struct ft_ifaddr_set *ft_ifaddr_monitor_get(const struct ft_ifaddr_monitor *monitor);

#endif
