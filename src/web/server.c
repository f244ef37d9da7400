/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "web/web_impl.h"

static ft_err copy_options(struct ft_web *web, const struct ft_web_options *options);
static ft_err add_metrics(struct ft_web *web);
static ft_err start(struct ft_web *web, struct ft_diag *diag);
static void stop(struct ft_web *web);

ft_err ft_web_create(const struct ft_web_options *options, struct ft_web **ret_web)
{
    struct ft_web *web = calloc(1, sizeof *web);
    if (web == NULL) {
        return ft_err_last();
    }
    web->wake_fd = -1;
    web->epoll_fd = -1;
    ft_mutex_init(&web->lock);
    ft_mutex_init(&web->queue_lock);
    ft_cond_init(&web->queue_changed);
    ft_err err = copy_options(web, options);
    err = err == FT_OK && options->metrics != NULL ? add_metrics(web) : err;
    if (err != FT_OK) {
        ft_web_destroy(web);
        return err;
    }
    *ret_web = web;
    return FT_OK;
}

void ft_web_destroy(struct ft_web *web)
{
    if (web == NULL) {
        return;
    }
    ft_web_stop(web);
    for (size_t i = 0; i < FT_WEB_HOSTS_MAX; i++) {
        free(web->hosts[i]);
    }
    free((void *)(uintptr_t)web->options.address);
    free((void *)(uintptr_t)web->options.unix_path);
    ft_cond_deinit(&web->queue_changed);
    ft_mutex_deinit(&web->queue_lock);
    ft_mutex_deinit(&web->lock);
    free(web);
}

ft_err ft_web_route(struct ft_web *web, const char *path, enum ft_web_run run,
                    ft_web_handler_fn *handler, void *ctx)
{
    for (size_t i = 0; i < web->n_routes; i++) {
        if (strcmp(web->routes[i].path, path) == 0) {
            return ft_err_from_errno(EEXIST);
        }
    }
    if (web->n_routes == FT_WEB_ROUTES_MAX) {
        return FT_E_FULL;
    }
    web->routes[web->n_routes++] =
        (struct ft_web_route_entry){.path = path, .run = run, .handler = handler, .ctx = ctx};
    return FT_OK;
}

ft_err ft_web_set_public(struct ft_web *web, const char *path)
{
    for (size_t i = 0; i < web->n_routes; i++) {
        if (strcmp(web->routes[i].path, path) == 0) {
            web->routes[i].is_public = true;
            return FT_OK;
        }
    }
    return FT_E_NOT_FOUND;
}

ft_err ft_web_start(struct ft_web *web, struct ft_diag *reterr_diag)
{
    web->started = true;
    atomic_store(&web->stopping, false);
    ft_err err = start(web, reterr_diag);
    if (err != FT_OK) {
        ft_web_stop(web);
    }
    return err;
}

uint16_t ft_web_get_port(const struct ft_web *web) { return web->port; }

void ft_web_stop(struct ft_web *web)
{
    if (web->started) {
        stop(web);
        web->started = false;
    }
}

int64_t ft_web_now_ns(const struct ft_web *web) { return ft_clock_mono_ns(web->options.clock); }

void ft_web_count_refused(const struct ft_web *web, enum ft_web_refused reason)
{
    if (web->refused[reason] != NULL) {
        ft_counter_inc(web->refused[reason]);
    }
}

static void set_default(unsigned *value, unsigned fallback)
{
    *value = *value == 0 ? fallback : *value;
}

static ft_err copy_text(const char **text)
{
    const char *source = *text;
    *text = NULL;
    if (source != NULL && source[0] != '\0') {
        *text = strdup(source);
        return *text != NULL ? FT_OK : ft_err_last();
    }
    return FT_OK;
}

static ft_err copy_options(struct ft_web *web, const struct ft_web_options *options)
{
    web->options = *options;
    struct ft_web_options *own = &web->options;
    own->hosts = NULL;
    ft_err err = copy_text(&own->address);
    ft_err unix_err = copy_text(&own->unix_path);
    FT_TRY(err);
    FT_TRY(unix_err);
    if (options->n_hosts > FT_WEB_HOSTS_MAX) {
        return FT_E_RANGE;
    }
    for (size_t i = 0; i < options->n_hosts; i++) {
        web->hosts[i] = strdup(options->hosts[i]);
        if (web->hosts[i] == NULL) {
            return ft_err_last();
        }
    }
    own->clock = own->clock != NULL ? own->clock : ft_clock_system();
    own->header_bytes_max =
        own->header_bytes_max != 0 ? own->header_bytes_max : FT_WEB_HEADER_BYTES_DEFAULT;
    set_default(&own->threads, FT_WEB_THREADS_DEFAULT);
    set_default(&own->workers, FT_WEB_WORKERS_DEFAULT);
    set_default(&own->queue_max, FT_WEB_QUEUE_DEFAULT);
    set_default(&own->connections_max, FT_WEB_CONNECTIONS_DEFAULT);
    set_default(&own->connections_per_ip_max, FT_WEB_CONNECTIONS_PER_IP_DEFAULT);
    set_default(&own->sse_clients_max, FT_WEB_SSE_CLIENTS_DEFAULT);
    set_default(&own->header_ms_max, FT_WEB_HEADER_MS_DEFAULT);
    set_default(&own->idle_ms_max, FT_WEB_IDLE_MS_DEFAULT);
    set_default(&own->answer_ms_max, FT_WEB_ANSWER_MS_DEFAULT);
    set_default(&own->heartbeat_ms, FT_WEB_HEARTBEAT_MS_DEFAULT);
    return FT_OK;
}

static double read_connections(void *ctx)
{
    const struct ft_web *web = ctx;
    return (double)atomic_load(&web->n_connections);
}

