/* SPDX-License-Identifier: Apache-2.0 */
#include "os/nft_query.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <linux/netfilter/xt_CT.h>
#include <string.h>

#include "os/nl_dump.h"

/* nftables' expressions whose set-up calls nf_ct_netns_get (net/netfilter/nft_*.c). */
static const char *const needy_exprs[] = {"ct",        "nat",          "masq",    "redir",
                                          "connlimit", "flow_offload", "synproxy"};

/* The same of xtables, as iptables-nft loads them (net/netfilter/xt_*.c). */
static const char *const needy_matches[] = {"conntrack", "state",     "connmark", "connbytes",
                                            "connlabel", "connlimit", "helper"};
static const char *const needy_targets[] = {"CONNMARK", "CONNSECMARK", "MASQUERADE", "SNAT",
                                            "DNAT",     "REDIRECT",    "NETMAP",     "SYNPROXY"};

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* An attribute's text when it is one that ends with NUL, else "". */
static const char *text_of(const struct nlattr *attr)
{
    if (attr == NULL || mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0) {
        return "";
    }
    return mnl_attr_get_str(attr);
}

/* The first attribute of a type within 'size' bytes, or NULL. */
static const struct nlattr *find(const void *data, size_t size, uint16_t type)
{
    const struct nlattr *attr = data;
    const char *end = (const char *)data + size;
    while (mnl_attr_ok(attr, (int)(end - (const char *)attr))) {
        if (mnl_attr_get_type(attr) == type) {
            return attr;
        }
        attr = mnl_attr_next(attr);
    }
    return NULL;
}

static const struct nlattr *find_in(const struct nlattr *nest, uint16_t type)
{
    return nest == NULL ? NULL
                        : find(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), type);
}

static const struct nlattr *find_top(const struct nlmsghdr *header, uint16_t type)
{
    size_t size = mnl_nlmsg_get_payload_len(header);
    if (size < sizeof(struct nfgenmsg)) {
        return NULL;
    }
    return find(mnl_nlmsg_get_payload_offset(header, sizeof(struct nfgenmsg)),
                size - sizeof(struct nfgenmsg), type);
}

static bool is_one_of(const char *name, const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* CT is also how iptables-nft says NOTRACK, which needs nothing. */
static bool target_needs(const struct nlattr *data)
{
    const char *name = text_of(find_in(data, NFTA_TARGET_NAME));
    if (strcmp(name, "CT") == 0) {
        const struct nlattr *info = find_in(data, NFTA_TARGET_INFO);
        struct xt_ct_target_info ct = {0};
        if (info != NULL && mnl_attr_get_payload_len(info) >= sizeof ct.flags) {
            memcpy(&ct.flags, mnl_attr_get_payload(info), sizeof ct.flags);
        }
        return (ct.flags & XT_CT_NOTRACK) == 0;
    }
    return is_one_of(name, needy_targets, N(needy_targets));
}

/* 'elem' holds an expression's name and data. */
static bool expr_needs(const struct nlattr *elem)
{
    const char *name = text_of(find_in(elem, NFTA_EXPR_NAME));
    const struct nlattr *data = find_in(elem, NFTA_EXPR_DATA);
    if (strcmp(name, "match") == 0) {
        return is_one_of(text_of(find_in(data, NFTA_MATCH_NAME)), needy_matches, N(needy_matches));
    }
    if (strcmp(name, "target") == 0) {
        return target_needs(data);
    }
    if (strcmp(name, "dynset") == 0) {
        const char *inner = text_of(find_in(find_in(data, NFTA_DYNSET_EXPR), NFTA_EXPR_NAME));
        return is_one_of(inner, needy_exprs, N(needy_exprs));
    }
    return is_one_of(name, needy_exprs, N(needy_exprs));
}

static uint8_t family_of(const struct nlmsghdr *header)
{
    if (mnl_nlmsg_get_payload_len(header) < sizeof(struct nfgenmsg)) {
        return NFPROTO_UNSPEC;
    }
    const struct nfgenmsg *message = mnl_nlmsg_get_payload(header);
    return message->nfgen_family;
}

void ft_nft_needs_of_rule(const struct nlmsghdr *header, struct ft_nft_needs *needs)
{
    const struct nlattr *list = find_top(header, NFTA_RULE_EXPRESSIONS);
    if (list == NULL) {
        return;
    }
    const struct nlattr *elem = mnl_attr_get_payload(list);
    const char *end = (const char *)elem + mnl_attr_get_payload_len(list);
    bool needy = false;
    while (mnl_attr_ok(elem, (int)(end - (const char *)elem))) {
        needy = needy || (mnl_attr_get_type(elem) == NFTA_LIST_ELEM && expr_needs(elem));
        elem = mnl_attr_next(elem);
    }
    if (!needy) {
        return;
    }
    /* A table of family inet or bridge asks for both (nf_ct_netns_get). */
    uint8_t family = family_of(header);
    bool both = family == NFPROTO_INET || family == NFPROTO_BRIDGE;
    needs->ipv4 = needs->ipv4 || both || family == NFPROTO_IPV4;
    needs->ipv6 = needs->ipv6 || both || family == NFPROTO_IPV6;
}

void ft_nft_needs_of_hook(const struct nlmsghdr *header, struct ft_nft_needs *needs)
{
    /* Functions have names only in kernels with CONFIG_KALLSYMS. */
    const char *name = text_of(find_top(header, NFNLA_HOOK_FUNCTION_NAME));
    if (name[0] == '\0') {
        needs->known = false;
        return;
    }
    needs->ipv4 = needs->ipv4 || strncmp(name, "ipv4_conntrack_in", 17) == 0;
    needs->ipv6 = needs->ipv6 || strncmp(name, "ipv6_conntrack_in", 17) == 0;
}

static struct nlmsghdr *put_request(char *buf, unsigned subsystem, unsigned verb, uint8_t family)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
    header->nlmsg_type = (uint16_t)(subsystem << 8 | verb);
    struct nfgenmsg *message = mnl_nlmsg_put_extra_header(header, sizeof *message);
    message->nfgen_family = family;
    message->version = NFNETLINK_V0;
    return header;
}

