/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "export/exporter_impl.h"

static void finish(struct ft_exporter *exporter, const struct ft_msg_range *rejected,
                   unsigned n_rejected);
static void read_blocks(struct ft_exporter *exporter);
static bool settle_lost(struct ft_exporter *exporter);
static void take_block(struct ft_exporter *exporter, struct ft_block *block);
static void close_hole(struct ft_exporter *exporter, const struct ft_block_info *next);
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
    if (ft_progress_decode(note, size, &progress) && options->base_seq > 0 &&
        progress.acked_seq <= options->base_seq) {
        /* What is counted there is of an earlier instance. */
        progress =
            (struct ft_progress){.acked_seq = progress.acked_seq, .stored_seq = progress.acked_seq};
    }
    ft_exporter_publish_progress(exporter, &progress);
    exporter->is_guess = progress.known_from == 0 && progress.acked_seq > options->base_seq;
    ft_holes_init(&exporter->holes,
                  progress.known_from > 0 ? progress.known_from : progress.acked_seq + 1);
    for (unsigned i = 0; i < progress.holes.n; i++) {
        ft_holes_add(&exporter->holes, progress.holes.at[i].first, progress.holes.at[i].last);
    }
    ft_holes_add(&exporter->holes, progress.stored_seq + 1, progress.acked_seq);
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

/* The highest of them, as many as have a place. */
static void copy_holes(const struct ft_holes *holes, struct ft_progress *progress)
{
    size_t first = holes->n > FT_RANGES_MAX ? holes->n - FT_RANGES_MAX : 0;
    progress->known_from = holes->known_from;
    if (first > 0 && holes->holes[first - 1].last_seq >= holes->known_from) {
        progress->known_from = holes->holes[first - 1].last_seq + 1;
    }
    for (size_t i = first; i < holes->n; i++) {
        progress->holes.at[progress->holes.n++] =
            (struct ft_range){holes->holes[i].first_seq, holes->holes[i].last_seq};
    }
}

struct ft_progress ft_exporter_progress(const struct ft_exporter *exporter)
{
    struct ft_progress progress = {.acked_seq = exporter->acked_seq,
                                   .done_events = exporter->stats.done_events,
                                   .rejected_events = exporter->stats.rejected_events,
                                   .gone_events = exporter->stats.gone_events,
                                   .stored_seq =
                                       ft_holes_below(&exporter->holes, exporter->acked_seq)};
    copy_holes(&exporter->holes, &progress);
    if (exporter->is_guess) {
        progress.known_from = 0;
    }
    return progress;
}

void ft_exporter_keep_place(struct ft_exporter *exporter)
{
    ft_err_ignore(ft_log_reader_keep(exporter->reader),
                  "a disk that fails may have it told twice, which is better than not at all");
}

void ft_exporter_publish_progress(struct ft_exporter *exporter, const struct ft_progress *progress)
{
    exporter->stats.rejected_events = progress->rejected_events;
    exporter->stats.gone_events = progress->gone_events;
    exporter->stats.acked_events =
        progress->done_events - progress->rejected_events - progress->gone_events;
    exporter->stats.done_events = progress->done_events;
    exporter->stats.acked_seq = progress->acked_seq;
}

/* The part of a rejected range that lies in the block; false when none does. */
static bool part_of(const struct ft_msg_range *range, const struct ft_block_info *info,
                    struct ft_hole *ret_part)
{
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    ret_part->first_seq = range->first_seq > info->first_seq ? range->first_seq : info->first_seq;
    ret_part->last_seq = range->last_seq < last_seq ? range->last_seq : last_seq;
    return ret_part->first_seq <= ret_part->last_seq;
}

/* The last of them that is stored, or of those before them. */
static uint64_t last_stored(const struct ft_exporter *exporter, const struct ft_hole *whole,
                            bool is_lost, const struct ft_msg_range *rejected, unsigned n_rejected)
{
    uint64_t seq = is_lost ? whole->first_seq - 1 : whole->last_seq;
    uint64_t before;
    do {
        before = seq;
        for (unsigned i = 0; i < n_rejected; i++) {
            if (rejected[i].first_seq <= seq && seq <= rejected[i].last_seq) {
                seq = rejected[i].first_seq - 1;
            }
        }
        seq = ft_holes_below(&exporter->holes, seq);
    } while (seq != before);
    return seq;
}

/* How many of these are lost that were not accounted for before. */
static uint64_t count_new(const struct ft_exporter *exporter, const struct ft_hole *part)
{
    return part->last_seq - part->first_seq + 1 -
           ft_holes_overlap(&exporter->holes, part->first_seq, part->last_seq);
}

