/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/ledger_api.h"

#include <stdlib.h>
#include <string.h>

#include "collector/account.h"

/* The numbers that are summed. */
struct sums {
    struct ft_told told;
    struct ft_instance ours; /* Its numbers only. */
    uint64_t waiting;
    struct ft_account account;
    size_t n_told;
};

enum balance { BALANCED, UNBALANCED, UNKNOWN };

struct selection {
    const struct ft_flows_ledger_query *query;
    struct ft_instance_key after;
    struct ft_instance_key *keys; /* Of those behind 'after'; NULL without memory. */
    size_t n_keys;
    struct sums sums;
    uint64_t n_of[UNKNOWN + 1];
};

static void select_one(void *ctx, const struct ft_instance *instance);
static bool matches(const struct ft_flows_ledger_query *query, const struct ft_instance *instance);
static int compare_keys(const void *a, const void *b);
static void write_total(struct ft_json_writer *writer, const struct selection *selection);
static void write_page(struct ft_json_writer *writer, struct ft_instances *instances,
                       const struct selection *selection);

static const struct field {
    const char *name;
    size_t offset;
} agent_fields[] = {
#define TOLD(name, member)                                                                         \
    {                                                                                              \
        name, offsetof(struct ft_told, member)                                                     \
    }
    TOLD("observed", observed_events), TOLD("filtered", filtered_events),
    TOLD("merged", merged_events),     TOLD("sealed", sealed_events),
    TOLD("sent", sent_events),         TOLD("acknowledged", acknowledged_events),
    TOLD("retained", retained_events), {NULL, 0},
};
static const struct field our_fields[] = {
#define OURS(name, member)                                                                         \
    {                                                                                              \
        name, offsetof(struct ft_instance, member)                                                 \
    }
    OURS("received", received_events), OURS("duplicate", duplicate_events),
    OURS("numbered", appended_seq),    OURS("rejected", rejected_events),
    OURS("missing", missing_events),   OURS("taken", appended_events),
    OURS("stored", stored_events),     OURS("quarantined", quarantined_events),
    OURS("damaged", damaged_events),   {NULL, 0},
};

static uint64_t number_in(const void *from, size_t offset)
{
    uint64_t number;
    memcpy(&number, (const char *)from + offset, sizeof number);
    return number;
}

static void add_fields(const struct field *fields, void *to, const void *from)
{
    for (; fields->name != NULL; fields++) {
        uint64_t sum = number_in(to, fields->offset) + number_in(from, fields->offset);
        memcpy((char *)to + fields->offset, &sum, sizeof sum);
    }
}

static void write_fields(struct ft_json_writer *writer, const struct field *fields,
                         const void *from)
{
    for (; fields->name != NULL; fields++) {
        ft_json_key_u64(writer, fields->name, number_in(from, fields->offset));
    }
}

static enum balance balance_of(const struct ft_instance *instance,
                               struct ft_discrepancy *ret_discrepancy)
{
    ft_discrepancy_of(instance, ret_discrepancy);
    if (ft_discrepancy_total(ret_discrepancy) > 0) {
        return UNBALANCED;
    }
    return instance->told.known ? BALANCED : UNKNOWN;
}

static void write_balance(struct ft_json_writer *writer, enum balance balance)
{
    ft_json_key(writer, "balanced");
    if (balance == UNKNOWN) {
        ft_json_null(writer);
    } else {
        ft_json_bool(writer, balance == BALANCED);
    }
}

void ft_ledger_api_write(struct ft_json_writer *writer, struct ft_instances *instances,
                         int64_t now_real_ns, const struct ft_flows_ledger_query *query)
{
    struct selection selection = {.query = query,
                                  .after = {query->after_agent, query->after_instance},
                                  .keys = calloc(FT_INSTANCES_MAX, sizeof *selection.keys)};
    ft_instances_each(instances, select_one, &selection);
    if (selection.n_keys > 0) {
        qsort(selection.keys, selection.n_keys, sizeof *selection.keys, compare_keys);
    }
    char time[FT_RFC3339_SIZE];
    ft_time_format_rfc3339(now_real_ns, 3, time);
    ft_json_object_begin(writer);
    ft_json_key_str(writer, "time", time);
    write_balance(writer, selection.n_of[UNBALANCED] > 0 ? UNBALANCED
                          : selection.n_of[UNKNOWN] > 0  ? UNKNOWN
                                                         : BALANCED);
    write_total(writer, &selection);
    write_page(writer, instances, &selection);
    ft_json_object_end(writer);
    free(selection.keys);
}

static void select_one(void *ctx, const struct ft_instance *instance)
{
    struct selection *selection = ctx;
    if (!matches(selection->query, instance)) {
        return;
    }
    struct sums *sums = &selection->sums;
    struct ft_discrepancy discrepancy;
    selection->n_of[balance_of(instance, &discrepancy)]++;
    add_fields(our_fields, &sums->ours, instance);
    add_fields(agent_fields, &sums->told, &instance->told);
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        sums->ours.lost_events[cause] += instance->lost_events[cause];
        sums->told.lost[cause] += instance->told.lost[cause];
    }
    sums->waiting += ft_account_waiting(instance);
    ft_account_add(&sums->account, instance);
    if (selection->keys != NULL && selection->n_keys < FT_INSTANCES_MAX &&
        (!selection->query->has_after || compare_keys(&instance->key, &selection->after) > 0)) {
        selection->keys[selection->n_keys++] = instance->key;
    }
}

