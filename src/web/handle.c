/* SPDX-License-Identifier: Apache-2.0 */
/* From a connection to a handler, and from its answer to a response. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web/host.h"
#include "web/web_impl.h"

/* Libmicrohttpd asks a stream for this much at a time. */
#define BLOCK_SIZE ((size_t)16 << 10)

#define CONTENT_POLICY                                                                             \
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "            \
    "object-src 'none'"

static void check(struct ft_web_request *request, struct MHD_Connection *connection,
                  const char *method);
static enum MHD_Result run(struct ft_web_request *request, struct MHD_Connection *connection);
static enum MHD_Result answer_or_wait(struct ft_web_request *request,
                                      struct MHD_Connection *connection);
static enum MHD_Result answer(struct ft_web_request *request, struct MHD_Connection *connection);

void ft_web_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode toe)
{
    const struct ft_web_listener *listener = cls;
    if (toe == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct ft_web_request *request = NULL;
        if (info != NULL && ft_web_request_create(listener, info->connect_fd, &request) == FT_OK) {
            ft_web_watch_add(listener->web, request);
        }
        *socket_context = request; /* NULL: refused when its request comes. */
    } else if (*socket_context != NULL) {
        struct ft_web_request *request = *socket_context;
        ft_web_watch_remove(listener->web, request);
        ft_web_request_unref(request);
        *socket_context = NULL;
    }
}

/* Gets the raw text behind the method, before the library has taken it apart. */
void *ft_web_on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    (void)cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct ft_web_request *request = info != NULL ? info->socket_context : NULL;
    /* A second request cannot be: the answer to the first one says "Connection: close". */
    if (request == NULL || request->uri != NULL) {
        return NULL;
    }
    request->uri = strdup(uri);
    if (request->uri == NULL) {
        return NULL;
    }
    ft_mutex_lock(&request->lock);
    request->connection = connection;
    ft_mutex_unlock(&request->lock);
    return request;
}

void ft_web_on_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
                         enum MHD_RequestTerminationCode toe)
{
    (void)cls;
    (void)connection;
    (void)toe;
    struct ft_web_request *request = *req_cls;
    if (request == NULL) {
        return;
    }
    void *ctx = NULL;
    atomic_store(&request->cancel, true);
    ft_mutex_lock(&request->lock);
    request->connection = NULL;
    request->waiting = false;
    request->gone = true;
    ft_cond_broadcast(&request->changed);
    ft_web_sse_closed_fn *closed = ft_web_sse_take_closed(request, &ctx);
    ft_mutex_unlock(&request->lock);
    if (closed != NULL) {
        closed(ctx);
    }
    *req_cls = NULL;
}

/* Called once when the headers are there, again behind the (empty) body, and after each resume. */
enum MHD_Result ft_web_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **req_cls)
{
    (void)cls;
    (void)url;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    struct ft_web_request *request = *req_cls;
    if (request == NULL) {
        return MHD_NO;
    }
    switch (request->stage) {
    case FT_WEB_NEW:
        atomic_store(&request->header_done, true);
        request->stage = FT_WEB_CHECKED;
        check(request, connection, method);
        if (request->route != NULL) {
            return MHD_YES;
        }
        return answer(request, connection);
    case FT_WEB_CHECKED:
        return run(request, connection);
    case FT_WEB_RUNNING:
        return answer_or_wait(request, connection);
    default:
        return MHD_NO;
    }
}

/* -------------------------------------------------------------------- before the handler */

struct hosts {
    unsigned n;
    const char *value;
    bool has_body;
};

static enum MHD_Result look_at_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    (void)kind;
    struct hosts *hosts = cls;
    if (strcasecmp(name, "Host") == 0) {
        hosts->n++;
        hosts->value = value;
    }
    hosts->has_body =
        hosts->has_body || strcasecmp(name, "Transfer-Encoding") == 0 ||
        (strcasecmp(name, "Content-Length") == 0 && (value == NULL || strcmp(value, "0") != 0));
    return MHD_YES;
}

