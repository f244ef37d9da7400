/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/sinker.h"

#include <stdlib.h>
#include <string.h>

#include "collector/sinker_impl.h"
#include "wire/batch_builder.h"
#include "wire/batch_reader.h"

static ft_err stay_in_log(struct ft_sinker *sinker, struct ft_diag *reterr_diag);
static void want_back(struct ft_sinker *sinker);
static bool commit_is_due(const struct ft_sinker *sinker);
static ft_err take_block(struct ft_sinker *sinker, struct ft_block *block,
                         struct ft_diag *reterr_diag);
static size_t decode(struct ft_sinker *sinker, struct ft_batch_reader *reader,
                     struct ft_sinker_block *pending);
static void settle(struct ft_sinker *sinker, const struct ft_sinker_block *pending);
static void publish(struct ft_sinker *sinker, const struct ft_sinker_block *pending,
                    uint64_t stored_before);

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
    sinker->stats.found_position = sinker->committed_position;
    FT_TRY(stay_in_log(sinker, reterr_diag));
    want_back(sinker);
    /* The log's own cursor may be behind: then a full log would wait for a commit, and that for a
     * block that the full log does not take. */
    ft_err_ignore(ft_log_reader_confirm(sinker->reader, sinker->committed_position),
                  "the next commit confirms again");
    sinker->stats.committed_position = sinker->committed_position;
    if (options->quarantine != NULL) {
        FT_TRY(ft_quarantine_settle(options->quarantine, sinker->committed_position));
    }
    ft_sinker_begin_again(sinker);
    *ret_sinker = FT_TAKE(sinker);
    return FT_OK;
}

void ft_sinker_destroy(struct ft_sinker *sinker)
{
    if (sinker == NULL) {
        return;
    }
    ft_sinker_release_pending(sinker);
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
        return ft_sinker_commit(sinker, reterr_diag);
    }
    if (sinker->n_pending == FT_SINKER_BLOCKS_MAX) {
        return ft_sinker_end_trial(sinker, reterr_diag);
    }
    if (sinker->n_pending > 0) {
        int64_t due_ns = sinker->first_ns + sinker->options.batch_interval_ns;
        deadline_mono_ns = due_ns < deadline_mono_ns ? due_ns : deadline_mono_ns;
    }
    struct ft_block block = {0};
    ft_err err = ft_log_reader_next(sinker->reader, true, &block);
    if (err == ft_err_from_errno(EAGAIN)) {
        if (sinker->n_suspects > 0) {
            return ft_sinker_end_trial(sinker, reterr_diag);
        }
        (void)ft_log_reader_wait(sinker->reader, true, deadline_mono_ns);
        return FT_OK;
    }
    if (err == FT_E_CORRUPT) {
        (void)ft_sinker_add_pending(sinker, &block, FT_SINKER_DAMAGED);
        return FT_OK;
    }
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0, "the log cannot be read: %s",
                           ft_err_text(err));
    }
    struct ft_diag diag = {0};
    err = take_block(sinker, &block, &diag);
    if (err != FT_OK) {
        err = ft_sinker_on_failure(sinker, block.data == NULL, err, &diag);
    } else if (ft_sinker_is_in_trial(sinker) && sinker->n_rows > 0 &&
               ft_sinker_is_neighbour(sinker, &sinker->pending[sinker->n_pending - 1])) {
        err = ft_sinker_commit(sinker, &diag);
    }
    ft_block_release(&block);
    if (err != FT_OK && reterr_diag != NULL) {
        *reterr_diag = diag;
    }
    return err;
}

ft_err ft_sinker_flush(struct ft_sinker *sinker, struct ft_diag *reterr_diag)
{
    if (sinker->n_suspects == 0) {
        return ft_sinker_commit(sinker, reterr_diag);
    }
    /* The cursor must not move over them yet: they are tried again later. */
    ft_quarantine_acquit(sinker->options.quarantine);
    ft_sinker_begin_again(sinker);
    return ft_sink_commit(sinker->options.sink, sinker->committed_position, reterr_diag);
}

