/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "wire/message.h"

#define N_METHODS 3
/* Watchers of the health at one time; more are told to come back. */
#define WATCHERS_MAX 64

struct ft_service {
    struct ft_token_store *tokens;
    struct ft_ingest *ingest;
    struct ft_rpc_method methods[N_METHODS];
    _Atomic uint64_t refused;
    struct ft_mutex lock;
    bool serving FT_GUARDED;
    size_t n_watchers FT_GUARDED;
    struct ft_rpc_session *watchers[WATCHERS_MAX] FT_GUARDED;
};

static bool peer_send(void *peer, const void *data, size_t size)
{
    return ft_rpc_session_send(peer, data, size) == FT_OK;
}

static void peer_close(void *peer, enum ft_ingest_close why, const char *text)
{
    enum ft_rpc_status status = FT_RPC_UNAVAILABLE;
    switch (why) {
    case FT_INGEST_CLOSE_PROTOCOL:
        status = FT_RPC_INVALID_ARGUMENT;
        break;
    case FT_INGEST_CLOSE_PRECONDITION:
        status = FT_RPC_FAILED_PRECONDITION;
        break;
    case FT_INGEST_CLOSE_DENIED:
        status = FT_RPC_PERMISSION_DENIED;
        break;
    case FT_INGEST_CLOSE_SUPERSEDED:
        status = FT_RPC_ABORTED;
        break;
    case FT_INGEST_CLOSE_UNAVAILABLE:
        break;
    }
    ft_rpc_session_close(peer, status, text);
}

static void peer_resume(void *peer) { ft_rpc_session_resume(peer); }
static void peer_ref(void *peer) { (void)ft_rpc_session_ref(peer); }
static void peer_unref(void *peer) { ft_rpc_session_unref(peer); }

const struct ft_ingest_peer_ops ft_service_peer_ops = {.send = peer_send,
                                                       .close = peer_close,
                                                       .resume = peer_resume,
                                                       .ref = peer_ref,
                                                       .unref = peer_unref};

static enum ft_rpc_status export_open(void *ctx, struct ft_rpc_session *session,
                                      const struct ft_rpc_request *request, char *reterr_text)
{
    struct ft_service *service = ctx;
    struct ft_rpc_token token;
    struct ft_principal principal;
    if (ft_rpc_request_get_token(request, &token) != FT_OK ||
        ft_token_store_lookup(service->tokens, token.text, token.len, &principal) != FT_OK ||
        principal.role == FT_ROLE_QUERY) {
        service->refused++;
        /* One text for every reason: a stranger learns nothing from it. */
        (void)snprintf(reterr_text, FT_RPC_TEXT_SIZE, "the token is not accepted");
        return FT_RPC_UNAUTHENTICATED;
    }
    struct ft_ingest_session *ingest_session = NULL;
    if (ft_ingest_session_open(service->ingest, session, ft_rpc_request_get_peer(request),
                               &principal, &ingest_session) != FT_OK) {
        (void)snprintf(reterr_text, FT_RPC_TEXT_SIZE, "out of memory");
        return FT_RPC_UNAVAILABLE;
    }
    ft_rpc_session_set_user(session, ingest_session);
    return FT_RPC_OK;
}

static bool export_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data,
                           size_t size)
{
    (void)ctx;
    return ft_ingest_session_message(ft_rpc_session_get_user(session), data, size);
}

static void export_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end)
{
    (void)ctx;
    (void)end;
    ft_ingest_session_close(ft_rpc_session_get_user(session));
}

static bool is_known_service(const char *name)
{
    return name[0] == '\0' || strcmp(name, "flowtrail.v1.Ingest") == 0;
}

static void send_health(struct ft_rpc_session *session, enum ft_serving serving)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    if (ft_health_response_encode(serving, &buf) == FT_OK) {
        ft_err_ignore(ft_rpc_session_send(session, buf.data, buf.size),
                      "a prober that is gone needs no answer");
    }
    ft_buf_deinit(&buf);
}

static enum ft_rpc_status health_open(void *ctx, struct ft_rpc_session *session,
                                      const struct ft_rpc_request *request, char *reterr_text)
{
    (void)ctx;
    (void)session;
    (void)request;
    (void)reterr_text;
    return FT_RPC_OK;
}

static enum ft_serving serving_now(struct ft_service *service)
{
    ft_mutex_lock(&service->lock);
    bool serving = service->serving;
    ft_mutex_unlock(&service->lock);
    return serving ? FT_SERVING : FT_NOT_SERVING;
}