static void refuse(struct ft_web_request *request, enum ft_web_refused reason, unsigned status,
                   const char *code, const char *message)
{
    ft_web_count_refused(request->web, reason);
    ft_web_respond_error(request, status, code, NULL, "%s", message);
}

/* Host, method, body: what concerns the request as such. */
static bool check_headers(struct ft_web_request *request, struct MHD_Connection *connection,
                          const char *method)
{
    const struct ft_web *web = request->web;
    struct hosts hosts = {0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at_header, &hosts);
    if (!request->listener->is_unix &&
        (hosts.n != 1 || !ft_web_host_is_allowed(hosts.value, (const char *const *)web->hosts,
                                                 web->options.n_hosts))) {
        refuse(request, FT_WEB_REFUSED_HOST, 421, "host_not_allowed",
               "this server is not known by the name in Host; it can be added to its "
               "configuration");
        return false;
    }
    request->is_head = strcmp(method, "HEAD") == 0;
    if (!request->is_head && strcmp(method, "GET") != 0) {
        ft_web_set_header(request, "Allow", "GET, HEAD");
        refuse(request, FT_WEB_REFUSED_METHOD, 405, "method_not_allowed",
               "only GET and HEAD are known here");
        return false;
    }
    if (hosts.has_body) {
        refuse(request, FT_WEB_REFUSED_BODY, 413, "body_not_allowed", "a request has no body here");
        return false;
    }
    return true;
}

static const struct ft_web_route_entry *find_route(const struct ft_web *web, const char *path)
{
    for (size_t i = 0; i < web->n_routes; i++) {
        if (strcmp(web->routes[i].path, path) == 0) {
            return &web->routes[i];
        }
    }
    return NULL;
}

/* Sets 'route', or responds with a refusal. */
static void check(struct ft_web_request *request, struct MHD_Connection *connection,
                  const char *method)
{
    struct ft_web *web = request->web;
    if (atomic_load(&web->stopping)) {
        refuse(request, FT_WEB_REFUSED_BUSY, 503, "stopping", "the server stops");
        return;
    }
    if (!check_headers(request, connection, method)) {
        return;
    }
    char *query = strchr(request->uri, '?');
    if (query != NULL) {
        *query++ = '\0';
    }
    struct ft_diag diag = {0};
    if (strlen(request->uri) > FT_WEB_PATH_LENGTH_MAX) {
        refuse(request, FT_WEB_REFUSED_QUERY, 414, "path_too_long", "the path is too long");
        return;
    }
    /* No path of ours needs decoding: one that is encoded is simply none of them. */
    const struct ft_web_route_entry *route = find_route(web, request->uri);
    bool public_only = web->options.tcp_public_only && !request->listener->is_unix;
    if (route == NULL || (public_only && !route->is_public)) {
        refuse(request, FT_WEB_REFUSED_NOT_FOUND, 404, "not_found", "there is nothing here");
        return;
    }
    ft_err err = ft_web_params_parse(query, &request->params, &diag);
    if (err == ft_err_from_errno(ENOMEM)) {
        refuse(request, FT_WEB_REFUSED_BUSY, 503, "busy", "out of memory");
        return;
    }
    if (err != FT_OK) {
        refuse(request, FT_WEB_REFUSED_QUERY, 400, "malformed_query", diag.text);
        return;
    }
    const char *etag = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match");
    (void)snprintf(request->if_none_match, sizeof request->if_none_match, "%s",
                   etag != NULL ? etag : "");
    request->route = route;
}

/* -------------------------------------------------------------------- handler and answer */

