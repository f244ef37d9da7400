/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ct_build.h"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Not in Debian 12's header. */
#define ATTR_TIMESTAMP_EVENT 27

#define STATUS_CONFIRMED 8U /* IPS_CONFIRMED */

struct out {
    uint8_t *buf;
    size_t size;
    size_t at;
};

static void put(struct out *out, const void *data, size_t size)
{
    size_t padded = (size + 3) & ~(size_t)3;
    if (padded > out->size - out->at) {
        abort();
    }
    memset(out->buf + out->at, 0, padded);
    if (size > 0) {
        memcpy(out->buf + out->at, data, size);
    }
    out->at += padded;
}

static void put_attr(struct out *out, unsigned type, const void *data, size_t size)
{
    struct nlattr attr = {.nla_len = (uint16_t)(sizeof attr + size), .nla_type = (uint16_t)type};
    put(out, &attr, sizeof attr);
    put(out, data, size);
}

static void put_u8(struct out *out, unsigned type, uint8_t value)
{
    put_attr(out, type, &value, sizeof value);
}

static void put_u16(struct out *out, unsigned type, uint16_t value)
{
    uint16_t wire = htobe16(value);
    put_attr(out, type, &wire, sizeof wire);
}

static void put_u32(struct out *out, unsigned type, uint32_t value)
{
    uint32_t wire = htobe32(value);
    put_attr(out, type, &wire, sizeof wire);
}

static void put_u64(struct out *out, unsigned type, uint64_t value)
{
    uint64_t wire = htobe64(value);
    put_attr(out, type, &wire, sizeof wire);
}

static size_t nest(struct out *out, unsigned type)
{
    size_t at = out->at;
    put_attr(out, type | NLA_F_NESTED, NULL, 0);
    return at;
}

static void nest_end(struct out *out, size_t at)
{
    uint16_t len = (uint16_t)(out->at - at);
    memcpy(out->buf + at, &len, sizeof len);
}

static size_t finish(struct out *out)
{
    uint32_t len = (uint32_t)out->at;
    memcpy(out->buf, &len, sizeof len);
    return out->at;
}

static void put_tuple(struct out *out, unsigned type, const struct ft_ct_record *record,
                      const struct ft_ct_tuple *tuple)
{
    size_t outer = nest(out, type);
    size_t inner = nest(out, CTA_TUPLE_IP);
    put_attr(out, tuple->ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, tuple->src.bytes,
             tuple->ipv6 ? 16 : 4);
    put_attr(out, tuple->ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, tuple->dst.bytes,
             tuple->ipv6 ? 16 : 4);
    nest_end(out, inner);
    inner = nest(out, CTA_TUPLE_PROTO);
    put_u8(out, CTA_PROTO_NUM, tuple->protocol);
    if ((record->has & FT_CT_HAS_PORTS) != 0) {
        put_u16(out, CTA_PROTO_SRC_PORT, tuple->src_port);
        put_u16(out, CTA_PROTO_DST_PORT, tuple->dst_port);
    }
    if ((record->has & FT_CT_HAS_ICMP) != 0) {
        bool v6 = tuple->protocol == FT_PROTO_ICMPV6;
        put_u16(out, v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID, tuple->src_port);
        put_u8(out, v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE, tuple->icmp_type);
        put_u8(out, v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE, tuple->icmp_code);
    }
    nest_end(out, inner);
    nest_end(out, outer);
}

static void put_counters(struct out *out, unsigned type, uint64_t packets, uint64_t bytes)
{
    size_t at = nest(out, type);
    put_u64(out, CTA_COUNTERS_PACKETS, packets);
    put_u64(out, CTA_COUNTERS_BYTES, bytes);
    nest_end(out, at);
}

static void put_times(struct out *out, const struct ft_ct_record *record)
{
    if ((record->has & (FT_CT_HAS_START | FT_CT_HAS_STOP)) != 0) {
        size_t at = nest(out, CTA_TIMESTAMP);
        if ((record->has & FT_CT_HAS_START) != 0) {
            put_u64(out, CTA_TIMESTAMP_START, (uint64_t)record->start_ns);
        }
        if ((record->has & FT_CT_HAS_STOP) != 0) {
            put_u64(out, CTA_TIMESTAMP_STOP, (uint64_t)record->stop_ns);
        }
        nest_end(out, at);
    }
    if ((record->has & FT_CT_HAS_EVENT) != 0) {
        put_u64(out, ATTR_TIMESTAMP_EVENT, (uint64_t)record->event_ns);
    }
}

static void put_tcp_state(struct out *out, const struct ft_ct_record *record)
{
    if ((record->has & FT_CT_HAS_TCP_STATE) == 0) {
        return;
    }
    size_t outer = nest(out, CTA_PROTOINFO);
    size_t inner = nest(out, CTA_PROTOINFO_TCP);
    put_u8(out, CTA_PROTOINFO_TCP_STATE, record->tcp_state);
    nest_end(out, inner);
    nest_end(out, outer);
}

static void put_head(struct out *out, const struct ft_ct_record *record, bool dump)
{
    struct nlmsghdr header = {
        .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 |
                      (record->kind == FT_CT_DESTROY ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW)};
    if (dump) {
        header.nlmsg_flags = NLM_F_MULTI;
    } else if (record->kind == FT_CT_NEW) {
        header.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    }
    struct nfgenmsg family = {.nfgen_family = record->orig.ipv6 ? AF_INET6 : AF_INET,
                              .version = NFNETLINK_V0};
    put(out, &header, sizeof header);
    put(out, &family, sizeof family);
}

