/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sizes and nesting of conntrack's netlink attributes as a table, to say whether a message is
 * whole without parsing it: the third opinion beside os/ct_record.h and libnetfilter_conntrack.
 *
 * Thread: any; pure.
 */
#ifndef FT_TESTS_LIB_CT_SCHEMA_H
#define FT_TESTS_LIB_CT_SCHEMA_H 1

#include <stddef.h>

/* What is broken: a part that os/ct_record.h reads, or one that only others read. */
#define FT_CT_SCHEMA_READ   1U
#define FT_CT_SCHEMA_UNREAD 2U

/*
 * 'attrs' are the attributes behind the message's nfgenmsg.  Of nested attributes of one type only
 * the last is looked into, as parsers do.  0: whole.
 */
unsigned ft_ct_schema_check(const void *attrs, size_t size);

#endif
