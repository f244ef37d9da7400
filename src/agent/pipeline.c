/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent/loss_book.h"
#include "base/thread.h"
#include "wire/batch_builder.h"

/* Notes from other threads until the pipeline takes them; the exporter makes a few per ack. */
#define NOTES_MAX 256

struct ft_pipeline {
    struct ft_pipeline_options options;
    /* The pipeline thread. */
    struct ft_log *log;
    struct ft_batch_builder *builder;
    struct ft_buf block;
    struct ft_loss_book book;
    uint64_t next_seq;
    int64_t opened_ns; /* When the open block got its first event. */
    bool sealing;
    struct ft_pipeline_stats stats;
    /* Odd while the numbers of the account change; a reader that saw it change reads again. */
    _Atomic uint64_t account_version;
    _Atomic uint64_t acked_seq;
    /* Any thread. */
    struct ft_mutex lock;
    struct ft_filter *filter FT_GUARDED;
    struct ft_filter_peer peers[FT_PIPELINE_PEERS_MAX] FT_GUARDED;
    size_t n_peers FT_GUARDED;
    struct ft_loss notes[NOTES_MAX] FT_GUARDED;
    size_t n_notes FT_GUARDED;
};

static void take(struct ft_pipeline *pipeline, struct ft_event *event);
static enum ft_filter_verdict judge(struct ft_pipeline *pipeline, const struct ft_event *event);
static void number(struct ft_pipeline *pipeline, struct ft_event *event);
static void seal(struct ft_pipeline *pipeline);
static void tell_losses(struct ft_pipeline *pipeline);
static void take_notes(struct ft_pipeline *pipeline);
static void add_loss(struct ft_pipeline *pipeline, const struct ft_loss *loss);

ft_err ft_pipeline_create(const struct ft_pipeline_options *options,
                          struct ft_pipeline **ret_pipeline)
{
    FT_CLEANUP(ft_pipeline_destroy) struct ft_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (pipeline == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&pipeline->lock);
    ft_buf_init(&pipeline->block, FT_LOG_BLOCK_SIZE_MAX);
    ft_loss_book_init(&pipeline->book);
    pipeline->options = *options;
    pipeline->next_seq = 1;
    FT_TRY(ft_batch_builder_create(&options->instance_id, &pipeline->builder));
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
        ft_filter_destroy(pipeline->filter);
        ft_buf_deinit(&pipeline->block);
        ft_mutex_deinit(&pipeline->lock);
        free(pipeline);
    }
}

void ft_pipeline_set_log(struct ft_pipeline *pipeline, struct ft_log *log) { pipeline->log = log; }

