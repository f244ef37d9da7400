/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_metrics.h"

#include "agent/agent_impl.h"
#include "agent/balance.h"
#include "agent/report.h"
#include "metrics/process.h"
#include "metrics/rows.h"

static double read_link_state(void *ctx)
{
    const struct ft_exporter_stats *stats = ctx;
    return (double)stats->link_state;
}

/* Numbers that are computed from several parts. */
static double read_retained(void *ctx)
{
    struct ft_msg_status status;
    ft_agent_fill_status(ctx, &status);
    return (double)status.retained_events;
}

static double read_observed(void *ctx)
{
    struct ft_msg_status status;
    ft_agent_fill_status(ctx, &status);
    return (double)status.observed_events;
}

static double read_unaccounted(void *ctx)
{
    struct ft_msg_status status;
    ft_agent_fill_status(ctx, &status);
    return (double)ft_balance_off(&status);
}

static double read_balanced(void *ctx) { return read_unaccounted(ctx) == 0 ? 1 : 0; }

static double read_log_bytes(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)(stats.bytes - stats.kept_bytes);
}

static double read_kept_bytes(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)stats.kept_bytes;
}

static double read_reserve(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)stats.reserve_bytes;
}

static double read_space_low(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return stats.space_low ? 1 : 0;
}

static double read_space_refusals(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)stats.space_refusals;
}

static double read_syncs(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)stats.syncs;
}

static double read_all_bytes(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)stats.bytes;
}

static double read_failing(void *ctx)
{
    const struct ft_spool_stats *stats = ctx;
    return stats->failing_since_ns != 0 ? 1 : 0;
}

static double read_verified(void *ctx)
{
    const struct ft_exporter_stats *stats = ctx;
    return stats->proof == FT_PROOF_VERIFIED ? 1 : 0;
}

static double read_oldest(void *ctx)
{
    struct ft_log_stats stats;
    ft_log_stats(ctx, &stats);
    return (double)stats.oldest_time_ns / (double)FT_NS_PER_S;
}

static double read_config_good(void *ctx)
{
    struct ft_agent *agent = ctx;
    ft_mutex_lock(&agent->lock);
    bool good = agent->config_error[0] == '\0';
    ft_mutex_unlock(&agent->lock);
    return good ? 1 : 0;
}

