/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

struct ft_tally {
    struct ft_tally_live *live;
    struct ft_tally_live own;
    /* As in the record, for metrics, which take no lock. */
    _Atomic uint64_t lost[FT_LOSS_CAUSE_N];
    struct ft_mutex lock;
    struct ft_tally_record record FT_GUARDED; /* But for the live numbers. */
    uint64_t dropped FT_GUARDED;
    uint64_t version FT_GUARDED;
    struct ft_loss_history history FT_GUARDED;
};

static void raise(_Atomic uint64_t *value, uint64_t least);
static void lose(struct ft_tally_record *record, const struct ft_loss *loss);
static void lose_numbered(struct ft_tally_record *record, const struct ft_loss *loss);
static void release(struct ft_tally_record *record, uint64_t first_seq, uint64_t last_seq);
static void changed_locked(struct ft_tally *tally) FT_REQUIRES(tally->lock);

ft_err ft_tally_create(const struct ft_tally_record *from, struct ft_tally_live *live,
                       struct ft_tally **ret_tally) FT_NO_TSA
{
    struct ft_tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&tally->lock);
    tally->live = live != NULL ? live : &tally->own;
    if (from != NULL) {
        raise(&tally->live->numbered, from->numbered);
        raise(&tally->live->filtered, from->filtered);
        raise(&tally->live->merged, from->merged);
        raise(&tally->live->sealed, from->sealed);
        raise(&tally->live->sent, from->sent);
        tally->record = *from;
        tally->version = from->version;
        changed_locked(tally);
    }
    *ret_tally = tally;
    return FT_OK;
}

void ft_tally_destroy(struct ft_tally *tally)
{
    if (tally != NULL) {
        ft_mutex_deinit(&tally->lock);
        free(tally);
    }
}

struct ft_tally_live *ft_tally_live(struct ft_tally *tally) { return tally->live; }

