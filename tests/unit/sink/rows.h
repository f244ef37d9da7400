/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for the tests of sinks: a full one, a bare one, and simple ones by number. */
#ifndef FT_TESTS_UNIT_SINK_ROWS_H
#define FT_TESTS_UNIT_SINK_ROWS_H 1

#include <stdio.h>
#include <string.h>

#include "flow/query.h"
#include "lib/test.h"

#define ROWS_T0 INT64_C(1767225600000000000) /* 2026-01-01T00:00:00Z */

static inline struct ft_uuid rows_uuid(uint8_t byte)
{
    struct ft_uuid uuid;
    memset(uuid.bytes, byte, sizeof uuid.bytes);
    return uuid;
}

static inline void rows_addr(struct ft_addr *to, const char *text)
{
    bool ipv6;
    CHECK_OK(ft_addr_parse(text, to, &ipv6));
}

/* Only what is in every event. */
static inline struct ft_row row_bare(uint64_t seq)
{
    return (struct ft_row){
        .event = {.seq = seq, .time_ns = ROWS_T0 + (int64_t)seq, .type = FT_EVENT_UPDATE},
        .agent_id = rows_uuid(0xa1),
        .instance_id = rows_uuid(0xb1),
        .stored_ns = ROWS_T0 + 5,
    };
}

/* A usual TCP flow from 10.0.0.<seq> to 192.0.2.1:443. */
static inline struct ft_row row_simple(uint64_t seq)
{
    struct ft_row row = row_bare(seq);
    row.event.type = FT_EVENT_END;
    row.event.direction = FT_DIR_EGRESS;
    row.event.fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS | FT_FIELD_COUNTERS;
    row.event.ct_id = (uint32_t)seq;
    row.event.start_ns = ROWS_T0;
    row.event.protocol = FT_PROTO_TCP;
    row.event.src.bytes[0] = 10;
    row.event.src.bytes[2] = (uint8_t)(seq >> 8);
    row.event.src.bytes[3] = (uint8_t)seq;
    rows_addr(&row.event.dst, "192.0.2.1");
    row.event.src_port = (uint16_t)(40000 + seq % 10000);
    row.event.dst_port = 443;
    row.event.rx_packets = 1;
    row.event.rx_bytes = 100;
    row.event.tx_packets = 2;
    row.event.tx_bytes = 1000;
    return row;
}

/* Everything that an event can have, each value different from the others and from zero. */
static inline struct ft_row row_full(uint64_t seq)
{
    struct ft_row row = {
        .event =
            {
                .seq = seq,
                .time_ns = ROWS_T0 + (int64_t)seq,
                .fields = FT_FIELD_ALL,
                .type = FT_EVENT_LOSS,
                .direction = FT_DIR_FORWARDED,
                .traffic_class = FT_CLASS_EXIT,
                .protocol = 255,
                .tcp_state = 9,
                .icmp_type = 254,
                .icmp_code = 253,
                .icmp_id = 65535,
                .src_port = 65534,
                .dst_port = 65533,
                .nat_src_port = 65532,
                .nat_dst_port = 65531,
                .zone = 65530,
                .ct_id = UINT32_MAX,
                .ct_status = UINT32_MAX - 1,
                .mark = UINT32_MAX - 2,
                .start_ns = ROWS_T0 - 1,
                .rx_packets = UINT64_MAX,
                .rx_bytes = UINT64_MAX - 1,
                .tx_packets = UINT64_MAX - 2,
                .tx_bytes = UINT64_MAX - 3,
                .pid = UINT32_MAX - 3,
                .uid = UINT32_MAX - 4,
                .rtt_us = UINT32_MAX - 5,
                .rtt_var_us = UINT32_MAX - 6,
                .retransmits = UINT32_MAX - 7,
                .n_starts = UINT32_MAX - 8,
                .n_ends = UINT32_MAX - 9,
                .n_drops = UINT32_MAX - 10,
                .window_begin_ns = ROWS_T0 - 3,
                .window_end_ns = ROWS_T0 - 2,
                .loss = {.cause = FT_LOSS_SHUTDOWN,
                         .estimated = true,
                         .begin_ns = ROWS_T0 - 5,
                         .end_ns = ROWS_T0 - 4,
                         .count = UINT64_MAX - 4,
                         .first_seq = UINT64_MAX - 6,
                         .last_seq = UINT64_MAX - 5},
                .process_name = "curl",
                .container_id = "0123456789abcdef0123456789abcdef",
                .user_name = "j\xc3\xb6rg",
                .src_name = "a.example",
                .dst_name = "b.example",
                .rule_id = "r-1",
                .src_resource_id = "s-1",
                .dst_resource_id = "d-1",
            },
        .agent_id = rows_uuid(0xa1),
        .instance_id = rows_uuid(0xb1),
        .event_id = rows_uuid(0xe1),
        .flow_id = rows_uuid(0xf1),
        .stored_ns = ROWS_T0 + 7,
    };
    rows_addr(&row.event.src, "2001:db8::1");
    rows_addr(&row.event.dst, "ff02::2");
    rows_addr(&row.event.nat_src, "fe80::3");
    rows_addr(&row.event.nat_dst, "::4");
    return row;
}

#endif
