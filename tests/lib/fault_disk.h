/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory that fails, tears and forgets on demand, for tests and the simulation.
 *
 * What is written lies in a cache until the file is synced; names lie in a cache until the
 * directory is.  A power cut throws the caches away, or keeps a random part of them: single
 * sectors of files, single changes of the directory.  As on Linux, a sync that fails leaves the
 * cache as it was but marks it clean, so that a second sync would succeed without having written
 * anything; it is counted as a breach, unless the pages in question were written to since.
 *
 * One file at a time may be mapped.  What is stored there survives a kill, and of a power cut as
 * much as of any sector that was not synced.
 *
 * The same seed and the same calls give the same disk.
 *
 * Thread: any; one lock.
 */
#ifndef FT_TESTS_LIB_FAULT_DISK_H
#define FT_TESTS_LIB_FAULT_DISK_H 1

#include "base/disk.h"

#define FT_FAULT_SECTOR ((size_t)512)

enum ft_fault_op {
    FT_FAULT_OPEN,
    FT_FAULT_WRITE,
    FT_FAULT_READ,
    FT_FAULT_SYNC,
    FT_FAULT_TRUNCATE,
    FT_FAULT_ALLOCATE,
    FT_FAULT_REMOVE,
    FT_FAULT_RENAME,
    FT_FAULT_SYNC_DIR,
    FT_FAULT_LIST,
    FT_FAULT_OP_N
};

enum ft_fault_cut {
    FT_FAULT_KILL, /* The process dies, the caches live on. */
    FT_FAULT_LOSE, /* Exactly what was synced is left. */
    FT_FAULT_TEAR  /* And a random part of what was not. */
};

/* Aborts without memory.  Destroyed by ft_disk_destroy. */
struct ft_disk *ft_fault_disk_create(uint64_t seed);
/* The same content and state of the caches, with no file open and no fault planned. */
struct ft_disk *ft_fault_disk_clone(struct ft_disk *disk);

/* 'to', which no process uses, is what 'from' is; what was planned for it or counted stays. */
void ft_fault_disk_copy(struct ft_disk *to, struct ft_disk *from);

/*
 * The calls of 'op' from the 'nth' from now on (1: the next), 'n_times' of them, fail with 'err'.
 * A write that fails has written a random part, sometimes all of it.
 */
void ft_fault_disk_fail(struct ft_disk *disk, enum ft_fault_op op, uint64_t nth, uint64_t n_times,
                        ft_err err);
void ft_fault_disk_heal(struct ft_disk *disk);
/* Calls of 'op' so far. */
uint64_t ft_fault_disk_calls(struct ft_disk *disk, enum ft_fault_op op);

/* Writes and allocations that make the files larger than this together fail with -ENOSPC. */
void ft_fault_disk_set_capacity(struct ft_disk *disk, uint64_t bytes);

/*
 * The power fails in the 'nth' call from now on that changes anything; a write is cut in the
 * middle.  That call and all later ones fail with -EIO until ft_fault_disk_restart.
 */
void ft_fault_disk_stop_at(struct ft_disk *disk, uint64_t nth);
/* It fails now. */
void ft_fault_disk_stop_now(struct ft_disk *disk);
bool ft_fault_disk_stopped(struct ft_disk *disk);
/* Calls so far that change anything. */
uint64_t ft_fault_disk_changes(struct ft_disk *disk);
/* While it is suspended nothing that was planned happens, and calls are not counted: for a look
 * that is no part of the run. */
void ft_fault_disk_suspend(struct ft_disk *disk, bool suspended);
/* All files are closed.  Heals all planned faults. */
void ft_fault_disk_restart(struct ft_disk *disk, enum ft_fault_cut cut);

/*
 * Silent faults: the disk says that all is well.  What they change is what is on the disk, not what
 * the caches show of it, so it is seen after a power cut.  'observer' is told of each range that
 * does not hold what was written to it, with the content that it should have; it must not call the
 * disk.
 */
typedef void ft_fault_silent_fn(void *ctx, const char *name, const uint8_t *content, size_t size,
                                size_t offset, size_t length);
void ft_fault_disk_observe(struct ft_disk *disk, ft_fault_silent_fn *observer, void *ctx);
/* Of the 'nth' sync from now on that has something to write, one sector is not written. */
void ft_fault_disk_lose_write(struct ft_disk *disk, uint64_t nth);
/* Of that sync one sector is written to a place of another sector, of any file. */
void ft_fault_disk_misdirect_write(struct ft_disk *disk, uint64_t nth);
/* Changes bits of a random byte that is on the disk and in the cache; false when it hits none. */
bool ft_fault_disk_rot(struct ft_disk *disk);
/* Which files silent faults may hit; NULL: all. */
void ft_fault_disk_expose(struct ft_disk *disk, bool (*may_be_hit)(const char *name));

/* Is told of each call when it is over, and of each restart (op FT_FAULT_OP_N); for people. */
typedef void ft_fault_trace_fn(void *ctx, enum ft_fault_op op, const char *name, uint64_t offset,
                               size_t size, ft_err err);
void ft_fault_disk_trace(struct ft_disk *disk, ft_fault_trace_fn *fn, void *ctx);
/* "open", "write", …; "restart" for FT_FAULT_OP_N. */
const char *ft_fault_op_name(enum ft_fault_op op);

/* What the faults did so far. */
struct ft_fault_effects {
    uint64_t failed[FT_FAULT_OP_N]; /* Calls that failed because of ft_fault_disk_fail. */
    uint64_t full;                  /* Calls that failed for want of space. */
    uint64_t torn_writes;           /* Writes that a power cut or an error left half done. */
    uint64_t cuts;                  /* Power cuts that found something that was not synced. */
    uint64_t reordered;             /* Of those: a later sector was kept, an earlier one was not. */
    uint64_t names_lost;            /* Changes of the directory that a power cut undid. */
    uint64_t lost_writes;
    uint64_t misdirected_writes;
    uint64_t rotten_bytes;
};
void ft_fault_disk_effects(struct ft_disk *disk, struct ft_fault_effects *ret_effects);

/* Syncs that seem to make durable what a failed one has left out: must stay 0. */
uint64_t ft_fault_disk_breaches(struct ft_disk *disk);

/* The content of a file, to be looked at and changed; NULL when there is none. */
uint8_t *ft_fault_disk_content(struct ft_disk *disk, const char *name, size_t *ret_size);
/* Makes or replaces a file, durably. */
void ft_fault_disk_put(struct ft_disk *disk, const char *name, const void *data, size_t size);
/* The n-th name in alphabetical order, or NULL. */
const char *ft_fault_disk_name(struct ft_disk *disk, size_t n);

#endif
