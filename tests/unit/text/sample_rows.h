/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of every shape for the golden tests of this folder. */
#ifndef FT_TESTS_UNIT_TEXT_SAMPLE_ROWS_H
#define FT_TESTS_UNIT_TEXT_SAMPLE_ROWS_H 1

#include "flow/query.h"
#include "lib/test.h"

#define N_SAMPLE_ROWS 6

/* 2026-11-21T09:00:01.123456789Z */
#define SAMPLE_TIME INT64_C(1795251601123456789)

static inline void sample_addr(const char *text, struct ft_event *event, struct ft_addr *ret_addr)
{
    bool ipv6;
    CHECK_OK(ft_addr_parse(text, ret_addr, &ipv6));
    event->fields |= ipv6 ? FT_FIELD_IPV6 : 0;
}

static inline void sample_base(struct ft_row *row, uint64_t seq, enum ft_event_type type)
{
    memset(row, 0, sizeof *row);
    CHECK_OK(ft_uuid_parse("11111111-2222-4333-8444-555555555555", &row->agent_id));
    CHECK_OK(ft_uuid_parse("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", &row->instance_id));
    CHECK_OK(ft_uuid_parse("01234567-89ab-5def-8123-456789abcdef", &row->event_id));
    row->event.seq = seq;
    row->event.time_ns = SAMPLE_TIME + (int64_t)seq * 1000000;
    row->event.type = (uint8_t)type;
    row->stored_ns = row->event.time_ns + 5000000;
}

static inline void sample_tuple(struct ft_row *row, const char *src, const char *dst,
                                uint8_t protocol)
{
    struct ft_event *event = &row->event;
    event->fields |= FT_FIELD_TUPLE | FT_FIELD_FLOW;
    event->protocol = protocol;
    event->ct_id = 3735928559;
    event->start_ns = event->time_ns - 1204000000;
    sample_addr(src, event, &event->src);
    sample_addr(dst, event, &event->dst);
    CHECK_OK(ft_uuid_parse("fedcba98-7654-5210-8edc-ba9876543210", &row->flow_id));
}

static inline void sample_end(struct ft_row *row)
{
    sample_base(row, 2, FT_EVENT_END);
    sample_tuple(row, "10.0.0.1", "10.0.0.2", FT_PROTO_TCP);
    struct ft_event *event = &row->event;
    event->fields |= FT_FIELD_PORTS | FT_FIELD_COUNTERS | FT_FIELD_TCP_STATE | FT_FIELD_PROCESS |
                     FT_FIELD_CONTAINER | FT_FIELD_USER | FT_FIELD_DNS | FT_FIELD_TCP_INFO |
                     FT_FIELD_RULE | FT_FIELD_RESOURCE | FT_FIELD_MARK | FT_FIELD_ZONE |
                     FT_FIELD_STATUS | FT_FIELD_NAT;
    event->direction = FT_DIR_EGRESS;
    event->traffic_class = FT_CLASS_VIRTUAL;
    event->src_port = 43210;
    event->dst_port = 443;
    event->rx_packets = 12;
    event->rx_bytes = 3456;
    event->tx_packets = 10;
    event->tx_bytes = 5ULL * 1024 * 1024 * 1024;
    event->tcp_state = 7;
    event->ct_status = 398;
    event->mark = 0; /* Present and zero: shown. */
    event->zone = 0;
    event->pid = 4711;
    event->process_name = "=cmd|' /C calc'!A1";
    event->container_id = "3f1b";
    event->uid = 0;
    event->user_name = "ro\"ot,\n";
    event->dst_name = "b\xc3\xbc"
                      "cher.example\x1b[31m";
    event->rtt_us = 812;
    event->rtt_var_us = 40;
    event->retransmits = 1;
    event->rule_id = "allow-web";
    event->src_resource_id = "@laptop";
    event->dst_resource_id = "shop";
    sample_addr("192.0.2.7", event, &event->nat_src);
    sample_addr("203.0.113.9", event, &event->nat_dst);
    event->nat_src_port = 8443;
    event->nat_dst_port = 43210;
}

static inline void sample_loss(struct ft_row *row)
{
    sample_base(row, 5, FT_EVENT_LOSS);
    struct ft_event *event = &row->event;
    event->fields |= FT_FIELD_LOSS;
    event->loss.cause = FT_LOSS_KERNEL_OVERRUN;
    event->loss.estimated = true;
    event->loss.begin_ns = event->time_ns - 2000000000;
    event->loss.end_ns = event->time_ns;
    event->loss.count = 1200;
}

static inline void sample_rows(struct ft_row rows[N_SAMPLE_ROWS])
{
    sample_base(&rows[0], 1, FT_EVENT_START);
    sample_tuple(&rows[0], "10.0.0.1", "10.0.0.2", FT_PROTO_TCP);
    rows[0].event.fields |= FT_FIELD_PORTS | FT_FIELD_INFERRED | FT_FIELD_START_UNKNOWN;
    rows[0].event.direction = FT_DIR_INGRESS;
    rows[0].event.src_port = 43210;
    rows[0].event.dst_port = 443;

    sample_end(&rows[1]);

    sample_base(&rows[2], 3, FT_EVENT_DROP);
    sample_tuple(&rows[2], "2001:db8::1", "2001:db8::2", FT_PROTO_ICMPV6);
    rows[2].event.fields |= FT_FIELD_ICMP;
    rows[2].event.direction = FT_DIR_FORWARDED;
    rows[2].event.icmp_type = 128;
    rows[2].event.icmp_id = 9;

    sample_base(&rows[3], 4, FT_EVENT_UPDATE);
    sample_tuple(&rows[3], "2001:db8::1", "2001:db8::2", 253);
    rows[3].event.fields |= FT_FIELD_WINDOW | FT_FIELD_PORTS | FT_FIELD_COUNTERS;
    rows[3].event.direction = FT_DIR_LOCAL;
    rows[3].event.src_port = 5;
    rows[3].event.dst_port = 6;
    rows[3].event.window_begin_ns = SAMPLE_TIME;
    rows[3].event.window_end_ns = SAMPLE_TIME + INT64_C(60000000000);
    rows[3].event.n_starts = 3;
    rows[3].event.n_ends = 2;

    sample_loss(&rows[4]);

    /* A loss with its hole, and no identity at all: what a local agent may show. */
    sample_loss(&rows[5]);
    memset(&rows[5].agent_id, 0, sizeof rows[5].agent_id);
    memset(&rows[5].instance_id, 0, sizeof rows[5].instance_id);
    memset(&rows[5].event_id, 0, sizeof rows[5].event_id);
    rows[5].stored_ns = 0;
    rows[5].event.loss.estimated = false;
    rows[5].event.loss.cause = FT_LOSS_LOG_FULL;
    rows[5].event.loss.first_seq = 10;
    rows[5].event.loss.last_seq = 1209;
}

#endif
