/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool_impl.h"

#include <stdlib.h>
#include <string.h>

/* After a failure; the disk may be mended, or the exporter may have freed something. */
#define RETRY_NS (100 * FT_NS_PER_MS)
/* A state that nothing waits for is written after this at the latest. */
#define STATE_NS (1 * FT_NS_PER_S)
/* With 'sync_each', so many blocks share a sync at most. */
#define GROUP_BLOCKS_MAX 64
/* How long the thread sleeps at most. */
#define IDLE_NS (1 * FT_NS_PER_S)

struct change {
    const struct ft_tally_drop *drop; /* NULL: none. */
    bool rebase;
    uint64_t acked_events;
};

static ft_err write_state_locked(struct ft_spool *spool, const struct change *change)
    FT_REQUIRES(spool->lock);
static ft_err add_range_locked(struct ft_spool *spool, uint64_t first, uint64_t last,
                               uint64_t confirmed) FT_REQUIRES(spool->lock);
static int64_t sync_interval(const struct ft_spool *spool);
static bool move_blocks(struct ft_spool *spool);
static ft_err put(struct ft_spool *spool, const struct ft_block *block);
static void sync_log(struct ft_spool *spool);
static void note_result(struct ft_spool *spool, ft_err err);
static void run(void *ctx);

void ft_spool_close(struct ft_spool *spool, bool clean) FT_NO_TSA
{
    if (spool == NULL) {
        return;
    }
    if (spool->has_block) {
        ft_block_release(&spool->block);
    }
    ft_log_reader_close(spool->source);
    if (spool->opened) {
        spool->clean = clean && ft_log_durable(spool->log) >= spool->last_position;
        ft_err_ignore(ft_spool_write_state(spool), "the next start takes it for a crash");
    }
    ft_log_destroy(spool->log);
    ft_tally_destroy(spool->tally);
    if (spool->page != NULL && spool->disk->ops->unmap != NULL) {
        spool->disk->ops->unmap(spool->disk, spool->page, FT_SPOOL_PAGE_SIZE);
    }
    ft_slot_file_close(&spool->slots);
    ft_mutex_deinit(&spool->lock);
    free(spool->encoded);
    free(spool->scratch);
    free(spool);
}

void ft_spool_get_identity(struct ft_spool *spool, struct ft_spool_identity *ret_identity)
{
    ft_mutex_lock(&spool->lock);
    *ret_identity = spool->identity;
    ft_mutex_unlock(&spool->lock);
}

ft_err ft_spool_bind(struct ft_spool *spool, const struct ft_spool_binding *binding)
{
    ft_mutex_lock(&spool->lock);
    struct ft_spool_binding before = spool->identity.binding;
    spool->identity.binding = *binding;
    ft_err err = ft_spool_write_state_locked(spool);
    if (err != FT_OK) {
        spool->identity.binding = before;
    }
    ft_mutex_unlock(&spool->lock);
    return err;
}

ft_err ft_spool_new_instance(struct ft_spool *spool, uint64_t base_seq, uint64_t acked_events,
                             struct ft_uuid *ret_instance_id)
{
    ft_mutex_lock(&spool->lock);
    struct ft_spool_identity before = spool->identity;
    ft_uuid_make_random(spool->options.random, &spool->identity.instance_id);
    spool->identity.base_seq = base_seq;
    ft_lives_begin_instance(&spool->identity.lives);
    struct change change = {.rebase = true, .acked_events = acked_events};
    ft_err err = write_state_locked(spool, &change);
    if (err == FT_OK) {
        ft_tally_rebase(spool->tally, base_seq, acked_events);
        *ret_instance_id = spool->identity.instance_id;
        spool->stats.new_instances++;
    } else {
        spool->identity = before;
    }
    ft_mutex_unlock(&spool->lock);
    return err;
}

ft_err ft_spool_keep_account(struct ft_spool *spool)
{
    ft_mutex_lock(&spool->lock);
    bool changed = ft_tally_version(spool->tally) != spool->written_version;
    ft_err err = changed ? ft_spool_write_state_locked(spool) : FT_OK;
    ft_mutex_unlock(&spool->lock);
    return err;
}

