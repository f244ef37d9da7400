/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tally.h"

#include <stdlib.h>

#include "base/thread.h"

struct ft_tally {
    struct ft_tally_live *live;
    struct ft_tally_live own;
    /* Written under 'lock', read by metrics without it. */
    _Atomic uint64_t lost[FT_LOSS_CAUSE_N];
    struct ft_mutex lock;
    uint64_t lost_unnumbered FT_GUARDED;
    uint64_t lost_by_exporter FT_GUARDED;
    uint64_t dropped_to FT_GUARDED;
    uint64_t dropped FT_GUARDED;
    uint64_t version FT_GUARDED;
    struct ft_loss_book book FT_GUARDED;
};

static void raise(_Atomic uint64_t *value, uint64_t least);
static void lose_locked(struct ft_tally *tally, const struct ft_loss *loss)
    FT_REQUIRES(tally->lock);
static void lose_numbered_locked(struct ft_tally *tally, const struct ft_loss *loss)
    FT_REQUIRES(tally->lock);

ft_err ft_tally_create(const struct ft_tally_record *from, struct ft_tally_live *live,
                       struct ft_tally **ret_tally) FT_NO_TSA
{
    struct ft_tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&tally->lock);
    ft_loss_book_init(&tally->book);
    tally->live = live != NULL ? live : &tally->own;
    if (from != NULL) {
        raise(&tally->live->numbered, from->numbered);
        raise(&tally->live->filtered, from->filtered);
        raise(&tally->live->merged, from->merged);
        raise(&tally->live->sealed, from->sealed);
        raise(&tally->live->sent, from->sent);
        for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
            tally->lost[cause] = from->lost[cause];
        }
        tally->lost_unnumbered = from->lost_unnumbered;
        tally->lost_by_exporter = from->lost_by_exporter;
        tally->dropped_to = from->dropped_to;
        tally->book = from->book;
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
    lose_locked(tally, loss);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_drop(struct ft_tally *tally, const struct ft_block_info *info)
{
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    struct ft_loss loss = {.cause = FT_LOSS_LOG_FULL,
                           .begin_ns = info->time_ns,
                           .end_ns = info->time_ns,
                           .count = info->n_events,
                           .first_seq = info->first_seq,
                           .last_seq = last_seq};
    ft_mutex_lock(&tally->lock);
    tally->dropped += info->n_events;
    if (last_seq > tally->dropped_to) {
        tally->dropped_to = last_seq;
    }
    ft_loss_book_dropped(&tally->book, info->first_seq, last_seq);
    lose_locked(tally, &loss);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_reject(struct ft_tally *tally, const struct ft_loss *loss)
{
    ft_mutex_lock(&tally->lock);
    tally->lost_by_exporter += loss->count;
    lose_numbered_locked(tally, loss);
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_forgive(struct ft_tally *tally, uint64_t count)
{
    ft_mutex_lock(&tally->lock);
    tally->lost_by_exporter -= count;
    uint64_t n = tally->lost[FT_LOSS_REJECTED] < count ? tally->lost[FT_LOSS_REJECTED] : count;
    tally->lost[FT_LOSS_REJECTED] -= n;
    count -= n;
    n = tally->lost[FT_LOSS_SPOOL_DAMAGED] < count ? tally->lost[FT_LOSS_SPOOL_DAMAGED] : count;
    tally->lost[FT_LOSS_SPOOL_DAMAGED] -= n;
    tally->version++;
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_lose_numbered(struct ft_tally *tally, const struct ft_loss *loss)
{
    ft_mutex_lock(&tally->lock);
    lose_numbered_locked(tally, loss);
    ft_mutex_unlock(&tally->lock);
}

bool ft_tally_tell(struct ft_tally *tally, uint64_t seq, struct ft_loss *ret_loss)
{
    ft_mutex_lock(&tally->lock);
    bool any = ft_loss_book_take(&tally->book, ret_loss);
    if (any) {
        ft_loss_book_told(&tally->book, seq, ret_loss);
        tally->version++;
    }
    ft_mutex_unlock(&tally->lock);
    return any;
}

void ft_tally_acked(struct ft_tally *tally, uint64_t seq)
{
    ft_mutex_lock(&tally->lock);
    size_t n_told = tally->book.n_told;
    ft_loss_book_acked(&tally->book, seq);
    tally->version += n_told != tally->book.n_told ? 1 : 0;
    ft_mutex_unlock(&tally->lock);
}

void ft_tally_get(struct ft_tally *tally, struct ft_tally_sums *ret_sums)
{
    ft_mutex_lock(&tally->lock);
    *ret_sums = (struct ft_tally_sums){.numbered = tally->live->numbered,
                                       .merged = tally->live->merged,
                                       .lost_unnumbered = tally->lost_unnumbered,
                                       .dropped = tally->dropped};
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        ret_sums->lost[cause] = tally->lost[cause];
    }
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
    ret_record->numbered = tally->live->numbered;
    ret_record->filtered = tally->live->filtered;
    ret_record->merged = tally->live->merged;
    ret_record->sealed = tally->live->sealed;
    ret_record->sent = tally->live->sent;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        ret_record->lost[cause] = tally->lost[cause];
    }
    ret_record->lost_unnumbered = tally->lost_unnumbered;
    ret_record->lost_by_exporter = tally->lost_by_exporter;
    ret_record->dropped_to = tally->dropped_to;
    ret_record->book = tally->book;
    *ret_version = tally->version;
    ft_mutex_unlock(&tally->lock);
}

static void raise(_Atomic uint64_t *value, uint64_t least)
{
    if (*value < least) {
        *value = least;
    }
}

static void lose_locked(struct ft_tally *tally, const struct ft_loss *loss)
{
    tally->lost[loss->cause < FT_LOSS_CAUSE_N ? loss->cause : 0] += loss->count;
    if (loss->first_seq == 0) {
        tally->lost_unnumbered += loss->count;
    }
    ft_loss_book_add(&tally->book, loss);
    tally->version++;
}

static void lose_numbered_locked(struct ft_tally *tally, const struct ft_loss *loss)
{
    if (loss->first_seq != 0) {
        ft_loss_book_dropped(&tally->book, loss->first_seq, loss->last_seq);
    }
    lose_locked(tally, loss);
    if (loss->first_seq == 0) {
        tally->lost_unnumbered -= loss->count;
    }
}
