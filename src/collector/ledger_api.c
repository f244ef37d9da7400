/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/ledger_api.h"

#include <stdlib.h>
#include <string.h>

#include "collector/account.h"
#include "text/json.h"

/* The numbers that are summed. */
struct sums {
    struct ft_told told;
    struct ft_instance ours; /* Its numbers only. */
    uint64_t waiting;
    struct ft_account account;
    size_t n_told;
};

enum balance { BALANCED, UNBALANCED, UNKNOWN };

/* An instance that is asked for. */
struct entry {
    struct ft_instance_key key;
    int64_t connected_ns;
    bool has_ended; /* It is away, and its agent has come as another one since. */
};

struct selection {
    const struct ft_flows_ledger_query *query;
    struct entry *entries; /* FT_INSTANCES_MAX; by key once all are here. */
    size_t n_entries;
    struct sums sums;
    uint64_t n_of[UNKNOWN + 1];
};

static void select_one(void *ctx, const struct ft_instance *instance);
static int compare_entries(const void *a, const void *b);
static void find_ended(struct selection *selection);
static void judge_one(void *ctx, const struct ft_instance *instance);
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
    OURS("received", received_events),
    OURS("duplicate", duplicate_events),
    OURS("numbered", appended_seq),
    OURS("rejected", rejected_events),
    OURS("missing", missing_events),
    OURS("taken", appended_events),
    OURS("stored", stored_events),
    OURS("quarantined", quarantined_events),
    OURS("damaged", damaged_events),
    OURS("vanished", vanished_events),
    {NULL, 0},
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

static enum balance balance_of(const struct ft_instance *instance, bool has_ended,
                               const struct ft_account *account)
{
    if (account->unaccounted > 0) {
        return UNBALANCED;
    }
    /* Where it kept what it had is not known: what a process keeps in memory ends with it. */
    bool is_left_over = has_ended && account->retained > 0;
    return instance->told.known && !is_left_over ? BALANCED : UNKNOWN;
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

ft_err ft_ledger_api_write(struct ft_json_writer *writer, struct ft_instances *instances,
                           int64_t now_real_ns, const struct ft_flows_ledger_query *query)
{
    struct selection selection = {.query = query,
                                  .entries = calloc(FT_INSTANCES_MAX, sizeof(struct entry))};
    if (selection.entries == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_instances_each(instances, select_one, &selection);
    qsort(selection.entries, selection.n_entries, sizeof *selection.entries, compare_entries);
    find_ended(&selection);
    ft_instances_each(instances, judge_one, &selection);
    ft_json_object_begin(writer);
    ft_json_key_time(writer, "time", now_real_ns);
    bool is_unknown = selection.n_of[UNKNOWN] > 0 || selection.n_entries == 0;
    write_balance(writer, selection.n_of[UNBALANCED] > 0 ? UNBALANCED
                          : is_unknown                   ? UNKNOWN
                                                         : BALANCED);
    write_total(writer, &selection);
    write_page(writer, instances, &selection);
    ft_json_object_end(writer);
    free(selection.entries);
    return FT_OK;
}

static void select_one(void *ctx, const struct ft_instance *instance)
{
    struct selection *selection = ctx;
    if (selection->n_entries < FT_INSTANCES_MAX &&
        ft_flows_ledger_is_wanted(selection->query, &instance->key.agent_id, instance->host_name)) {
        selection->entries[selection->n_entries++] =
            (struct entry){instance->key, instance->connected_ns, !instance->connected};
    }
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    return memcmp(&left->key, &right->key, sizeof left->key);
}

/* Of each agent's instances, which are side by side, those that came before the latest. */
static void find_ended(struct selection *selection)
{
    struct entry *entries = selection->entries;
    size_t end = 0;
    for (size_t begin = 0; begin < selection->n_entries; begin = end) {
        int64_t latest_ns = INT64_MIN;
        for (end = begin; end < selection->n_entries &&
                          ft_uuid_equal(&entries[end].key.agent_id, &entries[begin].key.agent_id);
             end++) {
            latest_ns =
                entries[end].connected_ns > latest_ns ? entries[end].connected_ns : latest_ns;
        }
        for (size_t i = begin; i < end; i++) {
            entries[i].has_ended = entries[i].has_ended && entries[i].connected_ns < latest_ns;
        }
    }
}

static void judge_one(void *ctx, const struct ft_instance *instance)
{
    struct selection *selection = ctx;
    struct entry wanted = {.key = instance->key};
    const struct entry *entry = bsearch(&wanted, selection->entries, selection->n_entries,
                                        sizeof *selection->entries, compare_entries);
    if (entry == NULL) {
        return;
    }
    struct sums *sums = &selection->sums;
    struct ft_account account = {0};
    ft_account_add(&account, instance);
    selection->n_of[balance_of(instance, entry->has_ended, &account)]++;
    ft_account_add(&sums->account, instance);
    sums->waiting += ft_account_waiting(instance);
    add_fields(our_fields, &sums->ours, instance);
    add_fields(agent_fields, &sums->told, &instance->told);
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        sums->ours.lost_events[cause] += instance->lost_events[cause];
        sums->told.lost[cause] += instance->told.lost[cause];
    }
}

static void write_losses(struct ft_json_writer *writer, const uint64_t lost[FT_LOSS_CAUSE_N])
{
    uint64_t sum = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        sum += lost[cause];
    }
    ft_json_key_u64(writer, "lost", sum);
    ft_text_json_lost_by_cause(writer, lost);
}