struct ft_log *ft_spool_log(struct ft_spool *spool) { return spool->log; }
struct ft_tally *ft_spool_tally(struct ft_spool *spool) { return spool->tally; }
uint64_t ft_spool_kept_events(const struct ft_spool *spool) { return spool->kept_events; }

const struct ft_progress *ft_spool_progress(const struct ft_spool *spool)
{
    return &spool->progress;
}

uint64_t ft_spool_lost_before(const struct ft_spool *spool) { return spool->lost_before; }

const struct ft_spool_stats *ft_spool_stats(const struct ft_spool *spool) { return &spool->stats; }

ft_err ft_spool_set_source(struct ft_spool *spool, struct ft_log *memory)
{
    spool->memory = memory;
    return ft_log_reader_open(memory, "spool", false, &spool->source);
}

void ft_spool_work(struct ft_spool *spool)
{
    int64_t now_ns = ft_clock_mono_ns(spool->options.clock);
    if (now_ns < spool->retry_ns) {
        return;
    }
    for (bool more = true; more;) {
        bool late = spool->stopping && now_ns >= spool->stop_deadline_ns;
        more = !late && move_blocks(spool);
        now_ns = ft_clock_mono_ns(spool->options.clock);
        bool unsynced = ft_log_durable(spool->log) < spool->last_position;
        if (unsynced && spool->unsynced_ns == 0) {
            spool->unsynced_ns = now_ns;
        }
        if (unsynced && now_ns >= spool->unsynced_ns + sync_interval(spool)) {
            sync_log(spool);
        }
    }
    if (ft_tally_version(spool->tally) != spool->written_version && spool->state_ns == 0) {
        spool->state_ns = now_ns + STATE_NS;
    }
    if (spool->state_ns != 0 && now_ns >= spool->state_ns) {
        note_result(spool, ft_spool_write_state(spool));
    }
}

int64_t ft_spool_deadline(const struct ft_spool *spool)
{
    int64_t deadline_ns = FT_TIME_NEVER;
    if (spool->retry_ns != INT64_MIN) {
        return spool->retry_ns; /* A failure puts off all that is due. */
    }
    if (spool->unsynced_ns != 0) {
        deadline_ns = spool->unsynced_ns + sync_interval(spool);
    }
    if (spool->state_ns != 0 && spool->state_ns < deadline_ns) {
        deadline_ns = spool->state_ns;
    }
    return deadline_ns;
}

bool ft_spool_is_drained(struct ft_spool *spool)
{
    if (spool->source == NULL) {
        return true; /* Nothing has begun. */
    }
    return !spool->has_block && !ft_log_reader_wait(spool->source, false, 0) &&
           ft_log_durable(spool->log) >= spool->last_position;
}

ft_err ft_spool_start(struct ft_spool *spool)
{
    return ft_thread_start(&spool->thread, "spool", run, spool);
}

void ft_spool_stop(struct ft_spool *spool, int64_t timeout_ns)
{
    spool->stop_deadline_ns = ft_clock_mono_ns(spool->options.clock) + timeout_ns;
    spool->stopping = true;
    if (spool->memory != NULL) {
        ft_log_wake_all(spool->memory);
    }
    ft_thread_join(&spool->thread);
}

/* Called by the log on disk, in work(). */
void ft_spool_on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    struct ft_spool *spool = ctx;
    (void)size;
    ft_tally_drop_add(&spool->drop, info);
}

/* The number that the block behind 'position' begins with; 0: not known. */
static uint64_t first_behind(struct ft_spool *spool, uint64_t position)
{
    struct ft_log_reader *look = NULL;
    if (ft_log_reader_open(spool->log, "spool-look", true, &look) != FT_OK) {
        return 0;
    }
    ft_log_reader_seek(look, position);
    struct ft_block block = {0};
    ft_err err = ft_log_reader_next(look, false, &block);
    uint64_t seq = err == FT_OK || err == FT_E_CORRUPT ? block.info.first_seq : 0;
    ft_block_release(&block);
    ft_log_reader_close(look);
    return seq;
}

