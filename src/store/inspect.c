/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inspect.h"

#include <stdlib.h>
#include <string.h>

/* A file is written again in place by so much. */
#define CHUNK_BYTES ((size_t)64 << 10)

/* No position is lost with it. */
static const struct ft_store_damage bad_header = {
    .size = FT_STORE_SEGMENT_HEADER_SIZE, .before = 1, .what = "bad segment header"};

static ft_err seal_at_cut(struct ft_disk *disk, const struct ft_store_candidate *candidate,
                          const struct ft_log_segment *kept);
static ft_err inspect_file(struct ft_disk_file *file, bool must_scan,
                           struct ft_store_candidate *candidate);
static ft_err read_header(struct ft_disk_file *file, struct ft_store_candidate *candidate);
static void read_trailer(struct ft_disk_file *file, struct ft_store_candidate *candidate);
static ft_err scan_blocks(struct ft_disk_file *file, struct ft_store_candidate *candidate);
static ft_err scan_block(struct ft_disk_file *file, const struct ft_store_block_header *header,
                         uint64_t offset, uint8_t *frame, struct ft_store_candidate *candidate,
                         uint64_t *position);
static ft_err add_damage(struct ft_store_candidate *candidate, struct ft_store_damage part);
static void count_block(struct ft_log_segment *blocks, const struct ft_store_block_header *header,
                        uint64_t end);
static ft_err split_blocks(struct ft_disk_file *file, const struct ft_store_candidate *candidate,
                           uint64_t split, struct ft_log_segment *kept, struct ft_store_tail *tail,
                           uint64_t *tail_bytes);
static ft_err add_to_tail(struct ft_disk_file *file, uint64_t offset,
                          const struct ft_store_block_header *header, struct ft_store_tail *tail);

ft_err ft_store_inspect(struct ft_disk *disk, bool must_scan, struct ft_store_candidate *candidate)
{
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(candidate->number, name);
    struct ft_disk_file *file;
    ft_err err = disk->ops->open(disk, name, false, &file);
    if (err == ft_err_from_errno(ELOOP) || err == ft_err_from_errno(EINVAL)) {
        /* Not a file any more. */
        candidate->foreign = true;
        return add_damage(candidate, (struct ft_store_damage){.size = candidate->size,
                                                              .before = FT_STORE_NO_BLOCK_BEHIND,
                                                              .what = "cannot be opened"});
    }
    /* Going on without a file that is there would pass its blocks by. */
    FT_TRY(err);
    err = inspect_file(file, must_scan, candidate);
    disk->ops->close(file);
    return err;
}

void ft_store_candidate_deinit(struct ft_store_candidate *candidate)
{
    free(candidate->damages);
    candidate->damages = NULL;
}

ft_err ft_store_split(struct ft_disk *disk, const struct ft_store_candidate *candidate,
                      uint64_t split, struct ft_log_segment *ret_kept, struct ft_store_tail *tail,
                      uint64_t *ret_tail_bytes)
{
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(candidate->number, name);
    struct ft_disk_file *file;
    FT_TRY(disk->ops->open(disk, name, false, &file));
    *ret_kept =
        (struct ft_log_segment){.number = candidate->number, .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    *ret_tail_bytes = 0;
    ft_err err = split_blocks(file, candidate, split, ret_kept, tail, ret_tail_bytes);
    disk->ops->close(file);
    return err;
}

uint64_t ft_store_candidate_hole(const struct ft_store_candidate *candidate, uint64_t durable)
{
    uint64_t hole = UINT64_MAX;
    /* A torn write can be read.  What cannot be was perhaps durable, as what is behind it. */
    size_t n = candidate->damages != NULL && !candidate->io_error ? candidate->damages->n : 0;
    for (size_t i = 0; i < n; i++) {
        const struct ft_store_damage *part = &candidate->damages->parts[i];
        uint64_t first = part->after > durable ? part->after + 1 : durable + 1;
        /* What is behind the last block is missing at the end, not in the middle. */
        if (first < part->before && first < candidate->blocks.last && first < hole) {
            hole = first;
        }
    }
    return hole;
}

ft_err ft_store_cut(struct ft_disk *disk, struct ft_store_candidate *candidate, uint64_t position)
{
    struct ft_log_segment kept;
    uint64_t behind;
    FT_TRY(ft_store_split(disk, candidate, position, &kept, NULL, &behind));
    if (kept.n_blocks > 0) {
        FT_TRY(seal_at_cut(disk, candidate, &kept));
    }
    struct ft_store_damages *damages = candidate->damages;
    size_t n = 0;
    while (n < damages->n && damages->parts[n].offset < kept.bytes) {
        n++;
    }
    damages->n = n;
    FT_TRY(add_damage(candidate, (struct ft_store_damage){.offset = kept.bytes,
                                                          .size = candidate->size - kept.bytes,
                                                          .after = position - 1,
                                                          .before = FT_STORE_NO_BLOCK_BEHIND,
                                                          .what = "cut short"}));
    candidate->sealed = kept.n_blocks > 0;
    if (candidate->sealed) {
        candidate->durable = kept.last;
        candidate->size = kept.bytes + FT_STORE_TRAILER_SIZE;
    } else {
        kept.first = position;
        kept.last = position - 1;
    }
    candidate->blocks = kept;
    return FT_OK;
}

ft_err ft_store_write_again(struct ft_disk_file *file, uint64_t bytes)
{
    const struct ft_disk_ops *ops = file->disk->ops;
    uint8_t *chunk = malloc(CHUNK_BYTES);
    ft_err err = chunk != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
    for (uint64_t at = 0; err == FT_OK && at < bytes;) {
        size_t want = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at) : CHUNK_BYTES;
        size_t size = 0;
        err = ops->read_at(file, at, chunk, want, &size);
        if (err == FT_OK && size == 0) {
            break; /* It is shorter now. */
        }
        if (err == FT_OK) {
            err = ops->write_at(file, at, chunk, size);
        }
        at += size;
    }
    free(chunk);
    return err;
}

