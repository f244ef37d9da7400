/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the log on disk again.
 *
 * Each block says up to where the log was durable when it was written, so the highest of these
 * positions divides what is on disk for certain from what perhaps only the page cache holds: a
 * process that was killed may have left blocks that look whole and whose write the disk refused.
 * Those are read into memory and written again to a new segment, by the very code that does so
 * after a failed sync.  On the same way small segments at the end, left by many restarts, become
 * one.  Behind the divide a missing block takes along what follows it (cut_torn).
 *
 * Where two segments hold the same position, the one with the higher number counts: it was written
 * because the other one failed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/inspect.h"

#define SEGMENT_BYTES_DEFAULT (UINT64_C(64) << 20)
#define SEGMENT_BYTES_MIN     UINT64_C(4096)
/* The share of bytes_max that one segment may take: so much is dropped at once. */
#define SEGMENT_SHARE 8
/* Segments at the end that are together smaller than this become one. */
#define COMPACT_BYTES_MAX (UINT64_C(1) << 20)

/* More that is uncertain is not written again. */
#define TAIL_BYTES_MAX (FT_STORE_UNSYNCED_MAX + 2 * FT_LOG_BLOCK_SIZE_MAX)

/* A cursor that cannot be read begins at the oldest block: rather a repeat than a gap. */
#define CURSOR_ATTEMPTS 4

struct recovery {
    struct ft_store_disk_log *disk;
    ft_log_damage_fn *on_damage;
    void *on_damage_ctx;
    struct ft_store_candidate *candidates; /* By number. */
    size_t n;
    size_t n_allocated;
    uint64_t number_max;
    uint64_t position_max; /* No position up to here is used again. */
    uint64_t durable;      /* Blocks up to here are on disk for certain. */
    uint64_t *leftovers;   /* Numbers of files "new-…". */
    size_t n_leftovers;
    size_t n_leftovers_allocated;
    ft_err err;
};

static ft_err recover(struct recovery *recovery);
static void find_file(void *ctx, const char *name, uint64_t size);
static void find_cursor(void *ctx, const char *name, uint64_t size);
static void report(void *ctx, const struct ft_log_damage *damage);
static ft_err inspect_all(struct recovery *recovery);
static uint64_t dropped_from(const struct recovery *recovery,
                             const struct ft_store_candidate *candidate, uint64_t limit);
static void set_limits(struct recovery *recovery);
static ft_err cut_torn(struct recovery *recovery);
static uint64_t small_run(const struct recovery *recovery);
static ft_err bound_tail(struct recovery *recovery, uint64_t *split);
static ft_err sync_in_place(struct recovery *recovery, uint64_t split);
static ft_err build_or_leave(struct recovery *recovery, uint64_t split);
static ft_err build(struct recovery *recovery, uint64_t split, bool *ret_written);
static void unbuild(struct recovery *recovery);
static bool begin(struct recovery *recovery);
static ft_err add_segment(struct recovery *recovery, const struct ft_store_candidate *candidate,
                          const struct ft_log_segment *blocks);
static ft_err add_pending(struct recovery *recovery);
static void clean_up(struct recovery *recovery, uint64_t split);
static void hold_cursors(struct ft_store_disk_log *disk);

