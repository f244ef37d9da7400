/* SPDX-License-Identifier: Apache-2.0 */
#include "source/flow_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "source/flow_table_impl.h"

/* A key in one piece, to be hashed. */
struct packed_key {
    uint32_t id;
    uint16_t zone;
    uint8_t protocol;
    uint8_t ipv6;
    uint16_t ports[2];
    uint8_t addrs[32]; /* Only the first 8 count for IPv4. */
};

static void index_remove(struct ft_flow_table *table, uint32_t at);
static struct extra *extra_find(const struct ft_flow_table *table, const struct ft_flow *flow,
                                enum cell_kind kind);
static struct extra *extra_add(struct ft_flow_table *table, struct ft_flow *flow,
                               enum cell_kind kind);
static void pack_ports(const struct ft_ct_record *record, uint16_t *ret_ports);
static bool key_equal(const struct ft_flow_table *table, const struct ft_flow *flow,
                      const struct ft_ct_record *record);

ft_err ft_flow_table_create(uint64_t bytes_max, uint64_t seed, struct ft_memory *memory,
                            bool saving, struct ft_flow_table **ret_table)
{
    bytes_max = bytes_max < FT_FLOW_TABLE_BYTES_MIN ? FT_FLOW_TABLE_BYTES_MIN : bytes_max;
    FT_CLEANUP(ft_flow_table_destroy) struct ft_flow_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    table->bytes_max = bytes_max;
    table->seed = seed;
    table->bytes = sizeof *table;
    FT_TRY(ft_flow_cells_open(table, memory, saving));
    if (!ft_flow_index_resize(table, SLOTS_MIN)) {
        return ft_err_from_errno(ENOMEM);
    }
    if (memory != NULL && memory->header->n_segments > 0) {
        FT_TRY(ft_flow_cells_attach(table));
    } else if (!ft_flow_cells_grow(table)) {
        return ft_err_from_errno(ENOMEM);
    }
    *ret_table = FT_TAKE(table);
    return FT_OK;
}

void ft_flow_table_destroy(struct ft_flow_table *table)
{
    if (table == NULL) {
        return;
    }
    ft_flow_cells_close(table);
    free(table->slots);
    free(table);
}

uint64_t ft_flow_table_hash(const struct ft_flow_table *table, const struct ft_ct_record *record)
{
    const struct ft_ct_tuple *orig = &record->orig;
    struct packed_key key;
    key.id = record->id;
    key.zone = record->zone;
    key.protocol = orig->protocol;
    key.ipv6 = orig->ipv6;
    pack_ports(record, key.ports);
    if (!orig->ipv6) {
        memcpy(key.addrs, orig->src.bytes, 4);
        memcpy(key.addrs + 4, orig->dst.bytes, 4);
        return ft_hash64(&key, offsetof(struct packed_key, addrs) + 8, table->seed);
    }
    memcpy(key.addrs, orig->src.bytes, 16);
    memcpy(key.addrs + 16, orig->dst.bytes, 16);
    return ft_hash64(&key, sizeof key, table->seed);
}

uint64_t ft_flow_table_hash_flow(const struct ft_flow_table *table, const struct ft_flow *flow)
{
    struct ft_ct_record record = {.id = flow->id, .zone = flow->zone};
    record.orig.protocol = flow->protocol;
    record.orig.ipv6 = (flow->flags & FT_FLOW_IPV6) != 0;
    record.orig.src_port = flow->src_port;
    if ((flow->flags & FT_FLOW_ICMP) != 0) {
        record.has = FT_CT_HAS_ICMP;
        record.orig.icmp_type = (uint8_t)(flow->dst_port >> 8);
        record.orig.icmp_code = (uint8_t)flow->dst_port;
    } else {
        record.orig.dst_port = flow->dst_port;
    }
    ft_flow_table_get_addrs(table, flow, &record.orig.src, &record.orig.dst);
    return ft_flow_table_hash(table, &record);
}

