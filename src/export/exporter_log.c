/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "export/exporter_impl.h"

static void finish(struct ft_exporter *exporter, const struct ft_msg_range *rejected,
                   unsigned n_rejected);
static void read_blocks(struct ft_exporter *exporter);
static bool settle_lost(struct ft_exporter *exporter);
static void take_block(struct ft_exporter *exporter, struct ft_block *block);
static void push_lost(struct ft_exporter *exporter, const struct ft_block_info *info,
                      uint64_t position, enum ft_loss_cause cause, const char *reason);

void ft_exporter_resume(struct ft_exporter *exporter)
{
    const struct ft_exporter_options *options = &exporter->options;
    exporter->bound = options->bound;
    exporter->collector_id = options->collector_id;
    exporter->base_seq = options->base_seq;
    struct ft_progress progress = {0};
    uint8_t note[FT_LOG_NOTE_SIZE_MAX];
    size_t size;
    ft_log_reader_note(exporter->reader, note, &size);
    if (ft_progress_decode(note, size, &progress)) {
        exporter->stats.done_events = progress.done_events;
        exporter->stats.rejected_events = progress.rejected_events;
        exporter->stats.acked_events = progress.done_events - progress.rejected_events;
    }
    exporter->acked_seq = progress.acked_seq > options->base_seq ? progress.acked_seq : 0;
    exporter->read_seq = progress.acked_seq;
    exporter->ever_sent_seq =
        options->known_seq > progress.acked_seq ? options->known_seq : progress.acked_seq;
}

void ft_exporter_refill(struct ft_exporter *exporter)
{
    do {
        read_blocks(exporter);
    } while (settle_lost(exporter));
}

void ft_exporter_take_durable(struct ft_exporter *exporter, uint64_t durable_seq,
                              const struct ft_msg_range *rejected, unsigned n_rejected)
{
    for (;;) {
        ft_exporter_refill(exporter);
        struct ft_flight_block *first = ft_flight_first(&exporter->flight);
        if (first == NULL || ft_flight_last_seq(first) > durable_seq) {
            break;
        }
        finish(exporter, rejected, n_rejected);
    }
}

static uint64_t overlap(const struct ft_msg_range *range, uint64_t first_seq, uint64_t last_seq)
{
    uint64_t first = range->first_seq > first_seq ? range->first_seq : first_seq;
    uint64_t last = range->last_seq < last_seq ? range->last_seq : last_seq;
    return first <= last ? last - first + 1 : 0;
}

/*
 * The oldest block is done with.  What it adds to the counts is kept together with its place, so
 * that both are of the same moment after a crash; only then are its losses told.
 */
static void finish(struct ft_exporter *exporter, const struct ft_msg_range *rejected,
                   unsigned n_rejected)
{
    struct ft_exporter_host *host = &exporter->options.host;
    struct ft_flight_block first = *ft_flight_first(&exporter->flight);
    const struct ft_block_info *info = &first.block.info;
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    uint64_t n_lost = first.lost_reason != NULL ? info->n_events : 0;
    for (unsigned i = 0; i < n_rejected && first.lost_reason == NULL; i++) {
        n_lost += overlap(&rejected[i], info->first_seq, last_seq);
    }
    n_lost = n_lost < info->n_events ? n_lost : info->n_events;
    exporter->acked_seq = last_seq;
    struct ft_progress progress = {.acked_seq = last_seq,
                                   .done_events = exporter->stats.done_events + info->n_events,
                                   .rejected_events = exporter->stats.rejected_events + n_lost};
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(&progress, note);
    ft_flight_pop(&exporter->flight);
    ft_err_ignore(
        ft_log_reader_confirm_noted(exporter->reader, first.block.position, note, sizeof note),
        "a position that is not kept is confirmed again by a later one");
    if (first.lost_reason != NULL) {
        bool damaged = first.lost_cause == FT_LOSS_SPOOL_DAMAGED && host->on_damaged != NULL;
        (damaged ? host->on_damaged : host->on_rejected)(host->ctx, info->first_seq, last_seq,
                                                         first.lost_reason);
    }
    for (unsigned i = 0; i < n_rejected && first.lost_reason == NULL; i++) {
        if (overlap(&rejected[i], info->first_seq, last_seq) > 0) {
            uint64_t from = rejected[i].first_seq;
            uint64_t to = rejected[i].last_seq;
            host->on_rejected(host->ctx, from > info->first_seq ? from : info->first_seq,
                              to < last_seq ? to : last_seq, rejected[i].reason);
        }
    }
    exporter->stats.rejected_events = progress.rejected_events;
    exporter->stats.acked_events = progress.done_events - progress.rejected_events;
    exporter->stats.done_events = progress.done_events;
    host->on_acked(host->ctx, info->first_seq, last_seq, info->time_ns);
}

static void read_blocks(struct ft_exporter *exporter)
{
    /* A block may bring a hole with it. */
    while (exporter->flight.n == 0 || (exporter->flight.n < FT_EXPORTER_BLOCKS_MAX - 1 &&
                                       exporter->flight.bytes < exporter->stats.window_bytes)) {
        struct ft_block block;
        ft_err err = ft_log_reader_next(exporter->reader, exporter->options.durable_only, &block);
        if (err == FT_OK) {
            take_block(exporter, &block);
        } else if (err != FT_E_CORRUPT) {
            return;
        } else if (block.info.n_events > 0) {
            push_lost(exporter, &block.info, block.position, FT_LOSS_SPOOL_DAMAGED,
                      "the block failed its checksum");
        } else {
            exporter->hole_position = block.position; /* The next block says what it held. */
        }
    }
}

/* What cannot be sent needs no acknowledgement: it is done with in its turn. */
static bool settle_lost(struct ft_exporter *exporter)
{
    bool any = false;
    const struct ft_flight_block *first;
    while ((first = ft_flight_first(&exporter->flight)) != NULL && first->lost_reason != NULL) {
        finish(exporter, NULL, 0);
        any = true;
    }
    return any;
}

static void take_block(struct ft_exporter *exporter, struct ft_block *block)
{
    if (block->size + FT_WIRE_BATCH_HEAD_SIZE_MAX > exporter->message_bytes_max) {
        push_lost(exporter, &block->info, block->position, FT_LOSS_REJECTED,
                  "the block is larger than the collector takes");
        ft_block_release(block);
        return;
    }
    uint64_t first_seq = block->info.first_seq;
    if (exporter->hole_position != 0 && first_seq > exporter->read_seq + 1) {
        struct ft_block_info hole = block->info;
        hole.first_seq = exporter->read_seq + 1;
        uint64_t n_events = first_seq - hole.first_seq;
        hole.n_events = n_events < UINT32_MAX ? (uint32_t)n_events : UINT32_MAX;
        push_lost(exporter, &hole, exporter->hole_position, FT_LOSS_SPOOL_DAMAGED,
                  "blocks cannot be read");
    }
    exporter->hole_position = 0;
    exporter->read_seq = first_seq + block->info.n_events - 1;
    ft_flight_push(&exporter->flight, block);
}

/* In its turn: its place is confirmed with those before it. */
static void push_lost(struct ft_exporter *exporter, const struct ft_block_info *info,
                      uint64_t position, enum ft_loss_cause cause, const char *reason)
{
    struct ft_block place = {.info = *info, .position = position};
    exporter->read_seq = info->first_seq + info->n_events - 1;
    ft_flight_push_lost(&exporter->flight, &place, cause, reason);
}