/*
 * The account of the loss is durable before the file goes, and says which positions it is of.  On
 * an error it may have been written or not: the log tries the same drop again.
 */
ft_err ft_spool_on_dropped(void *ctx, uint64_t first, uint64_t last, uint64_t n_unread)
{
    struct ft_spool *spool = ctx;
    uint64_t confirmed = ft_log_confirmed(spool->log);
    spool->drop.on_disk = true;
    spool->drop.n_unread = n_unread;
    spool->drop.next_seq = n_unread > 0 ? first_behind(spool, last) : 0;
    ft_mutex_lock(&spool->lock);
    struct ft_log_range before[FT_SPOOL_DROPPED_MAX];
    size_t n_before = spool->n_dropped;
    memcpy(before, spool->dropped, sizeof before);
    ft_err err = add_range_locked(spool, first, last, confirmed);
    if (err == FT_OK) {
        struct change change = {.drop = &spool->drop};
        err = write_state_locked(spool, &change);
    }
    if (err == FT_OK) {
        ft_tally_drop(spool->tally, &spool->drop);
        spool->last_drop = spool->drop;
    } else {
        memcpy(spool->dropped, before, sizeof before);
        spool->n_dropped = n_before;
    }
    ft_mutex_unlock(&spool->lock);
    ft_tally_drop_init(&spool->drop);
    return err;
}

/* What is confirmed needs no range any more; what touches or overlaps becomes one: a segment that
 * was made of others has no blocks where one of those was dropped before. */
static ft_err add_range_locked(struct ft_spool *spool, uint64_t first, uint64_t last,
                               uint64_t confirmed)
{
    size_t n = 0;
    for (size_t i = 0; i < spool->n_dropped; i++) {
        struct ft_log_range range = spool->dropped[i];
        if (range.first <= last + 1 && first <= range.last + 1) {
            first = range.first < first ? range.first : first;
            last = range.last > last ? range.last : last;
        } else if (range.last > confirmed) {
            spool->dropped[n++] = range;
        }
    }
    if (n == FT_SPOOL_DROPPED_MAX) {
        return FT_E_FULL;
    }
    spool->dropped[n++] = (struct ft_log_range){first, last};
    spool->n_dropped = n;
    return FT_OK;
}

ft_err ft_spool_write_state(struct ft_spool *spool)
{
    ft_mutex_lock(&spool->lock);
    ft_err err = ft_spool_write_state_locked(spool);
    ft_mutex_unlock(&spool->lock);
    return err;
}

ft_err ft_spool_write_state_locked(struct ft_spool *spool)
{
    return write_state_locked(spool, NULL);
}

/* With a change that the tally does not know yet: it happens only if it is written. */
static ft_err write_state_locked(struct ft_spool *spool, const struct change *change)
{
    struct ft_spool_state *state = spool->scratch;
    uint64_t version;
    state->agent_id = spool->identity.agent_id;
    state->instance_id = spool->identity.instance_id;
    state->base_seq = spool->identity.base_seq;
    state->clean = spool->clean;
    state->binding = spool->identity.binding;
    state->lives = spool->identity.lives;
    state->n_dropped = spool->n_dropped;
    memcpy(state->dropped, spool->dropped, sizeof state->dropped);
    ft_tally_save(spool->tally, &state->tally, &version);
    state->last_drop = spool->last_drop;
    if (change != NULL && change->drop != NULL) {
        ft_tally_record_drop(&state->tally, change->drop);
        state->last_drop = *change->drop;
    }
    if (change != NULL && change->rebase) {
        ft_tally_record_rebase(&state->tally, state->base_seq, change->acked_events);
    }
    size_t size = ft_spool_state_encode(state, spool->encoded);
    FT_TRY(ft_slot_file_write(&spool->slots, spool->encoded, size, true));
    spool->written_version = version;
    spool->state_ns = 0;
    spool->stats.state_writes++;
    return FT_OK;
}

