/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/recovery.h"

#include <string.h>

static void set_stored(void *ctx, struct ft_instance *instance)
{
    const struct ft_stored_instance *stored = ctx;
    instance->stored_seq = stored->stored_seq;
    instance->durable_seq = stored->stored_seq;
    instance->appended_seq = stored->stored_seq;
    instance->kept_seq = stored->stored_seq;
    instance->rejected_seq = stored->stored_seq; /* What was rejected is not known any more. */
    instance->stored_events = stored->stored_events;
    instance->appended_events = stored->stored_events;
    instance->last_heard_ns = stored->last_time_ns;
    memcpy(instance->lost_events, stored->lost, sizeof instance->lost_events);
}

ft_err ft_recovery_add_stored(void *instances, const struct ft_stored_instance *stored)
{
    struct ft_instance_key key = {stored->agent_id, stored->instance_id};
    struct ft_stored_instance copy = *stored;
    return ft_instances_with(instances, &key, set_stored, &copy);
}

ft_err ft_recovery_from_store(struct ft_duckdb *duckdb, struct ft_instances *instances,
                              struct ft_diag *reterr_diag)
{
    return ft_duckdb_each_instance(duckdb, ft_recovery_add_stored, instances, reterr_diag);
}

struct found_block {
    struct ft_block_info info;
    bool behind_gap; /* Blocks of the log were lost before it. */
};

/* The sequence is counted as ingest counted it when the block came. */
static void add_block(void *ctx, struct ft_instance *instance)
{
    const struct found_block *found = ctx;
    const struct ft_block_info *info = &found->info;
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    if (info->n_events == 0 || last_seq <= instance->appended_seq) {
        return;
    }
    uint64_t first_new =
        info->first_seq > instance->appended_seq ? info->first_seq : instance->appended_seq + 1;
    if (info->first_seq > instance->appended_seq + 1) {
        instance->missing_events += info->first_seq - instance->appended_seq - 1;
        if (found->behind_gap && instance->n_lost < FT_WIRE_LOST_MAX) {
            instance->lost[instance->n_lost++] =
                (struct ft_msg_hole){instance->appended_seq + 1, info->first_seq - 1};
        }
    }
    instance->appended_events += last_seq - first_new + 1;
    instance->appended_seq = last_seq;
    instance->durable_seq = last_seq;
    instance->kept_seq = last_seq;
    instance->rejected_seq = last_seq;
    instance->last_heard_ns = info->time_ns;
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

ft_err ft_recovery_from_log(struct ft_log *log, uint64_t position, struct ft_instances *instances)
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
        struct ft_instance_key key;
        memcpy(key.agent_id.bytes, block.info.agent_id, sizeof key.agent_id.bytes);
        memcpy(key.instance_id.bytes, block.info.instance_id, sizeof key.instance_id.bytes);
        err = ft_instances_with(instances, &key, add_block, &found);
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    return err == ft_err_from_errno(EAGAIN) ? FT_OK : err;
}