/*
 * Each step leaves a file that is cut at the same place again: only the trailer, which says that
 * all before it is durable, takes away what told so far up to where it is.  What was behind the cut
 * is longer than a trailer, so that no space is needed for it.
 */
static ft_err seal_at_cut(struct ft_disk *disk, const struct ft_store_candidate *candidate,
                          const struct ft_log_segment *kept)
{
    const struct ft_disk_ops *ops = disk->ops;
    struct ft_store_trailer trailer = {.salt = candidate->salt,
                                       .number = candidate->number,
                                       .first = kept->first,
                                       .last = kept->last,
                                       .n_blocks = kept->n_blocks,
                                       .n_events = kept->n_events,
                                       .offset = kept->bytes,
                                       .first_time_ns = kept->first_time_ns,
                                       .previous = candidate->previous};
    uint8_t bytes[FT_STORE_TRAILER_SIZE];
    ft_store_encode_trailer(&trailer, bytes);
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(candidate->number, name);
    struct ft_disk_file *file;
    FT_TRY(ops->open(disk, name, false, &file));
    ft_err err = ft_store_write_again(file, candidate->size);
    if (err == FT_OK) {
        err = ops->sync(file);
    }
    if (err == FT_OK) {
        err = ops->write_at(file, kept->bytes, bytes, sizeof bytes);
    }
    if (err == FT_OK) {
        err = ops->truncate(file, kept->bytes + sizeof bytes);
    }
    if (err == FT_OK) {
        err = ops->sync(file);
    }
    ops->close(file);
    return err;
}

static ft_err inspect_file(struct ft_disk_file *file, bool must_scan,
                           struct ft_store_candidate *candidate)
{
    FT_TRY(read_header(file, candidate));
    read_trailer(file, candidate);
    if (!candidate->sealed || must_scan) {
        FT_TRY(scan_blocks(file, candidate));
    }
    if (!candidate->foreign) {
        return FT_OK;
    }
    /* Either the file was renamed, or a disk has written another segment's header here. */
    candidate->foreign = !candidate->sealed && candidate->blocks.n_blocks == 0;
    if (!candidate->foreign) {
        return add_damage(candidate, bad_header);
    }
    struct ft_store_damage whole = {.size = candidate->size,
                                    .before = FT_STORE_NO_BLOCK_BEHIND,
                                    .what = "not what its name says"};
    ft_store_candidate_deinit(candidate);
    return add_damage(candidate, whole);
}

