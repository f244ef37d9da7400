/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "lib/random_event.h"
#include "lib/test.h"
#include "wire/batch_builder.h"
#include "wire/batch_reader.h"

static const struct ft_uuid instance = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* Seals 'n' random events from 'seed' into 'buf'. */
static void build(uint64_t seed, uint32_t n, struct ft_buf *buf)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, seed);
    FT_CLEANUP(ft_batch_builder_destroy) struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance, &builder));
    for (uint32_t i = 0; i < n; i++) {
        struct ft_event event;
        ft_random_event(&random.base, 1000 + i, &event);
        CHECK_OK(ft_batch_builder_add(builder, &event));
    }
    CHECK_INT(ft_batch_builder_count(builder), n);
    size_t estimate = ft_batch_builder_size_estimate(builder);
    CHECK_OK(ft_batch_builder_seal(builder, buf));
    CHECK_INT(ft_batch_builder_count(builder), 0);
    CHECK(buf->size <= estimate + n * 90); /* Random counters are far larger than real ones. */
}

TEST(any_event_survives_the_round_trip)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint32_t n = seed == 60 ? FT_BATCH_EVENTS_MAX : (uint32_t)(seed * 7 % 300) + 1;
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        build(seed, n, &buf);
        FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
        struct ft_diag diag = {0};
        ft_err err = ft_batch_reader_open(buf.data, buf.size, &reader, &diag);
        CHECK_STR(diag.text, "");
        CHECK_OK(err);
        ft_buf_deinit(&buf); /* The reader does not need the bytes any more. */
        CHECK_INT(ft_batch_reader_count(reader), n);
        CHECK_INT(ft_batch_reader_first_seq(reader), 1000);
        CHECK(ft_uuid_equal(ft_batch_reader_instance(reader), &instance));
        struct ft_random_seeded random;
        ft_random_seeded_init(&random, seed);
        for (uint32_t i = 0; i < n; i++) {
            struct ft_event expected;
            struct ft_event event;
            ft_random_event(&random.base, 1000 + i, &expected);
            CHECK(ft_batch_reader_next(reader, &event));
            ft_check_event_equal(&expected, &event);
        }
        struct ft_event none;
        CHECK(!ft_batch_reader_next(reader, &none));
    }
}

TEST(a_life_is_in_each_batch_and_found_without_unpacking)
{
    FT_CLEANUP(ft_batch_builder_destroy) struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance, &builder));
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 1);
    static const uint64_t lives[] = {0, 1, UINT64_C(0xfedcba9876543210), UINT64_MAX};
    for (size_t i = 0; i < 2 * sizeof lives / sizeof lives[0]; i++) {
        if (i % 2 == 0) {
            ft_batch_builder_set_life(builder, lives[i / 2]);
        }
        for (uint64_t k = 0; k < 50; k++) {
            struct ft_event event;
            ft_random_event(&random.base, 100 * i + k + 1, &event);
            CHECK_OK(ft_batch_builder_add(builder, &event));
        }
        struct ft_buf buf;
        ft_buf_init(&buf, 0);
        CHECK_OK(ft_batch_builder_seal(builder, &buf));
        CHECK_INT(ft_batch_peek_life(buf.data, buf.size), lives[i / 2]);
        FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
        CHECK_OK(ft_batch_reader_open(buf.data, buf.size, &reader, NULL));
        CHECK_INT(ft_batch_reader_life(reader), lives[i / 2]);
        for (size_t size = 0; size < buf.size; size++) { /* Cut anywhere: within bounds. */
            uint64_t life = ft_batch_peek_life(buf.data, size);
            CHECK(life == 0 || life == lives[i / 2]);
        }
        ft_buf_deinit(&buf);
    }
    CHECK_INT(ft_batch_peek_life("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11), 0);
    CHECK_INT(ft_batch_peek_life("\x33", 1), 0);
    CHECK_INT(ft_batch_peek_life("", 0), 0);
}

TEST(builder_is_full_at_its_bound_and_usable_after_seal)
{
    FT_CLEANUP(ft_batch_builder_destroy) struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance, &builder));
    struct ft_event event = {.time_ns = 1000, .type = FT_EVENT_DROP};
    for (uint64_t seq = 1; seq <= FT_BATCH_EVENTS_MAX; seq++) {
        event.seq = seq;
        CHECK_OK(ft_batch_builder_add(builder, &event));
    }
    event.seq++;
    CHECK_ERR(ft_batch_builder_add(builder, &event), FT_E_FULL);
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &buf));
    CHECK_OK(ft_batch_builder_add(builder, &event));
    CHECK_INT(ft_batch_builder_first_seq(builder), FT_BATCH_EVENTS_MAX + 1);
    ft_buf_deinit(&buf);
}