static enum MHD_Result run(struct ft_web_request *request, struct MHD_Connection *connection)
{
    request->stage = FT_WEB_RUNNING;
    if (request->route->run == FT_WEB_RUN_DIRECT) {
        request->route->handler(request->route->ctx, request);
        ft_web_request_finish(request);
        return answer(request, connection);
    }
    if (ft_web_workers_add(request->web, request) != FT_OK) {
        ft_web_set_header(request, "Retry-After", "1");
        refuse(request, FT_WEB_REFUSED_BUSY, 503, "busy",
               "too many queries wait already: try again");
        return answer(request, connection);
    }
    return answer_or_wait(request, connection);
}

static enum MHD_Result answer_or_wait(struct ft_web_request *request,
                                      struct MHD_Connection *connection)
{
    ft_mutex_lock(&request->lock);
    bool ready = request->committed;
    bool gone = request->gone;
    if (!ready && !gone) {
        request->waiting = true;
        MHD_suspend_connection(connection);
    }
    ft_mutex_unlock(&request->lock);
    if (ready) {
        return answer(request, connection);
    }
    /* A client that has gone, or a server that stops: the connection is just closed. */
    return gone ? MHD_NO : MHD_YES;
}

static void add_headers(struct MHD_Response *response, const struct ft_web_header *headers,
                        size_t n_headers, const char *type)
{
    static const struct {
        const char *name;
        const char *value;
    } fixed[] = {
        {"Connection", "close"},
        {"Content-Security-Policy", CONTENT_POLICY},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
    };
    bool cached = false;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        (void)MHD_add_response_header(response, fixed[i].name, fixed[i].value);
    }
    for (size_t i = 0; i < n_headers; i++) {
        cached = cached || strcmp(headers[i].name, "Cache-Control") == 0;
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    }
    if (!cached) {
        (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    if (type != NULL) {
        (void)MHD_add_response_header(response, "Content-Type", type);
    }
}

/* The response for what is committed.  The lock is held only where other threads may still write:
 * the library's own locks are not to be taken under it. */
FT_NO_TSA static struct MHD_Response *make_response(struct ft_web_request *request)
{
    ft_mutex_lock(&request->lock);
    bool events = request->answer == FT_WEB_EVENTS;
    bool whole = request->answer == FT_WEB_WHOLE || (request->done && !request->broken &&
                                                     request->n_trailers == 0 && !request->is_head);
    void *data = NULL;
    size_t size = 0;
    if (whole && !events) {
        data = request->out.data;
        size = request->out.size;
        request->out.data = NULL;
        request->out.size = 0;
        request->out.capacity = 0;
    }
    ft_mutex_unlock(&request->lock);
    struct MHD_Response *response;
    if (events || !whole) {
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE,
                                                     events ? ft_web_sse_read : ft_web_stream_read,
                                                     request, NULL);
    } else {
        response = MHD_create_response_from_buffer(size, data != NULL ? data : (void *)"",
                                                   data != NULL ? MHD_RESPMEM_MUST_FREE
                                                                : MHD_RESPMEM_PERSISTENT);
    }
    if (response == NULL) {
        if (whole && !events) {
            free(data);
        }
        return NULL;
    }
    if (request->is_head && !whole) {
        /* The library would end even a body that is not sent with the last chunk's mark. */
        (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    }
    add_headers(response, request->headers, request->n_headers, request->type);
    ft_mutex_lock(&request->lock);
    request->response = response;
    ft_mutex_unlock(&request->lock);
    return response;
}

static enum MHD_Result answer(struct ft_web_request *request, struct MHD_Connection *connection)
{
    request->stage = FT_WEB_ANSWERED;
    struct MHD_Response *response = make_response(request);
    if (response == NULL) {
        return MHD_NO;
    }
    ft_mutex_lock(&request->lock);
    unsigned status = request->status;
    ft_mutex_unlock(&request->lock);
    const struct ft_web *web = request->web;
    if (status / 100 < 6 && web->requests[status / 100] != NULL) {
        ft_counter_inc(web->requests[status / 100]);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}
