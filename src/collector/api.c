/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api.h"

#include <stdio.h>
#include <stdlib.h>

#include "text/json.h"

/* An agent that said nothing for so many of its status intervals is silent. */
#define SILENT_NS (60 * FT_NS_PER_S)

static const char *const health_names[FT_HEALTH_N] = {"unknown", "ok", "degraded", "failed"};

/* Instances whose accounts do not balance, of which so many are named. */
#define NAMED_MAX 8

/* What the status says of all instances. */
struct overview {
    int64_t now_ns;
    struct ft_account account;
    size_t n_silent;
    size_t n_named;
    struct ft_instance named[NAMED_MAX]; /* Without components. */
};

static void look_at(void *ctx, const struct ft_instance *instance);
static void write_account(struct ft_json_writer *writer, const struct ft_account *account);
static void write_agent(struct ft_json_writer *writer, const struct ft_instance *instance,
                        int64_t now_ns);
static void write_told(struct ft_json_writer *writer, const struct ft_instance *instance);
static void write_component(struct ft_json_writer *writer, const char *name, enum ft_health health,
                            const char *text);
static void write_quarantined(struct ft_json_writer *writer, const struct ft_collector_view *view);
static void write_unbalanced(struct ft_json_writer *writer, const struct overview *overview);
static void write_entry(void *ctx, const struct ft_quarantine_entry *entry);
static void write_uuid(struct ft_json_writer *writer, const char *key, const struct ft_uuid *uuid);
static void write_components(struct ft_json_writer *writer, const struct ft_collector_view *view,
                             const struct overview *overview);

void ft_collector_write_status(struct ft_json_writer *writer, const struct ft_collector_view *view)
{
    struct overview overview = {.now_ns = view->now_ns};
    ft_instances_each(view->instances, look_at, &overview);
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "program", "flowtrail-collector");
    ft_json_key_str(writer, "version", FT_VERSION);
    ft_json_key_str(writer, "host_name", view->host_name);
    write_uuid(writer, "collector_id", &view->collector_id);
    write_uuid(writer, "store_epoch", &view->store_epoch);
    ft_json_key_str(writer, "receipt_key", view->receipt_key);
    ft_json_key_time(writer, "time", view->now_ns);
    ft_json_key_time(writer, "started", view->started_ns);
    write_components(writer, view, &overview);
    ft_json_key_object(writer, "account");
    write_account(writer, &overview.account);
    ft_json_object_end(writer);
    ft_json_object_end(writer);
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
    ft_instances_list_free(all, n);
}

void ft_collector_write_quarantine(struct ft_json_writer *writer,
                                   const struct ft_collector_view *view)
{
    ft_json_array_begin(writer);
    ft_quarantine_each(view->quarantine, write_entry, writer);
    ft_json_array_end(writer);
}

static void write_entry(void *ctx, const struct ft_quarantine_entry *entry)
{
    struct ft_json_writer *writer = ctx;
    char name[FT_DISK_NAME_SIZE];
    ft_quarantine_file_name(entry, name);
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "kind", ft_quarantine_kind_name(entry->kind));
    ft_json_key_str(writer, "file", name);
    ft_json_key_time(writer, "time", entry->time_ns);
    ft_json_key_str(writer, "reason", entry->reason);
    write_uuid(writer, "agent_id", &entry->agent_id);
    write_uuid(writer, "instance_id", &entry->instance_id);
    if (entry->principal[0] != '\0') {
        ft_json_key_str(writer, "token", entry->principal);
    }
    if (entry->n_events > 0) {
        ft_json_key_u64(writer, "events", entry->n_events);
        ft_json_key_u64(writer, "first_seq", entry->first_seq);
        ft_json_key_u64(writer, "last_seq", entry->first_seq + entry->n_events - 1);
    }
    ft_json_key_u64(writer, "bytes", entry->size);
    ft_json_object_end(writer);
}

static bool is_silent(const struct ft_instance *instance, int64_t now_ns)
{
    return now_ns - instance->last_heard_ns > SILENT_NS;
}

static void look_at(void *ctx, const struct ft_instance *instance)
{
    struct overview *overview = ctx;
    size_t n_before = overview->account.n_unbalanced;
    ft_account_add(&overview->account, instance);
    overview->n_silent += instance->connected && is_silent(instance, overview->now_ns);
    if (overview->account.n_unbalanced > n_before && overview->n_named < NAMED_MAX) {
        overview->named[overview->n_named++] = *instance;
    }
}

static void write_account(struct ft_json_writer *writer, const struct ft_account *account)
{
    ft_json_key_u64(writer, "observed", account->observed);
    ft_json_key_u64(writer, "stored", account->stored);
    ft_json_key_u64(writer, "quarantined", account->quarantined);
    ft_json_key_u64(writer, "damaged", account->damaged);
    ft_json_key_u64(writer, "retained", account->retained);
    ft_json_key_u64(writer, "merged", account->merged);
    ft_json_key_u64(writer, "lost", account->lost);
    ft_text_json_lost_by_cause(writer, account->lost_by_cause);
    ft_json_key_u64(writer, "unaccounted", account->unaccounted);
    ft_json_key_bool(writer, "balanced", account->n_unbalanced == 0);
}

