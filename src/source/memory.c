/* SPDX-License-Identifier: Apache-2.0 */
#include "source/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "os/host.h"
#include "source/chunk_queue.h"
#include "source/ended.h"
#include "source/flow_table.h"

#define MAGIC "FTMEM1\n"

/* 'undo_of' of a transaction that cannot be undone. */
#define UNDO_NEVER UINT64_MAX

/* A slot: this, and the two small states behind it. */
struct slot {
    uint64_t checksum; /* Of what follows, the states included. */
    uint64_t position;
    uint64_t offset;
    uint64_t blocks_head;
    uint32_t source_size;
    uint32_t owner_size;
};

/* In front of a block in the ring, whose positions are bytes since it was made. */
struct kept {
    uint64_t stamp;
    uint64_t last;
    uint32_t size; /* SKIP: the ring goes on at its beginning. */
    uint32_t info_size;
    uint8_t info[FT_MEMORY_INFO_BYTES];
    uint8_t spare[40];
};

_Static_assert(sizeof(struct kept) == 192, "whole cache lines");

#define SKIP            UINT32_MAX
#define STAMP(position) ((position) ^ UINT64_C(0x626c6f636b0a0000))

#define SLOT_BYTES   (sizeof(struct slot) + FT_MEMORY_SOURCE_BYTES + FT_MEMORY_OWNER_BYTES)
#define HEADER_BYTES ((uint64_t)4096)

/* Where the parts are. */
struct layout {
    uint64_t slots;
    uint64_t blocks;
    uint64_t undo;
    uint64_t ended;
    uint64_t ring;
    uint64_t cells;
    uint64_t total;
};

static uint64_t page_round(uint64_t bytes);
static struct layout layout_of(uint64_t ring_bytes, uint64_t cells_bytes);
static uint64_t layout_hash(void);
static uint64_t checksum_of(const struct ft_memory_header *header);
static uint64_t checksum_of_slot(const struct slot *slot);
static ft_err lock(int fd);
static ft_err map(struct ft_memory *memory, uint64_t ring_bytes, uint64_t cells_bytes);
static ft_err read_header(int fd, struct ft_memory_header *ret_header, struct ft_diag *reterr_diag);
static ft_err check_place(const struct ft_memory_header *header, struct ft_diag *reterr_diag);
static ft_err check_commit(const struct ft_memory *memory, struct ft_diag *reterr_diag);
static ft_err undo(struct ft_memory *memory, struct ft_diag *reterr_diag);
static uint64_t blocks_head(const struct ft_memory *memory);
static struct kept *kept_at(const struct ft_memory *memory, uint64_t position);
static uint64_t span_of(const struct kept *kept, uint64_t position);
static uint64_t keep_block(struct ft_memory *memory, const struct ft_memory_commit *commit);
static bool blocks_are_sane(const struct ft_memory *memory);
static struct slot *slot_of(const struct ft_memory *memory, uint64_t commit);

ft_err ft_memory_create(const struct ft_memory_options *options, struct ft_memory **ret_memory)
{
    FT_CLEANUP(ft_memory_destroy) struct ft_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    uint64_t ring_bytes = options->ring_bytes;
    ring_bytes =
        page_round(ring_bytes > FT_CHUNK_QUEUE_BYTES_MIN ? ring_bytes : FT_CHUNK_QUEUE_BYTES_MIN);
    uint64_t cells_bytes = page_round(ft_flow_table_cells_bytes(options->table_bytes_max));
    memory->fd = memfd_create("flowtrail-memory", MFD_CLOEXEC);
    if (memory->fd < 0) {
        return ft_err_last();
    }
    if (ftruncate(memory->fd, (off_t)layout_of(ring_bytes, cells_bytes).total) != 0) {
        return ft_err_last();
    }
    FT_TRY(map(memory, ring_bytes, cells_bytes));
    FT_TRY(lock(memory->fd));
    struct ft_memory_header *header = memory->header;
    memcpy(header->magic, MAGIC, sizeof header->magic);
    header->version = FT_MEMORY_VERSION;
    header->layout = layout_hash();
    header->total_bytes = layout_of(ring_bytes, cells_bytes).total;
    header->ring_bytes = ring_bytes;
    header->cells_bytes = cells_bytes;
    header->table_bytes_max = options->table_bytes_max;
    header->hash_seed = options->hash_seed;
    header->undo_of = 1;
    char boot_id[FT_HOST_TEXT_SIZE];
    FT_TRY(ft_host_netns(&header->netns));
    FT_TRY(ft_host_boot_id(boot_id));
    (void)snprintf(header->boot_id, sizeof header->boot_id, "%.36s", boot_id);
    header->checksum = checksum_of(header);
    *ret_memory = FT_TAKE(memory);
    return FT_OK;
}

