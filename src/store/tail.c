/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tail.h"

#include <assert.h>
#include <stdlib.h>

#include "store/format.h"

#define ITEMS_FIRST ((size_t)64)

static struct ft_store_buf *buf_of(struct ft_log_owner *owner)
{
    return (struct ft_store_buf *)(void *)owner;
}

static void release_buf(struct ft_log_owner *owner) { ft_store_buf_unref(buf_of(owner)); }

struct ft_store_buf *ft_store_buf_create(size_t size)
{
    size_t frame_size = ft_store_frame_size(size);
    struct ft_store_buf *buf = malloc(sizeof *buf + frame_size);
    if (buf == NULL) {
        return NULL;
    }
    *buf = (struct ft_store_buf){.owner = {release_buf}, .size = size, .frame_size = frame_size};
    atomic_init(&buf->refs, 1);
    return buf;
}

void ft_store_buf_unref(struct ft_store_buf *buf)
{
    if (atomic_fetch_sub(&buf->refs, 1) == 1) {
        free(buf);
    }
}

void ft_store_buf_to_block(struct ft_store_buf *buf, struct ft_block *ret_block)
{
    *ret_block = (struct ft_block){.info = buf->info,
                                   .position = buf->position,
                                   .data = buf->frame + FT_STORE_BLOCK_HEADER_SIZE,
                                   .size = buf->size,
                                   .owner_ = &buf->owner};
}

void ft_store_tail_deinit(struct ft_store_tail *tail)
{
    while (tail->n > 0) {
        ft_store_tail_remove_first(tail);
    }
    free(tail->items);
    *tail = (struct ft_store_tail){0};
}

ft_err ft_store_tail_reserve(struct ft_store_tail *tail)
{
    if (tail->n < tail->n_allocated) {
        return FT_OK;
    }
    size_t n = tail->n_allocated != 0 ? tail->n_allocated * 2 : ITEMS_FIRST;
    struct ft_store_buf **items = calloc(n, sizeof(struct ft_store_buf *));
    if (items == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    for (size_t i = 0; i < tail->n; i++) {
        items[i] = ft_store_tail_at(tail, i);
    }
    free(tail->items);
    tail->items = items;
    tail->n_allocated = n;
    tail->first = 0;
    return FT_OK;
}

void ft_store_tail_add(struct ft_store_tail *tail, struct ft_store_buf *buf)
{
    assert(tail->n < tail->n_allocated);
    tail->items[(tail->first + tail->n) % tail->n_allocated] = buf;
    tail->n++;
    tail->bytes += buf->frame_size;
}

struct ft_store_buf *ft_store_tail_at(const struct ft_store_tail *tail, size_t i)
{
    assert(i < tail->n);
    return tail->items[(tail->first + i) % tail->n_allocated];
}

size_t ft_store_tail_find(const struct ft_store_tail *tail, uint64_t position)
{
    size_t low = 0;
    size_t high = tail->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ft_store_tail_at(tail, middle)->position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void ft_store_tail_remove_first(struct ft_store_tail *tail)
{
    struct ft_store_buf *buf = ft_store_tail_at(tail, 0);
    tail->bytes -= buf->frame_size;
    tail->first = (tail->first + 1) % tail->n_allocated;
    tail->n--;
    ft_store_buf_unref(buf);
}

void ft_store_tail_remove_to(struct ft_store_tail *tail, uint64_t position)
{
    while (tail->n > 0 && ft_store_tail_at(tail, 0)->position <= position) {
        ft_store_tail_remove_first(tail);
    }
}
