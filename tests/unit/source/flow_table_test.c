/* SPDX-License-Identifier: Apache-2.0 */
#include "source/flow_table.h"

#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/random.h"
#include "lib/ct_build.h"
#include "lib/test.h"
#include "source/memory.h"

#define MIB ((uint64_t)1 << 20)

static struct ft_flow *find(struct ft_flow_table *table, const struct ft_ct_record *record)
{
    return ft_flow_table_find(table, record, ft_flow_table_hash(table, record));
}

static struct ft_flow *add(struct ft_flow_table *table, const struct ft_ct_record *record)
{
    return ft_flow_table_add(table, record, ft_flow_table_hash(table, record));
}

static struct ft_flow_table_stats stats_of(const struct ft_flow_table *table)
{
    struct ft_flow_table_stats stats;
    ft_flow_table_get_stats(table, &stats);
    return stats;
}

/* The n-th of a mix of families and protocols. */
static void make_record(uint32_t n, struct ft_ct_record *record)
{
    static const uint8_t protocols[] = {FT_PROTO_TCP, FT_PROTO_UDP, FT_PROTO_ICMP, 47};
    bool ipv6 = n % 3 == 0;
    uint8_t protocol = protocols[n % 4];
    ft_ct_build_sample(n, ipv6 && protocol == FT_PROTO_ICMP ? FT_PROTO_ICMPV6 : protocol, ipv6,
                       record);
}

static void check_tuple(const struct ft_flow_table *table, const struct ft_flow *flow,
                        const struct ft_ct_record *record)
{
    struct ft_addr src;
    struct ft_addr dst;
    ft_flow_table_get_addrs(table, flow, &src, &dst);
    CHECK_BYTES(&src, sizeof src, &record->orig.src, sizeof record->orig.src);
    CHECK_BYTES(&dst, sizeof dst, &record->orig.dst, sizeof record->orig.dst);
    CHECK_INT(flow->src_port, record->orig.src_port);
    CHECK_INT(flow->id, record->id);
    CHECK_INT(flow->protocol, record->orig.protocol);
    CHECK(ft_flow_table_hash_flow(table, flow) == ft_flow_table_hash(table, record));
}

TEST(finds_by_id_tuple_and_zone)
{
    struct ft_flow_table *table;
    struct ft_ct_record record;
    CHECK_OK(ft_flow_table_create(MIB, 1, NULL, false, &table));
    for (unsigned kind = 0; kind < 12; kind++) {
        make_record(kind, &record);
        CHECK(find(table, &record) == NULL);
        struct ft_flow *flow = add(table, &record);
        CHECK(find(table, &record) == flow);
        check_tuple(table, flow, &record);
        struct ft_ct_record other = record;
        other.id++;
        CHECK(find(table, &other) == NULL);
        other = record;
        other.zone = 1;
        CHECK(find(table, &other) == NULL);
        other = record;
        other.orig.src_port++;
        CHECK(find(table, &other) == NULL);
        other = record;
        other.orig.dst.bytes[3] ^= 1;
        CHECK(find(table, &other) == NULL);
        other = record;
        other.orig.src.bytes[0] ^= 1;
        CHECK(find(table, &other) == NULL);
        other = record;
        other.orig.protocol ^= 128;
        CHECK(find(table, &other) == NULL);
    }
    CHECK_INT(stats_of(table).n_flows, 12);
    ft_flow_table_destroy(table);
}

TEST(flows_with_one_id_are_two_flows)
{
    struct ft_flow_table *table;
    struct ft_ct_record a;
    struct ft_ct_record b;
    CHECK_OK(ft_flow_table_create(MIB, 1, NULL, false, &table));
    ft_ct_build_sample(1, FT_PROTO_TCP, false, &a);
    ft_ct_build_sample(2, FT_PROTO_TCP, false, &b);
    b.id = a.id;
    struct ft_flow *flow_a = add(table, &a);
    struct ft_flow *flow_b = add(table, &b);
    CHECK(find(table, &a) == flow_a);
    CHECK(find(table, &b) == flow_b);
    ft_flow_table_remove(table, flow_a);
    CHECK(find(table, &a) == NULL);
    CHECK(find(table, &b) == flow_b);
    ft_flow_table_destroy(table);
}

