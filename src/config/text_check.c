/* SPDX-License-Identifier: Apache-2.0 */
#include "config/text_check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 64

static size_t decode(const unsigned char *at, uint32_t *ret_code);

const char *ft_text_printable(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        uint32_t code;
        size_t len = decode(at, &code);
        if (len == 0) {
            return "not valid UTF-8";
        }
        /* C0 and C1 controls, and the two that are no characters at all. */
        if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xfffe || code == 0xffff ||
            code == 0xfeff) {
            return "control characters are not allowed in text";
        }
        at += len;
    }
    return NULL;
}

void ft_text_quote(const char *text, char quoted[FT_TEXT_QUOTE_SIZE])
{
    size_t at = 0;
    size_t i = 0;
    quoted[at++] = '"';
    while (text[i] != '\0' && i < SHOWN_MAX) {
        uint32_t code;
        size_t len = decode((const unsigned char *)text + i, &code);
        if (len > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0) && code != 0xfeff) {
            memcpy(quoted + at, text + i, len);
            at += len;
            i += len;
        } else {
            at += (size_t)snprintf(quoted + at, FT_TEXT_QUOTE_SIZE - at, "\\x%02x",
                                   (unsigned)(unsigned char)text[i]);
            i++;
        }
    }
    (void)snprintf(quoted + at, FT_TEXT_QUOTE_SIZE - at, "%s", text[i] != '\0' ? "…\"" : "\"");
}

/* Length of the UTF-8 sequence at 'at' (RFC 3629, no overlong forms, no surrogates); 0: none. */
static size_t decode(const unsigned char *at, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len;
    uint32_t code;
    if (at[0] < 0x80) {
        *ret_code = at[0];
        return 1;
    }
    if (at[0] >= 0xc2 && at[0] < 0xe0) {
        len = 2;
        code = at[0] & 0x1fu;
    } else if (at[0] >= 0xe0 && at[0] < 0xf0) {
        len = 3;
        code = at[0] & 0x0fu;
    } else if (at[0] >= 0xf0 && at[0] < 0xf5) {
        len = 4;
        code = at[0] & 0x07u;
    } else {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
        code = (code << 6) | (at[i] & 0x3fu);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return 0;
    }
    *ret_code = code;
    return len;
}