struct ft_flow *ft_flow_table_find(struct ft_flow_table *table, const struct ft_ct_record *record,
                                   uint64_t hash)
{
    uint32_t mask = table->n_slots - 1;
    uint32_t hash32 = (uint32_t)hash;
    for (uint32_t at = hash32 & mask; table->slots[at].cell != SLOT_FREE; at = (at + 1) & mask) {
        if (table->slots[at].hash == hash32) {
            struct ft_flow *flow = &cell_at(table, table->slots[at].cell)->flow;
            if (key_equal(table, flow, record)) {
                table->found_slot = at;
                return flow;
            }
        }
    }
    return NULL;
}

struct ft_flow *ft_flow_table_add(struct ft_flow_table *table, const struct ft_ct_record *record,
                                  uint64_t hash)
{
    const struct ft_ct_tuple *orig = &record->orig;
    if (table->n_flows + 1 > (size_t)table->n_slots / 4 * 3 &&
        !ft_flow_index_resize(table, table->n_slots * 2)) {
        return NULL;
    }
    uint32_t number = cell_take(table, orig->ipv6 ? 2 : 1);
    if (number == NO_CELL) {
        return NULL;
    }
    struct ft_flow *flow = &cell_at(table, number)->flow;
    uint16_t ports[2];
    pack_ports(record, ports);
    *flow = (struct ft_flow){
        .link = (uint32_t)CELL_FLOW << LINK_BITS,
        .id = record->id,
        .src_port = ports[0],
        .dst_port = ports[1],
        .zone = record->zone,
        .protocol = orig->protocol,
    };
    unsigned flags = (record->has & FT_CT_HAS_PORTS) != 0 ? FT_FLOW_PORTS : 0;
    flags |= (record->has & FT_CT_HAS_ICMP) != 0 ? FT_FLOW_ICMP : 0;
    flags |= (record->has & FT_CT_HAS_ZONE) != 0 ? FT_FLOW_ZONE : 0;
    if (orig->ipv6) {
        struct extra *extra = extra_add(table, flow, CELL_IPV6);
        assert(extra != NULL);
        extra->u.addrs[0] = orig->src;
        extra->u.addrs[1] = orig->dst;
        flags |= FT_FLOW_IPV6;
    } else {
        memcpy(flow->src, orig->src.bytes, sizeof flow->src);
        memcpy(flow->dst, orig->dst.bytes, sizeof flow->dst);
    }
    flow->flags = (uint16_t)flags;
    ft_flow_index_put(table, (struct slot){.hash = (uint32_t)hash, .cell = number});
    table->n_flows++;
    return flow;
}

void ft_flow_table_remove(struct ft_flow_table *table, struct ft_flow *flow)
{
    uint32_t at = ft_flow_index_find(table, flow);
    uint32_t number = table->slots[at].cell;
    index_remove(table, at);
    uint32_t next = flow->link & LINK_MASK;
    while (next != NO_CELL) {
        uint32_t extra = next;
        next = cell_at(table, extra)->link & LINK_MASK;
        ft_memory_save(table->saving, cell_at(table, extra), sizeof(union cell));
        cell_free(table, extra);
    }
    ft_memory_save(table->saving, flow, sizeof *flow);
    cell_free(table, number);
    table->n_flows--;
}

void ft_flow_table_touch(struct ft_flow_table *table, const struct ft_flow *flow)
{
    ft_memory_save(table->saving, flow, sizeof *flow);
}

void ft_flow_table_get_addrs(const struct ft_flow_table *table, const struct ft_flow *flow,
                             struct ft_addr *ret_src, struct ft_addr *ret_dst)
{
    if ((flow->flags & FT_FLOW_IPV6) != 0) {
        const struct extra *extra = extra_find(table, flow, CELL_IPV6);
        *ret_src = extra->u.addrs[0];
        *ret_dst = extra->u.addrs[1];
        return;
    }
    *ret_src = (struct ft_addr){0};
    *ret_dst = (struct ft_addr){0};
    memcpy(ret_src->bytes, flow->src, sizeof flow->src);
    memcpy(ret_dst->bytes, flow->dst, sizeof flow->dst);
}

void ft_flow_table_get_counters(const struct ft_flow_table *table, const struct ft_flow *flow,
                                struct ft_flow_counters *ret_counters)
{
    const struct extra *extra = extra_find(table, flow, CELL_COUNTERS);
    *ret_counters = extra != NULL ? extra->u.counters : (struct ft_flow_counters){0};
}