TEST(keeps_counters_and_reply_tuple)
{
    struct ft_flow_table *table;
    struct ft_ct_record record;
    struct ft_flow_counters counters;
    struct ft_flow_nat nat;
    CHECK_OK(ft_flow_table_create(MIB, 1, NULL, false, &table));
    ft_ct_build_sample(3, FT_PROTO_UDP, true, &record);
    struct ft_flow *flow = add(table, &record);
    ft_flow_table_get_counters(table, flow, &counters);
    CHECK_INT(counters.orig_bytes, 0);
    CHECK(ft_flow_table_set_counters(table, flow, &(struct ft_flow_counters){1, 2, 3, UINT64_MAX}));
    record.reply.src_port = 77;
    record.reply.dst.bytes[15] = 0x99;
    ft_flow_table_set_nat(table, flow, &record.reply);
    ft_flow_table_get_counters(table, flow, &counters);
    CHECK(counters.reply_bytes == UINT64_MAX);
    ft_flow_table_get_nat(table, flow, &nat);
    CHECK_INT(nat.src_port, 77);
    CHECK_INT(nat.dst.bytes[15], 0x99);
    check_tuple(table, flow, &record);
    CHECK(find(table, &record) == flow);
    CHECK_INT(stats_of(table).n_cells, 4);
    ft_flow_table_remove(table, flow);
    CHECK_INT(stats_of(table).n_cells, 0);
    ft_flow_table_destroy(table);
}

TEST(an_ipv4_flow_costs_less_than_64_bytes_at_the_bound)
{
    struct ft_flow_table *table;
    struct ft_ct_record record;
    CHECK_OK(ft_flow_table_create(16 * MIB, 1, NULL, false, &table));
    uint32_t n = 0;
    do {
        ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
    } while (add(table, &record) != NULL && ++n < 1000000);
    CHECK(stats_of(table).bytes <= 16 * MIB);
    CHECK_INT(stats_of(table).n_flows, n);
    CHECK(n > 16 * MIB / 64); /* 64 MiB hold four times as many: more than a million. */
    for (uint32_t i = 0; i < n; i += 97) {
        ft_ct_build_sample(i, FT_PROTO_TCP, false, &record);
        CHECK(find(table, &record) != NULL);
    }
    /* At the bound nothing breaks, and what is given back can be had again. */
    ft_ct_build_sample(0, FT_PROTO_TCP, false, &record);
    struct ft_flow *flow = find(table, &record);
    CHECK(!ft_flow_table_set_counters(table, flow, &(struct ft_flow_counters){0}));
    ft_flow_table_remove(table, flow);
    CHECK(add(table, &record) != NULL);
    ft_flow_table_destroy(table);
}

TEST(walks_over_every_flow_once_while_others_come_and_go)
{
    struct ft_flow_table *table;
    struct ft_ct_record record;
    CHECK_OK(ft_flow_table_create(4 * MIB, 1, NULL, false, &table));
    enum { N = 9000 };
    for (uint32_t n = 0; n < N; n++) {
        make_record(n, &record);
        CHECK(add(table, &record) != NULL);
    }
    uint32_t cursor = 0;
    unsigned n_met = 0;
    unsigned n_slices = 0;
    for (bool more = true; more; n_slices++) {
        uint32_t left = 500;
        struct ft_flow *flow;
        while ((flow = ft_flow_table_walk(table, &cursor, &left)) != NULL) {
            if (flow->mark == 1) {
                continue; /* New since. */
            }
            n_met++;
            if (flow->id % 2 == 0) {
                ft_flow_table_remove(table, flow);
            }
        }
        more = left == 0;
        make_record(N + n_slices, &record);
        struct ft_flow *young = add(table, &record);
        CHECK(young != NULL);
        young->mark = 1;
    }
    CHECK_INT(n_met, N);
    CHECK(n_slices >= N / 500);
    ft_flow_table_destroy(table);
}

