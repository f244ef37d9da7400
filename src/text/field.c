/* SPDX-License-Identifier: Apache-2.0 */
#include "text/field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define ROW(member)   offsetof(struct ft_row, member)
#define EVENT(member) offsetof(struct ft_row, event.member)
#define LOSS(member)  offsetof(struct ft_row, event.loss.member)
#define PORTS_OF_NAT  (FT_FIELD_NAT | FT_FIELD_PORTS)

/* A field under its own name; one that is left out when zero; one below "loss". */
#define FIELD(text, kind, need, offset)                                                            \
    {                                                                                              \
        text, text, kind, false, false, need, offset                                               \
    }
#define OMIT0(text, kind, need, offset)                                                            \
    {                                                                                              \
        text, text, kind, false, true, need, offset                                                \
    }
#define UNDER_LOSS(text, kind, omit0, offset)                                                      \
    {                                                                                              \
        "loss_" text, text, kind, true, omit0, FT_FIELD_LOSS, offset                               \
    }

const struct ft_text_field ft_text_fields[] = {
    FIELD("time", FT_TEXT_TIME, 0, EVENT(time_ns)),
    FIELD("type", FT_TEXT_TYPE, 0, EVENT(type)),
    FIELD("direction", FT_TEXT_DIRECTION, 0, EVENT(direction)),
    FIELD("traffic_class", FT_TEXT_CLASS, 0, EVENT(traffic_class)),
    FIELD("protocol", FT_TEXT_U8, FT_FIELD_TUPLE, EVENT(protocol)),
    FIELD("protocol_name", FT_TEXT_PROTOCOL_NAME, FT_FIELD_TUPLE, EVENT(protocol)),
    FIELD("src_addr", FT_TEXT_ADDR, FT_FIELD_TUPLE, EVENT(src)),
    FIELD("src_port", FT_TEXT_U16, FT_FIELD_PORTS, EVENT(src_port)),
    FIELD("dst_addr", FT_TEXT_ADDR, FT_FIELD_TUPLE, EVENT(dst)),
    FIELD("dst_port", FT_TEXT_U16, FT_FIELD_PORTS, EVENT(dst_port)),
    FIELD("icmp_type", FT_TEXT_U8, FT_FIELD_ICMP, EVENT(icmp_type)),
    FIELD("icmp_code", FT_TEXT_U8, FT_FIELD_ICMP, EVENT(icmp_code)),
    FIELD("icmp_id", FT_TEXT_U16, FT_FIELD_ICMP, EVENT(icmp_id)),
    FIELD("nat_src_addr", FT_TEXT_ADDR, FT_FIELD_NAT, EVENT(nat_src)),
    FIELD("nat_src_port", FT_TEXT_U16, PORTS_OF_NAT, EVENT(nat_src_port)),
    FIELD("nat_dst_addr", FT_TEXT_ADDR, FT_FIELD_NAT, EVENT(nat_dst)),
    FIELD("nat_dst_port", FT_TEXT_U16, PORTS_OF_NAT, EVENT(nat_dst_port)),
    FIELD("rx_packets", FT_TEXT_U64, FT_FIELD_COUNTERS, EVENT(rx_packets)),
    FIELD("rx_bytes", FT_TEXT_U64, FT_FIELD_COUNTERS, EVENT(rx_bytes)),
    FIELD("tx_packets", FT_TEXT_U64, FT_FIELD_COUNTERS, EVENT(tx_packets)),
    FIELD("tx_bytes", FT_TEXT_U64, FT_FIELD_COUNTERS, EVENT(tx_bytes)),
    FIELD("start", FT_TEXT_TIME, FT_FIELD_FLOW, EVENT(start_ns)),
    FIELD("tcp_state", FT_TEXT_TCP_STATE, FT_FIELD_TCP_STATE, EVENT(tcp_state)),
    FIELD("conntrack_id", FT_TEXT_U32, FT_FIELD_FLOW, EVENT(ct_id)),
    FIELD("conntrack_status", FT_TEXT_U32, FT_FIELD_STATUS, EVENT(ct_status)),
    FIELD("mark", FT_TEXT_U32, FT_FIELD_MARK, EVENT(mark)),
    FIELD("zone", FT_TEXT_U16, FT_FIELD_ZONE, EVENT(zone)),
    FIELD("pid", FT_TEXT_U32, FT_FIELD_PROCESS, EVENT(pid)),
    FIELD("process_name", FT_TEXT_STRING, FT_FIELD_PROCESS, EVENT(process_name)),
    FIELD("container_id", FT_TEXT_STRING, FT_FIELD_CONTAINER, EVENT(container_id)),
    FIELD("uid", FT_TEXT_U32, FT_FIELD_USER, EVENT(uid)),
    FIELD("user_name", FT_TEXT_STRING, FT_FIELD_USER, EVENT(user_name)),
    FIELD("src_name", FT_TEXT_STRING, FT_FIELD_DNS, EVENT(src_name)),
    FIELD("dst_name", FT_TEXT_STRING, FT_FIELD_DNS, EVENT(dst_name)),
    FIELD("rtt_us", FT_TEXT_U32, FT_FIELD_TCP_INFO, EVENT(rtt_us)),
    FIELD("rtt_var_us", FT_TEXT_U32, FT_FIELD_TCP_INFO, EVENT(rtt_var_us)),
    FIELD("retransmits", FT_TEXT_U32, FT_FIELD_TCP_INFO, EVENT(retransmits)),
    FIELD("rule_id", FT_TEXT_STRING, FT_FIELD_RULE, EVENT(rule_id)),
    FIELD("src_resource_id", FT_TEXT_STRING, FT_FIELD_RESOURCE, EVENT(src_resource_id)),
    FIELD("dst_resource_id", FT_TEXT_STRING, FT_FIELD_RESOURCE, EVENT(dst_resource_id)),
    FIELD("window_begin", FT_TEXT_TIME, FT_FIELD_WINDOW, EVENT(window_begin_ns)),
    FIELD("window_end", FT_TEXT_TIME, FT_FIELD_WINDOW, EVENT(window_end_ns)),
    FIELD("n_starts", FT_TEXT_U32, FT_FIELD_WINDOW, EVENT(n_starts)),
    FIELD("n_ends", FT_TEXT_U32, FT_FIELD_WINDOW, EVENT(n_ends)),
    FIELD("n_drops", FT_TEXT_U32, FT_FIELD_WINDOW, EVENT(n_drops)),
    FIELD("inferred", FT_TEXT_FLAG, FT_FIELD_INFERRED, 0),
    FIELD("start_unknown", FT_TEXT_FLAG, FT_FIELD_START_UNKNOWN, 0),
    FIELD("preexisting", FT_TEXT_FLAG, FT_FIELD_PREEXISTING, 0),
    FIELD("counters_unsure", FT_TEXT_FLAG, FT_FIELD_COUNTERS_UNSURE, 0),
    UNDER_LOSS("cause", FT_TEXT_CAUSE, false, LOSS(cause)),
    UNDER_LOSS("begin", FT_TEXT_TIME, false, LOSS(begin_ns)),
    UNDER_LOSS("end", FT_TEXT_TIME, false, LOSS(end_ns)),
    UNDER_LOSS("count", FT_TEXT_U64, false, LOSS(count)),
    UNDER_LOSS("estimated", FT_TEXT_BOOL, true, LOSS(estimated)),
    UNDER_LOSS("first_seq", FT_TEXT_U64, true, LOSS(first_seq)),
    UNDER_LOSS("last_seq", FT_TEXT_U64, true, LOSS(last_seq)),
    OMIT0("agent_id", FT_TEXT_UUID, 0, ROW(agent_id)),
    OMIT0("instance_id", FT_TEXT_UUID, 0, ROW(instance_id)),
    OMIT0("seq", FT_TEXT_U64, 0, EVENT(seq)),
    OMIT0("event_id", FT_TEXT_UUID, 0, ROW(event_id)),
    OMIT0("flow_id", FT_TEXT_UUID, FT_FIELD_FLOW, ROW(flow_id)),
    OMIT0("stored", FT_TEXT_TIME, 0, ROW(stored_ns)),
};
const size_t ft_text_n_fields = sizeof ft_text_fields / sizeof ft_text_fields[0];

