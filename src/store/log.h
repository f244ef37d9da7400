/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log with acknowledged readers: the heart of both programs (ARCHITECTURE.md).
 *
 * An append-only sequence of sealed, immutable, checksummed blocks.  A writer appends; each reader
 * has a cursor and confirms the position up to which it is done; what every reader has confirmed
 * may be freed.  Two homes with the same behaviour and one conformance suite: memory and disk.
 *
 * Blocks are opaque bytes with a small header: whose they are and which sequence numbers they
 * hold.  The log knows neither flows nor protobuf.
 *
 * Positions: the log numbers its blocks 1, 2, 3 … in order of appending; "up to position p" means
 * blocks 1 to p.  0 is before the first.
 *
 * Thread: any; each log has one leaf lock.  On disk, append() and sync() are one writer's.  Of one
 * reader, next(), seek() and wait() are one thread's, and confirm() is one thread's.
 */
#ifndef FT_STORE_LOG_H
#define FT_STORE_LOG_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/error.h"

/* Largest block: a batch of 4096 events in its largest form stays below (wire/batch.h). */
#define FT_LOG_BLOCK_SIZE_MAX ((size_t)1 << 20)

/* Readers of one log, the agent's exporter or the collector's sinks. */
#define FT_LOG_READERS_MAX      16
#define FT_LOG_READER_NAME_SIZE 32

/* What a reader may keep with its confirmed position. */
#define FT_LOG_NOTE_SIZE_MAX 320

/* What is known of a block without looking into it. */
struct ft_block_info {
    uint8_t agent_id[16];
    uint8_t instance_id[16];
    uint64_t first_seq;
    uint32_t n_events;
    int64_t time_ns; /* Sealed (agent) or received (collector). */
};

/* A reference to a block's bytes, which stay valid and unchanged until ft_block_release. */
struct ft_block {
    struct ft_block_info info;
    uint64_t position;
    const uint8_t *data;
    size_t size;
    void *owner_; /* The log's. */
};

struct ft_log;
struct ft_log_reader;

/* What happens at the bound. */
enum ft_log_full {
    FT_LOG_DROP_OLDEST, /* The oldest segment goes; its unconfirmed blocks go through 'on_drop'. */
    FT_LOG_REFUSE       /* append() fails with FT_E_FULL. */
};

/*
 * A block that the log gave up before all readers had confirmed it: called under no lock, in the
 * appending thread.  It must not append to the same log.
 */
typedef void ft_log_drop_fn(void *ctx, const struct ft_block_info *info, size_t size);
typedef ft_err ft_log_dropped_fn(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread);

/* A part of a file that recovery gave up: told once per part, at open. */
struct ft_log_damage {
    char file[FT_DISK_NAME_SIZE];
    uint64_t offset;
    uint64_t size;
    uint64_t blocks_lost; /* Known holes in the positions; 0 when it cannot be told. */
    const char *what;     /* Static text: "bad checksum", "cut short". */
};
typedef void ft_log_damage_fn(void *ctx, const struct ft_log_damage *damage);

struct ft_log_range {
    uint64_t first;
    uint64_t last;
};

struct ft_log_options {
    uint64_t bytes_max; /* Content with headers.  Memory: also the memory taken, within 5 %. */
    enum ft_log_full full;
    ft_log_drop_fn *on_drop; /* NULL: only counted. */
    void *on_drop_ctx;
    /* The readers keep the blocks they have taken until they confirm them.  In memory a block that
     * all have taken is not lost when it is dropped here, and does not go through on_drop.  On disk
     * a segment with such a block is not dropped, but the oldest one behind it: after a restart the
     * reader must find what it had sent and what was not acknowledged. */
    bool readers_hold;
    /* Disk only.  Called, as on_drop is, between the last on_drop of a segment and its removal:
     * whoever keeps account of losses makes it durable here.  'first' to 'last' are positions;
     * 'n_unread' events were in blocks that cannot be read and did not go through on_drop.  On an
     * error the append fails with it, and the next one begins anew with the first on_drop of the
     * same segment: what the account is, is not known until then.  Readers that come to the
     * segment meanwhile wait. */
    ft_log_dropped_fn *on_dropped;
    /* Disk only.  Positions that were dropped and not confirmed, as on_dropped has told: where a
     * file has them all the same they count for nothing.  A crash may come before its removal, and
     * a file whose sync has failed keeps what was then written elsewhere. */
    const struct ft_log_range *dropped;
    size_t n_dropped;
    /* What every reader has confirmed stays for go_back(), up to so many bytes (and a segment), and
     * until it is so much older than the newest block (0: however old).  It is never in the way: at
     * any bound it goes first, and nobody is told.  0 bytes: nothing stays. */
    uint64_t keep_bytes;
    int64_t keep_ns;
    /* What is freed at once.  0: 4 MiB in memory, 64 MiB on disk; less where bytes_max is small
     * (a twentieth of it in memory, an eighth on disk), more for a block that is larger. */
    uint64_t segment_bytes;
    /* Disk only: so many segments' space is kept in reserve, for when the file system is full, and
     * no segment is larger than a 32nd of the file system. */
    unsigned reserve_segments;
    /* Disk only: while less than this share of the file system is free, the log does not grow: a
     * new segment waits until as much is freed or dropped.  0: no such bound. */
    double free_ratio_min;
};