static void write_agent(struct ft_json_writer *writer, const struct ft_instance *instance,
                        int64_t now_ns)
{
    struct ft_account account = {0};
    ft_account_add(&account, instance);
    ft_json_object_begin(writer);
    write_uuid(writer, "agent_id", &instance->key.agent_id);
    write_uuid(writer, "instance_id", &instance->key.instance_id);
    ft_json_key_str(writer, "host_name", instance->host_name);
    ft_json_key_str(writer, "token", instance->principal);
    ft_json_key_str(writer, "version", instance->agent_version);
    ft_json_key_str(writer, "kernel_release", instance->kernel_release);
    ft_json_key_str(writer, "peer", instance->peer);
    ft_json_key_str(writer, "state",
                    !instance->connected          ? "away"
                    : is_silent(instance, now_ns) ? "silent"
                                                  : "connected");
    ft_json_key_time(writer, "started", instance->started_ns);
    ft_json_key_time(writer, "connected_since", instance->connected_ns);
    ft_json_key_time(writer, "last_seen", instance->last_heard_ns);
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
    if (instance->told.known) {
        write_told(writer, instance);
    }
    ft_json_object_end(writer);
}

static void write_told(struct ft_json_writer *writer, const struct ft_instance *instance)
{
    const struct ft_told *told = &instance->told;
    ft_json_key_u64(writer, "active_flows", told->active_flows);
    ft_json_key_u64(writer, "filtered_events", told->filtered_events);
    ft_json_key_u64(writer, "sealed_events", told->sealed_events);
    ft_json_key_u64(writer, "sent_events", told->sent_events);
    ft_json_key_u64(writer, "retained_bytes", told->retained_bytes);
    ft_json_key_u64(writer, "conntrack_entries", told->conntrack_entries);
    ft_json_key_u64(writer, "conntrack_entries_max", told->conntrack_entries_max);
    ft_json_key_str(writer, "capture_step", told->capture_step);
    ft_json_key_array(writer, "components");
    for (unsigned i = 0; i < instance->n_components; i++) {
        const struct ft_msg_component *component = &instance->components[i];
        write_component(writer, component->name, component->health, component->text);
    }
    ft_json_array_end(writer);
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
                             const struct overview *overview)
{
    char text[512];
    ft_json_key_array(writer, "components");
    size_t n_connected = ft_instances_connected(view->instances);
    (void)snprintf(text, sizeof text, "%s, %zu of %zu agents connected, %zu silent",
                   view->ingest_listen, n_connected, overview->account.n_instances,
                   overview->n_silent);
    write_component(writer, "ingest", overview->n_silent > 0 ? FT_HEALTH_DEGRADED : FT_HEALTH_OK,
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
    write_quarantined(writer, view);
    write_unbalanced(writer, overview);
    ft_json_array_end(writer);
}

/* As long as there is something to look at. */
static void write_quarantined(struct ft_json_writer *writer, const struct ft_collector_view *view)
{
    const struct ft_quarantine_stats *stats = ft_quarantine_stats(view->quarantine);
    uint64_t files = stats->files;
    if (files == 0) {
        return;
    }
    char text[256];
    (void)snprintf(text, sizeof text,
                   "%llu blocks, %llu KiB, that could not be stored: see /api/v1/quarantine, and "
                   "delete the files when they are dealt with",
                   (unsigned long long)files, (unsigned long long)(stats->bytes >> 10));
    write_component(writer, "quarantine", FT_HEALTH_DEGRADED, text);
}

/* A row for all, and one for each of the first: which agent it is must not be searched for. */
static void write_unbalanced(struct ft_json_writer *writer, const struct overview *overview)
{
    const struct ft_account *account = &overview->account;
    if (account->n_unbalanced == 0) {
        return;
    }
    struct ft_buf text;
    ft_buf_init(&text, 0);
    ft_buf_addf(&text, "accounts that do not balance: %zu, events unaccounted for: %llu",
                account->n_unbalanced, (unsigned long long)account->unaccounted);
    write_component(writer, "account", FT_HEALTH_FAILED, ft_buf_str(&text));
    for (size_t i = 0; i < overview->n_named; i++) {
        const struct ft_instance *instance = &overview->named[i];
        struct ft_discrepancy discrepancy;
        char id[FT_UUID_TEXT_SIZE];
        ft_uuid_format(&instance->key.instance_id, id);
        ft_discrepancy_of(instance, &discrepancy);
        ft_buf_clear(&text);
        ft_buf_addf(&text, "%s, instance %s: ", instance->host_name, id);
        ft_discrepancy_format(&discrepancy, &text);
        write_component(writer, "account", FT_HEALTH_FAILED, ft_buf_str(&text));
    }
    ft_buf_deinit(&text);
}
