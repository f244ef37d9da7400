/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

struct rule {
    enum ft_filter_action action;
    struct ft_cidr *addresses;
    size_t n_addresses;
    struct ft_port_range *ports;
    size_t n_ports;
    uint8_t protocols[FT_FILTER_PROTOCOLS_MAX];
    size_t n_protocols;
};

struct ft_filter {
    bool drop_loopback;
    size_t n_rules;
    struct rule rules[];
};

/* One end of a flow. */
struct end {
    const struct ft_addr *addr;
    uint16_t port;
};

static ft_err copy_rule(struct rule *to, const struct ft_filter_rule *from);
static bool is_own(const struct ft_filter_peer *peers, size_t n_peers,
                   const struct ft_event *event);
static bool is_loopback(const struct ft_addr *addr, bool ipv6);
static bool rule_matches(const struct rule *rule, const struct ft_event *event);
static bool end_matches(const struct rule *rule, const struct end *end, bool ipv6);

ft_err ft_port_range_parse(const char *text, struct ft_port_range *ret_range)
{
    char first_text[8];
    const char *dash = strchr(text, '-');
    size_t len = dash != NULL ? (size_t)(dash - text) : strlen(text);
    if (len == 0 || len >= sizeof first_text) {
        return FT_E_SYNTAX;
    }
    memcpy(first_text, text, len);
    first_text[len] = '\0';
    uint64_t first;
    uint64_t last;
    FT_TRY(ft_parse_u64(first_text, UINT16_MAX, &first));
    last = first;
    if (dash != NULL) {
        FT_TRY(ft_parse_u64(dash + 1, UINT16_MAX, &last));
    }
    if (first > last) {
        return FT_E_RANGE;
    }
    *ret_range = (struct ft_port_range){(uint16_t)first, (uint16_t)last};
    return FT_OK;
}

ft_err ft_filter_create(const struct ft_filter_options *options, struct ft_filter **ret_filter)
{
    if (options->n_rules > FT_FILTER_RULES_MAX) {
        return FT_E_RANGE;
    }
    FT_CLEANUP(ft_filter_destroy)
    struct ft_filter *filter =
        calloc(1, sizeof *filter + options->n_rules * sizeof filter->rules[0]);
    if (filter == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    filter->drop_loopback = options->drop_loopback;
    for (size_t i = 0; i < options->n_rules; i++) {
        filter->n_rules = i + 1;
        FT_TRY(copy_rule(&filter->rules[i], &options->rules[i]));
    }
    *ret_filter = FT_TAKE(filter);
    return FT_OK;
}

void ft_filter_destroy(struct ft_filter *filter)
{
    if (filter == NULL) {
        return;
    }
    for (size_t i = 0; i < filter->n_rules; i++) {
        free(filter->rules[i].addresses);
        free(filter->rules[i].ports);
    }
    free(filter);
}

enum ft_filter_verdict ft_filter_judge(const struct ft_filter *filter,
                                       const struct ft_filter_peer *peers, size_t n_peers,
                                       const struct ft_event *event)
{
    if ((event->fields & FT_FIELD_TUPLE) == 0) {
        return FT_VERDICT_KEPT;
    }
    bool ipv6 = (event->fields & FT_FIELD_IPV6) != 0;
    if (is_own(peers, n_peers, event)) {
        return FT_VERDICT_OWN;
    }
    if (filter->drop_loopback && is_loopback(&event->src, ipv6) && is_loopback(&event->dst, ipv6)) {
        return FT_VERDICT_LOOPBACK;
    }
    for (size_t i = 0; i < filter->n_rules; i++) {
        if (rule_matches(&filter->rules[i], event)) {
            return filter->rules[i].action == FT_FILTER_DROP ? FT_VERDICT_RULE : FT_VERDICT_KEPT;
        }
    }
    return FT_VERDICT_KEPT;
}

static ft_err copy_rule(struct rule *to, const struct ft_filter_rule *from)
{
    if (from->n_addresses > FT_FILTER_ADDRESSES_MAX || from->n_ports > FT_FILTER_PORTS_MAX ||
        from->n_protocols > FT_FILTER_PROTOCOLS_MAX) {
        return FT_E_RANGE;
    }
    to->action = from->action;
    if (from->n_addresses > 0) {
        to->addresses = calloc(from->n_addresses, sizeof to->addresses[0]);
        if (to->addresses == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
        memcpy(to->addresses, from->addresses, from->n_addresses * sizeof to->addresses[0]);
        to->n_addresses = from->n_addresses;
    }
    if (from->n_ports > 0) {
        to->ports = calloc(from->n_ports, sizeof to->ports[0]);
        if (to->ports == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
        memcpy(to->ports, from->ports, from->n_ports * sizeof to->ports[0]);
        to->n_ports = from->n_ports;
    }
    if (from->n_protocols > 0) {
        memcpy(to->protocols, from->protocols, from->n_protocols);
        to->n_protocols = from->n_protocols;
    }
    return FT_OK;
}

static bool is_own(const struct ft_filter_peer *peers, size_t n_peers, const struct ft_event *event)
{
    if (event->protocol != FT_PROTO_TCP ||
        (event->direction != FT_DIR_EGRESS && event->direction != FT_DIR_LOCAL)) {
        return false;
    }
    bool ipv6 = (event->fields & FT_FIELD_IPV6) != 0;
    for (size_t i = 0; i < n_peers; i++) {
        if (peers[i].ipv6 == ipv6 && peers[i].port == event->dst_port &&
            memcmp(peers[i].addr.bytes, event->dst.bytes, sizeof event->dst.bytes) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_loopback(const struct ft_addr *addr, bool ipv6)
{
    static const struct ft_addr v6_loopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    if (ipv6) {
        return memcmp(addr->bytes, v6_loopback.bytes, sizeof addr->bytes) == 0;
    }
    return addr->bytes[0] == 127;
}

static bool rule_matches(const struct rule *rule, const struct ft_event *event)
{
    if (rule->n_protocols > 0 &&
        memchr(rule->protocols, event->protocol, rule->n_protocols) == NULL) {
        return false;
    }
    if (rule->n_addresses == 0 && rule->n_ports == 0) {
        return true;
    }
    bool ipv6 = (event->fields & FT_FIELD_IPV6) != 0;
    bool ports = (event->fields & FT_FIELD_PORTS) != 0;
    if (rule->n_ports > 0 && !ports) {
        return false;
    }
    struct end ends[4] = {{&event->src, event->src_port}, {&event->dst, event->dst_port}};
    size_t n_ends = 2;
    if ((event->fields & FT_FIELD_NAT) != 0) {
        ends[n_ends++] = (struct end){&event->nat_src, event->nat_src_port};
        ends[n_ends++] = (struct end){&event->nat_dst, event->nat_dst_port};
    }
    for (size_t i = 0; i < n_ends; i++) {
        if (end_matches(rule, &ends[i], ipv6)) {
            return true;
        }
    }
    return false;
}

static bool end_matches(const struct rule *rule, const struct end *end, bool ipv6)
{
    bool address = rule->n_addresses == 0;
    for (size_t i = 0; i < rule->n_addresses && !address; i++) {
        address = ft_cidr_contains(&rule->addresses[i], end->addr, ipv6);
    }
    bool port = rule->n_ports == 0;
    for (size_t i = 0; i < rule->n_ports && !port; i++) {
        port = end->port >= rule->ports[i].first && end->port <= rule->ports[i].last;
    }
    return address && port;
}
