/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast conntrack parser against libnetfilter_conntrack: a run of netlink messages goes through
 * both, and both must agree on whether each message is a record and on every field of it.
 *
 * libnetfilter_conntrack ends the process at an attribute of the wrong size and overlooks a broken
 * one, so a message is first held against a table of all sizes (lib/ct_schema.h).  What is broken
 * where our parser looks must be FT_CT_BAD; only whole messages go to both.
 */
#include "os/ct_record.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ct_schema.h"

#define ATTR_TIMESTAMP_EVENT 27

/* Zeros behind a message, so that a text of it without NUL ends there for libnetfilter_conntrack.
 */
#define PADDING 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

/* A message as libmnl sees it: aligned, with zeros behind it. */
struct message {
    struct nlmsghdr *header;
    const void *attrs;
    size_t attrs_size;
};

static bool copy_message(const uint8_t *at, struct message *message)
{
    struct nlmsghdr header;
    memcpy(&header, at, sizeof header);
    size_t head_size = sizeof header + sizeof(struct nfgenmsg);
    if (header.nlmsg_len < head_size) {
        return false;
    }
    message->header = calloc(1, header.nlmsg_len + (size_t)PADDING);
    require(message->header != NULL, "memory");
    memcpy(message->header, at, header.nlmsg_len);
    message->attrs = (const char *)message->header + head_size;
    message->attrs_size = header.nlmsg_len - head_size;
    return true;
}

/* The last attribute of 'type'.  The run is whole. */
static const struct nlattr *last_of(const void *data, size_t size, unsigned type)
{
    const struct nlattr *last = NULL;
    const struct nlattr *attr = data;
    const char *end = (const char *)data + size;
    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        last = mnl_attr_get_type(attr) == type ? attr : last;
    }
    return last;
}

static const struct nlattr *last_in(const struct nlattr *nest, unsigned type)
{
    return nest == NULL ? NULL
                        : last_of(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), type);
}

/* The types of the attributes in CTA_TUPLE_PROTO of one direction, as a mask. */
static unsigned proto_types(const struct message *message, unsigned tuple)
{
    const struct nlattr *top = last_of(message->attrs, message->attrs_size, tuple);
    const struct nlattr *proto = last_in(top, CTA_TUPLE_PROTO);
    unsigned mask = 0;
    for (unsigned type = 1; type <= CTA_PROTO_ICMPV6_CODE; type++) {
        mask |= last_in(proto, type) != NULL ? 1U << type : 0;
    }
    return mask;
}

static bool is_set(const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
    return nfct_attr_is_set(ct, attr) > 0;
}

/* Both tuples there, of one family and one protocol. */
static bool has_tuples(const struct nf_conntrack *ct)
{
    static const enum nf_conntrack_attr v4[] = {ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST,
                                                ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV4_DST};
    static const enum nf_conntrack_attr v6[] = {ATTR_ORIG_IPV6_SRC, ATTR_ORIG_IPV6_DST,
                                                ATTR_REPL_IPV6_SRC, ATTR_REPL_IPV6_DST};
    unsigned n_v4 = 0;
    unsigned n_v6 = 0;
    for (unsigned i = 0; i < 4; i++) {
        n_v4 += is_set(ct, v4[i]);
        n_v6 += is_set(ct, v6[i]);
    }
    return n_v4 + n_v6 == 4 && n_v4 % 4 == 0 && is_set(ct, ATTR_ORIG_L4PROTO) &&
           is_set(ct, ATTR_REPL_L4PROTO) &&
           nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO) == nfct_get_attr_u8(ct, ATTR_REPL_L4PROTO);
}

static void compare_u32(const struct ft_ct_record *record, unsigned bit, uint32_t value,
                        const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
    require(((record->has & bit) != 0) == is_set(ct, attr), "presence of a number");
    if ((record->has & bit) != 0) {
        require(value == nfct_get_attr_u32(ct, attr), "number");
    }
}

static void compare_addresses(const struct ft_ct_tuple *tuple, const struct nf_conntrack *ct,
                              bool orig)
{
    static const uint8_t zero[12] = {0};
    if (tuple->ipv6) {
        require(memcmp(tuple->src.bytes,
                       nfct_get_attr(ct, orig ? ATTR_ORIG_IPV6_SRC : ATTR_REPL_IPV6_SRC), 16) == 0,
                "IPv6 source");
        require(memcmp(tuple->dst.bytes,
                       nfct_get_attr(ct, orig ? ATTR_ORIG_IPV6_DST : ATTR_REPL_IPV6_DST), 16) == 0,
                "IPv6 destination");
        return;
    }
    uint32_t src = nfct_get_attr_u32(ct, orig ? ATTR_ORIG_IPV4_SRC : ATTR_REPL_IPV4_SRC);
    uint32_t dst = nfct_get_attr_u32(ct, orig ? ATTR_ORIG_IPV4_DST : ATTR_REPL_IPV4_DST);
    require(memcmp(tuple->src.bytes, &src, 4) == 0, "IPv4 source");
    require(memcmp(tuple->dst.bytes, &dst, 4) == 0, "IPv4 destination");
    require(memcmp(tuple->src.bytes + 4, zero, 12) == 0, "rest of an IPv4 source");
    require(memcmp(tuple->dst.bytes + 4, zero, 12) == 0, "rest of an IPv4 destination");
}

