/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One dump of the conntrack table: the dump_ half of os/ct_kernel.h.  Private to os/.
 *
 * One request of family AF_UNSPEC gives IPv4 and IPv6 in one walk of the hash table: two requests
 * would walk it twice (about 38 ms each with 2^20 buckets) and be further apart in time.
 *
 * Thread: owner only.
 */
#ifndef FT_OS_CT_DUMP_H
#define FT_OS_CT_DUMP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ft_ct_dump {
    int fd; /* -1 while no dump is under way. */
    uint32_t seq;
    bool done;
    bool consistent;
    ft_err err; /* What the kernel ended the dump with. */
    uint64_t n_foreign;
};

void ft_ct_dump_init(struct ft_ct_dump *dump);
/* A dump that is under way is given up. */
FT_MUST_USE ft_err ft_ct_dump_start(struct ft_ct_dump *dump);
FT_MUST_USE ft_err ft_ct_dump_recv(struct ft_ct_dump *dump, unsigned wait_ms, void *buf,
                                   size_t size, size_t *ret_size, bool *ret_consistent);
void ft_ct_dump_abort(struct ft_ct_dump *dump);

#endif