void ft_tally_lose(struct ft_tally *tally, const struct ft_loss *loss)
{
    ft_mutex_lock(&tally->lock);
    lose(&tally->record, loss);
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_lose_numbered(struct ft_tally *tally, const struct ft_loss *loss)
{
    ft_mutex_lock(&tally->lock);
    lose_numbered(&tally->record, loss);
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_reject(struct ft_tally *tally, const struct ft_loss *loss)
{
    ft_mutex_lock(&tally->lock);
    tally->record.lost_by_exporter += loss->count;
    lose_numbered(&tally->record, loss);
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_forgive(struct ft_tally *tally, uint64_t count)
{
    static const enum ft_loss_cause causes[] = {FT_LOSS_REJECTED, FT_LOSS_SPOOL_DAMAGED,
                                                FT_LOSS_COLLECTOR_LOST};
    ft_mutex_lock(&tally->lock);
    tally->record.lost_by_exporter -= count;
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        uint64_t *lost = &tally->record.lost[causes[i]];
        uint64_t n = *lost < count ? *lost : count;
        *lost -= n;
        count -= n;
    }
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_drop_init(struct ft_tally_drop *drop) { *drop = (struct ft_tally_drop){0}; }

void ft_tally_drop_add(struct ft_tally_drop *drop, const struct ft_block_info *info)
{
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    struct ft_loss *run = drop->n_runs > 0 ? &drop->runs[drop->n_runs - 1] : NULL;
    if (drop->n_events == 0 || info->first_seq < drop->first_seq) {
        drop->first_seq = info->first_seq;
    }
    drop->last_seq = last_seq > drop->last_seq ? last_seq : drop->last_seq;
    drop->n_events += info->n_events;
    if (run != NULL && run->last_seq + 1 == info->first_seq) {
        run->last_seq = last_seq;
    } else if (drop->n_runs < FT_TALLY_RUNS_MAX) {
        run = &drop->runs[drop->n_runs++];
        *run = (struct ft_loss){.cause = FT_LOSS_LOG_FULL,
                                .begin_ns = info->time_ns,
                                .first_seq = info->first_seq,
                                .last_seq = last_seq};
    } else {
        /* Too many holes between them: the count stays exact, the numbers are not told. */
        run->first_seq = 0;
        run->last_seq = 0;
    }
    run->count += info->n_events;
    run->end_ns = info->time_ns;
}

/*
 * What was told there is told again.  What is between the runs was dropped before, so nothing there
 * is told any more.  Of what cannot be read the numbers are not known: it lies before or behind the
 * rest, and what a block next to it told rather comes twice than what it told not at all.
 */
static void drop_told(struct ft_tally_record *record, const struct ft_tally_drop *drop)
{
    uint64_t first_seq = drop->n_events > 0 ? drop->first_seq : drop->next_seq;
    uint64_t last_seq = drop->n_events > 0 ? drop->last_seq + drop->n_unread : drop->next_seq;
    if (drop->n_unread > 0 && drop->next_seq > 0) {
        last_seq = drop->next_seq - 1;
    }
    first_seq -= drop->n_unread < first_seq ? drop->n_unread : 0;
    if (first_seq > 0 && first_seq <= last_seq) {
        ft_loss_book_dropped(&record->book, first_seq, last_seq);
    }
}

void ft_tally_record_drop(struct ft_tally_record *record, const struct ft_tally_drop *drop)
{
    record->n_drops += drop->on_disk ? 1 : 0;
    if (drop->n_unread > 0) {
        struct ft_loss loss = {.cause = FT_LOSS_SPOOL_DAMAGED, .count = drop->n_unread};
        if (drop->n_runs > 0) {
            loss.begin_ns = drop->runs[0].begin_ns;
            loss.end_ns = drop->runs[drop->n_runs - 1].end_ns;
        }
        lose_numbered(record, &loss);
    }
    drop_told(record, drop);
    if (drop->n_events == 0) {
        return;
    }
    release(record, drop->first_seq, drop->last_seq);
    for (size_t i = 0; i < drop->n_runs; i++) {
        lose_numbered(record, &drop->runs[i]);
    }
    if (drop->last_seq > record->gone_to) {
        record->gone_to = drop->last_seq;
    }
}

void ft_tally_drop(struct ft_tally *tally, const struct ft_tally_drop *drop)
{
    ft_mutex_lock(&tally->lock);
    ft_tally_record_drop(&tally->record, drop);
    tally->dropped += drop->n_events + drop->n_unread;
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_hold(struct ft_tally *tally, uint64_t first_seq, uint64_t last_seq)
{
    ft_mutex_lock(&tally->lock);
    tally->record.held_first = first_seq;
    tally->record.held_last = last_seq;
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_record_rebase(struct ft_tally_record *record, uint64_t base_seq,
                            uint64_t acked_events)
{
    static const enum ft_loss_cause late[] = {FT_LOSS_CRASH, FT_LOSS_LOG_FULL,
                                              FT_LOSS_SPOOL_DAMAGED, FT_LOSS_REJECTED};
    uint64_t numbered = base_seq - record->base_seq;
    uint64_t lost = 0;
    uint64_t before[FT_LOSS_CAUSE_N];
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        lost += record->lost[cause];
        before[cause] = record->lost[cause];
        record->lost[cause] = 0;
    }
    lost -= record->lost_unnumbered;
    /* What is lost beyond the base cannot be told from the rest any more; the latest causes are the
     * likely ones. */
    uint64_t beyond = lost + acked_events > numbered ? lost + acked_events - numbered : 0;
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++) {
        uint64_t n = before[late[i]] < beyond ? before[late[i]] : beyond;
        record->lost[late[i]] = n;
        beyond -= n;
    }
    record->lost_unnumbered = 0;
    record->lost_by_exporter = 0;
    record->base_seq = base_seq;
    record->merged_base = record->merged;
}

void ft_tally_rebase(struct ft_tally *tally, uint64_t base_seq, uint64_t acked_events)
{
    ft_mutex_lock(&tally->lock);
    tally->record.merged = tally->live->merged;
    ft_tally_record_rebase(&tally->record, base_seq, acked_events);
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

bool ft_tally_tell(struct ft_tally *tally, uint64_t seq, struct ft_loss *ret_loss)
{
    ft_mutex_lock(&tally->lock);
    bool any = ft_loss_book_take(&tally->record.book, ret_loss);
    if (any) {
        ft_loss_book_told(&tally->record.book, seq, ret_loss);
        changed_locked(tally);
    }
    ft_mutex_unlock(&tally->lock);
    return any;
}

void ft_tally_untell(struct ft_tally *tally, uint64_t seq)
{
    ft_mutex_lock(&tally->lock);
    ft_loss_book_dropped(&tally->record.book, seq + 1, UINT64_MAX);
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_not_stored(struct ft_tally *tally, uint64_t first_seq, uint64_t last_seq)
{
    ft_mutex_lock(&tally->lock);
    ft_loss_book_dropped(&tally->record.book, first_seq, last_seq);
    changed_locked(tally);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_acked(struct ft_tally *tally, uint64_t seq)
{
    ft_mutex_lock(&tally->lock);
    size_t n_told = tally->record.book.n_told;
    ft_loss_book_acked(&tally->record.book, seq, &tally->history);
    if (n_told != tally->record.book.n_told) {
        changed_locked(tally);
    }
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_gone_back(struct ft_tally *tally, uint64_t seq)
{
    ft_mutex_lock(&tally->lock);
    if (ft_loss_book_gone_back(&tally->record.book, seq, &tally->history)) {
        changed_locked(tally);
    }
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_get(struct ft_tally *tally, struct ft_tally_sums *ret_sums)
{
    ft_mutex_lock(&tally->lock);
    *ret_sums = (struct ft_tally_sums){.numbered = tally->live->numbered - tally->record.base_seq,
                                       .merged = tally->live->merged - tally->record.merged_base,
                                       .lost_unnumbered = tally->record.lost_unnumbered,
                                       .dropped = tally->dropped};
    memcpy(ret_sums->lost, tally->record.lost, sizeof ret_sums->lost);
    ft_mutex_unlock(&tally->lock);
}

const _Atomic uint64_t *ft_tally_lost(const struct ft_tally *tally, enum ft_loss_cause cause)
{
    return &tally->lost[cause];
}

uint64_t ft_tally_version(struct ft_tally *tally)
{
    ft_mutex_lock(&tally->lock);
    uint64_t version = tally->version;
    ft_mutex_unlock(&tally->lock);
    return version;
}

void ft_tally_save(struct ft_tally *tally, struct ft_tally_record *ret_record,
                   uint64_t *ret_version)
{
    ft_mutex_lock(&tally->lock);
    *ret_record = tally->record;
    ret_record->numbered = tally->live->numbered;
    ret_record->filtered = tally->live->filtered;
    ret_record->merged = tally->live->merged;
    ret_record->sealed = tally->live->sealed;
    ret_record->sent = tally->live->sent;
    ret_record->version = tally->version;
    *ret_version = tally->version;
    ft_mutex_unlock(&tally->lock);
}

static void raise(_Atomic uint64_t *value, uint64_t least)
{
    if (*value < least) {
        *value = least;
    }
}

static void lose(struct ft_tally_record *record, const struct ft_loss *loss)
{
    record->lost[loss->cause < FT_LOSS_CAUSE_N ? loss->cause : 0] += loss->count;
    if (loss->first_seq == 0) {
        record->lost_unnumbered += loss->count;
    }
    ft_loss_book_add(&record->book, loss);
}

static void lose_numbered(struct ft_tally_record *record, const struct ft_loss *loss)
{
    if (loss->first_seq != 0) {
        release(record, loss->first_seq, loss->last_seq);
        ft_loss_book_dropped(&record->book, loss->first_seq, loss->last_seq);
    }
    lose(record, loss);
    if (loss->first_seq == 0) {
        record->lost_unnumbered -= loss->count; /* They had numbers, which are not known here. */
    }
    if (loss->last_seq > record->gone_to) {
        record->gone_to = loss->last_seq;
    }
}

/* What is lost is not on its way any more. */
static void release(struct ft_tally_record *record, uint64_t first_seq, uint64_t last_seq)
{
    if (record->held_first >= first_seq && record->held_first <= last_seq) {
        record->held_first = 0;
        record->held_last = 0;
    }
}

static void changed_locked(struct ft_tally *tally)
{
    tally->version++;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        tally->lost[cause] = tally->record.lost[cause];
    }
}