ft_err ft_log_disk_open(struct ft_disk *disk, const struct ft_log_options *options,
                        ft_log_damage_fn *on_damage, void *on_damage_ctx, struct ft_log **ret_log)
{
    if (options->bytes_max == 0) {
        return FT_E_RANGE;
    }
    struct ft_store_disk_log *own = calloc(1, sizeof *own);
    if (own == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_store_init(&own->base, &ft_store_disk_home, options);
    own->disk = disk;
    uint64_t bytes = options->segment_bytes != 0 ? options->segment_bytes : SEGMENT_BYTES_DEFAULT;
    uint64_t share = options->bytes_max / SEGMENT_SHARE;
    bytes = bytes < share ? bytes : share;
    own->segment_bytes = bytes > SEGMENT_BYTES_MIN ? bytes : SEGMENT_BYTES_MIN;
    own->base.unkept_max = own->segment_bytes; /* Before this start there may have been room. */
    own->segment_bytes = ft_store_disk_share_of_space(own, own->segment_bytes);
    ft_err err = ft_store_disk_recover(own, on_damage, on_damage_ctx);
    if (err != FT_OK) {
        ft_log_destroy(&own->base);
        return err;
    }
    own->base.options.dropped = NULL;
    own->base.options.n_dropped = 0;
    ft_store_disk_fill_reserve(own);
    *ret_log = &own->base;
    return FT_OK;
}

ft_err ft_store_disk_recover(struct ft_store_disk_log *disk, ft_log_damage_fn *on_damage,
                             void *on_damage_ctx)
{
    struct recovery recovery = {
        .disk = disk, .on_damage = on_damage, .on_damage_ctx = on_damage_ctx};
    ft_err err = recover(&recovery);
    for (size_t i = 0; i < recovery.n; i++) {
        ft_store_candidate_deinit(&recovery.candidates[i]);
    }
    free(recovery.candidates);
    free(recovery.leftovers);
    return err;
}

static ft_err recover(struct recovery *recovery)
{
    struct ft_disk *disk = recovery->disk->disk;
    FT_TRY(disk->ops->list(disk, find_file, recovery));
    FT_TRY(recovery->err);
    FT_TRY(disk->ops->list(disk, find_cursor, recovery));
    FT_TRY(recovery->err);
    FT_TRY(inspect_all(recovery));
    set_limits(recovery);
    FT_TRY(cut_torn(recovery));
    bool may_have_gaps = recovery->disk->base.options.readers_hold;
    ft_store_report_damages(recovery->candidates, recovery->n, may_have_gaps, report, recovery);

    uint64_t split = recovery->durable + 1;
    uint64_t compact_from = small_run(recovery);
    FT_TRY(bound_tail(recovery, &split));
    recovery->disk->next_number = recovery->number_max;
    bool written = false;
    if (compact_from < split && split != UINT64_MAX) {
        ft_err err = build(recovery, compact_from, &written);
        if (err != FT_OK || !written) {
            /* Perhaps the disk is full: then the small segments stay where they are. */
            unbuild(recovery);
            written = false;
        }
    }
    if (!written) {
        FT_TRY(build_or_leave(recovery, split));
    }
    hold_cursors(recovery->disk);
    return FT_OK;
}

/* A block that was whole a moment ago and cannot be read now stays in its file, as all others. */
static ft_err build_or_leave(struct recovery *recovery, uint64_t split)
{
    bool written;
    ft_err err = build(recovery, split, &written);
    if (err != FT_OK && err != ft_err_from_errno(ENOMEM) && split != UINT64_MAX) {
        unbuild(recovery);
        FT_TRY(sync_in_place(recovery, split));
        err = build(recovery, UINT64_MAX, &written);
    }
    return err;
}

static void *grow(void *items, size_t n, size_t *n_allocated, size_t item_size)
{
    if (n < *n_allocated) {
        return items;
    }
    size_t n_more = *n_allocated != 0 ? *n_allocated * 2 : 16;
    void *more = realloc(items, n_more * item_size);
    if (more != NULL) {
        *n_allocated = n_more;
    }
    return more;
}

static void find_file(void *ctx, const char *name, uint64_t size)
{
    struct recovery *recovery = ctx;
    uint64_t number;
    if (ft_store_parse_name(name, "new-", &number)) {
        uint64_t *more = grow(recovery->leftovers, recovery->n_leftovers,
                              &recovery->n_leftovers_allocated, sizeof *more);
        if (more == NULL) {
            recovery->err = ft_err_from_errno(ENOMEM);
            return;
        }
        recovery->leftovers = more;
        recovery->leftovers[recovery->n_leftovers++] = number;
    } else if (ft_store_parse_name(name, "seg-", &number)) {
        struct ft_store_candidate *more =
            grow(recovery->candidates, recovery->n, &recovery->n_allocated, sizeof *more);
        if (more == NULL) {
            recovery->err = ft_err_from_errno(ENOMEM);
            return;
        }
        recovery->candidates = more;
        recovery->candidates[recovery->n++] =
            (struct ft_store_candidate){.number = number, .size = size};
    } else {
        return;
    }
    if (number > recovery->number_max) {
        recovery->number_max = number;
    }
}

static void report(void *ctx, const struct ft_log_damage *damage)
{
    struct recovery *recovery = ctx;
    struct ft_log *log = &recovery->disk->base;
    ft_mutex_lock(&log->lock);
    log->counters.damaged_parts++;
    ft_mutex_unlock(&log->lock);
    if (recovery->on_damage != NULL) {
        recovery->on_damage(recovery->on_damage_ctx, damage);
    }
}

/* A cursor holds its blocks back from the start, also before its reader is opened. */
static void find_cursor(void *ctx, const char *name, uint64_t size)
{
    static const char prefix[] = "cursor-";
    struct recovery *recovery = ctx;
    struct ft_log *log = &recovery->disk->base;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0 ||
        !ft_store_reader_name_valid(name + sizeof prefix - 1)) {
        return;
    }
    name += sizeof prefix - 1;
    struct ft_store_cursor_record place = {0};
    uint64_t generation = 0;
    ft_err err = FT_OK;
    for (unsigned i = 0; i < CURSOR_ATTEMPTS; i++) {
        err = ft_store_disk_cursor_read(recovery->disk->disk, name, &place, &generation);
        if (err == FT_OK || err == FT_E_CORRUPT) {
            break;
        }
    }
    if (err == ft_err_from_errno(ENOMEM) || err == ft_err_from_errno(EMFILE) ||
        err == ft_err_from_errno(ENFILE)) {
        recovery->err = err;
        return;
    }
    if (err != FT_OK) {
        struct ft_log_damage damage = {.size = size, .what = "bad cursor"};
        ft_store_cursor_name(name, damage.file);
        report(recovery, &damage);
        place = (struct ft_store_cursor_record){0};
        generation = 0;
    }
    if (place.confirmed > recovery->position_max) {
        recovery->position_max = place.confirmed;
    }
    struct ft_slot_file *own = ft_store_disk_cursor_file(recovery->disk, name, generation);
    ft_mutex_lock(&log->lock);
    struct ft_log_cursor *cursor = ft_store_add_cursor_locked(log, name);
    if (cursor != NULL && own != NULL) {
        cursor->confirmed = place.confirmed;
        cursor->taken = place.confirmed;
        cursor->note_size = place.note_size;
        memcpy(cursor->note, place.note, place.note_size);
        cursor->home_own = own;
    } else if (place.confirmed < log->held_floor) {
        log->held_floor = place.confirmed;
    }
    ft_mutex_unlock(&log->lock);
    if (cursor == NULL) {
        free(own);
    }
}