static bool matches_one(const char *wanted, const struct ft_instance *instance)
{
    struct ft_uuid id;
    size_t len = strlen(wanted);
    if (ft_uuid_parse(wanted, &id) == FT_OK) {
        return ft_uuid_equal(&id, &instance->key.agent_id);
    }
    if (wanted[len - 1] == '*') {
        return strncmp(wanted, instance->host_name, len - 1) == 0;
    }
    return strcmp(wanted, instance->host_name) == 0;
}

static bool matches(const struct ft_flows_ledger_query *query, const struct ft_instance *instance)
{
    for (size_t i = 0; i < query->n_agents; i++) {
        if (matches_one(query->agents[i], instance)) {
            return true;
        }
    }
    return query->n_agents == 0;
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ft_instance_key));
}

static void write_losses(struct ft_json_writer *writer, const uint64_t lost[FT_LOSS_CAUSE_N])
{
    uint64_t sum = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        sum += lost[cause];
    }
    ft_json_key_u64(writer, "lost", sum);
    ft_json_key_object(writer, "lost_by_cause");
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        if (lost[cause] > 0) {
            ft_json_key_u64(writer, ft_loss_cause_name(cause), lost[cause]);
        }
    }
    ft_json_object_end(writer);
}

static void write_agent_side(struct ft_json_writer *writer, const struct ft_told *told)
{
    ft_json_key_object(writer, "agent");
    if (told->time_ns != 0) {
        char time[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(told->time_ns, 3, time);
        ft_json_key_str(writer, "told", time);
    }
    write_fields(writer, agent_fields, told);
    write_losses(writer, told->lost);
    ft_json_object_end(writer);
}

static void write_our_side(struct ft_json_writer *writer, const struct ft_instance *ours,
                           uint64_t waiting)
{
    ft_json_key_object(writer, "collector");
    write_fields(writer, our_fields, ours);
    ft_json_key_u64(writer, "waiting", waiting);
    write_losses(writer, ours->lost_events);
    ft_json_object_end(writer);
}

static void write_account(struct ft_json_writer *writer, const struct ft_account *account)
{
    ft_json_key_object(writer, "account");
    ft_json_key_u64(writer, "observed", account->observed);
    ft_json_key_u64(writer, "stored", account->stored);
    ft_json_key_u64(writer, "quarantined", account->quarantined);
    ft_json_key_u64(writer, "damaged", account->damaged);
    ft_json_key_u64(writer, "retained", account->retained);
    ft_json_key_u64(writer, "merged", account->merged);
    write_losses(writer, account->lost_by_cause);
    ft_json_key_u64(writer, "unaccounted", account->unaccounted);
    ft_json_object_end(writer);
}

static void write_total(struct ft_json_writer *writer, const struct selection *selection)
{
    const struct sums *sums = &selection->sums;
    ft_json_key_object(writer, "total");
    ft_json_key_u64(writer, "instances", sums->account.n_instances);
    ft_json_key_u64(writer, "unbalanced", selection->n_of[UNBALANCED]);
    ft_json_key_u64(writer, "unknown", selection->n_of[UNKNOWN]);
    write_agent_side(writer, &sums->told);
    write_our_side(writer, &sums->ours, sums->waiting);
    write_account(writer, &sums->account);
    ft_json_object_end(writer);
}

static void write_instance(struct ft_json_writer *writer, const struct ft_instance *instance)
{
    char text[FT_UUID_TEXT_SIZE];
    ft_json_object_begin(writer);
    ft_uuid_format(&instance->key.agent_id, text);
    ft_json_key_str(writer, "agent_id", text);
    ft_uuid_format(&instance->key.instance_id, text);
    ft_json_key_str(writer, "instance_id", text);
    ft_json_key_str(writer, "host_name", instance->host_name);
    ft_json_key_str(writer, "token", instance->principal);
    ft_json_key_str(writer, "state", instance->connected ? "connected" : "away");
    if (instance->last_heard_ns != 0) {
        char time[FT_RFC3339_SIZE];
        ft_time_format_rfc3339(instance->last_heard_ns, 3, time);
        ft_json_key_str(writer, "last_seen", time);
    }
    struct ft_account account = {0};
    struct ft_discrepancy discrepancy;
    ft_account_add(&account, instance);
    enum balance balance = balance_of(instance, &discrepancy);
    if (instance->told.known) {
        write_agent_side(writer, &instance->told);
    }
    write_our_side(writer, instance, ft_account_waiting(instance));
    write_account(writer, &account);
    write_balance(writer, balance);
    if (balance != BALANCED) {
        struct ft_buf why;
        ft_buf_init(&why, 0);
        ft_discrepancy_format(&discrepancy, &why);
        ft_json_key_str(writer, "why",
                        balance == UNKNOWN ? "the agent has not told its account yet"
                                           : ft_buf_str(&why));
        ft_buf_deinit(&why);
    }
    ft_json_object_end(writer);
}

static void write_page(struct ft_json_writer *writer, struct ft_instances *instances,
                       const struct selection *selection)
{
    size_t n = selection->n_keys < selection->query->limit ? selection->n_keys
                                                           : (size_t)selection->query->limit;
    ft_json_key_array(writer, "ledger");
    for (size_t i = 0; i < n; i++) {
        struct ft_instance instance;
        if (ft_instances_get(instances, &selection->keys[i], &instance)) {
            write_instance(writer, &instance);
        }
    }
    ft_json_array_end(writer);
    if (n < selection->n_keys) {
        char agent[FT_UUID_TEXT_SIZE];
        char id[FT_UUID_TEXT_SIZE];
        ft_uuid_format(&selection->keys[n - 1].agent_id, agent);
        ft_uuid_format(&selection->keys[n - 1].instance_id, id);
        ft_json_key(writer, "next");
        ft_json_strf(writer, "%s/%s", agent, id);
    }
}
