/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ct_record.h"

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>

/* linux/netfilter/nfnetlink_conntrack.h since 6.14; Debian 12's header ends before it. */
#define ATTR_TIMESTAMP_EVENT 27

/* Far more than any event of conntrack has. */
#define EVENT_SIZE_MAX 8192U

/* NLA_TYPE_MASK without its sign. */
#define ATTR_TYPE_MASK 0x3fffU

/* A run of bytes that may be read: an attribute's payload or what is left of it. */
struct span {
    const uint8_t *at;
    const uint8_t *end;
};

/* Which parts of a tuple were there. */
#define PART_V4_SRC (1U << 0)
#define PART_V4_DST (1U << 1)
#define PART_V6_SRC (1U << 2)
#define PART_V6_DST (1U << 3)
#define PART_PORTS  (1U << 4)
#define PART_ICMP   (1U << 5)
#define PART_ZONE   (1U << 6)

#define PARTS_V4 (PART_V4_SRC | PART_V4_DST)
#define PARTS_V6 (PART_V6_SRC | PART_V6_DST)

/* The attributes of CTA_TUPLE_PROTO that have 16 bits; the others have 8. */
#define PROTO_ATTRS_OF_16_BITS                                                                     \
    (1U << CTA_PROTO_SRC_PORT | 1U << CTA_PROTO_DST_PORT | 1U << CTA_PROTO_ICMP_ID |               \
     1U << CTA_PROTO_ICMPV6_ID)

/* What a tuple had besides its addresses and numbers. */
struct tuple_parts {
    unsigned parts;
    uint16_t zone;
};

/* The nested attributes of a message: walked after the message, so that the last of a kind counts
 * whole, as in the kernel's and libmnl's own tables. */
struct nests {
    struct span orig;
    struct span reply;
    struct span protoinfo;
    struct span counters_orig;
    struct span counters_reply;
    struct span timestamp;
};

static size_t align4(size_t size);
static enum ft_ct_step parse_control(const struct nlmsghdr *header, const uint8_t *message,
                                     int *ret_errno);
static bool parse_conntrack(const struct nlmsghdr *header, const uint8_t *message,
                            struct ft_ct_record *record);

enum ft_ct_step ft_ct_next(struct ft_ct_reader *reader, struct ft_ct_record *ret_record,
                           int *ret_errno)
{
    if (reader->left == 0) {
        return FT_CT_EMPTY;
    }
    struct nlmsghdr header;
    if (reader->left < sizeof header) {
        reader->left = 0;
        return FT_CT_BAD;
    }
    const uint8_t *message = reader->at;
    memcpy(&header, message, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > reader->left) {
        reader->left = 0;
        return FT_CT_BAD;
    }
    if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0 && !reader->interrupted) {
        reader->interrupted = true;
        return FT_CT_INTERRUPTED;
    }
    /* The last message of a run may come without its padding. */
    size_t step = align4(header.nlmsg_len);
    step = step < reader->left ? step : reader->left;
    reader->at += step;
    reader->left -= step;

    if (header.nlmsg_type < NLMSG_MIN_TYPE) {
        return parse_control(&header, message, ret_errno);
    }
    unsigned verb = header.nlmsg_type & 0xffU;
    if (header.nlmsg_type >> 8 != NFNL_SUBSYS_CTNETLINK ||
        (verb != IPCTNL_MSG_CT_NEW && verb != IPCTNL_MSG_CT_DELETE)) {
        return FT_CT_SKIPPED;
    }
    return parse_conntrack(&header, message, ret_record) ? FT_CT_RECORD : FT_CT_BAD;
}

size_t ft_ct_event_size(const void *data, size_t room)
{
    struct nlmsghdr header;
    if (room < sizeof header) {
        return 0;
    }
    memcpy(&header, data, sizeof header);
    bool is_event = header.nlmsg_type >> 8 == NFNL_SUBSYS_CTNETLINK &&
                    header.nlmsg_len >= sizeof header && header.nlmsg_len <= EVENT_SIZE_MAX;
    return is_event && align4(header.nlmsg_len) <= room ? align4(header.nlmsg_len) : 0;
}