FT_MUST_USE ft_err ft_log_memory_create(const struct ft_log_options *options,
                                        struct ft_log **ret_log);

/*
 * Opens or makes a log in 'disk' (borrowed until ft_log_destroy).  Recovery keeps the valid prefix
 * of each segment, reports damage and never refuses to start because of it.  Fails only when the
 * directory itself cannot be read or written.
 */
FT_MUST_USE ft_err ft_log_disk_open(struct ft_disk *disk, const struct ft_log_options *options,
                                    ft_log_damage_fn *on_damage, void *on_damage_ctx,
                                    struct ft_log **ret_log);

/* Accepts NULL.  All readers are closed and all blocks released. */
void ft_log_destroy(struct ft_log *log);
FT_DEFINE_CLEANUP(struct ft_log, ft_log_destroy);

/*
 * Copies 'data' in as the next block.  FT_E_FULL (refuse, or larger than the log), FT_E_RANGE
 * (larger than FT_LOG_BLOCK_SIZE_MAX), or the disk's error; after a disk error the block is not in
 * the log and the segment is closed: the next append goes to a new one.
 */
FT_MUST_USE ft_err ft_log_append(struct ft_log *log, const struct ft_block_info *info,
                                 const void *data, size_t size, uint64_t *ret_position);

/*
 * Makes all blocks up to the last append() durable; '*ret_position' is the last of them.  On
 * failure the segment is given up and never synced again; every block of it that was not durable
 * is written again to a new segment and synced there before this returns FT_OK, else the error
 * stands and nothing may be acknowledged.  In memory: the last position, at once.
 */
FT_MUST_USE ft_err ft_log_sync(struct ft_log *log, uint64_t *ret_position);

/* Positions of the oldest block kept and of the last appended; first > last when empty. */
void ft_log_bounds(struct ft_log *log, uint64_t *ret_first, uint64_t *ret_last);
/* What every reader has confirmed; 0 without any. */
uint64_t ft_log_confirmed(struct ft_log *log);
/* The newest block kept.  On disk it reads that segment's headers: not while anything is appended.
 * FT_E_NOT_FOUND when there is none, or the disk's error. */
FT_MUST_USE ft_err ft_log_newest(struct ft_log *log, struct ft_block_info *ret_info);
/* The last durable position (disk) or the last (memory). */
uint64_t ft_log_durable(struct ft_log *log);

struct ft_log_stats {
    uint64_t blocks;
    uint64_t events;
    uint64_t bytes;
    uint64_t bytes_max;
    uint64_t segments;
    uint64_t appended_blocks;
    uint64_t appended_events;
    uint64_t dropped_blocks; /* At the bound, not confirmed by all readers. */
    uint64_t dropped_events;
    uint64_t syncs;
    uint64_t sync_failures;
    uint64_t damaged_parts;
    uint64_t space_refusals; /* Segments that were not added for want of disk space. */
    bool space_low;          /* So the last time that one was wanted. */
    uint64_t reserve_bytes;  /* Kept for a full disk. */
    int64_t oldest_time_ns;  /* ft_block_info.time_ns of the oldest block; 0 when empty. */
    uint64_t kept_blocks;    /* The part in segments that every reader has confirmed. */
    uint64_t kept_events;
    uint64_t kept_bytes;
};
void ft_log_stats(struct ft_log *log, struct ft_log_stats *ret_stats);

/*
 * A named reader; on disk its confirmed position is kept in the file "cursor-NAME" and survives a
 * restart.  A reader that is new to the log begins at the oldest block.  A 'volatile_reader' is
 * not kept and holds nothing back: blocks may be freed before it came to them.
 */
