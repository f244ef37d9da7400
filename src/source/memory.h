/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capture's working memory, which may outlive the process: one memfd that somebody else holds
 * open (agent/hold.h), with everything that is known and not yet in the log.
 *
 *     header   who wrote it, commits, where the ring begins and ends
 *     slots    two: the small state of tracker and pipeline, as of a commit
 *     blocks   a ring of the blocks that commits have sealed, until they are in the log on disk
 *     undo     what the transaction under way has overwritten
 *     ended    flows that ended lately (source/ended.h)
 *     ring     chunks, as the reader receives them (source/chunk_queue.h)
 *     cells    the flow table (source/flow_table.h)
 *
 * Everything between two commits is one transaction.  What it changes in 'ended' and 'cells' it
 * saves before (ft_memory_save); the small state it keeps in the process alone.  A commit writes
 * the small state and the block into the slot that is not in use, and then one number, which makes
 * the slot the one in use and voids what was saved.  So whoever adopts the memory finds the state
 * of the last commit, after undoing what was saved behind it, and handles the chunks behind it
 * again: nothing that was heard is lost, and nothing is told twice, because what the unfinished
 * transaction had made of them was in the process alone.
 *
 * Only the process may crash: the processor's order of stores does not matter, since whoever
 * adopts sees all that were made, and the compiler's is held by barriers.  After a crash of the
 * machine the memory is gone, too.
 *
 * Thread: the ring's numbers belong to the source thread, all else to the pipeline's.
 */
#ifndef FT_SOURCE_MEMORY_H
#define FT_SOURCE_MEMORY_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Of what is in the memory; the sizes of the structures in it are checked as well. */
#define FT_MEMORY_VERSION 1

/* Room for the small state of the source (the tracker's) and of its owner (the pipeline's). */
#define FT_MEMORY_SOURCE_BYTES ((size_t)4096)
#define FT_MEMORY_OWNER_BYTES  ((size_t)64 * 1024)
#define FT_MEMORY_BLOCKS_BYTES ((size_t)8 * 1024 * 1024)
#define FT_MEMORY_BLOCK_BYTES  ((size_t)1024 * 1024) /* of one block */
#define FT_MEMORY_UNDO_BYTES   ((size_t)1024 * 1024)

/* From here on a commit is wanted: more than anything saves between two looks. */
#define FT_MEMORY_UNDO_WANTED (FT_MEMORY_UNDO_BYTES / 2)

/* Adoptions in a row without a commit, after which the memory is what makes the process crash. */
#define FT_MEMORY_ADOPTIONS_MAX 20

struct ft_memory_options {
    uint64_t ring_bytes;      /* FT_CHUNK_QUEUE_BYTES_MIN at least. */
    uint64_t table_bytes_max; /* Of the flow table; pages are taken as they are used. */
    uint64_t hash_seed;
};

/* In the memory itself.  Numbers of the ring are positions: bytes since it was made. */
struct ft_memory_header {
    char magic[8];
    uint32_t version;
    uint32_t n_adoptions; /* Since the last commit. */
    uint64_t layout;      /* A hash of sizes. */
    uint64_t total_bytes;
    uint64_t ring_bytes;
    uint64_t cells_bytes;
    uint64_t table_bytes_max;
    uint64_t hash_seed;
    uint64_t netns;
    char boot_id[40];
    uint64_t checksum; /* Of what is above, n_adoptions apart. */
    /* Commits. */
    uint64_t committed;   /* The number of the last one; 0: none.  Its lowest bit is its slot. */
    uint64_t blocks_tail; /* Blocks in front of it are in the log. */
    uint64_t undo_of;     /* The number of the commit that what was saved is for … */
    uint64_t undo_used;   /* … and bytes of it. */
    /* The ring: the source thread's. */
    uint64_t ring_head;
    uint64_t ring_drops; /* The kernel's count of drops that OVERRUN chunks have told of. */
    /* The flow table's. */
    uint64_t n_segments;
};

/* What a commit says. */
struct ft_memory_commit {
    uint64_t position; /* The chunk that is handled next … */
    uint64_t offset;   /* … and how many bytes of it are handled. */
    const void *source;
    size_t source_size;
    const void *owner;
    size_t owner_size;
    const void *block; /* NULL: none was sealed. */
    size_t block_size;
    const void *block_info; /* FT_MEMORY_INFO_BYTES at most. */
    size_t block_info_size;
    uint64_t block_last; /* The number by which it is released; it only grows. */
};
#define FT_MEMORY_INFO_BYTES 128