bool ft_ct_is_mirrored(const struct ft_ct_record *record)
{
    const struct ft_ct_tuple *orig = &record->orig;
    const struct ft_ct_tuple *reply = &record->reply;
    if (memcmp(&orig->src, &reply->dst, sizeof orig->src) != 0 ||
        memcmp(&orig->dst, &reply->src, sizeof orig->dst) != 0) {
        return false;
    }
    if ((record->has & FT_CT_HAS_ICMP) != 0) {
        return orig->src_port == reply->src_port;
    }
    return orig->src_port == reply->dst_port && orig->dst_port == reply->src_port;
}

/* Messages and attributes begin at multiples of four bytes. */
static inline size_t align4(size_t size) { return (size + 3) & ~(size_t)3; }

/* Messages of netlink itself. */
static enum ft_ct_step parse_control(const struct nlmsghdr *header, const uint8_t *message,
                                     int *ret_errno)
{
    if (header->nlmsg_type != NLMSG_DONE && header->nlmsg_type != NLMSG_ERROR) {
        return FT_CT_SKIPPED;
    }
    int32_t number = 0;
    if (header->nlmsg_len - sizeof *header >= sizeof number) {
        memcpy(&number, message + sizeof *header, sizeof number);
    } else if (header->nlmsg_type == NLMSG_ERROR) {
        return FT_CT_BAD;
    }
    if (number > 0 || number < -4095) {
        return FT_CT_BAD; /* The kernel's errors are -4095 to 0 (linux/err.h, MAX_ERRNO). */
    }
    if (header->nlmsg_type == NLMSG_ERROR && number == 0) {
        return FT_CT_SKIPPED; /* An acknowledgement. */
    }
    *ret_errno = -number;
    return header->nlmsg_type == NLMSG_DONE ? FT_CT_DONE : FT_CT_ERROR;
}

/* 1: an attribute was taken; 0: nothing is left; -1: what is left is no attribute. */
static inline int take_attr(struct span *rest, unsigned *ret_type, struct span *ret_payload)
{
    size_t left = (size_t)(rest->end - rest->at);
    if (left == 0) {
        return 0;
    }
    struct nlattr attr;
    if (left < sizeof attr) {
        return -1;
    }
    memcpy(&attr, rest->at, sizeof attr);
    if (attr.nla_len < sizeof attr || attr.nla_len > left) {
        return -1;
    }
    *ret_type = attr.nla_type & ATTR_TYPE_MASK;
    ret_payload->at = rest->at + sizeof attr;
    ret_payload->end = rest->at + attr.nla_len;
    size_t step = align4(attr.nla_len);
    rest->at += step < left ? step : left;
    return 1;
}

/* Numbers of conntrack's attributes are big-endian.  False for another size. */
static inline bool get_u8(const struct span *payload, uint8_t *ret_value)
{
    if (payload->end - payload->at != 1) {
        return false;
    }
    *ret_value = payload->at[0];
    return true;
}

static inline bool get_u16(const struct span *payload, uint16_t *ret_value)
{
    if (payload->end - payload->at != 2) {
        return false;
    }
    memcpy(ret_value, payload->at, sizeof *ret_value);
    *ret_value = be16toh(*ret_value);
    return true;
}

static inline bool get_u32(const struct span *payload, uint32_t *ret_value)
{
    if (payload->end - payload->at != 4) {
        return false;
    }
    memcpy(ret_value, payload->at, sizeof *ret_value);
    *ret_value = be32toh(*ret_value);
    return true;
}

static inline bool get_u64(const struct span *payload, uint64_t *ret_value)
{
    if (payload->end - payload->at != 8) {
        return false;
    }
    memcpy(ret_value, payload->at, sizeof *ret_value);
    *ret_value = be64toh(*ret_value);
    return true;
}

static inline bool get_addr(const struct span *payload, size_t size, struct ft_addr *ret_addr)
{
    if ((size_t)(payload->end - payload->at) != size) {
        return false;
    }
    memcpy(ret_addr->bytes, payload->at, size);
    return true;
}

