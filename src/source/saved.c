/* SPDX-License-Identifier: Apache-2.0 */
#include "source/saved.h"

#include <stdlib.h>

#include "base/hash.h"
#include "source/flow_table.h"

#define MAGIC    "FTFLOW1\n"
#define NEW_NAME FT_SAVED_NAME ".new"

/* Written and read so much at a time. */
#define PIECE_BYTES ((uint64_t)4 << 20)

struct header {
    char magic[8];
    uint64_t checksum;
    uint64_t layout;
    uint64_t hash_seed;
    uint64_t netns;
    char boot_id[40];
    struct ft_saved_owner owner;
    uint64_t state_size;
    uint64_t n_segments;
    uint64_t spare;
};

_Static_assert(sizeof(struct header) == 128, "as documented");

static uint64_t checksum_of(const struct header *header, const void *state, const void *cells);
static uint64_t cells_size(uint64_t n_segments);
static ft_err write_pieces(struct ft_disk_file *file, uint64_t offset, const uint8_t *data,
                           uint64_t size);
static ft_err read_exactly(struct ft_disk_file *file, uint64_t offset, uint8_t *data,
                           uint64_t size);
static ft_err read_file(struct ft_disk_file *file, struct ft_memory *memory,
                        const struct ft_saved_owner *owner);
static void take(struct ft_memory *memory, const struct header *header, const void *state);

ft_err ft_saved_write(struct ft_disk *disk, const struct ft_memory *memory,
                      const struct ft_saved_owner *owner, const void *state, size_t state_size)
{
    const struct ft_memory_header *from = memory->header;
    struct header header = {.layout = from->layout,
                            .hash_seed = from->hash_seed,
                            .netns = from->netns,
                            .owner = *owner,
                            .state_size = state_size,
                            .n_segments = from->n_segments};
    memcpy(header.magic, MAGIC, sizeof header.magic);
    memcpy(header.boot_id, from->boot_id, sizeof header.boot_id);
    header.checksum = checksum_of(&header, state, memory->cells);
    ft_err_ignore(disk->ops->remove(disk, NEW_NAME), "there is none, as a rule");
    struct ft_disk_file *file;
    FT_TRY(disk->ops->open(disk, NEW_NAME, true, &file));
    ft_err err = disk->ops->write_at(file, 0, &header, sizeof header);
    if (err == FT_OK) {
        err = disk->ops->write_at(file, sizeof header, state, state_size);
    }
    if (err == FT_OK) {
        err = write_pieces(file, sizeof header + state_size, memory->cells,
                           cells_size(header.n_segments));
    }
    if (err == FT_OK) {
        err = disk->ops->sync(file);
    }
    disk->ops->close(file);
    if (err == FT_OK) {
        err = disk->ops->rename(disk, NEW_NAME, FT_SAVED_NAME);
    }
    if (err != FT_OK) {
        ft_err_ignore(disk->ops->remove(disk, NEW_NAME), "the next stop removes it");
        return err;
    }
    return disk->ops->sync_dir(disk);
}

ft_err ft_saved_read(struct ft_disk *disk, struct ft_memory *memory,
                     const struct ft_saved_owner *owner)
{
    struct ft_disk_file *file;
    ft_err err = disk->ops->open(disk, FT_SAVED_NAME, false, &file);
    if (err == ft_err_from_errno(ENOENT)) {
        return FT_E_NOT_FOUND;
    }
    FT_TRY(err);
    err = read_file(file, memory, owner);
    disk->ops->close(file);
    /* Before anything comes of it: what happens from here on it does not know. */
    ft_err removed = disk->ops->remove(disk, FT_SAVED_NAME);
    return err != FT_OK ? err : removed;
}

static uint64_t checksum_of(const struct header *header, const void *state, const void *cells)
{
    struct header copy = *header;
    copy.checksum = 0;
    uint64_t hash = ft_hash64(&copy, sizeof copy, 0);
    hash = ft_hash64(state, (size_t)header->state_size, hash);
    return ft_hash64(cells, (size_t)cells_size(header->n_segments), hash);
}

static uint64_t cells_size(uint64_t n_segments) { return n_segments * FT_FLOW_TABLE_SEGMENT_BYTES; }

static ft_err write_pieces(struct ft_disk_file *file, uint64_t offset, const uint8_t *data,
                           uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PIECE_BYTES) {
        uint64_t n = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        FT_TRY(file->disk->ops->write_at(file, offset + at, data + at, (size_t)n));
    }
    return FT_OK;
}

static ft_err read_exactly(struct ft_disk_file *file, uint64_t offset, uint8_t *data, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PIECE_BYTES) {
        uint64_t n = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        size_t got = 0;
        FT_TRY(file->disk->ops->read_at(file, offset + at, data + at, (size_t)n, &got));
        if (got != n) {
            return FT_E_CORRUPT;
        }
    }
    return FT_OK;
}

static ft_err read_file(struct ft_disk_file *file, struct ft_memory *memory,
                        const struct ft_saved_owner *owner)
{
    const struct ft_memory_header *to = memory->header;
    struct header header;
    uint8_t state[FT_MEMORY_SOURCE_BYTES];
    FT_TRY(read_exactly(file, 0, (uint8_t *)&header, sizeof header));
    if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0) {
        return FT_E_CORRUPT;
    }
    if (header.layout != to->layout || header.netns != to->netns ||
        memcmp(header.boot_id, to->boot_id, sizeof header.boot_id) != 0 ||
        memcmp(&header.owner, owner, sizeof *owner) != 0) {
        return FT_E_NOT_FOUND;
    }
    if (header.state_size > sizeof state || cells_size(header.n_segments) > to->cells_bytes) {
        return FT_E_CORRUPT; /* Or there is less room now. */
    }
    FT_TRY(read_exactly(file, sizeof header, state, header.state_size));
    ft_err err = read_exactly(file, sizeof header + header.state_size, memory->cells,
                              cells_size(header.n_segments));
    if (err == FT_OK && header.checksum != checksum_of(&header, state, memory->cells)) {
        err = FT_E_CORRUPT;
    }
    if (err != FT_OK) {
        memset(memory->cells, 0, (size_t)cells_size(header.n_segments));
        return err;
    }
    take(memory, &header, state);
    return FT_OK;
}

static void take(struct ft_memory *memory, const struct header *header, const void *state)
{
    struct ft_memory_commit commit = {
        .source = state, .source_size = (size_t)header->state_size, .owner = ""};
    ft_memory_set_seed(memory, header->hash_seed);
    memory->header->n_segments = header->n_segments;
    ft_memory_commit(memory, &commit);
}
