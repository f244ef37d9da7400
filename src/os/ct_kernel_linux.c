/* SPDX-License-Identifier: Apache-2.0 */
/* os/ct_kernel.h on the running kernel. */
#include "os/ct_kernel.h"

#include <assert.h>
#include <limits.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "os/ct_dump.h"
#include "os/ct_events.h"
#include "os/netlink.h"
#include "os/sysctl.h"

struct ct_kernel_linux {
    struct ft_ct_kernel base;
    struct ft_ct_events events; /* Source thread only. */
    struct ft_ct_dump dump;     /* Pipeline thread only. */
};

static struct ct_kernel_linux *self_of(struct ft_ct_kernel *kernel)
{
    return (struct ct_kernel_linux *)kernel;
}

static ft_err events_open(struct ft_ct_kernel *kernel, const struct ft_ct_events_options *options,
                          uint64_t *ret_rcvbuf)
{
    return ft_ct_events_open(&self_of(kernel)->events, options, ret_rcvbuf);
}

static ft_err events_adopt(struct ft_ct_kernel *kernel, int fd,
                           const struct ft_ct_events_options *options, uint64_t drops,
                           uint64_t *ret_rcvbuf)
{
    return ft_ct_events_adopt(&self_of(kernel)->events, fd, options, drops, ret_rcvbuf);
}

static int events_fd(const struct ft_ct_kernel *kernel)
{
    return ((const struct ct_kernel_linux *)kernel)->events.fd;
}

static void events_close(struct ft_ct_kernel *kernel)
{
    ft_ct_events_close(&self_of(kernel)->events);
}

static ft_err events_recv(struct ft_ct_kernel *kernel, void *buf, size_t size, size_t *ret_size)
{
    return ft_ct_events_recv(&self_of(kernel)->events, buf, size, ret_size);
}

static ft_err events_wait(struct ft_ct_kernel *kernel, int wake_fd, int64_t deadline_mono_ns)
{
    return ft_nl_wait(self_of(kernel)->events.fd, wake_fd, deadline_mono_ns);
}

static ft_err events_set_groups(struct ft_ct_kernel *kernel, unsigned groups)
{
    return ft_ct_events_set_groups(&self_of(kernel)->events, groups);
}

static ft_err events_set_reliable(struct ft_ct_kernel *kernel, bool reliable)
{
    return ft_ct_events_set_reliable(&self_of(kernel)->events, reliable);
}

static ft_err events_drops(struct ft_ct_kernel *kernel, uint64_t *ret_drops)
{
    return ft_ct_events_drops(&self_of(kernel)->events, ret_drops);
}

static ft_err dump_start(struct ft_ct_kernel *kernel)
{
    return ft_ct_dump_start(&self_of(kernel)->dump);
}

static ft_err dump_recv(struct ft_ct_kernel *kernel, unsigned wait_ms, void *buf, size_t size,
                        size_t *ret_size, bool *ret_consistent)
{
    return ft_ct_dump_recv(&self_of(kernel)->dump, wait_ms, buf, size, ret_size, ret_consistent);
}

static void dump_abort(struct ft_ct_kernel *kernel) { ft_ct_dump_abort(&self_of(kernel)->dump); }

static ft_err table_fill(struct ft_ct_kernel *kernel, uint64_t *ret_count, uint64_t *ret_max)
{
    (void)kernel;
    uint64_t count;
    uint64_t max;
    FT_TRY(ft_sysctl_get("net/netfilter/nf_conntrack_count", &count));
    FT_TRY(ft_sysctl_get("net/netfilter/nf_conntrack_max", &max));
    *ret_count = count;
    *ret_max = max;
    return FT_OK;
}

static void switch_path(enum ft_ct_switch which, char *path, size_t size)
{
    (void)snprintf(path, size, "net/netfilter/%s", ft_ct_switch_name(which));
}

static ft_err switch_get(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int *ret_value)
{
    (void)kernel;
    char path[64];
    uint64_t value;
    switch_path(which, path, sizeof path);
    FT_TRY(ft_sysctl_get(path, &value));
    if (value > INT_MAX) {
        return FT_E_RANGE;
    }
    *ret_value = (int)value;
    return FT_OK;
}

static ft_err switch_set(struct ft_ct_kernel *kernel, enum ft_ct_switch which, int value)
{
    (void)kernel;
    char path[64];
    assert(value >= 0);
    switch_path(which, path, sizeof path);
    return ft_sysctl_set(path, (uint64_t)value);
}

static uint64_t n_foreign(const struct ft_ct_kernel *kernel)
{
    const struct ct_kernel_linux *self = (const struct ct_kernel_linux *)kernel;
    return self->events.n_foreign;
}

static void destroy(struct ft_ct_kernel *kernel)
{
    struct ct_kernel_linux *self = self_of(kernel);
    ft_ct_events_close(&self->events);
    ft_ct_dump_abort(&self->dump);
    free(self);
}

/* Joining a group is what needs the capability; it also makes the kernel load ctnetlink. */
static ft_err probe(void)
{
    int fd;
    FT_TRY(ft_nl_open(NETLINK_NETFILTER, &fd));
    ft_err err = ft_nl_join(fd, NFNLGRP_CONNTRACK_DESTROY);
    ft_fd_close(&fd);
    return err;
}

ft_err ft_ct_kernel_linux_create(struct ft_ct_kernel **ret_kernel)
{
    static const struct ft_ct_kernel_ops ops = {
        .events_open = events_open,
        .events_adopt = events_adopt,
        .events_fd = events_fd,
        .events_close = events_close,
        .events_recv = events_recv,
        .events_wait = events_wait,
        .events_set_groups = events_set_groups,
        .events_set_reliable = events_set_reliable,
        .events_drops = events_drops,
        .dump_start = dump_start,
        .dump_recv = dump_recv,
        .dump_abort = dump_abort,
        .table_fill = table_fill,
        .switch_get = switch_get,
        .switch_set = switch_set,
        .n_foreign = n_foreign,
        .destroy = destroy,
    };
    FT_TRY(probe());
    struct ct_kernel_linux *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    self->base.ops = &ops;
    ft_ct_events_init(&self->events);
    ft_ct_dump_init(&self->dump);
    *ret_kernel = &self->base;
    return FT_OK;
}