static int by_number(const void *a, const void *b)
{
    const struct ft_store_candidate *left = a;
    const struct ft_store_candidate *right = b;
    return left->number < right->number ? -1 : left->number > right->number ? 1 : 0;
}

/*
 * A position that a reader may ever have seen is not used again, not even when its block is
 * damaged: sinks tell repeats by positions.
 */
static void use_up_positions(struct recovery *recovery, struct ft_store_candidate *candidate)
{
    uint64_t position = candidate->blocks.last;
    size_t n = candidate->damages != NULL ? candidate->damages->n : 0;
    for (size_t i = 0; i < n; i++) {
        const struct ft_store_damage *part = &candidate->damages->parts[i];
        uint64_t last = part->before - 1;
        if (part->before == FT_STORE_NO_BLOCK_BEHIND) {
            last = part->after + part->size / FT_STORE_BLOCK_HEADER_SIZE + 1;
        }
        position = last > position ? last : position;
    }
    candidate->used = position;
    if (position > recovery->position_max) {
        recovery->position_max = position;
    }
}

static ft_err inspect_all(struct recovery *recovery)
{
    if (recovery->n > 0) {
        qsort(recovery->candidates, recovery->n, sizeof(struct ft_store_candidate), by_number);
    }
    /* What may become one segment is read block by block. */
    const struct ft_log_options *options = &recovery->disk->base.options;
    for (size_t i = 0; i < options->n_dropped; i++) {
        if (options->dropped[i].last > recovery->position_max) {
            recovery->position_max = options->dropped[i].last; /* Else they would be dropped too. */
        }
    }
    size_t small_from = recovery->n;
    uint64_t bytes = 0;
    while (small_from > 0) {
        bytes += recovery->candidates[small_from - 1].size;
        if (bytes > COMPACT_BYTES_MAX) {
            break;
        }
        small_from--;
    }
    for (size_t i = 0; i < recovery->n; i++) {
        struct ft_store_candidate *candidate = &recovery->candidates[i];
        FT_TRY(ft_store_inspect(recovery->disk->disk, i >= small_from, candidate));
        if (!candidate->foreign) {
            use_up_positions(recovery, candidate);
        }
    }
    return FT_OK;
}

/*
 * Where the dropped blocks at the end of a candidate begin, the end being 'limit': a crash came
 * between the account of their loss and the removal of the file, or they were written elsewhere as
 * well and dropped there.
 */
