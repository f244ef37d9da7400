/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_SIZE_MAX_DEFAULT (UINT64_C(64) << 20)
#define BUF_CAPACITY_MIN     256

static bool make_room(struct ft_buf *buf, size_t more);

void ft_buf_init(struct ft_buf *buf, size_t size_max)
{
    *buf = (struct ft_buf){.size_max = size_max != 0 ? size_max : BUF_SIZE_MAX_DEFAULT};
}

void ft_buf_deinit(struct ft_buf *buf)
{
    free(buf->data);
    *buf = (struct ft_buf){.size_max = buf->size_max};
}

void ft_buf_clear(struct ft_buf *buf)
{
    buf->size = 0;
    buf->err = FT_OK;
}

void ft_buf_add(struct ft_buf *buf, const void *data, size_t size)
{
    if (size > 0 && make_room(buf, size)) {
        memcpy(buf->data + buf->size, data, size);
        buf->size += size;
    }
}

void ft_buf_add_str(struct ft_buf *buf, const char *text) { ft_buf_add(buf, text, strlen(text)); }
void ft_buf_add_char(struct ft_buf *buf, char c) { ft_buf_add(buf, &c, 1); }

void ft_buf_add_u64(struct ft_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    ft_buf_add(buf, digits + at, sizeof digits - at);
}

void ft_buf_addf(struct ft_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ft_buf_vaddf(buf, format, args);
    va_end(args);
}

void ft_buf_vaddf(struct ft_buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0) {
        buf->err = ft_err_from_errno(EINVAL);
        return;
    }
    if (make_room(buf, (size_t)size)) {
        /* make_room keeps one byte for the NUL that vsnprintf writes. */
        (void)vsnprintf(buf->data + buf->size, (size_t)size + 1, format, args);
        buf->size += (size_t)size;
    }
}

void *ft_buf_reserve(struct ft_buf *buf, size_t size)
{
    if (!make_room(buf, size)) {
        return NULL;
    }
    void *at = buf->data + buf->size;
    buf->size += size;
    return at;
}

void ft_buf_consume(struct ft_buf *buf, size_t size)
{
    if (size >= buf->size) {
        buf->size = 0;
        return;
    }
    memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
}

const char *ft_buf_str(struct ft_buf *buf)
{
    if (buf->err != FT_OK || buf->data == NULL) {
        return "";
    }
    buf->data[buf->size] = '\0';
    return buf->data;
}

/* Room for 'more' bytes and a NUL behind them. */
static bool make_room(struct ft_buf *buf, size_t more)
{
    if (buf->err != FT_OK) {
        return false;
    }
    if (more > buf->size_max || buf->size > buf->size_max - more) {
        buf->err = FT_E_FULL;
        return false;
    }
    size_t needed = buf->size + more + 1;
    if (needed <= buf->capacity) {
        return true;
    }
    size_t capacity = buf->capacity != 0 ? buf->capacity : BUF_CAPACITY_MIN;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = realloc(buf->data, capacity);
    if (data == NULL) {
        buf->err = ft_err_from_errno(ENOMEM);
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}
