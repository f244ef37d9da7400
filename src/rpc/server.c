/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/server.h"

#include <arpa/inet.h>
#include <grpc/grpc_security.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/accept_hook.h"
#include "rpc/server_impl.h"

/* Calls that each thread can take in at once, per method; more wait for a moment inside gRPC. */
#define REQUESTS_PER_THREAD 4

static ft_err set_up(struct ft_rpc_server *server, const struct ft_rpc_server_options *options,
                     struct ft_diag *diag);
static ft_err listen_on(struct ft_rpc_server *server, const char *address, struct ft_diag *diag);
static ft_err start_threads(struct ft_rpc_server *server);
static void open_gate(struct ft_rpc_server *server, enum ft_rpc_gate gate);
static void run_worker(void *ctx);
static void serve(struct ft_rpc_worker *worker);
static void on_stopped(struct ft_rpc_op *op, bool success);
static void tear_down(struct ft_rpc_server *server);
static ft_err why_not(const char *address);

ft_err ft_rpc_server_start(const struct ft_rpc_server_options *options,
                           struct ft_rpc_server **ret_server, struct ft_diag *reterr_diag)
{
    struct ft_rpc_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&server->lock);
    ft_cond_init(&server->changed);
    /* Before the threads start, so that they see it without the help of gRPC's own locks. */
    server->stop_op = (struct ft_rpc_op){on_stopped, NULL};
    ft_err err = set_up(server, options, reterr_diag);
    if (err == FT_OK) {
        err = listen_on(server, options->listen, reterr_diag);
    }
    if (err == FT_OK) {
        err = ft_rpc_accept_hook_watch(server->port, server->options.connections_per_address_max);
        server->watched = err == FT_OK;
    }
    if (err == FT_OK) {
        grpc_server_start(server->server);
        err = start_threads(server);
    }
    if (err != FT_OK) {
        tear_down(server);
        return err;
    }
    *ret_server = server;
    return FT_OK;
}

uint16_t ft_rpc_server_get_port(const struct ft_rpc_server *server) { return server->port; }

ft_err ft_rpc_server_reload(struct ft_rpc_server *server, struct ft_diag *reterr_diag)
{
    return server->tls != NULL ? ft_rpc_server_tls_reload(server->tls, reterr_diag) : FT_OK;
}

void ft_rpc_server_get_stats(const struct ft_rpc_server *server,
                             struct ft_rpc_server_stats *ret_stats)
{
    struct ft_rpc_accept_stats accepts;
    ft_rpc_accept_hook_get_stats(&accepts);
    *ret_stats = (struct ft_rpc_server_stats){
        .accepted = atomic_load(&server->accepted),
        .messages_received = atomic_load(&server->messages_received),
        .bytes_received = atomic_load(&server->bytes_received),
        .messages_sent = atomic_load(&server->messages_sent),
        .bytes_sent = atomic_load(&server->bytes_sent),
        .send_full = atomic_load(&server->send_full),
        .messages_refused = atomic_load(&server->messages_refused),
        .connections_accepted = accepts.accepted,
        .connections_dropped_no_fd = accepts.dropped_no_fd,
        .connections_dropped_address = accepts.dropped_address,
        .connections_dropped_rate = accepts.dropped_rate,
        .connections_dropped_quarantine = accepts.dropped_quarantine,
    };
    for (unsigned i = 0; i < FT_RPC_REJECT_N; i++) {
        ret_stats->rejected[i] = atomic_load(&server->rejected[i]);
    }
    if (server->tls != NULL) {
        ft_rpc_server_tls_count(server->tls, &ret_stats->reloads, &ret_stats->reload_failures);
    }
    struct ft_rpc_server *unlocked = (struct ft_rpc_server *)(uintptr_t)server;
    ft_mutex_lock(&unlocked->lock);
    ret_stats->sessions_open = unlocked->n_sessions;
    ft_mutex_unlock(&unlocked->lock);
}

void ft_rpc_server_stop(struct ft_rpc_server *server, int64_t grace_ns)
{
    if (server == NULL) {
        return;
    }
    int64_t deadline = ft_clock_mono_ns(ft_clock_system()) + grace_ns;
    atomic_store(&server->stopping, true);
    grpc_server_shutdown_and_notify(server->server, server->workers[0].queue, &server->stop_op);
    ft_mutex_lock(&server->lock);
    while (server->n_sessions > 0 && !server->stopped &&
           ft_cond_wait_until(&server->changed, &server->lock, deadline)) {
    }
    ft_mutex_unlock(&server->lock);
    /* Also what closes connections that have no call. */
    grpc_server_cancel_all_calls(server->server);
    /* gRPC reports the end of the connections; their calls may still have operations to come. */
    ft_mutex_lock(&server->lock);
    while (!server->stopped || server->n_in_use > 0) {
        ft_cond_wait(&server->changed, &server->lock);
    }
    ft_mutex_unlock(&server->lock);
    tear_down(server);
}

