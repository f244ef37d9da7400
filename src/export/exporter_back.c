/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back: the collector has less than it had acknowledged.  What is still in the log behind
 * its position is wanted again and sent again; what is not is lost, there and here, and told once.
 */
#include "export/exporter_impl.h"

/* A disk that cannot read at the moment is asked so often. */
#define READ_ATTEMPTS_MAX 64

/* What is still there of what the collector has lost. */
struct kept {
    bool found;
    uint64_t position;  /* Of the first block of it. */
    uint64_t first_seq; /* Of that block; behind everything acknowledged when there is none. */
    uint64_t n_events;  /* Without those that were accounted for otherwise. */
};

static ft_err find_kept(struct ft_exporter *exporter, uint64_t from_seq, struct kept *ret_kept);
static ft_err read_kept(struct ft_exporter *exporter, struct ft_log_reader *look, uint64_t from_seq,
                        struct kept *kept);
static struct ft_progress plan(const struct ft_exporter *exporter, uint64_t from_seq,
                               const struct kept *kept);
static void add_gone(const struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                     struct ft_progress *progress);
static ft_err take_back(struct ft_exporter *exporter, const struct ft_progress *progress,
                        const struct kept *kept);
static void tell_gone(struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                      uint64_t n_events);

ft_err ft_exporter_go_back(struct ft_exporter *exporter, uint64_t durable_seq)
{
    /* Numbers up to base_seq are another instance's, whose events nobody asks for. */
    uint64_t from_seq = durable_seq > exporter->base_seq ? durable_seq : exporter->base_seq;
    /* What it rejected it may have forgotten: nothing is missing for that. */
    struct ft_hole missing;
    if (from_seq >= exporter->acked_seq ||
        !ft_holes_next_outside(&exporter->holes, from_seq + 1, exporter->acked_seq, &missing)) {
        return FT_OK;
    }
    struct kept kept;
    struct ft_progress progress;
    ft_err err;
    do {
        FT_TRY(find_kept(exporter, from_seq, &kept));
        progress = plan(exporter, from_seq, &kept);
        /* From here the log may drop these blocks, and count them, before it is counted here. */
        exporter->stats.account_version++;
        err = take_back(exporter, &progress, &kept);
        if (err == FT_E_NOT_FOUND) {
            exporter->stats.account_version++; /* What is kept gave way to new events meanwhile. */
        }
    } while (err == FT_E_NOT_FOUND);
    exporter->stats.gone_back++;
    exporter->stats.back_events += kept.n_events;
    struct ft_exporter_host *host = &exporter->options.host;
    if (host->on_gone_back != NULL) {
        host->on_gone_back(host->ctx, from_seq);
    }
    uint64_t n_gone = progress.gone_events - exporter->stats.gone_events;
    if (n_gone > 0) {
        ft_exporter_keep_place(exporter);
        tell_gone(exporter, from_seq + 1, kept.first_seq - 1, n_gone);
    }
    exporter->acked_seq = progress.acked_seq;
    exporter->gone = (struct ft_hole){progress.gone_first, progress.gone_last};
    ft_exporter_publish_progress(exporter, &progress);
    exporter->stats.account_version++;
    return FT_OK;
}

void ft_exporter_write_off(struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq)
{
    if (first_seq <= exporter->base_seq) {
        first_seq = exporter->base_seq + 1;
    }
    /* What is not acknowledged is not lost. */
    last_seq = last_seq < exporter->acked_seq ? last_seq : exporter->acked_seq;
    struct ft_progress progress = ft_exporter_progress(exporter);
    add_gone(exporter, first_seq, last_seq, &progress);
    uint64_t n_gone = progress.gone_events - exporter->stats.gone_events;
    if (n_gone == 0) {
        return;
    }
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(&progress, note);
    ft_err_ignore(ft_log_reader_set_note(exporter->reader, note, sizeof note),
                  "it is kept with the next place");
    ft_exporter_keep_place(exporter);
    exporter->stats.account_version++;
    tell_gone(exporter, first_seq, last_seq, n_gone);
    exporter->gone = (struct ft_hole){progress.gone_first, progress.gone_last};
    ft_exporter_publish_progress(exporter, &progress);
    exporter->stats.account_version++;
}

static uint64_t count_outside(const struct ft_exporter *exporter, uint64_t first_seq,
                              uint64_t last_seq)
{
    return first_seq > last_seq
               ? 0
               : last_seq - first_seq + 1 - ft_holes_overlap(&exporter->holes, first_seq, last_seq);
}

