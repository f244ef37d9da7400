/* SPDX-License-Identifier: Apache-2.0 */
#include "text/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The length of the UTF-8 sequence at 'text' and its code point; 0 when it is none. */
static size_t decode(const unsigned char *text, uint32_t *ret_point)
{
    static const struct {
        unsigned char mask;
        unsigned char lead;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 0; n < 4; n++) {
        if ((text[0] & forms[n].mask) != forms[n].lead) {
            continue;
        }
        uint32_t point = (uint32_t)(text[0] & (unsigned char)~forms[n].mask);
        for (size_t i = 1; i <= n; i++) {
            /* The terminating NUL is no continuation byte: this never reads past it. */
            if ((text[i] & 0xc0) != 0x80) {
                return 0;
            }
            point = point << 6 | (text[i] & 0x3fU);
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (point < forms[n].min || point > 0x10ffff || surrogate) {
            return 0;
        }
        *ret_point = point;
        return n + 1;
    }
    return 0;
}

/* C0, DEL, C1; line and paragraph separator; marks and overrides of the reading direction. */
static bool is_harmful(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0x061c || point == 0xfeff;
}

/* 'doubled' is the character that is written twice; 0: none. */
static void escape(struct ft_buf *buf, const char *text, char doubled)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t point = 0;
        size_t n = decode(at, &point);
        if (n == 0 || is_harmful(point)) {
            for (size_t i = 0; i < (n == 0 ? 1 : n); i++) {
                ft_buf_addf(buf, "\\x%02x", at[i]);
            }
        } else {
            ft_buf_add(buf, at, n);
            if (*at == (unsigned char)doubled) {
                ft_buf_add_char(buf, doubled);
            }
        }
        at += n == 0 ? 1 : n;
    }
}

void ft_text_escape(struct ft_buf *buf, const char *text) { escape(buf, text, '\\'); }

void ft_text_escape_csv(struct ft_buf *buf, const char *text) { escape(buf, text, '"'); }