bool ft_flow_table_set_counters(struct ft_flow_table *table, struct ft_flow *flow,
                                const struct ft_flow_counters *counters)
{
    struct extra *extra = extra_find(table, flow, CELL_COUNTERS);
    if (extra != NULL) {
        ft_memory_save(table->saving, extra, sizeof *extra);
    } else {
        extra = extra_add(table, flow, CELL_COUNTERS);
    }
    if (extra == NULL) {
        return false;
    }
    extra->u.counters = *counters;
    return true;
}

void ft_flow_table_get_nat(const struct ft_flow_table *table, const struct ft_flow *flow,
                           struct ft_flow_nat *ret_nat)
{
    const struct extra *extra = extra_find(table, flow, CELL_NAT);
    *ret_nat = (struct ft_flow_nat){.src = extra->u.addrs[0],
                                    .dst = extra->u.addrs[1],
                                    .src_port = extra->ports[0],
                                    .dst_port = extra->ports[1]};
}

void ft_flow_table_set_nat(struct ft_flow_table *table, struct ft_flow *flow,
                           const struct ft_ct_tuple *reply)
{
    struct extra *extra = extra_find(table, flow, CELL_NAT);
    if (extra != NULL) {
        ft_memory_save(table->saving, extra, sizeof *extra);
        ft_flow_table_touch(table, flow);
    } else {
        extra = extra_add(table, flow, CELL_NAT);
    }
    if (extra != NULL) {
        extra->u.addrs[0] = reply->src;
        extra->u.addrs[1] = reply->dst;
        extra->ports[0] = reply->src_port;
        extra->ports[1] = reply->dst_port;
        flow->flags |= FT_FLOW_NAT;
    }
}

struct ft_flow *ft_flow_table_walk(struct ft_flow_table *table, uint32_t *cursor, uint32_t *left)
{
    uint32_t n_cells = (uint32_t)(table->n_segments * SEGMENT_CELLS);
    while (*cursor<n_cells && * left> 0) {
        union cell *cell = cell_at(table, *cursor);
        (*cursor)++;
        (*left)--;
        if (cell->link >> LINK_BITS == CELL_FLOW) {
            return &cell->flow;
        }
    }
    if (*cursor >= n_cells && *left == 0) {
        *left = 1; /* The end and the slice's end fell together: the walk's end counts. */
    }
    return NULL;
}

void ft_flow_table_trim(struct ft_flow_table *table, ft_flow_table_commit_fn *commit, void *ctx)
{
    size_t n_cells = table->n_segments * SEGMENT_CELLS;
    size_t n_used = n_cells - 1 - table->n_free; /* Cell 0 is never used. */
    bool may = table->saving == NULL || commit != NULL;
    if (may && table->n_segments > 1 && n_used < n_cells / 4) {
        ft_flow_cells_compact(table, n_used * 2 / SEGMENT_CELLS + 1, commit, ctx);
    }
    uint32_t n_slots = table->n_slots;
    while (n_slots > SLOTS_MIN && table->n_flows < n_slots / 8) {
        n_slots /= 2;
    }
    if (n_slots < table->n_slots) {
        /* When the smaller index cannot be had, the larger one serves as well. */
        (void)ft_flow_index_resize(table, n_slots);
    }
}

void ft_flow_table_get_stats(const struct ft_flow_table *table,
                             struct ft_flow_table_stats *ret_stats)
{
    *ret_stats = (struct ft_flow_table_stats){
        .n_flows = table->n_flows,
        .n_cells = table->n_segments * SEGMENT_CELLS - 1 - table->n_free,
        .bytes = table->bytes,
    };
}

bool ft_flow_index_resize(struct ft_flow_table *table, uint32_t n_slots)
{
    uint64_t bytes = (uint64_t)n_slots * INDEX_BYTES;
    if (n_slots > table->n_slots && table->bytes + bytes > table->bytes_max) {
        return false; /* Both exist while the content moves. */
    }
    struct slot *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    struct slot *old = table->slots;
    uint32_t n_old = table->n_slots;
    table->slots = slots;
    table->n_slots = n_slots;
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i].cell != SLOT_FREE) {
            ft_flow_index_put(table, old[i]);
        }
    }
    free(old);
    table->bytes += bytes;
    table->bytes -= (uint64_t)n_old * INDEX_BYTES;
    return true;
}