static ft_err on_rule(const struct nlmsghdr *header, void *ctx)
{
    ft_nft_needs_of_rule(header, ctx);
    return FT_OK;
}

ft_err ft_nft_query_rules(struct ft_nft_needs *ret_needs)
{
    char buf[128] __attribute__((aligned(8)));
    struct ft_nft_needs needs = {.known = true};
    bool consistent;
    FT_TRY(ft_nl_dump(NETLINK_NETFILTER,
                      put_request(buf, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, NFPROTO_UNSPEC),
                      on_rule, &needs, &consistent));
    /* What a changing list has shown is there; what it has not shown may be. */
    needs.known = consistent || needs.ipv4 || needs.ipv6;
    *ret_needs = needs;
    return FT_OK;
}

static ft_err on_hook(const struct nlmsghdr *header, void *ctx)
{
    ft_nft_needs_of_hook(header, ctx);
    return FT_OK;
}

ft_err ft_nft_query_hooks(struct ft_nft_needs *ret_needs)
{
    static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};
    struct ft_nft_needs needs = {.known = true};
    for (size_t i = 0; i < N(families); i++) {
        char buf[128] __attribute__((aligned(8)));
        struct nlmsghdr *header =
            put_request(buf, NFNL_SUBSYS_HOOK, NFNL_MSG_HOOK_GET, families[i]);
        mnl_attr_put_u32(header, NFNLA_HOOK_HOOKNUM, htonl(NF_INET_PRE_ROUTING));
        bool consistent;
        FT_TRY(ft_nl_dump(NETLINK_NETFILTER, header, on_hook, &needs, &consistent));
        needs.known = needs.known && consistent;
    }
    *ret_needs = needs;
    return FT_OK;
}

/* What ft_nft_query_table looks for and finds. */
struct table_search {
    const char *name;
    const char *comment;
    bool there;
    bool ours;
};

static ft_err on_table(const struct nlmsghdr *header, void *ctx)
{
    struct table_search *search = ctx;
    if (family_of(header) != NFPROTO_INET ||
        strcmp(text_of(find_top(header, NFTA_TABLE_NAME)), search->name) != 0) {
        return FT_OK;
    }
    search->there = true;
    const struct nlattr *data = find_top(header, NFTA_TABLE_USERDATA);
    search->ours =
        data != NULL && memmem(mnl_attr_get_payload(data), mnl_attr_get_payload_len(data),
                               search->comment, strlen(search->comment)) != NULL;
    return FT_OK;
}

ft_err ft_nft_query_table(const char *name, const char *comment, bool *ret_there, bool *ret_ours)
{
    char buf[128] __attribute__((aligned(8)));
    struct table_search search = {.name = name, .comment = comment};
    bool consistent;
    FT_TRY(ft_nl_dump(NETLINK_NETFILTER,
                      put_request(buf, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, NFPROTO_INET),
                      on_table, &search, &consistent));
    *ret_there = search.there;
    *ret_ours = search.ours;
    return FT_OK;
}