size_t ft_ct_build(const struct ft_ct_record *record, bool dump, void *buf, size_t size)
{
    struct out out = {.buf = buf, .size = size};
    unsigned has = record->has;
    put_head(&out, record, dump);
    put_tuple(&out, CTA_TUPLE_ORIG, record, &record->orig);
    put_tuple(&out, CTA_TUPLE_REPLY, record, &record->reply);
    if ((has & FT_CT_HAS_ZONE) != 0) {
        put_u16(&out, CTA_ZONE, record->zone);
    }
    if ((has & FT_CT_HAS_STATUS) != 0) {
        put_u32(&out, CTA_STATUS, record->status);
    }
    if ((has & FT_CT_HAS_TIMEOUT) != 0) {
        put_u32(&out, CTA_TIMEOUT, record->timeout_s);
    }
    if ((has & FT_CT_HAS_COUNTERS) != 0) {
        put_counters(&out, CTA_COUNTERS_ORIG, record->orig_packets, record->orig_bytes);
        put_counters(&out, CTA_COUNTERS_REPLY, record->reply_packets, record->reply_bytes);
    }
    put_times(&out, record);
    put_tcp_state(&out, record);
    if ((has & FT_CT_HAS_MARK) != 0) {
        put_u32(&out, CTA_MARK, record->mark);
    }
    if ((has & FT_CT_HAS_ID) != 0) {
        put_u32(&out, CTA_ID, record->id);
    }
    return finish(&out);
}

static size_t build_control(uint16_t type, int error, size_t payload_size, void *buf, size_t size)
{
    struct out out = {.buf = buf, .size = size};
    struct nlmsghdr header = {.nlmsg_type = type,
                              .nlmsg_flags = type == NLMSG_DONE ? NLM_F_MULTI : 0};
    put(&out, &header, sizeof header);
    uint8_t payload[sizeof(struct nlmsgerr)] = {0};
    int32_t number = -error;
    memcpy(payload, &number, sizeof number);
    put(&out, payload, payload_size);
    return finish(&out);
}

size_t ft_ct_build_done(int error, void *buf, size_t size)
{
    return build_control(NLMSG_DONE, error, sizeof(int32_t), buf, size);
}

size_t ft_ct_build_error(int error, void *buf, size_t size)
{
    return build_control(NLMSG_ERROR, error, sizeof(struct nlmsgerr), buf, size);
}

void ft_ct_build_add_flags(void *buf, uint16_t flags)
{
    struct nlmsghdr header;
    memcpy(&header, buf, sizeof header);
    header.nlmsg_flags |= flags;
    memcpy(buf, &header, sizeof header);
}

void ft_ct_build_mirror(struct ft_ct_record *record)
{
    bool icmp = (record->has & FT_CT_HAS_ICMP) != 0;
    struct ft_ct_tuple *reply = &record->reply;
    *reply = record->orig;
    reply->src = record->orig.dst;
    reply->dst = record->orig.src;
    if (!icmp) {
        reply->src_port = record->orig.dst_port;
        reply->dst_port = record->orig.src_port;
    } else if (reply->protocol == FT_PROTO_ICMP && reply->icmp_type == 8) {
        reply->icmp_type = 0; /* echo request, echo reply (RFC 792) */
    } else if (reply->protocol == FT_PROTO_ICMPV6 && reply->icmp_type == 128) {
        reply->icmp_type = 129; /* the same (RFC 4443) */
    }
}

void ft_ct_build_sample(uint32_t n, uint8_t protocol, bool ipv6, struct ft_ct_record *ret_record)
{
    static const uint8_t prefix[4] = {0x20, 0x01, 0x0d, 0xb8};
    struct ft_ct_record record = {.kind = FT_CT_NEW, .has = FT_CT_HAS_ID | FT_CT_HAS_STATUS};
    struct ft_ct_tuple *orig = &record.orig;
    orig->protocol = protocol;
    orig->ipv6 = ipv6;
    uint8_t *src = orig->src.bytes;
    uint8_t *dst = orig->dst.bytes;
    if (ipv6) {
        memcpy(src, prefix, sizeof prefix);
        memcpy(dst, prefix, sizeof prefix);
        dst[4] = 1;
        dst[15] = 1;
        src += 12;
    } else {
        memcpy(dst, (const uint8_t[]){192, 0, 2, 1}, 4);
    }
    src[0] = 10;
    src[1] = (uint8_t)(n >> 16);
    src[2] = (uint8_t)(n >> 8);
    src[3] = (uint8_t)n;
    if (protocol == FT_PROTO_ICMP || protocol == FT_PROTO_ICMPV6) {
        orig->icmp_type = protocol == FT_PROTO_ICMP ? 8 : 128;
        orig->src_port = (uint16_t)n;
        record.has |= FT_CT_HAS_ICMP;
    } else {
        orig->src_port = (uint16_t)(1024 + n % 64000);
        orig->dst_port = 443;
        record.has |= FT_CT_HAS_PORTS;
    }
    record.id = n;
    record.status = STATUS_CONFIRMED;
    ft_ct_build_mirror(&record);
    *ret_record = record;
}
