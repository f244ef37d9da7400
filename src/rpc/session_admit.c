/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may have a session: the server's limits first, then the handler, which sees the request.
 */
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "rpc/accept_hook.h"
#include "rpc/server_impl.h"

static bool is_too_fast(struct ft_rpc_session *session);
static char *copy_certificate(grpc_call *call);

enum ft_rpc_status ft_rpc_session_admit(struct ft_rpc_session *session, char *text)
{
    struct ft_rpc_server *server = session->server;
    struct ft_rpc_method_state *method = session->method;
    enum ft_rpc_reject reject = FT_RPC_REJECT_N;
    if (is_too_fast(session)) {
        (void)snprintf(text, FT_RPC_TEXT_SIZE, "too many calls");
        return FT_RPC_RESOURCE_EXHAUSTED;
    }
    if (method == NULL) {
        ft_rpc_count(&server->rejected[FT_RPC_REJECT_METHOD], 1);
        (void)snprintf(text, FT_RPC_TEXT_SIZE, "unknown method");
        return FT_RPC_UNIMPLEMENTED;
    }
    if (atomic_load(&server->stopping)) {
        ft_rpc_count(&server->rejected[FT_RPC_REJECT_STOPPING], 1);
        (void)snprintf(text, FT_RPC_TEXT_SIZE, "the server is stopping");
        return FT_RPC_UNAVAILABLE;
    }
    ft_mutex_lock(&server->lock);
    if (method->n_sessions >= method->method.sessions_max) {
        reject = FT_RPC_REJECT_SESSIONS;
    } else if (ft_rpc_peers_add(&server->peers, &session->peer_key,
                                server->options.sessions_per_address_max) != FT_OK) {
        reject = FT_RPC_REJECT_ADDRESS;
    } else {
        method->n_sessions++;
        server->n_sessions++;
    }
    ft_mutex_unlock(&server->lock);
    if (reject == FT_RPC_REJECT_N) {
        return FT_RPC_OK;
    }
    ft_rpc_count(&server->rejected[reject], 1);
    (void)snprintf(text, FT_RPC_TEXT_SIZE, "%s",
                   reject == FT_RPC_REJECT_SESSIONS ? "too many sessions"
                                                    : "too many sessions of this address");
    return FT_RPC_RESOURCE_EXHAUSTED;
}

void ft_rpc_session_leave(struct ft_rpc_session *session)
{
    struct ft_rpc_server *server = session->server;
    ft_mutex_lock(&server->lock);
    ft_rpc_peers_remove(&server->peers, &session->peer_key);
    session->method->n_sessions--;
    server->n_sessions--;
    ft_cond_broadcast(&server->changed);
    ft_mutex_unlock(&server->lock);
}

void ft_rpc_session_lend(struct ft_rpc_server *server)
{
    ft_mutex_lock(&server->lock);
    server->n_in_use++;
    ft_mutex_unlock(&server->lock);
}

void ft_rpc_session_return(struct ft_rpc_server *server)
{
    ft_mutex_lock(&server->lock);
    server->n_in_use--;
    ft_cond_broadcast(&server->changed);
    ft_mutex_unlock(&server->lock);
}

enum ft_rpc_status ft_rpc_session_ask_handler(struct ft_rpc_session *session, char *text)
{
    const struct ft_rpc_method *method = &session->method->method;
    char *certificate = copy_certificate(session->call);
    struct ft_rpc_request request = {.method = method->path,
                                     .peer = session->peer,
                                     .certificate = certificate,
                                     .metadata = &session->metadata};
    enum ft_rpc_status status = method->handler->on_open(method->ctx, session, &request, text);
    free(certificate);
    return status;
}

const char *ft_rpc_request_get_peer(const struct ft_rpc_request *request) { return request->peer; }

const char *ft_rpc_request_get_method(const struct ft_rpc_request *request)
{
    return request->method;
}

const char *ft_rpc_request_get_certificate(const struct ft_rpc_request *request)
{
    return request->certificate;
}

bool ft_rpc_request_get_header(const struct ft_rpc_request *request, const char *name, size_t index,
                               const void **ret_value, size_t *ret_size)
{
    for (size_t i = 0; i < request->metadata->count; i++) {
        const grpc_metadata *header = &request->metadata->metadata[i];
        if (grpc_slice_str_cmp(header->key, name) == 0 && index-- == 0) {
            *ret_value = GRPC_SLICE_START_PTR(header->value);
            *ret_size = GRPC_SLICE_LENGTH(header->value);
            return true;
        }
    }
    return false;
}

ft_err ft_rpc_request_get_token(const struct ft_rpc_request *request,
                                struct ft_rpc_token *ret_token)
{
    const void *value = NULL;
    size_t size = 0;
    const void *second = NULL;
    size_t second_size = 0;
    if (!ft_rpc_request_get_header(request, "authorization", 0, &value, &size) ||
        ft_rpc_request_get_header(request, "authorization", 1, &second, &second_size)) {
        return FT_E_AUTH;
    }
    return ft_rpc_bearer_parse(value, size, ret_token);
}

/* The first call above the limit has its connection cut; those that gRPC had read already follow.
 */
static bool is_too_fast(struct ft_rpc_session *session)
{
    struct ft_rpc_server *server = session->server;
    uint32_t max = server->options.calls_per_second_max;
    ft_mutex_lock(&server->lock);
    uint64_t connection = ft_hash64(session->peer, strlen(session->peer), server->peers.seed);
    uint32_t n = ft_rpc_call_rate_add(&server->call_rates, connection, session->accepted_mono_ns);
    ft_mutex_unlock(&server->lock);
    if (n <= max) {
        return false;
    }
    ft_rpc_count(&server->rejected[FT_RPC_REJECT_RATE], 1);
    if (n == max + 1) {
        ft_rpc_accept_hook_quarantine(&session->peer_key, session->peer_port,
                                      server->options.quarantine_ns);
    }
    return true;
}

/* NULL when the peer has shown no certificate, or one that was not verified. */
static char *copy_certificate(grpc_call *call)
{
    grpc_auth_context *context = grpc_call_auth_context(call);
    if (context == NULL) {
        return NULL;
    }
    char *certificate = NULL;
    if (grpc_auth_context_peer_is_authenticated(context)) {
        grpc_auth_property_iterator properties =
            grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
        const grpc_auth_property *property = grpc_auth_property_iterator_next(&properties);
        if (property != NULL) {
            certificate = strndup(property->value, property->value_length);
        }
    }
    grpc_auth_context_release(context);
    return certificate;
}