static double read_config_time(void *ctx)
{
    struct ft_agent *agent = ctx;
    ft_mutex_lock(&agent->lock);
    int64_t loaded_ns = agent->config_loaded_ns;
    ft_mutex_unlock(&agent->lock);
    return (double)loaded_ns / (double)FT_NS_PER_S;
}

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static ft_err add_source(struct ft_agent *agent)
{
    const struct ft_source_stats *s = ft_capture_stats(agent->capture);
    static const char events[] = "flowtrail_agent_conntrack_events_total";
    static const char events_help[] = "Events heard from the kernel.";
    static const char lost[] = "flowtrail_agent_conntrack_lost_total";
    static const char lost_help[] = "Messages the kernel could not queue, or that were not "
                                    "understood; most are rebuilt or sent again.";
    static const char repeated[] = "flowtrail_agent_conntrack_repeated_total";
    static const char repeated_help[] =
        "Events of the kernel that were not told again: known from a dump or another event, or "
        "ends of flows whose end had been inferred, without their last counters.";
    const struct ft_metric_row series[] = {
        {events, events_help, "type", "new", ft_metric_read_u64, &s->n_new, false},
        {events, events_help, "type", "update", ft_metric_read_u64, &s->n_update, false},
        {events, events_help, "type", "destroy", ft_metric_read_u64, &s->n_destroy, false},
        {lost, lost_help, "cause", "enobufs", ft_metric_read_u64, &s->n_drops, false},
        {lost, lost_help, "cause", "parse", ft_metric_read_u64, &s->n_parse_errors, false},
        {lost, lost_help, "cause", "table_full", ft_metric_read_u64, &s->n_untracked, false},
        {repeated, repeated_help, "reason", "known", ft_metric_read_u64, &s->n_duplicates, false},
        {repeated, repeated_help, "reason", "inferred", ft_metric_read_u64, &s->n_late_ends, false},
        {"flowtrail_agent_conntrack_overruns_total", "Times the kernel's buffer was full.", NULL,
         NULL, ft_metric_read_u64, &s->n_overruns, false},
        {"flowtrail_agent_conntrack_resyncs_total", "Gaps that were reconciled with a dump.", NULL,
         NULL, ft_metric_read_u64, &s->n_resyncs, false},
        {"flowtrail_agent_conntrack_dumps_total", "Complete dumps of the kernel's table.", NULL,
         NULL, ft_metric_read_u64, &s->n_dumps, false},
        {"flowtrail_agent_conntrack_dump_seconds", "How long the last dump took.", NULL, NULL,
         ft_metric_read_ns, &s->dump_ns, true},
        {"flowtrail_agent_conntrack_socket_opens_total", "Times the event socket was opened.", NULL,
         NULL, ft_metric_read_u64, &s->n_opens, false},
        {"flowtrail_agent_conntrack_reliable", "1 while the kernel sends ends again.", NULL, NULL,
         ft_metric_read_u64, &s->reliable, true},
        {"flowtrail_agent_capture_step",
         "Step of the shedding ladder: 0 full, 1 no_update, 2 destroy_only.", NULL, NULL,
         ft_metric_read_u64, &s->step, true},
        {"flowtrail_agent_capture_step_changes_total", "Changes of the step.", NULL, NULL,
         ft_metric_read_u64, &s->n_step_changes, false},
        {"flowtrail_agent_capture_no_room_seconds_total",
         "Time for which events waited in the socket because the pipeline had no room for them.",
         NULL, NULL, ft_metric_read_ns, &s->no_room_ns, false},
        {"flowtrail_agent_capture_crash_safe",
         "1 while what was heard survives a crash of the agent (capture.crash_safe).", NULL, NULL,
         ft_metric_read_u64, &s->crash_safe, true},
        {"flowtrail_agent_capture_commits_total", "Commits of the memory that survives it.", NULL,
         NULL, ft_metric_read_u64, &s->n_commits, false},
        {"flowtrail_agent_capture_unkept_blocks_total",
         "Blocks that made room there before they were on disk: a crash then loses them.", NULL,
         NULL, ft_metric_read_u64, &s->n_unkept, false},
        {"flowtrail_agent_flows_active", "Flows under way that are known.", NULL, NULL,
         ft_metric_read_u64, &s->n_flows, true},
        {"flowtrail_agent_flow_table_bytes", "Memory for them.", NULL, NULL, ft_metric_read_u64,
         &s->table_bytes, true},
    };
    return ft_metrics_add_rows(agent->metrics, series, N_OF(series));
}

