/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/collector.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "base/thread.h"
#include "collector/account_watch.h"
#include "collector/collector_impl.h"
#include "collector/collector_metrics.h"
#include "collector/site.h"
#include "collector/stores.h"
#include "rpc/rpc.h"

/* Descriptors beside those of connections: log, database, gRPC. */
#define DESCRIPTORS_BESIDE 256
/* How long threads sleep at most before they look whether they are to stop. */
#define IDLE_NS (1 * FT_NS_PER_S)
/* Pause after a disk or a store refused. */
#define PAUSE_NS (1 * FT_NS_PER_S)
/* Retention is looked at this often; each look deletes a bounded step, and while one step was not
 * enough the next comes soon: agents' events are stored between them. */
#define RETAIN_INTERVAL_NS (30 * FT_NS_PER_S)
#define RETAIN_AGAIN_NS    (1 * FT_NS_PER_S)
/* How soon it is noticed that somebody has deleted files of the quarantine. */
#define REFRESH_INTERVAL_NS (10 * FT_NS_PER_S)
/* The ledger is written at each turn of the main loop, and synced so often. */
#define LEDGER_SYNC_NS (30 * FT_NS_PER_S)

static ft_err open_all(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_ingest(struct ft_collector *collector, struct ft_diag *diag);
static ft_err start_threads(struct ft_collector *collector);
static ft_err listen_for_agents(struct ft_collector *collector, struct ft_diag *diag);
static void main_loop(struct ft_collector *collector);
static void reload(struct ft_collector *collector);
static void stop_all(struct ft_collector *collector);
static void run_commit(void *ctx);
static void run_sinker(void *ctx);
static int64_t retain(struct ft_collector *collector);
static void note_error(struct ft_collector *collector, char *slot, const char *what, ft_err err,
                       const char *text);
static void note_good(struct ft_collector *collector, char *slot, const char *what);

ft_err ft_collector_run(const struct ft_collector_options *options, ft_collector_load_fn *load,
                        void *ctx)
{
    static struct ft_collector collector;
    collector = (struct ft_collector){.options = *options,
                                      .load = load,
                                      .load_ctx = ctx,
                                      .clock = ft_clock_system(),
                                      .signal_fd = -1};
    ft_mutex_init(&collector.lock);
    ft_mutex_init(&collector.server_lock);
    FT_TRY(ft_signals_open(&collector.signal_fd));
    struct ft_diag diag = {0};
    ft_rpc_init(NULL);
    ft_err err = open_all(&collector, &diag);
    if (err != FT_OK) {
        char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
        ft_diag_format(&diag, text, sizeof text);
        ft_log(FT_LOG_ERROR, "collector", "cannot start: %s",
               diag.text[0] != '\0' ? text : ft_err_text(err));
    } else {
        ft_notify("READY=1");
        main_loop(&collector);
        ft_notify("STOPPING=1");
    }
    stop_all(&collector);
    ft_rpc_shutdown();
    ft_fd_close(&collector.signal_fd);
    ft_mutex_deinit(&collector.server_lock);
    ft_mutex_deinit(&collector.lock);
    return err;
}

void ft_collector_get_view(struct ft_collector *collector, struct ft_collector_view *ret_view,
                           struct ft_collector_texts *ret_texts)
{
    ft_mutex_lock(&collector->lock);
    memcpy(ret_texts->store_error, collector->store_error, sizeof ret_texts->store_error);
    memcpy(ret_texts->ingest_error, collector->ingest_error, sizeof ret_texts->ingest_error);
    uint64_t file_bytes = collector->store_file_bytes;
    ft_mutex_unlock(&collector->lock);
    *ret_view = (struct ft_collector_view){.host_name = collector->host.hostname,
                                           .collector_id = collector->identity.collector_id,
                                           .started_ns = collector->started_ns,
                                           .now_ns = ft_clock_real_ns(collector->clock),
                                           .ingest_listen = collector->ingest_listen,
                                           .instances = collector->instances,
                                           .ingest = ft_ingest_stats(collector->ingest),
                                           .sinker = ft_sinker_stats(collector->sinker),
                                           .log = collector->log,
                                           .quarantine = collector->quarantine,
                                           .store_file_bytes = file_bytes,
                                           .store_error = ret_texts->store_error,
                                           .ingest_error = ret_texts->ingest_error};
    ft_ingest_epoch(collector->ingest, &ret_view->store_epoch);
    ft_receipt_key_format(ft_receipt_signer_key(collector->identity.signer), ret_view->receipt_key);
}

static ft_err open_all(struct ft_collector *collector, struct ft_diag *diag)
{
    collector->started_ns = ft_clock_real_ns(collector->clock);
    FT_TRY(ft_host_read(&collector->host));
    FT_TRY(ft_metrics_create(0, &collector->metrics));
    FT_TRY(ft_token_store_create(collector->options.ingest.tokens_file, &collector->tokens, diag));
    FT_TRY(ft_instances_create(&collector->instances));
    FT_TRY(ft_stores_open(collector, diag));
    FT_TRY(open_ingest(collector, diag));
    FT_TRY(ft_collector_metrics_register(collector));
    FT_TRY(ft_site_open(collector, &collector->site, diag));
    FT_TRY(start_threads(collector));
    FT_TRY(listen_for_agents(collector, diag));
    ft_service_set_serving(collector->service, true);
    return FT_OK;
}

static ft_err open_ingest(struct ft_collector *collector, struct ft_diag *diag)
{
    (void)diag;
    const struct ft_collector_options *options = &collector->options;
    struct ft_ingest_options ingest = {
        .collector_id = collector->identity.collector_id,
        .store_epoch = collector->identity.store_epoch,
        .signer = collector->identity.signer,
        .random = ft_random_system(),
        .keep_epoch = ft_stores_keep_epoch,
        .keep_epoch_ctx = collector,
        .version = FT_VERSION,
        .sessions_max = options->ingest.sessions_max,
        .queue_bytes_max = options->ingest.queue_bytes_max,
        .agent_events_per_s = options->ingest.agent_events_per_second_max,
        .agent_bytes_per_s = options->ingest.agent_bytes_per_second_max,
        .window_bytes = options->ingest.window_bytes,
        .message_bytes_max = options->ingest.message_bytes_max,
        .status_interval_ms = (uint32_t)(options->ingest.status_interval / FT_NS_PER_MS),
        .clock = collector->clock,
        .log = collector->log,
        .instances = collector->instances,
        .ledger = collector->ledger,
        .quarantine = collector->quarantine,
        .peer_ops = &ft_service_peer_ops};
    FT_TRY(ft_ingest_create(&ingest, &collector->ingest));
    return ft_service_create(collector->tokens, collector->ingest, &collector->service);
}

static ft_err start_threads(struct ft_collector *collector)
{
    FT_TRY(ft_thread_start(&collector->commit_thread, "commit", run_commit, collector));
    return ft_thread_start(&collector->sinker_thread, "sink", run_sinker, collector);
}

/* Sessions beside those of 'sessions_max' agents: they get their GoAway there, or take an older one
 * of the same agent over.  Beyond, calls are refused without a word of when to come back. */
static uint64_t sessions_beside(const struct ft_collector_options *options)
{
    return 16 + options->ingest.sessions_max / 8;
}

/* Each agent is a descriptor, and a shell's usual limit is 1,024. */
static void raise_descriptors(const struct ft_collector_options *options)
{
    uint64_t wanted = options->ingest.sessions_max + sessions_beside(options) +
                      options->http.connections_max + DESCRIPTORS_BESIDE;
    uint64_t limit = ft_fd_raise_limit(wanted);
    if (limit < wanted) {
        ft_log(
            FT_LOG_WARN, "collector",
            "%llu descriptors are too few for %llu agents, which takes %llu (LimitNOFILE, ulimit "
            "-n): connections beyond are closed",
            (unsigned long long)limit, (unsigned long long)options->ingest.sessions_max,
            (unsigned long long)wanted);
    }
}

/* "" becomes NULL: not set. */
static const char *given(const char *text) { return text[0] != '\0' ? text : NULL; }

static ft_err listen_for_agents(struct ft_collector *collector, struct ft_diag *diag)
{
    const struct ft_collector_options *o = &collector->options;
    struct ft_rpc_server_options server = {
        .listen = o->ingest.listen,
        .certificate_path = given(o->ingest.cert_file),
        .key_path = given(o->ingest.key_file),
        .client_ca_path = given(o->ingest.client_ca_file),
        .client_cert = o->ingest.client_cert_required        ? FT_RPC_CLIENT_CERT_REQUIRED
                       : o->ingest.client_ca_file[0] != '\0' ? FT_RPC_CLIENT_CERT_OPTIONAL
                                                             : FT_RPC_CLIENT_CERT_NONE,
        .plaintext = o->ingest.plaintext,
        .n_threads = (uint32_t)o->ingest.threads,
        .sessions_max = (uint32_t)(o->ingest.sessions_max + sessions_beside(o)),
        .sessions_per_address_max = (uint32_t)o->ingest.sessions_per_address_max,
        .connections_per_address_max = (uint32_t)o->ingest.connections_per_address_max,
        .message_bytes_max = o->ingest.message_bytes_max,
        .metadata_bytes_max = o->ingest.metadata_bytes_max,
        .memory_bytes_max = o->ingest.memory_bytes_max,
        .handshake_timeout_ns = o->ingest.handshake_timeout,
        .first_message_timeout_ns = o->ingest.first_message_timeout,
        .connection_age_ns = o->ingest.connection_age};
    raise_descriptors(o);
    server.methods = ft_service_methods(collector->service, &server.n_methods);
    struct ft_rpc_server *started = NULL;
    FT_TRY(ft_rpc_server_start(&server, &started, diag));
    uint16_t port = ft_rpc_server_get_port(started);
    ft_mutex_lock(&collector->server_lock);
    collector->server = started;
    ft_mutex_unlock(&collector->server_lock);
    const char *colon = strrchr(o->ingest.listen, ':');
    (void)snprintf(collector->ingest_listen, sizeof collector->ingest_listen, "%.*s:%u",
                   colon != NULL ? (int)(colon - o->ingest.listen) : 0, o->ingest.listen,
                   (unsigned)port);
    ft_log(FT_LOG_INFO, "collector", "agents are served on %s%s", collector->ingest_listen,
           o->ingest.plaintext ? ", unencrypted" : "");
    return FT_OK;
}

static void main_loop(struct ft_collector *collector)
{
    int64_t watchdog_ns = ft_notify_watchdog_ns();
    int64_t wait_ns = watchdog_ns != 0 && watchdog_ns < IDLE_NS ? watchdog_ns : IDLE_NS;
    int64_t refresh_ns = 0;
    int64_t sync_ns = 0;
    for (;;) {
        switch (ft_signals_wait(collector->signal_fd, wait_ns)) {
        case FT_SIGNAL_STOP:
            ft_log(FT_LOG_INFO, "collector", "stopping");
            return;
        case FT_SIGNAL_RELOAD:
            ft_notify("RELOADING=1\nMONOTONIC_USEC=%lld",
                      (long long)(ft_clock_mono_ns(collector->clock) / FT_NS_PER_US));
            reload(collector);
            ft_notify("READY=1");
            break;
        case FT_SIGNAL_NONE:
            break;
        }
        int64_t now_ns = ft_clock_mono_ns(collector->clock);
        if (now_ns >= refresh_ns) {
            refresh_ns = now_ns + REFRESH_INTERVAL_NS;
            ft_quarantine_refresh(collector->quarantine);
            (void)ft_account_watch(collector->instances);
        }
        bool sync = now_ns >= sync_ns;
        sync_ns = sync ? now_ns + LEDGER_SYNC_NS : sync_ns;
        ft_stores_write_ledger(collector, sync);
        /* The watchdog is fed only while the threads that must move do. */
        if (watchdog_ns != 0 && now_ns - collector->commit_alive_ns < 10 * watchdog_ns &&
            now_ns - collector->sinker_alive_ns < 10 * watchdog_ns) {
            ft_notify("WATCHDOG=1");
        }
    }
}

/* Only the level, the tokens and the certificates are taken live. */
static void tell_restart(void *ctx, const struct ft_option *option)
{
    (void)ctx;
    if (strcmp(option->name, "logging.level") != 0) {
        ft_log(FT_LOG_WARN, "collector", "%s was changed: that takes a restart", option->name);
    }
}

static void reload(struct ft_collector *collector) FT_NO_TSA
{
    struct ft_diag diag = {0};
    char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
    struct ft_collector_options options;
    if (ft_options_init(&ft_collector_option_table, &options) == FT_OK) {
        if (collector->load(collector->load_ctx, &options, &diag) == FT_OK) {
            ft_log_set_level((enum ft_log_level)options.logging.level);
            ft_options_diff(&ft_collector_option_table, &collector->options, &options, tell_restart,
                            NULL);
        } else {
            ft_diag_format(&diag, text, sizeof text);
            ft_log(FT_LOG_ERROR, "collector", "%s, keeping the configuration in use", text);
        }
        ft_options_deinit(&ft_collector_option_table, &options);
    }
    if (ft_token_store_reload(collector->tokens, &diag) != FT_OK) {
        ft_diag_format(&diag, text, sizeof text);
        ft_log(FT_LOG_ERROR, "collector", "%s, keeping the tokens in use", text);
    }
    if (ft_rpc_server_reload(collector->server, &diag) != FT_OK) {
        ft_diag_format(&diag, text, sizeof text);
        ft_log(FT_LOG_ERROR, "collector", "%s, keeping the certificate in use", text);
    }
    ft_log(FT_LOG_INFO, "collector", "reloaded: %zu tokens",
           ft_token_store_size(collector->tokens));
}

/* Nobody reads its counters from here on. */
static struct ft_rpc_server *take_server(struct ft_collector *collector)
{
    ft_mutex_lock(&collector->server_lock);
    struct ft_rpc_server *server = collector->server;
    collector->server = NULL;
    ft_mutex_unlock(&collector->server_lock);
    return server;
}

/* Agents first, then what they sent, then the store; each step finds the one above it still. */
static void stop_all(struct ft_collector *collector)
{
    /* A stop that hangs is ended by SIGALRM: nothing that was acknowledged depends on it. */
    (void)alarm((unsigned)(collector->options.stop_timeout / FT_NS_PER_S) + 1);
    if (collector->service != NULL) {
        ft_service_set_serving(collector->service, false);
    }
    ft_rpc_server_stop(take_server(collector), 0);
    collector->stopping = true;
    if (collector->ingest != NULL) {
        ft_ingest_wake(collector->ingest);
    }
    ft_thread_join(&collector->commit_thread);
    if (collector->log != NULL) {
        ft_log_wake_all(collector->log);
    }
    ft_thread_join(&collector->sinker_thread);
    ft_site_close(&collector->site);
    ft_service_destroy(collector->service);
    ft_ingest_destroy(collector->ingest);
    ft_sinker_destroy(collector->sinker);
    ft_duckdb_reader_destroy(collector->reader);
    ft_sink_close(collector->sink);
    ft_duckdb_close(collector->duckdb);
    ft_log_destroy(collector->log);
    ft_stores_write_ledger(collector, true);
    ft_ledger_close(collector->ledger);
    ft_quarantine_destroy(collector->quarantine);
    ft_disk_destroy(collector->quarantine_disk);
    ft_disk_destroy(collector->log_disk);
    ft_disk_destroy(collector->disk);
    ft_identity_close(&collector->identity);
    ft_instances_destroy(collector->instances);
    ft_token_store_destroy(collector->tokens);
    ft_metrics_destroy(collector->metrics);
}

static void run_commit(void *ctx)
{
    struct ft_collector *collector = ctx;
    for (;;) {
        bool last = collector->stopping;
        int64_t now_ns = ft_clock_mono_ns(collector->clock);
        collector->commit_alive_ns = now_ns;
        ft_err err = ft_ingest_commit(collector->ingest, last ? now_ns : now_ns + IDLE_NS);
        if (err != FT_OK) {
            note_error(collector, collector->ingest_error, "the log cannot be written", err, "");
        } else {
            note_good(collector, collector->ingest_error, "the log");
        }
        if (last) {
            return;
        }
        if (err != FT_OK) {
            ft_thread_sleep(PAUSE_NS);
        }
    }
}

static void run_sinker(void *ctx)
{
    struct ft_collector *collector = ctx;
    int64_t retain_ns = 0;
    while (!collector->stopping) {
        int64_t now_ns = ft_clock_mono_ns(collector->clock);
        collector->sinker_alive_ns = now_ns;
        struct ft_diag diag = {0};
        ft_err err = ft_sinker_step(collector->sinker, now_ns + IDLE_NS, &diag);
        if (err != FT_OK) {
            note_error(collector, collector->store_error, "the store cannot take events", err,
                       diag.text);
            ft_thread_sleep(PAUSE_NS);
        } else {
            note_good(collector, collector->store_error, "the store");
        }
        if (now_ns >= retain_ns) {
            retain_ns = now_ns + retain(collector);
        }
    }
    struct ft_diag diag = {0};
    if (ft_sinker_flush(collector->sinker, &diag) != FT_OK) {
        ft_log(FT_LOG_WARN, "collector", "the last events are stored at the next start: %s",
               diag.text);
    }
}

/* How long to wait until the next look. */
static int64_t retain(struct ft_collector *collector)
{
    struct ft_diag diag = {0};
    if (ft_sinker_flush(collector->sinker, &diag) != FT_OK) {
        return RETAIN_INTERVAL_NS; /* The next step says so. */
    }
    struct ft_duckdb_retention retention = {.age_ns = collector->options.duckdb.retention_age,
                                            .bytes_max = collector->options.duckdb.retention_bytes};
    struct ft_duckdb_retained retained = {0};
    ft_err err = ft_duckdb_sink_retain(collector->sink, &retention,
                                       ft_clock_real_ns(collector->clock), &retained, &diag);
    if (err != FT_OK) {
        ft_log(FT_LOG_WARN, "collector", "old events cannot be deleted: %s, retrying", diag.text);
        return RETAIN_INTERVAL_NS;
    }
    ft_mutex_lock(&collector->lock);
    collector->store_file_bytes = retained.stats.file_bytes + retained.stats.wal_bytes;
    ft_mutex_unlock(&collector->lock);
    if (retained.deleted_rows > 0) {
        ft_log(FT_LOG_INFO, "collector", "deleted %llu old events",
               (unsigned long long)retained.deleted_rows);
    }
    return retained.more ? RETAIN_AGAIN_NS : RETAIN_INTERVAL_NS;
}

/* Keeps the words for the status, and logs them when they are new. */
static void note_error(struct ft_collector *collector, char *slot, const char *what, ft_err err,
                       const char *text)
{
    char words[FT_COLLECTOR_ERROR_SIZE];
    (void)snprintf(words, sizeof words, "%.40s: %.200s", what,
                   text[0] != '\0' ? text : ft_err_text(err));
    ft_mutex_lock(&collector->lock);
    bool news = strcmp(slot, words) != 0;
    memcpy(slot, words, sizeof words);
    ft_mutex_unlock(&collector->lock);
    if (news) {
        ft_log(FT_LOG_ERROR, "collector", "%s, retrying in %u ms", words,
               (unsigned)(PAUSE_NS / FT_NS_PER_MS));
    }
}

static void note_good(struct ft_collector *collector, char *slot, const char *what)
{
    ft_mutex_lock(&collector->lock);
    bool news = slot[0] != '\0';
    slot[0] = '\0';
    ft_mutex_unlock(&collector->lock);
    if (news) {
        ft_log(FT_LOG_INFO, "collector", "%s works again", what);
    }
}