/* The first block behind 'from_seq' that was confirmed and is still in the log, if there is one. */
static ft_err find_kept(struct ft_exporter *exporter, uint64_t from_seq, struct kept *ret_kept)
{
    struct kept kept = {.first_seq = exporter->acked_seq + 1};
    struct ft_log_reader *look = NULL;
    FT_TRY(ft_log_reader_open(exporter->options.log, "exporter-look", true, &look));
    ft_log_reader_seek(look, 0);
    ft_err err = read_kept(exporter, look, from_seq, &kept);
    ft_log_reader_close(look);
    if (err == FT_OK) {
        *ret_kept = kept;
    }
    return err;
}

static ft_err read_kept(struct ft_exporter *exporter, struct ft_log_reader *look, uint64_t from_seq,
                        struct kept *kept)
{
    uint64_t confirmed = ft_log_reader_confirmed(exporter->reader);
    uint64_t position = 0;
    unsigned n_failures = 0;
    while (position < confirmed) {
        struct ft_block block = {0};
        ft_err err = ft_log_reader_next(look, false, &block);
        if (err == ft_err_from_errno(EAGAIN)) {
            return FT_OK;
        }
        if (err != FT_OK && err != FT_E_CORRUPT) {
            if (++n_failures == READ_ATTEMPTS_MAX) {
                return err;
            }
            continue;
        }
        position = block.position;
        const struct ft_block_info info = block.info;
        ft_block_release(&block);
        uint64_t last_seq = info.first_seq + info.n_events - 1;
        if (err != FT_OK || position > confirmed || info.n_events == 0 || last_seq <= from_seq) {
            continue;
        }
        if (!kept->found) {
            kept->found = true;
            kept->position = position;
            kept->first_seq = info.first_seq;
        }
        if (kept->first_seq >= exporter->holes.known_from) {
            kept->n_events = count_outside(exporter, kept->first_seq, exporter->acked_seq);
            return FT_OK;
        }
        /* It is not known what was missing there: only counting tells what there is. */
        kept->n_events += count_outside(exporter, info.first_seq, last_seq);
    }
    return FT_OK;
}

/* What the counts will be. */
static struct ft_progress plan(const struct ft_exporter *exporter, uint64_t from_seq,
                               const struct kept *kept)
{
    struct ft_progress progress = ft_exporter_progress(exporter);
    progress.acked_seq = kept->found ? kept->first_seq - 1 : exporter->acked_seq;
    progress.stored_seq = ft_holes_below(&exporter->holes, progress.acked_seq);
    progress.done_events -= kept->n_events;
    add_gone(exporter, from_seq + 1, kept->first_seq - 1, &progress);
    return progress;
}

/* Counts first..last as gone, but for what was accounted for before. */
static void add_gone(const struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                     struct ft_progress *progress)
{
    uint64_t n_gone = count_outside(exporter, first_seq, last_seq);
    /* Where it is not known what was missing there already, it cannot be more than there was. */
    uint64_t n_acked = progress->done_events - progress->rejected_events - progress->gone_events;
    n_gone = n_gone < n_acked ? n_gone : n_acked;
    if (n_gone > 0) {
        progress->gone_events += n_gone;
        progress->gone_first = first_seq;
        progress->gone_last = last_seq;
    }
}

/* From here on dropping these blocks is a loss again, and the log tells it. */
static ft_err take_back(struct ft_exporter *exporter, const struct ft_progress *progress,
                        const struct kept *kept)
{
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(progress, note);
    if (!kept->found) {
        ft_err_ignore(ft_log_reader_set_note(exporter->reader, note, sizeof note),
                      "it is kept with the next place");
        return FT_OK;
    }
    FT_TRY(ft_log_reader_go_back(exporter->reader, kept->position - 1, note, sizeof note));
    /* All of these are in the log too, since what was confirmed goes first: they are read again. */
    ft_flight_clear(&exporter->flight);
    exporter->hole_position = 0;
    exporter->read_seq = progress->acked_seq;
    return FT_OK;
}

/* At most 'n_events' of first..last, but for what was accounted for before. */
static void tell_gone(struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                      uint64_t n_events)
{
    struct ft_exporter_host *host = &exporter->options.host;
    struct ft_hole run;
    while (ft_holes_next_outside(&exporter->holes, first_seq, last_seq, &run)) {
        uint64_t count = run.last_seq - run.first_seq + 1;
        struct ft_loss loss = {.cause = FT_LOSS_COLLECTOR_LOST,
                               .count = count < n_events ? count : n_events,
                               .estimated = run.first_seq < exporter->holes.known_from,
                               .first_seq = run.first_seq,
                               .last_seq = run.last_seq};
        n_events -= loss.count;
        if (host->on_gone != NULL && loss.count > 0) {
            host->on_gone(host->ctx, &loss);
        }
        ft_holes_add(&exporter->holes, run.first_seq, run.last_seq);
    }
}
