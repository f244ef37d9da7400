/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow table: what the agent remembers of every live flow, so that START and END of a flow
 * agree, counters become deltas, and marks that END lacks are known.
 *
 * A flow is found by conntrack id, original tuple and zone: the id alone is a 32 bit hash, of which
 * two flows in 77,000 share one by chance.  Whether it is the same flow as before, and not a later
 * one that got the same id, only its start time tells: the tracker compares that.
 *
 * Memory.  Everything is a cell of 40 bytes: an IPv4 flow is one cell.  What few flows have is in
 * further cells, chained to it: the addresses of IPv6, the reply tuple of NAT, the counters already
 * reported of a flow that had interim events.  Cells lie one behind the other, in address space for
 * all that the bound allows, and take memory in segments of 160 KiB.
 * The index has 8 bytes per place, is a power of two and at most 3/4 full.  Together an IPv4 flow
 * costs 51 to 61 bytes, 51 to 53 at the default bound of 64 MiB, which holds 1.2 million of them.
 *
 * Growing the index moves it whole (some 10 ms for a million flows), which the chunk queue absorbs.
 *
 * Bound: 'bytes_max', with everything that the table allocates.  At the bound add() returns NULL
 * and the caller counts the flow as untracked.
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_FLOW_TABLE_H
#define FT_SOURCE_FLOW_TABLE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "flow/event.h"
#include "os/ct_record.h"

#define FT_FLOW_TABLE_BYTES_DEFAULT ((uint64_t)64 << 20)
#define FT_FLOW_TABLE_BYTES_MIN     ((uint64_t)1 << 20)

/* Bits of ft_flow.flags.  Those below FT_FLOW_OWNER belong to the table. */
#define FT_FLOW_IPV6          (1U << 0)
#define FT_FLOW_PORTS         (1U << 1)
#define FT_FLOW_ICMP          (1U << 2)
#define FT_FLOW_ZONE          (1U << 3)
#define FT_FLOW_OWNER         (1U << 4)
#define FT_FLOW_MARK          (1U << 4)  /* 'mark' is known */
#define FT_FLOW_START_EXACT   (1U << 5)  /* 'start_ns' is the kernel's own start time stamp */
#define FT_FLOW_START_UNKNOWN (1U << 6)  /* 'start_ns' is when the flow was first seen */
#define FT_FLOW_PREEXISTING   (1U << 7)  /* was there before the agent */
#define FT_FLOW_UNSURE        (1U << 8)  /* counting may have begun late */
#define FT_FLOW_MISSING       (1U << 9)  /* not in the last dump: END is awaited */
#define FT_FLOW_NAT           (1U << 10) /* the reply tuple is kept */

/*
 * A live flow.  Fields of the key are the table's; the rest the owner may change.
 */
struct ft_flow {
    uint32_t link; /* The table's: first further cell, and the kind of this one. */
    uint32_t id;
    int64_t start_ns;
    uint8_t src[4]; /* IPv4 only: use ft_flow_table_get_addrs(). */
    uint8_t dst[4];
    uint16_t src_port; /* or the ICMP id */
    uint16_t dst_port; /* or ICMP type << 8 | code */
    uint32_t mark;
    uint16_t zone;
    uint16_t flags;
    uint8_t protocol;
    uint8_t generation; /* When it was last heard of: the owner's count of dumps. */
    uint8_t direction;  /* enum ft_direction */
    uint8_t traffic_class;
};

/* What the kernel counted and we reported. */
struct ft_flow_counters {
    uint64_t orig_packets;
    uint64_t orig_bytes;
    uint64_t reply_packets;
    uint64_t reply_bytes;
};

struct ft_flow_nat {
    struct ft_addr src;
    struct ft_addr dst;
    uint16_t src_port;
    uint16_t dst_port;
};

struct ft_flow_table;

struct ft_flow_table_stats {
    size_t n_flows;
    size_t n_cells; /* used ones, flows included */
    uint64_t bytes;
};

