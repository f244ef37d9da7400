/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that hears conntrack's events: the events_ half of os/ct_kernel.h.  Private to os/.
 *
 * Thread: owner only.
 */
#ifndef FT_OS_CT_EVENTS_H
#define FT_OS_CT_EVENTS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/ct_kernel.h"

struct ft_ct_events {
    int fd; /* -1 while closed. */
    unsigned groups;
    uint32_t drops_last; /* The kernel's counter has 32 bits and wraps. */
    uint64_t drops;
    uint64_t n_foreign;
};

void ft_ct_events_init(struct ft_ct_events *events);
FT_MUST_USE ft_err ft_ct_events_open(struct ft_ct_events *events,
                                     const struct ft_ct_events_options *options,
                                     uint64_t *ret_rcvbuf);
FT_MUST_USE ft_err ft_ct_events_adopt(struct ft_ct_events *events, int fd,
                                      const struct ft_ct_events_options *options, uint64_t drops,
                                      uint64_t *ret_rcvbuf);
void ft_ct_events_close(struct ft_ct_events *events);
FT_MUST_USE ft_err ft_ct_events_recv(struct ft_ct_events *events, void *buf, size_t size,
                                     size_t *ret_size);
FT_MUST_USE ft_err ft_ct_events_set_groups(struct ft_ct_events *events, unsigned groups);
FT_MUST_USE ft_err ft_ct_events_set_reliable(struct ft_ct_events *events, bool reliable);
FT_MUST_USE ft_err ft_ct_events_drops(struct ft_ct_events *events, uint64_t *ret_drops);

#endif
