/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small record that is replaced often and must survive any crash: a file with two slots, each
 * with a checksum and a generation.  The one with the higher generation counts.  The slot that is
 * known to be on disk is never written to, so that whatever happens to a write leaves it.
 *
 * Cursors are kept in such files, and the agent's state.
 *
 *   Slot                                        The file: slots at 0 and at 'slot_bytes', which is
 *    0  4  magic, says what the record is       a multiple of 512: no slot shares a sector with
 *    4  4  version, 2                           the other.
 *    8  8  checksum of bytes 16 to the end
 *   16  8  generation
 *   24  4  size of the record
 *   28  4  0
 *   32     the record
 *
 * A record that is written without being made durable survives the end of the process, as long as
 * it is one page with its slot: a larger write may be cut in the middle by a kill.
 *
 * Thread: owner only.
 */
#ifndef FT_STORE_SLOT_FILE_H
#define FT_STORE_SLOT_FILE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"

#define FT_SLOT_HEADER_SIZE ((size_t)32)
#define FT_SLOT_BYTES_MAX   ((size_t)64 << 10)

struct ft_slot_kind {
    char magic[5]; /* Four letters. */
    size_t slot_bytes;
};

struct ft_slot_file {
    const struct ft_slot_kind *kind;
    struct ft_disk *disk;
    char name[FT_DISK_NAME_SIZE];
    struct ft_disk_file *file; /* NULL: to be written anew. */
    uint64_t generation;
    unsigned stable; /* The slot that is known to be on disk. */
    bool spoilt;     /* A sync of the file has failed: it is never synced again. */
};

/*
 * Reads the record that counts into 'record' (kind->slot_bytes).  -ENOENT without the file,
 * FT_E_CORRUPT when neither slot is whole, or the disk's error.
 */
FT_MUST_USE ft_err ft_slot_file_read(struct ft_disk *disk, const char *name,
                                     const struct ft_slot_kind *kind, void *record,
                                     size_t *ret_size, uint64_t *ret_generation);

/* 'generation' is that of the last record, 0 for none.  Nothing is opened or written yet. */
void ft_slot_file_init(struct ft_slot_file *slots, struct ft_disk *disk, const char *name,
                       const struct ft_slot_kind *kind, uint64_t generation);
/* Closes the file; it can be written again after that. */
void ft_slot_file_close(struct ft_slot_file *slots);

/*
 * Writes the record, and with 'durable' makes it so.  The first write, and one after a failure,
 * replaces the file; that is durable always.  Where there is no room for that the file that is
 * there is used on, so that with it a record can always be written.
 */
FT_MUST_USE ft_err ft_slot_file_write(struct ft_slot_file *slots, const void *record, size_t size,
                                      bool durable);

/* Of one slot, for the above and for tests: 'to' has FT_SLOT_HEADER_SIZE + size bytes. */
void ft_slot_encode(const struct ft_slot_kind *kind, uint64_t generation, const void *record,
                    size_t size, uint8_t *to);
/* False for what is not such a slot.  '*ret_record' points into 'from'. */
bool ft_slot_decode(const struct ft_slot_kind *kind, const uint8_t *from, size_t from_size,
                    uint64_t *ret_generation, const uint8_t **ret_record, size_t *ret_size);

#endif
