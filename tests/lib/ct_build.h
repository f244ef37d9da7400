/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conntrack messages as the kernel would send them, made from struct ft_ct_record: the counterpart
 * of os/ct_record.h for tests and simulations.  It shares no code with the parser.
 *
 * Attributes come in the kernel's order (net/netfilter/nf_conntrack_netlink.c); the parts that a
 * record's 'has' lacks are left out.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_TESTS_LIB_CT_BUILD_H
#define FT_TESTS_LIB_CT_BUILD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/ct_record.h"

/* No message that is built here is larger. */
#define FT_CT_BUILD_SIZE_MAX 512

/*
 * Writes one event (of the record's kind), or one entry of a dump's answer with 'dump'.  Returns
 * the size, a multiple of 4; aborts when 'size' is too small.
 */
size_t ft_ct_build(const struct ft_ct_record *record, bool dump, void *buf, size_t size);

/* The end of a dump ('error' 0 or positive), and an error message. */
size_t ft_ct_build_done(int error, void *buf, size_t size);
size_t ft_ct_build_error(int error, void *buf, size_t size);

/* Sets flags of the first message in 'buf', such as NLM_F_DUMP_INTR (0x10). */
void ft_ct_build_add_flags(void *buf, uint16_t flags);

/*
 * A record to start from: kind NEW, id 'n', TCP (or 'protocol'), 10.x.y.z:(1024 + n) to
 * 192.0.2.1:443 or the same below 2001:db8::, mirrored reply, status CONFIRMED.  Each 'n' below
 * 2^24 has its own tuple.
 */
void ft_ct_build_sample(uint32_t n, uint8_t protocol, bool ipv6, struct ft_ct_record *ret_record);

/* Makes the reply tuple the mirrored original. */
void ft_ct_build_mirror(struct ft_ct_record *record);

#endif