static void write_agent_side(struct ft_json_writer *writer, const struct ft_told *told)
{
    ft_json_key_object(writer, "agent");
    ft_json_key_time(writer, "told", told->time_ns);
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

static void write_why(struct ft_json_writer *writer, const struct ft_instance *instance,
                      const struct ft_account *account, enum balance balance)
{
    if (balance == UNBALANCED) {
        struct ft_discrepancy discrepancy;
        struct ft_buf why;
        ft_discrepancy_of(instance, &discrepancy);
        ft_buf_init(&why, 0);
        ft_discrepancy_format(&discrepancy, &why);
        ft_json_key_str(writer, "why", ft_buf_str(&why));
        ft_buf_deinit(&why);
    } else if (!instance->told.known) {
        ft_json_key_str(writer, "why", "the agent has not told its account yet");
    } else if (balance == UNKNOWN) {
        ft_json_key(writer, "why");
        ft_json_strf(writer,
                     "the agent came back as another instance, and did not say what became of the "
                     "events that this one retained: %llu",
                     (unsigned long long)account->retained);
    }
}

static void write_instance(struct ft_json_writer *writer, const struct ft_instance *instance,
                           bool has_ended)
{
    char text[FT_UUID_TEXT_SIZE];
    ft_json_object_begin(writer);
    ft_uuid_format(&instance->key.agent_id, text);
    ft_json_key_str(writer, "agent_id", text);
    ft_uuid_format(&instance->key.instance_id, text);
    ft_json_key_str(writer, "instance_id", text);
    ft_json_key_str(writer, "host_name", instance->host_name);
    ft_json_key_str(writer, "token", instance->principal);
    ft_json_key_str(writer, "state",
                    instance->connected ? "connected"
                    : has_ended         ? "ended"
                                        : "away");
    ft_json_key_time(writer, "last_seen", instance->last_heard_ns);
    struct ft_account account = {0};
    ft_account_add(&account, instance);
    enum balance balance = balance_of(instance, has_ended, &account);
    if (instance->told.known) {
        write_agent_side(writer, &instance->told);
    }
    write_our_side(writer, instance, ft_account_waiting(instance));
    write_account(writer, &account);
    write_balance(writer, balance);
    write_why(writer, instance, &account, balance);
    ft_json_object_end(writer);
}

/* How many entries are not behind 'after'. */
static size_t count_until(const struct selection *selection)
{
    const struct ft_flows_ledger_query *query = selection->query;
    struct entry after = {.key = {query->after_agent, query->after_instance}};
    size_t n = 0;
    while (query->has_after && n < selection->n_entries &&
           compare_entries(&selection->entries[n], &after) <= 0) {
        n++;
    }
    return n;
}

static void write_page(struct ft_json_writer *writer, struct ft_instances *instances,
                       const struct selection *selection)
{
    const struct entry *entries = selection->entries;
    size_t begin = count_until(selection);
    size_t end = selection->n_entries;
    end = end - begin > selection->query->limit ? begin + (size_t)selection->query->limit : end;
    ft_json_key_array(writer, "ledger");
    for (size_t i = begin; i < end; i++) {
        struct ft_instance instance;
        if (ft_instances_get(instances, &entries[i].key, &instance)) {
            write_instance(writer, &instance, entries[i].has_ended);
        }
    }
    ft_json_array_end(writer);
    if (end < selection->n_entries) {
        char agent[FT_UUID_TEXT_SIZE];
        char id[FT_UUID_TEXT_SIZE];
        ft_uuid_format(&entries[end - 1].key.agent_id, agent);
        ft_uuid_format(&entries[end - 1].key.instance_id, id);
        ft_json_key(writer, "next");
        ft_json_strf(writer, "%s/%s", agent, id);
    }
}