ft_err ft_sinker_commit(struct ft_sinker *sinker, struct ft_diag *reterr_diag)
{
    if (sinker->read_position == sinker->committed_position) {
        return FT_OK;
    }
    struct ft_diag diag = {0};
    ft_err err = ft_sink_commit(sinker->options.sink, sinker->read_position, &diag);
    if (err != FT_OK) {
        err = ft_sinker_on_failure(sinker, true, err, &diag);
        if (err != FT_OK && reterr_diag != NULL) {
            *reterr_diag = diag;
        }
        return err;
    }
    ft_sinker_on_commit(sinker);
    sinker->committed_position = sinker->read_position;
    sinker->stats.rows += sinker->n_rows;
    sinker->stats.commits++;
    sinker->stats.committed_position = sinker->committed_position;
    sinker->stats.last_commit_real_ns = ft_clock_real_ns(sinker->options.clock);
    for (size_t i = 0; i < sinker->n_pending; i++) {
        settle(sinker, &sinker->pending[i]);
    }
    ft_sinker_release_pending(sinker);
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

/*
 * A sink that was lost or set back needs what it had confirmed once: what the log has of that must
 * not go before it was read.
 */
static void want_back(struct ft_sinker *sinker)
{
    uint64_t first;
    uint64_t last;
    ft_log_bounds(sinker->options.log, &first, &last);
    uint64_t position = sinker->committed_position;
    position = position + 1 < first ? first - 1 : position;
    uint64_t confirmed = ft_log_reader_confirmed(sinker->reader);
    if (position < confirmed) {
        sinker->stats.again_blocks = confirmed - position;
        ft_err_ignore(ft_log_reader_go_back(sinker->reader, position, NULL, 0),
                      "a log that is empty has nothing to give");
    }
}

struct ft_sinker_block *ft_sinker_add_pending(struct ft_sinker *sinker, struct ft_block *block,
                                              enum ft_sinker_fate fate)
{
    if (sinker->n_pending == 0) {
        sinker->first_ns = ft_clock_mono_ns(sinker->options.clock);
    }
    struct ft_sinker_block *pending = &sinker->pending[sinker->n_pending++];
    *pending = (struct ft_sinker_block){.block = *block, .fate = fate};
    *block = (struct ft_block){0};
    const struct ft_block_info *info = &pending->block.info;
    memcpy(pending->key.agent_id.bytes, info->agent_id, sizeof info->agent_id);
    memcpy(pending->key.instance_id.bytes, info->instance_id, sizeof info->instance_id);
    if (info->n_events > 0) {
        pending->first_seq = info->first_seq;
        pending->last_seq = info->first_seq + info->n_events - 1;
    }
    sinker->pending_bytes += pending->block.size;
    sinker->read_position = pending->block.position;
    return pending;
}

void ft_sinker_let_go(struct ft_sinker *sinker, struct ft_sinker_block *pending)
{
    sinker->pending_bytes -= pending->block.size;
    pending->block.size = 0;
    ft_block_release(&pending->block);
}

void ft_sinker_release_pending(struct ft_sinker *sinker)
{
    for (size_t i = 0; i < sinker->n_pending; i++) {
        ft_block_release(&sinker->pending[i].block);
    }
    sinker->n_pending = 0;
    sinker->pending_bytes = 0;
    sinker->n_rows = 0;
    sinker->n_suspects = 0;
}

void ft_sinker_begin_again(struct ft_sinker *sinker)
{
    ft_sinker_release_pending(sinker);
    sinker->read_position = sinker->committed_position;
    ft_log_reader_seek(sinker->reader, sinker->committed_position);
}

static bool commit_is_due(const struct ft_sinker *sinker)
{
    if (sinker->n_suspects > 0) {
        return false; /* Only together with another block, or at the end of the trial. */
    }
    if (sinker->n_pending == FT_SINKER_BLOCKS_MAX ||
        sinker->pending_bytes >= FT_SINKER_BLOCKS_BYTES_MAX ||
        sinker->n_rows >= sinker->options.batch_rows) {
        return true;
    }
    return sinker->n_pending > 0 && ft_clock_mono_ns(sinker->options.clock) >=
                                        sinker->first_ns + sinker->options.batch_interval_ns;
}

/* Moves the block into 'pending' when its rows are appended, or when it is passed over. */
static ft_err take_block(struct ft_sinker *sinker, struct ft_block *block,
                         struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    ft_err err = ft_batch_reader_open(block->data, block->size, &reader, reterr_diag);
    if (err == ft_err_from_errno(ENOMEM)) {
        return err;
    }
    if (err != FT_OK) {
        return ft_sinker_pass_undecodable(sinker, block, reterr_diag);
    }
    struct ft_sinker_block *pending = ft_sinker_add_pending(sinker, block, FT_SINKER_STORED);
    size_t n_rows = decode(sinker, reader, pending);
    FT_TRY(ft_sink_append(sinker->options.sink, sinker->rows, n_rows, reterr_diag));
    sinker->n_rows += n_rows;
    return FT_OK;
}

ft_err ft_sinker_append(struct ft_sinker *sinker, const struct ft_sinker_block *pending,
                        struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    FT_TRY(ft_batch_reader_open(pending->block.data, pending->block.size, &reader, reterr_diag));
    struct ft_sinker_block again = *pending; /* What it tells is counted already. */
    size_t n_rows = decode(sinker, reader, &again);
    FT_TRY(ft_sink_append(sinker->options.sink, sinker->rows, n_rows, reterr_diag));
    sinker->n_rows += n_rows;
    return FT_OK;
}

static void remove_gap(void *ctx, struct ft_instance *instance)
{
    const struct ft_loss *loss = ctx;
    ft_ranges_remove(&instance->gaps, loss->first_seq, loss->last_seq);
    ft_ranges_remove(&instance->store_gaps, loss->first_seq, loss->last_seq);
}

/* An agent that says it is lost has nothing to fill a gap with. */
static void end_gap(struct ft_sinker *sinker, const struct ft_instance_key *key,
                    const struct ft_loss *loss)
{
    struct ft_loss copy = *loss;
    if (loss->first_seq > 0) {
        ft_err_ignore(ft_instances_with(sinker->options.instances, key, remove_gap, &copy),
                      "an instance that was forgotten is read from the store when it returns");
    }
}

/*
 * Fills sinker->rows, whose strings belong to 'reader', and what is told of the block.  The rows
 * have no ids: the sink knows that those are the derived ones, and deriving them is most of the
 * work of a row.
 */
static size_t decode(struct ft_sinker *sinker, struct ft_batch_reader *reader,
                     struct ft_sinker_block *pending)
{
    size_t n = 0;
    struct ft_row *row = sinker->rows;
    while (ft_batch_reader_next(reader, &row->event)) {
        row->agent_id = pending->key.agent_id;
        row->instance_id = pending->key.instance_id;
        row->stored_ns = pending->block.info.time_ns;
        row->life = ft_batch_reader_life(reader);
        row->event_id = (struct ft_uuid){0};
        row->flow_id = (struct ft_uuid){0};
        if ((row->event.fields & FT_FIELD_LOSS) != 0) {
            pending->lost[row->event.loss.cause] += row->event.loss.count;
            end_gap(sinker, &pending->key, &row->event.loss);
        }
        row++;
        n++;
    }
    return n;
}

struct settle_context {
    const struct ft_sinker_block *pending;
    uint64_t stored_before;
};

static void add_settled(void *ctx, struct ft_instance *instance)
{
    struct settle_context *context = ctx;
    const struct ft_sinker_block *pending = context->pending;
    context->stored_before = instance->stored_seq;
    instance->settled_position = pending->block.position;
    uint64_t n_new =
        ft_ranges_overlap(&instance->store_gaps, pending->first_seq, pending->last_seq);
    ft_ranges_remove(&instance->store_gaps, pending->first_seq, pending->last_seq);
    if (pending->last_seq > instance->stored_seq) {
        uint64_t first_new = pending->first_seq > instance->stored_seq ? pending->first_seq
                                                                       : instance->stored_seq + 1;
        n_new += pending->last_seq - first_new + 1;
        instance->stored_seq = pending->last_seq;
    }
    if (n_new == 0) {
        return; /* Replayed: it was counted before. */
    }
    switch (pending->fate) {
    case FT_SINKER_STORED:
        instance->stored_events += n_new;
        for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
            instance->lost_events[cause] += pending->lost[cause];
        }
        break;
    case FT_SINKER_POISON:
        instance->quarantined_events += n_new;
        break;
    case FT_SINKER_DAMAGED:
        instance->damaged_events += n_new;
        break;
    }
}

/* The cursor has moved over the block: counts it, and shows its rows. */
static void settle(struct ft_sinker *sinker, const struct ft_sinker_block *pending)
{
    struct settle_context context = {.pending = pending};
    if (pending->last_seq != 0) {
        ft_err_ignore(
            ft_instances_with(sinker->options.instances, &pending->key, add_settled, &context),
            "an instance that was forgotten is read from the store when it returns");
    }
    switch (pending->fate) {
    case FT_SINKER_STORED:
        publish(sinker, pending, context.stored_before);
        break;
    case FT_SINKER_POISON:
        sinker->stats.quarantined_blocks++;
        sinker->stats.quarantined_events += pending->block.info.n_events;
        break;
    case FT_SINKER_DAMAGED:
        sinker->stats.damaged_blocks++;
        sinker->stats.damaged_events += pending->block.info.n_events;
        break;
    }
}

/*
 * A stream that was there before the commit gets the rows here; one that comes later finds them in
 * the store.  So a client that opens its stream first and then asks the store misses nothing.
 */
static void publish(struct ft_sinker *sinker, const struct ft_sinker_block *pending,
                    uint64_t stored_before)
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
