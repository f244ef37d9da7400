/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

#include <stdlib.h>

#include "base/thread.h"
#include "source/chunk_queue.h"
#include "source/dump.h"

/* How long a dump's step waits for the kernel when no events wait. */
#define DUMP_WAIT_MS 2

struct ft_source {
    struct ft_source_params params;
    struct ft_source_stats stats;
    struct ft_chunk_queue *queue;
    struct ft_reader *reader;
    struct ft_dumper *dumper;
    struct ft_tracker *tracker;
    struct ft_thread thread;
    bool started;
};

static void run_reader(void *ctx);
static void consume(struct ft_source *source, const struct ft_chunk *chunk);
static bool take_chunk(struct ft_source *source, int64_t deadline_mono_ns);
static void tick(struct ft_source *source, int64_t mono_ns);

void ft_source_options_init(struct ft_source_options *options)
{
    *options = (struct ft_source_options){
        .tracker = ft_tracker_options_default,
        .reader = ft_reader_options_default,
        .queue_bytes_max = FT_SOURCE_QUEUE_BYTES_DEFAULT,
    };
}

ft_err ft_source_create(const struct ft_source_params *params, struct ft_source **ret_source)
{
    FT_CLEANUP(ft_source_destroy) struct ft_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    source->params = *params;
    FT_TRY(ft_chunk_queue_create(params->options.queue_bytes_max, &source->queue));
    FT_TRY(ft_reader_create(&params->options.reader, params->kernel, source->queue, params->random,
                            &source->stats, &source->reader));
    FT_TRY(ft_dumper_create(params->kernel, &source->dumper));
    FT_TRY(ft_tracker_create(&params->options.tracker, params->emit, params->emit_ctx,
                             &source->stats, &source->tracker));
    *ret_source = FT_TAKE(source);
    return FT_OK;
}

void ft_source_destroy(struct ft_source *source)
{
    if (source == NULL) {
        return;
    }
    ft_source_stop(source);
    ft_tracker_destroy(source->tracker);
    ft_dumper_destroy(source->dumper);
    ft_reader_destroy(source->reader);
    ft_chunk_queue_destroy(source->queue);
    free(source);
}

ft_err ft_source_start(struct ft_source *source)
{
    if (source->started) {
        return FT_OK;
    }
    FT_TRY(ft_thread_start(&source->thread, "ft-source", run_reader, source));
    source->started = true;
    return FT_OK;
}

void ft_source_stop(struct ft_source *source)
{
    if (source->started) {
        ft_reader_stop(source->reader);
        ft_thread_join(&source->thread);
        source->started = false;
    }
}

bool ft_source_step(struct ft_source *source, int64_t deadline_mono_ns)
{
    const struct ft_clock *clock = source->params.clock;
    enum ft_dump_reason reason;
    int64_t now = ft_clock_mono_ns(clock);
    if (!ft_dumper_is_active(source->dumper) &&
        ft_tracker_wants_dump(source->tracker, now, &reason)) {
        ft_dumper_begin(source->dumper, reason);
    }
    if (ft_dumper_is_active(source->dumper)) {
        bool took = take_chunk(source, INT64_MIN);
        bool may_wait = !took && deadline_mono_ns != INT64_MIN;
        const struct ft_chunk *chunk =
            ft_dumper_step(source->dumper, clock, may_wait ? DUMP_WAIT_MS : 0);
        if (chunk != NULL) {
            consume(source, chunk);
        }
        return took || chunk != NULL;
    }
    int64_t due = ft_tracker_deadline(source->tracker);
    if (take_chunk(source, deadline_mono_ns < due ? deadline_mono_ns : due)) {
        return true;
    }
    now = ft_clock_mono_ns(clock);
    if (now < due) {
        return false;
    }
    tick(source, now);
    return true;
}

void ft_source_wake(struct ft_source *source) { ft_chunk_queue_wake(source->queue); }

void ft_source_feed(struct ft_source *source, struct ft_chunk *chunk)
{
    chunk->mono_ns = ft_clock_mono_ns(source->params.clock);
    chunk->real_ns = ft_clock_real_ns(source->params.clock);
    consume(source, chunk);
}

void ft_source_set_ladder(struct ft_source *source, const struct ft_ladder_options *options)
{
    ft_reader_set_ladder(source->reader, options);
}

void ft_source_set_update_interval(struct ft_source *source, int64_t interval_ns)
{
    ft_tracker_set_update_interval(source->tracker, interval_ns);
}

const struct ft_source_stats *ft_source_get_stats(const struct ft_source *source)
{
    return &source->stats;
}

struct ft_reader *ft_source_get_reader(struct ft_source *source) { return source->reader; }

static void run_reader(void *ctx)
{
    struct ft_source *source = ctx;
    ft_reader_run(source->reader, source->params.clock);
}

static void consume(struct ft_source *source, const struct ft_chunk *chunk)
{
    if (source->params.tap != NULL) {
        source->params.tap(source->params.tap_ctx, chunk);
    }
    ft_tracker_consume(source->tracker, chunk);
}

static bool take_chunk(struct ft_source *source, int64_t deadline_mono_ns)
{
    struct ft_chunk *chunk = ft_chunk_queue_take(source->queue, deadline_mono_ns);
    if (chunk == NULL) {
        return false;
    }
    consume(source, chunk);
    ft_chunk_queue_give_back(source->queue, chunk);
    return true;
}

/* Time has passed and nothing came: the tracker has something to do. */
static void tick(struct ft_source *source, int64_t mono_ns)
{
    struct ft_chunk chunk = {
        .kind = FT_CHUNK_TICK,
        .mono_ns = mono_ns,
        .real_ns = ft_clock_real_ns(source->params.clock),
    };
    consume(source, &chunk);
}
