/* SPDX-License-Identifier: Apache-2.0 */
/* Streamed answers: a worker writes into 'out', a server thread takes from it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "web/request.h"
#include "web/web_impl.h"

void ft_web_stream_begin(struct ft_web_request *request, const char *type)
{
    ft_mutex_lock(&request->lock);
    assert(request->answer == FT_WEB_NO_ANSWER);
    request->answer = FT_WEB_STREAM;
    request->status = 200;
    request->type = type;
    ft_mutex_unlock(&request->lock);
}

/* Waits until the client is less than the bound behind; false when there is no point any more. */
static bool wait_for_room(struct ft_web_request *request) FT_REQUIRES(request->lock)
{
    /* Real time on purpose: what is waited for is the peer, not the program. */
    int64_t deadline = ft_clock_mono_ns(ft_clock_system()) + FT_WEB_STREAM_STALL_MS * FT_NS_PER_MS;
    while (!request->gone && request->out.size - request->out_at >= FT_WEB_STREAM_BYTES_MAX) {
        if (!ft_cond_wait_until(&request->changed, &request->lock, deadline)) {
            request->broken = true;
            request->gone = true;
            atomic_store(&request->cancel, true);
            ft_web_request_wake(request);
        }
    }
    return !request->gone;
}

ft_err ft_web_stream_write(struct ft_web_request *request, const void *data, size_t size)
{
    ft_err err = FT_E_CANCELLED;
    ft_mutex_lock(&request->lock);
    assert(request->answer == FT_WEB_STREAM);
    if (wait_for_room(request)) {
        if (request->out_at > FT_WEB_STREAM_BYTES_MAX / 2) {
            ft_buf_consume(&request->out, request->out_at);
            request->out_at = 0;
        }
        ft_buf_add(&request->out, data, size);
        err = request->out.err;
        if (request->out.size >= FT_WEB_STREAM_HEAD_BYTES) {
            request->committed = true;
        }
        if (request->committed) {
            ft_web_request_wake(request);
        }
    }
    ft_mutex_unlock(&request->lock);
    return err;
}

void ft_web_stream_set_trailer(struct ft_web_request *request, const char *name, const char *value)
{
    ft_mutex_lock(&request->lock);
    assert(request->n_trailers < sizeof request->trailers / sizeof request->trailers[0]);
    struct ft_web_header *trailer = &request->trailers[request->n_trailers++];
    trailer->name = name;
    (void)snprintf(trailer->value, sizeof trailer->value, "%s", value);
    ft_mutex_unlock(&request->lock);
}

static ssize_t take(struct ft_web_request *request, char *buf, size_t max)
    FT_REQUIRES(request->lock)
{
    size_t n = request->out.size - request->out_at;
    n = n < max ? n : max;
    memcpy(buf, request->out.data + request->out_at, n);
    request->out_at += n;
    ft_cond_broadcast(&request->changed);
    return (ssize_t)n;
}

ssize_t ft_web_stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)pos;
    struct ft_web_request *request = cls;
    ssize_t result = 0;
    ft_mutex_lock(&request->lock);
    if (request->gone || request->broken) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (request->out.size > request->out_at) {
        result = take(request, buf, max);
    } else if (request->done) {
        for (size_t i = 0; i < request->n_trailers; i++) {
            (void)MHD_add_response_footer(request->response, request->trailers[i].name,
                                          request->trailers[i].value);
        }
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        request->waiting = true;
        MHD_suspend_connection(request->connection);
    }
    ft_mutex_unlock(&request->lock);
    return result;
}
