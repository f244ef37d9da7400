/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the spool again.  Four things tell what the last process had: the state, the page of live
 * numbers, the log, and the exporter's place in it with its counts.  Whatever was numbered is
 * acknowledged, retained in the log, or lost; what is none of it is lost now, and is told.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/spool_impl.h"
#include "export/progress.h"

/* The exporter's name as a reader of the log (export/exporter.c). */
#define EXPORTER_NAME "exporter"

/* A disk that cannot read at the moment is asked so often. */
#define READ_ATTEMPTS_MAX 64

/* Events that may be numbered between two writes of the state, from far above. */
#define PAGE_AHEAD_MAX (UINT64_C(1) << 26)

/* What is there, apart from the state. */
struct finding {
    struct ft_progress progress;
    bool place_lost;   /* The exporter's place and counts cannot be read. */
    uint64_t done_max; /* Then: so many events it may have been done with at most. */
    uint64_t
        retained;    /* Events in the log behind the exporter's place, but for what it has done. */
    uint64_t held;   /* Events of the block that was on its way here. */
    bool has_newest; /* Block of the log. */
    struct ft_block_info newest;
    bool exact;                       /* The live numbers are those that the process died with. */
    const struct ft_spool_kept *kept; /* NULL: nothing is of this spool. */
};

static ft_err open_all(struct ft_spool *spool, struct ft_spool_report *report);
static uint64_t larger(uint64_t a, uint64_t b);
static uint64_t come_again_from(const struct finding *finding);
static ft_err read_state(struct ft_spool *spool, struct ft_spool_state *state,
                         struct ft_spool_report *report);
static ft_err open_log(struct ft_spool *spool, const struct ft_spool_state *state,
                       struct ft_spool_report *report);
static void on_damage(void *ctx, const struct ft_log_damage *damage);
static ft_err look_into_log(struct ft_spool *spool, uint64_t base_seq, struct finding *finding);
static ft_err leave_out_done(struct ft_spool *spool, uint64_t from_position,
                             struct finding *finding);
static ft_err map_page(struct ft_spool *spool);
static void take_page(const struct ft_spool *spool, const struct ft_spool_state *state,
                      struct ft_tally_record *tally, struct finding *finding);
static void set_identity(struct ft_spool *spool, const struct ft_spool_state *state,
                         const struct finding *finding, struct ft_spool_report *report);
static void settle(struct ft_spool *spool, struct ft_spool_state *state, struct finding *finding,
                   struct ft_spool_report *report);
static void settle_exporter(struct ft_spool *spool, const struct ft_tally_record *tally,
                            uint64_t lost);
static uint64_t by_exporter(const struct ft_progress *progress);
static void settle_crash(struct ft_spool *spool, const struct finding *finding,
                         struct ft_spool_report *report);
static void lose_crashed(struct ft_spool *spool, const struct ft_loss *as, uint64_t first_seq,
                         uint64_t last_seq);
static void take_kept(struct ft_spool *spool, struct ft_spool_state *state,
                      struct finding *finding);
static void settle_rest(struct ft_spool *spool, struct finding *finding,
                        struct ft_spool_report *report);
static ft_err keep_progress(struct ft_spool *spool, const struct ft_progress *progress);

ft_err ft_spool_open(const struct ft_spool_options *options, struct ft_disk *disk,
                     struct ft_spool **ret_spool, struct ft_spool_report *ret_report)
{
    memset(ret_report, 0, sizeof *ret_report);
    struct ft_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    int64_t began_ns = ft_clock_mono_ns(options->clock);
    spool->options = *options;
    spool->disk = disk;
    spool->retry_ns = INT64_MIN;
    ft_mutex_init(&spool->lock);
    ft_err err = open_all(spool, ret_report);
    if (err != FT_OK) {
        ft_spool_close(spool, false);
        return err;
    }
    ret_report->took_ns = ft_clock_mono_ns(options->clock) - began_ns;
    *ret_spool = spool;
    return FT_OK;
}

