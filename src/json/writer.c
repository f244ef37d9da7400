/* SPDX-License-Identifier: Apache-2.0 */
#include "json/writer.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static void before_value(struct ft_json_writer *writer);
static void after_value(struct ft_json_writer *writer);
static void begin(struct ft_json_writer *writer, bool object);
static void end(struct ft_json_writer *writer, bool object);
static size_t utf8_len(const unsigned char *at, size_t left);

void ft_json_writer_init(struct ft_json_writer *writer, struct ft_buf *buf)
{
    *writer = (struct ft_json_writer){.buf = buf};
}

void ft_json_newline(struct ft_json_writer *writer)
{
    assert(writer->done && "newline inside a value");
    ft_buf_add_char(writer->buf, '\n');
    writer->done = false;
}

bool ft_json_is_done(const struct ft_json_writer *writer) { return writer->done; }

void ft_json_object_begin(struct ft_json_writer *writer) { begin(writer, true); }
void ft_json_object_end(struct ft_json_writer *writer) { end(writer, true); }
void ft_json_array_begin(struct ft_json_writer *writer) { begin(writer, false); }
void ft_json_array_end(struct ft_json_writer *writer) { end(writer, false); }

void ft_json_key(struct ft_json_writer *writer, const char *key)
{
    assert(writer->depth > 0 && writer->is_object[writer->depth - 1] && "key outside an object");
    assert(!writer->after_key && "key after a key");
    if (writer->has_items[writer->depth - 1]) {
        ft_buf_add_char(writer->buf, ',');
    }
    writer->has_items[writer->depth - 1] = true;
    ft_buf_add_char(writer->buf, '"');
    ft_json_escape(writer->buf, key, strlen(key));
    ft_buf_add(writer->buf, "\":", 2);
    writer->after_key = true;
}

void ft_json_str(struct ft_json_writer *writer, const char *text)
{
    if (text == NULL) {
        ft_json_null(writer);
    } else {
        ft_json_strn(writer, text, strlen(text));
    }
}

void ft_json_strn(struct ft_json_writer *writer, const char *text, size_t len)
{
    before_value(writer);
    ft_buf_add_char(writer->buf, '"');
    ft_json_escape(writer->buf, text, len);
    ft_buf_add_char(writer->buf, '"');
    after_value(writer);
}

void ft_json_strf(struct ft_json_writer *writer, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        if (writer->buf->err == FT_OK) {
            writer->buf->err = ft_err_from_errno(ENOMEM);
        }
        ft_json_null(writer);
        return;
    }
    ft_json_strn(writer, text, (size_t)len);
    free(text);
}

void ft_json_u64(struct ft_json_writer *writer, uint64_t value)
{
    before_value(writer);
    ft_buf_add_u64(writer->buf, value);
    after_value(writer);
}

void ft_json_i64(struct ft_json_writer *writer, int64_t value)
{
    before_value(writer);
    if (value < 0) {
        ft_buf_add_char(writer->buf, '-');
    }
    ft_buf_add_u64(writer->buf, value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value);
    after_value(writer);
}

