/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ifaddr.h"

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "os/netlink.h"
#include "os/nl_dump.h"

/* A list that changes while it is read is read again, this often at most. */
#define READS_MAX 4

/* Messages of one address each; their content does not matter. */
#define BUF_SIZE 4096

struct ft_ifaddr_monitor {
    int fd;     /* Hears of changes. */
    bool stale; /* Something changed since the list was read. */
    uint64_t n_foreign;
    struct ft_ifaddr_set set;
    char buf[BUF_SIZE];
};

static ft_err read_list(struct ft_ifaddr_set *set, bool *ret_consistent);
static ft_err drain(struct ft_ifaddr_monitor *monitor);

void ft_ifaddr_set_deinit(struct ft_ifaddr_set *set)
{
    free(set->addrs);
    *set = (struct ft_ifaddr_set){0};
}

_Static_assert(sizeof(struct ft_ifaddr) == 17, "addresses are compared as bytes");

static int compare(const void *a, const void *b) { return memcmp(a, b, sizeof(struct ft_ifaddr)); }

bool ft_ifaddr_set_contains(const struct ft_ifaddr_set *set, const struct ft_addr *addr, bool ipv6)
{
    if (set->n_addrs == 0) {
        return false;
    }
    struct ft_ifaddr key = {.family = ipv6 ? 6 : 4};
    memcpy(key.bytes, addr->bytes, sizeof key.bytes);
    return bsearch(&key, set->addrs, set->n_addrs, sizeof key, compare) != NULL;
}

ft_err ft_ifaddr_monitor_create(struct ft_ifaddr_monitor **ret_monitor)
{
    FT_CLEANUP(ft_ifaddr_monitor_destroy)
    struct ft_ifaddr_monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    monitor->fd = -1;
    monitor->stale = true;
    FT_TRY(ft_nl_open(NETLINK_ROUTE, &monitor->fd));
    FT_TRY(ft_nl_join(monitor->fd, RTNLGRP_IPV4_IFADDR));
    FT_TRY(ft_nl_join(monitor->fd, RTNLGRP_IPV6_IFADDR));
    *ret_monitor = FT_TAKE(monitor);
    return FT_OK;
}

void ft_ifaddr_monitor_destroy(struct ft_ifaddr_monitor *monitor)
{
    if (monitor != NULL) {
        ft_fd_close(&monitor->fd);
        ft_ifaddr_set_deinit(&monitor->set);
        free(monitor);
    }
}

int ft_ifaddr_monitor_fd(const struct ft_ifaddr_monitor *monitor) { return monitor->fd; }

const struct ft_ifaddr_set *ft_ifaddr_monitor_get(const struct ft_ifaddr_monitor *monitor)
{
    return &monitor->set;
}

static void sort_unique(struct ft_ifaddr_set *set)
{
    if (set->n_addrs < 2) {
        return;
    }
    qsort(set->addrs, set->n_addrs, sizeof set->addrs[0], compare);
    size_t n = 1;
    for (size_t i = 1; i < set->n_addrs; i++) {
        if (compare(&set->addrs[i], &set->addrs[n - 1]) != 0) {
            set->addrs[n++] = set->addrs[i];
        }
    }
    set->n_addrs = n;
}

static bool same(const struct ft_ifaddr_set *a, const struct ft_ifaddr_set *b)
{
    return a->n_addrs == b->n_addrs &&
           (a->n_addrs == 0 || memcmp(a->addrs, b->addrs, a->n_addrs * sizeof a->addrs[0]) == 0);
}

