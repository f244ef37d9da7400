/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/recovery.h"

#include <string.h>

#include "wire/batch_reader.h"

static uint64_t above(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void set_stored(void *ctx, struct ft_instance *instance)
{
    const struct ft_stored_instance *stored = ctx;
    instance->stored_seq = stored->stored_seq;
    instance->durable_seq = stored->stored_seq;
    instance->appended_seq = stored->stored_seq;
    instance->kept_seq = stored->stored_seq;
    instance->kept_life = stored->life;
    instance->rejected_seq = stored->stored_seq; /* What was rejected is not known any more. */
    instance->stored_events = stored->stored_events;
    instance->vanished_events = stored->vanished_events;
    instance->appended_events = stored->stored_events;
    if (instance->last_heard_ns == 0) {
        instance->last_heard_ns = stored->last_time_ns; /* Of an event; the ledger knows better. */
    }
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        /* The store may have deleted old ones. */
        instance->lost_events[cause] = most(instance->lost_events[cause], stored->lost[cause]);
    }
}

ft_err ft_recovery_add_stored(void *instances, const struct ft_stored_instance *stored)
{
    struct ft_instance_key key = {stored->agent_id, stored->instance_id};
    struct ft_stored_instance copy = *stored;
    return ft_instances_with(instances, &key, set_stored, &copy);
}

static void add_stored_gap(void *ctx, struct ft_instance *instance)
{
    const struct ft_range *gap = ctx;
    (void)ft_ranges_add(&instance->gaps, gap->first, gap->last); /* No more than were kept. */
    instance->store_gaps = instance->gaps;
}

ft_err ft_recovery_add_gap(void *instances, const struct ft_uuid *agent_id,
                           const struct ft_uuid *instance_id, uint64_t first_seq, uint64_t last_seq)
{
    struct ft_instance_key key = {*agent_id, *instance_id};
    struct ft_range gap = {first_seq, last_seq};
    return ft_instances_with(instances, &key, add_stored_gap, &gap);
}

ft_err ft_recovery_from_store(struct ft_duckdb *duckdb, struct ft_instances *instances,
                              struct ft_diag *reterr_diag)
{
    FT_TRY(ft_duckdb_each_instance(duckdb, ft_recovery_add_stored, instances, reterr_diag));
    return ft_duckdb_each_gap(duckdb, ft_recovery_add_gap, instances, reterr_diag);
}

struct found_block {
    struct ft_block_info info;
    uint64_t life;
    bool behind_gap; /* Blocks of the log were lost before it. */
};

/* The sequence is counted as ingest counted it when the block came. */
static void add_block(void *ctx, struct ft_instance *instance)
{
    const struct found_block *found = ctx;
    const struct ft_block_info *info = &found->info;
    if (info->n_events == 0) {
        return;
    }
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    uint64_t n_filled = ft_ranges_overlap(&instance->gaps, info->first_seq, last_seq);
    ft_ranges_remove(&instance->gaps, info->first_seq, last_seq);
    instance->appended_events += n_filled;
    instance->missing_events -= least(n_filled, instance->missing_events);
    if (last_seq <= instance->appended_seq) {
        return;
    }
    uint64_t first_new =
        info->first_seq > instance->appended_seq ? info->first_seq : instance->appended_seq + 1;
    if (info->first_seq > instance->appended_seq + 1) {
        struct ft_range gap = {instance->appended_seq + 1, info->first_seq - 1};
        instance->missing_events += gap.last - gap.first + 1;
        if (found->behind_gap && ft_ranges_add(&instance->store_gaps, gap.first, gap.last)) {
            /* Without a place for it here it is not asked for before the next start. */
            (void)ft_ranges_add(&instance->gaps, gap.first, gap.last);
            instance->gaps_are_new = true;
        }
    }
    instance->appended_events += last_seq - first_new + 1;
    instance->appended_seq = last_seq;
    instance->durable_seq = last_seq;
    instance->kept_seq = last_seq;
    instance->kept_life = found->life;
    instance->rejected_seq = last_seq;
    instance->last_heard_ns = info->time_ns;
}

struct gaps_context {
    ft_recovery_gaps_fn *set_gaps;
    void *ctx;
    ft_err err;
};

static void give_gaps(void *ctx, struct ft_instance *instance)
{
    struct gaps_context *context = ctx;
    if (instance->gaps_are_new && context->err == FT_OK) {
        context->err = context->set_gaps(context->ctx, &instance->key, &instance->store_gaps);
        instance->gaps_are_new = false;
    }
}

enum ft_recovery_fit ft_recovery_compare(struct ft_log *log, uint64_t position)
{
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    if (position > last) {
        return FT_RECOVERY_LOG_BEHIND;
    }
    return position + 1 < first ? FT_RECOVERY_STORE_BEHIND : FT_RECOVERY_FITS;
}