static uint64_t dropped_from(const struct recovery *recovery,
                             const struct ft_store_candidate *candidate, uint64_t limit)
{
    const struct ft_log_options *options = &recovery->disk->base.options;
    uint64_t last = candidate->blocks.last < limit ? candidate->blocks.last : limit - 1;
    for (size_t i = 0; i < options->n_dropped; i++) {
        const struct ft_log_range *range = &options->dropped[i];
        if (range->first <= last && last <= range->last && range->first < limit) {
            limit = range->first;
        }
    }
    return limit;
}

static void set_limits(struct recovery *recovery)
{
    uint64_t limit = UINT64_MAX;
    for (size_t i = recovery->n; i-- > 0;) {
        struct ft_store_candidate *candidate = &recovery->candidates[i];
        candidate->limit = dropped_from(recovery, candidate, limit);
        if (ft_store_candidate_usable(candidate) && candidate->blocks.first < limit) {
            limit = candidate->blocks.first;
        }
        if (!candidate->foreign && candidate->durable > recovery->durable) {
            recovery->durable = candidate->durable;
        }
    }
}

/*
 * A power cut leaves any part of what was not synced: a block may be whole and the one before it
 * not.  What comes behind such a hole was not durable either, and whoever counts on the order of
 * the blocks, as sequence numbers do, would take the hole for something that never was.  So it
 * goes, for good: later segments will say that they come behind it, and then it would pass for
 * durable.  A hole in what is durable for certain is damage, and costs only itself.
 *
 * What is cut off may be all that tells how far the blocks before it are durable.  So those become
 * durable here, and their file says so.
 */
static ft_err cut_torn(struct recovery *recovery)
{
    struct ft_disk *disk = recovery->disk->disk;
    for (size_t i = 0; i < recovery->n; i++) {
        struct ft_store_candidate *candidate = &recovery->candidates[i];
        uint64_t hole = ft_store_candidate_hole(candidate, recovery->durable);
        if (!ft_store_candidate_usable(candidate) || hole >= candidate->limit) {
            continue;
        }
        /* Blocks that end there now may have been dropped: they go along. */
        FT_TRY(ft_store_cut(disk, candidate, dropped_from(recovery, candidate, hole)));
        if (candidate->durable > recovery->durable) {
            recovery->durable = candidate->durable;
        }
        if (candidate->blocks.n_blocks == 0) {
            char name[FT_DISK_NAME_SIZE];
            ft_store_segment_name(candidate->number, name);
            FT_TRY(disk->ops->remove(disk, name));
            FT_TRY(disk->ops->sync_dir(disk));
        }
    }
    return FT_OK;
}

/* The first block of the run of small segments at the end, if there is more than one of them. */
static uint64_t small_run(const struct recovery *recovery)
{
    uint64_t bytes = 0;
    size_t n_small = 0;
    uint64_t first = UINT64_MAX;
    for (size_t i = recovery->n; i-- > 0;) {
        const struct ft_store_candidate *candidate = &recovery->candidates[i];
        bytes += candidate->size;
        if (bytes > COMPACT_BYTES_MAX || candidate->io_error || candidate->foreign) {
            break;
        }
        if (ft_store_candidate_usable(candidate)) {
            n_small++;
            first = candidate->blocks.first < first ? candidate->blocks.first : first;
        }
    }
    return n_small > 1 ? first : UINT64_MAX;
}

/* Only damage can make more uncertain than the writer ever left: that is synced in place.  So is
 * what cannot be measured. */
static ft_err bound_tail(struct recovery *recovery, uint64_t *split)
{
    uint64_t tail_bytes = 0;
    for (size_t i = 0; i < recovery->n; i++) {
        const struct ft_store_candidate *candidate = &recovery->candidates[i];
        if (ft_store_candidate_usable(candidate) && candidate->blocks.last >= *split) {
            struct ft_log_segment kept;
            uint64_t more;
            ft_err err =
                ft_store_split(recovery->disk->disk, candidate, *split, &kept, NULL, &more);
            if (err == ft_err_from_errno(ENOMEM)) {
                return err;
            }
            tail_bytes += err == FT_OK ? more : TAIL_BYTES_MAX + 1;
        }
    }
    if (tail_bytes > TAIL_BYTES_MAX) {
        FT_TRY(sync_in_place(recovery, *split));
        *split = UINT64_MAX;
    }
    return FT_OK;
}

