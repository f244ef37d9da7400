/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_impl.h"
#include "agent/ledger_api.h"
#include "text/json.h"

/* A collector that cannot be reached for so long is a failure, not a hiccup. */
#define DISCONNECTED_FAILED_NS (60 * FT_NS_PER_S)

static const char *const health_names[FT_HEALTH_N] = {"unknown", "ok", "degraded", "failed"};

static void fill_account(struct ft_agent *agent, struct ft_msg_status *status);
static void add_log(struct ft_agent *agent, struct ft_msg_status *status);
static void add_spool(struct ft_agent *agent, struct ft_msg_status *status);
static void write_spool(struct ft_agent *agent, struct ft_json_writer *writer);
static void add_stream(struct ft_agent *agent, struct ft_msg_status *status);
static void add_configuration(struct ft_agent *agent, struct ft_msg_status *status);
static struct ft_msg_component *add(struct ft_msg_status *status, const char *name);
static void write_account(struct ft_json_writer *writer, const struct ft_msg_status *status);

void ft_agent_fill_status(struct ft_agent *agent, struct ft_msg_status *status)
{
    memset(status, 0, sizeof *status);
    status->time_ns = ft_clock_real_ns(agent->clock);
    fill_account(agent, status);
    const struct ft_tally_live *live = ft_tally_live(ft_pipeline_tally(agent->pipeline));
    status->filtered_events = live->filtered;
    status->sealed_events = live->sealed;
    status->sent_events = live->sent;
    const struct ft_source_stats *source = ft_capture_stats(agent->capture);
    status->active_flows = source->n_flows;
    status->conntrack_entries = source->table_count;
    status->conntrack_entries_max = source->table_max;
    (void)snprintf(status->capture_step, sizeof status->capture_step, "%s",
                   ft_ladder_step_name((enum ft_ladder_step)source->step));
    ft_capture_fill_component(agent->capture, &status->components[status->n_components++]);
    add_log(agent, status);
    if (agent->spool != NULL) {
        add_spool(agent, status);
    }
    add_stream(agent, status);
    add_configuration(agent, status);
}

void ft_agent_write_status(struct ft_agent *agent, struct ft_json_writer *writer)
{
    struct ft_msg_status status;
    ft_agent_fill_status(agent, &status);
    char id[FT_UUID_TEXT_SIZE];
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "program", "flowtraild");
    ft_json_key_str(writer, "version", FT_VERSION);
    ft_json_key_str(writer, "host_name", agent->host_name);
    ft_uuid_format(&agent->agent_id, id);
    ft_json_key_str(writer, "agent_id", id);
    struct ft_uuid instance_id;
    ft_delivery_get_instance(agent->delivery, &instance_id);
    ft_uuid_format(&instance_id, id);
    ft_json_key_str(writer, "instance_id", id);
    ft_json_key_time(writer, "time", status.time_ns);
    ft_json_key_time(writer, "started", agent->started_ns);
    ft_json_key_array(writer, "components");
    for (unsigned i = 0; i < status.n_components; i++) {
        ft_json_object_begin(writer);
        ft_json_key_str(writer, "name", status.components[i].name);
        ft_json_key_str(writer, "health", health_names[status.components[i].health]);
        ft_json_key_str(writer, "text", status.components[i].text);
        ft_json_object_end(writer);
    }
    ft_json_array_end(writer);
    ft_json_key(writer, "account");
    write_account(writer, &status);
    ft_json_key_u64(writer, "filtered_events", status.filtered_events);
    ft_json_key_u64(writer, "sealed_events", status.sealed_events);
    ft_json_key_u64(writer, "sent_events", status.sent_events);
    if (agent->spool != NULL) {
        ft_json_key(writer, "spool");
        write_spool(agent, writer);
    }
    ft_json_key_u64(writer, "active_flows", status.active_flows);
    ft_json_key_str(writer, "capture_step", status.capture_step);
    ft_json_key_object(writer, "collector");
    ft_json_key_str(writer, "url", agent->options->collector.url);
    ft_json_key_str(writer, "token_file", agent->options->collector.token_file);
    ft_json_key_str(writer, "ca_file", agent->options->collector.ca_file);
    ft_json_key_bool(writer, "plaintext", agent->options->collector.plaintext);
    const struct ft_exporter_stats *exporter = ft_delivery_stats(agent->delivery);
    if (exporter != NULL) {
        ft_json_key_str(writer, "state",
                        ft_link_state_name((enum ft_link_state)exporter->link_state));
        ft_json_key_str(writer, "proof",
                        ft_trust_proof_name((enum ft_delivery_proof)exporter->proof));
        ft_json_key_u64(writer, "acknowledged_seq", exporter->acked_seq);
        ft_json_key_time(writer, "last_ack", exporter->last_ack_real_ns);
        ft_json_key_double(writer, "clock_skew_seconds",
                           (double)exporter->clock_skew_ns / (double)FT_NS_PER_S);
    }
    ft_json_object_end(writer);
    ft_json_object_end(writer);
}

