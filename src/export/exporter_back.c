/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back: the collector has less than it had acknowledged, behind its position or in gaps
 * before it.  What is still in the log of that is sent again, and what it has in between is
 * confirmed again without being sent; what is not there any more is lost, there and here, and told
 * once.
 */
#include "export/exporter_impl.h"

/* A disk that cannot read at the moment is asked so often. */
#define READ_ATTEMPTS_MAX 64

/* What is still there of what the collector has lost. */
struct kept {
    bool found;
    uint64_t position;  /* Of the first block of it. */
    uint64_t first_seq; /* Of that block; behind everything acknowledged when there is none. */
    uint64_t last_seq;  /* Of the last block that was looked at. */
    uint64_t n_events;  /* Without those that were accounted for otherwise. */
    /* What is not there: before all that, and where segments went from its midst. */
    struct ft_holes absent;
};

static struct ft_holes find_missing(const struct ft_exporter *exporter, uint64_t durable_seq);
static ft_err find_kept(struct ft_exporter *exporter, const struct ft_holes *missing,
                        struct kept *ret_kept);
static ft_err read_kept(struct ft_exporter *exporter, struct ft_log_reader *look,
                        const struct ft_holes *missing, struct kept *kept);
static void add_absent(const struct ft_holes *missing, uint64_t first_seq, uint64_t last_seq,
                       struct ft_holes *absent);
static struct ft_progress plan(const struct ft_exporter *exporter, const struct kept *kept);
static void add_gone(const struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                     struct ft_progress *progress);
static ft_err take_back(struct ft_exporter *exporter, const struct ft_progress *progress,
                        const struct kept *kept);
static uint64_t tell_gone(struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                          uint64_t n_events);

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t count_outside(const struct ft_exporter *exporter, uint64_t first_seq,
                              uint64_t last_seq)
{
    return first_seq > last_seq
               ? 0
               : last_seq - first_seq + 1 - ft_holes_overlap(&exporter->holes, first_seq, last_seq);
}

void ft_exporter_take_asked(struct ft_exporter *exporter, const struct ft_msg_welcome *welcome)
{
    exporter->asked = (struct ft_ranges){0};
    for (unsigned i = 0; i < welcome->n_lost; i++) {
        uint64_t first_seq = welcome->lost[i].first_seq;
        uint64_t last_seq = least(welcome->lost[i].last_seq, welcome->durable_seq);
        first_seq = first_seq > exporter->base_seq ? first_seq : exporter->base_seq + 1;
        /* What was told as lost, or never stored there, it may ask for in vain. */
        if (count_outside(exporter, first_seq, last_seq) > 0) {
            (void)ft_ranges_add(&exporter->asked, first_seq, last_seq);
        }
    }
    exporter->asked_seq = exporter->asked.n > 0 ? welcome->durable_seq : 0;
    for (size_t i = 0; i < exporter->flight.n; i++) {
        struct ft_flight_block *block = ft_flight_at(&exporter->flight, i);
        block->stored = !block->settled && ft_exporter_has(exporter, &block->block.info);
    }
}

uint64_t ft_exporter_below_asked(const struct ft_exporter *exporter, uint64_t seq)
{
    return exporter->asked.n > 0 ? least(seq, exporter->asked.at[0].first - 1) : seq;
}

bool ft_exporter_has(const struct ft_exporter *exporter, const struct ft_block_info *info)
{
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    return last_seq <= exporter->asked_seq &&
           ft_ranges_overlap(&exporter->asked, info->first_seq, last_seq) == 0;
}

/* Of what was confirmed: what the collector does not have. */
static struct ft_holes find_missing(const struct ft_exporter *exporter, uint64_t durable_seq)
{
    /* Numbers up to base_seq are another instance's, whose events nobody asks for. */
    uint64_t from_seq = durable_seq > exporter->base_seq ? durable_seq : exporter->base_seq;
    struct ft_holes missing;
    ft_holes_init(&missing, 1);
    for (unsigned i = 0; i < exporter->asked.n; i++) {
        const struct ft_range *asked = &exporter->asked.at[i];
        ft_holes_add(&missing, asked->first, least(asked->last, exporter->acked_seq));
    }
    ft_holes_add(&missing, from_seq + 1, exporter->acked_seq);
    return missing;
}

/* How many of first..last are missing that were not accounted for otherwise: what it rejected it
 * may have forgotten. */
static uint64_t count_missing(const struct ft_exporter *exporter, const struct ft_holes *missing,
                              uint64_t first_seq, uint64_t last_seq)
{
    uint64_t n = 0;
    for (size_t i = 0; i < missing->n; i++) {
        const struct ft_hole *hole = &missing->holes[i];
        n += count_outside(exporter, hole->first_seq > first_seq ? hole->first_seq : first_seq,
                           least(hole->last_seq, last_seq));
    }
    return n;
}