/*
 * libnetfilter_conntrack keeps ports and ICMP's numbers in one place and takes them all whatever
 * the protocol is, so a tuple that mixes them has no right answer there.
 */
static void compare_layer4(const struct ft_ct_record *record, const struct message *message,
                           const struct nf_conntrack *ct)
{
    const unsigned ports = 1U << CTA_PROTO_SRC_PORT | 1U << CTA_PROTO_DST_PORT;
    const unsigned icmp4 = 7U << CTA_PROTO_ICMP_ID;
    const unsigned icmp6 = 7U << CTA_PROTO_ICMPV6_ID;
    unsigned orig = proto_types(message, CTA_TUPLE_ORIG) & ~(1U << CTA_PROTO_NUM);
    unsigned reply = proto_types(message, CTA_TUPLE_REPLY) & ~(1U << CTA_PROTO_NUM);
    uint8_t protocol = nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO);
    require(record->orig.protocol == protocol && record->reply.protocol == protocol, "protocol");
    unsigned own = protocol == FT_PROTO_ICMP ? icmp4 : protocol == FT_PROTO_ICMPV6 ? icmp6 : ports;
    if (((orig | reply) & ~own) != 0) {
        return;
    }
    bool both = (orig & reply) == own;
    if (own == ports) {
        require(((record->has & FT_CT_HAS_PORTS) != 0) == both, "presence of ports");
        require((record->has & FT_CT_HAS_ICMP) == 0, "ICMP of another protocol");
        if (both) {
            require(htons(record->orig.src_port) == nfct_get_attr_u16(ct, ATTR_ORIG_PORT_SRC) &&
                        htons(record->orig.dst_port) == nfct_get_attr_u16(ct, ATTR_ORIG_PORT_DST) &&
                        htons(record->reply.src_port) ==
                            nfct_get_attr_u16(ct, ATTR_REPL_PORT_SRC) &&
                        htons(record->reply.dst_port) == nfct_get_attr_u16(ct, ATTR_REPL_PORT_DST),
                    "ports");
        }
        return;
    }
    require((record->has & FT_CT_HAS_PORTS) == 0, "ports of ICMP");
    if (both) {
        require((record->has & FT_CT_HAS_ICMP) != 0, "presence of ICMP");
        require(record->orig.icmp_type == nfct_get_attr_u8(ct, ATTR_ICMP_TYPE), "ICMP type");
        require(record->orig.icmp_code == nfct_get_attr_u8(ct, ATTR_ICMP_CODE), "ICMP code");
        require(htons(record->orig.src_port) == nfct_get_attr_u16(ct, ATTR_ICMP_ID), "ICMP id");
    }
}

static void compare_time(const struct ft_ct_record *record, unsigned bit, int64_t value,
                         const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
    uint64_t theirs = is_set(ct, attr) ? nfct_get_attr_u64(ct, attr) : 0;
    bool has = theirs != 0 && theirs <= INT64_MAX;
    require(((record->has & bit) != 0) == has, "presence of a time");
    require(value == (has ? (int64_t)theirs : 0), "time");
}

static void compare_counters(const struct ft_ct_record *record, const struct nf_conntrack *ct)
{
    bool has = is_set(ct, ATTR_ORIG_COUNTER_PACKETS) && is_set(ct, ATTR_ORIG_COUNTER_BYTES) &&
               is_set(ct, ATTR_REPL_COUNTER_PACKETS) && is_set(ct, ATTR_REPL_COUNTER_BYTES);
    require(((record->has & FT_CT_HAS_COUNTERS) != 0) == has, "presence of counters");
    if (has) {
        require(record->orig_packets == nfct_get_attr_u64(ct, ATTR_ORIG_COUNTER_PACKETS) &&
                    record->orig_bytes == nfct_get_attr_u64(ct, ATTR_ORIG_COUNTER_BYTES) &&
                    record->reply_packets == nfct_get_attr_u64(ct, ATTR_REPL_COUNTER_PACKETS) &&
                    record->reply_bytes == nfct_get_attr_u64(ct, ATTR_REPL_COUNTER_BYTES),
                "counters");
    }
}

static void compare_zone(const struct ft_ct_record *record, const struct nf_conntrack *ct)
{
    bool top = is_set(ct, ATTR_ZONE);
    bool has = top || is_set(ct, ATTR_ORIG_ZONE);
    require(((record->has & FT_CT_HAS_ZONE) != 0) == has, "presence of the zone");
    if (has) {
        require(record->zone == nfct_get_attr_u16(ct, top ? ATTR_ZONE : ATTR_ORIG_ZONE), "zone");
    }
}

