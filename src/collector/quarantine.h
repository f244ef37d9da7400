/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where blocks go that cannot be stored, with the reason, so that they hold up nothing and a person
 * can look at them: the directory "quarantine" beside the log.
 *
 *   poison     acknowledged, in the log, and the sink cannot take it (sinker.c says how it knows)
 *   rejected   refused when it came; the agent was told so and has counted it as lost
 *
 * A file holds one block, with its bytes as they came ("poison-NNNNNNNNNNNNNNNN",
 * "rejected-…", 16 hexadecimal digits, counted up).  All numbers are little-endian:
 *
 *     0   8  "FTQUAR1\n"
 *     8   8  checksum of bytes 16 to the end, XXH3-64
 *    16   4  kind: 1 poison, 2 rejected
 *    20   4  n_events, 0: not known
 *    24   8  first_seq
 *    32   8  time, ns since 1970
 *    40   8  position in the log, 0: it was never there
 *    48  16  log_id
 *    64  16  agent_id
 *    80  16  instance_id
 *    96  64  token's name, padded with zeros
 *   160 352  reason, padded with zeros
 *   512      the block: a flowtrail.v1.Batch, or what claimed to be one
 *
 * "suspect-…" has the same form: a block that failed while it is not known whether the sink works.
 * It becomes poison once another block was stored, before anything moves behind it, so that a
 * crash in between loses nothing (ft_quarantine_settle).
 *
 * Bounds, for each kind by itself: 'files_max' files and 'bytes_max' bytes.  At a bound the oldest
 * file of the kind makes room and is counted.  Rejected blocks are kept FT_QUARANTINE_RATE times a
 * second at most; further ones are only counted, because an agent decides how many there are.
 *
 * A person empties it by deleting files; ft_quarantine_refresh notices.
 *
 * Thread: 'suspect', 'convict', 'acquit', 'put_poison': the sink's.  'put_rejected': the commit
 * thread.  The rest any.  One leaf lock over the list; files are written outside of it.
 */
#ifndef FT_COLLECTOR_QUARANTINE_H
#define FT_COLLECTOR_QUARANTINE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/token_set.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/disk.h"
#include "flow/ids.h"

#define FT_QUARANTINE_HEADER_SIZE ((size_t)512)
#define FT_QUARANTINE_REASON_SIZE 352
#define FT_QUARANTINE_RATE        10

enum ft_quarantine_kind {
    FT_QUARANTINE_SUSPECT, /* Only while the sink's thread is about it. */
    FT_QUARANTINE_POISON,
    FT_QUARANTINE_REJECTED,
    FT_QUARANTINE_KIND_N
};

/* What is known of a block that is kept, or is to be. */
struct ft_quarantine_entry {
    enum ft_quarantine_kind kind;
    uint64_t number; /* In its name; set here. */
    uint64_t size;   /* Of the block; set here. */
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t first_seq;
    uint32_t n_events;
    int64_t time_ns;
    uint64_t position;
    bool of_this_log; /* That position is one of the present log; set here. */
    char principal[FT_PRINCIPAL_NAME_SIZE];
    char reason[FT_QUARANTINE_REASON_SIZE];
};

struct ft_quarantine_options {
    struct ft_disk *disk; /* Borrowed, as the clock. */
    const struct ft_clock *clock;
    struct ft_uuid log_id; /* Which log positions belong to. */
    uint64_t files_max;
    uint64_t bytes_max;
};

/* Since the start, but for what is there now. */
struct ft_quarantine_stats {
    _Atomic uint64_t blocks[FT_QUARANTINE_KIND_N];
    _Atomic uint64_t events[FT_QUARANTINE_KIND_N];
    _Atomic uint64_t evicted; /* Files that made room. */
    _Atomic uint64_t unkept;  /* Rejected blocks past the rate, or that could not be written. */
    _Atomic uint64_t files;   /* There now, of poison and rejected. */
    _Atomic uint64_t bytes;
};

struct ft_quarantine;

/* Reads the directory.  -ENOMEM or the disk's error. */
FT_MUST_USE ft_err ft_quarantine_open(const struct ft_quarantine_options *options,
                                      struct ft_quarantine **ret_quarantine);
/* Accepts NULL. */
void ft_quarantine_destroy(struct ft_quarantine *quarantine);
FT_DEFINE_CLEANUP(struct ft_quarantine, ft_quarantine_destroy);

/*
 * At the start: suspects up to 'position', which the sink has passed, are poison; the others are
 * read from the log again.
 */
FT_MUST_USE ft_err ft_quarantine_settle(struct ft_quarantine *quarantine, uint64_t position);

/* Keeps a block, durably.  One that is kept already, by its position, is not kept twice. */
FT_MUST_USE ft_err ft_quarantine_put_poison(struct ft_quarantine *quarantine,
                                            const struct ft_quarantine_entry *entry,
                                            const void *data, size_t size);
FT_MUST_USE ft_err ft_quarantine_suspect(struct ft_quarantine *quarantine,
                                         const struct ft_quarantine_entry *entry, const void *data,
                                         size_t size);
/* All suspects are poison, durably; or none is, and their files go. */
FT_MUST_USE ft_err ft_quarantine_convict(struct ft_quarantine *quarantine);
void ft_quarantine_acquit(struct ft_quarantine *quarantine);
/* Would the suspects fit without anything older making room? */
bool ft_quarantine_has_room(struct ft_quarantine *quarantine);

/* Keeps a rejected block, or counts it; not durably: the agent was told. */
void ft_quarantine_put_rejected(struct ft_quarantine *quarantine,
                                const struct ft_quarantine_entry *entry, const void *data,
                                size_t size);

/* Forgets what somebody has deleted. */
void ft_quarantine_refresh(struct ft_quarantine *quarantine);

/* Calls 'fn' for each file of poison and rejected, oldest first of each, under the lock. */
typedef void ft_quarantine_look_fn(void *ctx, const struct ft_quarantine_entry *entry);
void ft_quarantine_each(struct ft_quarantine *quarantine, ft_quarantine_look_fn *fn, void *ctx);

/* "poison", "rejected"; and the file's name, in FT_DISK_NAME_SIZE bytes. */
const char *ft_quarantine_kind_name(enum ft_quarantine_kind kind);
void ft_quarantine_file_name(const struct ft_quarantine_entry *entry, char *buf);

const struct ft_quarantine_stats *ft_quarantine_stats(const struct ft_quarantine *quarantine);

#endif
