/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two homes of the log share: the list of segments, the readers with their cursors, the
 * counters, the waiting.  A home (memory_log.c, disk_log.c) embeds struct ft_log and brings the
 * bytes.
 *
 * A segment is a run of blocks that is freed as a whole.  Segments are kept in an array in order
 * of position; within a segment blocks are found by walking, so that nothing is kept per block.
 *
 * Not for other folders.
 *
 * Lock: log->lock, a leaf.  No I/O and no callback under it.
 */
#ifndef FT_STORE_LOG_CORE_H
#define FT_STORE_LOG_CORE_H 1

#include "base/thread.h"
#include "store/format.h"
#include "store/log.h"

struct ft_log_segment {
    uint64_t number; /* Ascending in order of creation, never used twice. */
    uint64_t first;  /* Position of its first block. */
    uint64_t last;   /* first - 1 while it is empty. */
    uint64_t n_blocks;
    uint64_t n_events;
    uint64_t bytes;
    int64_t first_time_ns;
    bool dropping; /* Its loss is being told: readers wait until it is gone or stays. */
    bool shared;   /* Its file also holds blocks that are still to be written elsewhere. */
};

/* A named reader's place, also while the reader is not open (disk). */
struct ft_log_cursor {
    char name[FT_LOG_READER_NAME_SIZE]; /* Empty: unused. */
    bool open;
    bool is_volatile;
    uint64_t confirmed;
    uint64_t taken; /* The last that was given out. */
    uint64_t held;  /* What this cursor lets go: confirmed, and durably so. */
    /* Kept with 'confirmed'. */
    size_t note_size;
    uint8_t note[FT_LOG_NOTE_SIZE_MAX];
    void *home_own; /* The home's: the cursor's file. */
};

struct ft_log_reader {
    struct ft_log *log;
    struct ft_log_cursor *cursor;
    /* Guarded by the log's lock. */
    uint64_t next;
    uint64_t wakes_seen;
    /* Where 'hint_position' is, or would be: in segment 'hint_number', at 'hint_offset'. */
    uint64_t hint_number;
    uint64_t hint_position;
    uint64_t hint_offset;
    /* The reading thread's. */
    struct ft_disk_file *file; /* Open on segment 'file_number', else NULL. */
    uint64_t file_number;
    uint64_t failed_position;
    unsigned n_failures;
};

/* Begins whatever ft_block.owner_ points to. */
struct ft_log_owner {
    void (*release)(struct ft_log_owner *owner);
};

typedef void ft_store_block_fn(void *ctx, const struct ft_block_info *info, uint64_t position,
                               size_t size);

/* A home.  Called without the lock unless it says "_locked". */
struct ft_log_home {
    ft_err (*append)(struct ft_log *log, const struct ft_block_info *info, const void *data,
                     size_t size, uint64_t *ret_position);
    ft_err (*sync)(struct ft_log *log);
    ft_err (*read)(struct ft_log_reader *reader, bool durable_only, struct ft_block *ret_block);
    /* Calls 'fn' for each block of a segment that can be read.  Fails, before the first call, when
     * the segment cannot be looked into. */
    ft_err (*each_block)(struct ft_log *log, struct ft_log_segment *segment, ft_store_block_fn *fn,
                         void *ctx);
    /* Frees a segment that is off the list, and its memory or file. */
    void (*discard)(struct ft_log *log, struct ft_log_segment *segment);
    /* A segment was taken off the list. */
    void (*taken_locked)(struct ft_log *log, const struct ft_log_segment *segment);
    /* Every reader has confirmed up to 'floor'. */
    void (*confirmed_locked)(struct ft_log *log, uint64_t floor);
    /* Makes a cursor new to the log survive a restart. */
    ft_err (*cursor_create)(struct ft_log *log, struct ft_log_cursor *cursor);
    ft_err (*cursor_store)(struct ft_log *log, struct ft_log_cursor *cursor,
                           const struct ft_store_cursor_record *record, bool durable);
    ft_err (*cursor_remove)(struct ft_log *log, struct ft_log_cursor *cursor);
    void (*reader_close)(struct ft_log_reader *reader);
    void (*destroy)(struct ft_log *log);
    bool keeps_cursors; /* A cursor outlives its reader. */
};

struct ft_log {
    /* Set at creation. */
    const struct ft_log_home *home;
    struct ft_log_options options;
    uint64_t unkept_max; /* Bytes that a reader may have confirmed without its place being kept. */
    void (*listener)(void *ctx);
    void *listener_ctx;

