/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON written straight into a buffer, without a tree: for large answers and for lines.
 *
 * Wrong nesting (a value in an object without its key, an end without a begin) is a programmer's
 * error and is asserted.  A failure of the buffer stays in 'buf->err', as with all writing to it.
 * Text may be any bytes: what is not UTF-8 becomes U+FFFD, control characters are escaped; NUL is
 * possible in ft_json_strn().
 *
 * Bound: FT_JSON_DEPTH_MAX.  Numbers are written whole, also above 2^53.
 *
 * Thread: owner only.
 */
#ifndef FT_JSON_WRITER_H
#define FT_JSON_WRITER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define FT_JSON_DEPTH_MAX 32

struct ft_json_writer {
    struct ft_buf *buf;
    unsigned depth;
    bool is_object[FT_JSON_DEPTH_MAX];
    bool has_items[FT_JSON_DEPTH_MAX];
    bool after_key; /* The next call writes the value of a key. */
    bool done;      /* A whole top-level value has been written. */
};

/* 'buf' is borrowed; what it holds already stays.  Needs no deinit. */
void ft_json_writer_init(struct ft_json_writer *writer, struct ft_buf *buf);

/* After a whole value: lets another one follow (a line of JSON lines).  Writes '\n'. */
void ft_json_newline(struct ft_json_writer *writer);

/* Whether a whole top-level value was written and nothing is open. */
bool ft_json_is_done(const struct ft_json_writer *writer);

void ft_json_object_begin(struct ft_json_writer *writer);
void ft_json_object_end(struct ft_json_writer *writer);
void ft_json_array_begin(struct ft_json_writer *writer);
void ft_json_array_end(struct ft_json_writer *writer);
void ft_json_key(struct ft_json_writer *writer, const char *key);

/* NULL is written as null. */
void ft_json_str(struct ft_json_writer *writer, const char *text);
void ft_json_strn(struct ft_json_writer *writer, const char *text, size_t len);
void ft_json_strf(struct ft_json_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ft_json_u64(struct ft_json_writer *writer, uint64_t value);
void ft_json_i64(struct ft_json_writer *writer, int64_t value);
/* The shortest form that reads back the same; not-a-number and infinity become null. */
void ft_json_double(struct ft_json_writer *writer, double value);
void ft_json_bool(struct ft_json_writer *writer, bool value);
void ft_json_null(struct ft_json_writer *writer);
/* 'size' bytes that are one JSON value already. */
void ft_json_raw(struct ft_json_writer *writer, const void *data, size_t size);

/* A key and its value. */
void ft_json_key_str(struct ft_json_writer *writer, const char *key, const char *text);
void ft_json_key_u64(struct ft_json_writer *writer, const char *key, uint64_t value);
void ft_json_key_i64(struct ft_json_writer *writer, const char *key, int64_t value);
void ft_json_key_double(struct ft_json_writer *writer, const char *key, double value);
void ft_json_key_bool(struct ft_json_writer *writer, const char *key, bool value);
/* RFC 3339, UTC, in milliseconds; 0 is no time, and left out. */
void ft_json_key_time(struct ft_json_writer *writer, const char *key, int64_t real_ns);
void ft_json_key_object(struct ft_json_writer *writer, const char *key); /* Begins it. */
void ft_json_key_array(struct ft_json_writer *writer, const char *key);  /* Begins it. */

/* 'len' bytes as the inside of a JSON string, without the quotes. */
void ft_json_escape(struct ft_buf *buf, const char *text, size_t len);

#endif