static double read_sse(void *ctx)
{
    const struct ft_web *web = ctx;
    return (double)atomic_load(&web->n_sse);
}

static ft_err add_metrics(struct ft_web *web)
{
    static const char *const classes[] = {"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"};
    static const char *const reasons[FT_WEB_REFUSED_N] = {
        [FT_WEB_REFUSED_HOST] = "host",           [FT_WEB_REFUSED_METHOD] = "method",
        [FT_WEB_REFUSED_BODY] = "body",           [FT_WEB_REFUSED_QUERY] = "query",
        [FT_WEB_REFUSED_NOT_FOUND] = "not_found", [FT_WEB_REFUSED_BUSY] = "busy",
        [FT_WEB_REFUSED_SLOW] = "slow_headers"};
    struct ft_metrics *metrics = web->options.metrics;
    const char *prefix = web->options.metrics_prefix;
    char name[128];
    (void)snprintf(name, sizeof name, "%s_http_responses_total", prefix);
    FT_TRY(ft_metrics_add_counters(metrics, name, "Answers of the HTTP server.", "code", classes, 6,
                                   web->requests));
    (void)snprintf(name, sizeof name, "%s_http_refused_total", prefix);
    FT_TRY(ft_metrics_add_counters(metrics, name, "Requests refused before their handler.",
                                   "reason", reasons, FT_WEB_REFUSED_N, web->refused));
    (void)snprintf(name, sizeof name, "%s_live_events_dropped_total", prefix);
    FT_TRY(ft_metrics_add_counter(metrics, name,
                                  "Live events dropped because a client read too slowly.", NULL, 0,
                                  &web->events_dropped));
    (void)snprintf(name, sizeof name, "%s_http_connections", prefix);
    FT_TRY(ft_metrics_add_gauge_fn(metrics, name, "Open connections of the HTTP server.", NULL, 0,
                                   read_connections, web));
    (void)snprintf(name, sizeof name, "%s_live_clients", prefix);
    return ft_metrics_add_gauge_fn(metrics, name, "Clients of live streams.", NULL, 0, read_sse,
                                   web);
}

/* What the library would print goes nowhere: folders of this level do not log. */
static void discard_log(void *cls, const char *format, va_list args)
{
    (void)cls;
    (void)format;
    (void)args;
}

static ft_err start_daemon(struct ft_web_listener *listener)
{
    const struct ft_web_options *options = &listener->web->options;
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    unsigned idle_s = (options->idle_ms_max + 999) / 1000;
    /* Its threads inherit the mask: the program's main thread alone takes signals. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = 0;
    listener->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, ft_web_on_request, listener,  /* options: */
        MHD_OPTION_EXTERNAL_LOGGER, discard_log, NULL,      /* first, or others log before it */
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listener->fd, /* closed by MHD_stop_daemon() */
        MHD_OPTION_THREAD_POOL_SIZE, options->threads > 1 ? options->threads : 0U,
        MHD_OPTION_CONNECTION_LIMIT, options->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        options->connections_per_ip_max, MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->header_bytes_max, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_NOTIFY_COMPLETED, ft_web_on_completed, listener, MHD_OPTION_NOTIFY_CONNECTION,
        ft_web_on_connection, listener, MHD_OPTION_URI_LOG_CALLBACK, ft_web_on_uri, listener,
        MHD_OPTION_END);
    ft_err err = listener->daemon != NULL ? FT_OK : ft_err_from_errno(errno != 0 ? errno : EIO);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != FT_OK) {
        ft_fd_close(&listener->fd);
    }
    return err;
}

static ft_err add_listener(struct ft_web *web, int fd, bool is_unix, struct ft_diag *diag)
{
    struct ft_web_listener *listener = &web->listeners[web->n_listeners++];
    *listener = (struct ft_web_listener){.web = web, .fd = fd, .is_unix = is_unix};
    ft_err err = start_daemon(listener);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, "", 0, 0, "the HTTP server does not start: %s",
                           ft_err_text(err));
    }
    return FT_OK;
}

static ft_err start(struct ft_web *web, struct ft_diag *diag)
{
    ft_err err = ft_web_watch_start(web);
    err = err == FT_OK ? ft_web_workers_start(web) : err;
    if (err != FT_OK) {
        return ft_diag_set(diag, err, "", 0, 0, "the HTTP server does not start: %s",
                           ft_err_text(err));
    }
    int fd;
    if (web->options.address != NULL) {
        FT_TRY(ft_web_listen_tcp(web->options.address, web->options.allow_remote, &fd, &web->port,
                                 diag));
        FT_TRY(add_listener(web, fd, false, diag));
    }
    if (web->options.unix_path != NULL) {
        FT_TRY(ft_web_listen_unix(web->options.unix_path, &fd, diag));
        FT_TRY(add_listener(web, fd, true, diag));
    }
    return FT_OK;
}

/*
 * Watcher first, so that nobody else walks the list; then every request is given up, so that
 * handlers return and no connection stays suspended, which MHD_stop_daemon() does not forgive.
 * Once 'stopping' is set no request begins to wait.
 */
static void stop(struct ft_web *web)
{
    atomic_store(&web->stopping, true);
    ft_web_watch_stop(web);
    ft_web_give_up_all(web);
    ft_web_workers_stop(web);
    ft_web_give_up_all(web);
    for (size_t i = 0; i < web->n_listeners; i++) {
        if (web->listeners[i].daemon != NULL) {
            MHD_stop_daemon(web->listeners[i].daemon);
        }
        if (web->listeners[i].is_unix) {
            (void)unlink(web->options.unix_path);
        }
    }
    web->n_listeners = 0;
    ft_fd_close(&web->epoll_fd);
    ft_fd_close(&web->wake_fd);
    web->port = 0;
}
