/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the flow table: flow_table.c has flows and their index, flow_cells.c the memory
 * that they are in.
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_FLOW_TABLE_IMPL_H
#define FT_SOURCE_FLOW_TABLE_IMPL_H 1

#include "source/flow_table.h"
#include "source/memory.h"

#define SEGMENT_CELLS 4096U
#define SEGMENT_BYTES FT_FLOW_TABLE_SEGMENT_BYTES
#define SLOTS_MIN     1024U

/* A link is the number of a cell (0: none) and the kind of the cell that holds it. */
#define LINK_BITS   24
#define LINK_MASK   ((1U << LINK_BITS) - 1)
#define CELLS_MAX   (1U << LINK_BITS)
#define NO_CELL     0U
#define SLOT_FREE   0U
#define INDEX_BYTES sizeof(struct slot)

enum cell_kind { CELL_FREE, CELL_FLOW, CELL_IPV6, CELL_NAT, CELL_COUNTERS };

/* A cell chained to a flow. */
struct extra {
    uint32_t link;
    uint16_t ports[2];
    union {
        struct ft_addr addrs[2];
        struct ft_flow_counters counters;
    } u;
};

union cell {
    uint32_t link;
    struct ft_flow flow;
    struct extra extra;
};

_Static_assert(sizeof(union cell) == FT_FLOW_TABLE_CELL_BYTES,
               "an IPv4 flow costs 40 bytes and its place in the index");

/* With the hash beside the cell's number, probing, removing and growing stay in the index. */
struct slot {
    uint32_t hash;
    uint32_t cell; /* SLOT_FREE, or the number of a flow's cell. */
};

struct ft_flow_table {
    uint64_t bytes_max;
    uint64_t seed;
    uint64_t bytes;

    struct ft_memory *memory; /* Where the cells are; NULL: in 'own'. */
    struct ft_memory *saving; /* The same, or NULL where nothing is saved. */
    void *own;
    size_t own_bytes;
    union cell *cells; /* Room for n_segments_max segments. */
    size_t n_segments;
    size_t n_segments_max;
    uint32_t first_free;
    size_t n_free;

    struct slot *slots;
    uint32_t n_slots;    /* A power of two. */
    uint32_t found_slot; /* Where find() found last: what is found is often removed next. */
    size_t n_flows;
};

/* flow_cells.c */
FT_MUST_USE ft_err ft_flow_cells_open(struct ft_flow_table *table, struct ft_memory *memory,
                                      bool saving);
void ft_flow_cells_close(struct ft_flow_table *table);
/* One more segment; false at the bound. */
bool ft_flow_cells_grow(struct ft_flow_table *table);
/* Makes index and list of free cells anew, of the cells that are in memory. */
FT_MUST_USE ft_err ft_flow_cells_attach(struct ft_flow_table *table);
/* Moves everything into the first 'n_segments' segments and frees the others. */
void ft_flow_cells_compact(struct ft_flow_table *table, size_t n_segments,
                           ft_flow_table_commit_fn *commit, void *ctx);

/* flow_table.c */
bool ft_flow_index_resize(struct ft_flow_table *table, uint32_t n_slots);
void ft_flow_index_put(struct ft_flow_table *table, struct slot slot);
/* The place of a flow that is in the table. */
uint32_t ft_flow_index_find(const struct ft_flow_table *table, const struct ft_flow *flow);

static inline union cell *cell_at(const struct ft_flow_table *table, uint32_t number)
{
    return &table->cells[number];
}

/* A free cell, when 'n_needed' of them can be had; else NO_CELL. */
static inline uint32_t cell_take(struct ft_flow_table *table, size_t n_needed)
{
    if (table->n_free < n_needed && !ft_flow_cells_grow(table)) {
        return NO_CELL;
    }
    uint32_t number = table->first_free;
    union cell *cell = cell_at(table, number);
    table->first_free = cell->link;
    table->n_free--;
    /* What else was in a free cell nobody needs again. */
    ft_memory_save(table->saving, &cell->link, sizeof cell->link);
    return number;
}

/* The cell is saved, or was free in memory before. */
static inline void cell_free(struct ft_flow_table *table, uint32_t number)
{
    cell_at(table, number)->link = table->first_free;
    table->first_free = number;
    table->n_free++;
}

#endif
