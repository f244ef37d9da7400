/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's home on disk, in parts: disk_log.c appends and syncs, disk_head.c has the file that is
 * written to, disk_pending.c what a failed sync leaves, disk_drop.c lets segments go, disk_space.c
 * minds the file system's room, disk_read.c reads, disk_cursor.c keeps the readers' places,
 * disk_recover.c and inspect.c find it all again after a restart.
 *
 * At most one segment, the head, holds blocks that are not durable; they are also in memory (the
 * tail).  When the head's sync fails, these blocks move to a segment without a file, the pending
 * one, which becomes the head and is written to a file of its own at the next chance.  While it
 * is pending nothing is appended.
 *
 * Not for other folders.
 *
 * Thread: "writer" fields belong to the thread in append() and sync().
 */
#ifndef FT_STORE_DISK_LOG_H
#define FT_STORE_DISK_LOG_H 1

#include "store/log_core.h"
#include "store/scan.h"
#include "store/tail.h"

/* More than this that is not durable is not kept in memory: append() syncs by itself. */
#define FT_STORE_UNSYNCED_MAX (UINT64_C(16) << 20)
/* Durable blocks that are kept in memory for readers. */
#define FT_STORE_RECENT_MAX (UINT64_C(4) << 20)
/* Of the file system, for one segment, where space is reserved. */
#define FT_STORE_SPACE_SHARE 32
/* Segments in reserve, at most. */
#define FT_STORE_RESERVE_MAX 4
/* Segments without blocks that could not be removed yet; further ones are found at next start. */
#define FT_STORE_DOOMED_MAX 8

struct ft_store_disk_segment {
    struct ft_log_segment base; /* 'bytes' is where its last block ends in the file. */
    bool on_disk;
    bool damage_known; /* Recovery has read it whole. */
    bool salt_known;
    uint64_t salt;
};

struct ft_store_disk_log {
    struct ft_log base;
    struct ft_disk *disk;
    uint64_t segment_bytes;
    /* Writer. */
    struct ft_disk_file *head_file;
    bool head_failed; /* A write into it failed: nothing is appended to it any more. */
    bool dir_dirty;   /* The head's name may not be on disk yet. */
    uint64_t head_previous;
    uint64_t salt; /* The head's. */
    uint64_t next_number;
    struct ft_store_disk_segment *spare; /* For the pending segment, so that it always can be. */
    uint64_t doomed[FT_STORE_DOOMED_MAX];
    size_t n_doomed;
    struct ft_log_segment *doubtful; /* It is to be dropped, before anything else. */
    bool reserved[FT_STORE_RESERVE_MAX];
    /* Guarded by base.lock. */
    struct ft_store_tail tail;
    uint64_t unsynced_bytes; /* Of the frames behind base.durable. */
};

extern const struct ft_log_home ft_store_disk_home;

static inline struct ft_store_disk_log *ft_store_disk_of(struct ft_log *log)
{
    return (struct ft_store_disk_log *)log;
}

static inline struct ft_store_disk_segment *ft_store_disk_segment_of(struct ft_log_segment *segment)
{
    return (struct ft_store_disk_segment *)segment;
}

/* disk_log.c */
/* The home's sync(): everything in the head is durable behind it. */
FT_MUST_USE ft_err ft_store_disk_sync(struct ft_log *log);
/* Tells that everything in the head is durable. */
void ft_store_disk_became_durable(struct ft_store_disk_log *disk);

/* disk_head.c */
/* Whether a block of 'need' bytes goes into the head; a large one may have a head to itself. */
bool ft_store_disk_fits_head(struct ft_store_disk_log *disk, uint64_t need);
/* A head with room for 'need' bytes; a block larger than a segment gets one of its own. */
FT_MUST_USE ft_err ft_store_disk_ensure_head(struct ft_store_disk_log *disk, uint64_t need,
                                             int64_t time_ns);
/* Syncs the head and closes it; 'for_good': so that the next start finds everything certain. */
FT_MUST_USE ft_err ft_store_disk_seal_head(struct ft_store_disk_log *disk, bool for_good);
/* 'must_allocate': fails where 'bytes' cannot be had. */
FT_MUST_USE ft_err ft_store_disk_create_file(struct ft_store_disk_log *disk, const char *name,
                                             const struct ft_store_segment_header *header,
                                             uint64_t bytes, bool must_allocate,
                                             struct ft_disk_file **ret_file);
