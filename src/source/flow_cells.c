/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "source/flow_table_impl.h"

static void move_flow_down(struct ft_flow_table *table, uint32_t number, uint32_t limit);
static void free_all_from(struct ft_flow_table *table, uint32_t limit);
static uint32_t move_down(struct ft_flow_table *table, uint32_t number);
static void give_back(struct ft_flow_table *table, size_t n_segments);
static bool attach_flow(struct ft_flow_table *table, uint32_t number, size_t *n_extras);

uint64_t ft_flow_table_cells_bytes(uint64_t bytes_max)
{
    bytes_max = bytes_max < FT_FLOW_TABLE_BYTES_MIN ? FT_FLOW_TABLE_BYTES_MIN : bytes_max;
    uint64_t n = bytes_max / SEGMENT_BYTES;
    return (n < CELLS_MAX / SEGMENT_CELLS ? n : CELLS_MAX / SEGMENT_CELLS) * SEGMENT_BYTES;
}

ft_err ft_flow_cells_open(struct ft_flow_table *table, struct ft_memory *memory, bool saving)
{
    uint64_t bytes = ft_flow_table_cells_bytes(table->bytes_max);
    table->memory = memory;
    table->saving = saving ? memory : NULL;
    if (memory != NULL) {
        bytes = memory->header->cells_bytes / SEGMENT_BYTES * SEGMENT_BYTES;
        table->cells = (union cell *)(void *)memory->cells;
    } else {
        void *own = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (own == MAP_FAILED) {
            return ft_err_last();
        }
        table->own = own;
        table->own_bytes = bytes;
        table->cells = own;
    }
    table->n_segments_max = (size_t)(bytes / SEGMENT_BYTES);
    return FT_OK;
}

void ft_flow_cells_close(struct ft_flow_table *table)
{
    if (table->own != NULL) {
        (void)munmap(table->own, table->own_bytes);
    }
}

bool ft_flow_cells_grow(struct ft_flow_table *table)
{
    if (table->n_segments == table->n_segments_max ||
        table->bytes + SEGMENT_BYTES > table->bytes_max) {
        return false;
    }
    table->bytes += SEGMENT_BYTES;
    uint32_t first = (uint32_t)(table->n_segments * SEGMENT_CELLS);
    table->n_segments++;
    if (table->memory != NULL) {
        table->memory->header->n_segments = table->n_segments; /* Its cells are zero: free. */
    }
    /* In this order the lowest number is taken first. */
    for (uint32_t i = SEGMENT_CELLS; i-- > 0;) {
        if (first + i != NO_CELL) {
            cell_free(table, first + i);
        }
    }
    return true;
}

ft_err ft_flow_cells_attach(struct ft_flow_table *table)
{
    uint64_t n_segments = table->memory->header->n_segments;
    if (n_segments > table->n_segments_max) {
        return FT_E_CORRUPT;
    }
    table->n_segments = (size_t)n_segments;
    table->bytes += n_segments * SEGMENT_BYTES;
    size_t n_flows = 0;
    for (uint32_t i = 1; i < n_segments * SEGMENT_CELLS; i++) {
        n_flows += cell_at(table, i)->link >> LINK_BITS == CELL_FLOW;
    }
    uint32_t n_slots = SLOTS_MIN;
    while (n_flows + 1 > (size_t)n_slots / 4 * 3) {
        n_slots *= 2;
    }
    if (!ft_flow_index_resize(table, n_slots)) {
        return ft_err_from_errno(ENOMEM);
    }
    size_t n_extras = 0;
    size_t n_chained = 0;
    for (uint32_t i = (uint32_t)(n_segments * SEGMENT_CELLS); i-- > 1;) {
        uint32_t kind = cell_at(table, i)->link >> LINK_BITS;
        if (kind == CELL_FREE) {
            cell_free(table, i);
        } else if (kind == CELL_FLOW) {
            if (!attach_flow(table, i, &n_chained)) {
                return FT_E_CORRUPT;
            }
        } else {
            n_extras++;
        }
    }
    return n_extras == n_chained ? FT_OK : FT_E_CORRUPT;
}