/* A cell, in which each flow and each further part of one is. */
#define FT_FLOW_TABLE_CELL_BYTES 40
/* What is taken of memory at once. */
#define FT_FLOW_TABLE_SEGMENT_BYTES ((uint64_t)4096 * FT_FLOW_TABLE_CELL_BYTES)

/* Room that the cells of a table of 'bytes_max' may take. */
uint64_t ft_flow_table_cells_bytes(uint64_t bytes_max);

struct ft_memory;

/*
 * With the flows that are in 'memory' (borrowed; NULL: in memory of its own, empty); the index is
 * the table's own.  Changes are saved there when 'saving'.  'seed' is for the index.  -ENOMEM;
 * FT_E_CORRUPT when what is in the memory is no table.
 */
FT_MUST_USE ft_err ft_flow_table_create(uint64_t bytes_max, uint64_t seed, struct ft_memory *memory,
                                        bool saving, struct ft_flow_table **ret_table);
void ft_flow_table_destroy(struct ft_flow_table *table);
FT_DEFINE_CLEANUP(struct ft_flow_table, ft_flow_table_destroy);

/* A hash of the key, the same for all records of a flow; for other tables with the same key. */
uint64_t ft_flow_table_hash(const struct ft_flow_table *table, const struct ft_ct_record *record);
uint64_t ft_flow_table_hash_flow(const struct ft_flow_table *table, const struct ft_flow *flow);

/* The flow with the record's key, or NULL.  'hash' is ft_flow_table_hash()'s of the record.
 * A flow stays where it is until it is removed or the table is trimmed. */
struct ft_flow *ft_flow_table_find(struct ft_flow_table *table, const struct ft_ct_record *record,
                                   uint64_t hash);

/* Adds a flow with the record's key, which must not be there; everything else is zero.  NULL at
 * the bound. */
struct ft_flow *ft_flow_table_add(struct ft_flow_table *table, const struct ft_ct_record *record,
                                  uint64_t hash);

void ft_flow_table_remove(struct ft_flow_table *table, struct ft_flow *flow);

/* To be called before fields of a flow are changed that was there at the last commit. */
void ft_flow_table_touch(struct ft_flow_table *table, const struct ft_flow *flow);

void ft_flow_table_get_addrs(const struct ft_flow_table *table, const struct ft_flow *flow,
                             struct ft_addr *ret_src, struct ft_addr *ret_dst);

/* All zero when nothing was reported yet. */
void ft_flow_table_get_counters(const struct ft_flow_table *table, const struct ft_flow *flow,
                                struct ft_flow_counters *ret_counters);

/* False at the bound: then nothing may be reported. */
bool ft_flow_table_set_counters(struct ft_flow_table *table, struct ft_flow *flow,
                                const struct ft_flow_counters *counters);

/* Only with FT_FLOW_NAT, which set_nat() sets; at the bound the reply tuple is not kept. */
void ft_flow_table_get_nat(const struct ft_flow_table *table, const struct ft_flow *flow,
                           struct ft_flow_nat *ret_nat);
void ft_flow_table_set_nat(struct ft_flow_table *table, struct ft_flow *flow,
                           const struct ft_ct_tuple *reply);

/*
 * Walks all flows in slices: the next flow at or after '*cursor' (0 at the beginning), looking at
 * no more than '*left' cells; both are moved on.  NULL with '*left' 0: the slice is over; NULL with
 * '*left' above 0: the walk is.  Flows may be removed and added meanwhile; each flow that stays is
 * met once.  No trim() before the walk's end.
 */
struct ft_flow *ft_flow_table_walk(struct ft_flow_table *table, uint32_t *cursor, uint32_t *left);

/*
 * Gives memory back when less than a quarter is used.  Invalidates every ft_flow pointer.  Where
 * changes are saved 'commit' is called for a commit, in between and at the end; without one (NULL,
 * or if it does not) nothing is given back.
 */
typedef void ft_flow_table_commit_fn(void *ctx);
void ft_flow_table_trim(struct ft_flow_table *table, ft_flow_table_commit_fn *commit, void *ctx);

void ft_flow_table_get_stats(const struct ft_flow_table *table,
                             struct ft_flow_table_stats *ret_stats);

#endif