static ft_err sync_in_place(struct recovery *recovery, uint64_t split)
{
    struct ft_disk *disk = recovery->disk->disk;
    for (size_t i = 0; i < recovery->n; i++) {
        const struct ft_store_candidate *candidate = &recovery->candidates[i];
        if (!ft_store_candidate_usable(candidate) || candidate->blocks.last < split) {
            continue;
        }
        char name[FT_DISK_NAME_SIZE];
        ft_store_segment_name(candidate->number, name);
        struct ft_disk_file *file;
        FT_TRY(disk->ops->open(disk, name, false, &file));
        ft_err err = ft_store_write_again(file, candidate->size);
        if (err == FT_OK) {
            err = disk->ops->sync(file);
        }
        disk->ops->close(file);
        FT_TRY(err);
    }
    return disk->ops->sync_dir(disk);
}

/*
 * Makes the list of segments; what lies at 'split' or behind it is written again.  When it cannot
 * be written ('*ret_written') it is pending, and the next append or sync tries again.
 */
static ft_err build(struct recovery *recovery, uint64_t split, bool *ret_written)
{
    struct ft_store_disk_log *disk = recovery->disk;
    for (size_t i = 0; i < recovery->n; i++) {
        const struct ft_store_candidate *candidate = &recovery->candidates[i];
        if (!ft_store_candidate_usable(candidate) || candidate->blocks.first >= candidate->limit) {
            continue;
        }
        if (candidate->blocks.last < split && candidate->blocks.last < candidate->limit) {
            FT_TRY(add_segment(recovery, candidate, &candidate->blocks));
            continue;
        }
        struct ft_log_segment kept;
        uint64_t tail_bytes;
        FT_TRY(ft_store_split(disk->disk, candidate, split, &kept, &disk->tail, &tail_bytes));
        if (kept.n_blocks > 0) {
            /* Until the others are in a file of their own, this one must stay. */
            kept.shared = tail_bytes > 0;
            FT_TRY(add_segment(recovery, candidate, &kept));
        }
    }
    if (disk->tail.n > 0) {
        FT_TRY(add_pending(recovery));
    }
    *ret_written = !begin(recovery) || ft_store_disk_write_pending(disk) == FT_OK;
    if (*ret_written) {
        clean_up(recovery, split);
    }
    return FT_OK;
}

static void unbuild(struct recovery *recovery)
{
    struct ft_store_disk_log *disk = recovery->disk;
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    for (size_t i = 0; i < log->n_segments; i++) {
        free(log->segments[i]);
    }
    log->n_segments = 0;
    log->bytes = 0;
    log->head = NULL;
    disk->unsynced_bytes = 0;
    ft_store_tail_deinit(&disk->tail);
    ft_mutex_unlock(&log->lock);
}

/* Where the log goes on.  True when the newest segment is pending. */
static bool begin(struct recovery *recovery)
{
    struct ft_store_disk_log *disk = recovery->disk;
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    struct ft_log_segment *newest = log->n_segments > 0 ? log->segments[log->n_segments - 1] : NULL;
    if (newest != NULL && newest->last > recovery->position_max) {
        recovery->position_max = newest->last;
    }
    log->next_position = recovery->position_max + 1;
    log->last = newest != NULL ? newest->last : recovery->position_max;
    log->durable = log->last;
    bool pending = newest != NULL && newest == log->head;
    if (pending) {
        /* Small segments that become one are durable in their old files. */
        log->durable = newest->first - 1;
        if (recovery->durable > log->durable) {
            log->durable = recovery->durable < log->last ? recovery->durable : log->last;
        }
        disk->unsynced_bytes = newest->bytes - FT_STORE_SEGMENT_HEADER_SIZE;
    }
    ft_mutex_unlock(&log->lock);
    return pending;
}

static ft_err add_segment(struct recovery *recovery, const struct ft_store_candidate *candidate,
                          const struct ft_log_segment *blocks)
{
    struct ft_log *log = &recovery->disk->base;
    struct ft_store_disk_segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    segment->base = *blocks;
    segment->on_disk = true;
    segment->damage_known = candidate->scanned;
    segment->salt = candidate->salt;
    segment->salt_known = candidate->salt_known;
    ft_mutex_lock(&log->lock);
    ft_err err = ft_store_reserve_segments_locked(log, 1);
    if (err == FT_OK) {
        ft_store_add_segment_locked(log, &segment->base);
    }
    ft_mutex_unlock(&log->lock);
    if (err != FT_OK) {
        free(segment);
    }
    return err;
}

