/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the spool keeps besides the log: the file "state", a slot file (store/slot_file.h, "FTS1",
 * slots of 32 KiB) whose record is made durable each time that it is written, and the file "live",
 * one mapped page.
 *
 *   Record, little-endian                        Page
 *    0  4  version, 2                             0  8  "FTLIVE1\0"
 *    4  4  flags: 1 bound, 2 stopped cleanly,     8 16  boot_id of the kernel that it was
 *          4 store_epoch known, 8 receipt_key           last mapped under
 *          known                                 24  8  0
 *    8 16  agent_id                              32  8  the last sequence number given
 *   24 16  instance_id                           40  8  filtered, 48 merged, 56 sealed,
 *   40  8  base_seq                                     64 sent events
 *   48 16  collector_id
 *   64 16  store_epoch                           A page of the same boot is exact: it was in
 *   80 32  receipt_key                           memory until the process died.  Any other is
 *  112  8  changes of the account               what the power cut left of it: each number was
 *  120  8  merged events of earlier instances   right at some time.
 *  128 40  the live numbers, in the page's order
 *  168  8  lost_unnumbered, 176 lost_by_exporter, 184 gone_to
 *  192  4  number of causes, 196 of losses to be told, 200 told and not acknowledged, 204 of ranges
 *          of positions that were dropped and not confirmed
 *  208  8  drops so far; 216 4 runs of the last one, 220 4 number of lives
 *  224  8  events of the last drop, 232 unread ones, 240 first and 248 last number
 *  256  8  first number of the block that is on its way here, 264 the last one
 *  272     8 for each cause; 48 for each loss (cause 4, estimated 4, begin 8, end 8, count 8,
 *          first_seq 8, last_seq 8); 56 for each told loss (its seq 8, the loss); 16 for each
 *          range; 48 for each run, as a loss; if there are lives, the
 *          first number of the one in which the instance was begun 8; 16 for each life (id 8, first
 *          number 8), oldest first
 *
 * Thread: pure functions.
 */
#ifndef FT_AGENT_SPOOL_STATE_H
#define FT_AGENT_SPOOL_STATE_H 1

#include "agent/tally.h"
#include "export/lives.h"
#include "flow/ids.h"
#include "store/slot_file.h"

/* The collector that the spool's events belong to. */
struct ft_spool_binding {
    bool bound;
    struct ft_uuid collector_id;
    bool has_store_epoch;
    struct ft_uuid store_epoch;
    bool has_receipt_key;
    uint8_t receipt_key[32];
};

/* One for each run of segments that the exporter holds between them, and some. */
#define FT_SPOOL_DROPPED_MAX 32

struct ft_spool_state {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t base_seq; /* Numbers up to here belong to an earlier instance. */
    bool clean;
    struct ft_spool_binding binding;
    struct ft_lives lives;
    size_t n_dropped; /* Positions that were dropped and not confirmed. */
    struct ft_log_range dropped[FT_SPOOL_DROPPED_MAX];
    /* The last drop, which 'tally' has: an account that was kept elsewhere may be newer than the
     * rest of 'tally' and older than this. */
    struct ft_tally_drop last_drop;
    struct ft_tally_record tally;
};

extern const struct ft_slot_kind ft_spool_state_kind;

/* Fits any state. */
#define FT_SPOOL_STATE_SIZE_MAX ((size_t)24 << 10)

/* 'to' has FT_SPOOL_STATE_SIZE_MAX bytes; returns how many are used. */
size_t ft_spool_state_encode(const struct ft_spool_state *state, uint8_t *to);
/* FT_E_CORRUPT, or FT_E_UNSUPPORTED for another version's. */
FT_MUST_USE ft_err ft_spool_state_decode(const uint8_t *from, size_t size,
                                         struct ft_spool_state *ret_state);

#define FT_SPOOL_PAGE_SIZE ((size_t)4096)

/* The page as it is mapped. */
struct ft_spool_page {
    uint8_t magic[8];
    uint8_t boot_id[16];
    uint64_t zero;
    struct ft_tally_live live;
};

/* Whether it is one at all; its numbers are exact where the boot is the same. */
bool ft_spool_page_valid(const struct ft_spool_page *page);
void ft_spool_page_begin(struct ft_spool_page *page, const struct ft_uuid *boot_id);

#endif
