/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/event.h"

#include "lib/test.h"

TEST(names_go_both_ways)
{
    for (unsigned i = 0; i < FT_EVENT_TYPE_N; i++) {
        unsigned back = 99;
        CHECK(ft_event_type_parse(ft_event_type_name(i), &back));
        CHECK_INT(back, i);
    }
    for (unsigned i = 0; i < FT_LOSS_CAUSE_N; i++) {
        unsigned back = 99;
        CHECK(ft_loss_cause_parse(ft_loss_cause_name(i), &back));
        CHECK_INT(back, i);
    }
    unsigned direction;
    CHECK(ft_direction_parse("ingress", &direction));
    CHECK_INT(direction, FT_DIR_INGRESS);
    CHECK(!ft_direction_parse("sideways", &direction));
    CHECK_STR(ft_event_type_name(77), "UNKNOWN");
}

TEST(protocols_go_by_name_or_number)
{
    unsigned protocol;
    CHECK(ft_protocol_parse("TCP", &protocol));
    CHECK_INT(protocol, 6);
    CHECK(ft_protocol_parse("254", &protocol));
    CHECK_INT(protocol, 254);
    CHECK(!ft_protocol_parse("256", &protocol));
    CHECK(!ft_protocol_parse("tcpp", &protocol));
    CHECK_STR(ft_protocol_name(132), "sctp");
    CHECK(ft_protocol_name(200) == NULL);
}

static bool contains(const char *range, const char *address)
{
    struct ft_cidr cidr;
    struct ft_addr addr;
    bool ipv6;
    CHECK_OK(ft_cidr_parse(range, &cidr));
    CHECK_OK(ft_addr_parse(address, &addr, &ipv6));
    return ft_cidr_contains(&cidr, &addr, ipv6);
}

TEST(ranges_contain_what_they_should)
{
    CHECK(contains("10.0.0.0/8", "10.255.255.255"));
    CHECK(!contains("10.0.0.0/8", "11.0.0.0"));
    CHECK(contains("10.1.2.3", "10.1.2.3"));
    CHECK(!contains("10.1.2.3", "10.1.2.4"));
    CHECK(contains("192.168.128.0/17", "192.168.255.1"));
    CHECK(!contains("192.168.128.0/17", "192.168.127.1"));
    CHECK(contains("0.0.0.0/0", "255.255.255.255"));
    CHECK(!contains("0.0.0.0/0", "::1"));
    CHECK(contains("::/0", "::1"));
    CHECK(contains("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK(!contains("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(contains("::1/128", "::1"));
}

TEST(ranges_with_stray_bits_or_bad_text_are_refused)
{
    static const char *const bad[] = {"",           "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0.0/x", "10.0.0/8",   "::/129",      "fe80::1/10",
                                      "1.2.3.4.5",  "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ft_cidr cidr;
        CHECK_ERR(ft_cidr_parse(bad[i], &cidr), FT_E_SYNTAX);
    }
}

TEST(last_address_and_text)
{
    struct ft_cidr cidr;
    char text[FT_CIDR_TEXT_SIZE];
    CHECK_OK(ft_cidr_parse("192.168.128.0/17", &cidr));
    struct ft_addr last = ft_cidr_last(&cidr);
    ft_addr_format(&last, false, text);
    CHECK_STR(text, "192.168.255.255");
    ft_cidr_format(&cidr, text);
    CHECK_STR(text, "192.168.128.0/17");
    CHECK_OK(ft_cidr_parse("2001:db8::/33", &cidr));
    last = ft_cidr_last(&cidr);
    ft_addr_format(&last, true, text);
    CHECK_STR(text, "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff");
}
