/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent/merger.h"
#include "base/thread.h"
#include "wire/batch_builder.h"

/* Where blocks are sealed only between messages: more events than one of them makes. */
#define SETTLE_EVENTS_MAX 64U
#define HELD_MAX          16U

/*
 * While the log is more than half full events of one flow are merged, until it is less than a
 * quarter full.  Nobody is waiting for the events then, so blocks are larger and stay open longer:
 * the more flows end in the block in which they began, the more is merged.
 */
#define MERGE_FILL_ON      500U
#define MERGE_FILL_OFF     250U
#define MERGE_EVENTS_MAX   (FT_BATCH_EVENTS_MAX - SETTLE_EVENTS_MAX)
#define MERGE_EVENT_SIZE   80U /* Of one that waits, in its block, from above. */
#define MERGE_BYTES_FACTOR 4U
#define MERGE_BYTES_MAX    ((uint64_t)512 << 10)
#define MERGE_FLUSH_FACTOR 10
#define MERGE_FLUSH_NS_MAX (10 * FT_NS_PER_S)

struct ft_pipeline {
    struct ft_pipeline_options options;
    _Atomic uint64_t kept_events; /* From before, see the options. */
    struct ft_tally *tally;
    struct ft_tally *own_tally; /* NULL where it was handed in. */
    /* The pipeline thread. */
    struct ft_log *log;
    struct ft_batch_builder *builder;
    struct ft_merger *merger; /* NULL: never needed yet.  Empty while not 'merging'. */
    bool merging;
    bool draining; /* What waited in the merger is being numbered: nothing is sealed meanwhile. */
    struct ft_buf block;
    ft_pipeline_seal_fn *on_seal; /* NULL: blocks are sealed where they are full. */
    void *on_seal_ctx;
    struct ft_loss held[HELD_MAX]; /* The tracker's losses until the commit. */
    size_t n_held;
    uint64_t next_seq;
    int64_t opened_ns; /* When the open block got its first event. */
    struct ft_pipeline_stats stats;
    /* Odd while the numbers of the account change; a reader that saw it change reads again. */
    _Atomic uint64_t account_version;
    /* Any thread. */
    struct ft_mutex lock;
    struct ft_filter *filter FT_GUARDED;
    struct ft_filter_peer peers[FT_PIPELINE_PEERS_MAX] FT_GUARDED;
    size_t n_peers FT_GUARDED;
    bool has_instance FT_GUARDED; /* For the next block. */
    struct ft_uuid instance_id FT_GUARDED;
};

static void take(struct ft_pipeline *pipeline, struct ft_event *event);
static enum ft_filter_verdict judge(struct ft_pipeline *pipeline, const struct ft_event *event);
static void number(struct ft_pipeline *pipeline, struct ft_event *event);
static bool merge(struct ft_pipeline *pipeline, const struct ft_event *event);
static void drain(struct ft_pipeline *pipeline);
static void look_at_fill(struct ft_pipeline *pipeline);
static size_t n_open(const struct ft_pipeline *pipeline);
static bool is_full(const struct ft_pipeline *pipeline);
static void seal(struct ft_pipeline *pipeline);
static void hand_over_losses(struct ft_pipeline *pipeline);
static void append(struct ft_pipeline *pipeline, const struct ft_block_info *info, const void *data,
                   size_t size);
static void tell_losses(struct ft_pipeline *pipeline);
static void change_instance(struct ft_pipeline *pipeline);

ft_err ft_pipeline_create(const struct ft_pipeline_options *options,
                          struct ft_pipeline **ret_pipeline)
{
    FT_CLEANUP(ft_pipeline_destroy) struct ft_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (pipeline == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&pipeline->lock);
    ft_buf_init(&pipeline->block, FT_LOG_BLOCK_SIZE_MAX);
    pipeline->options = *options;
    pipeline->kept_events = options->kept_events;
    pipeline->tally = options->tally;
    if (pipeline->tally == NULL) {
        FT_TRY(ft_tally_create(NULL, NULL, &pipeline->own_tally));
        pipeline->tally = pipeline->own_tally;
    }
    pipeline->next_seq = ft_tally_live(pipeline->tally)->numbered + 1;
    pipeline->stats.numbered_events = pipeline->next_seq - 1;
    FT_TRY(ft_batch_builder_create(&options->instance_id, &pipeline->builder));
    ft_batch_builder_set_life(pipeline->builder, options->life);
    struct ft_filter_options keep_all = {0};
    struct ft_filter *filter = NULL;
    FT_TRY(ft_filter_create(&keep_all, &filter));
    ft_pipeline_set_filter(pipeline, filter);
    *ret_pipeline = FT_TAKE(pipeline);
    return FT_OK;
}

