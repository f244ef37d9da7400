/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/sinker.h"

#include <stdlib.h>
#include <string.h>

#include "wire/batch_builder.h"
#include "wire/batch_reader.h"

/* One transaction; it is committed when its blocks are that many, or that large. */
#define BLOCKS_MAX       1024
#define BLOCKS_BYTES_MAX ((size_t)16 << 20)

/*
 * A block whose rows are appended and not committed.  It is kept so that live streams get its rows
 * once they are stored, and only then.
 */
struct pending {
    struct ft_block block;
    struct ft_instance_key key;
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t lost[FT_LOSS_CAUSE_N]; /* Told by its LOSS events. */
};

struct ft_sinker {
    struct ft_sinker_options options;
    struct ft_log_reader *reader;
    struct ft_id_deriver *deriver;
    uint64_t committed_position;
    uint64_t read_position;
    uint64_t n_rows;      /* Appended and not committed. */
    int64_t first_row_ns; /* When the first of them was appended. */
    size_t n_pending;
    size_t pending_bytes;
    struct pending pending[BLOCKS_MAX];
    struct ft_row *rows; /* FT_BATCH_EVENTS_MAX */
    struct ft_sinker_stats stats;
};

static ft_err stay_in_log(struct ft_sinker *sinker, struct ft_diag *reterr_diag);
static bool commit_is_due(const struct ft_sinker *sinker);
static ft_err take_block(struct ft_sinker *sinker, struct ft_block *block,
                         struct ft_diag *reterr_diag);
static size_t decode(struct ft_sinker *sinker, struct ft_batch_reader *reader,
                     struct pending *pending);
static uint64_t count_stored(struct ft_sinker *sinker, const struct pending *pending);
static void publish(struct ft_sinker *sinker, const struct pending *pending,
                    uint64_t stored_before);
static void count_damage(struct ft_sinker *sinker, const struct ft_block *block);
static void release_pending(struct ft_sinker *sinker);
static void begin_again(struct ft_sinker *sinker);

ft_err ft_sinker_create(const struct ft_sinker_options *options, struct ft_sinker **ret_sinker,
                        struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_sinker_destroy) struct ft_sinker *sinker = calloc(1, sizeof *sinker);
    if (sinker == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    sinker->options = *options;
    sinker->rows = calloc(FT_BATCH_EVENTS_MAX, sizeof *sinker->rows);
    if (sinker->rows == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    FT_TRY(ft_id_deriver_create(&sinker->deriver));
    FT_TRY(ft_log_reader_open(options->log, options->name, false, &sinker->reader));
    FT_TRY(
        ft_sink_begin(options->sink, &options->log_id, &sinker->committed_position, reterr_diag));
    FT_TRY(stay_in_log(sinker, reterr_diag));
    sinker->stats.committed_position = sinker->committed_position;
    begin_again(sinker);
    *ret_sinker = FT_TAKE(sinker);
    return FT_OK;
}

void ft_sinker_destroy(struct ft_sinker *sinker)
{
    if (sinker == NULL) {
        return;
    }
    release_pending(sinker);
    if (sinker->reader != NULL) {
        ft_log_reader_close(sinker->reader);
    }
    ft_id_deriver_destroy(sinker->deriver);
    free(sinker->rows);
    free(sinker);
}

ft_err ft_sinker_step(struct ft_sinker *sinker, int64_t deadline_mono_ns,
                      struct ft_diag *reterr_diag)
{
    if (commit_is_due(sinker)) {
        return ft_sinker_flush(sinker, reterr_diag);
    }
    if (sinker->n_rows > 0) {
        int64_t due_ns = sinker->first_row_ns + sinker->options.batch_interval_ns;
        deadline_mono_ns = due_ns < deadline_mono_ns ? due_ns : deadline_mono_ns;
    }
    struct ft_block block = {0};
    ft_err err = ft_log_reader_next(sinker->reader, true, &block);
    if (err == ft_err_from_errno(EAGAIN)) {
        (void)ft_log_reader_wait(sinker->reader, true, deadline_mono_ns);
        return FT_OK;
    }
    if (err == FT_E_CORRUPT) {
        count_damage(sinker, &block);
        sinker->read_position = block.position;
        return FT_OK;
    }
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "the log cannot be read: %s",
                           ft_err_text(err));
    }
    err = take_block(sinker, &block, reterr_diag);
    ft_block_release(&block);
    return err;
}