static int64_t sync_interval(const struct ft_spool *spool)
{
    return spool->options.sync_each || spool->stopping ? 0 : spool->options.sync_interval_ns;
}

/* True when there may be more. */
static bool move_blocks(struct ft_spool *spool)
{
    for (unsigned n = 0; n < GROUP_BLOCKS_MAX; n++) {
        if (!spool->has_block) {
            if (spool->source == NULL ||
                ft_log_reader_next(spool->source, false, &spool->block) != FT_OK) {
                return false;
            }
            const struct ft_block_info *taken = &spool->block.info;
            ft_tally_hold(spool->tally, taken->first_seq, taken->first_seq + taken->n_events - 1);
            spool->has_block = true;
        }
        int64_t began_ns = ft_clock_mono_ns(spool->options.clock);
        ft_err err = put(spool, &spool->block);
        int64_t took_ns = ft_clock_mono_ns(spool->options.clock) - began_ns;
        if (took_ns > spool->stats.sync_ns_max) {
            spool->stats.sync_ns_max = took_ns;
        }
        note_result(spool, err);
        if (err != FT_OK) {
            return false; /* It stays: it may be on the disk all the same. */
        }
        const struct ft_block_info *info = &spool->block.info;
        spool->stats.stored_seq = info->first_seq + info->n_events - 1;
        uint64_t position = spool->block.position;
        ft_block_release(&spool->block);
        spool->has_block = false;
        spool->stats.moved_blocks++;
        ft_err_ignore(ft_log_reader_confirm(spool->source, position), "in memory it cannot fail");
    }
    return true;
}

static ft_err put(struct ft_spool *spool, const struct ft_block *block)
{
    /* What this block tells of, or comes after, is known to the next start before the block is. */
    if (ft_tally_version(spool->tally) != spool->written_version) {
        FT_TRY(ft_spool_write_state(spool));
    }
    return ft_log_append(spool->log, &block->info, block->data, block->size, &spool->last_position);
}

static void sync_log(struct ft_spool *spool)
{
    int64_t began_ns = ft_clock_mono_ns(spool->options.clock);
    uint64_t position;
    ft_err err = ft_log_sync(spool->log, &position);
    int64_t took_ns = ft_clock_mono_ns(spool->options.clock) - began_ns;
    spool->stats.sync_ns_total += took_ns;
    if (took_ns > spool->stats.sync_ns_max) {
        spool->stats.sync_ns_max = took_ns;
    }
    if (err == FT_OK) {
        spool->unsynced_ns = 0;
        spool->stats.durable_seq = spool->stats.stored_seq;
    }
    note_result(spool, err);
}

static void note_result(struct ft_spool *spool, ft_err err)
{
    if (err == FT_OK) {
        spool->retry_ns = INT64_MIN;
        spool->stats.failing_since_ns = 0;
        return;
    }
    spool->stats.failures++;
    spool->stats.last_error = (int)err;
    if (spool->stats.failing_since_ns == 0) {
        spool->stats.failing_since_ns = ft_clock_real_ns(spool->options.clock);
    }
    spool->retry_ns = ft_clock_mono_ns(spool->options.clock) + RETRY_NS;
}

static void run(void *ctx)
{
    struct ft_spool *spool = ctx;
    for (;;) {
        int64_t now_ns = ft_clock_mono_ns(spool->options.clock);
        if (spool->stopping) {
            if (ft_spool_is_drained(spool) || now_ns >= spool->stop_deadline_ns) {
                break;
            }
        }
        int64_t deadline_ns = ft_spool_deadline(spool);
        deadline_ns = deadline_ns < now_ns + IDLE_NS ? deadline_ns : now_ns + IDLE_NS;
        if (now_ns < spool->retry_ns) {
            /* The next block is there already: waiting for it would not wait. */
            ft_thread_sleep(spool->retry_ns - now_ns);
        } else if (!spool->has_block) {
            (void)ft_log_reader_wait(spool->source, false, deadline_ns);
        }
        ft_spool_work(spool);
    }
}