void ft_pipeline_destroy(struct ft_pipeline *pipeline) FT_NO_TSA
{
    if (pipeline != NULL) {
        ft_batch_builder_destroy(pipeline->builder);
        ft_merger_destroy(pipeline->merger);
        ft_filter_destroy(pipeline->filter);
        ft_buf_deinit(&pipeline->block);
        ft_tally_destroy(pipeline->own_tally);
        ft_mutex_deinit(&pipeline->lock);
        free(pipeline);
    }
}

void ft_pipeline_set_log(struct ft_pipeline *pipeline, struct ft_log *log) { pipeline->log = log; }

void ft_pipeline_on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    (void)size;
    struct ft_pipeline *pipeline = ctx;
    struct ft_tally_drop drop;
    ft_tally_drop_init(&drop);
    ft_tally_drop_add(&drop, info);
    ft_tally_drop(pipeline->tally, &drop);
}

void ft_pipeline_set_filter(struct ft_pipeline *pipeline, struct ft_filter *filter)
{
    ft_mutex_lock(&pipeline->lock);
    struct ft_filter *old = pipeline->filter;
    pipeline->filter = filter;
    ft_mutex_unlock(&pipeline->lock);
    ft_filter_destroy(old);
}

void ft_pipeline_set_peers(struct ft_pipeline *pipeline, const struct ft_filter_peer *peers,
                           size_t n_peers)
{
    n_peers = n_peers < FT_PIPELINE_PEERS_MAX ? n_peers : FT_PIPELINE_PEERS_MAX;
    ft_mutex_lock(&pipeline->lock);
    memcpy(pipeline->peers, peers, n_peers * sizeof peers[0]);
    pipeline->n_peers = n_peers;
    ft_mutex_unlock(&pipeline->lock);
}

void ft_pipeline_set_on_seal(struct ft_pipeline *pipeline, ft_pipeline_seal_fn *on_seal, void *ctx)
{
    pipeline->on_seal = on_seal;
    pipeline->on_seal_ctx = ctx;
}

void ft_pipeline_settle(struct ft_pipeline *pipeline)
{
    if (pipeline->on_seal != NULL && is_full(pipeline)) {
        ft_pipeline_commit(pipeline);
    }
}

void ft_pipeline_commit(struct ft_pipeline *pipeline)
{
    pipeline->account_version++;
    if (n_open(pipeline) > 0) {
        seal(pipeline);
    } else if (pipeline->on_seal != NULL) {
        hand_over_losses(pipeline);
        pipeline->on_seal(pipeline->on_seal_ctx, NULL, NULL, 0);
    }
    pipeline->account_version++;
}

void ft_pipeline_get_kept(struct ft_pipeline *pipeline, struct ft_pipeline_kept *ret_kept)
{
    uint64_t version;
    ret_kept->instance_id = pipeline->options.instance_id;
    ft_tally_save(pipeline->tally, &ret_kept->tally, &version);
}

void ft_pipeline_restore(struct ft_pipeline *pipeline, const struct ft_block_info *info,
                         const void *data, size_t size)
{
    pipeline->account_version++;
    append(pipeline, info, data, size);
    pipeline->account_version++;
}

void ft_pipeline_take(struct ft_pipeline *pipeline, struct ft_event *event)
{
    pipeline->account_version++;
    take(pipeline, event);
    pipeline->account_version++;
}