ft_err ft_sinker_flush(struct ft_sinker *sinker, struct ft_diag *reterr_diag)
{
    if (sinker->read_position == sinker->committed_position) {
        return FT_OK;
    }
    ft_err err = ft_sink_commit(sinker->options.sink, sinker->read_position, reterr_diag);
    if (err != FT_OK) {
        sinker->stats.failures++;
        begin_again(sinker);
        return err;
    }
    sinker->committed_position = sinker->read_position;
    sinker->stats.rows += sinker->n_rows;
    sinker->stats.commits++;
    sinker->stats.committed_position = sinker->committed_position;
    sinker->stats.last_commit_real_ns = ft_clock_real_ns(sinker->options.clock);
    for (size_t i = 0; i < sinker->n_pending; i++) {
        uint64_t stored_before = count_stored(sinker, &sinker->pending[i]);
        publish(sinker, &sinker->pending[i], stored_before);
    }
    release_pending(sinker);
    return ft_log_reader_confirm(sinker->reader, sinker->committed_position);
}

const struct ft_sinker_stats *ft_sinker_stats(const struct ft_sinker *sinker)
{
    return &sinker->stats;
}

/*
 * A log that has lost its end gives positions again that the sink has passed.  The sink must take
 * what comes there, also if this process ends before it does.
 */
static ft_err stay_in_log(struct ft_sinker *sinker, struct ft_diag *reterr_diag)
{
    uint64_t first;
    uint64_t last;
    ft_log_bounds(sinker->options.log, &first, &last);
    if (sinker->committed_position <= last) {
        return FT_OK;
    }
    sinker->committed_position = last;
    return ft_sink_commit(sinker->options.sink, last, reterr_diag);
}

static bool commit_is_due(const struct ft_sinker *sinker)
{
    if (sinker->n_pending == BLOCKS_MAX || sinker->pending_bytes >= BLOCKS_BYTES_MAX ||
        sinker->n_rows >= sinker->options.batch_rows) {
        return true;
    }
    return sinker->n_rows > 0 && ft_clock_mono_ns(sinker->options.clock) >=
                                     sinker->first_row_ns + sinker->options.batch_interval_ns;
}

/* Moves the block into 'pending' when its rows are appended. */
static ft_err take_block(struct ft_sinker *sinker, struct ft_block *block,
                         struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    ft_err err = ft_batch_reader_open(block->data, block->size, &reader, reterr_diag);
    if (err == ft_err_from_errno(ENOMEM)) {
        /* That says nothing about the block, and the sink has not heard of it: it comes again. */
        ft_log_reader_seek(sinker->reader, sinker->read_position);
        return err;
    }
    if (err != FT_OK) {
        count_damage(sinker, block);
        sinker->read_position = block->position;
        return FT_OK;
    }
    struct pending *pending = &sinker->pending[sinker->n_pending];
    *pending = (struct pending){.block = *block};
    size_t n_rows = decode(sinker, reader, pending);
    err = ft_sink_append(sinker->options.sink, sinker->rows, n_rows, reterr_diag);
    if (err != FT_OK) {
        sinker->stats.failures++;
        begin_again(sinker);
        return err;
    }
    if (sinker->n_rows == 0) {
        sinker->first_row_ns = ft_clock_mono_ns(sinker->options.clock);
    }
    sinker->n_rows += n_rows;
    sinker->n_pending++;
    sinker->pending_bytes += block->size;
    sinker->read_position = block->position;
    *block = (struct ft_block){0};
    return FT_OK;
}

/*
 * Fills sinker->rows, whose strings belong to 'reader', and what is told of the block.  The rows
 * have no ids: the sink knows that those are the derived ones, and deriving them is most of the
 * work of a row.
 */
