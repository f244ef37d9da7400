/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the blocks of a segment file: from block to block by their lengths, and behind a damaged
 * one by looking for the next header.  Each step goes forward, so that the work is linear in the
 * size of the file whatever is in it.
 *
 * Thread: owner only.
 */
#ifndef FT_STORE_SCAN_H
#define FT_STORE_SCAN_H 1

#include "store/format.h"

struct ft_store_scan {
    struct ft_disk_file *file;
    uint64_t offset; /* The next block is looked for from here on. */
    uint64_t end;    /* Nothing behind this is looked at. */
    uint64_t salt;
    bool salt_known;            /* Else the first block that is found sets it. */
    const uint64_t *other_salt; /* But no block with this one; NULL: any. */
    bool skip_io_errors;
    /* About the last step. */
    uint64_t skipped;     /* Bytes before the block that belong to none. */
    bool skipped_content; /* Not all of them were zero. */
    bool had_io_error;    /* Ever, with 'skip_io_errors'. */
    uint8_t *chunk;
};

void ft_store_scan_init(struct ft_store_scan *scan, struct ft_disk_file *file, uint64_t offset,
                        uint64_t end, const uint64_t *salt);
void ft_store_scan_deinit(struct ft_store_scan *scan);

/*
 * The next block whose header is whole and which ends before 'end'; moves behind it.  FT_E_END
 * when there is none, -ENOMEM, or the disk's error.
 */
FT_MUST_USE ft_err ft_store_scan_next(struct ft_store_scan *scan,
                                      struct ft_store_block_header *ret_header,
                                      uint64_t *ret_offset);

/*
 * Reads the block at 'offset' whole into 'frame' (ft_store_frame_size bytes) and checks it, header
 * included.  FT_E_CORRUPT, or the disk's error.
 */
FT_MUST_USE ft_err ft_store_load_block(struct ft_disk_file *file, uint64_t offset,
                                       const struct ft_store_block_header *header, uint8_t *frame);

/*
 * read_at(), tried some times more when it fails: recovery takes what cannot be read for damaged,
 * and an error of the moment must not look like that.
 */
FT_MUST_USE ft_err ft_store_read(struct ft_disk_file *file, uint64_t offset, void *data,
                                 size_t size, size_t *ret_size);

#endif
