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
    struct ft_memory *own_memory; /* NULL with params.memory. */
    struct ft_chunk_queue *queue;
    struct ft_reader *reader;
    struct ft_dumper *dumper;
    struct ft_tracker *tracker;
    struct ft_thread thread;
    bool started;
    /* The pipeline thread. */
    const struct ft_chunk *in_ring; /* The chunk of the queue that is being handled; NULL: none. */
    bool uncommitted;
    bool adopted; /* What the process before has left is handled: to be committed soon. */
};

static ft_err open_memory(struct ft_source *source, struct ft_memory **ret_memory);
static ft_err take_over(struct ft_source *source, const struct ft_memory_commit *commit);
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
    struct ft_memory *memory;
    FT_TRY(open_memory(source, &memory));
    struct ft_memory_commit commit = {0};
    bool adopted = params->memory != NULL && ft_memory_get_committed(memory, &commit);
    FT_TRY(ft_chunk_queue_create(memory, params->memory != NULL, commit.position, commit.offset,
                                 &source->queue));
    struct ft_tracker_options tracker = params->options.tracker;
    tracker.memory = memory;
    tracker.saving = params->memory != NULL;
    tracker.settled = params->settled;
    tracker.hash_seed = memory->header->hash_seed;
    tracker.flow_table_bytes_max = memory->header->table_bytes_max;
    FT_TRY(ft_tracker_create(&tracker, params->emit, params->emit_ctx, &source->stats,
                             &source->tracker));
    FT_TRY(ft_dumper_create(params->kernel, &source->dumper));
    FT_TRY(ft_reader_create(&params->options.reader, params->kernel, source->queue, params->random,
                            &source->stats, &source->reader));
    ft_reader_set_on_socket(source->reader, params->on_socket, params->on_socket_ctx);
    ft_stat_set(&source->stats.crash_safe, params->memory != NULL ? 1 : 0);
    if (adopted) {
        FT_TRY(take_over(source, &commit));
    }
    *ret_source = FT_TAKE(source);
    return FT_OK;
}

void ft_source_commit(struct ft_source *source, const struct ft_source_commit *commit)
{
    struct ft_chunk_queue *queue = source->queue;
    bool whole =
        source->in_ring == NULL || ft_tracker_get_done(source->tracker) == source->in_ring->size;
    /* Of the chunk that comes next: 0, but for the first one after a crash. */
    uint64_t offset = source->in_ring == NULL ? ft_chunk_queue_get_cut(queue) : 0;
    if (!whole) {
        offset = ft_chunk_queue_get_cut(queue) + ft_tracker_get_done(source->tracker);
    }
    struct ft_memory_commit all = {
        .position = whole ? ft_chunk_queue_get_next(queue) : ft_chunk_queue_get_taken(queue),
        .offset = offset,
        .owner = commit->owner,
        .owner_size = commit->owner_size,
        .block = commit->block,
        .block_size = commit->block_size,
        .block_info = commit->block_info,
        .block_info_size = commit->block_info_size,
        .block_last = commit->block_last,
    };
    all.source = ft_tracker_get_state(source->tracker, &all.source_size);
    ft_memory_commit(source->params.memory, &all);
    ft_stat_add(&source->stats.n_commits, 1);
    ft_stat_set(&source->stats.n_unkept, source->params.memory->n_unkept);
    ft_chunk_queue_free_until(queue, all.position);
    source->uncommitted = false;
    source->adopted = false;
}

ft_err ft_source_save(struct ft_source *source, struct ft_disk *disk,
                      const struct ft_saved_owner *owner)
{
    ft_tracker_end(source->tracker);
    size_t size;
    const void *state = ft_tracker_get_state(source->tracker, &size);
    const struct ft_memory *memory =
        source->params.memory != NULL ? source->params.memory : source->own_memory;
    return ft_saved_write(disk, memory, owner, state, size);
}

bool ft_source_wants_commit(const struct ft_source *source)
{
    return source->params.memory != NULL &&
           (source->adopted || ft_memory_wants_commit(source->params.memory) ||
            ft_chunk_queue_get_bytes_held(source->queue) >
                ft_chunk_queue_get_bytes(source->queue) / 4);
}

bool ft_source_is_uncommitted(const struct ft_source *source)
{
    return source->params.memory != NULL && source->uncommitted;
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
    ft_memory_destroy(source->own_memory);
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

static ft_err open_memory(struct ft_source *source, struct ft_memory **ret_memory)
{
    const struct ft_source_options *options = &source->params.options;
    if (source->params.memory == NULL) {
        struct ft_memory_options memory = {.ring_bytes = options->queue_bytes_max,
                                           .table_bytes_max = options->tracker.flow_table_bytes_max,
                                           .hash_seed = options->tracker.hash_seed};
        FT_TRY(ft_memory_create(&memory, &source->own_memory));
    }
    *ret_memory = source->params.memory != NULL ? source->params.memory : source->own_memory;
    return FT_OK;
}

/* Begins where the process before ended. */
static ft_err take_over(struct ft_source *source, const struct ft_memory_commit *commit)
{
    FT_TRY(ft_tracker_set_state(source->tracker, commit->source, commit->source_size));
    ft_reader_adopt(source->reader, source->params.events_fd);
    return FT_OK;
}

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
    source->uncommitted = true;
    source->adopted = source->adopted || chunk->kind == FT_CHUNK_ADOPTED;
    ft_tracker_consume(source->tracker, chunk);
}

static bool take_chunk(struct ft_source *source, int64_t deadline_mono_ns)
{
    struct ft_chunk *chunk = ft_chunk_queue_take(source->queue, deadline_mono_ns);
    if (chunk == NULL) {
        return false;
    }
    source->in_ring = chunk;
    consume(source, chunk);
    source->in_ring = NULL;
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
