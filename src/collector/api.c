/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api.h"

#include <stdio.h>
#include <stdlib.h>

/* An agent that said nothing for so many of its status intervals is silent. */
#define SILENT_NS (60 * FT_NS_PER_S)

static const char *const health_names[FT_HEALTH_N] = {"unknown", "ok", "degraded", "failed"};

/* The account of one instance, or of all together. */
struct account {
    uint64_t observed;
    uint64_t stored;
    uint64_t retained;
    uint64_t lost;
    uint64_t lost_by_cause[FT_LOSS_CAUSE_N];
    uint64_t missing;
    bool balanced;
    size_t n_unbalanced;
    size_t n_silent;
};

static void add_instance(struct account *account, const struct ft_instance *instance,
                         int64_t now_ns);
static void write_account(struct ft_json_writer *writer, const struct account *account);
static void write_agent(struct ft_json_writer *writer, const struct ft_instance *instance,
                        int64_t now_ns);
static void write_time(struct ft_json_writer *writer, const char *key, int64_t real_ns);
static void write_uuid(struct ft_json_writer *writer, const char *key, const struct ft_uuid *uuid);
static void write_components(struct ft_json_writer *writer, const struct ft_collector_view *view,
                             const struct account *account, size_t n_instances);

bool ft_instance_is_balanced(const struct ft_instance *instance)
{
    if (!instance->has_status) {
        return true; /* It has not said anything that could be wrong. */
    }
    const struct ft_msg_status *status = &instance->status;
    uint64_t lost = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        lost += status->lost[cause];
    }
    return status->observed_events ==
               status->acknowledged_events + status->retained_events + lost &&
           status->acknowledged_events <= instance->appended_events;
}

void ft_collector_write_status(struct ft_json_writer *writer, const struct ft_collector_view *view)
{
    struct account account = {.balanced = true};
    struct ft_instance *all = NULL;
    size_t n = 0;
    ft_err_ignore(ft_instances_list(view->instances, &all, &n), "without memory the list is empty");
    for (size_t i = 0; i < n; i++) {
        add_instance(&account, &all[i], view->now_ns);
    }
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "program", "flowtrail-collector");
    ft_json_key_str(writer, "version", FT_VERSION);
    ft_json_key_str(writer, "host_name", view->host_name);
    write_uuid(writer, "collector_id", &view->collector_id);
    write_time(writer, "time", view->now_ns);
    write_time(writer, "started", view->started_ns);
    write_components(writer, view, &account, n);
    ft_json_key_object(writer, "account");
    write_account(writer, &account);
    ft_json_object_end(writer);
    ft_json_object_end(writer);
    free(all);
}

void ft_collector_write_agents(struct ft_json_writer *writer, const struct ft_collector_view *view)
{
    struct ft_instance *all = NULL;
    size_t n = 0;
    ft_err_ignore(ft_instances_list(view->instances, &all, &n), "without memory the list is empty");
    ft_json_array_begin(writer);
    for (size_t i = 0; i < n; i++) {
        write_agent(writer, &all[i], view->now_ns);
    }
    ft_json_array_end(writer);
    free(all);
}

/*
 * What is stored is ours to say; what was observed and lost is the agent's last word, which may be
 * older than what arrived since.
 */
static void add_instance(struct account *account, const struct ft_instance *instance,
                         int64_t now_ns)
{
    const uint64_t *by_cause = instance->has_status ? instance->status.lost : instance->lost_events;
    uint64_t lost = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        lost += by_cause[cause];
        account->lost_by_cause[cause] += by_cause[cause];
    }
    uint64_t stored = instance->appended_events;
    uint64_t observed = instance->has_status ? instance->status.observed_events : 0;
    if (observed < stored + lost) {
        observed = stored + lost;
    }
    account->observed += observed;
    account->stored += stored;
    account->retained += observed - stored - lost;
    account->lost += lost;
    account->missing += instance->missing_events;
    if (!ft_instance_is_balanced(instance)) {
        account->balanced = false;
        account->n_unbalanced++;
    }
    if (instance->connected && now_ns - instance->last_heard_ns > SILENT_NS) {
        account->n_silent++;
    }
}

static void write_account(struct ft_json_writer *writer, const struct account *account)
{
    ft_json_key_u64(writer, "observed", account->observed);
    ft_json_key_u64(writer, "stored", account->stored);
    ft_json_key_u64(writer, "retained", account->retained);
    ft_json_key_u64(writer, "lost", account->lost);
    ft_json_key_object(writer, "lost_by_cause");
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        if (account->lost_by_cause[cause] > 0) {
            ft_json_key_u64(writer, ft_loss_cause_name(cause), account->lost_by_cause[cause]);
        }
    }
    ft_json_object_end(writer);
    ft_json_key_bool(writer, "balanced", account->balanced);
}

