/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/collector_metrics.h"

#include "collector/account.h"
#include "collector/collector_impl.h"
#include "metrics/process.h"
#include "metrics/rows.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static double read_connected(void *from) { return (double)ft_instances_connected(from); }

static double read_refused(void *from) { return (double)ft_service_refused(from); }

static double read_log_bytes(void *from)
{
    struct ft_log_stats stats;
    ft_log_stats(from, &stats);
    return (double)stats.bytes;
}

static double read_log_damaged(void *from)
{
    struct ft_log_stats stats;
    ft_log_stats(from, &stats);
    return (double)stats.damaged_parts;
}

static double read_store_bytes(void *from)
{
    struct ft_collector *collector = from;
    ft_mutex_lock(&collector->lock);
    uint64_t bytes = collector->store_file_bytes;
    ft_mutex_unlock(&collector->lock);
    return (double)bytes;
}

/* Blocks that are durable and not in the store yet. */
static double read_lag(void *from)
{
    struct ft_collector *collector = from;
    uint64_t durable = ft_log_durable(collector->log);
    uint64_t committed = ft_sinker_stats(collector->sinker)->committed_position;
    return durable > committed ? (double)(durable - committed) : 0;
}

static void add_account(void *ctx, const struct ft_instance *instance)
{
    ft_account_add(ctx, instance);
}

static double read_unbalanced(void *from)
{
    struct ft_account account = {0};
    ft_instances_each(from, add_account, &account);
    return (double)account.n_unbalanced;
}

static double read_unaccounted(void *from)
{
    struct ft_account account = {0};
    ft_instances_each(from, add_account, &account);
    return (double)account.unaccounted;
}

static double read_retained(void *from)
{
    struct ft_account account = {0};
    ft_instances_each(from, add_account, &account);
    return (double)account.retained;
}

static double read_server(void *from, size_t offset)
{
    struct ft_collector *collector = from;
    struct ft_rpc_server_stats stats = {0};
    ft_mutex_lock(&collector->server_lock);
    if (collector->server != NULL) {
        ft_rpc_server_get_stats(collector->server, &stats);
    }
    ft_mutex_unlock(&collector->server_lock);
    return (double)*(const uint64_t *)(const void *)((const char *)&stats + offset);
}

static double read_accepted(void *from)
{
    return read_server(from, offsetof(struct ft_rpc_server_stats, accepted));
}