static ft_err set_up(struct ft_rpc_server *server, const struct ft_rpc_server_options *options,
                     struct ft_diag *diag) FT_NO_TSA
{
    server->options = *options;
    FT_TRY(ft_rpc_server_options_complete(&server->options, diag));
    const struct ft_rpc_server_options *complete = &server->options;
    if (options->certificate_path == NULL && !options->plaintext) {
        return ft_diag_set(diag, FT_E_RANGE, "", 0, 0,
                           "no certificate: TLS needs one, and plaintext has to be allowed by "
                           "name");
    }
    if (!options->plaintext) {
        FT_TRY(ft_rpc_server_tls_create(options, &server->tls, diag));
    }
    size_t sessions_max = 0;
    for (size_t i = 0; i < options->n_methods; i++) {
        struct ft_rpc_method *method = &server->methods[i].method;
        *method = options->methods[i];
        method->sessions_max =
            method->sessions_max != 0 ? method->sessions_max : complete->sessions_max;
        sessions_max += method->sessions_max;
    }
    server->n_methods = options->n_methods;
    FT_TRY(ft_rpc_peers_init(&server->peers, sessions_max));
    int64_t shortest = complete->linger_ns < complete->first_message_timeout_ns
                           ? complete->linger_ns
                           : complete->first_message_timeout_ns;
    server->sweep_interval_ns = shortest / 4 < FT_NS_PER_S ? shortest / 4 : FT_NS_PER_S;

    struct ft_rpc_args args = {.n = 0};
    ft_rpc_server_options_to_args(complete, &args);
    grpc_resource_quota *quota = grpc_resource_quota_create("flowtrail");
    grpc_resource_quota_resize(quota, complete->memory_bytes_max);
    grpc_arg *quota_arg = ft_rpc_args_add(&args, GRPC_ARG_RESOURCE_QUOTA);
    quota_arg->type = GRPC_ARG_POINTER;
    quota_arg->value.pointer.p = quota;
    quota_arg->value.pointer.vtable = grpc_resource_quota_arg_vtable();
    grpc_channel_args server_args = {.num_args = args.n, .args = args.args};
    server->server = grpc_server_create(&server_args, NULL);
    grpc_resource_quota_unref(quota);
    return FT_OK;
}

static ft_err listen_on(struct ft_rpc_server *server, const char *address, struct ft_diag *diag)
{
    for (uint32_t i = 0; i < server->options.n_threads; i++) {
        struct ft_rpc_worker *worker = &server->workers[i];
        worker->server = server;
        worker->queue = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(server->server, worker->queue, NULL);
    }
    for (size_t i = 0; i < server->n_methods; i++) {
        server->methods[i].registered = grpc_server_register_method(
            server->server, server->methods[i].method.path, NULL, GRPC_SRM_PAYLOAD_NONE, 0);
        if (server->methods[i].registered == NULL) {
            return ft_diag_set(diag, FT_E_RANGE, "", 0, 0, "method %s is there twice",
                               server->methods[i].method.path);
        }
    }
    grpc_server_credentials *credentials = server->tls != NULL
                                               ? ft_rpc_server_tls_credentials(server->tls)
                                               : grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->server, address, credentials);
    grpc_server_credentials_release(credentials);
    if (port <= 0) {
        ft_err err = why_not(address);
        return ft_diag_set(diag, err, "", 0, 0, "cannot listen on %s: %s", address,
                           ft_err_text(err));
    }
    server->port = (uint16_t)port;
    return FT_OK;
}

static ft_err start_threads(struct ft_rpc_server *server)
{
    for (uint32_t i = 0; i < server->options.n_threads; i++) {
        struct ft_rpc_worker *worker = &server->workers[i];
        ft_err err = ft_thread_start(&worker->thread, "ft-rpc", run_worker, worker);
        if (err != FT_OK) {
            open_gate(server, FT_RPC_GATE_GIVE_UP);
            return err;
        }
    }
    open_gate(server, FT_RPC_GATE_SERVE);
    /* A stop right behind the start has to find the threads' requests, or it would not wait. */
    ft_mutex_lock(&server->lock);
    while (server->n_serving < server->options.n_threads) {
        ft_cond_wait(&server->changed, &server->lock);
    }
    ft_mutex_unlock(&server->lock);
    return FT_OK;
}

static void open_gate(struct ft_rpc_server *server, enum ft_rpc_gate gate)
{
    ft_mutex_lock(&server->lock);
    server->gate = gate;
    ft_cond_broadcast(&server->changed);
    ft_mutex_unlock(&server->lock);
}

