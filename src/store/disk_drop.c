/* SPDX-License-Identifier: Apache-2.0 */
/* Which segments go: those that all readers have confirmed, and at the bound the oldest. */
#include <stdlib.h>

#include "store/disk_log.h"

static size_t find_victim_locked(const struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock);
static ft_err keep_places(struct ft_store_disk_log *disk);

/*
 * Frees or drops segments until 'need' more bytes fit below bytes_max, and, where the file system
 * is short of space, until a new segment takes no more than was given back.
 */
ft_err ft_store_disk_make_room(struct ft_store_disk_log *disk, uint64_t need)
{
    struct ft_log *log = &disk->base;
    if (need + FT_STORE_SEGMENT_HEADER_SIZE > log->options.bytes_max) {
        return FT_E_FULL;
    }
    uint64_t freed = 0;
    bool asked = false;
    bool may_grow = true;
    for (;;) {
        bool fits = ft_store_disk_fits_head(disk, need);
        ft_mutex_lock(&log->lock);
        uint64_t total = log->bytes + need + (fits ? 0 : FT_STORE_SEGMENT_HEADER_SIZE);
        ft_mutex_unlock(&log->lock);
        bool full = total > log->options.bytes_max;
        if (!full && !fits && !asked) {
            asked = true;
            may_grow = ft_store_disk_may_grow(disk);
            ft_store_disk_note_refusal(disk, !may_grow);
        }
        /* A full segment is a little smaller than the space that a new one takes. */
        bool gave_back = freed >= disk->segment_bytes - disk->segment_bytes / 8;
        if (!full && (fits || may_grow || gave_back)) {
            return FT_OK;
        }
        ft_err err = ft_store_disk_let_one_go(disk, &freed);
        if (!full && disk->doubtful == NULL && ft_err_kind(err) == FT_KIND_BLOCKED) {
            return FT_OK; /* Nothing to give back: the reserve is there for that. */
        }
        FT_TRY(err);
    }
}

/* Lets the oldest segment go.  FT_E_FULL when none may. */
ft_err ft_store_disk_let_one_go(struct ft_store_disk_log *disk, uint64_t *ret_bytes)
{
    struct ft_log *log = &disk->base;
    if (disk->doubtful != NULL) {
        *ret_bytes += disk->doubtful->bytes;
        return ft_store_disk_drop_doubtful(disk);
    }
    ft_mutex_lock(&log->lock);
    uint64_t floor = ft_store_confirmed_locked(log);
    size_t i = find_victim_locked(log, floor);
    struct ft_log_segment *victim = i < log->n_segments ? log->segments[i] : NULL;
    bool is_head = victim != NULL && victim == log->head;
    bool is_done = victim != NULL && victim->last <= floor;
    /* A head that is sealed goes without a reader having passed it. */
    uint64_t passed = is_done ? victim->last : floor;
    bool is_unkept =
        victim != NULL && !is_head && victim->first <= passed && ft_store_held_locked(log) < passed;
    if (victim != NULL && !is_head && !is_unkept) {
        *ret_bytes += victim->bytes;
        victim->dropping = !is_done;
        if (is_done) {
            (void)ft_store_take_locked(log, i);
        }
    }
    ft_mutex_unlock(&log->lock);
    if (victim == NULL) {
        return FT_E_FULL;
    }
    if (is_head) {
        return ft_store_disk_seal_head(disk, false);
    }
    if (is_unkept) {
        return keep_places(disk); /* It goes next time. */
    }
    if (is_done) {
        ft_store_disk_discard(log, victim);
        return FT_OK;
    }
    disk->doubtful = victim;
    return ft_store_disk_drop_doubtful(disk);
}

/* A drop that was begun is brought to its end: whether its loss is on disk decides what the next
 * start finds, and nobody knows that after an error. */
ft_err ft_store_disk_drop_doubtful(struct ft_store_disk_log *disk)
{
    bool in_doubt;
    ft_mutex_lock(&disk->base.lock);
    uint64_t floor = ft_store_confirmed_locked(&disk->base);
    bool is_unkept = ft_store_held_locked(&disk->base) < floor;
    ft_mutex_unlock(&disk->base.lock);
    if (is_unkept) {
        FT_TRY(keep_places(disk)); /* More was confirmed since the first try. */
    }
    ft_err err = ft_store_drop_listed(&disk->base, disk->doubtful, floor, &in_doubt);
    if (!in_doubt) {
        disk->doubtful = NULL;
    }
    return err;
}

void ft_store_disk_discard(struct ft_log *log, struct ft_log_segment *segment)
{
    if (ft_store_disk_segment_of(segment)->on_disk) {
        ft_store_disk_remove_segment(ft_store_disk_of(log), segment->number);
    }
    free(segment);
}

/*
 * The oldest segment that may go: confirmed by all, or to be dropped.  n_segments: none.  One that
 * a reader holds a block of stays, because only confirming makes it sure what became of the block.
 */
static size_t find_victim_locked(const struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock)
{
    uint64_t held_to = log->options.readers_hold ? ft_store_taken_by_any_locked(log) : 0;
    size_t i = 0;
    for (; i < log->n_segments; i++) {
        const struct ft_log_segment *segment = log->segments[i];
        if (segment->n_blocks == 0) {
            continue;
        }
        if (segment->last <= floor) {
            break;
        }
        if (log->options.full == FT_LOG_REFUSE) {
            return log->n_segments;
        }
        if (segment->first > held_to) {
            break;
        }
    }
    return i;
}

/* Where a new file for a reader's place finds no room, and the old one cannot be trusted any more,
 * the reserve makes some. */
static ft_err keep_places(struct ft_store_disk_log *disk)
{
    ft_err err = ft_store_keep_places(&disk->base);
    while (ft_err_kind(err) == FT_KIND_BLOCKED && ft_store_disk_give_reserve(disk)) {
        err = ft_store_keep_places(&disk->base);
    }
    return err;
}
