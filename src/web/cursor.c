/* SPDX-License-Identifier: Apache-2.0 */
#include "web/cursor.h"

#include <string.h>

#include "base/hash.h"

/* version 1, order 1, time 8, begin 8, end 8, seq 8, agent 16, instance 16, checksum 8 */
#define PAYLOAD_SIZE  66
#define RAW_SIZE      (PAYLOAD_SIZE + 8)
#define TEXT_LEN      ((RAW_SIZE * 8 + 5) / 6)
#define VERSION       1
#define CHECKSUM_SEED UINT64_C(0x6674637572736f72) /* "ftcursor" */

_Static_assert(TEXT_LEN < FT_WEB_CURSOR_SIZE, "room for the text");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (unsigned char)(value >> (56 - 8 * i));
    }
    return at + 8;
}

static const unsigned char *get_u64(const unsigned char *at, uint64_t *ret_value)
{
    *ret_value = 0;
    for (int i = 0; i < 8; i++) {
        *ret_value = *ret_value << 8 | at[i];
    }
    return at + 8;
}

void ft_web_cursor_format(const struct ft_web_cursor *cursor, char text[FT_WEB_CURSOR_SIZE])
{
    unsigned char raw[RAW_SIZE + 2] = {VERSION, (unsigned char)cursor->order};
    unsigned char *at = raw + 2;
    at = put_u64(at, (uint64_t)cursor->position.time_ns);
    at = put_u64(at, (uint64_t)cursor->begin_ns);
    at = put_u64(at, (uint64_t)cursor->end_ns);
    at = put_u64(at, cursor->position.seq);
    memcpy(at, cursor->position.agent_id.bytes, 16);
    memcpy(at + 16, cursor->position.instance_id.bytes, 16);
    (void)put_u64(at + 32, ft_hash64(raw, PAYLOAD_SIZE, CHECKSUM_SEED));
    size_t len = 0;
    for (size_t bit = 0; bit < RAW_SIZE * 8; bit += 6) {
        unsigned pair = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];
        text[len++] = digits[pair >> (10 - bit % 8) & 0x3f];
    }
    text[len] = '\0';
}

ft_err ft_web_cursor_parse(const char *text, struct ft_web_cursor *ret_cursor)
{
    if (strlen(text) != TEXT_LEN) {
        return FT_E_SYNTAX;
    }
    unsigned char raw[RAW_SIZE + 2] = {0};
    for (size_t i = 0; i < TEXT_LEN; i++) {
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL) {
            return FT_E_SYNTAX;
        }
        size_t bit = i * 6;
        unsigned pair = (unsigned)(digit - digits) << (10 - bit % 8);
        raw[bit / 8] = (unsigned char)(raw[bit / 8] | pair >> 8);
        raw[bit / 8 + 1] = (unsigned char)(raw[bit / 8 + 1] | (pair & 0xff));
    }
    uint64_t checksum;
    (void)get_u64(raw + PAYLOAD_SIZE, &checksum);
    bool spare_bits = raw[RAW_SIZE] != 0 || raw[RAW_SIZE + 1] != 0;
    if (spare_bits || checksum != ft_hash64(raw, PAYLOAD_SIZE, CHECKSUM_SEED) ||
        raw[0] != VERSION || raw[1] > FT_ORDER_OLDEST_FIRST) {
        return FT_E_SYNTAX;
    }
    uint64_t numbers[4];
    const unsigned char *at = raw + 2;
    for (size_t i = 0; i < 4; i++) {
        at = get_u64(at, &numbers[i]);
    }
    ret_cursor->order = (enum ft_query_order)raw[1];
    ret_cursor->position.time_ns = (int64_t)numbers[0];
    ret_cursor->begin_ns = (int64_t)numbers[1];
    ret_cursor->end_ns = (int64_t)numbers[2];
    ret_cursor->position.seq = numbers[3];
    memcpy(ret_cursor->position.agent_id.bytes, at, 16);
    memcpy(ret_cursor->position.instance_id.bytes, at + 16, 16);
    return FT_OK;
}
