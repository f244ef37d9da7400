/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the kernel, constructed: not every kernel lists its hooks or has xtables' matches. */
#include "os/nft_query.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"

struct message {
    uint8_t bytes[512];
    size_t size;
};

static void put(struct message *message, uint16_t type, const void *data, size_t size)
{
    uint16_t head[2] = {(uint16_t)(4 + size), type};
    memcpy(message->bytes + message->size, head, sizeof head);
    if (size > 0) {
        memcpy(message->bytes + message->size + 4, data, size);
    }
    message->size += (4 + size + 3) & ~(size_t)3;
}

static void put_text(struct message *message, uint16_t type, const char *text)
{
    put(message, type, text, strlen(text) + 1);
}

static size_t nest(struct message *message, uint16_t type)
{
    size_t at = message->size;
    put(message, type | NLA_F_NESTED, NULL, 0);
    return at;
}

static void nest_end(struct message *message, size_t at)
{
    uint16_t len = (uint16_t)(message->size - at);
    memcpy(message->bytes + at, &len, sizeof len);
}

static void begin(struct message *message, uint8_t family)
{
    *message = (struct message){.size = 20};
    message->bytes[16] = family;
}

/* A copy of exactly the message's size, so that a sanitizer sees a read behind it. */
static struct nlmsghdr *finish(const struct message *message, size_t size)
{
    struct nlmsghdr *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, message->bytes, size);
    copy->nlmsg_len = (uint32_t)size;
    return copy;
}

/* One rule with one expression; 'inner' is the name that the expression's data holds. */
static void make_rule(struct message *message, uint8_t family, const char *name, const char *inner,
                      uint16_t ct_flags)
{
    begin(message, family);
    put_text(message, NFTA_RULE_TABLE, "t");
    size_t list = nest(message, NFTA_RULE_EXPRESSIONS);
    size_t elem = nest(message, NFTA_LIST_ELEM);
    put_text(message, NFTA_EXPR_NAME, name);
    size_t data = nest(message, NFTA_EXPR_DATA);
    if (strcmp(name, "dynset") == 0) {
        size_t expr = nest(message, NFTA_DYNSET_EXPR);
        put_text(message, NFTA_EXPR_NAME, inner);
        nest_end(message, expr);
    } else if (inner != NULL) {
        put_text(message, NFTA_MATCH_NAME, inner); /* NFTA_TARGET_NAME has the same number. */
        put(message, NFTA_TARGET_INFO, &ct_flags, sizeof ct_flags);
    }
    nest_end(message, data);
    nest_end(message, elem);
    nest_end(message, list);
}

TEST(expressions_that_need_conntrack)
{
    static const struct {
        const char *name;
        const char *inner;
        uint16_t ct_flags;
        bool needs;
    } cases[] = {
        {"ct", NULL, 0, true},           {"masq", NULL, 0, true},
        {"flow_offload", NULL, 0, true}, {"cmp", NULL, 0, false},
        {"notrack", NULL, 0, false},     {"ctx", NULL, 0, false},
        {"match", "conntrack", 0, true}, {"match", "comment", 0, false},
        {"target", "DNAT", 0, true},     {"target", "LOG", 0, false},
        {"target", "CT", 0, true},       {"target", "CT", 1 /* XT_CT_NOTRACK */, false},
        {"match", "CT", 0, false},       {"dynset", "connlimit", 0, true},
        {"dynset", "limit", 0, false},   {"match", NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message message;
        struct ft_nft_needs needs = {.known = true};
        make_rule(&message, NFPROTO_IPV4, cases[i].name, cases[i].inner, cases[i].ct_flags);
        struct nlmsghdr *header = finish(&message, message.size);
        ft_nft_needs_of_rule(header, &needs);
        free(header);
        if (needs.ipv4 != cases[i].needs || needs.ipv6) {
            ft_test_fail(__FILE__, __LINE__, "case %zu: %s", i, cases[i].name);
        }
    }
}

TEST(family_of_the_table_decides)
{
    static const struct {
        uint8_t family;
        bool ipv4;
        bool ipv6;
    } cases[] = {{NFPROTO_IPV4, true, false},
                 {NFPROTO_IPV6, false, true},
                 {NFPROTO_INET, true, true},
                 {NFPROTO_BRIDGE, true, true},
                 {NFPROTO_ARP, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message message;
        struct ft_nft_needs needs = {.known = true};
        make_rule(&message, cases[i].family, "ct", NULL, 0);
        struct nlmsghdr *header = finish(&message, message.size);
        ft_nft_needs_of_rule(header, &needs);
        free(header);
        CHECK_INT(needs.ipv4, cases[i].ipv4);
        CHECK_INT(needs.ipv6, cases[i].ipv6);
    }
}

TEST(hooks_by_the_name_of_their_function)
{
    struct ft_nft_needs needs = {.known = true};
    static const char *const names[] = {"ipv4_conntrack_local", "nft_do_chain_inet",
                                        "ipv4_conntrack_in"};
    for (size_t i = 0; i < 3; i++) {
        struct message message;
        begin(&message, NFPROTO_IPV4);
        put(&message, NFNLA_HOOK_HOOKNUM, "\0\0\0\0", 4);
        put_text(&message, NFNLA_HOOK_FUNCTION_NAME, names[i]);
        struct nlmsghdr *header = finish(&message, message.size);
        ft_nft_needs_of_hook(header, &needs);
        free(header);
        CHECK_INT(needs.ipv4, i == 2);
    }
    CHECK(needs.known && !needs.ipv6);
}

TEST(a_hook_without_a_name_says_nothing)
{
    struct ft_nft_needs needs = {.known = true};
    struct message message;
    begin(&message, NFPROTO_IPV4);
    struct nlmsghdr *header = finish(&message, message.size);
    ft_nft_needs_of_hook(header, &needs);
    free(header);
    CHECK(!needs.known && !needs.ipv4);
}

TEST(truncation_at_every_byte)
{
    struct message message;
    make_rule(&message, NFPROTO_IPV4, "target", "DNAT", 0);
    for (size_t size = 16; size < message.size; size++) {
        struct ft_nft_needs needs = {.known = true};
        struct nlmsghdr *header = finish(&message, size);
        ft_nft_needs_of_rule(header, &needs);
        ft_nft_needs_of_hook(header, &needs);
        free(header);
    }
}
