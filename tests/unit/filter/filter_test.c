/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/filter.h"

#include "lib/test.h"

static struct ft_event flow(const char *src, unsigned src_port, const char *dst, unsigned dst_port,
                            unsigned protocol)
{
    struct ft_event event = {.type = FT_EVENT_START,
                             .direction = FT_DIR_EGRESS,
                             .fields = FT_FIELD_FLOW | FT_FIELD_TUPLE | FT_FIELD_PORTS,
                             .protocol = (uint8_t)protocol,
                             .src_port = (uint16_t)src_port,
                             .dst_port = (uint16_t)dst_port};
    bool ipv6;
    CHECK_OK(ft_addr_parse(src, &event.src, &ipv6));
    CHECK_OK(ft_addr_parse(dst, &event.dst, &ipv6));
    event.fields |= ipv6 ? FT_FIELD_IPV6 : 0;
    return event;
}

static struct ft_cidr cidr(const char *text)
{
    struct ft_cidr parsed;
    CHECK_OK(ft_cidr_parse(text, &parsed));
    return parsed;
}

TEST(loopback_is_kept_unless_asked_for)
{
    struct ft_filter_options options = {0};
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *keep = NULL;
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *drop = NULL;
    CHECK_OK(ft_filter_create(&options, &keep));
    options.drop_loopback = true;
    CHECK_OK(ft_filter_create(&options, &drop));
    struct ft_event v4 = flow("127.0.0.1", 1, "127.9.0.1", 2, FT_PROTO_UDP);
    struct ft_event v6 = flow("::1", 1, "::1", 2, FT_PROTO_UDP);
    struct ft_event half = flow("127.0.0.1", 1, "10.0.0.1", 2, FT_PROTO_UDP);
    CHECK_INT(ft_filter_judge(keep, NULL, 0, &v4), FT_VERDICT_KEPT);
    CHECK_INT(ft_filter_judge(drop, NULL, 0, &v4), FT_VERDICT_LOOPBACK);
    CHECK_INT(ft_filter_judge(drop, NULL, 0, &v6), FT_VERDICT_LOOPBACK);
    CHECK_INT(ft_filter_judge(drop, NULL, 0, &half), FT_VERDICT_KEPT);
}

TEST(own_connection_is_dropped_from_this_host_only)
{
    struct ft_filter_options options = {0};
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *filter = NULL;
    CHECK_OK(ft_filter_create(&options, &filter));
    struct ft_filter_peer peer = {.port = 4000};
    CHECK_OK(ft_addr_parse("10.0.0.9", &peer.addr, &peer.ipv6));
    struct ft_event own = flow("10.0.0.1", 40000, "10.0.0.9", 4000, FT_PROTO_TCP);
    CHECK_INT(ft_filter_judge(filter, &peer, 1, &own), FT_VERDICT_OWN);
    own.direction = FT_DIR_FORWARDED;
    CHECK_INT(ft_filter_judge(filter, &peer, 1, &own), FT_VERDICT_KEPT);
    struct ft_event other = flow("10.0.0.1", 40000, "10.0.0.9", 4001, FT_PROTO_TCP);
    CHECK_INT(ft_filter_judge(filter, &peer, 1, &other), FT_VERDICT_KEPT);
    struct ft_event udp = flow("10.0.0.1", 40000, "10.0.0.9", 4000, FT_PROTO_UDP);
    CHECK_INT(ft_filter_judge(filter, &peer, 1, &udp), FT_VERDICT_KEPT);
}