void ft_agent_write_ledger(struct ft_agent *agent, const struct ft_flows_ledger_query *query,
                           struct ft_json_writer *writer)
{
    struct ft_msg_status status;
    ft_agent_fill_status(agent, &status);
    const struct ft_exporter_stats *exporter = ft_delivery_stats(agent->delivery);
    struct ft_ledger_owner owner = {
        .agent_id = agent->agent_id,
        .host_name = agent->host_name,
        .state = exporter != NULL ? ft_link_state_name((enum ft_link_state)exporter->link_state)
                                  : "alone"};
    ft_delivery_get_instance(agent->delivery, &owner.instance_id);
    ft_agent_ledger_write(writer, &owner, &status, query);
}

/*
 * Pipeline and exporter count on their own; the pipeline's numbers are read between two looks at
 * the exporter's, and again when those moved, so that all belong together.
 */
static void fill_account(struct ft_agent *agent, struct ft_msg_status *status)
{
    const struct ft_exporter_stats *exporter = ft_delivery_stats(agent->delivery);
    struct ft_pipeline_account account;
    uint64_t done = 0;
    uint64_t acked = 0;
    for (;;) {
        uint64_t before = exporter != NULL ? exporter->account_version : 0;
        ft_pipeline_get_account(agent->pipeline, &account);
        acked = exporter != NULL ? exporter->acked_events : 0;
        done = exporter != NULL ? exporter->done_events : 0;
        if (before % 2 == 0 && (exporter == NULL || exporter->account_version == before)) {
            break;
        }
        (void)sched_yield();
    }
    status->observed_events = account.observed;
    status->acknowledged_events = acked;
    if (exporter == NULL && agent->spool != NULL) {
        const struct ft_progress *progress = ft_spool_progress(agent->spool);
        done = progress->done_events;
        status->acknowledged_events = done - progress->rejected_events - progress->gone_events;
    }
    status->retained_events = account.kept - done;
    status->merged_events = account.merged;
    memcpy(status->lost, account.lost_by_cause, sizeof status->lost);
    struct ft_log_stats log;
    ft_log_stats(agent->log, &log);
    status->retained_bytes = log.bytes - log.kept_bytes;
}

static void add_log(struct ft_agent *agent, struct ft_msg_status *status)
{
    struct ft_msg_component *component = add(status, "log");
    struct ft_log_stats log;
    ft_log_stats(agent->log, &log);
    /* Of this run: what was lost years ago is in the account, and no reason to worry. */
    uint64_t before = agent->spool != NULL ? ft_spool_lost_before(agent->spool) : 0;
    uint64_t lost = status->lost[FT_LOSS_LOG_FULL] - before;
    component->health = lost > 0 ? FT_HEALTH_DEGRADED : FT_HEALTH_OK;
    (void)snprintf(component->text, sizeof component->text,
                   "%llu events retained, %llu of %llu KiB",
                   (unsigned long long)status->retained_events,
                   (unsigned long long)((log.bytes - log.kept_bytes) >> 10),
                   (unsigned long long)(log.bytes_max >> 10));
    size_t at = strlen(component->text);
    if (ft_pipeline_stats(agent->pipeline)->merging != 0) {
        component->health = FT_HEALTH_DEGRADED;
        (void)snprintf(component->text + at, sizeof component->text - at,
                       "; events of the same flow are merged");
        at = strlen(component->text);
    }
    if (lost > 0) {
        (void)snprintf(component->text + at, sizeof component->text - at,
                       "; it was full: %llu events lost", (unsigned long long)lost);
    }
}

/* What waits in memory for the spool is small unless the disk does not keep up. */
static void add_spool(struct ft_agent *agent, struct ft_msg_status *status)
{
    struct ft_msg_component *component = add(status, "spool");
    const struct ft_spool_stats *spool = ft_spool_stats(agent->spool);
    struct ft_log_stats disk;
    struct ft_log_stats memory;
    ft_log_stats(agent->log, &disk);
    ft_log_stats(agent->memory_log, &memory);
    int64_t failing_since_ns = spool->failing_since_ns;
    if (failing_since_ns != 0) {
        component->health = FT_HEALTH_FAILED;
        (void)snprintf(component->text, sizeof component->text,
                       "%.300s: %s for %lld s, %llu KiB of events wait in memory",
                       agent->options->spool.path, ft_err_text((ft_err)spool->last_error),
                       (long long)((status->time_ns - failing_since_ns) / FT_NS_PER_S),
                       (unsigned long long)(memory.bytes >> 10));
        return;
    }
    component->health = disk.space_low ? FT_HEALTH_DEGRADED : FT_HEALTH_OK;
    (void)snprintf(component->text, sizeof component->text,
                   "%.300s: %llu of %llu MiB in %llu files%s", agent->options->spool.path,
                   (unsigned long long)(disk.bytes >> 20),
                   (unsigned long long)(disk.bytes_max >> 20), (unsigned long long)disk.segments,
                   disk.space_low ? ", which do not grow: the file system is short of space" : "");
}