/* A time stamp; 0 and what int64_t cannot hold are "none": the kernel has no such time. */
static inline bool get_time(const struct span *payload, unsigned bit, int64_t *ret_ns,
                            unsigned *has)
{
    uint64_t value;
    if (!get_u64(payload, &value)) {
        return false;
    }
    if (value == 0 || value > INT64_MAX) {
        *ret_ns = 0;
        *has &= ~bit;
    } else {
        *ret_ns = (int64_t)value;
        *has |= bit;
    }
    return true;
}

static bool parse_ip(struct span rest, struct ft_ct_tuple *tuple, unsigned *parts)
{
    unsigned type;
    struct span payload;
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        bool good = true;
        switch (type) {
        case CTA_IP_V4_SRC:
            good = get_addr(&payload, 4, &tuple->src);
            *parts |= PART_V4_SRC;
            break;
        case CTA_IP_V4_DST:
            good = get_addr(&payload, 4, &tuple->dst);
            *parts |= PART_V4_DST;
            break;
        case CTA_IP_V6_SRC:
            good = get_addr(&payload, 16, &tuple->src);
            *parts |= PART_V6_SRC;
            break;
        case CTA_IP_V6_DST:
            good = get_addr(&payload, 16, &tuple->dst);
            *parts |= PART_V6_DST;
            break;
        default:
            break;
        }
        if (!good) {
            return false;
        }
    }
    unsigned family = *parts & (PARTS_V4 | PARTS_V6);
    tuple->ipv6 = family == PARTS_V6;
    return taken == 0 && (family == PARTS_V4 || family == PARTS_V6);
}

/* The attributes of ICMPv6 are those of ICMP, three numbers on. */
static void take_icmp(const uint16_t *values, unsigned seen, unsigned shift,
                      struct ft_ct_tuple *tuple, unsigned *parts)
{
    tuple->src_port = values[CTA_PROTO_ICMP_ID + shift];
    tuple->icmp_type = (uint8_t)values[CTA_PROTO_ICMP_TYPE + shift];
    tuple->icmp_code = (uint8_t)values[CTA_PROTO_ICMP_CODE + shift];
    unsigned both = (1U << CTA_PROTO_ICMP_TYPE | 1U << CTA_PROTO_ICMP_CODE) << shift;
    if ((seen & both) == both) {
        *parts |= PART_ICMP;
    }
}

static bool parse_proto(struct span rest, struct ft_ct_tuple *tuple, unsigned *parts)
{
    uint16_t values[CTA_PROTO_MAX + 1] = {0};
    unsigned seen = 0;
    unsigned type;
    struct span payload;
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        if (type == 0 || type > CTA_PROTO_ICMPV6_CODE) {
            continue;
        }
        uint8_t byte = 0;
        bool two = ((1U << type) & PROTO_ATTRS_OF_16_BITS) != 0;
        if (two ? !get_u16(&payload, &values[type]) : !get_u8(&payload, &byte)) {
            return false;
        }
        if (!two) {
            values[type] = byte;
        }
        seen |= 1U << type;
    }
    if (taken != 0 || (seen & 1U << CTA_PROTO_NUM) == 0) {
        return false;
    }
    tuple->protocol = (uint8_t)values[CTA_PROTO_NUM];
    unsigned ports = 1U << CTA_PROTO_SRC_PORT | 1U << CTA_PROTO_DST_PORT;
    if (tuple->protocol == FT_PROTO_ICMP) {
        take_icmp(values, seen, 0, tuple, parts);
    } else if (tuple->protocol == FT_PROTO_ICMPV6) {
        take_icmp(values, seen, CTA_PROTO_ICMPV6_ID - CTA_PROTO_ICMP_ID, tuple, parts);
    } else if ((seen & ports) == ports) {
        tuple->src_port = values[CTA_PROTO_SRC_PORT];
        tuple->dst_port = values[CTA_PROTO_DST_PORT];
        *parts |= PART_PORTS;
    }
    return true;
}