ft_err ft_memory_adopt(int fd, struct ft_memory **ret_memory, struct ft_diag *reterr_diag)
{
    struct ft_memory_header header;
    FT_CLEANUP(ft_memory_destroy) struct ft_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        ft_fd_close(&fd);
        return ft_err_from_errno(ENOMEM);
    }
    memory->fd = fd;
    FT_TRY(read_header(fd, &header, reterr_diag));
    FT_TRY(check_place(&header, reterr_diag));
    ft_err err = lock(fd);
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "another process uses it");
    }
    FT_TRY(map(memory, header.ring_bytes, header.cells_bytes));
    FT_TRY(check_commit(memory, reterr_diag));
    FT_TRY(undo(memory, reterr_diag));
    memory->header->n_adoptions++;
    *ret_memory = FT_TAKE(memory);
    return FT_OK;
}

void ft_memory_destroy(struct ft_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    if (memory->base != NULL) {
        (void)munmap(memory->base, memory->mapped_bytes);
    }
    ft_fd_close(&memory->fd);
    free(memory);
}

void ft_memory_set_seed(struct ft_memory *memory, uint64_t hash_seed)
{
    memory->header->hash_seed = hash_seed;
    memory->header->checksum = checksum_of(memory->header);
}

bool ft_memory_get_committed(const struct ft_memory *memory, struct ft_memory_commit *ret_commit)
{
    const struct ft_memory_header *header = memory->header;
    if (header->committed == 0) {
        return false;
    }
    const struct slot *slot = slot_of(memory, header->committed);
    const uint8_t *source = (const uint8_t *)(slot + 1);
    *ret_commit = (struct ft_memory_commit){
        .position = slot->position,
        .offset = slot->offset,
        .source = source,
        .source_size = slot->source_size,
        .owner = source + FT_MEMORY_SOURCE_BYTES,
        .owner_size = slot->owner_size,
    };
    return true;
}

void ft_memory_commit(struct ft_memory *memory, const struct ft_memory_commit *commit)
{
    struct ft_memory_header *header = memory->header;
    struct slot *slot = slot_of(memory, header->committed + 1);
    assert(commit->source_size <= FT_MEMORY_SOURCE_BYTES);
    assert(commit->owner_size <= FT_MEMORY_OWNER_BYTES);
    assert(commit->block_size <= FT_MEMORY_BLOCK_BYTES);
    assert(commit->block_info_size <= FT_MEMORY_INFO_BYTES);
    *slot = (struct slot){
        .position = commit->position,
        .offset = commit->offset,
        .blocks_head = commit->block != NULL ? keep_block(memory, commit) : blocks_head(memory),
        .source_size = (uint32_t)commit->source_size,
        .owner_size = (uint32_t)commit->owner_size,
    };
    uint8_t *source = (uint8_t *)(slot + 1);
    memcpy(source, commit->source, commit->source_size);
    memcpy(source + FT_MEMORY_SOURCE_BYTES, commit->owner, commit->owner_size);
    slot->checksum = checksum_of_slot(slot);
    ft_memory_barrier();
    header->committed++;
    ft_memory_barrier();
    /* In this order: until 'undo_of' says otherwise what was saved is for a commit that is made. */
    memory->undo_used = 0;
    memory->wants_commit = false;
    header->undo_used = 0;
    ft_memory_barrier();
    header->undo_of = header->committed + 1;
    header->n_adoptions = 0;
    ft_memory_barrier();
}