/* Tells what is lost of 'part', but for what was accounted for before, and remembers it. */
static void tell_lost(struct ft_exporter *exporter, struct ft_hole part, bool damaged,
                      const char *reason)
{
    struct ft_exporter_host *host = &exporter->options.host;
    struct ft_hole run;
    while (ft_holes_next_outside(&exporter->holes, part.first_seq, part.last_seq, &run)) {
        (damaged && host->on_damaged != NULL ? host->on_damaged : host->on_rejected)(
            host->ctx, run.first_seq, run.last_seq, reason);
        ft_holes_add(&exporter->holes, run.first_seq, run.last_seq);
    }
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
    struct ft_hole whole = {info->first_seq, info->first_seq + info->n_events - 1};
    struct ft_hole part;
    bool is_lost = first.lost_reason != NULL && !first.stored;
    uint64_t n_new = count_new(exporter, &whole);
    uint64_t n_lost = is_lost ? n_new : 0;
    for (unsigned i = 0; i < n_rejected && !is_lost; i++) {
        n_lost += part_of(&rejected[i], info, &part) ? count_new(exporter, &part) : 0;
    }
    uint64_t done_seq =
        exporter->acked_seq > exporter->base_seq ? exporter->acked_seq : exporter->base_seq;
    /* What is between was dropped, and told by whoever dropped it. */
    ft_holes_add(&exporter->holes, done_seq + 1, whole.first_seq - 1);
    exporter->acked_seq = whole.last_seq;
    struct ft_progress progress = ft_exporter_progress(exporter);
    progress.done_events += n_new;
    progress.rejected_events += n_lost;
    progress.stored_seq = last_stored(exporter, &whole, is_lost, rejected, n_rejected);
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(&progress, note);
    ft_flight_pop(&exporter->flight);
    ft_err_ignore(
        ft_log_reader_confirm_noted(exporter->reader, first.block.position, note, sizeof note),
        "a position that is not kept is confirmed again by a later one");
    if (n_lost > 0) {
        ft_exporter_keep_place(exporter);
    }
    exporter->stats.account_version++;
    if (is_lost) {
        tell_lost(exporter, whole, first.lost_cause == FT_LOSS_SPOOL_DAMAGED, first.lost_reason);
    }
    for (unsigned i = 0; i < n_rejected && !is_lost; i++) {
        if (part_of(&rejected[i], info, &part)) {
            tell_lost(exporter, part, false, rejected[i].reason);
        }
    }
    ft_exporter_publish_progress(exporter, &progress);
    exporter->stats.account_version++;
    host->on_acked(host->ctx, whole.first_seq, whole.last_seq, info->time_ns);
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
            close_hole(exporter, &block.info);
            push_lost(exporter, &block.info, block.position, FT_LOSS_SPOOL_DAMAGED,
                      "the block failed its checksum");
        } else {
            exporter->hole_position = block.position; /* The next block says what it held. */
        }
    }
}

/* What cannot or need not be sent needs no acknowledgement: it is done with in its turn. */
static bool settle_lost(struct ft_exporter *exporter)
{
    bool any = false;
    const struct ft_flight_block *first;
    while ((first = ft_flight_first(&exporter->flight)) != NULL && ft_flight_needs_nothing(first)) {
        finish(exporter, NULL, 0);
        any = true;
    }
    return any;
}

static void take_block(struct ft_exporter *exporter, struct ft_block *block)
{
    uint64_t last_seq = block->info.first_seq + block->info.n_events - 1;
    close_hole(exporter, &block->info);
    if (block->info.n_events > 0 && ft_holes_overlap(&exporter->holes, block->info.first_seq,
                                                     last_seq) == block->info.n_events) {
        /* Read again after the collector's position went back, but not stored then either. */
        struct ft_block place = {.info = block->info, .position = block->position};
        exporter->read_seq = last_seq;
        ft_flight_push_settled(&exporter->flight, &place);
        ft_block_release(block);
        return;
    }
    if (block->size + FT_WIRE_BATCH_HEAD_SIZE_MAX > exporter->message_bytes_max) {
        push_lost(exporter, &block->info, block->position, FT_LOSS_REJECTED,
                  "the block is larger than the collector takes");
        ft_block_release(block);
        return;
    }
    exporter->read_seq = last_seq;
    bool stored = ft_exporter_has(exporter, &block->info);
    ft_flight_push(&exporter->flight, block, last_seq <= exporter->sent_seq);
    ft_flight_at(&exporter->flight, exporter->flight.n - 1)->stored = stored;
}

/* Before a block was something of which nothing could be read: what is missing was in there. */
static void close_hole(struct ft_exporter *exporter, const struct ft_block_info *next)
{
    if (exporter->hole_position != 0 && next->first_seq > exporter->read_seq + 1) {
        struct ft_block_info hole = *next;
        hole.first_seq = exporter->read_seq + 1;
        uint64_t n_events = next->first_seq - hole.first_seq;
        hole.n_events = n_events < UINT32_MAX ? (uint32_t)n_events : UINT32_MAX;
        push_lost(exporter, &hole, exporter->hole_position, FT_LOSS_SPOOL_DAMAGED,
                  "blocks cannot be read");
    }
    exporter->hole_position = 0;
}

/* In its turn: its place is confirmed with those before it. */
static void push_lost(struct ft_exporter *exporter, const struct ft_block_info *info,
                      uint64_t position, enum ft_loss_cause cause, const char *reason)
{
    struct ft_block place = {.info = *info, .position = position};
    exporter->read_seq = info->first_seq + info->n_events - 1;
    ft_flight_push_lost(&exporter->flight, &place, cause, reason);
    /* It cannot be read here, but need not be. */
    ft_flight_at(&exporter->flight, exporter->flight.n - 1)->stored =
        ft_exporter_has(exporter, info);
}
