/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ct_events.h"

#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "os/netlink.h"

static const struct {
    unsigned bit;
    unsigned group;
} groups_table[] = {
    {FT_CT_GROUP_NEW, NFNLGRP_CONNTRACK_NEW},
    {FT_CT_GROUP_UPDATE, NFNLGRP_CONNTRACK_UPDATE},
    {FT_CT_GROUP_DESTROY, NFNLGRP_CONNTRACK_DESTROY},
};

static ft_err set_option(int fd, int option, int value)
{
    if (setsockopt(fd, SOL_NETLINK, option, &value, sizeof value) != 0) {
        return ft_err_last();
    }
    return FT_OK;
}

/* Is it a netfilter socket, and of which groups? */
static ft_err find_groups(struct ft_ct_events *events)
{
    int domain = 0;
    int protocol = 0;
    socklen_t size = sizeof domain;
    if (getsockopt(events->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 ||
        getsockopt(events->fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0) {
        return ft_err_last();
    }
    if (domain != AF_NETLINK || protocol != NETLINK_NETFILTER ||
        fcntl(events->fd, F_SETFD, FD_CLOEXEC) != 0) {
        return FT_E_UNSUPPORTED;
    }
    uint32_t bits[32] = {0}; /* Netfilter has fewer than 1,024 groups. */
    size = sizeof bits;
    if (getsockopt(events->fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, bits, &size) != 0) {
        return ft_err_last();
    }
    for (size_t i = 0; i < sizeof groups_table / sizeof groups_table[0]; i++) {
        unsigned at = groups_table[i].group - 1;
        if ((bits[at / 32] & 1U << at % 32) != 0) {
            events->groups |= groups_table[i].bit;
        }
    }
    return FT_OK;
}

static ft_err setup(struct ft_ct_events *events, const struct ft_ct_events_options *options,
                    uint64_t *ret_rcvbuf)
{
    FT_TRY(ft_nl_set_rcvbuf(events->fd, options->rcvbuf_bytes, ret_rcvbuf));
    /* ENOBUFS is how an overrun is learnt of at the place in the stream where it happened. */
    FT_TRY(set_option(events->fd, NETLINK_NO_ENOBUFS, 0));
    FT_TRY(ft_ct_events_set_reliable(events, options->reliable));
    return ft_ct_events_set_groups(events, options->groups);
}

void ft_ct_events_init(struct ft_ct_events *events) { *events = (struct ft_ct_events){.fd = -1}; }

ft_err ft_ct_events_open(struct ft_ct_events *events, const struct ft_ct_events_options *options,
                         uint64_t *ret_rcvbuf)
{
    ft_ct_events_close(events);
    FT_TRY(ft_nl_open(NETLINK_NETFILTER, &events->fd));
    events->drops_last = 0;
    uint64_t rcvbuf = 0;
    ft_err err = setup(events, options, &rcvbuf);
    if (err != FT_OK) {
        ft_ct_events_close(events);
        return err;
    }
    *ret_rcvbuf = rcvbuf;
    return FT_OK;
}

ft_err ft_ct_events_adopt(struct ft_ct_events *events, int fd,
                          const struct ft_ct_events_options *options, uint64_t drops,
                          uint64_t *ret_rcvbuf)
{
    ft_ct_events_close(events);
    events->fd = fd;
    events->drops = drops;
    events->drops_last = (uint32_t)drops; /* A socket's count begins at 0. */
    uint64_t rcvbuf = 0;
    ft_err err = find_groups(events);
    if (err == FT_OK && (events->groups & FT_CT_GROUP_DESTROY) == 0) {
        err = FT_E_UNSUPPORTED; /* ENDs were not heard: it is not ours. */
    }
    if (err == FT_OK) {
        err = setup(events, options, &rcvbuf);
    }
    if (err != FT_OK) {
        ft_ct_events_close(events);
        return err;
    }
    *ret_rcvbuf = rcvbuf;
    return FT_OK;
}

void ft_ct_events_close(struct ft_ct_events *events)
{
    ft_fd_close(&events->fd);
    events->groups = 0;
}

ft_err ft_ct_events_recv(struct ft_ct_events *events, void *buf, size_t size, size_t *ret_size)
{
    ft_err err = ft_nl_recv(events->fd, buf, size, ret_size, &events->n_foreign);
    if (err == ft_err_from_errno(ENOBUFS) || err == ft_err_from_errno(EMSGSIZE)) {
        return FT_E_OVERRUN;
    }
    return err;
}

ft_err ft_ct_events_set_groups(struct ft_ct_events *events, unsigned groups)
{
    for (size_t i = 0; i < sizeof groups_table / sizeof groups_table[0]; i++) {
        unsigned bit = groups_table[i].bit;
        if ((groups & bit) != 0 && (events->groups & bit) == 0) {
            FT_TRY(ft_nl_join(events->fd, groups_table[i].group));
            events->groups |= bit;
        } else if ((groups & bit) == 0 && (events->groups & bit) != 0) {
            FT_TRY(ft_nl_leave(events->fd, groups_table[i].group));
            events->groups &= ~bit;
        }
    }
    return FT_OK;
}

ft_err ft_ct_events_set_reliable(struct ft_ct_events *events, bool reliable)
{
    return ft_ct_socket_set_reliable(events->fd, reliable);
}

ft_err ft_ct_socket_set_reliable(int fd, bool reliable)
{
    return set_option(fd, NETLINK_BROADCAST_ERROR, reliable ? 1 : 0);
}

/*
 * SO_MEMINFO (Linux 4.12) gives the number that /proc/net/netlink shows as Drops, of this very
 * socket and without the list of all others, which can be long.
 */
ft_err ft_ct_events_drops(struct ft_ct_events *events, uint64_t *ret_drops)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof info;
    if (getsockopt(events->fd, SOL_SOCKET, SO_MEMINFO, info, &size) != 0) {
        return ft_err_last();
    }
    events->drops += (uint32_t)(info[SK_MEMINFO_DROPS] - events->drops_last);
    events->drops_last = info[SK_MEMINFO_DROPS];
    *ret_drops = events->drops;
    return FT_OK;
}