/* Against a plain array, with everything that a flow can have. */
TEST(is_right_through_growing_and_shrinking)
{
    enum { N = 60000 };
    struct ft_flow_table *table;
    struct ft_random_seeded random;
    bool *there = calloc(N, sizeof *there);
    CHECK_OK(ft_flow_table_create(64 * MIB, 7, NULL, false, &table));
    ft_random_seeded_init(&random, 5);
    uint64_t bytes_most = 0;
    for (unsigned round = 0; round < 4; round++) {
        uint32_t percent = round % 2 == 0 ? 95 : 4; /* Of the flows shall be there. */
        for (unsigned i = 0; i < N * 2; i++) {
            uint32_t n = (uint32_t)ft_random_below(&random.base, N);
            bool wanted = ft_random_below(&random.base, 100) < percent;
            struct ft_ct_record record;
            make_record(n, &record);
            struct ft_flow *flow = find(table, &record);
            CHECK_INT(flow != NULL, there[n]);
            if (flow != NULL && !wanted) {
                ft_flow_table_remove(table, flow);
            } else if (flow == NULL && wanted) {
                flow = add(table, &record);
                CHECK(flow != NULL);
                flow->start_ns = n;
                if (n % 5 == 0) {
                    struct ft_flow_counters counters = {n, n, n, n};
                    CHECK(ft_flow_table_set_counters(table, flow, &counters));
                }
                if (n % 7 == 0) {
                    ft_flow_table_set_nat(table, flow, &record.reply);
                }
            }
            there[n] = wanted;
        }
        bytes_most = stats_of(table).bytes > bytes_most ? stats_of(table).bytes : bytes_most;
        ft_flow_table_trim(table, NULL, NULL);
        size_t n_flows = 0;
        for (uint32_t n = 0; n < N; n++) {
            struct ft_ct_record record;
            make_record(n, &record);
            struct ft_flow *flow = find(table, &record);
            CHECK_INT(flow != NULL, there[n]);
            n_flows += there[n];
            if (flow != NULL) {
                struct ft_flow_counters counters;
                ft_flow_table_get_counters(table, flow, &counters);
                CHECK_INT(flow->start_ns, n);
                CHECK_INT(counters.orig_packets, n % 5 == 0 ? n : 0);
                CHECK_INT((flow->flags & FT_FLOW_NAT) != 0, n % 7 == 0);
                check_tuple(table, flow, &record);
            }
        }
        CHECK_INT(stats_of(table).n_flows, n_flows);
        if (round % 2 == 1) {
            CHECK(stats_of(table).bytes < bytes_most / 2);
        }
    }
    free(there);
    ft_flow_table_destroy(table);
}

static struct ft_memory *make_memory(void)
{
    struct ft_memory *memory;
    struct ft_memory_options options = {
        .ring_bytes = MIB, .table_bytes_max = 4 * MIB, .hash_seed = 1};
    CHECK_OK(ft_memory_create(&options, &memory));
    return memory;
}

static ft_err attach(struct ft_memory *memory, struct ft_flow_table **ret_table)
{
    return ft_flow_table_create(4 * MIB, 1, memory, true, ret_table);
}