void ft_flow_index_put(struct ft_flow_table *table, struct slot slot)
{
    uint32_t mask = table->n_slots - 1;
    uint32_t at = slot.hash & mask;
    while (table->slots[at].cell != SLOT_FREE) {
        at = (at + 1) & mask;
    }
    table->slots[at] = slot;
}

/* The place of a flow that is in the table. */
uint32_t ft_flow_index_find(const struct ft_flow_table *table, const struct ft_flow *flow)
{
    uint32_t mask = table->n_slots - 1;
    uint32_t found = table->found_slot & mask;
    if (table->slots[found].cell != SLOT_FREE &&
        &cell_at(table, table->slots[found].cell)->flow == flow) {
        return found;
    }
    uint32_t hash = (uint32_t)ft_flow_table_hash_flow(table, flow);
    uint32_t at = hash & mask;
    while (table->slots[at].hash != hash || &cell_at(table, table->slots[at].cell)->flow != flow) {
        assert(table->slots[at].cell != SLOT_FREE);
        at = (at + 1) & mask;
    }
    return at;
}

/* Moves later ones of the same run up, so that no probe meets a hole (Knuth 6.4, algorithm R). */
static void index_remove(struct ft_flow_table *table, uint32_t at)
{
    uint32_t mask = table->n_slots - 1;
    uint32_t next = at;
    for (;;) {
        next = (next + 1) & mask;
        if (table->slots[next].cell == SLOT_FREE) {
            break;
        }
        uint32_t home = table->slots[next].hash & mask;
        if (((next - home) & mask) >= ((next - at) & mask)) {
            table->slots[at] = table->slots[next];
            at = next;
        }
    }
    table->slots[at] = (struct slot){0, SLOT_FREE};
}

static struct extra *extra_find(const struct ft_flow_table *table, const struct ft_flow *flow,
                                enum cell_kind kind)
{
    for (uint32_t next = flow->link & LINK_MASK; next != NO_CELL;) {
        union cell *cell = cell_at(table, next);
        if (cell->link >> LINK_BITS == (uint32_t)kind) {
            return &cell->extra;
        }
        next = cell->link & LINK_MASK;
    }
    return NULL;
}

static struct extra *extra_add(struct ft_flow_table *table, struct ft_flow *flow,
                               enum cell_kind kind)
{
    uint32_t number = cell_take(table, 1);
    if (number == NO_CELL) {
        return NULL;
    }
    struct extra *extra = &cell_at(table, number)->extra;
    *extra = (struct extra){.link = (uint32_t)kind << LINK_BITS | (flow->link & LINK_MASK)};
    ft_flow_table_touch(table, flow);
    flow->link = (flow->link & ~LINK_MASK) | number;
    return extra;
}

static void pack_ports(const struct ft_ct_record *record, uint16_t *ret_ports)
{
    const struct ft_ct_tuple *orig = &record->orig;
    ret_ports[0] = orig->src_port;
    ret_ports[1] = (record->has & FT_CT_HAS_ICMP) != 0
                       ? (uint16_t)(orig->icmp_type << 8 | orig->icmp_code)
                       : orig->dst_port;
}

static bool key_equal(const struct ft_flow_table *table, const struct ft_flow *flow,
                      const struct ft_ct_record *record)
{
    const struct ft_ct_tuple *orig = &record->orig;
    uint16_t ports[2];
    pack_ports(record, ports);
    if (flow->id != record->id || flow->zone != record->zone || flow->src_port != ports[0] ||
        flow->dst_port != ports[1] || flow->protocol != orig->protocol ||
        ((flow->flags & FT_FLOW_IPV6) != 0) != orig->ipv6) {
        return false;
    }
    if (!orig->ipv6) {
        return memcmp(flow->src, orig->src.bytes, sizeof flow->src) == 0 &&
               memcmp(flow->dst, orig->dst.bytes, sizeof flow->dst) == 0;
    }
    const struct extra *extra = extra_find(table, flow, CELL_IPV6);
    return memcmp(&extra->u.addrs[0], &orig->src, sizeof orig->src) == 0 &&
           memcmp(&extra->u.addrs[1], &orig->dst, sizeof orig->dst) == 0;
}
