/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/stores.h"

#include <stdio.h>

#include "base/log.h"
#include "collector/collector_impl.h"
#include "collector/ledger.h"
#include "collector/recovery.h"

static ft_err open_disk(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_quarantine(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_ledger(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_store(struct ft_collector *collector, struct ft_diag *diag);
static ft_err open_sinker(struct ft_collector *collector, struct ft_diag *diag);
static ft_err check_epoch(struct ft_collector *collector);
static ft_err recover(struct ft_collector *collector);
static void on_damage(void *ctx, const struct ft_log_damage *damage);

ft_err ft_stores_open(struct ft_collector *collector, struct ft_diag *diag)
{
    FT_TRY(open_disk(collector, diag));
    FT_TRY(open_quarantine(collector, diag));
    FT_TRY(open_ledger(collector, diag));
    return open_store(collector, diag);
}

/* A failure is told once, not each second. */
void ft_stores_write_ledger(struct ft_collector *collector, bool sync)
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

ft_err ft_stores_keep_epoch(void *ctx, const struct ft_uuid *store_epoch)
{
    struct ft_collector *collector = ctx;
    return ft_identity_replace(collector->log_disk, FT_IDENTITY_EPOCH, store_epoch);
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
    ft_stores_write_ledger(collector, true);
    return FT_OK;
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
    return ft_stores_keep_epoch(collector, &collector->identity.store_epoch);
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