static void write_agent(struct ft_json_writer *writer, const struct ft_instance *instance,
                        int64_t now_ns)
{
    struct account account = {.balanced = true};
    add_instance(&account, instance, now_ns);
    ft_json_object_begin(writer);
    write_uuid(writer, "agent_id", &instance->key.agent_id);
    write_uuid(writer, "instance_id", &instance->key.instance_id);
    ft_json_key_str(writer, "host_name", instance->host_name);
    ft_json_key_str(writer, "token", instance->principal);
    ft_json_key_str(writer, "version", instance->agent_version);
    ft_json_key_str(writer, "kernel_release", instance->kernel_release);
    ft_json_key_str(writer, "peer", instance->peer);
    bool silent = now_ns - instance->last_heard_ns > SILENT_NS;
    ft_json_key_str(writer, "state",
                    !instance->connected ? "away"
                    : silent             ? "silent"
                                         : "connected");
    write_time(writer, "started", instance->started_ns);
    write_time(writer, "connected_since", instance->connected_ns);
    write_time(writer, "last_seen", instance->last_heard_ns);
    ft_json_key_double(writer, "clock_skew_seconds",
                       (double)instance->clock_skew_ns / (double)FT_NS_PER_S);
    ft_json_key_u64(writer, "durable_seq", instance->durable_seq);
    ft_json_key_u64(writer, "stored_seq", instance->stored_seq);
    ft_json_key_u64(writer, "received_events", instance->received_events);
    ft_json_key_u64(writer, "durable_events", instance->appended_events);
    ft_json_key_u64(writer, "stored_events", instance->stored_events);
    ft_json_key_u64(writer, "duplicate_events", instance->duplicate_events);
    ft_json_key_u64(writer, "rejected_events", instance->rejected_events);
    ft_json_key_u64(writer, "missing_events", instance->missing_events);
    write_account(writer, &account);
    if (instance->has_status) {
        const struct ft_msg_status *status = &instance->status;
        ft_json_key_u64(writer, "active_flows", status->active_flows);
        ft_json_key_u64(writer, "filtered_events", status->filtered_events);
        ft_json_key_u64(writer, "retained_bytes", status->retained_bytes);
        ft_json_key_u64(writer, "conntrack_entries", status->conntrack_entries);
        ft_json_key_u64(writer, "conntrack_entries_max", status->conntrack_entries_max);
        ft_json_key_str(writer, "capture_step", status->capture_step);
        ft_json_key_array(writer, "components");
        for (unsigned i = 0; i < status->n_components; i++) {
            ft_json_object_begin(writer);
            ft_json_key_str(writer, "name", status->components[i].name);
            ft_json_key_str(writer, "health", health_names[status->components[i].health]);
            ft_json_key_str(writer, "text", status->components[i].text);
            ft_json_object_end(writer);
        }
        ft_json_array_end(writer);
    }
    ft_json_object_end(writer);
}

static void write_time(struct ft_json_writer *writer, const char *key, int64_t real_ns)
{
    if (real_ns != 0) {
        char text[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(real_ns, 3, text);
        ft_json_key_str(writer, key, text);
    }
}

static void write_uuid(struct ft_json_writer *writer, const char *key, const struct ft_uuid *uuid)
{
    char text[FT_UUID_TEXT_SIZE];
    ft_uuid_format(uuid, text);
    ft_json_key_str(writer, key, text);
}

static void write_component(struct ft_json_writer *writer, const char *name, enum ft_health health,
                            const char *text)
{
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "name", name);
    ft_json_key_str(writer, "health", health_names[health]);
    ft_json_key_str(writer, "text", text);
    ft_json_object_end(writer);
}

static void write_components(struct ft_json_writer *writer, const struct ft_collector_view *view,
                             const struct account *account, size_t n_instances)
{
    char text[512];
    ft_json_key_array(writer, "components");
    size_t n_connected = ft_instances_connected(view->instances);
    (void)snprintf(text, sizeof text, "%s, %zu of %zu agents connected, %zu silent",
                   view->ingest_listen, n_connected, n_instances, account->n_silent);
    write_component(writer, "ingest", account->n_silent > 0 ? FT_HEALTH_DEGRADED : FT_HEALTH_OK,
                    text);

    struct ft_log_stats log;
    ft_log_stats(view->log, &log);
    enum ft_health health = view->ingest_error[0] != '\0' ? FT_HEALTH_FAILED : FT_HEALTH_OK;
    if (view->ingest_error[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s", view->ingest_error);
    } else {
        (void)snprintf(text, sizeof text, "%llu MiB of %llu MiB on disk%s",
                       (unsigned long long)(log.bytes >> 20),
                       (unsigned long long)(log.bytes_max >> 20),
                       log.damaged_parts > 0 ? ", damaged parts were found" : "");
        health = log.damaged_parts > 0 ? FT_HEALTH_DEGRADED : health;
    }
    write_component(writer, "log", health, text);

    uint64_t durable = ft_log_durable(view->log);
    uint64_t committed = view->sinker->committed_position;
    uint64_t behind = durable > committed ? durable - committed : 0;
    if (view->store_error[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s", view->store_error);
    } else {
        (void)snprintf(text, sizeof text, "%llu rows since the start, %llu blocks behind, %llu MiB",
                       (unsigned long long)view->sinker->rows, (unsigned long long)behind,
                       (unsigned long long)(view->store_file_bytes >> 20));
    }
    health = view->store_error[0] != '\0' ? FT_HEALTH_FAILED : FT_HEALTH_OK;
    if (view->sinker->damaged_blocks > 0 && health == FT_HEALTH_OK) {
        health = FT_HEALTH_DEGRADED;
    }
    write_component(writer, "store", health, text);
    if (!account->balanced) {
        (void)snprintf(text, sizeof text, "%zu agents' accounts do not balance",
                       account->n_unbalanced);
        write_component(writer, "account", FT_HEALTH_FAILED, text);
    }
    ft_json_array_end(writer);
}
