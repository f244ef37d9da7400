/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow event: the one row that everything in flowtrail makes, keeps, sends, stores and shows.
 * It mirrors flowtrail.v1.FlowEvent (proto/flowtrail/v1/event.proto), which defines the meaning of
 * each field.
 *
 * What is unknown is absent, never zero: an optional part counts only when its bit is set in
 * 'fields'.  Parts without a bit are in every event.
 *
 * Thread: plain data; no function here keeps state.
 */
#ifndef FT_FLOW_EVENT_H
#define FT_FLOW_EVENT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

/* Numbers are those of the protocol (flow.proto) and never change. */
enum ft_event_type {
    FT_EVENT_UNKNOWN = 0,
    FT_EVENT_START = 1,
    FT_EVENT_UPDATE = 2,
    FT_EVENT_END = 3,
    FT_EVENT_DROP = 4,
    FT_EVENT_LOSS = 5,
    FT_EVENT_TYPE_N
};

enum ft_direction {
    FT_DIR_UNKNOWN = 0,
    FT_DIR_INGRESS = 1,
    FT_DIR_EGRESS = 2,
    FT_DIR_LOCAL = 3,
    FT_DIR_FORWARDED = 4,
    FT_DIR_N
};

enum ft_traffic_class {
    FT_CLASS_UNCLASSIFIED = 0,
    FT_CLASS_VIRTUAL = 1,
    FT_CLASS_SUBNET = 2,
    FT_CLASS_EXIT = 3,
    FT_CLASS_PHYSICAL = 4,
    FT_CLASS_N
};

enum ft_loss_cause {
    FT_LOSS_UNKNOWN = 0,
    FT_LOSS_KERNEL_OVERRUN = 1,  /* The kernel dropped events and they could not be rebuilt. */
    FT_LOSS_SOCKET_REOPENED = 2, /* The kernel socket failed; nothing was heard meanwhile. */
    FT_LOSS_PARSE = 3,           /* A kernel message could not be understood. */
    FT_LOSS_LOG_FULL = 4,        /* The agent's log reached its bound: oldest block dropped. */
    FT_LOSS_SPOOL_DAMAGED = 5,   /* Spooled blocks failed their checksum. */
    FT_LOSS_REJECTED = 6,        /* The collector could not take a block. */
    FT_LOSS_SHUTDOWN = 7,        /* The agent was stopped: what happened until the next start. */
    FT_LOSS_COLLECTOR_LOST = 8,  /* The collector lost what it had acknowledged; it is not here. */
    FT_LOSS_CRASH = 9,           /* The agent or its host stopped before they were in the spool. */
    FT_LOSS_CAUSE_N
};

/*
 * Presence bits of 'fields'; the numbers are flowtrail.v1.Field's.  What most events have comes
 * first: on the wire a value below 128 takes one byte.
 */
#define FT_FIELD_FLOW            (UINT32_C(1) << 0) /* ct_id, start_ns */
#define FT_FIELD_TUPLE           (UINT32_C(1) << 1) /* protocol, src and dst address */
#define FT_FIELD_PORTS           (UINT32_C(1) << 2) /* src_port, dst_port */
#define FT_FIELD_COUNTERS        (UINT32_C(1) << 3) /* rx_*, tx_* */
#define FT_FIELD_STATUS          (UINT32_C(1) << 4) /* ct_status */
#define FT_FIELD_TCP_STATE       (UINT32_C(1) << 5)
#define FT_FIELD_NAT             (UINT32_C(1) << 6)  /* reply tuple */
#define FT_FIELD_IPV6            (UINT32_C(1) << 7)  /* the addresses are IPv6 */
#define FT_FIELD_ICMP            (UINT32_C(1) << 8)  /* icmp_type, icmp_code, icmp_id */
#define FT_FIELD_INFERRED        (UINT32_C(1) << 9)  /* flag: rebuilt, not heard from the kernel */
#define FT_FIELD_PREEXISTING     (UINT32_C(1) << 10) /* flag: the flow was there before the agent */
#define FT_FIELD_COUNTERS_UNSURE (UINT32_C(1) << 11) /* flag: counting may have begun late */
#define FT_FIELD_START_UNKNOWN   (UINT32_C(1) << 12) /* flag: start_ns is when it was first seen */
#define FT_FIELD_MARK            (UINT32_C(1) << 13)
#define FT_FIELD_ZONE            (UINT32_C(1) << 14)
#define FT_FIELD_PROCESS         (UINT32_C(1) << 15) /* pid, process_name */
#define FT_FIELD_CONTAINER       (UINT32_C(1) << 16) /* container_id */
#define FT_FIELD_USER            (UINT32_C(1) << 17) /* uid, user_name */
#define FT_FIELD_DNS             (UINT32_C(1) << 18) /* src_name, dst_name */
#define FT_FIELD_TCP_INFO        (UINT32_C(1) << 19) /* rtt_us, rtt_var_us, retransmits */
#define FT_FIELD_RULE            (UINT32_C(1) << 20) /* rule_id */
#define FT_FIELD_RESOURCE        (UINT32_C(1) << 21) /* src_resource_id, dst_resource_id */
#define FT_FIELD_WINDOW          (UINT32_C(1) << 22) /* window_*, n_starts, n_ends, n_drops */
#define FT_FIELD_LOSS            (UINT32_C(1) << 23) /* loss */
#define FT_FIELD_ALL             ((UINT32_C(1) << 24) - 1)