TEST(what_is_in_memory_is_found_again)
{
    enum { FLOWS = 20000 };
    struct ft_memory *memory = make_memory();
    struct ft_flow_table *table;
    struct ft_ct_record record;
    CHECK_OK(attach(memory, &table));
    for (uint32_t n = 0; n < FLOWS; n++) {
        make_record(n, &record);
        struct ft_flow *flow = add(table, &record);
        CHECK(flow != NULL);
        flow->start_ns = n;
        struct ft_flow_counters counters = {.orig_bytes = n};
        CHECK(n % 5 != 0 || ft_flow_table_set_counters(table, flow, &counters));
        if (n % 7 == 0) {
            ft_flow_table_set_nat(table, flow, &record.reply);
        }
        if (n % 1000 == 0) {
            ft_memory_commit(memory, &(struct ft_memory_commit){.source = &n, .owner = &n});
        }
    }
    for (uint32_t n = 0; n < FLOWS; n += 2) {
        make_record(n, &record);
        ft_flow_table_remove(table, find(table, &record));
    }
    struct ft_flow_table_stats before = stats_of(table);
    ft_flow_table_destroy(table);
    CHECK_OK(attach(memory, &table));
    CHECK_INT(stats_of(table).n_flows, FLOWS / 2);
    CHECK_INT(stats_of(table).n_cells, before.n_cells);
    for (uint32_t n = 0; n < FLOWS; n++) {
        make_record(n, &record);
        struct ft_flow *flow = find(table, &record);
        CHECK_INT(flow != NULL, n % 2);
        if (flow != NULL) {
            struct ft_flow_counters counters;
            CHECK_INT(flow->start_ns, n);
            check_tuple(table, flow, &record);
            ft_flow_table_get_counters(table, flow, &counters);
            CHECK_INT(counters.orig_bytes, n % 5 == 0 ? n : 0);
            CHECK_INT((flow->flags & FT_FLOW_NAT) != 0, n % 7 == 0);
            ft_flow_table_remove(table, flow);
        }
    }
    CHECK_INT(stats_of(table).n_cells, 0);
    ft_flow_table_destroy(table);
    ft_memory_destroy(memory);
}

/* Any word of the cells may be wrong: it is a table, or it is refused. */
TEST(cells_that_are_none_are_refused)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    unsigned n_refused = 0;
    for (unsigned round = 0; round < 300; round++) {
        struct ft_memory *memory = make_memory();
        struct ft_flow_table *table;
        struct ft_ct_record record;
        CHECK_OK(attach(memory, &table));
        for (uint32_t n = 0; n < 60; n++) {
            make_record(n, &record);
            struct ft_flow *flow = add(table, &record);
            CHECK(n % 5 != 0 ||
                  ft_flow_table_set_counters(table, flow, &(struct ft_flow_counters){0}));
        }
        ft_flow_table_destroy(table);
        uint64_t dice = ft_random_u64(&random.base);
        uint32_t *link =
            (uint32_t *)(void *)(memory->cells + (1 + dice % 100) * FT_FLOW_TABLE_CELL_BYTES);
        *link ^= 1U << (dice >> 32) % 32;
        ft_err err = attach(memory, &table);
        if (err == FT_OK) {
            for (uint32_t n = 0; n < 60; n++) {
                make_record(n, &record);
                struct ft_flow *flow = find(table, &record);
                if (flow != NULL) {
                    ft_flow_table_remove(table, flow);
                }
            }
            ft_flow_table_destroy(table);
        } else {
            CHECK_ERR(err, FT_E_CORRUPT);
            n_refused++;
        }
        ft_memory_destroy(memory);
    }
    CHECK(n_refused > 200);
}

/* Commits, and then finds out what a crash right here would leave. */
struct committing {
    struct ft_memory *memory;
    unsigned n;
};

static void commit_memory(void *ctx)
{
    struct committing *committing = ctx;
    committing->n++;
    ft_memory_commit(committing->memory, &(struct ft_memory_commit){.source = "", .owner = ""});
}

