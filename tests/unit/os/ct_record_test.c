/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ct_record.h"

#include <stdlib.h>

#include "base/random.h"
#include "lib/ct_build.h"
#include "lib/test.h"

#define NLM_F_MULTI_     0x02
#define NLM_F_DUMP_INTR_ 0x10

static void check_tuple(const struct ft_ct_tuple *a, const struct ft_ct_tuple *b)
{
    CHECK_BYTES(&a->src, sizeof a->src, &b->src, sizeof b->src);
    CHECK_BYTES(&a->dst, sizeof a->dst, &b->dst, sizeof b->dst);
    CHECK_INT(a->src_port, b->src_port);
    CHECK_INT(a->dst_port, b->dst_port);
    CHECK_INT(a->icmp_type, b->icmp_type);
    CHECK_INT(a->icmp_code, b->icmp_code);
    CHECK_INT(a->protocol, b->protocol);
    CHECK_INT(a->ipv6, b->ipv6);
}

static void check_record(const struct ft_ct_record *a, const struct ft_ct_record *b)
{
    CHECK_INT(a->kind, b->kind);
    CHECK_INT(a->has, b->has);
    CHECK_INT(a->id, b->id);
    CHECK_INT(a->status, b->status);
    CHECK_INT(a->mark, b->mark);
    CHECK_INT(a->timeout_s, b->timeout_s);
    CHECK_INT(a->zone, b->zone);
    CHECK_INT(a->tcp_state, b->tcp_state);
    check_tuple(&a->orig, &b->orig);
    check_tuple(&a->reply, &b->reply);
    CHECK(a->orig_packets == b->orig_packets);
    CHECK(a->orig_bytes == b->orig_bytes);
    CHECK(a->reply_packets == b->reply_packets);
    CHECK(a->reply_bytes == b->reply_bytes);
    CHECK_INT(a->start_ns, b->start_ns);
    CHECK_INT(a->stop_ns, b->stop_ns);
    CHECK_INT(a->event_ns, b->event_ns);
}

/* A record with every part that its protocol can have. */
static void make_full(uint8_t protocol, bool ipv6, enum ft_ct_kind kind,
                      struct ft_ct_record *record)
{
    ft_ct_build_sample(0x123456, protocol, ipv6, record);
    record->kind = kind;
    record->has |= FT_CT_HAS_MARK | FT_CT_HAS_ZONE | FT_CT_HAS_COUNTERS | FT_CT_HAS_START |
                   FT_CT_HAS_STOP | FT_CT_HAS_EVENT | FT_CT_HAS_TIMEOUT;
    record->id = 0xfedcba98;
    record->status = 0x18e;
    record->mark = 0x80000001;
    record->zone = 0xabcd;
    record->timeout_s = 431999;
    record->orig_packets = UINT64_MAX;
    record->orig_bytes = 0x0102030405060708;
    record->reply_packets = 1;
    record->reply_bytes = UINT64_C(1) << 40;
    record->start_ns = 1767323045123456789;
    record->stop_ns = INT64_MAX;
    record->event_ns = 1;
    if (protocol == FT_PROTO_TCP) {
        record->has |= FT_CT_HAS_TCP_STATE;
        record->tcp_state = 7;
    }
}

static enum ft_ct_step parse(const void *data, size_t size, struct ft_ct_record *record)
{
    struct ft_ct_reader reader = {.at = data, .left = size};
    int error = 0;
    enum ft_ct_step step = ft_ct_next(&reader, record, &error);
    if (step == FT_CT_RECORD) {
        CHECK_INT(reader.left, 0);
    }
    return step;
}

static const struct {
    uint8_t protocol;
    bool ipv6;
} families[] = {
    {FT_PROTO_TCP, false},  {FT_PROTO_TCP, true},    {FT_PROTO_UDP, false}, {FT_PROTO_UDP, true},
    {FT_PROTO_ICMP, false}, {FT_PROTO_ICMPV6, true}, {FT_PROTO_SCTP, true}, {FT_PROTO_SCTP, false},
    {33 /* DCCP */, false}, {136 /* Lite */, true},  {47 /* GRE */, false},
};
#define N_FAMILIES (sizeof families / sizeof families[0])

TEST(round_trip_of_every_protocol_and_kind)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        for (unsigned kind = 0; kind < FT_CT_KIND_N; kind++) {
            struct ft_ct_record in;
            struct ft_ct_record out;
            uint8_t buf[FT_CT_BUILD_SIZE_MAX];
            make_full(families[i].protocol, families[i].ipv6, kind, &in);
            size_t size = ft_ct_build(&in, false, buf, sizeof buf);
            CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
            check_record(&out, &in);
            CHECK(ft_ct_is_mirrored(&out));
        }
    }
}

