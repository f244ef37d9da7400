/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/ct_schema.h"

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One attribute: of exactly 'size' bytes, or a nest with rules of its own. */
struct rule {
    unsigned type; /* 0 ends a table. */
    size_t size;   /* SIZE_TEXT, SIZE_LABELS or bytes. */
    const struct rule *nest;
    bool unread; /* Not read by os/ct_record.h, with all that is in it. */
};

#define SIZE_TEXT   ((size_t)1000) /* At least one byte. */
#define SIZE_LABELS ((size_t)1001) /* Words of 32 bits. */
#define TYPE_MAX    63

static const struct rule ip_rules[] = {{CTA_IP_V4_SRC, 4, NULL, false},
                                       {CTA_IP_V4_DST, 4, NULL, false},
                                       {CTA_IP_V6_SRC, 16, NULL, false},
                                       {CTA_IP_V6_DST, 16, NULL, false},
                                       {0, 0, NULL, false}};

static const struct rule proto_rules[] = {
    {CTA_PROTO_NUM, 1, NULL, false},         {CTA_PROTO_SRC_PORT, 2, NULL, false},
    {CTA_PROTO_DST_PORT, 2, NULL, false},    {CTA_PROTO_ICMP_ID, 2, NULL, false},
    {CTA_PROTO_ICMP_TYPE, 1, NULL, false},   {CTA_PROTO_ICMP_CODE, 1, NULL, false},
    {CTA_PROTO_ICMPV6_ID, 2, NULL, false},   {CTA_PROTO_ICMPV6_TYPE, 1, NULL, false},
    {CTA_PROTO_ICMPV6_CODE, 1, NULL, false}, {0, 0, NULL, false}};

static const struct rule tuple_rules[] = {{CTA_TUPLE_IP, 0, ip_rules, false},
                                          {CTA_TUPLE_PROTO, 0, proto_rules, false},
                                          {CTA_TUPLE_ZONE, 2, NULL, false},
                                          {0, 0, NULL, false}};

static const struct rule tcp_rules[] = {{CTA_PROTOINFO_TCP_STATE, 1, NULL, false},
                                        {CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, 1, NULL, true},
                                        {CTA_PROTOINFO_TCP_WSCALE_REPLY, 1, NULL, true},
                                        {CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, 2, NULL, true},
                                        {CTA_PROTOINFO_TCP_FLAGS_REPLY, 2, NULL, true},
                                        {0, 0, NULL, false}};

static const struct rule dccp_rules[] = {{CTA_PROTOINFO_DCCP_STATE, 1, NULL, false},
                                         {CTA_PROTOINFO_DCCP_ROLE, 1, NULL, false},
                                         {CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ, 8, NULL, false},
                                         {0, 0, NULL, false}};

static const struct rule sctp_rules[] = {{CTA_PROTOINFO_SCTP_STATE, 1, NULL, false},
                                         {CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, 4, NULL, false},
                                         {CTA_PROTOINFO_SCTP_VTAG_REPLY, 4, NULL, false},
                                         {0, 0, NULL, false}};

static const struct rule protoinfo_rules[] = {{CTA_PROTOINFO_TCP, 0, tcp_rules, false},
                                              {CTA_PROTOINFO_DCCP, 0, dccp_rules, true},
                                              {CTA_PROTOINFO_SCTP, 0, sctp_rules, true},
                                              {0, 0, NULL, false}};

static const struct rule counters_rules[] = {{CTA_COUNTERS_PACKETS, 8, NULL, false},
                                             {CTA_COUNTERS_BYTES, 8, NULL, false},
                                             {CTA_COUNTERS32_PACKETS, 4, NULL, false},
                                             {CTA_COUNTERS32_BYTES, 4, NULL, false},
                                             {0, 0, NULL, false}};

static const struct rule timestamp_rules[] = {{CTA_TIMESTAMP_START, 8, NULL, false},
                                              {CTA_TIMESTAMP_STOP, 8, NULL, false},
                                              {0, 0, NULL, false}};

static const struct rule name_rules[] = {{1, SIZE_TEXT, NULL, false}, {0, 0, NULL, false}};

static const struct rule three_words_rules[] = {
    {1, 4, NULL, false}, {2, 4, NULL, false}, {3, 4, NULL, false}, {0, 0, NULL, false}};

