/* SPDX-License-Identifier: Apache-2.0 */
#include "store/format.h"

#include <stdlib.h>

#include "lib/test.h"

TEST(block_bytes_are_as_documented)
{
    struct ft_store_block_header header = {
        .info = {.agent_id = "0123456789abcde",
                 .instance_id = "ABCDEFGHIJKLMNO",
                 .first_seq = 0x0102030405060708,
                 .n_events = 0x11121314,
                 .time_ns = 0x2122232425262728},
        .salt = 0x3132333435363738,
        .position = 0x0142434445464748,
        .durable = 0x0052535455565758,
        .size = 5,
    };
    uint8_t frame[112];
    CHECK_INT(ft_store_frame_size(5), sizeof frame);
    memcpy(frame + FT_STORE_BLOCK_HEADER_SIZE, "hello", 5);
    ft_store_encode_block(&header, frame);
    CHECK_GOLDEN("store/block.bin", frame, sizeof frame);
    struct ft_store_block_header again;
    CHECK(ft_store_decode_block_header(frame, &header.salt, &again));
    CHECK_INT(again.position, header.position);
    CHECK_INT(again.durable, header.durable);
    CHECK_INT(again.size, 5);
    CHECK_INT(again.info.first_seq, header.info.first_seq);
    CHECK_INT(again.info.n_events, header.info.n_events);
    CHECK_INT(again.info.time_ns, header.info.time_ns);
    CHECK_BYTES(again.info.agent_id, 16, header.info.agent_id, 16);
    CHECK_BYTES(again.info.instance_id, 16, header.info.instance_id, 16);
    CHECK(ft_store_check_block(&again, frame));
}

TEST(every_bit_of_a_block_is_guarded)
{
    struct ft_store_block_header header = {.salt = 7, .position = 3, .durable = 2, .size = 21};
    uint8_t frame[128];
    CHECK_INT(ft_store_frame_size(21), sizeof frame);
    memset(frame, 'x', sizeof frame);
    ft_store_encode_block(&header, frame);
    for (size_t bit = 0; bit < sizeof frame * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        struct ft_store_block_header again;
        CHECK(!ft_store_decode_block_header(frame, &header.salt, &again) ||
              !ft_store_check_block(&again, frame));
        if (bit < FT_STORE_BLOCK_HEADER_SIZE * 8) {
            CHECK(!ft_store_decode_block_header(frame, NULL, &again));
        }
        frame[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    struct ft_store_block_header again;
    CHECK(ft_store_decode_block_header(frame, &header.salt, &again));
    uint64_t other = 8;
    CHECK(!ft_store_decode_block_header(frame, &other, &again));
}

TEST(segment_header_trailer_and_cursor_are_as_documented)
{
    struct ft_store_segment_header header = {
        .number = 5, .salt = 0xfedcba9876543210, .first = 100, .previous = 98, .first_time_ns = -1};
    enum { CURSOR_SIZE = FT_SLOT_HEADER_SIZE + 8 + 3 };
    uint8_t bytes[FT_STORE_SEGMENT_HEADER_SIZE + FT_STORE_TRAILER_SIZE + CURSOR_SIZE];
    ft_store_encode_segment_header(&header, bytes);
    struct ft_store_trailer trailer = {.salt = 0xfedcba9876543210,
                                       .number = 5,
                                       .first = 100,
                                       .last = 109,
                                       .n_blocks = 10,
                                       .n_events = 500,
                                       .offset = 7000,
                                       .first_time_ns = -1,
                                       .previous = 98};
    uint8_t *second = bytes + FT_STORE_SEGMENT_HEADER_SIZE;
    ft_store_encode_trailer(&trailer, second);
    struct ft_store_cursor_record place = {
        .confirmed = 34, .note_size = 3, .note = {'a', 'b', 'c'}};
    uint8_t record[FT_STORE_CURSOR_SIZE_MAX];
    size_t record_size;
    ft_store_encode_cursor(&place, record, &record_size);
    CHECK_INT(record_size, 11);
    uint8_t *third = second + FT_STORE_TRAILER_SIZE;
    ft_slot_encode(&ft_store_cursor_kind, 12, record, record_size, third);
    CHECK_GOLDEN("store/segment_parts.bin", bytes, sizeof bytes);

    struct ft_store_segment_header header_again;
    struct ft_store_trailer trailer_again;
    struct ft_store_cursor_record place_again;
    uint64_t generation;
    const uint8_t *record_again;
    uint32_t version;
    CHECK(ft_store_decode_segment_header(bytes, &header_again, &version));
    CHECK_INT(version, 1);
    CHECK_INT(header_again.first, 100);
    CHECK_INT(header_again.previous, 98);
    CHECK_INT(header_again.first_time_ns, -1);
    CHECK(ft_store_decode_trailer(second, &trailer_again));
    CHECK_INT(trailer_again.n_events, 500);
    CHECK_INT(trailer_again.offset, 7000);
    CHECK(ft_slot_decode(&ft_store_cursor_kind, third, CURSOR_SIZE, &generation, &record_again,
                         &record_size));
    CHECK_INT(generation, 12);
    CHECK(ft_store_decode_cursor(record_again, record_size, &place_again));
    CHECK_INT(place_again.confirmed, 34);
    CHECK_BYTES(place_again.note, place_again.note_size, "abc", 3);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        bool whole = ft_store_decode_segment_header(bytes, &header_again, &version) &&
                     ft_store_decode_trailer(second, &trailer_again) &&
                     ft_slot_decode(&ft_store_cursor_kind, third, CURSOR_SIZE, &generation,
                                    &record_again, &record_size);
        CHECK(!whole);
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

TEST(names_are_read_back)
{
    char name[FT_DISK_NAME_SIZE];
    uint64_t number;
    ft_store_segment_name(0x1234abcd, name);
    CHECK_STR(name, "seg-000000001234abcd");
    CHECK(ft_store_parse_name(name, "seg-", &number));
    CHECK_INT(number, 0x1234abcd);
    CHECK(!ft_store_parse_name(name, "new-", &number));
    CHECK(!ft_store_parse_name("seg-", "seg-", &number));
    CHECK(!ft_store_parse_name("seg-0000000000000000", "seg-", &number));
    CHECK(!ft_store_parse_name("seg-ffffffffffffffff", "seg-", &number));
    CHECK(!ft_store_parse_name("seg-000000001234ABCD", "seg-", &number));
    CHECK(!ft_store_parse_name("seg-000000001234abcd0", "seg-", &number));
    ft_store_cursor_name("duckdb", name);
    CHECK_STR(name, "cursor-duckdb");
}