void ft_flow_cells_compact(struct ft_flow_table *table, size_t n_segments,
                           ft_flow_table_commit_fn *commit, void *ctx)
{
    uint32_t n_cells = (uint32_t)(table->n_segments * SEGMENT_CELLS);
    uint32_t limit = (uint32_t)(n_segments * SEGMENT_CELLS);
    table->first_free = NO_CELL;
    table->n_free = 0;
    for (uint32_t i = limit; i-- > 1;) {
        if (cell_at(table, i)->link >> LINK_BITS == CELL_FREE) {
            cell_free(table, i);
        }
    }
    for (uint32_t i = 1; i < n_cells; i++) {
        if (cell_at(table, i)->link >> LINK_BITS == CELL_FLOW) {
            move_flow_down(table, i, limit);
            if (ft_memory_wants_commit(table->saving)) {
                commit(ctx);
            }
        }
    }
    if (table->saving != NULL) {
        /* What is given back could not be brought back by undoing. */
        table->saving->wants_commit = true;
        commit(ctx);
    }
    if (table->saving == NULL || table->saving->undo_used == 0) {
        give_back(table, n_segments);
    } else {
        free_all_from(table, limit);
    }
}

/* The flow of cell 'number', and all that is chained to it, goes below 'limit'. */
static void move_flow_down(struct ft_flow_table *table, uint32_t number, uint32_t limit)
{
    struct ft_flow *flow = &cell_at(table, number)->flow;
    if (number >= limit) {
        uint32_t at = ft_flow_index_find(table, flow);
        table->slots[at].cell = move_down(table, number);
        flow = &cell_at(table, table->slots[at].cell)->flow;
    }
    /* A cell's link is the first thing in it, whatever it is. */
    for (uint32_t *link = &flow->link; (*link & LINK_MASK) != NO_CELL;) {
        uint32_t next = *link & LINK_MASK;
        if (next >= limit) {
            next = move_down(table, next);
            ft_memory_save(table->saving, link, sizeof *link);
            *link = (*link & ~LINK_MASK) | next;
        }
        link = &cell_at(table, next)->link;
    }
}

/* Nothing is given back: the free cells behind 'limit' are free again. */
static void free_all_from(struct ft_flow_table *table, uint32_t limit)
{
    for (uint32_t i = (uint32_t)(table->n_segments * SEGMENT_CELLS); i-- > limit;) {
        cell_free(table, i);
    }
}

/* Moves the cell into a free one below; returns its new number. */
static uint32_t move_down(struct ft_flow_table *table, uint32_t number)
{
    uint32_t to = cell_take(table, 1);
    ft_memory_save(table->saving, cell_at(table, number), sizeof(union cell));
    *cell_at(table, to) = *cell_at(table, number);
    cell_at(table, number)->link = (uint32_t)CELL_FREE << LINK_BITS;
    return to;
}

/* The segments behind the first 'n_segments', whose cells are all free. */
static void give_back(struct ft_flow_table *table, size_t n_segments)
{
    size_t n = table->n_segments - n_segments;
    union cell *first = table->cells + n_segments * SEGMENT_CELLS;
    table->n_segments = n_segments;
    table->bytes -= n * SEGMENT_BYTES;
    if (table->memory != NULL) {
        table->memory->header->n_segments = n_segments;
    }
    /* If the kernel keeps them they are taken again as they are: free. */
    (void)madvise(first, n * SEGMENT_BYTES, table->memory != NULL ? MADV_REMOVE : MADV_DONTNEED);
}

/* Adds the flow of a cell that is in memory to the index; counts its further cells. */
static bool attach_flow(struct ft_flow_table *table, uint32_t number, size_t *n_extras)
{
    uint32_t n_cells = (uint32_t)(table->n_segments * SEGMENT_CELLS);
    struct ft_flow *flow = &cell_at(table, number)->flow;
    unsigned kinds = 0;
    for (uint32_t next = flow->link & LINK_MASK; next != NO_CELL;) {
        if (next >= n_cells) {
            return false;
        }
        uint32_t link = cell_at(table, next)->link;
        uint32_t kind = link >> LINK_BITS;
        if (kind < CELL_IPV6 || kind > CELL_COUNTERS || (kinds & 1U << kind) != 0) {
            return false; /* Each kind once: so the chain has an end. */
        }
        kinds |= 1U << kind;
        (*n_extras)++;
        next = link & LINK_MASK;
    }
    if (((flow->flags & FT_FLOW_IPV6) != 0) != ((kinds & 1U << CELL_IPV6) != 0) ||
        ((flow->flags & FT_FLOW_NAT) != 0) != ((kinds & 1U << CELL_NAT) != 0)) {
        return false;
    }
    uint32_t hash = (uint32_t)ft_flow_table_hash_flow(table, flow);
    ft_flow_index_put(table, (struct slot){.hash = hash, .cell = number});
    table->n_flows++;
    return true;
}