static ft_err read_header(struct ft_disk_file *file, struct ft_store_candidate *candidate)
{
    uint8_t bytes[FT_STORE_SEGMENT_HEADER_SIZE];
    struct ft_store_segment_header header;
    uint32_t version = 0;
    size_t size = 0;
    ft_err err = ft_store_read(file, 0, bytes, sizeof bytes, &size);
    candidate->io_error = err != FT_OK;
    if (err != FT_OK || size < sizeof bytes ||
        !ft_store_decode_segment_header(bytes, &header, &version)) {
        /* A file of this size holds no block: a crash came between its name and its header. */
        if (candidate->size < FT_STORE_SEGMENT_HEADER_SIZE + FT_STORE_BLOCK_HEADER_SIZE) {
            return FT_OK;
        }
        return add_damage(candidate, bad_header);
    }
    if (version != 1) {
        return FT_E_UNSUPPORTED;
    }
    if (header.number != candidate->number) {
        candidate->foreign = true;
        candidate->other_salt = header.salt;
        return FT_OK;
    }
    candidate->header_known = true;
    candidate->salt_known = true;
    candidate->salt = header.salt;
    candidate->previous = header.previous;
    candidate->blocks = (struct ft_log_segment){.number = candidate->number,
                                                .first = header.first,
                                                .last = header.first - 1,
                                                .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    return FT_OK;
}

static void read_trailer(struct ft_disk_file *file, struct ft_store_candidate *candidate)
{
    uint8_t bytes[FT_STORE_TRAILER_SIZE];
    struct ft_store_trailer trailer;
    size_t size = 0;
    if (candidate->size < FT_STORE_SEGMENT_HEADER_SIZE + FT_STORE_TRAILER_SIZE) {
        return;
    }
    uint64_t offset = candidate->size - FT_STORE_TRAILER_SIZE;
    if (ft_store_read(file, offset, bytes, sizeof bytes, &size) != FT_OK || size < sizeof bytes ||
        !ft_store_decode_trailer(bytes, &trailer) || trailer.offset != offset ||
        trailer.number != candidate->number ||
        (candidate->header_known && trailer.salt != candidate->salt)) {
        return;
    }
    candidate->sealed = true;
    candidate->salt_known = true;
    candidate->salt = trailer.salt;
    candidate->previous = trailer.previous;
    candidate->durable = trailer.last;
    candidate->blocks = (struct ft_log_segment){.number = candidate->number,
                                                .first = trailer.first,
                                                .last = trailer.last,
                                                .n_blocks = trailer.n_blocks,
                                                .n_events = trailer.n_events,
                                                .bytes = offset,
                                                .first_time_ns = trailer.first_time_ns};
}

static ft_err scan_blocks(struct ft_disk_file *file, struct ft_store_candidate *candidate)
{
    uint64_t end = candidate->sealed ? candidate->blocks.bytes : candidate->size;
    uint64_t position = candidate->blocks.first > 0 ? candidate->blocks.first - 1 : 0;
    candidate->blocks = (struct ft_log_segment){.number = candidate->number,
                                                .first = position + 1,
                                                .last = position,
                                                .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    candidate->scanned = true;
    uint8_t *frame = malloc(ft_store_frame_size(FT_LOG_BLOCK_SIZE_MAX));
    if (frame == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    struct ft_store_scan scan;
    ft_store_scan_init(&scan, file, FT_STORE_SEGMENT_HEADER_SIZE, end,
                       candidate->salt_known ? &candidate->salt : NULL);
    scan.skip_io_errors = true;
    scan.other_salt = candidate->foreign ? &candidate->other_salt : NULL;
    struct ft_store_block_header header;
    uint64_t offset;
    ft_err err;
    while ((err = ft_store_scan_next(&scan, &header, &offset)) == FT_OK) {
        if (scan.skipped > 0) {
            err = add_damage(candidate, (struct ft_store_damage){.offset = offset - scan.skipped,
                                                                 .size = scan.skipped,
                                                                 .after = position,
                                                                 .before = header.position,
                                                                 .what = "bad block header"});
        }
        if (err == FT_OK) {
            err = scan_block(file, &header, offset, frame, candidate, &position);
        }
        if (err != FT_OK) {
            break;
        }
    }
    if (err == FT_E_END) {
        err = FT_OK;
        if (scan.skipped_content) {
            err = add_damage(candidate, (struct ft_store_damage){.offset = end - scan.skipped,
                                                                 .size = scan.skipped,
                                                                 .after = position,
                                                                 .before = FT_STORE_NO_BLOCK_BEHIND,
                                                                 .what = "cut short"});
        }
    }
    candidate->io_error = candidate->io_error || scan.had_io_error;
    candidate->salt = scan.salt;
    candidate->salt_known = scan.salt_known;
    ft_store_scan_deinit(&scan);
    free(frame);
    return err;
}

/* '*position' is that of the last block seen, whole or not. */
static ft_err scan_block(struct ft_disk_file *file, const struct ft_store_block_header *header,
                         uint64_t offset, uint8_t *frame, struct ft_store_candidate *candidate,
                         uint64_t *position)
{
    size_t frame_size = ft_store_frame_size(header->size);
    struct ft_store_damage part = {
        .offset = offset, .size = frame_size, .after = *position, .before = header->position + 1};
    if (candidate->blocks.n_blocks > 0 && header->position <= *position) {
        part.after = header->position;
        part.what = "out of order";
        return add_damage(candidate, part);
    }
    *position = header->position;
    ft_err err = ft_store_load_block(file, offset, header, frame);
    if (err != FT_OK) {
        candidate->io_error = candidate->io_error || err != FT_E_CORRUPT;
        part.what = err == FT_E_CORRUPT ? "bad checksum" : "unreadable";
        return add_damage(candidate, part);
    }
    if (header->durable > candidate->durable) {
        candidate->durable = header->durable;
    }
    count_block(&candidate->blocks, header, offset + frame_size);
    return FT_OK;
}

static ft_err add_damage(struct ft_store_candidate *candidate, struct ft_store_damage part)
{
    if (candidate->damages == NULL) {
        candidate->damages = calloc(1, sizeof *candidate->damages);
        if (candidate->damages == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
    }
    struct ft_store_damages *damages = candidate->damages;
    if (damages->n < FT_STORE_DAMAGES_MAX) {
        damages->parts[damages->n++] = part;
        return FT_OK;
    }
    struct ft_store_damage *last = &damages->parts[FT_STORE_DAMAGES_MAX - 1];
    last->size = part.offset + part.size - last->offset;
    last->before = part.before;
    last->what = "many damaged blocks";
    return FT_OK;
}

static void count_block(struct ft_log_segment *blocks, const struct ft_store_block_header *header,
                        uint64_t end)
{
    if (blocks->n_blocks == 0) {
        blocks->first = header->position;
        blocks->first_time_ns = header->info.time_ns;
    }
    blocks->last = header->position;
    blocks->n_blocks++;
    blocks->n_events += header->info.n_events;
    blocks->bytes = end;
}

static ft_err split_blocks(struct ft_disk_file *file, const struct ft_store_candidate *candidate,
                           uint64_t split, struct ft_log_segment *kept, struct ft_store_tail *tail,
                           uint64_t *tail_bytes)
{
    struct ft_store_scan scan;
    ft_store_scan_init(&scan, file, FT_STORE_SEGMENT_HEADER_SIZE, candidate->blocks.bytes,
                       candidate->salt_known ? &candidate->salt : NULL);
    scan.skip_io_errors = true;
    struct ft_store_block_header header;
    uint64_t offset;
    uint64_t position = 0;
    ft_err err;
    while ((err = ft_store_scan_next(&scan, &header, &offset)) == FT_OK) {
        if (header.position <= position || header.position >= candidate->limit) {
            continue;
        }
        position = header.position;
        if (position < split) {
            count_block(kept, &header, scan.offset);
            continue;
        }
        *tail_bytes += ft_store_frame_size(header.size);
        if (tail != NULL) {
            err = add_to_tail(file, offset, &header, tail);
            if (err != FT_OK && err != FT_E_CORRUPT) {
                break;
            }
        }
    }
    ft_store_scan_deinit(&scan);
    if (err == FT_E_END && scan.had_io_error && !candidate->io_error) {
        return ft_err_from_errno(EIO);
    }
    return err == FT_E_END ? FT_OK : err;
}

/* A block that is not whole was reported when the file was inspected. */
static ft_err add_to_tail(struct ft_disk_file *file, uint64_t offset,
                          const struct ft_store_block_header *header, struct ft_store_tail *tail)
{
    FT_TRY(ft_store_tail_reserve(tail));
    struct ft_store_buf *buf = ft_store_buf_create(header->size);
    if (buf == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = ft_store_load_block(file, offset, header, buf->frame);
    if (err != FT_OK) {
        ft_store_buf_unref(buf);
        return err;
    }
    buf->info = header->info;
    buf->position = header->position;
    ft_store_tail_add(tail, buf);
    return FT_OK;
}