static void take(struct ft_pipeline *pipeline, struct ft_event *event)
{
    if ((event->fields & FT_FIELD_LOSS) != 0) {
        /* Told in its turn, and again if its event is dropped.  Where what follows from this
         * message may yet be undone, by a crash, it waits for the commit. */
        if (pipeline->on_seal != NULL && pipeline->n_held < HELD_MAX) {
            pipeline->held[pipeline->n_held++] = event->loss;
        } else {
            ft_tally_lose(pipeline->tally, &event->loss);
        }
        return;
    }
    enum ft_filter_verdict verdict = judge(pipeline, event);
    if (verdict != FT_VERDICT_KEPT) {
        pipeline->stats.filtered[verdict]++;
        ft_tally_live(pipeline->tally)->filtered++;
        return;
    }
    if (!merge(pipeline, event)) {
        number(pipeline, event);
    }
}

void ft_pipeline_tick(struct ft_pipeline *pipeline)
{
    pipeline->account_version++;
    tell_losses(pipeline);
    if (ft_clock_mono_ns(pipeline->options.clock) >= ft_pipeline_deadline(pipeline)) {
        seal(pipeline);
    }
    pipeline->account_version++;
}

int64_t ft_pipeline_deadline(const struct ft_pipeline *pipeline)
{
    if (n_open(pipeline) == 0) {
        return FT_TIME_NEVER;
    }
    int64_t interval_ns = pipeline->options.flush_interval_ns;
    if (pipeline->merging && interval_ns < MERGE_FLUSH_NS_MAX) {
        interval_ns *= MERGE_FLUSH_FACTOR;
        interval_ns = interval_ns < MERGE_FLUSH_NS_MAX ? interval_ns : MERGE_FLUSH_NS_MAX;
    }
    return pipeline->opened_ns + interval_ns;
}

void ft_pipeline_flush(struct ft_pipeline *pipeline)
{
    pipeline->account_version++;
    tell_losses(pipeline);
    if (n_open(pipeline) > 0) {
        seal(pipeline);
    }
    pipeline->account_version++;
}

void ft_pipeline_lost(struct ft_pipeline *pipeline, enum ft_loss_cause cause, uint64_t first_seq,
                      uint64_t last_seq)
{
    int64_t now_ns = ft_clock_real_ns(pipeline->options.clock);
    struct ft_loss loss = {.cause = cause,
                           .begin_ns = now_ns,
                           .end_ns = now_ns,
                           .count = last_seq - first_seq + 1,
                           .first_seq = first_seq,
                           .last_seq = last_seq};
    ft_tally_reject(pipeline->tally, &loss);
}

void ft_pipeline_acked(struct ft_pipeline *pipeline, uint64_t seq)
{
    ft_tally_acked(pipeline->tally, seq);
}

void ft_pipeline_set_instance(struct ft_pipeline *pipeline, const struct ft_uuid *instance_id)
{
    ft_mutex_lock(&pipeline->lock);
    pipeline->instance_id = *instance_id;
    pipeline->has_instance = true;
    ft_mutex_unlock(&pipeline->lock);
}

static void read_account(struct ft_pipeline *pipeline, struct ft_pipeline_account *account)
{
    const struct ft_pipeline_stats *stats = &pipeline->stats;
    struct ft_tally_sums sums;
    ft_tally_get(pipeline->tally, &sums);
    account->observed = sums.numbered + sums.merged + sums.lost_unnumbered;
    account->merged = sums.merged;
    account->kept =
        pipeline->kept_events + stats->open_events + stats->sealed_events - sums.dropped;
    account->lost = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        account->lost_by_cause[cause] = sums.lost[cause];
        account->lost += sums.lost[cause];
    }
}

void ft_pipeline_get_account(struct ft_pipeline *pipeline, struct ft_pipeline_account *ret_account)
{
    for (;;) {
        uint64_t before = pipeline->account_version;
        read_account(pipeline, ret_account);
        if (before % 2 == 0 && pipeline->account_version == before) {
            return;
        }
        (void)sched_yield();
    }
}

struct ft_tally *ft_pipeline_tally(struct ft_pipeline *pipeline) { return pipeline->tally; }

void ft_pipeline_forget_done(struct ft_pipeline *pipeline, uint64_t done_events)
{
    pipeline->kept_events -= done_events; /* Below zero, for a while: the sum is what counts. */
}

const struct ft_pipeline_stats *ft_pipeline_stats(const struct ft_pipeline *pipeline)
{
    return &pipeline->stats;
}