static bool parse_tuple(struct span rest, struct ft_ct_tuple *tuple, struct tuple_parts *ret_parts)
{
    unsigned type;
    struct span payload;
    struct span ip = {NULL, NULL};
    struct span proto = {NULL, NULL};
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        if (type == CTA_TUPLE_IP) {
            ip = payload;
        } else if (type == CTA_TUPLE_PROTO) {
            proto = payload;
        } else if (type == CTA_TUPLE_ZONE) {
            if (!get_u16(&payload, &ret_parts->zone)) {
                return false;
            }
            ret_parts->parts |= PART_ZONE;
        }
    }
    return taken == 0 && parse_ip(ip, tuple, &ret_parts->parts) &&
           parse_proto(proto, tuple, &ret_parts->parts);
}

/* Counters of 64 bits, or of 32 bits from kernels before 3.0.  False when malformed. */
static bool parse_counters(struct span rest, uint64_t *packets, uint64_t *bytes, bool *ret_both)
{
    unsigned type;
    struct span payload;
    uint32_t packets32 = 0;
    uint32_t bytes32 = 0;
    unsigned seen = 0;
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        bool good = true;
        switch (type) {
        case CTA_COUNTERS_PACKETS:
            good = get_u64(&payload, packets);
            break;
        case CTA_COUNTERS_BYTES:
            good = get_u64(&payload, bytes);
            break;
        case CTA_COUNTERS32_PACKETS:
            good = get_u32(&payload, &packets32);
            break;
        case CTA_COUNTERS32_BYTES:
            good = get_u32(&payload, &bytes32);
            break;
        default:
            continue;
        }
        if (!good) {
            return false;
        }
        seen |= 1U << type;
    }
    bool has_packets = (seen & (1U << CTA_COUNTERS_PACKETS | 1U << CTA_COUNTERS32_PACKETS)) != 0;
    bool has_bytes = (seen & (1U << CTA_COUNTERS_BYTES | 1U << CTA_COUNTERS32_BYTES)) != 0;
    if ((seen & (1U << CTA_COUNTERS_PACKETS)) == 0) {
        *packets = packets32;
    }
    if ((seen & (1U << CTA_COUNTERS_BYTES)) == 0) {
        *bytes = bytes32;
    }
    *ret_both = has_packets && has_bytes;
    return taken == 0;
}

static bool parse_timestamp(struct span rest, struct ft_ct_record *record)
{
    unsigned type;
    struct span payload;
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        bool good = true;
        if (type == CTA_TIMESTAMP_START) {
            good = get_time(&payload, FT_CT_HAS_START, &record->start_ns, &record->has);
        } else if (type == CTA_TIMESTAMP_STOP) {
            good = get_time(&payload, FT_CT_HAS_STOP, &record->stop_ns, &record->has);
        }
        if (!good) {
            return false;
        }
    }
    return taken == 0;
}

/* Only TCP's state: no other protocol's is part of a record. */
static bool parse_protoinfo(struct span rest, struct ft_ct_record *record)
{
    unsigned type;
    struct span payload;
    struct span tcp = {NULL, NULL};
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        if (type == CTA_PROTOINFO_TCP) {
            tcp = payload;
        }
    }
    if (taken != 0) {
        return false;
    }
    while ((taken = take_attr(&tcp, &type, &payload)) > 0) {
        if (type == CTA_PROTOINFO_TCP_STATE) {
            if (!get_u8(&payload, &record->tcp_state)) {
                return false;
            }
            record->has |= FT_CT_HAS_TCP_STATE;
        }
    }
    return taken == 0;
}

static bool parse_tuples(const struct nests *nests, struct ft_ct_record *record)
{
    struct tuple_parts orig = {0, 0};
    struct tuple_parts reply = {0, 0};
    if (!parse_tuple(nests->orig, &record->orig, &orig) ||
        !parse_tuple(nests->reply, &record->reply, &reply) ||
        record->orig.ipv6 != record->reply.ipv6 ||
        record->orig.protocol != record->reply.protocol) {
        return false;
    }
    unsigned both = orig.parts & reply.parts;
    if ((both & PART_PORTS) != 0) {
        record->has |= FT_CT_HAS_PORTS;
    }
    if ((both & PART_ICMP) != 0) {
        record->has |= FT_CT_HAS_ICMP;
    }
    if ((record->has & FT_CT_HAS_ZONE) == 0 && (orig.parts & PART_ZONE) != 0) {
        record->zone = orig.zone;
        record->has |= FT_CT_HAS_ZONE;
    }
    return true;
}