TEST(each_part_alone_sets_its_bit_alone)
{
    for (unsigned bit = 0; bit < 12; bit++) {
        struct ft_ct_record in;
        struct ft_ct_record out;
        uint8_t buf[FT_CT_BUILD_SIZE_MAX];
        if ((1U << bit) == FT_CT_HAS_ICMP) {
            continue; /* Not with TCP. */
        }
        make_full(FT_PROTO_TCP, false, FT_CT_DESTROY, &in);
        in.has = 1U << bit;
        size_t size = ft_ct_build(&in, false, buf, sizeof buf);
        CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
        CHECK_INT(out.has, in.has);
    }
}

TEST(protocol_without_ports_is_a_number)
{
    struct ft_ct_record in;
    struct ft_ct_record out;
    uint8_t buf[FT_CT_BUILD_SIZE_MAX];
    ft_ct_build_sample(7, 89 /* OSPF */, false, &in);
    in.has &= ~FT_CT_HAS_PORTS;
    size_t size = ft_ct_build(&in, false, buf, sizeof buf);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    CHECK_INT(out.orig.protocol, 89);
    CHECK_INT(out.has & (FT_CT_HAS_PORTS | FT_CT_HAS_ICMP), 0);
    CHECK_INT(out.orig.src_port, 0);
    CHECK(ft_ct_is_mirrored(&out));
}

TEST(dump_entries_are_new)
{
    struct ft_ct_record in;
    struct ft_ct_record out;
    uint8_t buf[FT_CT_BUILD_SIZE_MAX];
    ft_ct_build_sample(1, FT_PROTO_UDP, false, &in);
    in.kind = FT_CT_UPDATE;
    size_t size = ft_ct_build(&in, true, buf, sizeof buf);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    CHECK_INT(out.kind, FT_CT_NEW);
    CHECK_INT(buf[6], NLM_F_MULTI_);
}

TEST(time_zero_and_time_past_the_range_are_absent)
{
    static const uint64_t times[] = {0, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct ft_ct_record in;
        struct ft_ct_record out;
        uint8_t buf[FT_CT_BUILD_SIZE_MAX];
        make_full(FT_PROTO_UDP, false, FT_CT_DESTROY, &in);
        in.start_ns = (int64_t)times[i];
        in.event_ns = (int64_t)times[i];
        size_t size = ft_ct_build(&in, false, buf, sizeof buf);
        CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
        CHECK_INT(out.has & (FT_CT_HAS_START | FT_CT_HAS_STOP | FT_CT_HAS_EVENT), FT_CT_HAS_STOP);
        CHECK_INT(out.start_ns, 0);
        CHECK_INT(out.event_ns, 0);
    }
}

/* The shorter message is a heap block of its own, so that a sanitizer sees a read behind it. */
static enum ft_ct_step parse_cut(const uint8_t *data, size_t size, bool mend_length)
{
    uint8_t *cut = malloc(size > 0 ? size : 1);
    CHECK(cut != NULL);
    memcpy(cut, data, size);
    if (mend_length && size >= 4) {
        uint32_t len = (uint32_t)size;
        memcpy(cut, &len, sizeof len);
    }
    struct ft_ct_record record;
    struct ft_ct_reader reader = {.at = cut, .left = size};
    int error = 0;
    enum ft_ct_step step = ft_ct_next(&reader, &record, &error);
    if (step == FT_CT_BAD && !mend_length) {
        CHECK_INT(reader.left, 0);
        CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_EMPTY);
    }
    free(cut);
    return step;
}

/* True when the first 'cut' bytes end behind an attribute of the message or in its padding. */
static bool is_attr_end(const uint8_t *message, size_t cut)
{
    size_t at = 20;
    while (at < cut) {
        uint16_t len;
        memcpy(&len, message + at, sizeof len);
        size_t next = at + ((len + 3U) & ~3U);
        if (cut >= at + len && cut <= next) {
            return true;
        }
        at = next;
    }
    return false;
}

TEST(truncation_at_every_byte)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        struct ft_ct_record in;
        uint8_t buf[FT_CT_BUILD_SIZE_MAX];
        make_full(families[i].protocol, families[i].ipv6, FT_CT_DESTROY, &in);
        size_t size = ft_ct_build(&in, false, buf, sizeof buf);
        unsigned n_records = 0;
        CHECK_INT(parse_cut(buf, 0, false), FT_CT_EMPTY);
        for (size_t cut = 1; cut < size; cut++) {
            CHECK_INT(parse_cut(buf, cut, false), FT_CT_BAD);
            /* With a length that fits, a cut between two attributes leaves a smaller record. */
            enum ft_ct_step step = parse_cut(buf, cut, true);
            CHECK(step == FT_CT_BAD || (step == FT_CT_RECORD && is_attr_end(buf, cut)));
            n_records += step == FT_CT_RECORD ? 1 : 0;
        }
        CHECK(n_records >= 9);
    }
}