/* Network byte order; an IPv4 address is the first four bytes, the rest is zero. */
struct ft_addr {
    uint8_t bytes[16];
};

/* Strings of an event are borrowed; NULL and "" are both "none". At most 255 bytes each. */
#define FT_EVENT_STRING_LEN_MAX 255

struct ft_loss {
    enum ft_loss_cause cause;
    bool estimated; /* 'count' is an upper bound, not exact. */
    int64_t begin_ns;
    int64_t end_ns;
    uint64_t count;
    uint64_t first_seq; /* The hole in the sequence; both 0 when the events never had numbers. */
    uint64_t last_seq;
};

struct ft_event {
    uint64_t seq; /* From 1 within the instance. */
    int64_t time_ns;
    uint32_t fields;
    uint8_t type;          /* enum ft_event_type */
    uint8_t direction;     /* enum ft_direction */
    uint8_t traffic_class; /* enum ft_traffic_class */
    uint8_t protocol;      /* IP protocol number */
    uint8_t tcp_state;     /* enum ft_tcp_state, the kernel's numbers */
    uint8_t icmp_type;
    uint8_t icmp_code;
    uint16_t icmp_id;
    uint16_t src_port; /* Host byte order, as all numbers here. */
    uint16_t dst_port;
    uint16_t nat_src_port; /* The reply tuple: its source and destination. */
    uint16_t nat_dst_port;
    uint16_t zone;
    uint32_t ct_id;
    uint32_t ct_status; /* IPS_* bits (linux/netfilter/nf_conntrack_common.h) */
    uint32_t mark;
    int64_t start_ns;
    struct ft_addr src;
    struct ft_addr dst;
    struct ft_addr nat_src;
    struct ft_addr nat_dst;
    uint64_t rx_packets; /* Deltas since the flow's previous event. */
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
    uint32_t pid;
    uint32_t uid;
    uint32_t rtt_us;
    uint32_t rtt_var_us;
    uint32_t retransmits;
    uint32_t n_starts;
    uint32_t n_ends;
    uint32_t n_drops;
    int64_t window_begin_ns;
    int64_t window_end_ns;
    struct ft_loss loss;
    const char *process_name;
    const char *container_id;
    const char *user_name;
    const char *src_name;
    const char *dst_name;
    const char *rule_id;
    const char *src_resource_id;
    const char *dst_resource_id;
};

/* Protocol numbers that the code treats by name (IANA). */
#define FT_PROTO_ICMP   1
#define FT_PROTO_TCP    6
#define FT_PROTO_UDP    17
#define FT_PROTO_ICMPV6 58
#define FT_PROTO_SCTP   132

/* Upper-case names as in the protocol ("START"); "UNKNOWN" for a number out of range. */
const char *ft_event_type_name(unsigned type);
const char *ft_direction_name(unsigned direction);
const char *ft_traffic_class_name(unsigned traffic_class);
const char *ft_loss_cause_name(unsigned cause);
/* "ESTABLISHED"; the kernel's order (linux/netfilter/nf_conntrack_tcp.h). */
const char *ft_tcp_state_name(unsigned state);
/* "tcp" or NULL when the number has no common name. */
const char *ft_protocol_name(unsigned protocol);

/* The reverse, ignoring case; false when the name is not known. */
bool ft_event_type_parse(const char *name, unsigned *ret_type);
bool ft_direction_parse(const char *name, unsigned *ret_direction);
bool ft_traffic_class_parse(const char *name, unsigned *ret_class);
bool ft_loss_cause_parse(const char *name, unsigned *ret_cause);
bool ft_tcp_state_parse(const char *name, unsigned *ret_state);
/* Also takes "58": any number up to 255. */
bool ft_protocol_parse(const char *name, unsigned *ret_protocol);

#define FT_TCP_STATE_N 11

/* Room for an IPv6 address in text. */
#define FT_ADDR_TEXT_SIZE 46

void ft_addr_format(const struct ft_addr *addr, bool ipv6, char *buf);
/* FT_E_SYNTAX when 'text' is neither. */
FT_MUST_USE ft_err ft_addr_parse(const char *text, struct ft_addr *ret_addr, bool *ret_ipv6);

/* An address range: the first 'prefix_len' bits of 'addr'. */
struct ft_cidr {
    struct ft_addr addr;
    bool ipv6;
    uint8_t prefix_len;
};

/* "10.0.0.0/8" or a single address.  Bits behind the prefix must be zero (FT_E_SYNTAX). */
FT_MUST_USE ft_err ft_cidr_parse(const char *text, struct ft_cidr *ret_cidr);
bool ft_cidr_contains(const struct ft_cidr *cidr, const struct ft_addr *addr, bool ipv6);
/* The last address of the range (the first is 'addr'). */
struct ft_addr ft_cidr_last(const struct ft_cidr *cidr);
/* Room for an IPv6 prefix in text. */
#define FT_CIDR_TEXT_SIZE (FT_ADDR_TEXT_SIZE + 4)
void ft_cidr_format(const struct ft_cidr *cidr, char *buf);

#endif
