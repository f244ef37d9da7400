/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that run handlers which may wait, and the bounded queue before them. */
#include <errno.h>
#include <stdlib.h>

#include "web/web_impl.h"

/* The next request; NULL when the queue is closed and empty. */
static struct ft_web_request *take(struct ft_web *web)
{
    ft_mutex_lock(&web->queue_lock);
    while (web->queue_first == NULL && !web->queue_closed) {
        ft_cond_wait(&web->queue_changed, &web->queue_lock);
    }
    struct ft_web_request *request = web->queue_first;
    if (request != NULL) {
        web->queue_first = request->queue_next;
        web->queue_last = web->queue_first == NULL ? NULL : web->queue_last;
        web->queue_n--;
    }
    ft_mutex_unlock(&web->queue_lock);
    return request;
}

static void work(void *ctx)
{
    struct ft_web *web = ctx;
    struct ft_web_request *request;
    while ((request = take(web)) != NULL) {
        if (!atomic_load(&request->cancel)) {
            request->route->handler(request->route->ctx, request);
        }
        ft_web_request_finish(request);
        ft_web_request_unref(request);
    }
}

ft_err ft_web_workers_start(struct ft_web *web)
{
    web->workers = calloc(web->options.workers, sizeof *web->workers);
    if (web->workers == NULL) {
        return ft_err_last();
    }
    ft_mutex_lock(&web->queue_lock);
    web->queue_closed = false;
    ft_mutex_unlock(&web->queue_lock);
    for (unsigned i = 0; i < web->options.workers; i++) {
        FT_TRY(ft_thread_start(&web->workers[i], "web-worker", work, web));
    }
    return FT_OK;
}

void ft_web_workers_stop(struct ft_web *web)
{
    ft_mutex_lock(&web->queue_lock);
    web->queue_closed = true;
    ft_cond_broadcast(&web->queue_changed);
    ft_mutex_unlock(&web->queue_lock);
    for (unsigned i = 0; web->workers != NULL && i < web->options.workers; i++) {
        ft_thread_join(&web->workers[i]);
    }
    free(web->workers);
    web->workers = NULL;
}

ft_err ft_web_workers_add(struct ft_web *web, struct ft_web_request *request)
{
    ft_err err = FT_OK;
    ft_mutex_lock(&web->queue_lock);
    if (web->queue_closed || web->queue_n >= web->options.queue_max) {
        err = FT_E_FULL;
    } else {
        ft_web_request_ref(request);
        request->queue_next = NULL;
        if (web->queue_last != NULL) {
            web->queue_last->queue_next = request;
        } else {
            web->queue_first = request;
        }
        web->queue_last = request;
        web->queue_n++;
        ft_cond_signal(&web->queue_changed);
    }
    ft_mutex_unlock(&web->queue_lock);
    return err;
}