void ft_json_double(struct ft_json_writer *writer, double value)
{
    if (isnan(value) || isinf(value)) {
        ft_json_null(writer);
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    before_value(writer);
    ft_buf_add_str(writer->buf, text);
    after_value(writer);
}

void ft_json_bool(struct ft_json_writer *writer, bool value)
{
    before_value(writer);
    ft_buf_add_str(writer->buf, value ? "true" : "false");
    after_value(writer);
}

void ft_json_null(struct ft_json_writer *writer)
{
    before_value(writer);
    ft_buf_add_str(writer->buf, "null");
    after_value(writer);
}

void ft_json_raw(struct ft_json_writer *writer, const void *data, size_t size)
{
    before_value(writer);
    ft_buf_add(writer->buf, data, size);
    after_value(writer);
}

void ft_json_key_str(struct ft_json_writer *writer, const char *key, const char *text)
{
    ft_json_key(writer, key);
    ft_json_str(writer, text);
}

void ft_json_key_u64(struct ft_json_writer *writer, const char *key, uint64_t value)
{
    ft_json_key(writer, key);
    ft_json_u64(writer, value);
}

void ft_json_key_i64(struct ft_json_writer *writer, const char *key, int64_t value)
{
    ft_json_key(writer, key);
    ft_json_i64(writer, value);
}

void ft_json_key_double(struct ft_json_writer *writer, const char *key, double value)
{
    ft_json_key(writer, key);
    ft_json_double(writer, value);
}

void ft_json_key_bool(struct ft_json_writer *writer, const char *key, bool value)
{
    ft_json_key(writer, key);
    ft_json_bool(writer, value);
}

void ft_json_key_time(struct ft_json_writer *writer, const char *key, int64_t real_ns)
{
    if (real_ns != 0) {
        char text[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(real_ns, 3, text);
        ft_json_key_str(writer, key, text);
    }
}

void ft_json_key_object(struct ft_json_writer *writer, const char *key)
{
    ft_json_key(writer, key);
    ft_json_object_begin(writer);
}

void ft_json_key_array(struct ft_json_writer *writer, const char *key)
{
    ft_json_key(writer, key);
    ft_json_array_begin(writer);
}

/*
 * RFC 8259 section 7.  Runs that need no escape are copied whole.  U+2028 and U+2029 stay: JSON
 * allows them, and this text is never put into a script.
 */
void ft_json_escape(struct ft_buf *buf, const char *text, size_t len)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    const unsigned char *at = (const unsigned char *)text;
    size_t start = 0;
    size_t i = 0;
    while (i < len) {
        unsigned char c = at[i];
        size_t n = c < 0x80 ? 1 : utf8_len(at + i, len - i);
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += n;
            continue;
        }
        ft_buf_add(buf, at + start, i - start);
        if (n == 0) {
            ft_buf_add_str(buf, "\xef\xbf\xbd"); /* U+FFFD */
        } else if (c < sizeof letters && letters[c] != '\0') {
            ft_buf_add_char(buf, '\\');
            ft_buf_add_char(buf, letters[c]);
        } else {
            ft_buf_addf(buf, "\\u%04x", c);
        }
        i++;
        start = i;
    }
    ft_buf_add(buf, at + start, len - start);
}

static void before_value(struct ft_json_writer *writer)
{
    assert(!writer->done && "a second value at the top");
    if (writer->depth == 0) {
        return;
    }
    unsigned top = writer->depth - 1;
    if (writer->is_object[top]) {
        assert(writer->after_key && "a value in an object needs its key");
        writer->after_key = false;
        return;
    }
    if (writer->has_items[top]) {
        ft_buf_add_char(writer->buf, ',');
    }
    writer->has_items[top] = true;
}

static void after_value(struct ft_json_writer *writer) { writer->done = writer->depth == 0; }

static void begin(struct ft_json_writer *writer, bool object)
{
    before_value(writer);
    assert(writer->depth < FT_JSON_DEPTH_MAX && "nested too deeply");
    writer->is_object[writer->depth] = object;
    writer->has_items[writer->depth] = false;
    writer->depth++;
    ft_buf_add_char(writer->buf, object ? '{' : '[');
}

static void end(struct ft_json_writer *writer, bool object)
{
    assert(writer->depth > 0 && writer->is_object[writer->depth - 1] == object && "wrong end");
    assert(!writer->after_key && "a key without its value");
    writer->depth--;
    ft_buf_add_char(writer->buf, object ? '}' : ']');
    after_value(writer);
}

/* Length of the UTF-8 sequence at 'at' (RFC 3629); 0 when it is none. */
static size_t utf8_len(const unsigned char *at, size_t left)
{
    unsigned char c = at[0];
    unsigned char low = 0x80; /* Bounds of the second byte. */
    unsigned char high = 0xbf;
    size_t len;
    if (c >= 0xc2 && c <= 0xdf) {
        len = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        len = 3;
        low = c == 0xe0 ? 0xa0 : 0x80;  /* Not longer than need be. */
        high = c == 0xed ? 0x9f : 0xbf; /* No surrogates. */
    } else if (c >= 0xf0 && c <= 0xf4) {
        len = 4;
        low = c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < len || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
    }
    return len;
}