TEST(gives_memory_back_that_may_be_adopted)
{
    enum { FLOWS = 60000, LEFT = 5000 };
    struct ft_memory *memory = make_memory();
    struct committing committing = {.memory = memory};
    struct ft_flow_table *table;
    struct ft_ct_record record;
    CHECK_OK(attach(memory, &table));
    uint32_t n_added = 0;
    for (uint32_t n = 0; n < FLOWS; n++) {
        ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
        n_added += add(table, &record) != NULL ? 1 : 0;
        if (ft_memory_wants_commit(memory)) {
            commit_memory(&committing);
        }
    }
    CHECK(n_added > FLOWS - 1000);
    for (uint32_t n = 0; n < n_added; n++) {
        ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
        struct ft_flow *flow = find(table, &record);
        if (n < n_added - LEFT) { /* What is left is at the far end. */
            ft_flow_table_remove(table, flow);
        } else {
            flow->start_ns = n;
            CHECK(ft_flow_table_set_counters(table, flow, &(struct ft_flow_counters){n, 0, 0, 0}));
        }
        if (ft_memory_wants_commit(memory)) {
            commit_memory(&committing);
        }
    }
    uint64_t n_segments = memory->header->n_segments;
    ft_flow_table_trim(table, NULL, NULL); /* Without commits it must not. */
    CHECK_INT(memory->header->n_segments, n_segments);
    unsigned n_before = committing.n;
    ft_flow_table_trim(table, commit_memory, &committing);
    CHECK(memory->header->n_segments <= n_segments / 2);
    CHECK(committing.n > n_before);
    CHECK_INT(memory->undo_used, 0);
    ft_flow_table_destroy(table);
    CHECK_OK(attach(memory, &table));
    CHECK_INT(stats_of(table).n_flows, LEFT);
    for (uint32_t n = n_added - LEFT; n < n_added; n++) {
        struct ft_flow_counters counters;
        ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
        const struct ft_flow *flow = find(table, &record);
        CHECK(flow != NULL);
        CHECK_INT(flow->start_ns, n);
        ft_flow_table_get_counters(table, flow, &counters);
        CHECK_INT(counters.orig_packets, n);
    }
    ft_flow_table_destroy(table);
    ft_memory_destroy(memory);
}

/* A crash amid moving: what was there before is there again. */
static jmp_buf crash_here;

static void die(void *ctx)
{
    struct committing *committing = ctx;
    if (committing->n-- == 0) {
        longjmp(crash_here, 1);
    }
    ft_memory_commit(committing->memory, &(struct ft_memory_commit){.source = "", .owner = ""});
}

/* A function of its own, so that no variable of the test is at stake in the jump. */
static void trim_until_the_crash(struct ft_flow_table *table, struct committing *committing)
{
    if (setjmp(crash_here) == 0) {
        ft_flow_table_trim(table, die, committing);
    }
}

TEST(a_crash_while_memory_is_given_back_changes_no_flow)
{
    enum { FLOWS = 40000, LEFT = 8000 };
    for (unsigned point = 0; point < 3; point++) {
        struct ft_memory *memory = make_memory();
        struct committing committing = {.memory = memory};
        struct ft_flow_table *table;
        struct ft_ct_record record;
        CHECK_OK(attach(memory, &table));
        for (uint32_t n = 0; n < FLOWS; n++) {
            ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
            add(table, &record)->start_ns = n;
        }
        for (uint32_t n = 0; n < FLOWS - LEFT; n++) {
            ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
            ft_flow_table_remove(table, find(table, &record));
        }
        commit_memory(&committing);
        committing.n = point;
        trim_until_the_crash(table, &committing);
        ft_flow_table_destroy(table);
        int fd = dup(memory->fd);
        struct ft_diag diag = {0};
        ft_memory_destroy(memory);
        CHECK_OK(ft_memory_adopt(fd, &memory, &diag));
        CHECK_OK(attach(memory, &table));
        CHECK_INT(stats_of(table).n_flows, LEFT);
        for (uint32_t n = FLOWS - LEFT; n < FLOWS; n++) {
            ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
            CHECK_INT(find(table, &record)->start_ns, n);
        }
        ft_flow_table_destroy(table);
        ft_memory_destroy(memory);
    }
}
