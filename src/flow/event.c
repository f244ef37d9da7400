/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/event.h"

#include <strings.h>

#include "base/parse.h"

static const char *const type_names[FT_EVENT_TYPE_N] = {"UNKNOWN", "START", "UPDATE",
                                                        "END",     "DROP",  "LOSS"};
static const char *const direction_names[FT_DIR_N] = {"UNKNOWN", "INGRESS", "EGRESS", "LOCAL",
                                                      "FORWARDED"};
static const char *const class_names[FT_CLASS_N] = {"UNCLASSIFIED", "VIRTUAL", "SUBNET", "EXIT",
                                                    "PHYSICAL"};
static const char *const cause_names[FT_LOSS_CAUSE_N] = {
    "UNKNOWN",       "KERNEL_OVERRUN", "SOCKET_REOPENED", "PARSE",          "LOG_FULL",
    "SPOOL_DAMAGED", "REJECTED",       "SHUTDOWN",        "COLLECTOR_LOST", "CRASH"};
static const char *const tcp_state_names[FT_TCP_STATE_N] = {
    "NONE",     "SYN_SENT",  "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT",
    "LAST_ACK", "TIME_WAIT", "CLOSE",    "SYN_SENT2",   "MAX"};

static const struct {
    unsigned number;
    const char *name;
} protocols[] = {
    {FT_PROTO_ICMP, "icmp"},
    {2, "igmp"},
    {4, "ipip"},
    {FT_PROTO_TCP, "tcp"},
    {FT_PROTO_UDP, "udp"},
    {33, "dccp"},
    {41, "ipv6"},
    {47, "gre"},
    {50, "esp"},
    {51, "ah"},
    {FT_PROTO_ICMPV6, "icmpv6"},
    {89, "ospf"},
    {103, "pim"},
    {112, "vrrp"},
    {FT_PROTO_SCTP, "sctp"},
    {136, "udplite"},
};

static const char *name_of(const char *const *names, size_t n, unsigned number);
static bool number_of(const char *const *names, size_t n, const char *name, unsigned *ret_number);

const char *ft_event_type_name(unsigned type) { return name_of(type_names, FT_EVENT_TYPE_N, type); }

const char *ft_direction_name(unsigned direction)
{
    return name_of(direction_names, FT_DIR_N, direction);
}

const char *ft_traffic_class_name(unsigned traffic_class)
{
    return name_of(class_names, FT_CLASS_N, traffic_class);
}

const char *ft_loss_cause_name(unsigned cause)
{
    return name_of(cause_names, FT_LOSS_CAUSE_N, cause);
}

const char *ft_tcp_state_name(unsigned state)
{
    return name_of(tcp_state_names, FT_TCP_STATE_N, state);
}

const char *ft_protocol_name(unsigned protocol)
{
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (protocols[i].number == protocol) {
            return protocols[i].name;
        }
    }
    return NULL;
}

bool ft_event_type_parse(const char *name, unsigned *ret_type)
{
    return number_of(type_names, FT_EVENT_TYPE_N, name, ret_type);
}

bool ft_direction_parse(const char *name, unsigned *ret_direction)
{
    return number_of(direction_names, FT_DIR_N, name, ret_direction);
}

bool ft_traffic_class_parse(const char *name, unsigned *ret_class)
{
    return number_of(class_names, FT_CLASS_N, name, ret_class);
}

bool ft_loss_cause_parse(const char *name, unsigned *ret_cause)
{
    return number_of(cause_names, FT_LOSS_CAUSE_N, name, ret_cause);
}

bool ft_tcp_state_parse(const char *name, unsigned *ret_state)
{
    return number_of(tcp_state_names, FT_TCP_STATE_N, name, ret_state);
}

bool ft_protocol_parse(const char *name, unsigned *ret_protocol)
{
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (strcasecmp(protocols[i].name, name) == 0) {
            *ret_protocol = protocols[i].number;
            return true;
        }
    }
    uint64_t number;
    if (ft_parse_u64(name, 255, &number) != FT_OK) {
        return false;
    }
    *ret_protocol = (unsigned)number;
    return true;
}

static const char *name_of(const char *const *names, size_t n, unsigned number)
{
    return number < n ? names[number] : "UNKNOWN";
}

static bool number_of(const char *const *names, size_t n, const char *name, unsigned *ret_number)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(names[i], name) == 0) {
            *ret_number = (unsigned)i;
            return true;
        }
    }
    return false;
}
