/* SPDX-License-Identifier: Apache-2.0 */
#include "store/format.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

#define VERSION 1

static const uint8_t segment_magic[8] = {'F', 'T', 'L', 'O', 'G', 'S', 'E', 'G'};
static const uint8_t block_magic[4] = {'F', 'T', 'B', '1'};
static const uint8_t trailer_magic[4] = {'F', 'T', 'E', '1'};

const struct ft_slot_kind ft_store_cursor_kind = {.magic = "FTC1", .slot_bytes = 512};

static void put16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint16_t get16(const uint8_t *from) { return (uint16_t)(from[0] | from[1] << 8); }

static uint32_t get32(const uint8_t *from)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        value |= (uint32_t)from[i] << (8 * i);
    }
    return value;
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}

void ft_store_encode_segment_header(const struct ft_store_segment_header *header, uint8_t *to)
{
    ft_store_encode_segment_header_as(header, VERSION, to);
}

void ft_store_encode_segment_header_as(const struct ft_store_segment_header *header,
                                       uint32_t version, uint8_t *to)
{
    memset(to, 0, FT_STORE_SEGMENT_HEADER_SIZE);
    memcpy(to, segment_magic, sizeof segment_magic);
    put32(to + 8, version);
    put64(to + 16, header->number);
    put64(to + 24, header->salt);
    put64(to + 32, header->first);
    put64(to + 40, header->previous);
    put64(to + 48, (uint64_t)header->first_time_ns);
    put64(to + 56, ft_hash64(to, 56, 0));
}

bool ft_store_decode_segment_header(const uint8_t *from, struct ft_store_segment_header *ret_header,
                                    uint32_t *ret_version)
{
    if (memcmp(from, segment_magic, sizeof segment_magic) != 0 ||
        get64(from + 56) != ft_hash64(from, 56, 0)) {
        return false;
    }
    *ret_version = get32(from + 8);
    *ret_header = (struct ft_store_segment_header){.number = get64(from + 16),
                                                   .salt = get64(from + 24),
                                                   .first = get64(from + 32),
                                                   .previous = get64(from + 40),
                                                   .first_time_ns = (int64_t)get64(from + 48)};
    return ret_header->first > 0 && ret_header->first < FT_STORE_POSITION_MAX &&
           ret_header->previous < ret_header->first;
}

void ft_store_encode_trailer(const struct ft_store_trailer *trailer, uint8_t *to)
{
    memset(to, 0, FT_STORE_TRAILER_SIZE);
    memcpy(to, trailer_magic, sizeof trailer_magic);
    put32(to + 4, VERSION);
    put64(to + 16, trailer->salt);
    put64(to + 24, trailer->number);
    put64(to + 32, trailer->first);
    put64(to + 40, trailer->last);
    put64(to + 48, trailer->n_blocks);
    put64(to + 56, trailer->n_events);
    put64(to + 64, trailer->offset);
    put64(to + 72, (uint64_t)trailer->first_time_ns);
    put64(to + 80, trailer->previous);
    put64(to + 8, ft_hash64(to + 16, FT_STORE_TRAILER_SIZE - 16, 0));
}

bool ft_store_decode_trailer(const uint8_t *from, struct ft_store_trailer *ret_trailer)
{
    if (memcmp(from, trailer_magic, sizeof trailer_magic) != 0 || get32(from + 4) != VERSION ||
        get64(from + 8) != ft_hash64(from + 16, FT_STORE_TRAILER_SIZE - 16, 0)) {
        return false;
    }
    *ret_trailer = (struct ft_store_trailer){.salt = get64(from + 16),
                                             .number = get64(from + 24),
                                             .first = get64(from + 32),
                                             .last = get64(from + 40),
                                             .n_blocks = get64(from + 48),
                                             .n_events = get64(from + 56),
                                             .offset = get64(from + 64),
                                             .first_time_ns = (int64_t)get64(from + 72),
                                             .previous = get64(from + 80)};
    return ret_trailer->first > 0 && ret_trailer->first <= ret_trailer->last &&
           ret_trailer->last < FT_STORE_POSITION_MAX && ret_trailer->n_blocks > 0 &&
           ret_trailer->previous < ret_trailer->first;
}

void ft_store_encode_cursor(const struct ft_store_cursor_record *record, uint8_t *to,
                            size_t *ret_size)
{
    put64(to, record->confirmed);
    memcpy(to + 8, record->note, record->note_size);
    *ret_size = 8 + record->note_size;
}