static bool parse_nests(const struct nests *nests, struct ft_ct_record *record)
{
    if (!parse_tuples(nests, record)) {
        return false;
    }
    if (nests->protoinfo.at != NULL && !parse_protoinfo(nests->protoinfo, record)) {
        return false;
    }
    bool orig = false;
    bool reply = false;
    if (nests->counters_orig.at != NULL &&
        !parse_counters(nests->counters_orig, &record->orig_packets, &record->orig_bytes, &orig)) {
        return false;
    }
    if (nests->counters_reply.at != NULL &&
        !parse_counters(nests->counters_reply, &record->reply_packets, &record->reply_bytes,
                        &reply)) {
        return false;
    }
    if (orig && reply) {
        record->has |= FT_CT_HAS_COUNTERS;
    }
    return nests->timestamp.at == NULL || parse_timestamp(nests->timestamp, record);
}

/* One attribute of the message itself: a number is taken, a nest is kept for later. */
static bool take_top(unsigned type, const struct span *payload, struct ft_ct_record *record,
                     struct nests *nests)
{
    switch (type) {
    case CTA_TUPLE_ORIG:
        nests->orig = *payload;
        return true;
    case CTA_TUPLE_REPLY:
        nests->reply = *payload;
        return true;
    case CTA_PROTOINFO:
        nests->protoinfo = *payload;
        return true;
    case CTA_COUNTERS_ORIG:
        nests->counters_orig = *payload;
        return true;
    case CTA_COUNTERS_REPLY:
        nests->counters_reply = *payload;
        return true;
    case CTA_TIMESTAMP:
        nests->timestamp = *payload;
        return true;
    case CTA_ID:
        record->has |= FT_CT_HAS_ID;
        return get_u32(payload, &record->id);
    case CTA_STATUS:
        record->has |= FT_CT_HAS_STATUS;
        return get_u32(payload, &record->status);
    case CTA_TIMEOUT:
        record->has |= FT_CT_HAS_TIMEOUT;
        return get_u32(payload, &record->timeout_s);
    case CTA_MARK:
        record->has |= FT_CT_HAS_MARK;
        return get_u32(payload, &record->mark);
    case CTA_ZONE:
        record->has |= FT_CT_HAS_ZONE;
        return get_u16(payload, &record->zone);
    case ATTR_TIMESTAMP_EVENT:
        return get_time(payload, FT_CT_HAS_EVENT, &record->event_ns, &record->has);
    default:
        return true;
    }
}

static enum ft_ct_kind kind_of(const struct nlmsghdr *header)
{
    if ((header->nlmsg_type & 0xff) == IPCTNL_MSG_CT_DELETE) {
        return FT_CT_DESTROY;
    }
    unsigned new_flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_MULTI;
    return (header->nlmsg_flags & new_flags) != 0 ? FT_CT_NEW : FT_CT_UPDATE;
}

static bool parse_conntrack(const struct nlmsghdr *header, const uint8_t *message,
                            struct ft_ct_record *record)
{
    size_t head_size = sizeof *header + sizeof(struct nfgenmsg);
    if (header->nlmsg_len < head_size) {
        return false;
    }
    memset(record, 0, sizeof *record);
    record->kind = kind_of(header);
    struct span rest = {message + head_size, message + header->nlmsg_len};
    struct nests nests = {0};
    unsigned type;
    struct span payload;
    int taken;
    while ((taken = take_attr(&rest, &type, &payload)) > 0) {
        if (!take_top(type, &payload, record, &nests)) {
            return false;
        }
    }
    return taken == 0 && parse_nests(&nests, record);
}