static void compare(const struct ft_ct_record *record, const struct message *message,
                    const struct nf_conntrack *ct)
{
    require(record->orig.ipv6 == is_set(ct, ATTR_ORIG_IPV6_SRC), "family");
    require(record->orig.ipv6 == record->reply.ipv6, "family of the reply");
    compare_addresses(&record->orig, ct, true);
    compare_addresses(&record->reply, ct, false);
    compare_layer4(record, message, ct);
    compare_u32(record, FT_CT_HAS_ID, record->id, ct, ATTR_ID);
    compare_u32(record, FT_CT_HAS_STATUS, record->status, ct, ATTR_STATUS);
    compare_u32(record, FT_CT_HAS_MARK, record->mark, ct, ATTR_MARK);
    compare_u32(record, FT_CT_HAS_TIMEOUT, record->timeout_s, ct, ATTR_TIMEOUT);
    compare_zone(record, ct);
    compare_counters(record, ct);
    compare_time(record, FT_CT_HAS_START, record->start_ns, ct, ATTR_TIMESTAMP_START);
    compare_time(record, FT_CT_HAS_STOP, record->stop_ns, ct, ATTR_TIMESTAMP_STOP);
    require(((record->has & FT_CT_HAS_TCP_STATE) != 0) == is_set(ct, ATTR_TCP_STATE),
            "presence of the TCP state");
    if ((record->has & FT_CT_HAS_TCP_STATE) != 0) {
        require(record->tcp_state == nfct_get_attr_u8(ct, ATTR_TCP_STATE), "TCP state");
    }
}

/* Attribute 27 is ours alone: read once more, by libmnl. */
static void check_event_time(const struct ft_ct_record *record, const struct message *message)
{
    const struct nlattr *attr = last_of(message->attrs, message->attrs_size, ATTR_TIMESTAMP_EVENT);
    uint64_t value = attr != NULL ? be64toh(mnl_attr_get_u64(attr)) : 0;
    bool has = value != 0 && value <= INT64_MAX;
    require(((record->has & FT_CT_HAS_EVENT) != 0) == has, "presence of the event's time");
    require(record->event_ns == (has ? (int64_t)value : 0), "event's time");
}

static void check_kind(const struct ft_ct_record *record, const struct nlmsghdr *header)
{
    enum ft_ct_kind kind = FT_CT_UPDATE;
    if (NFNL_MSG_TYPE(header->nlmsg_type) == IPCTNL_MSG_CT_DELETE) {
        kind = FT_CT_DESTROY;
    } else if ((header->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL | NLM_F_MULTI)) != 0) {
        kind = FT_CT_NEW;
    }
    require(record->kind == kind, "kind");
}

static void check_conntrack(const uint8_t *at, enum ft_ct_step step,
                            const struct ft_ct_record *record)
{
    struct message message;
    if (!copy_message(at, &message)) {
        require(step == FT_CT_BAD, "a message too short is bad");
        return;
    }
    unsigned broken = ft_ct_schema_check(message.attrs, message.attrs_size);
    require((broken & FT_CT_SCHEMA_READ) == 0 || step == FT_CT_BAD, "what is broken is bad");
    if (step == FT_CT_RECORD) {
        check_kind(record, message.header);
        check_event_time(record, &message);
    }
    if (broken == 0) {
        struct nf_conntrack *ct = nfct_new();
        require(ct != NULL, "memory");
        require(nfct_nlmsg_parse(message.header, ct) == 0, "libnetfilter_conntrack takes it");
        require((step == FT_CT_RECORD) == has_tuples(ct), "a record has tuples");
        if (step == FT_CT_RECORD) {
            compare(record, &message, ct);
        }
        nfct_destroy(ct);
    }
    free(message.header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ft_ct_reader reader = {.at = data, .left = size};
    for (;;) {
        const uint8_t *at = reader.at;
        size_t left = reader.left;
        struct ft_ct_record record;
        int error = -1;
        enum ft_ct_step step = ft_ct_next(&reader, &record, &error);
        if (step == FT_CT_EMPTY) {
            require(left == 0 && reader.left == 0, "empty at the end");
            return 0;
        }
        require(step == FT_CT_INTERRUPTED || reader.left < left, "it goes on");
        require((step == FT_CT_DONE || step == FT_CT_ERROR) == (error != -1), "error is set");
        struct nlmsghdr header;
        if (left < sizeof header) {
            require(step == FT_CT_BAD && reader.left == 0, "half a header");
            continue;
        }
        memcpy(&header, at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) {
            require(step == FT_CT_BAD && reader.left == 0, "a broken length");
            continue;
        }
        unsigned verb = NFNL_MSG_TYPE(header.nlmsg_type);
        bool conntrack = NFNL_SUBSYS_ID(header.nlmsg_type) == NFNL_SUBSYS_CTNETLINK &&
                         (verb == IPCTNL_MSG_CT_NEW || verb == IPCTNL_MSG_CT_DELETE);
        require(step != FT_CT_RECORD || conntrack, "a record is conntrack's");
        if (conntrack && step != FT_CT_INTERRUPTED) {
            require(step == FT_CT_RECORD || step == FT_CT_BAD, "conntrack's is a record or bad");
            check_conntrack(at, step, &record);
        }
    }
}