static const void *at(const struct ft_text_field *field, const struct ft_row *row)
{
    return (const char *)row + field->offset;
}

static int64_t time_of(const struct ft_text_field *field, const struct ft_row *row)
{
    int64_t time_ns;
    memcpy(&time_ns, at(field, row), sizeof time_ns);
    return time_ns;
}

static const char *string_of(const struct ft_text_field *field, const struct ft_row *row)
{
    const char *text;
    memcpy(&text, at(field, row), sizeof text);
    return text;
}

bool ft_text_field_is_present(const struct ft_text_field *field, const struct ft_row *row)
{
    if ((row->event.fields & field->need) != field->need) {
        return false;
    }
    switch (field->kind) {
    case FT_TEXT_STRING:
        return string_of(field, row) != NULL && string_of(field, row)[0] != '\0';
    case FT_TEXT_UUID:
        return !ft_uuid_is_nil(at(field, row));
    case FT_TEXT_PROTOCOL_NAME:
        return ft_protocol_name(row->event.protocol) != NULL;
    case FT_TEXT_TIME:
        return !field->zero_is_absent || time_of(field, row) != 0;
    default:
        return !field->zero_is_absent || ft_text_field_u64(field, row) != 0;
    }
}

bool ft_text_field_is_number(const struct ft_text_field *field, const struct ft_row *row)
{
    switch (field->kind) {
    case FT_TEXT_U64:
    case FT_TEXT_U32:
    case FT_TEXT_U16:
    case FT_TEXT_U8:
        return true;
    case FT_TEXT_TCP_STATE: /* A state that has no name keeps its number. */
        return row->event.tcp_state >= FT_TCP_STATE_N;
    default:
        return false;
    }
}

