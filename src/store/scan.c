/* SPDX-License-Identifier: Apache-2.0 */
#include "store/scan.h"

#include <stdlib.h>
#include <string.h>

#define READ_ATTEMPTS 4
#define CHUNK_SIZE    ((size_t)64 << 10)
/* What is given up at once where the disk cannot read: a page. */
#define PAGE_SIZE_SKIPPED ((size_t)4096)

static bool accept_header(struct ft_store_scan *scan, const uint8_t *from, uint64_t offset,
                          struct ft_store_block_header *ret_header);
static ft_err search(struct ft_store_scan *scan, struct ft_store_block_header *ret_header,
                     uint64_t *ret_offset);
static ft_err read_chunk(struct ft_store_scan *scan, uint64_t offset, size_t *ret_size);
static bool any_content(const uint8_t *data, size_t size);

void ft_store_scan_init(struct ft_store_scan *scan, struct ft_disk_file *file, uint64_t offset,
                        uint64_t end, const uint64_t *salt)
{
    *scan = (struct ft_store_scan){.file = file, .offset = offset, .end = end};
    if (salt != NULL) {
        scan->salt = *salt;
        scan->salt_known = true;
    }
}

void ft_store_scan_deinit(struct ft_store_scan *scan)
{
    free(scan->chunk);
    scan->chunk = NULL;
}

ft_err ft_store_scan_next(struct ft_store_scan *scan, struct ft_store_block_header *ret_header,
                          uint64_t *ret_offset)
{
    scan->skipped = 0;
    scan->skipped_content = false;
    if (scan->offset >= scan->end) {
        return FT_E_END;
    }
    uint8_t bytes[FT_STORE_BLOCK_HEADER_SIZE];
    size_t size;
    ft_err err = ft_store_read(scan->file, scan->offset, bytes, sizeof bytes, &size);
    if (err != FT_OK && !scan->skip_io_errors) {
        return err;
    }
    if (err != FT_OK || size < sizeof bytes ||
        !accept_header(scan, bytes, scan->offset, ret_header)) {
        return search(scan, ret_header, ret_offset);
    }
    *ret_offset = scan->offset;
    scan->offset += ft_store_frame_size(ret_header->size);
    return FT_OK;
}

ft_err ft_store_load_block(struct ft_disk_file *file, uint64_t offset,
                           const struct ft_store_block_header *header, uint8_t *frame)
{
    size_t size;
    size_t frame_size = ft_store_frame_size(header->size);
    FT_TRY(ft_store_read(file, offset, frame, frame_size, &size));
    struct ft_store_block_header again;
    if (size < frame_size || !ft_store_decode_block_header(frame, &header->salt, &again) ||
        again.position != header->position || again.size != header->size ||
        again.offset != offset || !ft_store_check_block(&again, frame)) {
        return FT_E_CORRUPT;
    }
    return FT_OK;
}

ft_err ft_store_read(struct ft_disk_file *file, uint64_t offset, void *data, size_t size,
                     size_t *ret_size)
{
    ft_err err = FT_OK;
    for (unsigned i = 0; i < READ_ATTEMPTS; i++) {
        err = file->disk->ops->read_at(file, offset, data, size, ret_size);
        if (err == FT_OK) {
            break;
        }
    }
    return err;
}

static bool accept_header(struct ft_store_scan *scan, const uint8_t *from, uint64_t offset,
                          struct ft_store_block_header *ret_header)
{
    const uint64_t *salt = scan->salt_known ? &scan->salt : NULL;
    if (!ft_store_decode_block_header(from, salt, ret_header) || ret_header->offset != offset ||
        ft_store_frame_size(ret_header->size) > scan->end - offset ||
        (scan->other_salt != NULL && ret_header->salt == *scan->other_salt)) {
        return false;
    }
    scan->salt = ret_header->salt;
    scan->salt_known = true;
    return true;
}

static ft_err search(struct ft_store_scan *scan, struct ft_store_block_header *ret_header,
                     uint64_t *ret_offset)
{
    if (scan->chunk == NULL) {
        scan->chunk = malloc(CHUNK_SIZE);
        if (scan->chunk == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
    }
    uint64_t from = scan->offset;
    uint64_t at = from;
    while (at < scan->end) {
        size_t size;
        ft_err err = read_chunk(scan, at, &size);
        if (err != FT_OK && !scan->skip_io_errors) {
            return err;
        }
        if (err != FT_OK) {
            scan->had_io_error = true;
            scan->skipped_content = true;
            at += PAGE_SIZE_SKIPPED;
            continue;
        }
        size_t i = 0;
        for (; i + FT_STORE_BLOCK_HEADER_SIZE <= size; i += 8) {
            if (accept_header(scan, scan->chunk + i, at + i, ret_header)) {
                scan->skipped = at + i - from;
                scan->skipped_content = scan->skipped_content || any_content(scan->chunk, i);
                scan->offset = at + i + ft_store_frame_size(ret_header->size);
                *ret_offset = at + i;
                return FT_OK;
            }
        }
        if (i == 0) {
            /* Less than a header is left, or the file is shorter than it was. */
            scan->skipped_content = scan->skipped_content || any_content(scan->chunk, size);
            break;
        }
        scan->skipped_content = scan->skipped_content || any_content(scan->chunk, i);
        at += i;
    }
    scan->skipped = scan->end - from;
    scan->offset = scan->end;
    return FT_E_END;
}

/* Where a large piece cannot be read, its first page may still be. */
static ft_err read_chunk(struct ft_store_scan *scan, uint64_t offset, size_t *ret_size)
{
    uint64_t rest = scan->end - offset;
    size_t size = rest < CHUNK_SIZE ? (size_t)rest : CHUNK_SIZE;
    ft_err err = ft_store_read(scan->file, offset, scan->chunk, size, ret_size);
    if (err != FT_OK && size > PAGE_SIZE_SKIPPED) {
        err = ft_store_read(scan->file, offset, scan->chunk, PAGE_SIZE_SKIPPED, ret_size);
    }
    return err;
}

static bool any_content(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0) {
            return true;
        }
    }
    return false;
}