/* Removes a segment's file.  What cannot be removed is found again at the next start. */
void ft_store_disk_remove_segment(struct ft_store_disk_log *disk, uint64_t number);

/* disk_pending.c */
bool ft_store_disk_is_pending(struct ft_store_disk_log *disk);
/* The head's sync has failed: what is not durable moves to a pending segment. */
void ft_store_disk_give_up_head(struct ft_store_disk_log *disk);
/* Writes the head's blocks, which are in the tail, to a file of its own and syncs it. */
FT_MUST_USE ft_err ft_store_disk_write_pending(struct ft_store_disk_log *disk);

/* disk_drop.c */
/* Lets segments go until 'need' more bytes fit.  FT_E_FULL when none may. */
FT_MUST_USE ft_err ft_store_disk_make_room(struct ft_store_disk_log *disk, uint64_t need);
/* Lets the oldest segment go, and adds what it took to '*ret_bytes'.  FT_E_FULL when none may. */
FT_MUST_USE ft_err ft_store_disk_let_one_go(struct ft_store_disk_log *disk, uint64_t *ret_bytes);
FT_MUST_USE ft_err ft_store_disk_drop_doubtful(struct ft_store_disk_log *disk);
void ft_store_disk_discard(struct ft_log *log, struct ft_log_segment *segment);

/* disk_space.c */
/* Whether a further segment leaves as much of the file system free as is asked for. */
bool ft_store_disk_may_grow(struct ft_store_disk_log *disk);
/* No more than a segment should take of this file system. */
uint64_t ft_store_disk_share_of_space(struct ft_store_disk_log *disk, uint64_t segment_bytes);
void ft_store_disk_note_refusal(struct ft_store_disk_log *disk, bool refused);
/* Makes what is missing of the reserve, as far as there is room. */
void ft_store_disk_fill_reserve(struct ft_store_disk_log *disk);
/* Makes the file 'name', empty and with its space, out of the reserve.  -ENOSPC: it is used up. */
FT_MUST_USE ft_err ft_store_disk_take_reserve(struct ft_store_disk_log *disk, const char *name);
/* Gives a part of the reserve back to the file system; false when there is none. */
bool ft_store_disk_give_reserve(struct ft_store_disk_log *disk);

/* disk_read.c */
ft_err ft_store_disk_read(struct ft_log_reader *reader, bool durable_only,
                          struct ft_block *ret_block);
void ft_store_disk_reader_close(struct ft_log_reader *reader);
ft_err ft_store_disk_each_block(struct ft_log *log, struct ft_log_segment *segment,
                                ft_store_block_fn *fn, void *ctx);

/* disk_cursor.c */
ft_err ft_store_disk_cursor_create(struct ft_log *log, struct ft_log_cursor *cursor);
ft_err ft_store_disk_cursor_store(struct ft_log *log, struct ft_log_cursor *cursor,
                                  const struct ft_store_cursor_record *record, bool durable);
ft_err ft_store_disk_cursor_remove(struct ft_log *log, struct ft_log_cursor *cursor);
void ft_store_disk_cursor_close(struct ft_store_disk_log *disk, struct ft_log_cursor *cursor);
/* Reads "cursor-NAME".  FT_E_CORRUPT when neither slot is whole. */
FT_MUST_USE ft_err ft_store_disk_cursor_read(struct ft_disk *disk, const char *name,
                                             struct ft_store_cursor_record *ret_record,
                                             uint64_t *ret_generation);
/* What holds the cursor's file; freed with ft_store_disk_cursor_close.  NULL without memory. */
struct ft_slot_file *ft_store_disk_cursor_file(struct ft_store_disk_log *disk, const char *name,
                                               uint64_t generation);

/* disk_recover.c */
FT_MUST_USE ft_err ft_store_disk_recover(struct ft_store_disk_log *disk,
                                         ft_log_damage_fn *on_damage, void *on_damage_ctx);

#endif