#define READ_REJECTED(name, reason)                                                                \
    static double read_##name(void *from)                                                          \
    {                                                                                              \
        return read_server(from, offsetof(struct ft_rpc_server_stats, rejected) +                  \
                                     FT_RPC_REJECT_##reason * sizeof(uint64_t));                   \
    }
READ_REJECTED(limit_sessions, SESSIONS)
READ_REJECTED(limit_address, ADDRESS)
READ_REJECTED(limit_rate, RATE)
READ_REJECTED(silent, SILENT)
READ_REJECTED(unknown_method, METHOD)
READ_REJECTED(lingering, LINGER)

static double read_no_fd(void *from)
{
    return read_server(from, offsetof(struct ft_rpc_server_stats, connections_dropped_no_fd));
}

static double read_too_many(void *from)
{
    return read_server(from, offsetof(struct ft_rpc_server_stats, connections_dropped_address));
}

static double read_too_fast(void *from)
{
    return read_server(from, offsetof(struct ft_rpc_server_stats, connections_dropped_rate));
}

static double read_kept_out(void *from)
{
    return read_server(from, offsetof(struct ft_rpc_server_stats, connections_dropped_quarantine));
}

static double read_messages_refused(void *from)
{
    return read_server(from, offsetof(struct ft_rpc_server_stats, messages_refused));
}

/* What ingest.* bound, and what breaks gRPC's rules; what ingest itself refuses is above. */
static ft_err add_limits(struct ft_collector *collector)
{
    static const char sessions[] = "flowtrail_collector_refused_sessions_total";
    static const char sessions_help[] = "Sessions that were refused or ended by the collector.";
    static const char connections[] = "flowtrail_collector_refused_connections_total";
    static const char connections_help[] = "Connections that were closed when accepted.";
    const struct ft_metric_row rows[] = {
        {sessions, sessions_help, "reason", "limit", read_limit_sessions, collector, false},
        {sessions, sessions_help, "reason", "limit_address", read_limit_address, collector, false},
        {sessions, sessions_help, "reason", "limit_rate", read_limit_rate, collector, false},
        {sessions, sessions_help, "reason", "silent", read_silent, collector, false},
        {sessions, sessions_help, "reason", "unknown_method", read_unknown_method, collector,
         false},
        {sessions, sessions_help, "reason", "lingering", read_lingering, collector, false},
        {connections, connections_help, "reason", "no_descriptor", read_no_fd, collector, false},
        {connections, connections_help, "reason", "limit_address", read_too_many, collector, false},
        {connections, connections_help, "reason", "limit_rate", read_too_fast, collector, false},
        {connections, connections_help, "reason", "kept_out", read_kept_out, collector, false},
        {"flowtrail_collector_refused_messages_total", "Messages that came compressed.", NULL, NULL,
         read_messages_refused, collector, false},
    };
    return ft_metrics_add_rows(collector->metrics, rows, N_OF(rows));
}

static double read_granted(void *from)
{
    struct ft_admission_stats stats;
    ft_ingest_admission_stats(from, &stats);
    return (double)stats.granted_bytes;
}

static double read_draining(void *from)
{
    struct ft_admission_stats stats;
    ft_ingest_admission_stats(from, &stats);
    return (double)stats.n_draining;
}

static ft_err add_ingest(struct ft_collector *collector)
{
    static const char away[] = "flowtrail_collector_sent_away_total";
    static const char away_help[] = "Agents that were told to come back later, and when.";
    const struct ft_ingest_stats *i = ft_ingest_stats(collector->ingest);
    static const char rejected[] = "flowtrail_collector_rejected_flows_total";
    static const char rejected_help[] = "Events that were not stored because they break the rules.";
    static const char sessions[] = "flowtrail_collector_refused_sessions_total";
    static const char sessions_help[] = "Sessions that were refused or ended by the collector.";
    const struct ft_metric_row rows[] = {
        {"flowtrail_collector_agents_connected", "Agents with a session.", NULL, NULL,
         read_connected, collector->instances, true},
        {"flowtrail_collector_unbalanced_agents",
         "Agents whose account does not balance: observed = stored + retained + lost.", NULL, NULL,
         read_unbalanced, collector->instances, true},
        {"flowtrail_collector_unaccounted_events",
         "Events that these accounts miss, or have twice: not stored, not retained, not lost.",
         NULL, NULL, read_unaccounted, collector->instances, true},
        {"flowtrail_collector_agents_retained_events",
         "Events that the agents have and we have not, by their last word.", NULL, NULL,
         read_retained, collector->instances, true},
        {"flowtrail_collector_received_flows_total", "Events received, with repeats.", NULL, NULL,
         ft_metric_read_u64, &i->received_events, false},
        {"flowtrail_collector_received_blocks_total", "Blocks received.", NULL, NULL,
         ft_metric_read_u64, &i->received_blocks, false},
        {"flowtrail_collector_received_bytes_total", "Bytes of them, before framing.", NULL, NULL,
         ft_metric_read_u64, &i->received_bytes, false},
        {"flowtrail_collector_duplicate_flows_total", "Events that were there already.", NULL, NULL,
         ft_metric_read_u64, &i->duplicate_events, false},
        {"flowtrail_collector_missing_flows_total", "Holes in the sequences; LOSS events tell why.",
         NULL, NULL, ft_metric_read_u64, &i->missing_events, false},
        {"flowtrail_collector_refilled_flows_total",
         "Events that this collector had lost and that their agents have sent again.", NULL, NULL,
         ft_metric_read_u64, &i->refilled_events, false},
        {rejected, rejected_help, "reason", "malformed", ft_metric_read_u64, &i->rejected_events,
         false},
        {"flowtrail_collector_malformed_messages_total", "Messages that ended their session.", NULL,
         NULL, ft_metric_read_u64, &i->malformed_messages, false},
        {sessions, sessions_help, "reason", "token", read_refused, collector->service, false},
        {sessions, sessions_help, "reason", "denied", ft_metric_read_u64, &i->denied_sessions,
         false},
        {sessions, sessions_help, "reason", "superseded", ft_metric_read_u64,
         &i->superseded_sessions, false},
        {"flowtrail_collector_sessions_total", "Sessions accepted.", NULL, NULL, read_accepted,
         collector, false},
        {"flowtrail_collector_durable_flows_total", "Events synced to the log.", NULL, NULL,
         ft_metric_read_u64, &i->durable_events, false},
        {"flowtrail_collector_acks_total", "Acknowledgements sent.", NULL, NULL, ft_metric_read_u64,
         &i->acks, false},
        {"flowtrail_collector_receipts_total", "Receipts signed.", NULL, NULL, ft_metric_read_u64,
         &i->receipts, false},
        {"flowtrail_collector_set_backs_total",
         "Receipts of agents that prove that this store was set back.", NULL, NULL,
         ft_metric_read_u64, &i->set_backs, false},
        {"flowtrail_collector_syncs_total", "Syncs of the log.", NULL, NULL, ft_metric_read_u64,
         &i->syncs, false},
        {"flowtrail_collector_sync_failures_total", "Syncs that failed.", NULL, NULL,
         ft_metric_read_u64, &i->sync_failures, false},
        {"flowtrail_collector_append_failures_total", "Blocks the log could not take.", NULL, NULL,
         ft_metric_read_u64, &i->append_failures, false},
        {"flowtrail_collector_queue_bytes", "Checked batches that wait for the log.", NULL, NULL,
         ft_metric_read_u64, &i->queue_bytes, true},
        {"flowtrail_collector_queue_waits_total", "Sessions that waited for room in it.", NULL,
         NULL, ft_metric_read_u64, &i->queue_waits, false},
        {away, away_help, "reason", "full", ft_metric_read_u64, &i->sent_away_full, false},
        {away, away_help, "reason", "sessions", ft_metric_read_u64, &i->sent_away_sessions, false},
        {away, away_help, "reason", "overrun", ft_metric_read_u64, &i->sent_away_overrun, false},
        {"flowtrail_collector_slow_downs_total",
         "Agents that were asked to send less, because the queue filled.", NULL, NULL,
         ft_metric_read_u64, &i->slow_downs, false},
        {"flowtrail_collector_rate_waits_total",
         "Sessions that waited because their agent was over its rate.", NULL, NULL,
         ft_metric_read_u64, &i->holds, false},
        {"flowtrail_collector_rate_waiting_sessions", "Of them, now.", NULL, NULL,
         ft_metric_read_u64, &i->held_sessions, true},
        {"flowtrail_collector_granted_window_bytes",
         "Windows of agents that deliver a backlog; at most ingest.queue_bytes_max.", NULL, NULL,
         read_granted, collector->ingest, true},
        {"flowtrail_collector_draining_agents", "Agents that deliver a backlog.", NULL, NULL,
         read_draining, collector->ingest, true},
    };
    return ft_metrics_add_rows(collector->metrics, rows, N_OF(rows));
}

static ft_err add_store(struct ft_collector *collector)
{
    const struct ft_sinker_stats *s = ft_sinker_stats(collector->sinker);
    static const char bytes[] = "flowtrail_collector_store_bytes";
    static const char bytes_help[] = "Bytes on disk.";
    const struct ft_metric_row rows[] = {
        {"flowtrail_collector_stored_flows_total", "Rows committed since the start.", NULL, NULL,
         ft_metric_read_u64, &s->rows, false},
        {"flowtrail_collector_store_commits_total", "Transactions.", NULL, NULL, ft_metric_read_u64,
         &s->commits, false},
        {"flowtrail_collector_store_failures_total", "Transactions that failed.", NULL, NULL,
         ft_metric_read_u64, &s->failures, false},
        {"flowtrail_collector_store_damaged_flows_total",
         "Events in blocks that were damaged on disk.", NULL, NULL, ft_metric_read_u64,
         &s->damaged_events, false},
        {"flowtrail_collector_store_lag_blocks", "Durable blocks that the store has not taken.",
         NULL, NULL, read_lag, collector, true},
        {"flowtrail_collector_store_last_commit_timestamp_seconds", "When it last took some.", NULL,
         NULL, ft_metric_read_ns, &s->last_commit_real_ns, true},
        {bytes, bytes_help, "tier", "log", read_log_bytes, collector->log, true},
        {bytes, bytes_help, "tier", "duckdb", read_store_bytes, collector, true},
        {"flowtrail_collector_log_damaged_parts", "Parts of the log that recovery gave up.", NULL,
         NULL, read_log_damaged, collector->log, true},
    };
    return ft_metrics_add_rows(collector->metrics, rows, N_OF(rows));
}

static ft_err add_quarantine(struct ft_collector *collector)
{
    const struct ft_quarantine_stats *q = ft_quarantine_stats(collector->quarantine);
    static const char blocks[] = "flowtrail_collector_quarantined_blocks_total";
    static const char blocks_help[] = "Blocks that could not be stored.";
    static const char events[] = "flowtrail_collector_quarantined_flows_total";
    static const char events_help[] = "Events of them.";
    const struct ft_metric_row rows[] = {
        {blocks, blocks_help, "kind", "poison", ft_metric_read_u64,
         &q->blocks[FT_QUARANTINE_POISON], false},
        {blocks, blocks_help, "kind", "rejected", ft_metric_read_u64,
         &q->blocks[FT_QUARANTINE_REJECTED], false},
        {events, events_help, "kind", "poison", ft_metric_read_u64,
         &q->events[FT_QUARANTINE_POISON], false},
        {events, events_help, "kind", "rejected", ft_metric_read_u64,
         &q->events[FT_QUARANTINE_REJECTED], false},
        {"flowtrail_collector_quarantine_files", "Blocks that are kept for a person to look at.",
         NULL, NULL, ft_metric_read_u64, &q->files, true},
        {"flowtrail_collector_quarantine_bytes", "Bytes of them.", NULL, NULL, ft_metric_read_u64,
         &q->bytes, true},
        {"flowtrail_collector_quarantine_evicted_total",
         "Blocks that made room for newer ones at quarantine.files_max and bytes_max.", NULL, NULL,
         ft_metric_read_u64, &q->evicted, false},
        {"flowtrail_collector_quarantine_unkept_total",
         "Rejected blocks of which no copy was kept: too many at a time, or no disk space.", NULL,
         NULL, ft_metric_read_u64, &q->unkept, false},
    };
    return ft_metrics_add_rows(collector->metrics, rows, N_OF(rows));
}

static ft_err add_ledger(struct ft_collector *collector)
{
    const struct ft_ledger_stats *l = ft_ledger_stats(collector->ledger);
    const struct ft_metric_row rows[] = {
        {"flowtrail_collector_ledger_writes_total", "Accounts of instances written to the ledger.",
         NULL, NULL, ft_metric_read_u64, &l->writes, false},
        {"flowtrail_collector_ledger_syncs_total", "Syncs of the ledger.", NULL, NULL,
         ft_metric_read_u64, &l->syncs, false},
        {"flowtrail_collector_ledger_failures_total", "Writes and syncs of it that failed.", NULL,
         NULL, ft_metric_read_u64, &l->failures, false},
        {"flowtrail_collector_ledger_damaged_total",
         "Accounts, or whole ledgers, that could not be read at the start.", NULL, NULL,
         ft_metric_read_u64, &l->damaged, false},
    };
    return ft_metrics_add_rows(collector->metrics, rows, N_OF(rows));
}

ft_err ft_collector_metrics_register(struct ft_collector *collector)
{
    static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                    0.025,  0.05,    0.1,    0.25,  0.5,    1,     5};
    struct ft_histogram *commit_seconds = NULL;
    FT_TRY(ft_metrics_add_process(collector->metrics));
    FT_TRY(ft_metrics_add_build_info(collector->metrics, "flowtrail_collector", FT_VERSION,
                                     "unknown"));
    FT_TRY(ft_metrics_add_histogram(collector->metrics, "flowtrail_collector_commit_seconds",
                                    "How long a sync of the log takes.", NULL, 0, bounds,
                                    N_OF(bounds), &commit_seconds));
    ft_ingest_observe_commits(collector->ingest, commit_seconds);
    FT_TRY(add_ingest(collector));
    FT_TRY(add_limits(collector));
    FT_TRY(add_quarantine(collector));
    FT_TRY(add_ledger(collector));
    return add_store(collector);
}
