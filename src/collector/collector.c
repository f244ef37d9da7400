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
#include "collector/identity.h"
#include "collector/recovery.h"
#include "collector/site.h"
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
static ft_err open_disk(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_quarantine(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_ledger(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_store(struct ft_collector *collector, struct ft_diag *diag);
static ft_err recover(struct ft_collector *collector);
static void write_ledger(struct ft_collector *collector, bool sync);
static ft_err open_sinker(struct ft_collector *collector, struct ft_diag *diag);
static ft_err check_epoch(struct ft_collector *collector);
static ft_err open_ingest(struct ft_collector *collector, struct ft_diag *diag);
static ft_err keep_epoch(void *ctx, const struct ft_uuid *store_epoch);
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
static void on_damage(void *ctx, const struct ft_log_damage *damage);

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
    FT_TRY(open_disk(collector, diag));
    FT_TRY(open_quarantine(collector, diag));
    FT_TRY(open_ledger(collector, diag));
    FT_TRY(open_store(collector, diag));
    FT_TRY(open_ingest(collector, diag));
    FT_TRY(ft_collector_metrics_register(collector));
    FT_TRY(ft_site_open(collector, &collector->site, diag));
    FT_TRY(start_threads(collector));
    FT_TRY(listen_for_agents(collector, diag));
    ft_service_set_serving(collector->service, true);
    return FT_OK;
}

static ft_err open_disk(struct ft_collector *collector, struct ft_diag *diag)
{
    const char *dir = collector->options.data_dir;
    char log_dir[1024];
    (void)snprintf(log_dir, sizeof log_dir, "%s/log", dir);
    ft_err err = ft_disk_posix_create(dir, &collector->disk);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "data_dir %s: %s", dir, ft_err_text(err));
    }
    err = ft_disk_posix_create(log_dir, &collector->log_disk);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "%s: %s", log_dir, ft_err_text(err));
    }
    FT_TRY(ft_identity_open(collector->disk, collector->log_disk, ft_random_system(),
                            &collector->identity, diag));
    char key[FT_RECEIPT_KEY_TEXT_SIZE];
    ft_receipt_key_format(ft_receipt_signer_key(collector->identity.signer), key);
    ft_log(FT_LOG_INFO, "collector", "receipts are signed with %s", key);
    struct ft_log_options log = {.bytes_max = collector->options.log.bytes_max,
                                 .segment_bytes = collector->options.log.segment_bytes,
                                 .keep_bytes = collector->options.log.keep_bytes,
                                 .full = FT_LOG_REFUSE};
    err = ft_log_disk_open(collector->log_disk, &log, on_damage, collector, &collector->log);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "%s: %s", log_dir, ft_err_text(err));
    }
    return FT_OK;
}

static ft_err open_quarantine(struct ft_collector *collector, struct ft_diag *diag)
{
    const struct ft_collector_options *options = &collector->options;
    char dir[1024];
    (void)snprintf(dir, sizeof dir, "%s/quarantine", options->data_dir);
    ft_err err = ft_disk_posix_create(dir, &collector->quarantine_disk);
    if (err == FT_OK) {
        struct ft_quarantine_options quarantine = {.disk = collector->quarantine_disk,
                                                   .clock = collector->clock,
                                                   .log_id = collector->identity.log_id,
                                                   .files_max = options->quarantine.files_max,
                                                   .bytes_max = options->quarantine.bytes_max};
        err = ft_quarantine_open(&quarantine, &collector->quarantine);
    }
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "%s: %s", dir, ft_err_text(err));
    }
    return FT_OK;
}

static ft_err open_ledger(struct ft_collector *collector, struct ft_diag *diag)
{
    ft_err err = ft_ledger_open(collector->disk, collector->instances,
                                ft_clock_real_ns(collector->clock), &collector->ledger);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "%s/ledger: %s", collector->options.data_dir,
                           ft_err_text(err));
    }
    return FT_OK;
}

static ft_err open_store(struct ft_collector *collector, struct ft_diag *diag)
{
    const struct ft_collector_options *options = &collector->options;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/flows.duckdb", options->data_dir);
    struct ft_duckdb_options duckdb = {.path = path,
                                       .memory_bytes = options->duckdb.memory_bytes,
                                       .threads = (unsigned)options->duckdb.threads};
    FT_TRY(ft_duckdb_open(&duckdb, &collector->duckdb, diag));
    FT_TRY(ft_recovery_from_store(collector->duckdb, collector->instances, diag));
    struct ft_duckdb_reader_options reader = {.timeout_ns = options->http.query_timeout,
                                              .clock = collector->clock};
    FT_TRY(ft_duckdb_reader_create(collector->duckdb, &reader, &collector->reader, diag));
    FT_TRY(open_sinker(collector, diag));
    FT_TRY(check_epoch(collector));
    return recover(collector);
}