TEST(many_long_strings_fill_the_builder_instead_of_growing_it)
{
    FT_CLEANUP(ft_batch_builder_destroy) struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance, &builder));
    uint64_t seq = 1;
    for (;;) {
        char name[FT_EVENT_STRING_LEN_MAX + 1];
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        (void)snprintf(name, 21, "%020llu", (unsigned long long)seq);
        name[20] = 'y';
        struct ft_event event = {.seq = seq,
                                 .time_ns = 1,
                                 .type = FT_EVENT_DROP,
                                 .fields = FT_FIELD_RULE,
                                 .rule_id = name};
        if (ft_batch_builder_add(builder, &event) == FT_E_FULL) {
            break;
        }
        seq++;
        CHECK(seq <= FT_BATCH_EVENTS_MAX + 1);
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &buf));
    CHECK(buf.size < 1 << 20);
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    CHECK_OK(ft_batch_reader_open(buf.data, buf.size, &reader, NULL));
    ft_buf_deinit(&buf);
}

/* Whatever the bytes are: refused, or every event readable (ASan watches). */
TEST(truncated_and_flipped_batches_are_refused_or_readable)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    build(5, 40, &buf);
    for (size_t cut = 0; cut < buf.size; cut++) {
        struct ft_batch_reader *reader = NULL;
        if (ft_batch_reader_open(buf.data, cut, &reader, NULL) == FT_OK) {
            ft_batch_reader_close(reader);
        }
    }
    unsigned refused = 0;
    for (size_t at = 0; at < buf.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            buf.data[at] = (char)(buf.data[at] ^ (1 << bit));
            struct ft_batch_reader *reader = NULL;
            struct ft_diag diag = {0};
            if (ft_batch_reader_open(buf.data, buf.size, &reader, &diag) == FT_OK) {
                struct ft_event event;
                while (ft_batch_reader_next(reader, &event)) {
                    CHECK(event.type < FT_EVENT_TYPE_N);
                }
                ft_batch_reader_close(reader);
            } else {
                CHECK(diag.text[0] != '\0');
                refused++;
            }
            buf.data[at] = (char)(buf.data[at] ^ (1 << bit));
        }
    }
    CHECK(refused > 100);
    ft_buf_deinit(&buf);
}

TEST(empty_submessages_cannot_amplify_memory)
{
    /* 2 MiB of empty Loss messages (field 100): 2 million allocations without a bound. */
    static uint8_t data[(2 << 20) / 3 * 3];
    for (size_t i = 0; i < sizeof data; i += 3) {
        data[i] = 0xa2;
        data[i + 1] = 0x06;
        data[i + 2] = 0x00;
    }
    struct ft_batch_reader *reader = NULL;
    struct ft_diag diag = {0};
    CHECK_ERR(ft_batch_reader_open(data, sizeof data, &reader, &diag), FT_E_PROTOCOL);
}

static void refuse(const char *expected, void (*spoil)(struct ft_event *event))
{
    FT_CLEANUP(ft_batch_builder_destroy) struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance, &builder));
    struct ft_event event = {.seq = 1, .time_ns = 5, .type = FT_EVENT_START};
    spoil(&event);
    CHECK_OK(ft_batch_builder_add(builder, &event));
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &buf));
    struct ft_batch_reader *reader = NULL;
    struct ft_diag diag = {0};
    CHECK_ERR(ft_batch_reader_open(buf.data, buf.size, &reader, &diag), FT_E_PROTOCOL);
    CHECK_STR(diag.text, expected);
    ft_buf_deinit(&buf);
}

static void spoil_time(struct ft_event *event) { event->time_ns = INT64_MAX; }
static void spoil_type(struct ft_event *event) { event->type = 77; }
static void spoil_direction(struct ft_event *event) { event->direction = 9; }
static void spoil_loss(struct ft_event *event) { event->type = FT_EVENT_LOSS; }
static void spoil_tuple(struct ft_event *event) { event->fields = FT_FIELD_PORTS; }
static void spoil_text(struct ft_event *event)
{
    event->fields = FT_FIELD_RULE;
    event->rule_id = "\xff\xfe";
}

TEST(absurd_values_are_refused_in_words)
{
    refuse("row 0: time is out of range", spoil_time);
    refuse("row 0: unknown type 77", spoil_type);
    refuse("column direction: value 9 is above 4", spoil_direction);
    refuse("row 0: LOSS without loss, or loss without LOSS", spoil_loss);
    refuse("row 0: ports or NAT without a tuple", spoil_tuple);
    refuse("string 1 is not UTF-8", spoil_text);
}
