/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/sinker.h"

#include <stdlib.h>
#include <string.h>

#include "wire/batch_builder.h"
#include "wire/batch_reader.h"

/* Blocks of one transaction; it is committed when they are that many. */
#define BLOCKS_MAX 1024

/* What a block adds to its instance once it is committed. */
struct block_account {
    struct ft_instance_key key;
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t lost[FT_LOSS_CAUSE_N];
};

struct ft_sinker {
    struct ft_sinker_options options;
    struct ft_log_reader *reader;
    struct ft_id_deriver *deriver;
    uint64_t committed_position;
    uint64_t read_position;
    uint64_t shown_position; /* Blocks up to here were given to on_row. */
    uint64_t n_rows;         /* Appended and not committed. */
    int64_t first_row_ns;    /* When the first of them was appended. */
    size_t n_blocks;
    struct block_account blocks[BLOCKS_MAX];
    struct ft_row *rows; /* FT_BATCH_EVENTS_MAX */
    struct ft_sinker_stats stats;
};

static bool commit_is_due(const struct ft_sinker *sinker);
static ft_err take_block(struct ft_sinker *sinker, const struct ft_block *block,
                         struct ft_diag *reterr_diag);
static size_t decode(struct ft_sinker *sinker, struct ft_batch_reader *reader,
                     const struct ft_block *block, struct block_account *account);
static void count_damage(struct ft_sinker *sinker, const struct ft_block *block);
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
    sinker->shown_position = sinker->committed_position;
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
    if (err != FT_OK) {
        sinker->stats.failures++;
        begin_again(sinker);
    }
    return err;
}

struct stored_context {
    const struct block_account *account;
    int64_t now_ns;
};

static void add_stored(void *ctx, struct ft_instance *instance)
{
    const struct block_account *account = ((struct stored_context *)ctx)->account;
    if (account->last_seq <= instance->stored_seq) {
        return; /* Replayed: its rows and its losses are there already. */
    }
    uint64_t first_new =
        account->first_seq > instance->stored_seq ? account->first_seq : instance->stored_seq + 1;
    instance->stored_events += account->last_seq - first_new + 1;
    instance->stored_seq = account->last_seq;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        instance->lost_events[cause] += account->lost[cause];
    }
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
    for (size_t i = 0; i < sinker->n_blocks; i++) {
        struct stored_context context = {.account = &sinker->blocks[i]};
        ft_err_ignore(ft_instances_with(sinker->options.instances, &sinker->blocks[i].key,
                                        add_stored, &context),
                      "an instance that was forgotten is read from the store when it returns");
    }
    sinker->stats.rows += sinker->n_rows;
    sinker->stats.commits++;
    sinker->stats.committed_position = sinker->committed_position;
    sinker->stats.last_commit_real_ns = ft_clock_real_ns(sinker->options.clock);
    sinker->n_rows = 0;
    sinker->n_blocks = 0;
    return ft_log_reader_confirm(sinker->reader, sinker->committed_position);
}

const struct ft_sinker_stats *ft_sinker_stats(const struct ft_sinker *sinker)
{
    return &sinker->stats;
}

static bool commit_is_due(const struct ft_sinker *sinker)
{
    if (sinker->n_blocks == BLOCKS_MAX || sinker->n_rows >= sinker->options.batch_rows) {
        return true;
    }
    return sinker->n_rows > 0 && ft_clock_mono_ns(sinker->options.clock) >=
                                     sinker->first_row_ns + sinker->options.batch_interval_ns;
}

static ft_err take_block(struct ft_sinker *sinker, const struct ft_block *block,
                         struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_batch_reader_close) struct ft_batch_reader *reader = NULL;
    if (ft_batch_reader_open(block->data, block->size, &reader, NULL) != FT_OK) {
        count_damage(sinker, block);
        sinker->read_position = block->position;
        return FT_OK;
    }
    struct block_account *account = &sinker->blocks[sinker->n_blocks];
    size_t n_rows = decode(sinker, reader, block, account);
    FT_TRY(ft_sink_append(sinker->options.sink, sinker->rows, n_rows, reterr_diag));
    if (sinker->options.on_row != NULL && block->position > sinker->shown_position) {
        for (size_t i = 0; i < n_rows; i++) {
            sinker->options.on_row(sinker->options.on_row_ctx, &sinker->rows[i]);
        }
        sinker->shown_position = block->position;
    }
    if (sinker->n_rows == 0) {
        sinker->first_row_ns = ft_clock_mono_ns(sinker->options.clock);
    }
    sinker->n_rows += n_rows;
    sinker->n_blocks++;
    sinker->read_position = block->position;
    return FT_OK;
}

/* Fills sinker->rows, whose strings belong to 'reader'. */
static size_t decode(struct ft_sinker *sinker, struct ft_batch_reader *reader,
                     const struct ft_block *block, struct block_account *account)
{
    memset(account, 0, sizeof *account);
    memcpy(account->key.agent_id.bytes, block->info.agent_id, sizeof block->info.agent_id);
    account->key.instance_id = *ft_batch_reader_instance(reader);
    account->first_seq = ft_batch_reader_first_seq(reader);
    account->last_seq = account->first_seq + ft_batch_reader_count(reader) - 1;
    size_t n = 0;
    struct ft_row *row = sinker->rows;
    while (ft_batch_reader_next(reader, &row->event)) {
        row->agent_id = account->key.agent_id;
        row->instance_id = account->key.instance_id;
        row->stored_ns = block->info.time_ns;
        ft_id_derive_event(sinker->deriver, &row->instance_id, row->event.seq, &row->event_id);
        if ((row->event.fields & FT_FIELD_FLOW) != 0) {
            ft_id_derive_flow(sinker->deriver, &row->instance_id, row->event.ct_id,
                              row->event.start_ns, &row->flow_id);
        }
        if ((row->event.fields & FT_FIELD_LOSS) != 0) {
            account->lost[row->event.loss.cause] += row->event.loss.count;
        }
        row++;
        n++;
    }
    return n;
}

static void count_damage(struct ft_sinker *sinker, const struct ft_block *block)
{
    sinker->stats.damaged_blocks++;
    sinker->stats.damaged_events += block->info.n_events;
}

/* Back to the last commit: nothing behind it is kept. */
static void begin_again(struct ft_sinker *sinker)
{
    sinker->read_position = sinker->committed_position;
    sinker->n_rows = 0;
    sinker->n_blocks = 0;
    ft_log_reader_seek(sinker->reader, sinker->committed_position);
}