static enum ft_filter_verdict judge(struct ft_pipeline *pipeline, const struct ft_event *event)
{
    ft_mutex_lock(&pipeline->lock);
    enum ft_filter_verdict verdict =
        ft_filter_judge(pipeline->filter, pipeline->peers, pipeline->n_peers, event);
    ft_mutex_unlock(&pipeline->lock);
    return verdict;
}

static void number(struct ft_pipeline *pipeline, struct ft_event *event)
{
    event->seq = pipeline->next_seq++;
    ft_tally_live(pipeline->tally)->numbered = event->seq;
    pipeline->stats.numbered_events = event->seq;
    pipeline->stats.events[event->type < FT_EVENT_TYPE_N ? event->type : 0]++;
    if ((event->fields & FT_FIELD_INFERRED) != 0) {
        pipeline->stats.inferred_events++;
    }
    if (n_open(pipeline) == 0) {
        pipeline->opened_ns = ft_clock_mono_ns(pipeline->options.clock);
    }
    if (ft_batch_builder_add(pipeline->builder, event) == FT_E_FULL) {
        /* Amid a message: a commit here would be of half of it, so the block goes without one. */
        ft_pipeline_seal_fn *on_seal = pipeline->on_seal;
        pipeline->on_seal = NULL;
        seal(pipeline);
        pipeline->on_seal = on_seal;
        pipeline->opened_ns = ft_clock_mono_ns(pipeline->options.clock);
        ft_err_ignore(ft_batch_builder_add(pipeline->builder, event),
                      "an empty builder has room for any event");
    }
    pipeline->stats.open_events = ft_batch_builder_count(pipeline->builder);
    if (pipeline->options.on_event != NULL) {
        pipeline->options.on_event(pipeline->options.on_event_ctx, event);
    }
    if (pipeline->on_seal == NULL && !pipeline->draining && is_full(pipeline)) {
        seal(pipeline);
    }
}

/* True when the event is in the merger, by itself or in another. */
static bool merge(struct ft_pipeline *pipeline, const struct ft_event *event)
{
    if (!pipeline->merging) {
        return false;
    }
    if (n_open(pipeline) == 0) {
        pipeline->opened_ns = ft_clock_mono_ns(pipeline->options.clock);
    }
    if (ft_merger_add(pipeline->merger, event) == FT_MERGED_NOT) {
        /* Events of its flow that wait come before it. */
        drain(pipeline);
        return false;
    }
    if (pipeline->on_seal == NULL && is_full(pipeline)) {
        seal(pipeline);
    }
    return true;
}

static void take_merged(void *ctx, struct ft_event *event, uint32_t n_merged)
{
    struct ft_pipeline *pipeline = ctx;
    /* They count when the event that they went into does. */
    ft_tally_live(pipeline->tally)->merged += n_merged;
    number(pipeline, event);
}

static void drain(struct ft_pipeline *pipeline)
{
    if (pipeline->merger != NULL && ft_merger_count(pipeline->merger) > 0) {
        pipeline->draining = true;
        ft_merger_empty(pipeline->merger, take_merged, pipeline);
        pipeline->draining = false;
    }
}

/* Between two blocks, when nothing waits. */
static void look_at_fill(struct ft_pipeline *pipeline)
{
    if (pipeline->options.fill == NULL) {
        return;
    }
    unsigned fill = pipeline->options.fill(pipeline->options.fill_ctx);
    if (pipeline->merging && fill < MERGE_FILL_OFF) {
        pipeline->merging = false;
    } else if (!pipeline->merging && fill >= MERGE_FILL_ON) {
        if (pipeline->merger == NULL) {
            ft_err_ignore(ft_merger_create(MERGE_EVENTS_MAX, &pipeline->merger),
                          "then the oldest events go a little sooner");
        }
        pipeline->merging = pipeline->merger != NULL;
    }
    pipeline->stats.merging = pipeline->merging ? 1 : 0;
}

static size_t n_open(const struct ft_pipeline *pipeline)
{
    size_t n_waiting = pipeline->merging ? ft_merger_count(pipeline->merger) : 0;
    return ft_batch_builder_count(pipeline->builder) + n_waiting;
}

