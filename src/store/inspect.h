/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a segment file holds, found out after a restart (disk_recover.c).
 *
 * Not for other folders.  Thread: owner only.
 */
#ifndef FT_STORE_INSPECT_H
#define FT_STORE_INSPECT_H 1

#include "store/disk_log.h"

/* Damaged parts told apart in one file; what is behind them is counted into the last one. */
#define FT_STORE_DAMAGES_MAX 64

/* 'before' of a damaged part that no whole block follows. */
#define FT_STORE_NO_BLOCK_BEHIND UINT64_MAX

struct ft_store_damage {
    uint64_t offset;
    uint64_t size;
    uint64_t after;  /* Position of the block before the part; 0: none or not known. */
    uint64_t before; /* Position of the block behind it. */
    const char *what;
};

struct ft_store_damages {
    size_t n;
    struct ft_store_damage parts[FT_STORE_DAMAGES_MAX];
};

/* One file "seg-…". */
struct ft_store_candidate {
    uint64_t number;
    uint64_t size;
    bool foreign;  /* It does not have the number that its name says: left alone. */
    bool io_error; /* The disk could not read some of it. */
    bool sealed;   /* Has a trailer: whole and durable. */
    bool scanned;  /* Was read block by block. */
    bool header_known;
    bool salt_known;
    uint64_t salt;
    uint64_t other_salt; /* Of a header that is another segment's. */
    uint64_t previous;   /* As the header says; 0 where not known. */
    uint64_t durable;    /* The highest position that its blocks know to be durable. */
    /* Its whole blocks; n_blocks 0: none. */
    struct ft_log_segment blocks;
    struct ft_store_damages *damages; /* NULL: none. */
    uint64_t used;  /* The highest position that was in it, damaged or not, or before it. */
    uint64_t limit; /* Set by recovery: blocks from here on are newer elsewhere. */
};

/*
 * Reads a file that was found: header and trailer, and every block where there is no trailer or
 * 'must_scan' says so.  FT_E_UNSUPPORTED for another version's segment, -ENOMEM; all that is
 * wrong with the content is in '*candidate'.
 */
FT_MUST_USE ft_err ft_store_inspect(struct ft_disk *disk, bool must_scan,
                                    struct ft_store_candidate *candidate);
void ft_store_candidate_deinit(struct ft_store_candidate *candidate);

/* Whether it has blocks of this log. */
static inline bool ft_store_candidate_usable(const struct ft_store_candidate *candidate)
{
    return !candidate->foreign && candidate->blocks.n_blocks > 0;
}

/*
 * The first position behind 'durable' that is missing while a whole block follows it in this file;
 * UINT64_MAX: none.
 */
uint64_t ft_store_candidate_hole(const struct ft_store_candidate *candidate, uint64_t durable);

/*
 * Cuts the file behind the last block before 'position', and seals it there: what stays is durable
 * and known to be, what does not stay is gone for good.  With no block before it the file is left
 * as it is, and counts as one without blocks.
 */
FT_MUST_USE ft_err ft_store_cut(struct ft_disk *disk, struct ft_store_candidate *candidate,
                                uint64_t position);

/*
 * Writes the first 'bytes' of the file once more, in place.  A process before this one may have
 * failed to sync it: then what is read is in the page cache only, and a sync would find nothing to
 * write.
 */
FT_MUST_USE ft_err ft_store_write_again(struct ft_disk_file *file, uint64_t bytes);

/*
 * Tells 'fn' of every damaged part of the candidates, which are in order of number and have their
 * limits, and of positions that are missing between them, unless it 'may_have_gaps' because
 * segments are dropped from its middle.  Not of what was damaged in one file and is whole in a
 * newer one.
 */
void ft_store_report_damages(const struct ft_store_candidate *candidates, size_t n,
                             bool may_have_gaps, ft_log_damage_fn *fn, void *ctx);

/*
 * Walks the whole blocks again: those before 'split' are counted into '*ret_kept', those at
 * 'split' or behind it and before the candidate's limit are added to 'tail'.  'tail' NULL: only
 * '*ret_tail_bytes' is counted, from the headers.  Fails where the disk does not give what it gave
 * to ft_store_inspect(): a block that was whole then must not be left out.
 */
FT_MUST_USE ft_err ft_store_split(struct ft_disk *disk, const struct ft_store_candidate *candidate,
                                  uint64_t split, struct ft_log_segment *ret_kept,
                                  struct ft_store_tail *tail, uint64_t *ret_tail_bytes);

#endif