void ft_memory_release(struct ft_memory *memory, uint64_t durable, uint64_t stored)
{
    memory->stored = stored;
    uint64_t head = blocks_head(memory);
    uint64_t at = memory->header->blocks_tail;
    while (at != head && kept_at(memory, at)->last <= durable) {
        at += span_of(kept_at(memory, at), at);
    }
    memory->header->blocks_tail = at;
}

void ft_memory_each_block(const struct ft_memory *memory, ft_memory_block_fn *fn, void *ctx)
{
    uint64_t head = blocks_head(memory);
    for (uint64_t at = memory->header->blocks_tail; at != head;) {
        const struct kept *kept = kept_at(memory, at);
        if (kept->size != SKIP) {
            fn(ctx, kept->info, kept->info_size, kept + 1, kept->size);
        }
        at += span_of(kept, at);
    }
}

void ft_memory_overflow(struct ft_memory *memory)
{
    memory->header->undo_of = UNDO_NEVER;
    ft_memory_barrier();
}

static uint64_t page_round(uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

static struct layout layout_of(uint64_t ring_bytes, uint64_t cells_bytes)
{
    struct layout layout = {.slots = HEADER_BYTES};
    layout.blocks = layout.slots + page_round(2 * SLOT_BYTES);
    layout.undo = layout.blocks + page_round(FT_MEMORY_BLOCKS_BYTES);
    layout.ended = layout.undo + page_round(FT_MEMORY_UNDO_BYTES);
    /* The ring last: what follows its end in memory is its beginning, mapped once more. */
    layout.cells = layout.ended + page_round(FT_ENDED_BYTES);
    layout.ring = layout.cells + cells_bytes;
    layout.total = layout.ring + ring_bytes;
    return layout;
}

/* Another program, or another build of this one, may lay things out otherwise. */
static uint64_t layout_hash(void)
{
    const uint64_t sizes[] = {
        FT_MEMORY_VERSION,      sizeof(struct ft_memory_header),
        sizeof(struct slot),    SLOT_BYTES,
        FT_MEMORY_BLOCKS_BYTES, sizeof(struct kept),
        FT_MEMORY_UNDO_BYTES,   FT_ENDED_BYTES,
        sizeof(struct ft_flow), FT_FLOW_TABLE_CELL_BYTES,
        FT_CHUNK_HEADER_BYTES,  FT_CHUNK_SIZE_MAX,
    };
    return ft_hash64(sizes, sizeof sizes, 0);
}

static uint64_t checksum_of(const struct ft_memory_header *header)
{
    struct ft_memory_header copy = *header;
    copy.n_adoptions = 0;
    return ft_hash64(&copy, offsetof(struct ft_memory_header, checksum), 0);
}

/*
 * One process at a time.  A record lock, because that is the process's own: other kinds belong to
 * the open file, which whoever keeps the memory shares with us.  It ends with the process.
 */
static ft_err lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(fd, F_SETLK, &whole) == 0) {
        return FT_OK;
    }
    return errno == EAGAIN || errno == EACCES ? ft_err_from_errno(EBUSY) : ft_err_last();
}

static ft_err map(struct ft_memory *memory, uint64_t ring_bytes, uint64_t cells_bytes)
{
    struct layout layout = layout_of(ring_bytes, cells_bytes);
    /* A chunk that begins at the ring's last byte may reach so far behind it. */
    uint64_t again = page_round(FT_CHUNK_HEADER_BYTES + FT_CHUNK_SIZE_MAX);
    assert(again <= ring_bytes);
    memory->mapped_bytes = layout.total + again;
    void *base = mmap(NULL, memory->mapped_bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return ft_err_last();
    }
    memory->base = base;
    void *first = mmap(memory->base, layout.total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                       memory->fd, 0);
    void *second = mmap(memory->base + layout.total, again, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED, memory->fd, (off_t)layout.ring);
    if (first == MAP_FAILED || second == MAP_FAILED) {
        return ft_err_last();
    }
    memory->header = (struct ft_memory_header *)base;
    memory->slots = memory->base + layout.slots;
    memory->blocks = memory->base + layout.blocks;
    memory->undo = memory->base + layout.undo;
    memory->ended = memory->base + layout.ended;
    memory->ring = memory->base + layout.ring;
    memory->cells = memory->base + layout.cells;
    return FT_OK;
}

