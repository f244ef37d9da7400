/* SPDX-License-Identifier: Apache-2.0 */
#include "web/sse.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web/web_impl.h"

struct message {
    struct message *next;
    bool counted; /* Told as dropped when it is: a heartbeat is not. */
    size_t size;
    char data[];
};

/* All members are guarded by request->lock. */
struct ft_web_sse {
    struct ft_web_request *request;
    ft_web_sse_closed_fn *closed;
    void *ctx;
    struct message *first;
    struct message *last;
    size_t n;
    size_t bytes;
    struct message *current; /* Being sent, up to 'current_at'. */
    size_t current_at;
    uint64_t dropped; /* Not told yet. */
    int64_t last_ns;  /* When something was last queued. */
};

static struct message *make_message(const char *event, const char *data, size_t size);
static ft_err enqueue(struct ft_web_sse *sse, struct message *message);

ft_err ft_web_sse_begin(struct ft_web_request *request, ft_web_sse_closed_fn *closed, void *ctx,
                        struct ft_web_sse **ret_sse)
{
    struct ft_web *web = request->web;
    if (atomic_fetch_add(&web->n_sse, 1) >= web->options.sse_clients_max) {
        (void)atomic_fetch_sub(&web->n_sse, 1);
        return FT_E_FULL;
    }
    struct ft_web_sse *sse = calloc(1, sizeof *sse);
    /* The first bytes make the browser's onopen fire, and set how soon it comes back. */
    struct message *hello = make_message(NULL, "", 0);
    if (sse == NULL || hello == NULL) {
        free(sse);
        free(hello);
        (void)atomic_fetch_sub(&web->n_sse, 1);
        return ft_err_from_errno(ENOMEM);
    }
    static const char text[] = "retry: 3000\n\n";
    memcpy(hello->data, text, sizeof text - 1);
    hello->size = sizeof text - 1;
    sse->request = request;
    sse->closed = closed;
    sse->ctx = ctx;
    sse->current = hello;
    sse->last_ns = ft_web_now_ns(web);
    ft_web_request_ref(request);
    atomic_store(&request->is_events, true);
    ft_mutex_lock(&request->lock);
    assert(request->answer == FT_WEB_NO_ANSWER);
    request->answer = FT_WEB_EVENTS;
    request->status = 200;
    request->type = FT_WEB_SSE_CONTENT_TYPE;
    request->sse = sse;
    ft_mutex_unlock(&request->lock);
    *ret_sse = sse;
    return FT_OK;
}

void ft_web_sse_unref(struct ft_web_sse *sse) { ft_web_request_unref(sse->request); }

void ft_web_sse_free(struct ft_web_sse *sse)
{
    if (sse == NULL) {
        return;
    }
    while (sse->first != NULL) {
        struct message *message = sse->first;
        sse->first = message->next;
        free(message);
    }
    free(sse->current);
    free(sse);
}

ft_web_sse_closed_fn *ft_web_sse_take_closed(struct ft_web_request *request, void **ret_ctx)
{
    struct ft_web_sse *sse = request->sse;
    if (sse == NULL || sse->closed == NULL) {
        return NULL;
    }
    ft_web_sse_closed_fn *closed = sse->closed;
    *ret_ctx = sse->ctx;
    sse->closed = NULL;
    (void)atomic_fetch_sub(&request->web->n_sse, 1);
    return closed;
}