/* No call is taken before all threads run, so that a failed start has none to end. */
static void run_worker(void *ctx)
{
    struct ft_rpc_worker *worker = ctx;
    struct ft_rpc_server *server = worker->server;
    ft_mutex_lock(&server->lock);
    while (server->gate == FT_RPC_GATE_WAIT) {
        ft_cond_wait(&server->changed, &server->lock);
    }
    bool serves = server->gate == FT_RPC_GATE_SERVE;
    ft_mutex_unlock(&server->lock);
    for (unsigned n = 0; serves && n < REQUESTS_PER_THREAD; n++) {
        for (size_t m = 0; m < server->n_methods; m++) {
            ft_rpc_session_request(worker, &server->methods[m]);
        }
        ft_rpc_session_request(worker, NULL);
    }
    ft_mutex_lock(&server->lock);
    server->n_serving++;
    ft_cond_broadcast(&server->changed);
    ft_mutex_unlock(&server->lock);
    serve(worker);
}

static void serve(struct ft_rpc_worker *worker)
{
    const struct ft_clock *clock = ft_clock_system();
    int64_t interval = worker->server->sweep_interval_ns;
    worker->next_sweep_mono_ns = ft_clock_mono_ns(clock) + interval;
    for (;;) {
        gpr_timespec deadline =
            worker->sessions != NULL
                ? gpr_time_from_nanos(worker->next_sweep_mono_ns, GPR_CLOCK_MONOTONIC)
                : gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_event event = grpc_completion_queue_next(worker->queue, deadline, NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct ft_rpc_op *op = event.tag;
            op->done(op, event.success != 0);
        }
        int64_t now = ft_clock_mono_ns(clock);
        if (now >= worker->next_sweep_mono_ns) {
            worker->next_sweep_mono_ns = now + interval;
            ft_rpc_session_sweep(worker, now);
        }
    }
}

/* On the thread of worker 0: gRPC has no connection any more. */
static void on_stopped(struct ft_rpc_op *op, bool success)
{
    (void)success;
    struct ft_rpc_server *server =
        (struct ft_rpc_server *)(void *)((char *)op - offsetof(struct ft_rpc_server, stop_op));
    ft_mutex_lock(&server->lock);
    server->stopped = true;
    ft_cond_broadcast(&server->changed);
    ft_mutex_unlock(&server->lock);
}

/* Of a server that has stopped, or that never got as far as having calls. */
static void tear_down(struct ft_rpc_server *server) FT_NO_TSA
{
    if (server->watched) {
        ft_rpc_accept_hook_unwatch(server->port);
    }
    if (server->server != NULL && !server->stopped && server->workers[0].queue != NULL) {
        /* gRPC destroys only what was shut down; without threads this one has to drain. */
        grpc_server_shutdown_and_notify(server->server, server->workers[0].queue, &server->stop_op);
        grpc_server_cancel_all_calls(server->server);
    }
    for (uint32_t i = 0; i < FT_RPC_THREADS_MAX; i++) {
        struct ft_rpc_worker *worker = &server->workers[i];
        if (worker->queue == NULL) {
            continue;
        }
        grpc_completion_queue_shutdown(worker->queue);
        if (!worker->thread.started) {
            serve(worker);
        }
        ft_thread_join(&worker->thread);
    }
    if (server->server != NULL) {
        grpc_server_destroy(server->server);
    }
    for (uint32_t i = 0; i < FT_RPC_THREADS_MAX; i++) {
        if (server->workers[i].queue != NULL) {
            grpc_completion_queue_destroy(server->workers[i].queue);
        }
    }
    ft_rpc_server_tls_destroy(server->tls);
    ft_rpc_peers_deinit(&server->peers);
    ft_cond_deinit(&server->changed);
    ft_mutex_deinit(&server->lock);
    free(server);
}

/* gRPC only says that it could not listen: tries the same to get the reason. */
static ft_err why_not(const char *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    const char *colon = strrchr(address, ':');
    bool v6 = address[0] == '[';
    size_t host_len = colon != NULL ? (size_t)(colon - address) : 0;
    const char *start = v6 ? address + 1 : address;
    host_len -= v6 && host_len >= 2 ? 2 : 0;
    if (host_len == 0 || host_len >= sizeof host) {
        return FT_E_SYNTAX;
    }
    memcpy(host, start, host_len);
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    a6.sin6_port = htons((uint16_t)atoi(colon + 1));
    a4.sin_port = a6.sin6_port;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, host,
                  v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1) {
        return FT_E_SYNTAX;
    }
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    ft_err err = FT_E_UNREACHABLE;
    if (fd < 0) {
        return ft_err_last();
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, v6 ? (const struct sockaddr *)&a6 : (const struct sockaddr *)&a4,
             v6 ? sizeof a6 : sizeof a4) != 0) {
        err = ft_err_last();
    }
    (void)close(fd);
    return err;
}
