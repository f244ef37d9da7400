/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

#define NAME_FIELDS                                                                                \
    (FT_FIELD_PROCESS | FT_FIELD_CONTAINER | FT_FIELD_USER | FT_FIELD_DNS | FT_FIELD_RULE |        \
     FT_FIELD_RESOURCE)

struct ring {
    struct ft_event *events;
    size_t capacity;
    uint64_t n; /* Ever added; the last 'capacity' of them are there. */
};

/* Whose an event is. */
struct instances {
    struct ft_uuid id; /* Behind base_seq. */
    struct ft_uuid before;
    uint64_t base_seq;
};

struct ft_recent {
    struct ft_flow_reader reader;
    struct ft_uuid agent_id;
    struct ft_mutex lock;
    struct instances instances FT_GUARDED;
    struct ring events FT_GUARDED;
    struct ring losses FT_GUARDED;
};

static const struct ft_flow_reader_ops reader_ops;

static const struct ft_uuid *instance_of(const struct instances *instances, uint64_t seq);

static void ring_add(struct ring *ring, const struct ft_event *event)
{
    struct ft_event *to = &ring->events[ring->n++ % ring->capacity];
    *to = *event;
    to->fields &= ~NAME_FIELDS;
}

ft_err ft_recent_create(const struct ft_uuid *agent_id, const struct ft_uuid *instance_id,
                        struct ft_recent **ret_recent)
{
    FT_CLEANUP(ft_recent_destroy) struct ft_recent *recent = calloc(1, sizeof *recent);
    if (recent == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&recent->lock);
    recent->reader.ops = &reader_ops;
    recent->agent_id = *agent_id;
    struct ft_event *events = calloc(FT_RECENT_EVENTS, sizeof *events);
    struct ft_event *losses = calloc(FT_RECENT_LOSSES, sizeof *losses);
    ft_mutex_lock(&recent->lock);
    recent->instances.id = *instance_id;
    recent->events = (struct ring){.events = events, .capacity = FT_RECENT_EVENTS};
    recent->losses = (struct ring){.events = losses, .capacity = FT_RECENT_LOSSES};
    ft_mutex_unlock(&recent->lock);
    if (events == NULL || losses == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    *ret_recent = FT_TAKE(recent);
    return FT_OK;
}

void ft_recent_destroy(struct ft_recent *recent) FT_NO_TSA
{
    if (recent != NULL) {
        free(recent->events.events);
        free(recent->losses.events);
        ft_mutex_deinit(&recent->lock);
        free(recent);
    }
}

void ft_recent_add(struct ft_recent *recent, const struct ft_event *event)
{
    ft_mutex_lock(&recent->lock);
    ring_add(&recent->events, event);
    if (event->type == FT_EVENT_LOSS) {
        ring_add(&recent->losses, event);
    }
    ft_mutex_unlock(&recent->lock);
}

void ft_recent_set_instance(struct ft_recent *recent, const struct ft_uuid *instance_id,
                            uint64_t base_seq)
{
    ft_mutex_lock(&recent->lock);
    recent->instances = (struct instances){*instance_id, recent->instances.id, base_seq};
    ft_mutex_unlock(&recent->lock);
}

void ft_recent_get_instance(struct ft_recent *recent, uint64_t seq, struct ft_uuid *ret_instance_id)
{
    ft_mutex_lock(&recent->lock);
    *ret_instance_id = *instance_of(&recent->instances, seq);
    ft_mutex_unlock(&recent->lock);
}

static const struct ft_uuid *instance_of(const struct instances *instances, uint64_t seq)
{
    return seq > instances->base_seq ? &instances->id : &instances->before;
}

struct ft_flow_reader *ft_recent_get_reader(struct ft_recent *recent) { return &recent->reader; }

/* What a query takes out under the lock. */
struct taken {
    struct ft_recent *recent;
    struct instances instances;
    const struct ft_query *query;
    struct ft_id_deriver *deriver;
    struct ft_row *rows;
    size_t n;
};

static int compare(const struct ft_row *row, const struct ft_query_cursor *cursor)
{
    if (row->event.time_ns != cursor->time_ns) {
        return row->event.time_ns < cursor->time_ns ? -1 : 1;
    }
    int order = memcmp(&row->agent_id, &cursor->agent_id, sizeof row->agent_id);
    if (order == 0) {
        order = memcmp(&row->instance_id, &cursor->instance_id, sizeof row->instance_id);
    }
    if (order == 0 && row->event.seq != cursor->seq) {
        order = row->event.seq < cursor->seq ? -1 : 1;
    }
    return order;
}

/* A loss is in both rings; it counts where the ring of all events has it no more. */
static void take_ring(struct taken *taken, const struct ring *ring, uint64_t before_seq)
{
    uint64_t first = ring->n > ring->capacity ? ring->n - ring->capacity : 0;
    for (uint64_t i = first; i < ring->n; i++) {
        struct ft_row *row = &taken->rows[taken->n];
        const struct ft_event *event = &ring->events[i % ring->capacity];
        *row = (struct ft_row){.event = *event,
                               .agent_id = taken->recent->agent_id,
                               .instance_id = *instance_of(&taken->instances, event->seq)};
        if (row->event.seq >= before_seq) {
            break;
        }
        ft_id_derive_event(taken->deriver, &row->instance_id, row->event.seq, &row->event_id);
        if ((row->event.fields & FT_FIELD_FLOW) != 0) {
            ft_id_derive_flow(taken->deriver, &row->instance_id, row->event.ct_id,
                              row->event.start_ns, &row->flow_id);
        }
        if (!ft_query_matches(taken->query, row)) {
            continue;
        }
        if (taken->query->has_cursor) {
            int order = compare(row, &taken->query->cursor);
            if (taken->query->order == FT_ORDER_NEWEST_FIRST ? order >= 0 : order <= 0) {
                continue;
            }
        }
        taken->n++;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct ft_row *right = b;
    struct ft_query_cursor cursor = {.time_ns = right->event.time_ns,
                                     .agent_id = right->agent_id,
                                     .instance_id = right->instance_id,
                                     .seq = right->event.seq};
    return compare(a, &cursor);
}

static ft_err give_rows(const struct taken *taken, ft_row_fn *fn, void *ctx,
                        struct ft_query_result *ret_result)
{
    qsort(taken->rows, taken->n, sizeof taken->rows[0], by_time);
    bool newest = taken->query->order == FT_ORDER_NEWEST_FIRST;
    size_t n = taken->n < taken->query->rows_max ? taken->n : taken->query->rows_max;
    for (size_t i = 0; i < n; i++) {
        FT_TRY(fn(ctx, &taken->rows[newest ? taken->n - 1 - i : i]));
        ret_result->n_rows++;
    }
    ret_result->more = n < taken->n;
    return FT_OK;
}

static ft_err recent_rows(struct ft_flow_reader *reader, const struct ft_query *query,
                          const atomic_bool *cancel, ft_row_fn *fn, void *ctx,
                          struct ft_query_result *ret_result, struct ft_diag *reterr_diag)
{
    (void)cancel;
    (void)reterr_diag;
    struct ft_recent *recent = (struct ft_recent *)reader;
    struct taken taken = {.recent = recent, .query = query};
    *ret_result = (struct ft_query_result){0};
    taken.rows = calloc(FT_RECENT_EVENTS + FT_RECENT_LOSSES + 1, sizeof taken.rows[0]);
    if (taken.rows == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = ft_id_deriver_create(&taken.deriver);
    if (err == FT_OK) {
        ft_mutex_lock(&recent->lock);
        taken.instances = recent->instances;
        uint64_t n = recent->events.n;
        size_t oldest = n > FT_RECENT_EVENTS ? n % FT_RECENT_EVENTS : 0;
        uint64_t first_seq = n > 0 ? recent->events.events[oldest].seq : 0;
        take_ring(&taken, &recent->losses, first_seq);
        take_ring(&taken, &recent->events, UINT64_MAX);
        ft_mutex_unlock(&recent->lock);
        err = give_rows(&taken, fn, ctx, ret_result);
    }
    ft_id_deriver_destroy(taken.deriver);
    free(taken.rows);
    return err;
}

static ft_err recent_groups(struct ft_flow_reader *reader, const struct ft_query *query,
                            const struct ft_group *group, const atomic_bool *cancel,
                            ft_group_row_fn *fn, void *ctx, struct ft_query_result *ret_result,
                            struct ft_diag *reterr_diag)
{
    (void)reader;
    (void)query;
    (void)group;
    (void)cancel;
    (void)fn;
    (void)ctx;
    (void)ret_result;
    return ft_diag_set(reterr_diag, FT_E_UNSUPPORTED, NULL, 0, 0,
                       "an agent keeps only the latest flows: ask the collector for groups");
}

static const struct ft_flow_reader_ops reader_ops = {.rows = recent_rows, .groups = recent_groups};