ft_err ft_web_sse_send(struct ft_web_sse *sse, const char *event, const char *data, size_t size)
{
    if (size + 128 > FT_WEB_SSE_BYTES_MAX) {
        return FT_E_RANGE;
    }
    /* Before the lock: a gone client costs an allocation, a live one shorter waiting. */
    struct message *message = make_message(event, data, size);
    if (message == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    return enqueue(sse, message);
}

void ft_web_sse_count_dropped(struct ft_web_sse *sse, uint64_t n)
{
    struct ft_web_request *request = sse->request;
    if (request->web->events_dropped != NULL) {
        ft_counter_add(request->web->events_dropped, n);
    }
    ft_mutex_lock(&request->lock);
    sse->dropped += n;
    ft_mutex_unlock(&request->lock);
}

/* On a silent stream a comment; also the moment to tell what was dropped, when nothing follows. */
void ft_web_sse_heartbeat(struct ft_web_request *request, int64_t now_ns)
{
    ft_mutex_lock(&request->lock);
    struct ft_web_sse *sse = request->sse;
    int64_t silence_ns = (int64_t)request->web->options.heartbeat_ms * FT_NS_PER_MS;
    bool due = sse != NULL && sse->first == NULL && now_ns - sse->last_ns >= silence_ns;
    ft_mutex_unlock(&request->lock);
    if (!due) {
        return;
    }
    struct message *beat = make_message(NULL, "", 0);
    if (beat == NULL) {
        return; /* The next one will do. */
    }
    static const char text[] = ": heartbeat\n\n";
    memcpy(beat->data, text, sizeof text - 1);
    beat->size = sizeof text - 1;
    beat->counted = false;
    ft_err_ignore(enqueue(sse, beat), "a client that has gone needs no heartbeat");
}

/* Has room for 64 bytes even without data. */
static struct message *make_message(const char *event, const char *data, size_t size)
{
    size_t room = 64 + size + (event != NULL ? strlen(event) : 0);
    struct message *message = malloc(sizeof *message + room);
    if (message == NULL) {
        return NULL;
    }
    char *at = message->data;
    if (event != NULL) {
        at += sprintf(at, "event: %s\n", event);
    }
    at = mempcpy(at, "data: ", 6);
    at = mempcpy(at, data, size);
    at = mempcpy(at, "\n\n", 2);
    message->next = NULL;
    message->counted = true;
    message->size = (size_t)(at - message->data);
    return message;
}

static void drop_oldest(struct ft_web_sse *sse)
{
    struct message *message = sse->first;
    sse->first = message->next;
    sse->last = sse->first == NULL ? NULL : sse->last;
    sse->n--;
    sse->bytes -= message->size;
    if (message->counted) {
        sse->dropped++;
        if (sse->request->web->events_dropped != NULL) {
            ft_counter_inc(sse->request->web->events_dropped);
        }
    }
    free(message);
}

static ft_err enqueue(struct ft_web_sse *sse, struct message *message)
{
    struct ft_web_request *request = sse->request;
    int64_t now_ns = ft_web_now_ns(request->web);
    ft_mutex_lock(&request->lock);
    if (request->gone) {
        ft_mutex_unlock(&request->lock);
        free(message);
        return FT_E_CLOSED;
    }
    while (sse->n > 0 && (sse->n >= FT_WEB_SSE_MESSAGES_MAX ||
                          sse->bytes + message->size > FT_WEB_SSE_BYTES_MAX)) {
        drop_oldest(sse);
    }
    if (sse->last != NULL) {
        sse->last->next = message;
    } else {
        sse->first = message;
    }
    sse->last = message;
    sse->n++;
    sse->bytes += message->size;
    sse->last_ns = now_ns;
    ft_web_request_wake(request);
    ft_mutex_unlock(&request->lock);
    return FT_OK;
}

/* The next message to send: first what was dropped, because it was older. */
static struct message *next_message(struct ft_web_sse *sse)
{
    if (sse->dropped > 0) {
        char data[64];
        int len = snprintf(data, sizeof data, "{\"count\":%" PRIu64 "}", sse->dropped);
        struct message *told = make_message("dropped", data, (size_t)len);
        if (told != NULL) {
            sse->dropped = 0;
            return told;
        }
    }
    struct message *message = sse->first;
    if (message != NULL) {
        sse->first = message->next;
        sse->last = sse->first == NULL ? NULL : sse->last;
        sse->n--;
        sse->bytes -= message->size;
    }
    return message;
}

ssize_t ft_web_sse_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    struct ft_web_request *request = cls;
    size_t n = 0;
    ft_mutex_lock(&request->lock);
    struct ft_web_sse *sse = request->sse;
    while (!request->gone && n < max) {
        if (sse->current == NULL) {
            sse->current = next_message(sse);
            sse->current_at = 0;
        }
        if (sse->current == NULL) {
            break;
        }
        size_t rest = sse->current->size - sse->current_at;
        size_t part = rest < max - n ? rest : max - n;
        memcpy(buf + n, sse->current->data + sse->current_at, part);
        n += part;
        sse->current_at += part;
        if (part == rest) {
            free(sse->current);
            sse->current = NULL;
        }
    }
    if (n == 0 && !request->gone) {
        request->waiting = true;
        MHD_suspend_connection(request->connection);
    }
    ssize_t result = request->gone ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
    ft_mutex_unlock(&request->lock);
    return result;
}