uint64_t ft_text_field_u64(const struct ft_text_field *field, const struct ft_row *row)
{
    union {
        uint64_t u64;
        uint32_t u32;
        uint16_t u16;
        uint8_t u8;
        bool b;
    } value;
    switch (field->kind) {
    case FT_TEXT_U64:
        memcpy(&value.u64, at(field, row), sizeof value.u64);
        return value.u64;
    case FT_TEXT_U32:
        memcpy(&value.u32, at(field, row), sizeof value.u32);
        return value.u32;
    case FT_TEXT_U16:
        memcpy(&value.u16, at(field, row), sizeof value.u16);
        return value.u16;
    case FT_TEXT_U8:
    case FT_TEXT_TYPE:
    case FT_TEXT_DIRECTION:
    case FT_TEXT_CLASS:
    case FT_TEXT_TCP_STATE:
        memcpy(&value.u8, at(field, row), sizeof value.u8);
        return value.u8;
    case FT_TEXT_CAUSE:
        return (uint64_t)row->event.loss.cause;
    case FT_TEXT_BOOL:
        memcpy(&value.b, at(field, row), sizeof value.b);
        return value.b ? 1 : 0;
    default:
        return 0;
    }
}

const char *ft_text_field_text(const struct ft_text_field *field, const struct ft_row *row,
                               char buf[FT_TEXT_VALUE_SIZE])
{
    unsigned small = (unsigned)(ft_text_field_u64(field, row) & 0xff);
    switch (field->kind) {
    case FT_TEXT_TIME:
        ft_time_format_rfc3339(time_of(field, row), 9, buf);
        return buf;
    case FT_TEXT_ADDR:
        ft_addr_format(at(field, row), (row->event.fields & FT_FIELD_IPV6) != 0, buf);
        return buf;
    case FT_TEXT_UUID:
        ft_uuid_format(at(field, row), buf);
        return buf;
    case FT_TEXT_STRING:
        return string_of(field, row);
    case FT_TEXT_TYPE:
        return ft_event_type_name(small);
    case FT_TEXT_DIRECTION:
        return ft_direction_name(small);
    case FT_TEXT_CLASS:
        return ft_traffic_class_name(small);
    case FT_TEXT_CAUSE:
        return ft_loss_cause_name(small);
    case FT_TEXT_BOOL:
    case FT_TEXT_FLAG:
        return "true";
    case FT_TEXT_PROTOCOL_NAME:
        return ft_protocol_name(row->event.protocol);
    case FT_TEXT_TCP_STATE:
        if (!ft_text_field_is_number(field, row)) {
            return ft_tcp_state_name(small);
        }
        break;
    default:
        break;
    }
    (void)snprintf(buf, FT_TEXT_VALUE_SIZE, "%" PRIu64, ft_text_field_u64(field, row));
    return buf;
}
