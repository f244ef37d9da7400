/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts: backoff, local addresses and directions, flows that ended. */
#include "base/clock.h"
#include "lib/ct_build.h"
#include "lib/test.h"
#include "source/backoff.h"
#include "source/ended.h"
#include "source/locals.h"

TEST(backoff_tries_at_once_then_ever_later)
{
    struct ft_random_seeded random;
    struct ft_backoff backoff;
    ft_random_seeded_init(&random, 3);
    ft_backoff_init(&backoff, &ft_backoff_options_default);
    for (unsigned round = 0; round < 2; round++) {
        CHECK_INT(ft_backoff_next(&backoff, &random.base), 0);
        double middle = 250e6;
        for (unsigned i = 0; i < 60; i++) {
            int64_t wait = ft_backoff_next(&backoff, &random.base);
            CHECK((double)wait >= middle * 0.499 && (double)wait <= middle * 1.501);
            middle = middle * 1.5 < 300e9 ? middle * 1.5 : 300e9;
        }
        ft_backoff_reset(&backoff);
    }
}

TEST(backoff_spreads_the_waits)
{
    struct ft_random_seeded random;
    struct ft_backoff backoff;
    ft_random_seeded_init(&random, 4);
    int64_t least = INT64_MAX;
    int64_t most = 0;
    for (unsigned i = 0; i < 200; i++) {
        ft_backoff_init(&backoff, &ft_backoff_options_default);
        CHECK_INT(ft_backoff_next(&backoff, &random.base), 0);
        int64_t wait = ft_backoff_next(&backoff, &random.base);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    CHECK(least < 140 * FT_NS_PER_MS && most > 360 * FT_NS_PER_MS);
}

TEST(backoff_takes_other_constants)
{
    /* NetBird's, without its wait before the first try. */
    static const struct ft_backoff_options options = {
        .base_ns = 5 * FT_NS_PER_S,
        .max_ns = 300 * FT_NS_PER_S,
        .multiplier_percent = 150,
        .jitter_percent = 0,
    };
    struct ft_backoff backoff;
    ft_backoff_init(&backoff, &options);
    CHECK_INT(ft_backoff_next(&backoff, NULL), 0);
    CHECK_INT(ft_backoff_next(&backoff, NULL), 5 * FT_NS_PER_S);
    CHECK_INT(ft_backoff_next(&backoff, NULL), 7500 * FT_NS_PER_MS);
}

/* The host is 192.0.2.1 and 10.9.9.9, 2001:db8::1. */
static void set_locals(struct ft_locals *locals)
{
    static const uint8_t data[3][FT_LOCALS_ENTRY_SIZE] = {
        {4, 192, 0, 2, 1}, {4, 10, 9, 9, 9}, {6, 0x20, 0x01, 0x0d, 0xb8, [16] = 1}};
    ft_locals_init(locals);
    ft_locals_set(locals, &data[0][0], sizeof data);
}

static void make(const char *src, const char *dst, struct ft_ct_record *record)
{
    bool ipv6;
    struct ft_ct_record sample;
    struct ft_addr addr;
    CHECK_OK(ft_addr_parse(src, &addr, &ipv6));
    ft_ct_build_sample(1, FT_PROTO_TCP, ipv6, &sample);
    sample.orig.src = addr;
    CHECK_OK(ft_addr_parse(dst, &sample.orig.dst, &ipv6));
    ft_ct_build_mirror(&sample);
    *record = sample;
}

static enum ft_direction direction(const struct ft_locals *locals, const char *src, const char *dst)
{
    struct ft_ct_record record;
    make(src, dst, &record);
    return ft_locals_direction(locals, &record);
}

TEST(direction_follows_from_the_hosts_addresses)
{
    static struct ft_locals locals;
    ft_locals_init(&locals);
    CHECK_INT(direction(&locals, "192.0.2.1", "198.51.100.7"), FT_DIR_UNKNOWN);
    CHECK_INT(direction(&locals, "127.0.0.1", "127.0.0.53"), FT_DIR_LOCAL);
    set_locals(&locals);
    CHECK_INT(direction(&locals, "192.0.2.1", "198.51.100.7"), FT_DIR_EGRESS);
    CHECK_INT(direction(&locals, "198.51.100.7", "192.0.2.1"), FT_DIR_INGRESS);
    CHECK_INT(direction(&locals, "10.9.9.9", "192.0.2.1"), FT_DIR_LOCAL);
    CHECK_INT(direction(&locals, "127.0.0.1", "127.0.0.53"), FT_DIR_LOCAL);
    CHECK_INT(direction(&locals, "198.51.100.7", "203.0.113.5"), FT_DIR_FORWARDED);
    CHECK_INT(direction(&locals, "198.51.100.7", "224.0.0.251"), FT_DIR_INGRESS);
    CHECK_INT(direction(&locals, "0.0.0.0", "255.255.255.255"), FT_DIR_INGRESS);
    CHECK_INT(direction(&locals, "192.0.2.1", "224.0.0.251"), FT_DIR_EGRESS);
    CHECK_INT(direction(&locals, "2001:db8::1", "2001:db8::2"), FT_DIR_EGRESS);
    CHECK_INT(direction(&locals, "2001:db8::2", "2001:db8::1"), FT_DIR_INGRESS);
    CHECK_INT(direction(&locals, "::1", "::1"), FT_DIR_LOCAL);
    CHECK_INT(direction(&locals, "fe80::2", "ff02::fb"), FT_DIR_INGRESS);
}

TEST(direction_sees_through_nat)
{
    static struct ft_locals locals;
    struct ft_ct_record record;
    bool ipv6;
    set_locals(&locals);
    /* Masquerading router: replies come to us, but the flow is another's. */
    make("172.16.0.5", "198.51.100.7", &record);
    CHECK_OK(ft_addr_parse("192.0.2.1", &record.reply.dst, &ipv6));
    CHECK_INT(ft_locals_direction(&locals, &record), FT_DIR_FORWARDED);
    /* A forwarded port: addressed to us, served elsewhere. */
    make("198.51.100.7", "192.0.2.1", &record);
    CHECK_OK(ft_addr_parse("172.16.0.5", &record.reply.src, &ipv6));
    CHECK_INT(ft_locals_direction(&locals, &record), FT_DIR_FORWARDED);
    /* A transparent proxy: addressed elsewhere, served by us. */
    make("172.16.0.5", "198.51.100.7", &record);
    CHECK_OK(ft_addr_parse("10.9.9.9", &record.reply.src, &ipv6));
    CHECK_INT(ft_locals_direction(&locals, &record), FT_DIR_INGRESS);
    /* Ours to our forwarded port. */
    make("192.0.2.1", "10.9.9.9", &record);
    CHECK_OK(ft_addr_parse("172.16.0.5", &record.reply.src, &ipv6));
    CHECK_INT(ft_locals_direction(&locals, &record), FT_DIR_EGRESS);
}

TEST(local_addresses_are_bounded_and_checked)
{
    static struct ft_locals locals;
    static uint8_t data[(FT_LOCALS_MAX + 10) * FT_LOCALS_ENTRY_SIZE + 5];
    for (size_t i = 0; i < FT_LOCALS_MAX + 10; i++) {
        uint8_t *entry = data + i * FT_LOCALS_ENTRY_SIZE;
        entry[0] = 4;
        entry[1] = 10;
        entry[3] = (uint8_t)(i >> 8);
        entry[4] = (uint8_t)i;
    }
    data[0] = 9;
    ft_locals_init(&locals);
    ft_locals_set(&locals, data, sizeof data);
    CHECK_INT(locals.n_addrs, FT_LOCALS_MAX);
    CHECK_INT(locals.n_skipped, 10);
    CHECK(ft_locals_contains(&locals, &(struct ft_addr){{10, 0, 15, 255}}, false));
    CHECK(!ft_locals_contains(&locals, &(struct ft_addr){{10, 0, 0, 0}}, false));
    ft_locals_set(&locals, data + FT_LOCALS_ENTRY_SIZE, FT_LOCALS_ENTRY_SIZE);
    CHECK_INT(locals.n_addrs, 1);
    CHECK(!ft_locals_contains(&locals, &(struct ft_addr){{10, 0, 15, 255}}, false));
}

TEST(ended_flows_are_remembered_with_their_start)
{
    struct ft_ended *ended;
    struct ft_ended_flow flow;
    CHECK_OK(ft_ended_create(NULL, false, &ended));
    CHECK(!ft_ended_find(ended, 0, &flow));
    uint64_t hash = 0x123456789abcdef0;
    ft_ended_add(ended, hash, &(struct ft_ended_flow){.start_ns = 77, .exact = true});
    CHECK(ft_ended_find(ended, hash, &flow));
    CHECK_INT(flow.start_ns, 77);
    CHECK(flow.exact);
    CHECK(!flow.inferred);
    uint64_t other = hash ^ UINT64_C(1) << 60; /* The same place. */
    CHECK(!ft_ended_find(ended, other, &flow));
    ft_ended_add(ended, other, &(struct ft_ended_flow){.start_ns = 78, .inferred = true});
    CHECK(!ft_ended_find(ended, hash, &flow));
    CHECK(ft_ended_find(ended, other, &flow));
    CHECK(!flow.exact);
    CHECK(flow.inferred);
    ft_ended_destroy(ended);
}
