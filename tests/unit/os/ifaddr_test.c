/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ifaddr.h"

#include <poll.h>
#include <stdlib.h>

#include "flow/event.h"
#include "netns.h"

static bool is_readable(const struct ft_ifaddr_monitor *monitor)
{
    struct pollfd fd = {.fd = ft_ifaddr_monitor_fd(monitor), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static bool has(const struct ft_ifaddr_monitor *monitor, const char *text)
{
    struct ft_addr addr;
    bool ipv6;
    CHECK_OK(ft_addr_parse(text, &addr, &ipv6));
    return ft_ifaddr_set_contains(ft_ifaddr_monitor_get(monitor), &addr, ipv6);
}

static void check_sorted(const struct ft_ifaddr_set *set)
{
    for (size_t i = 1; i < set->n_addrs; i++) {
        CHECK(memcmp(&set->addrs[i - 1], &set->addrs[i], sizeof set->addrs[0]) < 0);
    }
}

static void ip(const char *command)
{
    if (system("command -v ip >/dev/null 2>&1") != 0) {
        ft_test_skip("ip is not installed");
    }
    CHECK_INT(system(command), 0);
}

/* Without privilege: whatever the host has. */
TEST(the_list_of_this_host)
{
    FT_CLEANUP(ft_ifaddr_monitor_destroy) struct ft_ifaddr_monitor *monitor = NULL;
    CHECK_OK(ft_ifaddr_monitor_create(&monitor));
    CHECK_INT(ft_ifaddr_monitor_get(monitor)->n_addrs, 0);
    CHECK(!has(monitor, "127.0.0.1"));
    bool changed = false;
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    check_sorted(ft_ifaddr_monitor_get(monitor));
    CHECK(!has(monitor, "203.0.113.77"));
}

TEST(changes_are_heard)
{
    netns_enter();
    FT_CLEANUP(ft_ifaddr_monitor_destroy) struct ft_ifaddr_monitor *monitor = NULL;
    CHECK_OK(ft_ifaddr_monitor_create(&monitor));
    bool changed = false;
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    CHECK(changed);
    CHECK(has(monitor, "127.0.0.1") && has(monitor, "::1"));
    CHECK(!is_readable(monitor));
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    CHECK(!changed);

    ip("ip address add 192.0.2.7/24 dev lo");
    ip("ip address add 198.51.100.1 peer 198.51.100.2 dev lo");
    ip("ip address add 2001:db8::7/64 dev lo");
    CHECK(is_readable(monitor));
    CHECK(!has(monitor, "192.0.2.7"));
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    CHECK(changed);
    CHECK(has(monitor, "192.0.2.7") && has(monitor, "2001:db8::7"));
    CHECK(has(monitor, "198.51.100.1") && !has(monitor, "198.51.100.2"));
    CHECK_INT(ft_ifaddr_monitor_get(monitor)->n_addrs, 5);
    check_sorted(ft_ifaddr_monitor_get(monitor));

    ip("ip address del 192.0.2.7/24 dev lo");
    CHECK(is_readable(monitor));
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    CHECK(changed && !has(monitor, "192.0.2.7"));

    /* Came and went again: read, and no change. */
    ip("ip address add 192.0.2.9/24 dev lo && ip address del 192.0.2.9/24 dev lo");
    CHECK(is_readable(monitor));
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    CHECK(!changed);
    CHECK(!is_readable(monitor));
}

TEST(the_same_bytes_in_another_family_are_another_address)
{
    struct ft_ifaddr one = {.family = 4, .bytes = {1, 2, 3, 4}};
    struct ft_ifaddr_set set = {.addrs = &one, .n_addrs = 1};
    struct ft_addr addr = {.bytes = {1, 2, 3, 4}};
    CHECK(ft_ifaddr_set_contains(&set, &addr, false));
    CHECK(!ft_ifaddr_set_contains(&set, &addr, true));
}

TEST(many_addresses_are_bounded_and_whole)
{
    netns_enter();
    ip("awk 'BEGIN{for(i=0;i<2000;i++)printf \"address add 10.1.%d.%d/32 dev lo\\n\",i/250,i%250}' "
       "| ip -batch -");
    FT_CLEANUP(ft_ifaddr_monitor_destroy) struct ft_ifaddr_monitor *monitor = NULL;
    CHECK_OK(ft_ifaddr_monitor_create(&monitor));
    bool changed = false;
    CHECK_OK(ft_ifaddr_monitor_refresh(monitor, &changed));
    CHECK_INT(ft_ifaddr_monitor_get(monitor)->n_addrs, 2002);
    CHECK_INT(ft_ifaddr_monitor_get(monitor)->n_left_out, 0);
    CHECK(has(monitor, "10.1.7.249"));
    check_sorted(ft_ifaddr_monitor_get(monitor));
}