static void write_spool(struct ft_agent *agent, struct ft_json_writer *writer)
{
    const struct ft_spool_stats *spool = ft_spool_stats(agent->spool);
    struct ft_log_stats disk;
    struct ft_log_stats memory;
    ft_log_stats(agent->log, &disk);
    ft_log_stats(agent->memory_log, &memory);
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "path", agent->options->spool.path);
    ft_json_key_u64(writer, "bytes", disk.bytes);
    ft_json_key_u64(writer, "bytes_max", disk.bytes_max);
    ft_json_key_u64(writer, "segments", disk.segments);
    ft_json_key_u64(writer, "reserve_bytes", disk.reserve_bytes);
    ft_json_key_bool(writer, "space_low", disk.space_low);
    ft_json_key_u64(writer, "waiting_bytes", memory.bytes);
    ft_json_key_u64(writer, "syncs", disk.syncs);
    ft_json_key_u64(writer, "sync_failures", disk.sync_failures);
    ft_json_key_u64(writer, "failures", spool->failures);
    ft_json_key_double(writer, "longest_wait_seconds",
                       (double)spool->sync_ns_max / (double)FT_NS_PER_S);
    ft_json_key_u64(writer, "durable_seq", spool->durable_seq);
    ft_json_object_end(writer);
}

static void add_stream(struct ft_agent *agent, struct ft_msg_status *status)
{
    struct ft_msg_component *component = add(status, "stream");
    const struct ft_exporter_stats *exporter = ft_delivery_stats(agent->delivery);
    if (exporter == NULL) {
        component->health = FT_HEALTH_DEGRADED;
        (void)snprintf(component->text, sizeof component->text,
                       "no collector is configured (collector.url): events stay here until the "
                       "log is full");
        return;
    }
    enum ft_link_state state = (enum ft_link_state)exporter->link_state;
    if (state == FT_LINK_ACTIVE) {
        component->health = FT_HEALTH_OK;
        (void)snprintf(component->text, sizeof component->text,
                       "%s, %llu events acknowledged, %llu bytes under way%s",
                       agent->options->collector.url, (unsigned long long)exporter->acked_events,
                       (unsigned long long)exporter->unacked_bytes,
                       exporter->proof == FT_PROOF_UNVERIFIED ? ", unverified delivery" : "");
        if (exporter->gone_events > 0) {
            size_t at = strlen(component->text);
            component->health = FT_HEALTH_DEGRADED;
            (void)snprintf(component->text + at, sizeof component->text - at,
                           "; the collector has lost %llu events",
                           (unsigned long long)exporter->gone_events);
        }
        return;
    }
    char text[256];
    ft_delivery_last_text(agent->delivery, text, sizeof text);
    int64_t last_ns =
        exporter->last_ack_real_ns != 0 ? exporter->last_ack_real_ns : agent->started_ns;
    component->health =
        status->time_ns - last_ns > DISCONNECTED_FAILED_NS ? FT_HEALTH_FAILED : FT_HEALTH_DEGRADED;
    (void)snprintf(component->text, sizeof component->text, "%s: %s%s%s",
                   agent->options->collector.url, ft_link_state_name(state),
                   text[0] != '\0' ? ", " : "", text);
}

static void add_configuration(struct ft_agent *agent, struct ft_msg_status *status)
{
    struct ft_msg_component *component = add(status, "configuration");
    ft_mutex_lock(&agent->lock);
    bool good = agent->config_error[0] == '\0';
    int64_t loaded_ns = agent->config_loaded_ns;
    if (!good) {
        (void)snprintf(component->text, sizeof component->text,
                       "the last reload was refused: %.400s", agent->config_error);
    }
    ft_mutex_unlock(&agent->lock);
    component->health = good ? FT_HEALTH_OK : FT_HEALTH_FAILED;
    if (good) {
        char when[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(loaded_ns, 0, when);
        (void)snprintf(component->text, sizeof component->text, "loaded %s", when);
    }
}

static struct ft_msg_component *add(struct ft_msg_status *status, const char *name)
{
    struct ft_msg_component *component = &status->components[status->n_components++];
    (void)snprintf(component->name, sizeof component->name, "%s", name);
    return component;
}

static void write_account(struct ft_json_writer *writer, const struct ft_msg_status *status)
{
    ft_json_object_begin(writer);
    ft_json_key_u64(writer, "observed", status->observed_events);
    ft_json_key_u64(writer, "stored", status->acknowledged_events);
    ft_json_key_u64(writer, "retained", status->retained_events);
    ft_json_key_u64(writer, "merged", status->merged_events);
    ft_text_json_lost_by_cause(writer, status->lost);
    ft_json_key_u64(writer, "lost", ft_balance_lost(status));
    uint64_t off = ft_balance_off(status);
    ft_json_key_u64(writer, "unaccounted", off);
    ft_json_key_bool(writer, "balanced", off == 0);
    ft_json_object_end(writer);
}
