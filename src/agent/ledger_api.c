/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ledger_api.h"

#include <string.h>

#include "agent/balance.h"
#include "text/json.h"

static void write_losses(struct ft_json_writer *writer, const struct ft_msg_status *status)
{
    ft_json_key_u64(writer, "lost", ft_balance_lost(status));
    ft_text_json_lost_by_cause(writer, status->lost);
}

/* As it is sent to the collector. */
static void write_own(struct ft_json_writer *writer, const struct ft_msg_status *status)
{
    ft_json_key_object(writer, "agent");
    ft_json_key_time(writer, "told", status->time_ns);
    ft_json_key_u64(writer, "observed", status->observed_events);
    ft_json_key_u64(writer, "filtered", status->filtered_events);
    ft_json_key_u64(writer, "merged", status->merged_events);
    ft_json_key_u64(writer, "sealed", status->sealed_events);
    ft_json_key_u64(writer, "sent", status->sent_events);
    ft_json_key_u64(writer, "acknowledged", status->acknowledged_events);
    ft_json_key_u64(writer, "retained", status->retained_events);
    write_losses(writer, status);
    ft_json_object_end(writer);
}

static void write_account(struct ft_json_writer *writer, const struct ft_msg_status *status)
{
    ft_json_key_object(writer, "account");
    ft_json_key_u64(writer, "observed", status->observed_events);
    ft_json_key_u64(writer, "stored", status->acknowledged_events);
    ft_json_key_u64(writer, "retained", status->retained_events);
    ft_json_key_u64(writer, "merged", status->merged_events);
    write_losses(writer, status);
    ft_json_key_u64(writer, "unaccounted", ft_balance_off(status));
    ft_json_object_end(writer);
}

static void write_instance(struct ft_json_writer *writer, const struct ft_ledger_owner *owner,
                           const struct ft_msg_status *status)
{
    char id[FT_UUID_TEXT_SIZE];
    ft_json_object_begin(writer);
    ft_uuid_format(&owner->agent_id, id);
    ft_json_key_str(writer, "agent_id", id);
    ft_uuid_format(&owner->instance_id, id);
    ft_json_key_str(writer, "instance_id", id);
    ft_json_key_str(writer, "host_name", owner->host_name);
    ft_json_key_str(writer, "state", owner->state);
    write_own(writer, status);
    write_account(writer, status);
    uint64_t off = ft_balance_off(status);
    ft_json_key_bool(writer, "balanced", off == 0);
    if (off > 0) {
        ft_json_key(writer, "why");
        ft_json_strf(writer, "events by which the agent's own account is off: %llu",
                     (unsigned long long)off);
    }
    ft_json_object_end(writer);
}

void ft_agent_ledger_write(struct ft_json_writer *writer, const struct ft_ledger_owner *owner,
                           const struct ft_msg_status *status,
                           const struct ft_flows_ledger_query *query)
{
    static const struct ft_msg_status nothing;
    bool is_wanted = ft_flows_ledger_is_wanted(query, &owner->agent_id, owner->host_name);
    const struct ft_msg_status *total = is_wanted ? status : &nothing;
    uint64_t n_unbalanced = ft_balance_off(total) > 0;
    ft_json_object_begin(writer);
    ft_json_key_time(writer, "time", status->time_ns);
    ft_json_key_bool(writer, "balanced", n_unbalanced == 0);
    ft_json_key_object(writer, "total");
    ft_json_key_u64(writer, "instances", is_wanted);
    ft_json_key_u64(writer, "unbalanced", n_unbalanced);
    ft_json_key_u64(writer, "unknown", 0);
    write_account(writer, total);
    ft_json_object_end(writer);
    ft_json_key_array(writer, "ledger");
    /* A cursor is behind the one instance that there is. */
    if (is_wanted && !query->has_after) {
        write_instance(writer, owner, status);
    }
    ft_json_array_end(writer);
    ft_json_object_end(writer);
}