static ft_err add_pending(struct recovery *recovery)
{
    struct ft_store_disk_log *disk = recovery->disk;
    struct ft_log *log = &disk->base;
    struct ft_store_disk_segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    struct ft_log_segment *base = &segment->base;
    base->number = ++disk->next_number;
    base->bytes = FT_STORE_SEGMENT_HEADER_SIZE;
    ft_mutex_lock(&log->lock);
    for (size_t i = 0; i < disk->tail.n; i++) {
        struct ft_store_buf *buf = ft_store_tail_at(&disk->tail, i);
        if (i == 0) {
            base->first = buf->position;
            base->first_time_ns = buf->info.time_ns;
        }
        base->last = buf->position;
        base->n_blocks++;
        base->n_events += buf->info.n_events;
        base->bytes += buf->frame_size;
    }
    ft_err err = ft_store_reserve_segments_locked(log, 1);
    if (err == FT_OK) {
        ft_store_add_segment_locked(log, base);
        log->head = base;
    }
    ft_mutex_unlock(&log->lock);
    if (err != FT_OK) {
        free(segment);
    }
    return err;
}

static bool holds_nothing(const struct ft_store_candidate *candidate, uint64_t split)
{
    if (!ft_store_candidate_usable(candidate)) {
        return candidate->header_known ||
               candidate->size < FT_STORE_SEGMENT_HEADER_SIZE + FT_STORE_BLOCK_HEADER_SIZE;
    }
    return candidate->blocks.first >= candidate->limit || candidate->blocks.first >= split;
}

/* What was reserved for a file that was being written. */
static void give_back(struct ft_store_disk_log *disk, const struct ft_store_candidate *candidate)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(candidate->number, name);
    struct ft_disk_file *file;
    if (ops->open(disk->disk, name, false, &file) == FT_OK) {
        ft_err_ignore(ops->truncate(file, candidate->size), "only space is lost");
        ops->close(file);
    }
}

/*
 * Removes what holds nothing that is not elsewhere.  What could not be read is left for a better
 * day, and of the files without a block the newest that shows that positions were used up: were it
 * gone, the next start would give them again.
 */
static void clean_up(struct recovery *recovery, uint64_t split)
{
    struct ft_store_disk_log *disk = recovery->disk;
    char name[FT_DISK_NAME_SIZE];
    for (size_t i = 0; i < recovery->n_leftovers; i++) {
        ft_store_new_name(recovery->leftovers[i], name);
        ft_err_ignore(disk->disk->ops->remove(disk->disk, name), "the next start tries again");
    }
    ft_mutex_lock(&disk->base.lock);
    uint64_t shown = disk->base.n_segments > 0 ? disk->base.last : 0;
    ft_mutex_unlock(&disk->base.lock);
    for (size_t i = recovery->n; i-- > 0;) {
        const struct ft_store_candidate *candidate = &recovery->candidates[i];
        if (candidate->foreign || candidate->io_error) {
            continue;
        }
        if (!holds_nothing(candidate, split)) {
            if (ft_store_candidate_usable(candidate) && !candidate->sealed) {
                give_back(disk, candidate);
            }
        } else if (!ft_store_candidate_usable(candidate) && candidate->used > shown) {
            shown = candidate->used;
        } else {
            ft_store_disk_remove_segment(disk, candidate->number);
        }
    }
}

/*
 * Each place is written again and synced before it lets anything go: what the page cache shows of
 * it need not be on disk.
 */
static void hold_cursors(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        ft_mutex_lock(&log->lock);
        struct ft_log_cursor *cursor = &log->cursors[i];
        bool used = cursor->name[0] != '\0';
        uint64_t confirmed = cursor->confirmed;
        struct ft_store_cursor_record record = {.confirmed = confirmed,
                                                .note_size = cursor->note_size};
        memcpy(record.note, cursor->note, cursor->note_size);
        ft_mutex_unlock(&log->lock);
        if (!used) {
            continue;
        }
        ft_err err = ft_store_disk_cursor_store(log, cursor, &record, true);
        ft_mutex_lock(&log->lock);
        cursor->held = err == FT_OK ? confirmed : 0;
        ft_mutex_unlock(&log->lock);
    }
    ft_store_free_confirmed(log);
}