struct ft_memory {
    /* Set at creation. */
    int fd;
    struct ft_memory_header *header;
    uint8_t *base;
    uint64_t mapped_bytes;
    uint8_t *slots;
    uint8_t *blocks;
    uint8_t *undo;
    uint8_t *ended;
    uint8_t *ring; /* Mapped once more behind its end, as far as one chunk may reach. */
    uint8_t *cells;
    /* The pipeline thread. */
    uint64_t undo_used;
    bool wants_commit; /* Whatever was saved. */
    uint64_t stored;   /* Blocks up to this number are in the log, if not durably. */
    uint64_t n_unkept; /* Blocks that made room for others before they were released. */
};

/* A new one.  The system's error. */
FT_MUST_USE ft_err ft_memory_create(const struct ft_memory_options *options,
                                    struct ft_memory **ret_memory);

/*
 * One that another process has left: takes 'fd' over, checks it, undoes the unfinished transaction.
 * FT_E_CORRUPT, FT_E_UNSUPPORTED (another layout), FT_E_RANGE (another boot or network namespace,
 * or adopted too often), -EBUSY (the other process is still there), with the reason in
 * '*reterr_diag'; 'fd' is closed then.
 */
FT_MUST_USE ft_err ft_memory_adopt(int fd, struct ft_memory **ret_memory,
                                   struct ft_diag *reterr_diag);

/* Accepts NULL.  The memory stays with whoever else holds it. */
void ft_memory_destroy(struct ft_memory *memory);
FT_DEFINE_CLEANUP(struct ft_memory, ft_memory_destroy);

/* Of a new memory, before anything is in it. */
void ft_memory_set_seed(struct ft_memory *memory, uint64_t hash_seed);

/* What the last commit said, borrowed, without its block; false when there was none. */
bool ft_memory_get_committed(const struct ft_memory *memory, struct ft_memory_commit *ret_commit);

/*
 * The transaction is over.  A block that does not fit beside those that wait makes room for itself:
 * the oldest are kept no longer, and go with the process if it dies before they are on disk.
 */
void ft_memory_commit(struct ft_memory *memory, const struct ft_memory_commit *commit);

/*
 * Blocks up to number 'durable' are in the log on disk and kept no longer; those up to 'stored' are
 * written to it, so that they are the first to make room.
 */
void ft_memory_release(struct ft_memory *memory, uint64_t durable, uint64_t stored);

/* The blocks that were not released, the oldest first.  All is borrowed. */
typedef void ft_memory_block_fn(void *ctx, const void *info, size_t info_size, const void *block,
                                size_t block_size);
void ft_memory_each_block(const struct ft_memory *memory, ft_memory_block_fn *fn, void *ctx);

/* A commit is wanted.  False without a memory. */
static inline bool ft_memory_wants_commit(const struct ft_memory *memory)
{
    return memory != NULL && (memory->wants_commit || memory->undo_used > FT_MEMORY_UNDO_WANTED);
}

/* Keeps the compiler from moving stores across: the order in which a crash cuts them off. */
static inline void ft_memory_barrier(void) { atomic_signal_fence(memory_order_seq_cst); }

/* Out of room, which a look at ft_memory_wants_commit() would have avoided: until the next commit
 * nobody can adopt the memory. */
void ft_memory_overflow(struct ft_memory *memory);

/*
 * Keeps the 'size' bytes (a multiple of 4, below 256) at 'at', which are about to change, so that
 * the change can be undone.  Without a memory (NULL) it does nothing.
 */
static inline void ft_memory_save(struct ft_memory *memory, const void *at, size_t size)
{
    if (memory == NULL) {
        return;
    }
    uint64_t used = memory->undo_used;
    size_t room = (size + 7) & ~(size_t)7;
    if (used + room + 8 > FT_MEMORY_UNDO_BYTES) {
        ft_memory_overflow(memory);
        return;
    }
    memcpy(memory->undo + used, at, size);
    /* Behind the bytes, because what was saved last is undone first. */
    uint64_t word = (uint64_t)((const uint8_t *)at - memory->base) << 8 | size;
    memcpy(memory->undo + used + room, &word, sizeof word);
    memory->undo_used = used + room + 8;
    ft_memory_barrier();
    memory->header->undo_used = memory->undo_used;
    ft_memory_barrier();
}

#endif