TEST(garbage_is_survived)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 42);
    unsigned n_records = 0;
    for (unsigned i = 0; i < 50000; i++) {
        struct ft_ct_record in;
        struct ft_ct_record out;
        uint8_t buf[FT_CT_BUILD_SIZE_MAX];
        make_full(families[i % N_FAMILIES].protocol, families[i % N_FAMILIES].ipv6, i % 3, &in);
        size_t size = ft_ct_build(&in, false, buf, sizeof buf);
        unsigned n_flips = 1 + (unsigned)ft_random_below(&random.base, 4);
        for (unsigned flip = 0; flip < n_flips; flip++) {
            buf[ft_random_below(&random.base, size)] = (uint8_t)ft_random_u64(&random.base);
        }
        uint8_t *exact = malloc(size);
        CHECK(exact != NULL);
        memcpy(exact, buf, size);
        struct ft_ct_reader reader = {.at = exact, .left = size};
        int error = 0;
        unsigned n_steps = 0;
        enum ft_ct_step step;
        while ((step = ft_ct_next(&reader, &out, &error)) != FT_CT_EMPTY) {
            n_records += step == FT_CT_RECORD ? 1 : 0;
            CHECK(++n_steps < 64);
        }
        free(exact);
    }
    CHECK(n_records > 10000 && n_records < 50000);
}

/* Puts an attribute behind the message. */
static size_t append_attr(uint8_t *buf, size_t size, uint16_t type, const void *data, size_t n)
{
    uint16_t head[2] = {(uint16_t)(4 + n), type};
    memset(buf + size, 0, 4 + ((n + 3) & ~(size_t)3));
    memcpy(buf + size, head, 4);
    if (n > 0) {
        memcpy(buf + size + 4, data, n);
    }
    size += 4 + ((n + 3) & ~(size_t)3);
    uint32_t len = (uint32_t)size;
    memcpy(buf, &len, sizeof len);
    return size;
}

TEST(counters_of_32_bits)
{
    struct ft_ct_record in;
    struct ft_ct_record out;
    uint8_t buf[FT_CT_BUILD_SIZE_MAX];
    ft_ct_build_sample(1, FT_PROTO_UDP, false, &in);
    size_t size = ft_ct_build(&in, false, buf, sizeof buf);
    const uint8_t orig[16] = {8, 0, 3, 0, 0, 0, 0, 2, 8, 0, 4, 0, 0, 0, 1, 1};
    const uint8_t reply[16] = {8, 0, 4, 0, 255, 0, 0, 0, 8, 0, 3, 0, 0, 0, 0, 9};
    size = append_attr(buf, size, 9, orig, sizeof orig);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    CHECK_INT(out.has & FT_CT_HAS_COUNTERS, 0); /* One direction is none. */
    size = append_attr(buf, size, 10, reply, sizeof reply);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    CHECK((out.has & FT_CT_HAS_COUNTERS) != 0);
    CHECK_INT(out.orig_packets, 2);
    CHECK_INT(out.orig_bytes, 257);
    CHECK_INT(out.reply_packets, 9);
    CHECK_INT(out.reply_bytes, 0xff000000);
}

TEST(zone_of_the_original_tuple_stands_in)
{
    struct ft_ct_record in;
    struct ft_ct_record out;
    uint8_t buf[FT_CT_BUILD_SIZE_MAX];
    ft_ct_build_sample(1, FT_PROTO_UDP, false, &in);
    size_t size = ft_ct_build(&in, false, buf, sizeof buf);
    uint8_t tuple[256];
    /* The original tuple again, with CTA_TUPLE_ZONE behind it: the last of a kind counts. */
    uint16_t tuple_len;
    memcpy(&tuple_len, buf + 20, sizeof tuple_len);
    memcpy(tuple, buf + 24, tuple_len - 4U);
    memcpy(tuple + tuple_len - 4, (const uint8_t[]){6, 0, 3, 0, 0x12, 0x34, 0, 0}, 8);
    size = append_attr(buf, size, 1, tuple, tuple_len + 4U);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    CHECK((out.has & FT_CT_HAS_ZONE) != 0);
    CHECK_INT(out.zone, 0x1234);
    size = append_attr(buf, size, 18, (const uint8_t[]){0, 5}, 2);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    CHECK_INT(out.zone, 5);
}

