/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that watches connections from outside libmicrohttpd, which does not look at a
 * suspended connection and whose time-out starts anew with each byte.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "web/web_impl.h"

/* How often deadlines are looked at while there are connections; less where a bound is smaller. */
#define TICK_MS       250
#define EVENTS_MAX    32
#define WAKE_ID       0
#define REQUESTS_STEP 64

static void watch(void *ctx);

ft_err ft_web_watch_start(struct ft_web *web)
{
    FT_TRY(ft_wakefd_open(&web->wake_fd));
    web->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (web->epoll_fd < 0) {
        return ft_err_last();
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE_ID};
    if (epoll_ctl(web->epoll_fd, EPOLL_CTL_ADD, web->wake_fd, &event) != 0) {
        return ft_err_last();
    }
    return ft_thread_start(&web->watcher, "web-watch", watch, web);
}

void ft_web_watch_stop(struct ft_web *web)
{
    if (web->wake_fd >= 0) {
        ft_wakefd_signal(web->wake_fd);
    }
    ft_thread_join(&web->watcher);
}

void ft_web_watch_add(struct ft_web *web, struct ft_web_request *request)
{
    ft_mutex_lock(&web->lock);
    request->id = ++web->last_id;
    request->prev = NULL;
    request->next = web->first;
    if (web->first != NULL) {
        web->first->prev = request;
    }
    web->first = request;
    ft_mutex_unlock(&web->lock);
    /* Once: a client that has gone stays so, and would be reported without end. */
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = request->id};
    if (epoll_ctl(web->epoll_fd, EPOLL_CTL_ADD, request->fd, &event) != 0) {
        /* Out of memory or watches: the client's going is seen at the next write. */
        ft_err_ignore(ft_err_last(), "costs promptness only");
    }
    if (atomic_fetch_add(&web->n_connections, 1) == 0) {
        ft_wakefd_signal(web->wake_fd);
    }
}

void ft_web_watch_remove(struct ft_web *web, struct ft_web_request *request)
{
    (void)epoll_ctl(web->epoll_fd, EPOLL_CTL_DEL, request->fd, NULL);
    ft_mutex_lock(&web->lock);
    if (request->prev != NULL) {
        request->prev->next = request->next;
    } else {
        web->first = request->next;
    }
    if (request->next != NULL) {
        request->next->prev = request->prev;
    }
    ft_mutex_unlock(&web->lock);
    (void)atomic_fetch_sub(&web->n_connections, 1);
}

/*
 * References to the requests whose id is below 'below', newest first; ids fall along the list, so
 * the last one continues.  Nothing is called under the lock.
 */
static size_t snapshot(struct ft_web *web, uint64_t below,
                       struct ft_web_request *requests[REQUESTS_STEP])
{
    size_t n = 0;
    ft_mutex_lock(&web->lock);
    for (struct ft_web_request *at = web->first; at != NULL && n < REQUESTS_STEP; at = at->next) {
        if (at->id < below) {
            ft_web_request_ref(at);
            requests[n++] = at;
        }
    }
    ft_mutex_unlock(&web->lock);
    return n;
}

typedef void request_fn(struct ft_web *web, struct ft_web_request *request, uint64_t arg);

static void each(struct ft_web *web, request_fn *fn, uint64_t arg)
{
    struct ft_web_request *requests[REQUESTS_STEP];
    uint64_t below = UINT64_MAX;
    size_t n;
    while ((n = snapshot(web, below, requests)) > 0) {
        below = requests[n - 1]->id;
        for (size_t i = 0; i < n; i++) {
            fn(web, requests[i], arg);
            ft_web_request_unref(requests[i]);
        }
    }
}

static void give_up(struct ft_web *web, struct ft_web_request *request, uint64_t arg)
{
    (void)web;
    (void)arg;
    ft_web_request_give_up(request);
}

void ft_web_give_up_all(struct ft_web *web) { each(web, give_up, 0); }

static void on_gone(struct ft_web *web, struct ft_web_request *request, uint64_t id)
{
    (void)web;
    if (request->id == id) {
        ft_web_request_give_up(request);
    }
}

/* Ends the connection, if it is still in the list: its descriptor is open as long as it is. */
static void end_connection(struct ft_web *web, const struct ft_web_request *request)
{
    ft_mutex_lock(&web->lock);
    for (const struct ft_web_request *at = web->first; at != NULL; at = at->next) {
        if (at == request) {
            (void)shutdown(request->fd, SHUT_RDWR);
        }
    }
    ft_mutex_unlock(&web->lock);
}

static void look(struct ft_web *web, struct ft_web_request *request, uint64_t now_ns)
{
    const struct ft_web_options *options = &web->options;
    int64_t age_ms = ((int64_t)now_ns - request->start_ns) / FT_NS_PER_MS;
    if (!atomic_load(&request->header_done)) {
        if (age_ms > (int64_t)options->header_ms_max) {
            atomic_store(&request->header_done, true); /* Counts it once. */
            ft_web_count_refused(web, FT_WEB_REFUSED_SLOW);
            end_connection(web, request);
            ft_web_request_give_up(request);
        }
    } else if (atomic_load(&request->is_events)) {
        ft_web_sse_heartbeat(request, (int64_t)now_ns);
    } else if (age_ms > (int64_t)options->answer_ms_max) {
        end_connection(web, request);
        ft_web_request_give_up(request);
    }
}

static int tick_ms(const struct ft_web *web)
{
    if (atomic_load(&web->n_connections) == 0) {
        return -1;
    }
    unsigned least = web->options.header_ms_max < web->options.heartbeat_ms
                         ? web->options.header_ms_max
                         : web->options.heartbeat_ms;
    return least / 2 < TICK_MS ? (int)(least / 2 + 1) : TICK_MS;
}

static void watch(void *ctx)
{
    struct ft_web *web = ctx;
    while (!atomic_load(&web->stopping)) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(web->epoll_fd, events, EVENTS_MAX, tick_ms(web));
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == WAKE_ID) {
                ft_wakefd_clear(web->wake_fd);
            } else {
                each(web, on_gone, events[i].data.u64);
            }
        }
        each(web, look, (uint64_t)ft_web_now_ns(web));
    }
}
