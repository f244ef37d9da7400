/* SPDX-License-Identifier: Apache-2.0 */
#include "web/live.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/thread.h"
#include "text/json.h"
#include "web/sse.h"

struct subscriber {
    struct ft_live_hub *hub;
    struct ft_web_sse *sse;
    struct ft_query query;
    struct subscriber *prev;
    struct subscriber *next;
    int64_t second_begin_ns;
    unsigned n_this_second;
};

struct ft_live_hub {
    /* Set at creation. */
    const struct ft_clock *clock;
    unsigned rows_per_s_max;

    /* Any thread. */
    atomic_uint n_subscribers;

    /* Guarded by lock. */
    struct ft_mutex lock;
    struct subscriber *first FT_GUARDED;
    struct ft_buf json FT_GUARDED; /* Of the row in hand; empty until somebody wants it. */
};

static void on_closed(void *ctx);
static bool is_within_rate(struct subscriber *subscriber, int64_t now_ns);

ft_err ft_live_hub_create(const struct ft_clock *clock, unsigned rows_per_s_max,
                          struct ft_live_hub **ret_hub)
{
    struct ft_live_hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL) {
        return ft_err_last();
    }
    hub->clock = clock;
    hub->rows_per_s_max = rows_per_s_max != 0 ? rows_per_s_max : FT_LIVE_ROWS_PER_S_DEFAULT;
    ft_mutex_init(&hub->lock);
    ft_mutex_lock(&hub->lock);
    ft_buf_init(&hub->json, 0);
    ft_mutex_unlock(&hub->lock);
    *ret_hub = hub;
    return FT_OK;
}

FT_NO_TSA void ft_live_hub_destroy(struct ft_live_hub *hub)
{
    if (hub == NULL) {
        return;
    }
    assert(hub->first == NULL);
    ft_buf_deinit(&hub->json);
    ft_mutex_deinit(&hub->lock);
    free(hub);
}

bool ft_live_is_wanted(const struct ft_live_hub *hub)
{
    return atomic_load_explicit(&hub->n_subscribers, memory_order_relaxed) != 0;
}

void ft_live_publish(struct ft_live_hub *hub, const struct ft_row *row)
{
    if (!ft_live_is_wanted(hub)) {
        return;
    }
    int64_t now_ns = ft_clock_mono_ns(hub->clock);
    ft_mutex_lock(&hub->lock);
    ft_buf_clear(&hub->json);
    for (struct subscriber *at = hub->first; at != NULL; at = at->next) {
        if (!ft_query_matches(&at->query, row)) {
            continue;
        }
        if (!is_within_rate(at, now_ns)) {
            ft_web_sse_count_dropped(at->sse, 1);
            continue;
        }
        if (hub->json.size == 0) {
            struct ft_json_writer writer;
            ft_json_writer_init(&writer, &hub->json);
            ft_text_json_row(&writer, row);
        }
        if (hub->json.err != FT_OK ||
            ft_web_sse_send(at->sse, NULL, hub->json.data, hub->json.size) != FT_OK) {
            /* No memory; or the client is going, and then nobody reads the number. */
            ft_web_sse_count_dropped(at->sse, 1);
        }
    }
    ft_mutex_unlock(&hub->lock);
}

ft_err ft_live_serve(struct ft_live_hub *hub, struct ft_web_request *request,
                     struct ft_query *query)
{
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL) {
        return ft_err_last();
    }
    ft_err err = ft_web_sse_begin(request, on_closed, subscriber, &subscriber->sse);
    if (err != FT_OK) {
        free(subscriber);
        return err;
    }
    subscriber->hub = hub;
    subscriber->query = *query;
    ft_query_init(query);
    subscriber->second_begin_ns = ft_clock_mono_ns(hub->clock);
    ft_mutex_lock(&hub->lock);
    subscriber->next = hub->first;
    if (hub->first != NULL) {
        hub->first->prev = subscriber;
    }
    hub->first = subscriber;
    (void)atomic_fetch_add(&hub->n_subscribers, 1);
    ft_mutex_unlock(&hub->lock);
    return FT_OK;
}

static void on_closed(void *ctx)
{
    struct subscriber *subscriber = ctx;
    struct ft_live_hub *hub = subscriber->hub;
    ft_mutex_lock(&hub->lock);
    if (subscriber->prev != NULL) {
        subscriber->prev->next = subscriber->next;
    } else {
        hub->first = subscriber->next;
    }
    if (subscriber->next != NULL) {
        subscriber->next->prev = subscriber->prev;
    }
    (void)atomic_fetch_sub(&hub->n_subscribers, 1);
    ft_mutex_unlock(&hub->lock);
    ft_web_sse_unref(subscriber->sse);
    ft_query_deinit(&subscriber->query);
    free(subscriber);
}

static bool is_within_rate(struct subscriber *subscriber, int64_t now_ns)
{
    if (now_ns - subscriber->second_begin_ns >= FT_NS_PER_S) {
        subscriber->second_begin_ns = now_ns;
        subscriber->n_this_second = 0;
    }
    if (subscriber->n_this_second >= subscriber->hub->rows_per_s_max) {
        return false;
    }
    subscriber->n_this_second++;
    return true;
}