static ft_err add_pipeline(struct ft_agent *agent)
{
    const struct ft_pipeline_stats *p = ft_pipeline_stats(agent->pipeline);
    static const char events[] = "flowtrail_agent_events_total";
    static const char events_help[] = "Flow events that got a sequence number.";
    static const char filtered[] = "flowtrail_agent_events_filtered_total";
    static const char filtered_help[] = "Flow events that the configuration leaves out.";
    const struct ft_metric_row series[] = {
        {events, events_help, "type", "start", ft_metric_read_u64, &p->events[FT_EVENT_START],
         false},
        {events, events_help, "type", "update", ft_metric_read_u64, &p->events[FT_EVENT_UPDATE],
         false},
        {events, events_help, "type", "end", ft_metric_read_u64, &p->events[FT_EVENT_END], false},
        {events, events_help, "type", "loss", ft_metric_read_u64, &p->events[FT_EVENT_LOSS], false},
        {"flowtrail_agent_events_inferred_total", "Of them, rebuilt rather than heard.", NULL, NULL,
         ft_metric_read_u64, &p->inferred_events, false},
        {filtered, filtered_help, "reason", "own", ft_metric_read_u64, &p->filtered[FT_VERDICT_OWN],
         false},
        {filtered, filtered_help, "reason", "loopback", ft_metric_read_u64,
         &p->filtered[FT_VERDICT_LOOPBACK], false},
        {filtered, filtered_help, "reason", "rule", ft_metric_read_u64,
         &p->filtered[FT_VERDICT_RULE], false},
        {"flowtrail_agent_events_observed_total",
         "Numbered, or known to be lost before that: the left side of the account.", NULL, NULL,
         read_observed, agent, false},
        {"flowtrail_agent_events_retained", "Not acknowledged yet.", NULL, NULL, read_retained,
         agent, true},
        {"flowtrail_agent_account_balanced",
         "1 while observed = acknowledged + retained + merged + lost.", NULL, NULL, read_balanced,
         agent, true},
        {"flowtrail_agent_unaccounted_events",
         "Events by which the two sides of this account differ.", NULL, NULL, read_unaccounted,
         agent, true},
        {"flowtrail_agent_log_bytes", "Of events that are not acknowledged.", NULL, NULL,
         read_log_bytes, agent->log, true},
        {"flowtrail_agent_log_held_bytes",
         "Of acknowledged events that stay for a collector that loses its store.", NULL, NULL,
         read_kept_bytes, agent->log, true},
        {"flowtrail_agent_log_oldest_timestamp_seconds",
         "When the oldest retained block was sealed; 0: none.", NULL, NULL, read_oldest, agent->log,
         true},
        {"flowtrail_agent_events_merged_total",
         "Events that went into others of the same flow, under pressure.", NULL, NULL,
         ft_metric_read_u64, &ft_tally_live(ft_pipeline_tally(agent->pipeline))->merged, false},
        {"flowtrail_agent_merging", "1 while events of the same flow are merged.", NULL, NULL,
         ft_metric_read_u64, &p->merging, true},
        {"flowtrail_agent_events_sealed_total", "Events in blocks that were given to the log.",
         NULL, NULL, ft_metric_read_u64, &p->sealed_events, false},
        {"flowtrail_agent_blocks_sealed_total", "Blocks given to the log.", NULL, NULL,
         ft_metric_read_u64, &p->sealed_blocks, false},
        {"flowtrail_agent_blocks_sealed_bytes_total", "Bytes of them.", NULL, NULL,
         ft_metric_read_u64, &p->sealed_bytes, false},
        {"flowtrail_agent_config_last_reload_successful", "1 when the last reload was taken.", NULL,
         NULL, read_config_good, agent, true},
        {"flowtrail_agent_config_last_reload_success_timestamp_seconds",
         "When a configuration was last taken.", NULL, NULL, read_config_time, agent, true},
    };
    FT_TRY(ft_metrics_add_rows(agent->metrics, series, N_OF(series)));
    static const char *const causes[FT_LOSS_CAUSE_N] = {
        "unknown",       "kernel_overrun", "socket_reopened", "parse",          "log_full",
        "spool_damaged", "rejected",       "shutdown",        "collector_lost", "crash"};
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        const struct ft_metric_row lost = {
            "flowtrail_agent_events_lost_total",
            "Events that are lost; each is told in a LOSS event.",
            "cause",
            causes[cause],
            ft_metric_read_u64,
            ft_tally_lost(ft_pipeline_tally(agent->pipeline), (enum ft_loss_cause)cause),
            false};
        FT_TRY(ft_metrics_add_rows(agent->metrics, &lost, 1));
    }
    return FT_OK;
}

static ft_err add_spool(struct ft_agent *agent)
{
    if (agent->spool == NULL) {
        return FT_OK;
    }
    const struct ft_spool_stats *s = ft_spool_stats(agent->spool);
    const struct ft_metric_row series[] = {
        {"flowtrail_agent_spool_failing", "1 while the spool cannot be written.", NULL, NULL,
         read_failing, s, true},
        {"flowtrail_agent_spool_failures_total", "Writes and syncs that failed; tried again.", NULL,
         NULL, ft_metric_read_u64, &s->failures, false},
        {"flowtrail_agent_spool_waiting_bytes", "Memory of events that are not in the spool yet.",
         NULL, NULL, read_all_bytes, agent->memory_log, true},
        {"flowtrail_agent_spool_reserve_bytes", "Disk space kept for when the disk is full.", NULL,
         NULL, read_reserve, agent->log, true},
        {"flowtrail_agent_spool_space_low",
         "1 while the file system is too full for the spool to grow.", NULL, NULL, read_space_low,
         agent->log, true},
        {"flowtrail_agent_spool_space_refusals_total",
         "Times that the spool did not grow for that reason.", NULL, NULL, read_space_refusals,
         agent->log, false},
        {"flowtrail_agent_spool_syncs_total", "Syncs of the log.", NULL, NULL, read_syncs,
         agent->log, false},
        {"flowtrail_agent_spool_sync_seconds_total", "How long they took.", NULL, NULL,
         ft_metric_read_ns, &s->sync_ns_total, false},
        {"flowtrail_agent_spool_state_writes_total", "Times that the state was written.", NULL,
         NULL, ft_metric_read_u64, &s->state_writes, false},
        {"flowtrail_agent_spool_new_instances_total",
         "Times that the collector was found to know more than the spool.", NULL, NULL,
         ft_metric_read_u64, &s->new_instances, false},
    };
    return ft_metrics_add_rows(agent->metrics, series, N_OF(series));
}

