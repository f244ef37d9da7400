/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/merger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Flags of a flow that hold for whatever is told of it. */
#define FLOW_FLAGS (FT_FIELD_PREEXISTING | FT_FIELD_COUNTERS_UNSURE | FT_FIELD_START_UNKNOWN)

struct waiting {
    struct ft_event event;
    uint32_t n_merged;
};

struct ft_merger {
    size_t n;
    size_t n_max;
    size_t n_places; /* A power of two, at least twice n_max. */
    struct waiting *items;
    uint16_t *places; /* Number of an item and one, 0 for none: open addressing. */
};

static uint16_t *find(const struct ft_merger *merger, const struct ft_event *event);
static bool may_wait(const struct ft_event *event);
static bool may_merge(const struct ft_event *first, const struct ft_event *second);
static void merge(struct ft_event *first, const struct ft_event *second);

ft_err ft_merger_create(size_t n_max, struct ft_merger **ret_merger)
{
    assert(n_max > 0 && n_max < UINT16_MAX);
    struct ft_merger *merger = calloc(1, sizeof *merger);
    if (merger == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    merger->n_max = n_max;
    merger->n_places = 2;
    while (merger->n_places < 2 * n_max) {
        merger->n_places *= 2;
    }
    merger->items = malloc(n_max * sizeof *merger->items);
    merger->places = calloc(merger->n_places, sizeof *merger->places);
    if (merger->items == NULL || merger->places == NULL) {
        ft_merger_destroy(merger);
        return ft_err_from_errno(ENOMEM);
    }
    *ret_merger = merger;
    return FT_OK;
}

void ft_merger_destroy(struct ft_merger *merger)
{
    if (merger != NULL) {
        free(merger->items);
        free(merger->places);
        free(merger);
    }
}

enum ft_merged ft_merger_add(struct ft_merger *merger, const struct ft_event *event)
{
    if (!may_wait(event)) {
        return FT_MERGED_NOT;
    }
    uint16_t *place = find(merger, event);
    if (*place != 0) {
        struct waiting *item = &merger->items[*place - 1];
        if (!may_merge(&item->event, event)) {
            return FT_MERGED_NOT;
        }
        merge(&item->event, event);
        item->n_merged++;
        return FT_MERGED_INTO;
    }
    if (merger->n == merger->n_max) {
        return FT_MERGED_NOT;
    }
    merger->items[merger->n++] = (struct waiting){.event = *event};
    *place = (uint16_t)merger->n;
    return FT_MERGED_WAITS;
}

size_t ft_merger_count(const struct ft_merger *merger) { return merger->n; }

void ft_merger_empty(struct ft_merger *merger, ft_merger_fn *fn, void *ctx)
{
    size_t n = merger->n;
    if (n == 0) {
        return;
    }
    merger->n = 0;
    memset(merger->places, 0, merger->n_places * sizeof *merger->places);
    for (size_t i = 0; i < n; i++) {
        fn(ctx, &merger->items[i].event, merger->items[i].n_merged);
    }
}

/* The place of the event's flow, or the one where it belongs. */
static uint16_t *find(const struct ft_merger *merger, const struct ft_event *event)
{
    uint64_t hash = (uint64_t)event->start_ns * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ event->ct_id) * UINT64_C(0xc2b2ae3d27d4eb4f);
    size_t i = (size_t)(hash >> 32);
    for (;; i++) {
        uint16_t *place = &merger->places[i & (merger->n_places - 1)];
        if (*place == 0) {
            return place;
        }
        const struct ft_event *other = &merger->items[*place - 1].event;
        if (other->ct_id == event->ct_id && other->start_ns == event->start_ns) {
            return place;
        }
    }
}

/* An event's strings are borrowed: one that has any cannot be kept. */
static bool may_wait(const struct ft_event *event)
{
    const uint32_t with_strings = FT_FIELD_PROCESS | FT_FIELD_CONTAINER | FT_FIELD_USER |
                                  FT_FIELD_DNS | FT_FIELD_RULE | FT_FIELD_RESOURCE;
    return (event->fields & FT_FIELD_FLOW) != 0 && (event->fields & with_strings) == 0 &&
           (event->type == FT_EVENT_START || event->type == FT_EVENT_UPDATE ||
            event->type == FT_EVENT_END);
}

static bool may_merge(const struct ft_event *first, const struct ft_event *second)
{
    return first->type != FT_EVENT_END && second->type != FT_EVENT_START;
}

/* An event that was not aggregated is a window of its own. */
static void add_window(struct ft_event *event)
{
    if ((event->fields & FT_FIELD_WINDOW) == 0) {
        event->fields |= FT_FIELD_WINDOW;
        event->window_begin_ns = event->time_ns;
        event->window_end_ns = event->time_ns;
        event->n_starts = event->type == FT_EVENT_START ? 1 : 0;
        event->n_ends = event->type == FT_EVENT_END ? 1 : 0;
        event->n_drops = 0;
    }
}

/* '*first' becomes both: the later one, with what the earlier one adds to it. */
static void merge(struct ft_event *first, const struct ft_event *second)
{
    struct ft_event sum = *second;
    add_window(first);
    add_window(&sum);
    sum.n_starts += first->n_starts;
    sum.n_ends += first->n_ends;
    sum.n_drops += first->n_drops;
    if (first->window_begin_ns < sum.window_begin_ns) {
        sum.window_begin_ns = first->window_begin_ns;
    }
    if (first->window_end_ns > sum.window_end_ns) {
        sum.window_end_ns = first->window_end_ns;
    }
    if ((first->fields & FT_FIELD_COUNTERS) != 0) {
        bool has = (sum.fields & FT_FIELD_COUNTERS) != 0;
        sum.rx_packets = first->rx_packets + (has ? sum.rx_packets : 0);
        sum.rx_bytes = first->rx_bytes + (has ? sum.rx_bytes : 0);
        sum.tx_packets = first->tx_packets + (has ? sum.tx_packets : 0);
        sum.tx_bytes = first->tx_bytes + (has ? sum.tx_bytes : 0);
        sum.fields |= FT_FIELD_COUNTERS;
    }
    sum.fields |= first->fields & FLOW_FLAGS;
    uint32_t missing = first->fields & ~sum.fields;
    if ((missing & FT_FIELD_MARK) != 0) {
        sum.mark = first->mark;
    }
    if ((missing & FT_FIELD_ZONE) != 0) {
        sum.zone = first->zone;
    }
    if ((missing & FT_FIELD_TCP_STATE) != 0) {
        sum.tcp_state = first->tcp_state;
    }
    if ((missing & FT_FIELD_STATUS) != 0) {
        sum.ct_status = first->ct_status;
    }
    sum.fields |= missing & (FT_FIELD_MARK | FT_FIELD_ZONE | FT_FIELD_TCP_STATE | FT_FIELD_STATUS);
    *first = sum;
}