static ft_err open_all(struct ft_spool *spool, struct ft_spool_report *report) FT_NO_TSA
{
    spool->scratch = calloc(1, sizeof *spool->scratch);
    spool->encoded = malloc(FT_SPOOL_STATE_SIZE_MAX);
    struct ft_spool_state *state = calloc(1, sizeof *state);
    if (spool->scratch == NULL || spool->encoded == NULL || state == NULL) {
        free(state);
        return ft_err_from_errno(ENOMEM);
    }
    struct finding finding = {0};
    ft_err err = read_state(spool, state, report);
    if (err == FT_OK) {
        err = open_log(spool, state, report);
    }
    if (err == FT_OK) {
        err = look_into_log(spool, state->base_seq, &finding);
    }
    if (err == FT_OK) {
        err = map_page(spool);
    }
    if (err == FT_OK) {
        take_kept(spool, state, &finding);
        take_page(spool, state, &state->tally, &finding);
        if (finding.place_lost && !report->is_new && !report->state_lost) {
            err = ft_spool_guess_place(spool, state, come_again_from(&finding), &finding.progress,
                                       &finding.done_max);
        }
    }
    if (err == FT_OK) {
        set_identity(spool, state, &finding, report);
        err = ft_tally_create(&state->tally, spool->page != NULL ? &spool->page->live : NULL,
                              &spool->tally);
    }
    if (err == FT_OK && spool->identity.base_seq != state->base_seq) {
        uint64_t acked = finding.progress.done_events - by_exporter(&finding.progress);
        ft_tally_rebase(spool->tally, spool->identity.base_seq, acked);
        state->tally.lost_by_exporter = 0;
        finding.done_max = 0;
        finding.progress = (struct ft_progress){.acked_seq = finding.progress.acked_seq,
                                                .stored_seq = finding.progress.acked_seq};
    }
    if (err == FT_OK) {
        settle(spool, state, &finding, report);
        bool is_damaged = report->n_missing > 0 || report->damaged_parts > 0;
        uint64_t acked_seq = finding.progress.acked_seq;
        err = is_damaged ? ft_spool_tell_again(spool, acked_seq, come_again_from(&finding)) : FT_OK;
    }
    if (err == FT_OK) {
        /* In the state before a number of it is given. */
        ft_lives_begin(&spool->identity.lives, spool->options.random,
                       ft_tally_live(spool->tally)->numbered + 1,
                       larger(finding.progress.acked_seq, spool->identity.base_seq));
        if (report->is_new || report->state_lost || report->agent_changed) {
            ft_lives_begin_instance(&spool->identity.lives);
        }
        err = ft_spool_write_state(spool);
    }
    if (err == FT_OK && finding.place_lost) {
        err = keep_progress(spool, &finding.progress);
    }
    free(state);
    FT_TRY(err);
    if (spool->page != NULL) {
        ft_spool_page_begin(spool->page, &spool->options.boot_id);
    }
    spool->opened = true;
    return FT_OK;
}

/* The first number of the blocks that come again; 0: none do. */
static uint64_t come_again_from(const struct finding *finding)
{
    return finding->kept != NULL ? finding->kept->first_seq : 0;
}