static bool check_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data,
                          size_t size)
{
    char name[64];
    if (ft_health_request_decode(data, size, name, sizeof name) != FT_OK) {
        ft_rpc_session_close(session, FT_RPC_INVALID_ARGUMENT, "no valid HealthCheckRequest");
    } else if (!is_known_service(name)) {
        ft_rpc_session_close(session, FT_RPC_NOT_FOUND, "unknown service");
    } else {
        send_health(session, serving_now(ctx));
        ft_rpc_session_close(session, FT_RPC_OK, NULL);
    }
    return false;
}

static void health_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end)
{
    (void)ctx;
    (void)session;
    (void)end;
}

static bool watch_message(void *ctx, struct ft_rpc_session *session, const uint8_t *data,
                          size_t size)
{
    struct ft_service *service = ctx;
    char name[64];
    if (ft_health_request_decode(data, size, name, sizeof name) != FT_OK) {
        ft_rpc_session_close(session, FT_RPC_INVALID_ARGUMENT, "no valid HealthCheckRequest");
        return false;
    }
    if (!is_known_service(name)) {
        send_health(session, FT_SERVICE_UNKNOWN);
        return false;
    }
    bool room = false;
    ft_mutex_lock(&service->lock);
    if (service->n_watchers < WATCHERS_MAX) {
        service->watchers[service->n_watchers++] = ft_rpc_session_ref(session);
        room = true;
    }
    ft_mutex_unlock(&service->lock);
    if (room) {
        send_health(session, serving_now(service));
    } else {
        ft_rpc_session_close(session, FT_RPC_RESOURCE_EXHAUSTED, "too many watchers");
    }
    return false;
}

static void watch_closed(void *ctx, struct ft_rpc_session *session, const struct ft_rpc_end *end)
{
    (void)end;
    struct ft_service *service = ctx;
    bool found = false;
    ft_mutex_lock(&service->lock);
    for (size_t i = 0; i < service->n_watchers; i++) {
        if (service->watchers[i] == session) {
            service->watchers[i] = service->watchers[--service->n_watchers];
            found = true;
            break;
        }
    }
    ft_mutex_unlock(&service->lock);
    if (found) {
        ft_rpc_session_unref(session);
    }
}

static const struct ft_rpc_handler export_handler = {
    .on_open = export_open, .on_message = export_message, .on_closed = export_closed};
static const struct ft_rpc_handler check_handler = {
    .on_open = health_open, .on_message = check_message, .on_closed = health_closed};
static const struct ft_rpc_handler watch_handler = {
    .on_open = health_open, .on_message = watch_message, .on_closed = watch_closed};

ft_err ft_service_create(struct ft_token_store *tokens, struct ft_ingest *ingest,
                         struct ft_service **ret_service)
{
    struct ft_service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&service->lock);
    service->tokens = tokens;
    service->ingest = ingest;
    service->methods[0] = (struct ft_rpc_method){
        .path = FT_WIRE_METHOD_EXPORT, .handler = &export_handler, .ctx = service};
    service->methods[1] = (struct ft_rpc_method){
        .path = FT_WIRE_METHOD_HEALTH_CHECK, .handler = &check_handler, .ctx = service};
    service->methods[2] = (struct ft_rpc_method){.path = FT_WIRE_METHOD_HEALTH_WATCH,
                                                 .handler = &watch_handler,
                                                 .ctx = service,
                                                 .sessions_max = WATCHERS_MAX};
    *ret_service = service;
    return FT_OK;
}

void ft_service_destroy(struct ft_service *service)
{
    if (service != NULL) {
        ft_mutex_deinit(&service->lock);
        free(service);
    }
}

const struct ft_rpc_method *ft_service_methods(struct ft_service *service, size_t *ret_n)
{
    *ret_n = N_METHODS;
    return service->methods;
}

void ft_service_set_serving(struct ft_service *service, bool serving)
{
    ft_mutex_lock(&service->lock);
    bool changed = service->serving != serving;
    service->serving = serving;
    struct ft_rpc_session *watchers[WATCHERS_MAX];
    size_t n = 0;
    for (; changed && n < service->n_watchers; n++) {
        watchers[n] = ft_rpc_session_ref(service->watchers[n]);
    }
    ft_mutex_unlock(&service->lock);
    for (size_t i = 0; i < n; i++) {
        send_health(watchers[i], serving ? FT_SERVING : FT_NOT_SERVING);
        ft_rpc_session_unref(watchers[i]);
    }
}

uint64_t ft_service_refused(const struct ft_service *service) { return service->refused; }