static ft_err set_gaps(void *ctx, const struct ft_instance_key *key, const struct ft_ranges *gaps)
{
    struct ft_collector *collector = ctx;
    struct ft_diag diag = {0};
    ft_err err =
        ft_duckdb_sink_set_gaps(collector->sink, &key->agent_id, &key->instance_id, gaps, &diag);
    if (err != FT_OK) {
        ft_log(FT_LOG_ERROR, "collector", "the store cannot note what it lacks: %s", diag.text);
    }
    return err;
}

/*
 * What the registry knows: from the log, then all together.  The position is what the store itself
 * was found to have: a ledger that was written before the store was lost names later ones.
 */
static ft_err recover(struct ft_collector *collector)
{
    uint64_t position = ft_sinker_stats(collector->sinker)->committed_position;
    uint64_t n_behind;
    FT_TRY(
        ft_recovery_from_log(collector->log, position, collector->instances, set_gaps, collector));
    FT_TRY(ft_recovery_reconcile(collector->instances, collector->quarantine, position, &n_behind));
    if (n_behind > 0) {
        ft_log(FT_LOG_ERROR, "collector",
               "the ledger knows events of %llu instances that are neither in the log nor in the "
               "store: agents send again what they still have",
               (unsigned long long)n_behind);
    }
    /* Before the sink goes on: what the ledger said of a store that was set back is wrong now. */
    collector->recovered = true;
    write_ledger(collector, true);
    return FT_OK;
}

/* A failure is told once, not each second. */
static void write_ledger(struct ft_collector *collector, bool sync)
{
    if (!collector->recovered) {
        return; /* Else a start that fails would write what is half known. */
    }
    ft_err err = ft_ledger_write(collector->ledger, sync);
    if (err != FT_OK && !collector->ledger_failed) {
        ft_log(FT_LOG_WARN, "collector", "the ledger cannot be written: %s, retrying",
               ft_err_text(err));
    }
    collector->ledger_failed = err != FT_OK;
}

static ft_err open_sinker(struct ft_collector *collector, struct ft_diag *diag)
{
    const struct ft_collector_options *options = &collector->options;
    FT_TRY(ft_duckdb_sink_create(collector->duckdb, &collector->sink, diag));
    struct ft_sinker_options sinker = {.name = "duckdb",
                                       .batch_rows = options->duckdb.batch_rows,
                                       .batch_interval_ns = options->duckdb.batch_interval,
                                       .clock = collector->clock,
                                       .log = collector->log,
                                       .log_id = collector->identity.log_id,
                                       .sink = collector->sink,
                                       .instances = collector->instances,
                                       .quarantine = collector->quarantine,
                                       .on_row = ft_site_on_row,
                                       .rows_are_wanted = ft_site_rows_are_wanted,
                                       .on_row_ctx = &collector->site};
    return ft_sinker_create(&sinker, &collector->sinker, diag);
}

/*
 * What was durable and is not there any more ends the epoch of the store.  Whoever sets back the
 * whole directory sets back the epoch too: that only agents can know (collector/receipts.c).
 */
static ft_err check_epoch(struct ft_collector *collector)
{
    const char *what = NULL;
    const struct ft_sinker_stats *sinker = ft_sinker_stats(collector->sinker);
    if (sinker->again_blocks > 0) {
        ft_log(FT_LOG_WARN, "collector",
               "the store was lost or set back: %llu blocks that are in the log are stored again",
               (unsigned long long)sinker->again_blocks);
    }
    switch (ft_recovery_compare(collector->log, sinker->found_position)) {
    case FT_RECOVERY_LOG_BEHIND:
        what = "the log was set back behind the store"; /* The sinker has gone back with it. */
        break;
    case FT_RECOVERY_STORE_BEHIND:
        what = "the store was lost or set back behind the log";
        break;
    case FT_RECOVERY_FITS:
        what = collector->damaged_blocks > 0 ? "blocks of the log were lost" : NULL;
        break;
    }
    if (what == NULL) {
        return FT_OK;
    }
    ft_uuid_make_random(ft_random_system(), &collector->identity.store_epoch);
    ft_log(FT_LOG_ERROR, "collector", "%s: agents send again what they still have", what);
    return keep_epoch(collector, &collector->identity.store_epoch);
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
        .keep_epoch = keep_epoch,
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

static ft_err keep_epoch(void *ctx, const struct ft_uuid *store_epoch)
{
    struct ft_collector *collector = ctx;
    return ft_identity_replace(collector->log_disk, FT_IDENTITY_EPOCH, store_epoch);
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
        write_ledger(collector, sync);
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
    write_ledger(collector, true);
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

static void on_damage(void *ctx, const struct ft_log_damage *damage)
{
    struct ft_collector *collector = ctx;
    collector->damaged_blocks += damage->blocks_lost;
    ft_log(FT_LOG_WARN, "collector",
           "log file %s: %llu bytes at %llu are damaged (%s), %llu blocks lost", damage->file,
           (unsigned long long)damage->size, (unsigned long long)damage->offset, damage->what,
           (unsigned long long)damage->blocks_lost);
}