FT_MUST_USE ft_err ft_log_reader_open(struct ft_log *log, const char *name, bool volatile_reader,
                                      struct ft_log_reader **ret_reader);
/* Accepts NULL.  In memory the reader's name is forgotten with it. */
void ft_log_reader_close(struct ft_log_reader *reader);

/*
 * On disk a reader that is not open holds its blocks back all the same.  These name the readers
 * that are known, and forget one for good: a sink that was taken out of the configuration.
 * FT_E_NOT_FOUND, -EBUSY while it is open, or the disk's error.
 */
size_t ft_log_reader_names(struct ft_log *log, char names[][FT_LOG_READER_NAME_SIZE], size_t n_max);
FT_MUST_USE ft_err ft_log_reader_forget(struct ft_log *log, const char *name);

/*
 * The block behind the reader's cursor, and moves the cursor.  -EAGAIN when there is none yet.
 * FT_E_CORRUPT: the block failed its checksum when read; the cursor has moved past it and
 * 'ret_block->info' and 'position' are filled where known.  Release each block.
 * Where 'durable_only' was asked for, blocks that are not synced yet are not given out.
 */
FT_MUST_USE ft_err ft_log_reader_next(struct ft_log_reader *reader, bool durable_only,
                                      struct ft_block *ret_block);
void ft_block_release(struct ft_block *block);

/* The next block to be read is the one behind 'position' (resume after a break). */
void ft_log_reader_seek(struct ft_log_reader *reader, uint64_t position);
uint64_t ft_log_reader_position(struct ft_log_reader *reader);

/*
 * Everything up to 'position' is done; only go_back() takes that back.  On disk the position is
 * written, not synced: after a power cut a reader may get blocks again, never miss one.
 */
FT_MUST_USE ft_err ft_log_reader_confirm(struct ft_log_reader *reader, uint64_t position);
uint64_t ft_log_reader_confirmed(struct ft_log_reader *reader);

/*
 * The same, and keeps 'note' (FT_LOG_NOTE_SIZE_MAX bytes at most) with the position: after any
 * restart both are of one call.  At the confirmed position itself it replaces the note.  confirm()
 * keeps the note that is there.
 */
FT_MUST_USE ft_err ft_log_reader_confirm_noted(struct ft_log_reader *reader, uint64_t position,
                                               const void *note, size_t size);
/*
 * Takes back what was confirmed behind 'position': these blocks are read and confirmed again, and
 * from now on dropping them is a loss again.  'note' as above; NULL keeps the one that is there.
 * Positions that are not confirmed yet are only sought.  FT_E_NOT_FOUND, and nothing has changed:
 * the block behind 'position' is not there any more.
 */
FT_MUST_USE ft_err ft_log_reader_go_back(struct ft_log_reader *reader, uint64_t position,
                                         const void *note, size_t size);
/* Replaces the note alone. */
FT_MUST_USE ft_err ft_log_reader_set_note(struct ft_log_reader *reader, const void *note,
                                          size_t size);
/* Makes the confirmed position and its note durable. */
FT_MUST_USE ft_err ft_log_reader_keep(struct ft_log_reader *reader);
/* Copies the note; '*ret_size' is 0 when there is none. */
void ft_log_reader_note(struct ft_log_reader *reader, uint8_t note[FT_LOG_NOTE_SIZE_MAX],
                        size_t *ret_size);
/*
 * On disk, with readers_hold: takes blocks of 'bytes' together behind the confirmed position for
 * given out, and their whole segments: before a restart they may have been.  The position may have
 * been further on by a segment, because only what frees one is made durable.
 */
void ft_log_reader_hold(struct ft_log_reader *reader, uint64_t bytes);
/* Blocks and events behind the confirmed position.  It may walk one segment: only while nothing is
 * appended, confirmed or dropped. */
FT_MUST_USE ft_err ft_log_reader_unconfirmed(struct ft_log_reader *reader, uint64_t *ret_blocks,
                                             uint64_t *ret_events);

/*
 * Waits until a block behind the reader's cursor is there (durable, where asked for), the deadline
 * passes (false) or ft_log_wake_all is called (false).
 */
bool ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only, int64_t deadline_mono_ns);
void ft_log_wake_all(struct ft_log *log);

/* Called, under no lock, after each append (memory) or sync (disk); one listener, set before use.
 */
void ft_log_set_listener(struct ft_log *log, void (*fn)(void *ctx), void *ctx);

#endif