TEST(unknown_attributes_are_passed_over)
{
    struct ft_ct_record in;
    struct ft_ct_record out;
    uint8_t buf[FT_CT_BUILD_SIZE_MAX];
    ft_ct_build_sample(1, FT_PROTO_TCP, true, &in);
    size_t size = ft_ct_build(&in, false, buf, sizeof buf);
    size = append_attr(buf, size, 999, "abcde", 5);
    size = append_attr(buf, size, 0, NULL, 0);
    CHECK_INT(parse(buf, size, &out), FT_CT_RECORD);
    check_record(&out, &in);
    size = append_attr(buf, size, 12, "\0\0\1", 3); /* CTA_ID has 4 bytes. */
    CHECK_INT(parse(buf, size, &out), FT_CT_BAD);
}

TEST(mixed_families_and_protocols_are_bad)
{
    struct ft_ct_record in;
    struct ft_ct_record out;
    uint8_t buf[FT_CT_BUILD_SIZE_MAX];
    ft_ct_build_sample(1, FT_PROTO_TCP, false, &in);
    in.reply.ipv6 = true;
    size_t size = ft_ct_build(&in, false, buf, sizeof buf);
    CHECK_INT(parse(buf, size, &out), FT_CT_BAD);
    in.reply.ipv6 = false;
    in.reply.protocol = FT_PROTO_UDP;
    size = ft_ct_build(&in, false, buf, sizeof buf);
    CHECK_INT(parse(buf, size, &out), FT_CT_BAD);
}

TEST(nat_is_not_mirrored)
{
    struct ft_ct_record record;
    ft_ct_build_sample(1, FT_PROTO_TCP, false, &record);
    CHECK(ft_ct_is_mirrored(&record));
    record.reply.dst.bytes[3] ^= 1;
    CHECK(!ft_ct_is_mirrored(&record));
    ft_ct_build_mirror(&record);
    record.reply.dst_port++;
    CHECK(!ft_ct_is_mirrored(&record));
    ft_ct_build_mirror(&record);
    record.reply.src_port++;
    CHECK(!ft_ct_is_mirrored(&record));

    ft_ct_build_sample(1, FT_PROTO_ICMP, false, &record);
    CHECK(ft_ct_is_mirrored(&record));
    CHECK(record.orig.icmp_type != record.reply.icmp_type);
    record.reply.src_port++;
    CHECK(!ft_ct_is_mirrored(&record));
}

TEST(a_run_of_messages)
{
    struct ft_ct_record record;
    uint8_t buf[8 * FT_CT_BUILD_SIZE_MAX];
    size_t size = 0;
    int error = -1;
    ft_ct_build_sample(1, FT_PROTO_TCP, false, &record);
    size += ft_ct_build(&record, true, buf + size, sizeof buf - size);
    size_t second = size;
    size += ft_ct_build(&record, true, buf + size, sizeof buf - size);
    ft_ct_build_add_flags(buf + second, NLM_F_DUMP_INTR_);
    size_t foreign = size;
    size += ft_ct_build(&record, false, buf + size, sizeof buf - size);
    buf[foreign + 5] = 2; /* NFNL_SUBSYS_CTNETLINK_EXP */
    size += ft_ct_build_error(0, buf + size, sizeof buf - size);
    size += ft_ct_build_error(16, buf + size, sizeof buf - size);
    size_t done = size;
    size += ft_ct_build_done(0, buf + size, sizeof buf - size);
    ft_ct_build_add_flags(buf + done, NLM_F_DUMP_INTR_);
    size += ft_ct_build_done(4, buf + size, sizeof buf - size);

    struct ft_ct_reader reader = {.at = buf, .left = size};
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_RECORD);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_INTERRUPTED);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_RECORD);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_SKIPPED);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_SKIPPED);
    CHECK_INT(error, -1);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_ERROR);
    CHECK_INT(error, 16);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_DONE);
    CHECK_INT(error, 0);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_DONE);
    CHECK_INT(error, 4);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_EMPTY);
}

TEST(a_bad_message_does_not_hide_the_next)
{
    struct ft_ct_record record;
    uint8_t buf[2 * FT_CT_BUILD_SIZE_MAX];
    int error = 0;
    ft_ct_build_sample(1, FT_PROTO_TCP, false, &record);
    size_t first = ft_ct_build(&record, false, buf, sizeof buf);
    size_t size = first + ft_ct_build(&record, false, buf + first, sizeof buf - first);
    buf[20] = 3; /* The first attribute's length is less than its header. */
    struct ft_ct_reader reader = {.at = buf, .left = size};
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_BAD);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_RECORD);
    CHECK_INT(ft_ct_next(&reader, &record, &error), FT_CT_EMPTY);
}
