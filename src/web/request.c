/* SPDX-License-Identifier: Apache-2.0 */
#include "web/request.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web/web_impl.h"
#include "json/writer.h"

/* An error's text: a list of known parameters is the longest. */
#define MESSAGE_SIZE 1280

static void answer_whole(struct ft_web_request *request, unsigned status, const char *type)
    FT_REQUIRES(request->lock);

ft_err ft_web_request_create(const struct ft_web_listener *listener, int fd,
                             struct ft_web_request **ret_request)
{
    struct ft_web_request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        return ft_err_last();
    }
    request->web = listener->web;
    request->listener = listener;
    request->fd = fd;
    request->start_ns = ft_web_now_ns(listener->web);
    atomic_init(&request->refs, 1);
    ft_mutex_init(&request->lock);
    ft_cond_init(&request->changed);
    ft_mutex_lock(&request->lock);
    ft_buf_init(&request->out, 0);
    ft_mutex_unlock(&request->lock);
    *ret_request = request;
    return FT_OK;
}

void ft_web_request_ref(struct ft_web_request *request)
{
    (void)atomic_fetch_add(&request->refs, 1);
}

/* The last owner is alone with the request: no lock is needed. */
FT_NO_TSA static void destroy(struct ft_web_request *request)
{
    ft_buf_deinit(&request->out);
    ft_web_params_deinit(&request->params);
    ft_web_sse_free(request->sse);
    free(request->uri);
    ft_cond_deinit(&request->changed);
    ft_mutex_deinit(&request->lock);
    free(request);
}

void ft_web_request_unref(struct ft_web_request *request)
{
    if (atomic_fetch_sub(&request->refs, 1) == 1) {
        destroy(request);
    }
}

void ft_web_request_wake(struct ft_web_request *request)
{
    if (request->waiting && request->connection != NULL) {
        request->waiting = false;
        MHD_resume_connection(request->connection);
    }
}

void ft_web_request_give_up(struct ft_web_request *request)
{
    atomic_store(&request->cancel, true);
    ft_mutex_lock(&request->lock);
    request->gone = true;
    ft_cond_broadcast(&request->changed);
    ft_web_request_wake(request);
    ft_mutex_unlock(&request->lock);
}

void ft_web_request_finish(struct ft_web_request *request)
{
    ft_mutex_lock(&request->lock);
    if (request->answer == FT_WEB_NO_ANSWER) {
        static const char text[] =
            "{\"error\":{\"code\":\"internal\",\"message\":\"the request was not answered\"}}\n";
        ft_buf_clear(&request->out);
        ft_buf_add_str(&request->out, text);
        answer_whole(request, 500, FT_WEB_JSON);
    }
    if (request->answer != FT_WEB_EVENTS) {
        request->broken = request->broken || request->out.err != FT_OK;
        request->done = true;
    }
    request->committed = true;
    ft_web_request_wake(request);
    ft_mutex_unlock(&request->lock);
}

const char *ft_web_request_get_path(const struct ft_web_request *request) { return request->uri; }

const struct ft_web_params *ft_web_request_get_params(const struct ft_web_request *request)
{
    return &request->params;
}

const char *ft_web_request_get_if_none_match(const struct ft_web_request *request)
{
    return request->if_none_match;
}

bool ft_web_request_is_head(const struct ft_web_request *request) { return request->is_head; }

const atomic_bool *ft_web_request_get_cancel(const struct ft_web_request *request)
{
    return &request->cancel;
}

void ft_web_set_header(struct ft_web_request *request, const char *name, const char *value)
{
    ft_mutex_lock(&request->lock);
    assert(request->n_headers < FT_WEB_HEADERS_MAX && !request->committed);
    struct ft_web_header *header = &request->headers[request->n_headers++];
    header->name = name;
    (void)snprintf(header->value, sizeof header->value, "%s", value);
    ft_mutex_unlock(&request->lock);
}

void ft_web_respond(struct ft_web_request *request, unsigned status, const char *type,
                    const void *data, size_t size)
{
    ft_mutex_lock(&request->lock);
    assert(request->answer == FT_WEB_NO_ANSWER);
    ft_buf_clear(&request->out);
    ft_buf_add(&request->out, data, size);
    answer_whole(request, status, type);
    ft_mutex_unlock(&request->lock);
}

void ft_web_respond_buf(struct ft_web_request *request, unsigned status, const char *type,
                        struct ft_buf *buf)
{
    if (buf->err != FT_OK) {
        ft_web_respond_error(request, 500, "internal", NULL, "the answer could not be made: %s",
                             ft_err_text(buf->err));
        return;
    }
    ft_mutex_lock(&request->lock);
    assert(request->answer == FT_WEB_NO_ANSWER);
    ft_buf_deinit(&request->out);
    request->out = *buf;
    ft_buf_init(buf, buf->size_max);
    answer_whole(request, status, type);
    ft_mutex_unlock(&request->lock);
}

void ft_web_respond_error(struct ft_web_request *request, unsigned status, const char *code,
                          const char *parameter, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ft_mutex_lock(&request->lock);
    if (request->answer == FT_WEB_STREAM && request->committed) {
        request->broken = true;
    } else {
        if (request->answer == FT_WEB_STREAM) {
            /* Headers and trailers of the answer that is not to be. */
            request->n_headers = 0;
            request->n_trailers = 0;
        }
        ft_buf_clear(&request->out);
        struct ft_json_writer writer;
        ft_json_writer_init(&writer, &request->out);
        ft_json_object_begin(&writer);
        ft_json_key_object(&writer, "error");
        ft_json_key_str(&writer, "code", code);
        ft_json_key_str(&writer, "message", message);
        if (parameter != NULL && parameter[0] != '\0') {
            ft_json_key_str(&writer, "parameter", parameter);
        }
        ft_json_object_end(&writer);
        ft_json_object_end(&writer);
        ft_json_newline(&writer);
        answer_whole(request, status, FT_WEB_JSON);
    }
    ft_mutex_unlock(&request->lock);
}

static void answer_whole(struct ft_web_request *request, unsigned status, const char *type)
{
    request->answer = FT_WEB_WHOLE;
    request->status = status;
    request->type = type;
}