    /* The files of the cursors; they are written and synced under it.  Taken before 'lock'. */
    struct ft_mutex places_lock;
    struct ft_mutex lock;
    struct ft_cond changed;
    /* Guarded by 'lock'. */
    struct ft_log_segment **segments FT_GUARDED;
    size_t n_segments FT_GUARDED;
    size_t n_segments_allocated FT_GUARDED;
    struct ft_log_segment *head FT_GUARDED; /* The segment appended to; NULL or the last one. */
    uint64_t next_position FT_GUARDED;
    uint64_t last FT_GUARDED; /* Of the newest block; 0 before the first. */
    uint64_t durable FT_GUARDED;
    int64_t newest_time_ns FT_GUARDED; /* ft_block_info.time_ns of the newest block. */
    uint64_t bytes FT_GUARDED;         /* Of all segments on the list. */
    uint64_t held_floor FT_GUARDED;    /* Cursor files that are not in 'cursors' hold this back. */
    uint64_t wakes FT_GUARDED;
    struct ft_log_cursor cursors[FT_LOG_READERS_MAX] FT_GUARDED;
    struct ft_log_stats counters FT_GUARDED; /* Only what is counted up. */
};

void ft_store_init(struct ft_log *log, const struct ft_log_home *home,
                   const struct ft_log_options *options);
void ft_store_deinit(struct ft_log *log);

/* Room for 'n' more segments, so that adding them cannot fail. */
FT_MUST_USE ft_err ft_store_reserve_segments_locked(struct ft_log *log, size_t n)
    FT_REQUIRES(log->lock);
void ft_store_add_segment_locked(struct ft_log *log, struct ft_log_segment *segment)
    FT_REQUIRES(log->lock);
/* Takes the oldest segment off the list; NULL when there is none. */
struct ft_log_segment *ft_store_take_oldest_locked(struct ft_log *log) FT_REQUIRES(log->lock);
/* Takes any off the list. */
struct ft_log_segment *ft_store_take_locked(struct ft_log *log, size_t index)
    FT_REQUIRES(log->lock);
/* Index of the first segment whose last block is at 'position' or behind it; n_segments: none. */
size_t ft_store_find_segment_locked(const struct ft_log *log, uint64_t position)
    FT_REQUIRES(log->lock);
/* Counts a block that was placed into 'segment'. */
void ft_store_count_block_locked(struct ft_log *log, struct ft_log_segment *segment,
                                 const struct ft_block_info *info, uint64_t position,
                                 uint64_t bytes) FT_REQUIRES(log->lock);
/* What every reader has confirmed; 0 while there is none. */
uint64_t ft_store_confirmed_locked(const struct ft_log *log) FT_REQUIRES(log->lock);
/* What every reader has taken, and what any has. */
uint64_t ft_store_taken_locked(const struct ft_log *log) FT_REQUIRES(log->lock);
uint64_t ft_store_taken_by_any_locked(const struct ft_log *log) FT_REQUIRES(log->lock);
/* What every reader has confirmed for good: after a restart it still knows. */
uint64_t ft_store_held_locked(const struct ft_log *log) FT_REQUIRES(log->lock);

/* Reports the blocks of 'segment', which is off the list, behind 'floor' as dropped, and discards
 * it. */
void ft_store_drop(struct ft_log *log, struct ft_log_segment *segment, uint64_t floor);
/* The same of a segment on the list that is marked as 'dropping'.  On an error it stays there;
 * 'in doubt' it stays marked, because nobody knows whether its loss is on disk. */
FT_MUST_USE ft_err ft_store_drop_listed(struct ft_log *log, struct ft_log_segment *segment,
                                        uint64_t floor, bool *ret_in_doubt);
/* Bytes of the segments up to 'floor'. */
uint64_t ft_store_bytes_to_locked(const struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock);
/* Makes durable what the readers have confirmed, so that it may go: without that a power cut would
 * set them back to before what is gone. */
FT_MUST_USE ft_err ft_store_keep_places(struct ft_log *log);
/* Discards what every reader has confirmed, but for what is to be kept. */
void ft_store_free_confirmed(struct ft_log *log);

struct ft_log_cursor *ft_store_find_cursor_locked(struct ft_log *log, const char *name)
    FT_REQUIRES(log->lock);
struct ft_log_cursor *ft_store_add_cursor_locked(struct ft_log *log, const char *name)
    FT_REQUIRES(log->lock);
/* "duckdb", "sink-2": [a-z0-9_-], short enough for a file's name. */
bool ft_store_reader_name_valid(const char *name);

#endif