TEST(first_matching_rule_decides_and_address_and_port_are_of_one_end)
{
    struct ft_cidr servers[] = {cidr("10.0.0.0/8")};
    struct ft_cidr special[] = {cidr("10.1.1.1")};
    struct ft_port_range dns[] = {{53, 53}};
    uint8_t udp[] = {FT_PROTO_UDP};
    struct ft_filter_rule rules[] = {
        {.action = FT_FILTER_KEEP, .addresses = special, .n_addresses = 1},
        {.action = FT_FILTER_DROP,
         .addresses = servers,
         .n_addresses = 1,
         .ports = dns,
         .n_ports = 1,
         .protocols = udp,
         .n_protocols = 1},
    };
    struct ft_filter_options options = {.rules = rules, .n_rules = 2};
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *filter = NULL;
    CHECK_OK(ft_filter_create(&options, &filter));
    struct ft_event query = flow("192.0.2.1", 40000, "10.2.2.2", 53, FT_PROTO_UDP);
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &query), FT_VERDICT_RULE);
    struct ft_event tcp = flow("192.0.2.1", 40000, "10.2.2.2", 53, FT_PROTO_TCP);
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &tcp), FT_VERDICT_KEPT);
    struct ft_event kept = flow("192.0.2.1", 40000, "10.1.1.1", 53, FT_PROTO_UDP);
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &kept), FT_VERDICT_KEPT);
    /* The address in the range is not the end that has port 53. */
    struct ft_event mixed = flow("10.2.2.2", 40000, "192.0.2.1", 53, FT_PROTO_UDP);
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &mixed), FT_VERDICT_KEPT);
}

TEST(nat_addresses_count_as_ends)
{
    struct ft_cidr hidden[] = {cidr("10.0.0.0/8")};
    struct ft_filter_rule rule = {.action = FT_FILTER_DROP, .addresses = hidden, .n_addresses = 1};
    struct ft_filter_options options = {.rules = &rule, .n_rules = 1};
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *filter = NULL;
    CHECK_OK(ft_filter_create(&options, &filter));
    struct ft_event event = flow("192.0.2.1", 1, "198.51.100.1", 2, FT_PROTO_TCP);
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &event), FT_VERDICT_KEPT);
    event.fields |= FT_FIELD_NAT;
    bool ipv6;
    CHECK_OK(ft_addr_parse("10.0.0.7", &event.nat_src, &ipv6));
    CHECK_OK(ft_addr_parse("192.0.2.1", &event.nat_dst, &ipv6));
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &event), FT_VERDICT_RULE);
}

TEST(a_loss_has_no_tuple_and_is_always_kept)
{
    struct ft_filter_rule rule = {.action = FT_FILTER_DROP};
    struct ft_filter_options options = {.rules = &rule, .n_rules = 1};
    FT_CLEANUP(ft_filter_destroy) struct ft_filter *filter = NULL;
    CHECK_OK(ft_filter_create(&options, &filter));
    struct ft_event loss = {.type = FT_EVENT_LOSS, .fields = FT_FIELD_LOSS};
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &loss), FT_VERDICT_KEPT);
    struct ft_event any = flow("192.0.2.1", 1, "198.51.100.1", 2, FT_PROTO_TCP);
    CHECK_INT(ft_filter_judge(filter, NULL, 0, &any), FT_VERDICT_RULE);
}

TEST(port_ranges)
{
    struct ft_port_range range;
    CHECK_OK(ft_port_range_parse("53", &range));
    CHECK_INT(range.last, 53);
    CHECK_OK(ft_port_range_parse("1000-2000", &range));
    CHECK_INT(range.first, 1000);
    CHECK_INT(range.last, 2000);
    CHECK_ERR(ft_port_range_parse("2000-1000", &range), FT_E_RANGE);
    CHECK(ft_port_range_parse("65536", &range) != FT_OK);
    CHECK(ft_port_range_parse("", &range) != FT_OK);
    CHECK(ft_port_range_parse("-5", &range) != FT_OK);
    CHECK(ft_port_range_parse("5-", &range) != FT_OK);
}

TEST(bounds_are_refused)
{
    static struct ft_filter_rule rules[FT_FILTER_RULES_MAX + 1];
    struct ft_filter_options options = {.rules = rules, .n_rules = FT_FILTER_RULES_MAX + 1};
    struct ft_filter *filter = NULL;
    CHECK_ERR(ft_filter_create(&options, &filter), FT_E_RANGE);
}