static uint64_t checksum_of_slot(const struct slot *slot)
{
    const uint8_t *source = (const uint8_t *)(slot + 1);
    uint64_t hash = ft_hash64(&slot->position, sizeof *slot - sizeof slot->checksum, 0);
    hash = ft_hash64(source, slot->source_size, hash);
    return ft_hash64(source + FT_MEMORY_SOURCE_BYTES, slot->owner_size, hash);
}

static ft_err read_header(int fd, struct ft_memory_header *ret_header, struct ft_diag *reterr_diag)
{
    struct stat status;
    ssize_t n = pread(fd, ret_header, sizeof *ret_header, 0);
    if (n < 0 || fstat(fd, &status) != 0) {
        return ft_diag_set(reterr_diag, ft_err_last(), NULL, 0, 0, "it cannot be read");
    }
    if (n != (ssize_t)sizeof *ret_header ||
        memcmp(ret_header->magic, MAGIC, sizeof ret_header->magic) != 0) {
        return ft_diag_set(reterr_diag, FT_E_CORRUPT, NULL, 0, 0, "it is not flowtrail's");
    }
    if (ret_header->version != FT_MEMORY_VERSION || ret_header->layout != layout_hash()) {
        return ft_diag_set(reterr_diag, FT_E_UNSUPPORTED, NULL, 0, 0,
                           "another version has written it");
    }
    uint64_t ring = ret_header->ring_bytes;
    uint64_t cells = ret_header->cells_bytes;
    if (ret_header->checksum != checksum_of(ret_header) || ring != page_round(ring) ||
        cells != page_round(cells) || layout_of(ring, cells).total != ret_header->total_bytes ||
        (uint64_t)status.st_size != ret_header->total_bytes) {
        return ft_diag_set(reterr_diag, FT_E_CORRUPT, NULL, 0, 0, "its header is damaged");
    }
    return FT_OK;
}

/* Is it of this boot and network namespace, and worth another try? */
static ft_err check_place(const struct ft_memory_header *header, struct ft_diag *reterr_diag)
{
    char boot_id[FT_HOST_TEXT_SIZE];
    uint64_t netns;
    FT_TRY(ft_host_boot_id(boot_id));
    FT_TRY(ft_host_netns(&netns));
    if (strncmp(header->boot_id, boot_id, sizeof header->boot_id) != 0) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0, "it is of another boot");
    }
    if (header->netns != netns) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "it is of another network namespace");
    }
    if (header->n_adoptions >= FT_MEMORY_ADOPTIONS_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, NULL, 0, 0,
                           "%u starts with it have ended before they came to anything",
                           header->n_adoptions);
    }
    return FT_OK;
}

static ft_err check_commit(const struct ft_memory *memory, struct ft_diag *reterr_diag)
{
    const struct slot *slot = slot_of(memory, memory->header->committed);
    bool sane = memory->header->committed == 0 || (slot->source_size <= FT_MEMORY_SOURCE_BYTES &&
                                                   slot->owner_size <= FT_MEMORY_OWNER_BYTES &&
                                                   slot->checksum == checksum_of_slot(slot));
    if (!sane || !blocks_are_sane(memory)) {
        return ft_diag_set(reterr_diag, FT_E_CORRUPT, NULL, 0, 0, "its last commit is damaged");
    }
    return FT_OK;
}

/* Puts back what the unfinished transaction has overwritten, the last first. */
static ft_err undo(struct ft_memory *memory, struct ft_diag *reterr_diag)
{
    struct ft_memory_header *header = memory->header;
    if (header->undo_of == UNDO_NEVER) {
        return ft_diag_set(reterr_diag, FT_E_CORRUPT, NULL, 0, 0,
                           "its last changes cannot be undone");
    }
    uint64_t used = header->undo_of == header->committed + 1 ? header->undo_used : 0;
    if (used > FT_MEMORY_UNDO_BYTES || used % 8 != 0) {
        used = UINT64_MAX;
    }
    while (used >= 8 && used != UINT64_MAX) {
        uint64_t word;
        memcpy(&word, memory->undo + used - 8, sizeof word);
        size_t size = (size_t)(word & 0xff);
        size_t room = (size + 7) & ~(size_t)7;
        uint64_t at = word >> 8;
        if (room + 8 > used || at < HEADER_BYTES || at + size > header->total_bytes) {
            used = UINT64_MAX;
            break;
        }
        used -= room + 8;
        memcpy(memory->base + at, memory->undo + used, size);
    }
    if (used != 0) {
        return ft_diag_set(reterr_diag, FT_E_CORRUPT, NULL, 0, 0,
                           "what it keeps for undoing is damaged");
    }
    memory->undo_used = 0;
    header->undo_used = 0;
    ft_memory_barrier();
    header->undo_of = header->committed + 1;
    ft_memory_barrier();
    return FT_OK;
}