void ft_pipeline_on_drop(void *ctx, const struct ft_block_info *info, size_t size)
{
    (void)size;
    struct ft_pipeline *pipeline = ctx;
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    pipeline->stats.dropped_events += info->n_events;
    ft_loss_book_dropped(&pipeline->book, info->first_seq, last_seq);
    struct ft_loss loss = {.cause = FT_LOSS_LOG_FULL,
                           .begin_ns = info->time_ns,
                           .end_ns = info->time_ns,
                           .count = info->n_events,
                           .first_seq = info->first_seq,
                           .last_seq = last_seq};
    add_loss(pipeline, &loss);
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

void ft_pipeline_take(struct ft_pipeline *pipeline, struct ft_event *event)
{
    pipeline->account_version++;
    take(pipeline, event);
    pipeline->account_version++;
}

static void take(struct ft_pipeline *pipeline, struct ft_event *event)
{
    if ((event->fields & FT_FIELD_LOSS) != 0) {
        /* Told in its turn, and again if its event is dropped. */
        add_loss(pipeline, &event->loss);
        return;
    }
    enum ft_filter_verdict verdict = judge(pipeline, event);
    if (verdict != FT_VERDICT_KEPT) {
        pipeline->stats.filtered[verdict]++;
        return;
    }
    number(pipeline, event);
}

void ft_pipeline_tick(struct ft_pipeline *pipeline)
{
    pipeline->account_version++;
    take_notes(pipeline);
    ft_loss_book_acked(&pipeline->book, pipeline->acked_seq);
    tell_losses(pipeline);
    if (ft_clock_mono_ns(pipeline->options.clock) >= ft_pipeline_deadline(pipeline)) {
        seal(pipeline);
    }
    pipeline->account_version++;
}

int64_t ft_pipeline_deadline(const struct ft_pipeline *pipeline)
{
    if (ft_batch_builder_count(pipeline->builder) == 0) {
        return FT_TIME_NEVER;
    }
    return pipeline->opened_ns + pipeline->options.flush_interval_ns;
}

void ft_pipeline_flush(struct ft_pipeline *pipeline)
{
    pipeline->account_version++;
    take_notes(pipeline);
    tell_losses(pipeline);
    if (ft_batch_builder_count(pipeline->builder) > 0) {
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
    ft_mutex_lock(&pipeline->lock);
    if (pipeline->n_notes < NOTES_MAX) {
        pipeline->notes[pipeline->n_notes++] = loss;
    } else {
        /* The count stays exact; which numbers it was is in the collector's own record. */
        struct ft_loss *last = &pipeline->notes[NOTES_MAX - 1];
        last->count += loss.count;
        last->first_seq = 0;
        last->last_seq = 0;
    }
    ft_mutex_unlock(&pipeline->lock);
}

void ft_pipeline_acked(struct ft_pipeline *pipeline, uint64_t seq) { pipeline->acked_seq = seq; }

static void read_account(struct ft_pipeline *pipeline, struct ft_pipeline_account *account)
{
    const struct ft_pipeline_stats *stats = &pipeline->stats;
    account->observed = stats->numbered_events + stats->lost_unnumbered;
    account->kept = stats->open_events + stats->sealed_events - stats->dropped_events;
    account->lost = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        account->lost_by_cause[cause] = stats->lost[cause];
    }
    ft_mutex_lock(&pipeline->lock);
    for (size_t i = 0; i < pipeline->n_notes; i++) {
        account->lost_by_cause[pipeline->notes[i].cause] += pipeline->notes[i].count;
    }
    ft_mutex_unlock(&pipeline->lock);
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        account->lost += account->lost_by_cause[cause];
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
    pipeline->stats.numbered_events = event->seq;
    pipeline->stats.events[event->type < FT_EVENT_TYPE_N ? event->type : 0]++;
    if ((event->fields & FT_FIELD_INFERRED) != 0) {
        pipeline->stats.inferred_events++;
    }
    if (ft_batch_builder_count(pipeline->builder) == 0) {
        pipeline->opened_ns = ft_clock_mono_ns(pipeline->options.clock);
    }
    if (ft_batch_builder_add(pipeline->builder, event) == FT_E_FULL) {
        seal(pipeline);
        pipeline->opened_ns = ft_clock_mono_ns(pipeline->options.clock);
        ft_err_ignore(ft_batch_builder_add(pipeline->builder, event),
                      "an empty builder has room for any event");
    }
    pipeline->stats.open_events = ft_batch_builder_count(pipeline->builder);
    if (pipeline->options.on_event != NULL) {
        pipeline->options.on_event(pipeline->options.on_event_ctx, event);
    }
    if (ft_batch_builder_count(pipeline->builder) >= pipeline->options.block_events_max ||
        ft_batch_builder_size_estimate(pipeline->builder) >= pipeline->options.block_bytes_max) {
        seal(pipeline);
    }
}

static void seal(struct ft_pipeline *pipeline)
{
    struct ft_block_info info = {.first_seq = ft_batch_builder_first_seq(pipeline->builder),
                                 .n_events = ft_batch_builder_count(pipeline->builder),
                                 .time_ns = ft_clock_real_ns(pipeline->options.clock)};
    memcpy(info.agent_id, pipeline->options.agent_id.bytes, sizeof info.agent_id);
    memcpy(info.instance_id, pipeline->options.instance_id.bytes, sizeof info.instance_id);
    ft_buf_clear(&pipeline->block);
    uint64_t position;
    ft_err err = ft_batch_builder_seal(pipeline->builder, &pipeline->block);
    if (err == FT_OK) {
        err = ft_log_append(pipeline->log, &info, pipeline->block.data, pipeline->block.size,
                            &position);
    }
    if (err != FT_OK) {
        /* No memory for the block: its events are lost like those of a dropped one. */
        ft_pipeline_on_drop(pipeline, &info, pipeline->block.size);
    }
    pipeline->stats.open_events = 0;
    pipeline->stats.sealed_events += info.n_events;
    pipeline->stats.sealed_blocks++;
    pipeline->stats.sealed_bytes += pipeline->block.size;
}

/* Makes LOSS events of what is to be told. */
static void tell_losses(struct ft_pipeline *pipeline)
{
    struct ft_event event = {.type = FT_EVENT_LOSS, .fields = FT_FIELD_LOSS};
    while (ft_loss_book_take(&pipeline->book, &event.loss)) {
        event.time_ns = ft_clock_real_ns(pipeline->options.clock);
        ft_loss_book_told(&pipeline->book, pipeline->next_seq, &event.loss);
        number(pipeline, &event);
    }
}

static void take_notes(struct ft_pipeline *pipeline)
{
    struct ft_loss notes[NOTES_MAX];
    ft_mutex_lock(&pipeline->lock);
    size_t n = pipeline->n_notes;
    memcpy(notes, pipeline->notes, n * sizeof notes[0]);
    pipeline->n_notes = 0;
    ft_mutex_unlock(&pipeline->lock);
    for (size_t i = 0; i < n; i++) {
        if (notes[i].first_seq != 0) {
            ft_loss_book_dropped(&pipeline->book, notes[i].first_seq, notes[i].last_seq);
        }
        add_loss(pipeline, &notes[i]);
    }
}

static void add_loss(struct ft_pipeline *pipeline, const struct ft_loss *loss)
{
    pipeline->stats.lost[loss->cause < FT_LOSS_CAUSE_N ? loss->cause : 0] += loss->count;
    if (loss->first_seq == 0) {
        pipeline->stats.lost_unnumbered += loss->count;
    }
    ft_loss_book_add(&pipeline->book, loss);
}
