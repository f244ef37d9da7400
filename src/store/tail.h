/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest blocks of a log on disk, kept in memory: those that are not durable yet, because
 * after a failed sync they must be written again, and a few before them, so that a reader close
 * to the writer needs no disk.
 *
 * Thread: the caller holds the log's lock, except for a buffer that it has a reference to.
 */
#ifndef FT_STORE_TAIL_H
#define FT_STORE_TAIL_H 1

#include <stdatomic.h>

#include "store/log_core.h"

/* One block as it is on disk: 'frame' is header, payload and zeros. */
struct ft_store_buf {
    struct ft_log_owner owner;
    _Atomic unsigned refs;
    struct ft_block_info info;
    uint64_t position;
    size_t size;
    size_t frame_size;
    /* Guarded by the log's lock. */
    uint64_t segment_number;
    uint64_t offset;
    uint8_t frame[];
};

/* With one reference.  NULL without memory. */
struct ft_store_buf *ft_store_buf_create(size_t size);
void ft_store_buf_unref(struct ft_store_buf *buf);
/* Hands out a reference: its own, which the block takes over. */
void ft_store_buf_to_block(struct ft_store_buf *buf, struct ft_block *ret_block);

struct ft_store_tail {
    struct ft_store_buf **items; /* A ring. */
    size_t n_allocated;
    size_t first;
    size_t n;
    uint64_t bytes; /* Of all frames. */
};

void ft_store_tail_deinit(struct ft_store_tail *tail);
/* Room for one more, so that adding it cannot fail. */
FT_MUST_USE ft_err ft_store_tail_reserve(struct ft_store_tail *tail);
/* Takes over the caller's reference. */
void ft_store_tail_add(struct ft_store_tail *tail, struct ft_store_buf *buf);
struct ft_store_buf *ft_store_tail_at(const struct ft_store_tail *tail, size_t i);
/* Index of the first block at 'position' or behind it; n: none. */
size_t ft_store_tail_find(const struct ft_store_tail *tail, uint64_t position);
void ft_store_tail_remove_first(struct ft_store_tail *tail);
/* Removes what lies at 'position' or before it. */
void ft_store_tail_remove_to(struct ft_store_tail *tail, uint64_t position);

#endif