static uint64_t blocks_head(const struct ft_memory *memory)
{
    uint64_t committed = memory->header->committed;
    return committed != 0 ? slot_of(memory, committed)->blocks_head : 0;
}

static struct kept *kept_at(const struct ft_memory *memory, uint64_t position)
{
    return (struct kept *)(void *)(memory->blocks + position % FT_MEMORY_BLOCKS_BYTES);
}

/* What it takes of the ring. */
static uint64_t span_of(const struct kept *kept, uint64_t position)
{
    if (kept->size == SKIP) {
        return FT_MEMORY_BLOCKS_BYTES - position % FT_MEMORY_BLOCKS_BYTES;
    }
    return sizeof *kept + ((kept->size + UINT64_C(63)) & ~UINT64_C(63));
}

/* Writes the block behind the others; it counts with the commit.  Returns where it ends. */
static uint64_t keep_block(struct ft_memory *memory, const struct ft_memory_commit *commit)
{
    struct ft_memory_header *header = memory->header;
    uint64_t need = sizeof(struct kept) + ((commit->block_size + 63) & ~(size_t)63);
    uint64_t head = blocks_head(memory);
    uint64_t left = FT_MEMORY_BLOCKS_BYTES - head % FT_MEMORY_BLOCKS_BYTES;
    /* Where nothing waits it goes to the beginning, where pages are there and warm. */
    bool rewind = header->blocks_tail == head && need + left <= FT_MEMORY_BLOCKS_BYTES;
    left = rewind || need > left ? left : 0;
    need += left;
    while (head + need - header->blocks_tail > FT_MEMORY_BLOCKS_BYTES) {
        uint64_t tail = header->blocks_tail;
        const struct kept *oldest = kept_at(memory, tail);
        memory->n_unkept += oldest->size != SKIP && oldest->last > memory->stored ? 1 : 0;
        header->blocks_tail = tail + span_of(kept_at(memory, tail), tail);
        ft_memory_barrier();
    }
    if (left > 0) {
        struct kept *skip = kept_at(memory, head);
        skip->size = SKIP;
        skip->last = commit->block_last;
        skip->stamp = STAMP(head);
        head += left;
    }
    struct kept *kept = kept_at(memory, head);
    kept->stamp = STAMP(head);
    kept->last = commit->block_last;
    kept->size = (uint32_t)commit->block_size;
    kept->info_size = (uint32_t)commit->block_info_size;
    memcpy(kept->info, commit->block_info, commit->block_info_size);
    memcpy(kept + 1, commit->block, commit->block_size);
    return head + span_of(kept, head);
}

static bool blocks_are_sane(const struct ft_memory *memory)
{
    uint64_t head = blocks_head(memory);
    uint64_t at = memory->header->blocks_tail;
    if (at > head || head - at > FT_MEMORY_BLOCKS_BYTES || at % 64 != 0 || head % 64 != 0) {
        return false;
    }
    while (at != head) {
        const struct kept *kept = kept_at(memory, at);
        bool sane = kept->stamp == STAMP(at) &&
                    (kept->size == SKIP || (kept->size <= FT_MEMORY_BLOCK_BYTES &&
                                            kept->info_size <= FT_MEMORY_INFO_BYTES));
        if (!sane || span_of(kept, at) > head - at) {
            return false;
        }
        at += span_of(kept, at);
    }
    return true;
}

static struct slot *slot_of(const struct ft_memory *memory, uint64_t commit)
{
    return (struct slot *)(void *)(memory->slots + (commit & 1) * SLOT_BYTES);
}
