/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's files, byte for byte.  All numbers are little-endian; a checksum is XXH3-64, seed 0.
 *
 * "seg-NNNNNNNNNNNNNNNN" (16 hexadecimal digits): a segment.  Its header, its blocks one behind
 * the other at multiples of 8, and, once it is full and synced, a trailer as the last bytes.
 *
 *   Segment header, 64 bytes                    Trailer, 96 bytes
 *    0  8  "FTLOGSEG"                            0  4  "FTE1"
 *    8  4  version, 1                            4  4  version, 1
 *   12  4  0                                     8  8  checksum of bytes 16 to 95
 *   16  8  number, as in the name               16  8  salt
 *   24  8  salt                                 24  8  number
 *   32  8  position of the first block          32  8  position of the first block
 *   40  8  position of the newest block         40  8  position of the last block
 *          before it, 0: none                   48  8  blocks
 *   48  8  time_ns of the first block           56  8  events
 *   56  8  checksum of bytes 0 to 55            64  8  offset of the trailer
 *                                               72  8  time_ns of the first block
 *   Block, 104 bytes + payload + 0 to 7 zeros   80  8  as bytes 40 to 47 of the header
 *    0  4  "FTB1"                               88  8  0
 *    4  4  low half of the checksum of
 *          bytes 8 to 103                       Cursor, the record of a slot file
 *    8  8  checksum of bytes 16 to the end      (store/slot_file.h, "FTC1", slots of 512)
 *          of the zeros                          0  8  confirmed position
 *   16  2  version, 1                            8     the reader's note, 320 bytes at most
 *   18  2  104
 *   20  4  size of the payload
 *   24  8  salt
 *   32  8  position
 *   40  8  newest position known to be durable when this block was written
 *   48  8  first_seq
 *   56  4  n_events
 *   60  4  its offset in the file, divided by 8
 *   64  8  time_ns
 *   72 16  agent_id
 *   88 16  instance_id
 *
 * The header of a block has a checksum of its own so that a segment can be walked without reading
 * the payloads.  The salt is random and the same in all blocks of a segment: when recovery looks
 * for the next block behind a damaged one, a payload that was made to look like a block, by
 * whoever sent it, does not pass for one.  Nor does a block that a disk has written to the wrong
 * place, because it has another segment's salt or another offset.
 *
 * "cursor-NAME": a slot file with a cursor.  "reserve-NNNNNNNNNNNNNNNN": empty, with the disk space
 * of a segment, for when the disk is full.
 *
 * "new-NNNNNNNNNNNNNNNN": a segment that is being written again; it counts once it is renamed.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_STORE_FORMAT_H
#define FT_STORE_FORMAT_H 1

#include <stdbool.h>

#include "store/log.h"
#include "store/slot_file.h"

#define FT_STORE_SEGMENT_HEADER_SIZE ((size_t)64)
#define FT_STORE_BLOCK_HEADER_SIZE   ((size_t)104)
#define FT_STORE_TRAILER_SIZE        ((size_t)96)
#define FT_STORE_CURSOR_SIZE_MAX     (8 + FT_LOG_NOTE_SIZE_MAX)

/* Positions beyond this are not ours: they would overflow in arithmetic. */
#define FT_STORE_POSITION_MAX (UINT64_C(1) << 62)

struct ft_store_segment_header {
    uint64_t number;
    uint64_t salt;
    uint64_t first;
    uint64_t previous;
    int64_t first_time_ns;
};

struct ft_store_block_header {
    struct ft_block_info info;
    uint64_t salt;
    uint64_t position;
    uint64_t durable;
    uint32_t size;
    uint64_t offset;   /* In its file, a multiple of 8. */
    uint64_t checksum; /* Set by decoding. */
};

struct ft_store_trailer {
    uint64_t salt;
    uint64_t number;
    uint64_t first;
    uint64_t last;
    uint64_t n_blocks;
    uint64_t n_events;
    uint64_t offset;
    int64_t first_time_ns;
    uint64_t previous;
};

struct ft_store_cursor_record {
    uint64_t confirmed;
    size_t note_size;
    uint8_t note[FT_LOG_NOTE_SIZE_MAX];
};

extern const struct ft_slot_kind ft_store_cursor_kind;

/* Header, payload and zeros of a block with a payload of 'size' bytes. */
static inline size_t ft_store_frame_size(size_t size)
{
    return (FT_STORE_BLOCK_HEADER_SIZE + size + 7) & ~(size_t)7;
}

/* Each encodes or decodes exactly the size named above; decoding is false for what is not ours. */
void ft_store_encode_segment_header(const struct ft_store_segment_header *header, uint8_t *to);
/* As another version would; for tests. */
void ft_store_encode_segment_header_as(const struct ft_store_segment_header *header,
                                       uint32_t version, uint8_t *to);
bool ft_store_decode_segment_header(const uint8_t *from, struct ft_store_segment_header *ret_header,
                                    uint32_t *ret_version);
void ft_store_encode_trailer(const struct ft_store_trailer *trailer, uint8_t *to);
bool ft_store_decode_trailer(const uint8_t *from, struct ft_store_trailer *ret_trailer);
/* A cursor is 8 bytes and its note: '*ret_size' at most FT_STORE_CURSOR_SIZE_MAX. */
void ft_store_encode_cursor(const struct ft_store_cursor_record *record, uint8_t *to,
                            size_t *ret_size);
bool ft_store_decode_cursor(const uint8_t *from, size_t size,
                            struct ft_store_cursor_record *ret_record);

/*
 * Completes a frame of ft_store_frame_size(header->size) bytes whose payload is in place: header,
 * zeros, checksums.
 */
void ft_store_encode_block(const struct ft_store_block_header *header, uint8_t *frame);
/* Looks at the header alone.  'salt' NULL: any. */
bool ft_store_decode_block_header(const uint8_t *from, const uint64_t *salt,
                                  struct ft_store_block_header *ret_header);
/* Whether a frame whose header was decoded holds the payload that it was made with. */
bool ft_store_check_block(const struct ft_store_block_header *header, const uint8_t *frame);

/* Names.  'buf' has FT_DISK_NAME_SIZE bytes. */
void ft_store_segment_name(uint64_t number, char *buf);
void ft_store_new_name(uint64_t number, char *buf);
void ft_store_cursor_name(const char *reader, char *buf);
/* The number in a name that begins with 'prefix' ("seg-") and has exactly our form. */
bool ft_store_parse_name(const char *name, const char *prefix, uint64_t *ret_number);

#endif