ft_err ft_ifaddr_monitor_refresh(struct ft_ifaddr_monitor *monitor, bool *ret_changed)
{
    FT_TRY(drain(monitor));
    if (!monitor->stale) {
        *ret_changed = false;
        return FT_OK;
    }
    struct ft_ifaddr_set set = {0};
    bool consistent = false;
    for (unsigned n_reads = 0; n_reads < READS_MAX && !consistent; n_reads++) {
        ft_ifaddr_set_deinit(&set);
        ft_err err = read_list(&set, &consistent);
        if (err != FT_OK) {
            ft_ifaddr_set_deinit(&set);
            return err;
        }
    }
    sort_unique(&set);
    /* Still changing: take it as it is, and look again at the next call. */
    monitor->stale = !consistent;
    *ret_changed = !same(&monitor->set, &set);
    ft_ifaddr_set_deinit(&monitor->set);
    monitor->set = set;
    return FT_OK;
}

/* Empties the monitor's socket.  Every message there is an address that came or went. */
static ft_err drain(struct ft_ifaddr_monitor *monitor)
{
    for (;;) {
        size_t size;
        ft_err err =
            ft_nl_recv(monitor->fd, monitor->buf, sizeof monitor->buf, &size, &monitor->n_foreign);
        if (err == ft_err_from_errno(EAGAIN)) {
            return FT_OK;
        }
        /* Messages that were lost are changes too. */
        if (err != FT_OK && err != ft_err_from_errno(ENOBUFS) &&
            err != ft_err_from_errno(EMSGSIZE)) {
            return err;
        }
        monitor->stale = true;
    }
}

static ft_err add(struct ft_ifaddr_set *set, const struct ft_ifaddr *addr)
{
    if (set->n_addrs == FT_IFADDR_MAX) {
        set->n_left_out++;
        return FT_OK;
    }
    if (set->n_addrs == set->capacity) {
        size_t capacity = set->capacity > 0 ? set->capacity * 2 : 64;
        struct ft_ifaddr *addrs = realloc(set->addrs, capacity * sizeof *addrs);
        if (addrs == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
        set->addrs = addrs;
        set->capacity = capacity;
    }
    set->addrs[set->n_addrs++] = *addr;
    return FT_OK;
}

/* On a point-to-point link IFA_ADDRESS is the peer's and IFA_LOCAL is ours; IPv6 often has only
 * IFA_ADDRESS, which is then ours. */
static ft_err take_address(const struct nlmsghdr *header, struct ft_ifaddr_set *set)
{
    const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
    if (mnl_nlmsg_get_payload_len(header) < sizeof *message ||
        (message->ifa_family != AF_INET && message->ifa_family != AF_INET6)) {
        return FT_OK;
    }
    bool ipv6 = message->ifa_family == AF_INET6;
    uint16_t addr_size = ipv6 ? 16 : 4;
    const struct nlattr *found = NULL;
    const struct nlattr *attr;
    const char *end = (const char *)mnl_nlmsg_get_payload_tail(header);
    for (attr = mnl_nlmsg_get_payload_offset(header, sizeof *message);
         mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        uint16_t type = mnl_attr_get_type(attr);
        if (mnl_attr_get_payload_len(attr) == addr_size &&
            (type == IFA_LOCAL || (type == IFA_ADDRESS && found == NULL))) {
            found = attr;
        }
    }
    if (found == NULL) {
        return FT_OK;
    }
    struct ft_ifaddr addr = {.family = ipv6 ? 6 : 4};
    memcpy(addr.bytes, mnl_attr_get_payload(found), addr_size);
    return add(set, &addr);
}

static ft_err on_message(const struct nlmsghdr *header, void *ctx)
{
    return header->nlmsg_type == RTM_NEWADDR ? take_address(header, ctx) : FT_OK;
}

static ft_err read_list(struct ft_ifaddr_set *set, bool *ret_consistent)
{
    char buf[128] __attribute__((aligned(8)));
    struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
    header->nlmsg_type = RTM_GETADDR;
    struct ifaddrmsg *request = mnl_nlmsg_put_extra_header(header, sizeof *request);
    request->ifa_family = AF_UNSPEC;
    return ft_nl_dump(NETLINK_ROUTE, header, on_message, set, ret_consistent);
}