bool ft_store_decode_cursor(const uint8_t *from, size_t size,
                            struct ft_store_cursor_record *ret_record)
{
    if (size < 8 || size > FT_STORE_CURSOR_SIZE_MAX) {
        return false;
    }
    *ret_record = (struct ft_store_cursor_record){.confirmed = get64(from), .note_size = size - 8};
    memcpy(ret_record->note, from + 8, size - 8);
    return ret_record->confirmed < FT_STORE_POSITION_MAX;
}

void ft_store_encode_block(const struct ft_store_block_header *header, uint8_t *frame)
{
    size_t size = ft_store_frame_size(header->size);
    size_t payload_end = FT_STORE_BLOCK_HEADER_SIZE + header->size;
    memset(frame + payload_end, 0, size - payload_end);
    memcpy(frame, block_magic, sizeof block_magic);
    put16(frame + 16, VERSION);
    put16(frame + 18, (uint16_t)FT_STORE_BLOCK_HEADER_SIZE);
    put32(frame + 20, header->size);
    put64(frame + 24, header->salt);
    put64(frame + 32, header->position);
    put64(frame + 40, header->durable);
    put64(frame + 48, header->info.first_seq);
    put32(frame + 56, header->info.n_events);
    put32(frame + 60, (uint32_t)(header->offset / 8));
    put64(frame + 64, (uint64_t)header->info.time_ns);
    memcpy(frame + 72, header->info.agent_id, 16);
    memcpy(frame + 88, header->info.instance_id, 16);
    put64(frame + 8, ft_hash64(frame + 16, size - 16, 0));
    put32(frame + 4, (uint32_t)ft_hash64(frame + 8, FT_STORE_BLOCK_HEADER_SIZE - 8, 0));
}

bool ft_store_decode_block_header(const uint8_t *from, const uint64_t *salt,
                                  struct ft_store_block_header *ret_header)
{
    if (memcmp(from, block_magic, sizeof block_magic) != 0 ||
        (salt != NULL && get64(from + 24) != *salt) || get16(from + 16) != VERSION ||
        get16(from + 18) != FT_STORE_BLOCK_HEADER_SIZE ||
        get32(from + 20) > FT_LOG_BLOCK_SIZE_MAX ||
        get32(from + 4) != (uint32_t)ft_hash64(from + 8, FT_STORE_BLOCK_HEADER_SIZE - 8, 0)) {
        return false;
    }
    *ret_header = (struct ft_store_block_header){.info = {.first_seq = get64(from + 48),
                                                          .n_events = get32(from + 56),
                                                          .time_ns = (int64_t)get64(from + 64)},
                                                 .salt = get64(from + 24),
                                                 .position = get64(from + 32),
                                                 .durable = get64(from + 40),
                                                 .size = get32(from + 20),
                                                 .offset = (uint64_t)get32(from + 60) * 8,
                                                 .checksum = get64(from + 8)};
    memcpy(ret_header->info.agent_id, from + 72, 16);
    memcpy(ret_header->info.instance_id, from + 88, 16);
    return ret_header->position > 0 && ret_header->position < FT_STORE_POSITION_MAX &&
           ret_header->durable < ret_header->position;
}

bool ft_store_check_block(const struct ft_store_block_header *header, const uint8_t *frame)
{
    return header->checksum == ft_hash64(frame + 16, ft_store_frame_size(header->size) - 16, 0);
}

void ft_store_segment_name(uint64_t number, char *buf)
{
    (void)snprintf(buf, FT_DISK_NAME_SIZE, "seg-%016llx", (unsigned long long)number);
}

void ft_store_new_name(uint64_t number, char *buf)
{
    (void)snprintf(buf, FT_DISK_NAME_SIZE, "new-%016llx", (unsigned long long)number);
}

void ft_store_cursor_name(const char *reader, char *buf)
{
    (void)snprintf(buf, FT_DISK_NAME_SIZE, "cursor-%.*s", FT_LOG_READER_NAME_SIZE - 1, reader);
}

bool ft_store_parse_name(const char *name, const char *prefix, uint64_t *ret_number)
{
    size_t prefix_len = strlen(prefix);
    if (strncmp(name, prefix, prefix_len) != 0) {
        return false;
    }
    const char *digits = name + prefix_len;
    if (strspn(digits, "0123456789abcdef") != 16 || digits[16] != '\0') {
        return false;
    }
    uint64_t number = 0;
    for (const char *c = digits; *c != '\0'; c++) {
        number = number << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    }
    *ret_number = number;
    /* Room to count up from it. */
    return number > 0 && number < FT_STORE_POSITION_MAX;
}