static ft_err add_exporter(struct ft_agent *agent)
{
    const struct ft_exporter_stats *e = ft_delivery_stats(agent->delivery);
    if (e == NULL) {
        return FT_OK;
    }
    const struct ft_metric_row series[] = {
        {"flowtrail_agent_stream_state",
         "0 disabled, 1 backoff, 2 connecting, 3 greeting, 4 active, 5 closing.", NULL, NULL,
         read_link_state, e, true},
        {"flowtrail_agent_stream_connects_total", "Tries to connect.", NULL, NULL,
         ft_metric_read_u64, &e->connects, false},
        {"flowtrail_agent_events_sent_total", "Events sent, with repeats.", NULL, NULL,
         ft_metric_read_u64, &e->sent_events, false},
        {"flowtrail_agent_events_sent_bytes_total", "Bytes of them, before framing.", NULL, NULL,
         ft_metric_read_u64, &e->sent_bytes, false},
        {"flowtrail_agent_blocks_resent_total", "Blocks sent again after a break.", NULL, NULL,
         ft_metric_read_u64, &e->resent_blocks, false},
        {"flowtrail_agent_events_acknowledged_total", "Events that the collector has stored.", NULL,
         NULL, ft_metric_read_u64, &e->acked_events, false},
        {"flowtrail_agent_unacknowledged_bytes", "Sent and not acknowledged.", NULL, NULL,
         ft_metric_read_u64, &e->unacked_bytes, true},
        {"flowtrail_agent_last_ack_timestamp_seconds", "When something was last acknowledged.",
         NULL, NULL, ft_metric_read_ns, &e->last_ack_real_ns, true},
        {"flowtrail_agent_acks_refused_total", "Acknowledgements of what was never sent.", NULL,
         NULL, ft_metric_read_u64, &e->bad_acks, false},
        {"flowtrail_agent_receipts_refused_total",
         "Receipts that the collector's key has not signed.", NULL, NULL, ft_metric_read_u64,
         &e->bad_receipts, false},
        {"flowtrail_agent_receipt_keys_refused_total",
         "Collectors without a receipt key, or with another than the trusted one.", NULL, NULL,
         ft_metric_read_u64, &e->refused_keys, false},
        {"flowtrail_agent_delivery_verified",
         "1 while the collector's acknowledgements carry receipts that are checked.", NULL, NULL,
         read_verified, e, true},
        {"flowtrail_agent_events_unverified_total", "Events acknowledged without a receipt.", NULL,
         NULL, ft_metric_read_u64, &e->unverified_events, false},
        {"flowtrail_agent_collector_set_backs_total",
         "Times that the collector had less than it had acknowledged.", NULL, NULL,
         ft_metric_read_u64, &e->gone_back, false},
        {"flowtrail_agent_events_back_total",
         "Events that were acknowledged, lost by the collector, and sent again.", NULL, NULL,
         ft_metric_read_u64, &e->back_events, false},
    };
    FT_TRY(ft_metrics_add_rows(agent->metrics, series, N_OF(series)));
    for (int reason = 0; reason < FT_LINK_REASON_N; reason++) {
        const struct ft_metric_row ends = {"flowtrail_agent_stream_ends_total",
                                           "Streams that ended.",
                                           "reason",
                                           ft_link_reason_name((enum ft_link_reason)reason),
                                           ft_metric_read_u64,
                                           &e->ends[reason],
                                           false};
        FT_TRY(ft_metrics_add_rows(agent->metrics, &ends, 1));
    }
    return FT_OK;
}

ft_err ft_agent_metrics_register(struct ft_agent *agent)
{
    FT_TRY(ft_metrics_add_process(agent->metrics));
    FT_TRY(ft_metrics_add_build_info(agent->metrics, "flowtrail_agent", FT_VERSION, "unknown"));
    FT_TRY(add_source(agent));
    FT_TRY(add_pipeline(agent));
    FT_TRY(add_spool(agent));
    return add_exporter(agent);
}
