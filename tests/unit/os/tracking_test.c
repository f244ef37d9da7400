/* SPDX-License-Identifier: Apache-2.0 */
#include "os/tracking.h"

#include <stdio.h>
#include <stdlib.h>

#include "netns.h"
#include "os/sysctl.h"

static uint64_t n_entries(void)
{
    uint64_t n = 0;
    CHECK_OK(ft_sysctl_get("net/netfilter/nf_conntrack_count", &n));
    return n;
}

static struct ft_tracking_report probe(void)
{
    struct ft_tracking_report report;
    ft_tracking_probe(&report);
    return report;
}

/* An outside tool stands for whoever else makes rules; the test is skipped without it. */
static void nft(const char *command)
{
    char line[512];
    (void)snprintf(line, sizeof line, "nft '%s' >/dev/null 2>&1", command);
    if (system("command -v nft >/dev/null 2>&1") != 0) {
        ft_test_skip("nft is not installed");
    }
    CHECK_INT(system(line), 0);
}

/* What the kernel really does: a flow of each family makes an entry or does not. */
static void check_really_tracked(bool ipv4, bool ipv6)
{
    static uint16_t port = 20000;
    int sink4 = bound_socket(false, SOCK_DGRAM, 9);
    int sink6 = bound_socket(true, SOCK_DGRAM, 9);
    uint64_t before = n_entries();
    udp_flows(false, port++, 9, 1);
    CHECK_INT(n_entries() - before, ipv4 ? 1 : 0);
    before = n_entries();
    udp_flows(true, port++, 9, 1);
    CHECK_INT(n_entries() - before, ipv6 ? 1 : 0);
    (void)close(sink4);
    (void)close(sink6);
}

TEST(a_new_namespace_tracks_nothing_until_repaired)
{
    netns_enter();
    struct ft_tracking_report report = probe();
    CHECK(report.rules_known || report.hooks_known);
    CHECK_STR(ft_tracking_state_name(report.state), "none");
    CHECK(!report.repaired);
    check_really_tracked(false, false);

    CHECK_OK(ft_tracking_repair());
    report = probe();
    CHECK_STR(ft_tracking_state_name(report.state), "on");
    CHECK(report.repaired && report.rule && report.ipv4 && report.ipv6);
    check_really_tracked(true, true);

    /* Again, as after a crash: the same. */
    CHECK_OK(ft_tracking_repair());
    check_really_tracked(true, true);

    CHECK_OK(ft_tracking_unrepair());
    report = probe();
    CHECK(!report.repaired && !report.rule);
    check_really_tracked(false, false);
    CHECK_OK(ft_tracking_unrepair());
}

TEST(a_rule_of_others_is_found)
{
    static const struct {
        const char *commands;
        bool ipv4;
        bool ipv6;
    } cases[] = {
        {"add table ip t; add chain ip t c; add rule ip t c ct state established accept", true,
         false},
        {"add table ip6 t; add chain ip6 t c; add rule ip6 t c ct mark 1", false, true},
        {"add table inet t; add chain inet t c; add rule inet t c ct state invalid drop", true,
         true},
        {"add table ip t; add chain ip t c { type nat hook postrouting priority 100 ; }; "
         "add rule ip t c oifname \"none\" masquerade",
         true, false},
        {"add table inet t; add chain inet t c; add rule inet t c tcp dport 22 accept", false,
         false},
        {"add table inet t { comment \"ct state\"; }; add chain inet t c; "
         "add rule inet t c notrack comment \"masquerade\"",
         false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        netns_enter();
        nft(cases[i].commands);
        struct ft_tracking_report report = probe();
        bool on = cases[i].ipv4 || cases[i].ipv6;
        CHECK_STR(ft_tracking_state_name(report.state), on ? "on" : "none");
        CHECK_INT(report.ipv4, cases[i].ipv4);
        CHECK_INT(report.ipv6, cases[i].ipv6);
        check_really_tracked(cases[i].ipv4, cases[i].ipv6);
    }
}

TEST(rules_of_others_stay)
{
    netns_enter();
    nft("add table inet t; add chain inet t c; add rule inet t c ct state new");
    CHECK_OK(ft_tracking_repair());
    CHECK_OK(ft_tracking_unrepair());
    struct ft_tracking_report report = probe();
    CHECK(report.rule && !report.repaired);
    check_really_tracked(true, true);
}

TEST(a_table_of_our_name_that_is_not_ours_stays)
{
    netns_enter();
    nft("add table inet flowtrail; add chain inet flowtrail c");
    CHECK_ERR(ft_tracking_repair(), ft_err_from_errno(EEXIST));
    CHECK_ERR(ft_tracking_unrepair(), ft_err_from_errno(EEXIST));
    CHECK(!probe().repaired);
    nft("list chain inet flowtrail c");
}

/* linux/netfilter_ipv4/ip_tables.h cannot be had together with libc's headers. */
#define IPT_SO_GET_INFO 64
struct ipt_getinfo {
    char name[32];
    unsigned numbers[13];
};

/* What looking at a table with iptables-legacy does: it comes to be. */
static void touch_legacy_table(void)
{
    struct ipt_getinfo info = {.name = "filter"};
    socklen_t size = sizeof info;
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    CHECK(fd >= 0);
    int result = getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &size);
    (void)close(fd);
    if (result != 0) {
        ft_test_skip("this kernel has no legacy iptables");
    }
}

TEST(legacy_tables_make_it_unknown)
{
    netns_enter();
    CHECK(!probe().legacy);
    touch_legacy_table();
    struct ft_tracking_report report = probe();
    CHECK(report.legacy);
    CHECK_STR(ft_tracking_state_name(report.state), report.hooks_known ? "none" : "unknown");
    CHECK_OK(ft_tracking_repair());
    CHECK_STR(ft_tracking_state_name(probe().state), "on");
    CHECK_OK(ft_tracking_unrepair());
}

TEST(judgement_by_what_is_known)
{
    struct ft_tracking_report report = {.rules_known = true};
    CHECK_INT(ft_tracking_judge(&report), FT_TRACKING_NONE);
    report.legacy = true;
    CHECK_INT(ft_tracking_judge(&report), FT_TRACKING_UNKNOWN);
    report.n_entries = 1;
    CHECK_INT(ft_tracking_judge(&report), FT_TRACKING_ON);
    /* Where the hooks are known, left-over entries and legacy tables mean nothing. */
    report.hooks_known = true;
    CHECK_INT(ft_tracking_judge(&report), FT_TRACKING_NONE);
    report.ipv6 = true;
    CHECK_INT(ft_tracking_judge(&report), FT_TRACKING_ON);
    report = (struct ft_tracking_report){0};
    CHECK_INT(ft_tracking_judge(&report), FT_TRACKING_UNKNOWN);
}