static const struct rule top_rules[] = {{CTA_TUPLE_ORIG, 0, tuple_rules, false},
                                        {CTA_TUPLE_REPLY, 0, tuple_rules, false},
                                        {CTA_STATUS, 4, NULL, false},
                                        {CTA_PROTOINFO, 0, protoinfo_rules, false},
                                        {CTA_HELP, 0, name_rules, true},
                                        {CTA_TIMEOUT, 4, NULL, false},
                                        {CTA_MARK, 4, NULL, false},
                                        {CTA_COUNTERS_ORIG, 0, counters_rules, false},
                                        {CTA_COUNTERS_REPLY, 0, counters_rules, false},
                                        {CTA_USE, 4, NULL, true},
                                        {CTA_ID, 4, NULL, false},
                                        {CTA_TUPLE_MASTER, 0, tuple_rules, true},
                                        {CTA_SEQ_ADJ_ORIG, 0, three_words_rules, true},
                                        {CTA_SEQ_ADJ_REPLY, 0, three_words_rules, true},
                                        {CTA_SECMARK, 4, NULL, true},
                                        {CTA_ZONE, 2, NULL, false},
                                        {CTA_SECCTX, 0, name_rules, true},
                                        {CTA_TIMESTAMP, 0, timestamp_rules, false},
                                        {CTA_LABELS, SIZE_LABELS, NULL, true},
                                        {CTA_LABELS_MASK, SIZE_LABELS, NULL, true},
                                        {CTA_SYNPROXY, 0, three_words_rules, true},
                                        {27 /* CTA_TIMESTAMP_EVENT */, 8, NULL, false},
                                        {0, 0, NULL, false}};

static const struct rule *rule_of(const struct rule *rules, unsigned type)
{
    for (; rules->type != 0; rules++) {
        if (rules->type == type) {
            return rules;
        }
    }
    return NULL;
}

static bool size_fits(const struct rule *rule, size_t size)
{
    switch (rule->size) {
    case SIZE_TEXT:
        return size > 0;
    case SIZE_LABELS:
        return size > 0 && size % 4 == 0 && size <= 128;
    default:
        return size == rule->size;
    }
}

static unsigned check_level(const uint8_t *at, size_t size, const struct rule *rules, bool unread)
{
    struct {
        const uint8_t *at;
        size_t size;
    } nests[TYPE_MAX + 1] = {{NULL, 0}};
    unsigned broken = 0;
    while (size > 0) {
        struct nlattr attr;
        if (size < sizeof attr) {
            return broken | (unread ? FT_CT_SCHEMA_UNREAD : FT_CT_SCHEMA_READ);
        }
        memcpy(&attr, at, sizeof attr);
        if (attr.nla_len < sizeof attr || attr.nla_len > size) {
            return broken | (unread ? FT_CT_SCHEMA_UNREAD : FT_CT_SCHEMA_READ);
        }
        const struct rule *rule = rule_of(rules, attr.nla_type & 0x3fffU);
        size_t payload_size = attr.nla_len - sizeof attr;
        if (rule != NULL && rule->nest == NULL && !size_fits(rule, payload_size)) {
            broken |= unread || rule->unread ? FT_CT_SCHEMA_UNREAD : FT_CT_SCHEMA_READ;
        }
        if (rule != NULL && rule->nest != NULL && payload_size > 0 && payload_size < sizeof attr) {
            broken |= FT_CT_SCHEMA_UNREAD; /* Matters to our parser only in the last of its type. */
        }
        if (rule != NULL && rule->nest != NULL) {
            nests[rule->type].at = at + sizeof attr;
            nests[rule->type].size = payload_size;
        }
        size_t step = (attr.nla_len + 3U) & ~3U;
        step = step < size ? step : size;
        at += step;
        size -= step;
    }
    for (; rules->type != 0; rules++) {
        if (nests[rules->type].at != NULL) {
            broken |= check_level(nests[rules->type].at, nests[rules->type].size, rules->nest,
                                  unread || rules->unread);
        }
    }
    return broken;
}

unsigned ft_ct_schema_check(const void *attrs, size_t size)
{
    return check_level(attrs, size, top_rules, false);
}
