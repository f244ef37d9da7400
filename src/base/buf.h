/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer with a bound, and text on top of it.
 *
 * Writing never fails in the middle of an expression: the first failure (no memory, bound reached)
 * is kept in 'err', later writes do nothing, and the caller looks once, at the end.
 *
 * Thread: owner only.
 */
#ifndef FT_BASE_BUF_H
#define FT_BASE_BUF_H 1

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ft_buf {
    char *data; /* NULL while nothing was written. */
    size_t size;
    size_t capacity;
    size_t size_max;
    ft_err err;
};

/* 'size_max' bounds the content in bytes; 0 means 64 MiB. */
void ft_buf_init(struct ft_buf *buf, size_t size_max);
void ft_buf_deinit(struct ft_buf *buf);

/* Empties the buffer and forgets its error; keeps the memory. */
void ft_buf_clear(struct ft_buf *buf);

void ft_buf_add(struct ft_buf *buf, const void *data, size_t size);
void ft_buf_add_str(struct ft_buf *buf, const char *text);
void ft_buf_add_char(struct ft_buf *buf, char c);
void ft_buf_add_u64(struct ft_buf *buf, uint64_t value);
void ft_buf_addf(struct ft_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ft_buf_vaddf(struct ft_buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* 'size' writable bytes at the end, already counted in; NULL when the buffer is in error. */
void *ft_buf_reserve(struct ft_buf *buf, size_t size);

/* Drops the first 'size' bytes; the rest moves to the front. */
void ft_buf_consume(struct ft_buf *buf, size_t size);

/* The content as a NUL-terminated string; "" when empty or in error.  Valid until the next write.
 */
const char *ft_buf_str(struct ft_buf *buf);

#endif