static size_t decode(struct ft_sinker *sinker, struct ft_batch_reader *reader,
                     struct pending *pending)
{
    memcpy(pending->key.agent_id.bytes, pending->block.info.agent_id,
           sizeof pending->key.agent_id.bytes);
    pending->key.instance_id = *ft_batch_reader_instance(reader);
    pending->first_seq = ft_batch_reader_first_seq(reader);
    pending->last_seq = pending->first_seq + ft_batch_reader_count(reader) - 1;
    size_t n = 0;
    struct ft_row *row = sinker->rows;
    while (ft_batch_reader_next(reader, &row->event)) {
        row->agent_id = pending->key.agent_id;
        row->instance_id = pending->key.instance_id;
        row->stored_ns = pending->block.info.time_ns;
        row->event_id = (struct ft_uuid){0};
        row->flow_id = (struct ft_uuid){0};
        if ((row->event.fields & FT_FIELD_LOSS) != 0) {
            pending->lost[row->event.loss.cause] += row->event.loss.count;
        }
        row++;
        n++;
    }
    return n;
}

struct stored_context {
    const struct pending *pending;
    uint64_t stored_before;
};

static void add_stored(void *ctx, struct ft_instance *instance)
{
    struct stored_context *context = ctx;
    const struct pending *pending = context->pending;
    context->stored_before = instance->stored_seq;
    if (pending->last_seq <= instance->stored_seq) {
        return; /* Replayed: its rows and its losses are there already. */
    }
    uint64_t first_new =
        pending->first_seq > instance->stored_seq ? pending->first_seq : instance->stored_seq + 1;
    instance->stored_events += pending->last_seq - first_new + 1;
    instance->stored_seq = pending->last_seq;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        instance->lost_events[cause] += pending->lost[cause];
    }
}

/* Up to which number the instance was stored before this block was. */
static uint64_t count_stored(struct ft_sinker *sinker, const struct pending *pending)
{
    struct stored_context context = {.pending = pending};
    ft_err_ignore(ft_instances_with(sinker->options.instances, &pending->key, add_stored, &context),
                  "an instance that was forgotten is read from the store when it returns");
    return context.stored_before;
}

/*
 * A stream that was there before the commit gets the rows here; one that comes later finds them in
 * the store.  So a client that opens its stream first and then asks the store misses nothing.
 */
static void publish(struct ft_sinker *sinker, const struct pending *pending, uint64_t stored_before)
{
    const struct ft_sinker_options *options = &sinker->options;
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    if (options->on_row == NULL || !options->rows_are_wanted(options->on_row_ctx) ||
        ft_batch_reader_open(pending->block.data, pending->block.size, &reader, NULL) != FT_OK) {
        return;
    }
    struct ft_row row = {.agent_id = pending->key.agent_id,
                         .instance_id = pending->key.instance_id,
                         .stored_ns = pending->block.info.time_ns};
    while (ft_batch_reader_next(reader, &row.event)) {
        if (row.event.seq <= stored_before) {
            continue; /* The repeat of a row that was shown when it was stored. */
        }
        ft_id_derive_event(sinker->deriver, &row.instance_id, row.event.seq, &row.event_id);
        if ((row.event.fields & FT_FIELD_FLOW) != 0) {
            ft_id_derive_flow(sinker->deriver, &row.instance_id, row.event.ct_id,
                              row.event.start_ns, &row.flow_id);
        }
        options->on_row(options->on_row_ctx, &row);
    }
}

static void count_damage(struct ft_sinker *sinker, const struct ft_block *block)
{
    sinker->stats.damaged_blocks++;
    sinker->stats.damaged_events += block->info.n_events;
}

static void release_pending(struct ft_sinker *sinker)
{
    for (size_t i = 0; i < sinker->n_pending; i++) {
        ft_block_release(&sinker->pending[i].block);
    }
    sinker->n_pending = 0;
    sinker->pending_bytes = 0;
    sinker->n_rows = 0;
}

/* Back to the last commit: nothing behind it is kept. */
static void begin_again(struct ft_sinker *sinker)
{
    release_pending(sinker);
    sinker->read_position = sinker->committed_position;
    ft_log_reader_seek(sinker->reader, sinker->committed_position);
}