ft_err ft_recovery_from_log(struct ft_log *log, uint64_t position, struct ft_instances *instances,
                            ft_recovery_gaps_fn *set_gaps, void *ctx)
{
    /* What a crash left behind was written, not always synced: it is before anything is told. */
    uint64_t synced;
    FT_TRY(ft_log_sync(log, &synced));
    struct ft_log_reader *reader = NULL;
    FT_TRY(ft_log_reader_open(log, "recovery", true, &reader));
    ft_log_reader_seek(reader, position);
    ft_err err = FT_OK;
    struct found_block found = {0};
    while (err == FT_OK) {
        struct ft_block block = {0};
        err = ft_log_reader_next(reader, false, &block);
        if (err == FT_E_CORRUPT) {
            err = FT_OK; /* The sinker counts it when it comes there. */
            found.behind_gap = true;
            continue;
        }
        if (err != FT_OK) {
            break;
        }
        found.behind_gap |= block.position > position + 1;
        position = block.position;
        found.info = block.info;
        found.life = ft_batch_peek_life(block.data, block.size);
        struct ft_instance_key key;
        memcpy(key.agent_id.bytes, block.info.agent_id, sizeof key.agent_id.bytes);
        memcpy(key.instance_id.bytes, block.info.instance_id, sizeof key.instance_id.bytes);
        err = ft_instances_with(instances, &key, add_block, &found);
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    if (err != ft_err_from_errno(EAGAIN)) {
        return err;
    }
    struct gaps_context gaps = {.set_gaps = set_gaps, .ctx = ctx};
    ft_instances_change_each(instances, give_gaps, &gaps);
    return gaps.err;
}

struct quarantine_context {
    struct ft_instances *instances;
    uint64_t position;
    ft_err err;
};

/*
 * A block that the sink has passed over, if it is not counted yet: the ledger may not have been
 * written before the end, or may be lost.
 */
static void count_quarantined(void *ctx, struct ft_instance *instance)
{
    const struct ft_quarantine_entry *entry = ctx;
    if (entry->position <= instance->settled_position) {
        return;
    }
    uint64_t last_seq = entry->first_seq + entry->n_events - 1;
    instance->settled_position = entry->position;
    instance->quarantined_events += entry->n_events;
    if (last_seq > instance->restored_stored_seq) {
        instance->restored_stored_seq = last_seq;
    }
}

static void look_at_entry(void *ctx, const struct ft_quarantine_entry *entry)
{
    struct quarantine_context *context = ctx;
    if (entry->kind != FT_QUARANTINE_POISON || !entry->of_this_log || entry->n_events == 0 ||
        entry->position > context->position || context->err != FT_OK) {
        return;
    }
    struct ft_instance_key key = {entry->agent_id, entry->instance_id};
    struct ft_quarantine_entry copy = *entry;
    context->err = ft_instances_with(context->instances, &key, count_quarantined, &copy);
}

struct reconcile_context {
    uint64_t position;
    uint64_t n_behind;
};

/*
 * What is here is for store and log to say.  The ledger adds what became of the numbers that are
 * not: passed over, or rejected.
 *
 * It is believed on how far an instance was settled only as far as the sink has come: a store that
 * was set back to a backup has lost what the ledger calls stored, and the agent must send it again.
 * Nor is it believed on rejections behind the newest block: those come again as well, and may be
 * good for a newer version of this program.
 */
static void reconcile(void *ctx, struct ft_instance *instance)
{
    struct reconcile_context *context = ctx;
    if (instance->settled_position > context->position) {
        instance->settled_position = 0;
        instance->restored_stored_seq = 0;
    }
    uint64_t passed_seq = most(instance->kept_seq, instance->restored_stored_seq);
    context->n_behind += instance->restored_kept_seq > passed_seq;
    if (passed_seq > instance->kept_seq) {
        instance->kept_life = 0; /* Of what the sink has passed over nothing is left. */
    }
    instance->kept_seq = passed_seq;
    instance->durable_seq = most(instance->durable_seq, passed_seq);
    instance->appended_seq = most(instance->appended_seq, passed_seq);
    instance->rejected_seq = most(instance->rejected_seq, passed_seq);
    instance->stored_seq = most(instance->stored_seq, instance->restored_stored_seq);
    instance->appended_events += least(instance->quarantined_events + instance->damaged_events,
                                       above(instance->appended_seq, instance->appended_events));
    instance->rejected_events =
        least(instance->rejected_events, above(instance->appended_seq, instance->appended_events));
    instance->missing_events =
        above(instance->appended_seq, instance->appended_events + instance->rejected_events);
    /* What came in the ledger's last moments. */
    instance->received_events =
        most(instance->received_events,
             instance->appended_events + instance->rejected_events + instance->duplicate_events);
    struct ft_told *told = &instance->told;
    told->our_appended_events = least(told->our_appended_events, instance->appended_events);
    told->our_rejected_events = least(told->our_rejected_events, instance->rejected_events);
    instance->restored_stored_seq = 0;
    instance->restored_kept_seq = 0;
}

ft_err ft_recovery_reconcile(struct ft_instances *instances, struct ft_quarantine *quarantine,
                             uint64_t position, uint64_t *ret_n_behind)
{
    struct quarantine_context context = {.instances = instances, .position = position};
    if (quarantine != NULL) {
        ft_quarantine_each(quarantine, look_at_entry, &context);
    }
    struct reconcile_context reconciled = {.position = position};
    ft_instances_change_each(instances, reconcile, &reconciled);
    *ret_n_behind = reconciled.n_behind;
    return context.err;
}