static bool is_full(const struct ft_pipeline *pipeline)
{
    uint64_t events_max = pipeline->options.block_events_max;
    uint64_t bytes_max = pipeline->options.block_bytes_max;
    uint64_t bytes = ft_batch_builder_size_estimate(pipeline->builder);
    if (pipeline->merging) {
        events_max = MERGE_EVENTS_MAX;
        bytes += ft_merger_count(pipeline->merger) * MERGE_EVENT_SIZE;
        if (bytes_max < MERGE_BYTES_MAX) {
            bytes_max *= MERGE_BYTES_FACTOR;
            bytes_max = bytes_max < MERGE_BYTES_MAX ? bytes_max : MERGE_BYTES_MAX;
        }
    } else if (pipeline->on_seal != NULL && events_max > FT_BATCH_EVENTS_MAX - SETTLE_EVENTS_MAX) {
        events_max = FT_BATCH_EVENTS_MAX - SETTLE_EVENTS_MAX;
    }
    return n_open(pipeline) >= events_max || bytes >= bytes_max;
}

static void seal(struct ft_pipeline *pipeline)
{
    drain(pipeline);
    struct ft_block_info info = {.first_seq = ft_batch_builder_first_seq(pipeline->builder),
                                 .n_events = ft_batch_builder_count(pipeline->builder),
                                 .time_ns = ft_clock_real_ns(pipeline->options.clock)};
    memcpy(info.agent_id, pipeline->options.agent_id.bytes, sizeof info.agent_id);
    memcpy(info.instance_id, pipeline->options.instance_id.bytes, sizeof info.instance_id);
    ft_buf_clear(&pipeline->block);
    ft_err err = ft_batch_builder_seal(pipeline->builder, &pipeline->block);
    pipeline->stats.open_events = 0;
    ft_tally_live(pipeline->tally)->sealed += info.n_events;
    if (err != FT_OK) {
        /* No memory for the block: its events are lost like those of a dropped one. */
        ft_pipeline_on_drop(pipeline, &info, 0);
        pipeline->stats.sealed_events += info.n_events;
    } else {
        if (pipeline->on_seal != NULL) {
            hand_over_losses(pipeline);
            pipeline->on_seal(pipeline->on_seal_ctx, &info, pipeline->block.data,
                              pipeline->block.size);
        }
        append(pipeline, &info, pipeline->block.data, pipeline->block.size);
    }
    change_instance(pipeline);
    look_at_fill(pipeline);
}

static void hand_over_losses(struct ft_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->n_held; i++) {
        ft_tally_lose(pipeline->tally, &pipeline->held[i]);
    }
    pipeline->n_held = 0;
}

static void append(struct ft_pipeline *pipeline, const struct ft_block_info *info, const void *data,
                   size_t size)
{
    uint64_t position;
    if (ft_log_append(pipeline->log, info, data, size, &position) != FT_OK) {
        ft_pipeline_on_drop(pipeline, info, size);
    }
    pipeline->stats.sealed_events += info->n_events;
    pipeline->stats.sealed_blocks++;
    pipeline->stats.sealed_bytes += size;
}

static uint64_t dropped_by(struct ft_pipeline *pipeline)
{
    struct ft_tally_sums sums;
    ft_tally_get(pipeline->tally, &sums);
    return sums.dropped;
}

/*
 * Makes LOSS events of what is to be told.  A log that is full may drop them for each other and
 * give them back at once: then the rest waits for the next time.
 */
static void tell_losses(struct ft_pipeline *pipeline)
{
    struct ft_event event = {.type = FT_EVENT_LOSS, .fields = FT_FIELD_LOSS};
    uint64_t dropped = dropped_by(pipeline);
    while (dropped_by(pipeline) == dropped &&
           ft_tally_tell(pipeline->tally, pipeline->next_seq, &event.loss)) {
        event.time_ns = ft_clock_real_ns(pipeline->options.clock);
        number(pipeline, &event);
        if (is_full(pipeline)) {
            seal(pipeline);
        }
    }
}

static void change_instance(struct ft_pipeline *pipeline)
{
    ft_mutex_lock(&pipeline->lock);
    bool changed = pipeline->has_instance;
    struct ft_uuid instance_id = pipeline->instance_id;
    pipeline->has_instance = false;
    ft_mutex_unlock(&pipeline->lock);
    if (changed) {
        pipeline->options.instance_id = instance_id;
        ft_batch_builder_set_instance(pipeline->builder, &instance_id);
    }
}