static ft_err read_state(struct ft_spool *spool, struct ft_spool_state *state,
                         struct ft_spool_report *report) FT_NO_TSA
{
    uint8_t *record = malloc(ft_spool_state_kind.slot_bytes);
    if (record == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    size_t size = 0;
    uint64_t generation = 0;
    ft_err err = ft_slot_file_read(spool->disk, FT_SPOOL_STATE_NAME, &ft_spool_state_kind, record,
                                   &size, &generation);
    if (err == FT_OK) {
        err = ft_spool_state_decode(record, size, state);
    }
    free(record);
    report->is_new = err == ft_err_from_errno(ENOENT);
    report->state_lost = err == FT_E_CORRUPT;
    if (report->is_new || report->state_lost) {
        memset(state, 0, sizeof *state);
        ft_uuid_make_random(spool->options.random, &state->instance_id);
        err = FT_OK;
    }
    report->unclean = !report->is_new && !state->clean;
    ft_slot_file_init(&spool->slots, spool->disk, FT_SPOOL_STATE_NAME, &ft_spool_state_kind,
                      generation);
    return err;
}

static ft_err open_log(struct ft_spool *spool, const struct ft_spool_state *state,
                       struct ft_spool_report *report) FT_NO_TSA
{
    spool->n_dropped = state->n_dropped;
    memcpy(spool->dropped, state->dropped, sizeof spool->dropped);
    spool->last_drop = state->last_drop;
    struct ft_log_options log = {.bytes_max = spool->options.bytes_max,
                                 .full = FT_LOG_DROP_OLDEST,
                                 .on_drop = ft_spool_on_drop,
                                 .on_drop_ctx = spool,
                                 .readers_hold = true,
                                 .on_dropped = ft_spool_on_dropped,
                                 .dropped = state->dropped,
                                 .n_dropped = state->n_dropped,
                                 .segment_bytes = spool->options.segment_bytes,
                                 .keep_bytes = spool->options.hold_bytes,
                                 .keep_ns = spool->options.hold_ns,
                                 .reserve_segments = 2,
                                 .free_ratio_min = spool->options.free_ratio_min};
    return ft_log_disk_open(spool->disk, &log, on_damage, report, &spool->log);
}

static void on_damage(void *ctx, const struct ft_log_damage *damage)
{
    struct ft_spool_report *report = ctx;
    if (report->damaged_parts++ == 0) {
        report->first_damage = *damage;
    }
}

static ft_err look_into_log(struct ft_spool *spool, uint64_t base_seq, struct finding *finding)
{
    struct ft_log_reader *reader;
    FT_TRY(ft_log_reader_open(spool->log, EXPORTER_NAME, false, &reader));
    uint8_t note[FT_LOG_NOTE_SIZE_MAX];
    size_t size;
    ft_log_reader_note(reader, note, &size);
    if (!ft_progress_decode(note, size, &finding->progress)) {
        finding->progress = (struct ft_progress){0};
        finding->place_lost = true;
    }
    if (base_seq > 0 && finding->progress.acked_seq <= base_seq) {
        /* What is counted there is of an earlier instance. */
        finding->progress = (struct ft_progress){.acked_seq = finding->progress.acked_seq,
                                                 .stored_seq = finding->progress.acked_seq};
    }
    /* The collector may have them: they are dropped no sooner than it has said so. */
    ft_log_reader_hold(reader, spool->options.window_bytes);
    uint64_t n_blocks;
    ft_err err = ft_log_reader_unconfirmed(reader, &n_blocks, &finding->retained);
    uint64_t confirmed = ft_log_reader_confirmed(reader);
    ft_log_reader_close(reader);
    FT_TRY(err);
    FT_TRY(leave_out_done(spool, confirmed, finding));
    err = ft_log_newest(spool->log, &finding->newest);
    finding->has_newest = err == FT_OK;
    uint64_t first;
    uint64_t last;
    ft_log_bounds(spool->log, &first, &last);
    /* The last positions of an empty log may have been used up by blocks that are damaged: nothing
     * of them is going to be durable. */
    spool->last_position = first <= last ? last : ft_log_durable(spool->log);
    return err == FT_E_NOT_FOUND ? FT_OK : err;
}

/* Sent back, the exporter comes again to events that it had done with and that are lost: they are
 * counted as that already. */
static ft_err leave_out_done(struct ft_spool *spool, uint64_t from_position,
                             struct finding *finding)
{
    const struct ft_progress *progress = &finding->progress;
    if (finding->retained == 0 ||
        ft_ranges_overlap(&progress->holes, progress->acked_seq + 1, UINT64_MAX) == 0) {
        return FT_OK;
    }
    struct ft_log_reader *look = NULL;
    FT_TRY(ft_log_reader_open(spool->log, "spool-look", true, &look));
    ft_log_reader_seek(look, from_position);
    ft_err err = FT_OK;
    uint64_t n_done = 0;
    unsigned n_failures = 0;
    while (err != ft_err_from_errno(EAGAIN) && n_failures < READ_ATTEMPTS_MAX) {
        struct ft_block block = {0};
        err = ft_log_reader_next(look, false, &block);
        if (err == FT_OK || err == FT_E_CORRUPT) {
            n_done += ft_ranges_overlap(&progress->holes, block.info.first_seq,
                                        block.info.first_seq + block.info.n_events - 1);
        } else {
            n_failures++;
        }
        ft_block_release(&block);
    }
    ft_log_reader_close(look);
    finding->retained -= n_done < finding->retained ? n_done : finding->retained;
    return err == ft_err_from_errno(EAGAIN) ? FT_OK : err;
}

/* Without mapped files the numbers of the state are all there is. */
static ft_err map_page(struct ft_spool *spool)
{
    const struct ft_disk_ops *ops = spool->disk->ops;
    if (ops->map == NULL) {
        return FT_OK;
    }
    uint8_t *bytes = calloc(1, FT_SPOOL_PAGE_SIZE);
    if (bytes == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    struct ft_disk_file *file;
    size_t size = 0;
    ft_err err = ops->open(spool->disk, FT_SPOOL_LIVE_NAME, false, &file);
    if (err == FT_OK) {
        err = ops->read_at(file, 0, bytes, FT_SPOOL_PAGE_SIZE, &size);
        if (err != FT_OK || size < FT_SPOOL_PAGE_SIZE) {
            ops->close(file);
        }
    }
    if (err != FT_OK || size < FT_SPOOL_PAGE_SIZE) {
        memset(bytes, 0, FT_SPOOL_PAGE_SIZE);
        err = ft_disk_replace(spool->disk, FT_SPOOL_LIVE_NAME, bytes, FT_SPOOL_PAGE_SIZE);
        if (err == FT_OK) {
            err = ops->open(spool->disk, FT_SPOOL_LIVE_NAME, false, &file);
        }
    }
    free(bytes);
    FT_TRY(err);
    void *map;
    err = ops->map(file, 0, FT_SPOOL_PAGE_SIZE, &map);
    ops->close(file);
    if (err == FT_OK) {
        spool->page = map;
    }
    return err;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/*
 * The last commit of the process before: the numbers are as they were then, and so is the account
 * where the state on disk is older.
 */
static void take_kept(struct ft_spool *spool, struct ft_spool_state *state, struct finding *finding)
{
    const struct ft_spool_kept *kept = spool->options.kept;
    if (kept == NULL || !ft_uuid_equal(&kept->instance_id, &state->instance_id)) {
        return;
    }
    finding->kept = kept;
    if (kept->tally.version >= state->tally.version) {
        bool knows_drop = kept->tally.n_drops >= state->tally.n_drops;
        state->tally = kept->tally;
        if (!knows_drop) {
            /* It was written before it was known there. */
            ft_tally_record_drop(&state->tally, &state->last_drop);
        }
    }
    state->tally.numbered = kept->tally.numbered;
    state->tally.filtered = kept->tally.filtered;
    state->tally.merged = kept->tally.merged;
    state->tally.sealed = kept->tally.sealed;
    if (spool->page != NULL && ft_spool_page_valid(spool->page)) {
        struct ft_tally_live *live = &spool->page->live;
        live->numbered = kept->tally.numbered;
        live->filtered = kept->tally.filtered;
        live->merged = kept->tally.merged;
        live->sealed = kept->tally.sealed;
    }
}

/* Each live number only ever grows: the larger one is the later one. */
static void take_page(const struct ft_spool *spool, const struct ft_spool_state *state,
                      struct ft_tally_record *tally, struct finding *finding)
{
    struct ft_tally_live *live = spool->page != NULL ? &spool->page->live : NULL;
    bool usable = live != NULL && ft_spool_page_valid(spool->page);
    if (usable) {
        static const uint8_t unknown[16];
        finding->exact = memcmp(spool->page->boot_id, spool->options.boot_id.bytes, 16) == 0 &&
                         memcmp(spool->page->boot_id, unknown, sizeof unknown) != 0;
        /* It has no checksum.  After a clean stop the state has the same, and what is read from a
         * disk after a power cut must at least be likely. */
        usable =
            !state->clean && (finding->exact || live->numbered < tally->numbered + PAGE_AHEAD_MAX);
    }
    if (usable) {
        tally->numbered = larger(tally->numbered, live->numbered);
        tally->filtered = larger(tally->filtered, live->filtered);
        tally->merged = larger(tally->merged, live->merged);
        tally->sealed = larger(tally->sealed, live->sealed);
        tally->sent = larger(tally->sent, live->sent);
    } else if (live != NULL) {
        memset(spool->page, 0, sizeof *spool->page);
    }
    /* No number is ever given twice, whatever is left of the state. */
    tally->numbered = larger(tally->numbered, finding->progress.acked_seq);
    tally->numbered = larger(tally->numbered, tally->gone_to);
    if (finding->has_newest) {
        tally->numbered =
            larger(tally->numbered, finding->newest.first_seq + finding->newest.n_events - 1);
    }
}

static void set_identity(struct ft_spool *spool, const struct ft_spool_state *state,
                         const struct finding *finding, struct ft_spool_report *report) FT_NO_TSA
{
    const struct ft_spool_options *options = &spool->options;
    struct ft_spool_identity *identity = &spool->identity;
    *identity = (struct ft_spool_identity){.agent_id = state->agent_id,
                                           .instance_id = state->instance_id,
                                           .base_seq = state->base_seq,
                                           .binding = state->binding,
                                           .lives = state->lives};
    bool fresh = report->is_new || report->state_lost;
    if (fresh && !options->has_agent_id) {
        ft_uuid_make_random(options->random, &identity->agent_id);
    } else if (options->has_agent_id) {
        report->agent_changed = !fresh && !ft_uuid_equal(&state->agent_id, &options->agent_id);
        identity->agent_id = options->agent_id;
    }
    if (report->agent_changed || report->state_lost) {
        /* A copied machine: the one it was copied from goes on under the old name. */
        ft_uuid_make_random(options->random, &identity->instance_id);
        identity->base_seq = finding->progress.acked_seq;
    }
    identity->known_seq = finding->progress.acked_seq;
    if (finding->has_newest) {
        identity->known_seq =
            larger(identity->known_seq, finding->newest.first_seq + finding->newest.n_events - 1);
    }
}

/* Events that the exporter is done with and that are lost. */
static uint64_t by_exporter(const struct ft_progress *progress)
{
    return progress->rejected_events + progress->gone_events;
}

static void settle(struct ft_spool *spool, struct ft_spool_state *state, struct finding *finding,
                   struct ft_spool_report *report) FT_NO_TSA
{
    report->same_boot = finding->exact;
    report->retained_events = finding->retained;
    struct ft_log_stats log;
    ft_log_stats(spool->log, &log);
    report->retained_bytes = log.bytes;
    spool->kept_events = finding->progress.done_events + finding->retained;
    spool->progress = finding->progress;
    spool->lost_before = state->tally.lost[FT_LOSS_LOG_FULL];
    spool->stats.stored_seq = spool->identity.known_seq;
    spool->stats.durable_seq = spool->identity.known_seq;
    report->went_on = finding->kept != NULL;
    if (report->went_on) {
        ft_tally_untell(spool->tally, finding->kept->tally.numbered);
    }
    spool->identity.settled_seq = larger(spool->identity.known_seq, state->tally.gone_to);
    const struct ft_tally_record *tally = &state->tally;
    if (tally->held_first > spool->identity.known_seq &&
        tally->held_last <= spool->identity.settled_seq) {
        spool->identity.held_seq = tally->held_first;
        finding->held = tally->held_last - tally->held_first + 1;
    }
    settle_exporter(spool, &state->tally, by_exporter(&finding->progress));
    if (finding->has_newest || !finding->place_lost) {
        settle_crash(spool, finding, report);
    }
    settle_rest(spool, finding, report);
    /* The process may have died before it knew what that does to its LOSS events. */
    ft_tally_not_stored(spool->tally, finding->progress.stored_seq + 1,
                        finding->progress.acked_seq);
    if (finding->progress.known_from > 0) {
        /* Else it is a guess, and a LOSS event that was told must not be forgotten for that. */
        ft_tally_acked(spool->tally, finding->progress.acked_seq);
    }
}

/* The exporter's place and the tally are written one after the other. */
static void settle_exporter(struct ft_spool *spool, const struct ft_tally_record *tally,
                            uint64_t lost)
{
    int64_t now_ns = ft_clock_real_ns(spool->options.clock);
    if (lost > tally->lost_by_exporter) {
        struct ft_loss loss = {.cause = FT_LOSS_REJECTED,
                               .begin_ns = now_ns,
                               .end_ns = now_ns,
                               .count = lost - tally->lost_by_exporter};
        ft_tally_reject(spool->tally, &loss);
    } else if (lost < tally->lost_by_exporter) {
        ft_tally_forgive(spool->tally, tally->lost_by_exporter - lost);
    }
}

/* What the last process had numbered and not brought into the log. */
static void settle_crash(struct ft_spool *spool, const struct finding *finding,
                         struct ft_spool_report *report) FT_NO_TSA
{
    int64_t now_ns = ft_clock_real_ns(spool->options.clock);
    /* After a power cut nobody knows what else was numbered: that there may be more is told. */
    bool unsure = report->unclean && !report->state_lost && !finding->exact;
    struct ft_loss loss = {.cause = FT_LOSS_CRASH,
                           .estimated = unsure,
                           .begin_ns = finding->has_newest ? finding->newest.time_ns : now_ns,
                           .end_ns = now_ns};
    uint64_t held_seq = spool->identity.held_seq;
    bool is_kept = report->went_on && finding->kept->first_seq != 0;
    if (held_seq != 0 && is_kept && finding->kept->first_seq <= held_seq) {
        report->n_kept += finding->held;
    } else if (held_seq != 0) {
        report->n_crash += finding->held;
        lose_crashed(spool, &loss, held_seq, held_seq + finding->held - 1);
    }
    uint64_t there = spool->identity.settled_seq;
    uint64_t numbered = ft_tally_live(spool->tally)->numbered;
    if (is_kept && numbered > there) {
        uint64_t before = larger(there, finding->kept->first_seq - 1);
        report->n_kept += numbered - before;
        numbered = before; /* What is between was in blocks that found no room. */
    }
    if (numbered > there) {
        report->n_crash += numbered - there;
        lose_crashed(spool, &loss, there + 1, numbered);
    } else if (unsure && report->n_crash == 0) {
        ft_tally_lose_numbered(spool->tally, &loss);
    }
}

static void lose_crashed(struct ft_spool *spool, const struct ft_loss *as, uint64_t first_seq,
                         uint64_t last_seq)
{
    struct ft_loss loss = *as;
    loss.first_seq = first_seq;
    loss.last_seq = last_seq;
    loss.count = last_seq - first_seq + 1;
    ft_tally_lose_numbered(spool->tally, &loss);
}

/* Then the account must balance; what it lacks was in blocks that are gone. */
static void settle_rest(struct ft_spool *spool, struct finding *finding,
                        struct ft_spool_report *report)
{
    struct ft_tally_sums sums;
    ft_tally_get(spool->tally, &sums);
    uint64_t found = finding->progress.done_events - by_exporter(&finding->progress) +
                     finding->retained + report->n_kept - sums.lost_unnumbered;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        found += sums.lost[cause];
    }
    if (found > sums.numbered) {
        report->n_surplus = found - sums.numbered;
        return;
    }
    report->n_missing = sums.numbered - found;
    if (finding->place_lost && !report->state_lost) {
        uint64_t n_done =
            report->n_missing < finding->done_max ? report->n_missing : finding->done_max;
        finding->progress.done_events = n_done;
        spool->kept_events += n_done;
        spool->progress = finding->progress;
        report->n_missing -= n_done;
    }
    if (report->n_missing > 0) {
        int64_t now_ns = ft_clock_real_ns(spool->options.clock);
        struct ft_loss loss = {.cause = FT_LOSS_SPOOL_DAMAGED,
                               .estimated = report->state_lost,
                               .begin_ns = now_ns,
                               .end_ns = now_ns,
                               .count = report->n_missing};
        ft_tally_lose_numbered(spool->tally, &loss);
    }
}

/* From the beginning there is a note, so that one that is missing was lost. */
static ft_err keep_progress(struct ft_spool *spool, const struct ft_progress *progress)
{
    struct ft_log_reader *reader;
    FT_TRY(ft_log_reader_open(spool->log, EXPORTER_NAME, false, &reader));
    uint8_t note[FT_PROGRESS_SIZE];
    ft_progress_encode(progress, note);
    ft_err err =
        ft_log_reader_confirm_noted(reader, ft_log_reader_confirmed(reader), note, sizeof note);
    if (err == FT_OK) {
        err = ft_log_reader_keep(reader);
    }
    ft_log_reader_close(reader);
    return err;
}
