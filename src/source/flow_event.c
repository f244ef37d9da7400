/* SPDX-License-Identifier: Apache-2.0 */
#include "source/flow_event.h"

#include <string.h>

static void add_tuple(struct ft_event *event, const struct ft_ct_record *record);

void ft_flow_event_from_record(struct ft_event *event, enum ft_event_type type, int64_t time_ns,
                               const struct ft_ct_record *record)
{
    memset(event, 0, sizeof *event);
    event->type = (uint8_t)type;
    event->time_ns = time_ns;
    event->ct_id = record->id;
    add_tuple(event, record);
    if (!ft_ct_is_mirrored(record)) {
        event->fields |= FT_FIELD_NAT;
        event->nat_src = record->reply.src;
        event->nat_dst = record->reply.dst;
        event->nat_src_port = record->reply.src_port;
        event->nat_dst_port = record->reply.dst_port;
    }
    if ((record->has & FT_CT_HAS_TCP_STATE) != 0) {
        event->fields |= FT_FIELD_TCP_STATE;
        event->tcp_state = record->tcp_state;
    }
    if ((record->has & FT_CT_HAS_MARK) != 0) {
        event->fields |= FT_FIELD_MARK;
        event->mark = record->mark;
    }
    if ((record->has & FT_CT_HAS_ZONE) != 0) {
        event->fields |= FT_FIELD_ZONE;
        event->zone = record->zone;
    }
    if ((record->has & FT_CT_HAS_STATUS) != 0) {
        event->fields |= FT_FIELD_STATUS;
        event->ct_status = record->status;
    }
}

void ft_flow_event_from_table(struct ft_event *event, enum ft_event_type type, int64_t time_ns,
                              const struct ft_flow_table *table, const struct ft_flow *flow)
{
    memset(event, 0, sizeof *event);
    event->type = (uint8_t)type;
    event->time_ns = time_ns;
    event->fields = FT_FIELD_TUPLE;
    event->protocol = flow->protocol;
    ft_flow_table_get_addrs(table, flow, &event->src, &event->dst);
    if ((flow->flags & FT_FLOW_IPV6) != 0) {
        event->fields |= FT_FIELD_IPV6;
    }
    if ((flow->flags & FT_FLOW_PORTS) != 0) {
        event->fields |= FT_FIELD_PORTS;
        event->src_port = flow->src_port;
        event->dst_port = flow->dst_port;
    }
    if ((flow->flags & FT_FLOW_ICMP) != 0) {
        event->fields |= FT_FIELD_ICMP;
        event->icmp_id = flow->src_port;
        event->icmp_type = (uint8_t)(flow->dst_port >> 8);
        event->icmp_code = (uint8_t)flow->dst_port;
    }
    if ((flow->flags & FT_FLOW_ZONE) != 0) {
        event->fields |= FT_FIELD_ZONE;
        event->zone = flow->zone;
    }
    if ((flow->flags & FT_FLOW_NAT) != 0) {
        struct ft_flow_nat nat;
        ft_flow_table_get_nat(table, flow, &nat);
        event->fields |= FT_FIELD_NAT;
        event->nat_src = nat.src;
        event->nat_dst = nat.dst;
        event->nat_src_port = nat.src_port;
        event->nat_dst_port = nat.dst_port;
    }
    ft_flow_event_add_flow(event, flow);
}

void ft_flow_event_add_flow(struct ft_event *event, const struct ft_flow *flow)
{
    static const struct {
        unsigned flag;
        uint32_t field;
    } flags[] = {{FT_FLOW_START_UNKNOWN, FT_FIELD_START_UNKNOWN},
                 {FT_FLOW_PREEXISTING, FT_FIELD_PREEXISTING}};
    event->fields |= FT_FIELD_FLOW;
    event->ct_id = flow->id;
    event->start_ns = flow->start_ns;
    event->direction = flow->direction;
    event->traffic_class = flow->traffic_class;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((flow->flags & flags[i].flag) != 0) {
            event->fields |= flags[i].field;
        }
    }
    /* Some kernels leave the mark out of the END unless it changed just then. */
    if ((flow->flags & FT_FLOW_MARK) != 0 && (event->fields & FT_FIELD_MARK) == 0) {
        event->fields |= FT_FIELD_MARK;
        event->mark = flow->mark;
    }
}

void ft_flow_event_add_counters(struct ft_event *event, const struct ft_flow_counters *from,
                                const struct ft_flow_counters *to)
{
    uint64_t orig_packets = to->orig_packets - from->orig_packets;
    uint64_t orig_bytes = to->orig_bytes - from->orig_bytes;
    uint64_t reply_packets = to->reply_packets - from->reply_packets;
    uint64_t reply_bytes = to->reply_bytes - from->reply_bytes;
    /* Seen from this host: what the original direction brings to an INGRESS flow is received. */
    bool ingress = event->direction == FT_DIR_INGRESS;
    event->fields |= FT_FIELD_COUNTERS;
    event->rx_packets = ingress ? orig_packets : reply_packets;
    event->rx_bytes = ingress ? orig_bytes : reply_bytes;
    event->tx_packets = ingress ? reply_packets : orig_packets;
    event->tx_bytes = ingress ? reply_bytes : orig_bytes;
}

static void add_tuple(struct ft_event *event, const struct ft_ct_record *record)
{
    const struct ft_ct_tuple *orig = &record->orig;
    event->fields |= FT_FIELD_TUPLE;
    event->protocol = orig->protocol;
    event->src = orig->src;
    event->dst = orig->dst;
    if (orig->ipv6) {
        event->fields |= FT_FIELD_IPV6;
    }
    if ((record->has & FT_CT_HAS_PORTS) != 0) {
        event->fields |= FT_FIELD_PORTS;
        event->src_port = orig->src_port;
        event->dst_port = orig->dst_port;
    }
    if ((record->has & FT_CT_HAS_ICMP) != 0) {
        event->fields |= FT_FIELD_ICMP;
        event->icmp_id = orig->src_port;
        event->icmp_type = orig->icmp_type;
        event->icmp_code = orig->icmp_code;
    }
}