ft_err ft_exporter_go_back(struct ft_exporter *exporter, uint64_t durable_seq)
{
    struct ft_holes missing = find_missing(exporter, durable_seq);
    if (count_missing(exporter, &missing, 1, exporter->acked_seq) == 0) {
        return FT_OK;
    }
    struct kept kept;
    struct ft_progress progress;
    ft_err err;
    do {
        FT_TRY(find_kept(exporter, &missing, &kept));
        progress = plan(exporter, &kept);
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
        uint64_t whole_seq = durable_seq > exporter->base_seq ? durable_seq : exporter->base_seq;
        host->on_gone_back(host->ctx, least(whole_seq, progress.acked_seq));
    }
    uint64_t n_gone = progress.gone_events - exporter->stats.gone_events;
    exporter->gone_unkept = exporter->gone_unkept || n_gone > 0;
    ft_err kept_err = ft_exporter_keep_gone(exporter);
    for (size_t i = 0; i < kept.absent.n && n_gone > 0; i++) {
        const struct ft_hole *hole = &kept.absent.holes[i];
        n_gone = tell_gone(exporter, hole->first_seq, hole->last_seq, n_gone);
    }
    for (size_t i = 0; i < kept.absent.n && exporter->is_guess; i++) {
        /* What is not told now was told before, and the collector will not have it next time. */
        const struct ft_hole *hole = &kept.absent.holes[i];
        ft_holes_add(&exporter->holes, hole->first_seq, hole->last_seq);
    }
    exporter->acked_seq = progress.acked_seq;
    ft_exporter_publish_progress(exporter, &progress);
    exporter->stats.account_version++;
    return kept_err;
}

ft_err ft_exporter_keep_gone(struct ft_exporter *exporter)
{
    if (exporter->gone_unkept) {
        FT_TRY(ft_log_reader_keep(exporter->reader));
        exporter->gone_unkept = false;
    }
    return FT_OK;
}

/* The first block with missing events that was confirmed and is still in the log, if there is one.
 */
static ft_err find_kept(struct ft_exporter *exporter, const struct ft_holes *missing,
                        struct kept *ret_kept)
{
    struct kept kept = {.first_seq = exporter->acked_seq + 1};
    ft_holes_init(&kept.absent, 1);
    struct ft_log_reader *look = NULL;
    FT_TRY(ft_log_reader_open(exporter->options.log, "exporter-look", true, &look));
    ft_log_reader_seek(look, 0);
    ft_err err = read_kept(exporter, look, missing, &kept);
    ft_log_reader_close(look);
    if (err == FT_OK) {
        add_absent(missing, 1, kept.first_seq - 1, &kept.absent);
        if (kept.found) {
            add_absent(missing, kept.last_seq + 1, exporter->acked_seq, &kept.absent);
        }
        *ret_kept = kept;
    }
    return err;
}

static ft_err read_kept(struct ft_exporter *exporter, struct ft_log_reader *look,
                        const struct ft_holes *missing, struct kept *kept)
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
        if (err != FT_OK || position > confirmed || info.n_events == 0 ||
            (!kept->found && count_missing(exporter, missing, info.first_seq, last_seq) == 0)) {
            continue;
        }
        if (!kept->found) {
            kept->found = true;
            kept->position = position;
            kept->first_seq = info.first_seq;
            kept->last_seq = info.first_seq - 1;
        }
        add_absent(missing, kept->last_seq + 1, info.first_seq - 1, &kept->absent);
        kept->last_seq = last_seq;
        kept->n_events += count_outside(exporter, info.first_seq, last_seq);
    }
    return FT_OK;
}

static void add_absent(const struct ft_holes *missing, uint64_t first_seq, uint64_t last_seq,
                       struct ft_holes *absent)
{
    for (size_t i = 0; i < missing->n; i++) {
        const struct ft_hole *hole = &missing->holes[i];
        ft_holes_add(absent, hole->first_seq > first_seq ? hole->first_seq : first_seq,
                     least(hole->last_seq, last_seq));
    }
}

/* What the counts will be. */
static struct ft_progress plan(const struct ft_exporter *exporter, const struct kept *kept)
{
    struct ft_progress progress = ft_exporter_progress(exporter);
    progress.acked_seq = kept->found ? kept->first_seq - 1 : exporter->acked_seq;
    progress.stored_seq = ft_holes_below(&exporter->holes, progress.acked_seq);
    progress.done_events -= kept->n_events;
    for (size_t i = 0; i < kept->absent.n; i++) {
        const struct ft_hole *hole = &kept->absent.holes[i];
        add_gone(exporter, hole->first_seq, hole->last_seq, &progress);
    }
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
        while (!ft_ranges_add(&progress->holes, first_seq, last_seq)) {
            progress->known_from = progress->holes.at[0].last + 1;
            ft_ranges_remove(&progress->holes, 1, progress->holes.at[0].last);
        }
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

/* At most 'n_events' of first..last, but for what was accounted for before; returns what is left of
 * them. */
static uint64_t tell_gone(struct ft_exporter *exporter, uint64_t first_seq, uint64_t last_seq,
                          uint64_t n_events)
{
    struct ft_exporter_host *host = &exporter->options.host;
    struct ft_hole run;
    while (ft_holes_next_outside(&exporter->holes, first_seq, last_seq, &run)) {
        uint64_t count = run.last_seq - run.first_seq + 1;
        struct ft_loss loss = {.cause = exporter->is_guess ? FT_LOSS_SPOOL_DAMAGED
                                                           : FT_LOSS_COLLECTOR_LOST,
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
    return n_events;
}
