/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static ft_err disk_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                          size_t size, uint64_t *ret_position);
static ft_err disk_sync(struct ft_log *log);
static ft_err make_room(struct ft_store_disk_log *disk, uint64_t need);
static ft_err ensure_head(struct ft_store_disk_log *disk, uint64_t need, int64_t time_ns);
static bool fits_head(struct ft_store_disk_log *disk, uint64_t need);
static ft_err drop_doubtful(struct ft_store_disk_log *disk);
static void disk_discard(struct ft_log *log, struct ft_log_segment *segment);
static bool cut_failed(struct ft_store_disk_log *disk);
static ft_err seal_head(struct ft_store_disk_log *disk, bool for_good);
static ft_err open_head(struct ft_store_disk_log *disk, uint64_t bytes, int64_t time_ns);
static ft_err create_file(struct ft_store_disk_log *disk, const char *name,
                          const struct ft_store_segment_header *header, uint64_t bytes,
                          bool must_allocate, struct ft_disk_file **ret_file);
static void publish(struct ft_store_disk_log *disk, struct ft_store_buf *buf);
static void became_durable(struct ft_store_disk_log *disk);
static void give_up_head(struct ft_store_disk_log *disk);
static ft_err write_tail(struct ft_store_disk_log *disk, struct ft_disk_file *file, uint64_t first);
static bool is_pending(struct ft_store_disk_log *disk);

static ft_err disk_append(struct ft_log *log, const struct ft_block_info *info, const void *data,
                          size_t size, uint64_t *ret_position)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    size_t need = ft_store_frame_size(size);
    if (is_pending(disk)) {
        FT_TRY(ft_store_disk_write_pending(disk));
    }
    if (disk->doubtful != NULL) {
        FT_TRY(drop_doubtful(disk));
    }
    if (disk->unsynced_bytes + need > FT_STORE_UNSYNCED_MAX) {
        FT_TRY(disk_sync(log));
    }
    FT_TRY(make_room(disk, need));
    FT_TRY(ensure_head(disk, need, info->time_ns));

    struct ft_store_buf *buf = ft_store_buf_create(size);
    if (buf == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_lock(&log->lock);
    ft_err err = ft_store_tail_reserve(&disk->tail);
    /* With nothing unsynced also positions that were used up and have no block: were they taken for
     * what a power cut took, they would take this block along (disk_recover.c). */
    uint64_t durable = disk->unsynced_bytes == 0 ? log->next_position - 1 : log->durable;
    struct ft_store_block_header header = {.info = *info,
                                           .salt = disk->salt,
                                           .position = log->next_position,
                                           .durable = durable,
                                           .size = (uint32_t)size};
    buf->segment_number = log->head->number;
    buf->offset = log->head->bytes;
    header.offset = buf->offset;
    ft_mutex_unlock(&log->lock);
    if (err == FT_OK) {
        buf->info = *info;
        buf->position = header.position;
        if (size > 0) {
            memcpy(buf->frame + FT_STORE_BLOCK_HEADER_SIZE, data, size);
        }
        ft_store_encode_block(&header, buf->frame);
        err = disk->disk->ops->write_at(disk->head_file, buf->offset, buf->frame, need);
        /* The range may hold anything now, and its end is not known. */
        disk->head_failed = err != FT_OK;
    }
    if (err != FT_OK) {
        ft_store_buf_unref(buf);
        return err;
    }
    *ret_position = buf->position;
    publish(disk, buf);
    return FT_OK;
}

static ft_err disk_sync(struct ft_log *log)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    if (is_pending(disk)) {
        return ft_store_disk_write_pending(disk);
    }
    if (disk->unsynced_bytes == 0) {
        return FT_OK;
    }
    ft_err err = disk->disk->ops->sync(disk->head_file);
    if (err == FT_OK && disk->dir_dirty) {
        err = disk->disk->ops->sync_dir(disk->disk);
        disk->dir_dirty = err != FT_OK;
    }
    ft_mutex_lock(&log->lock);
    log->counters.syncs++;
    log->counters.sync_failures += err != FT_OK ? 1 : 0;
    ft_mutex_unlock(&log->lock);
    if (err != FT_OK) {
        give_up_head(disk);
        return ft_store_disk_write_pending(disk);
    }
    became_durable(disk);
    return FT_OK;
}

/* Under the name "new-…" until it is whole: a half of it must not count at the next start. */
ft_err ft_store_disk_write_pending(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    const struct ft_disk_ops *ops = disk->disk->ops;
    if (disk->spare == NULL) {
        disk->spare = calloc(1, sizeof *disk->spare);
        if (disk->spare == NULL) {
            return ft_err_from_errno(ENOMEM);
        }
    }
    ft_mutex_lock(&log->lock);
    ft_err err = ft_store_reserve_segments_locked(log, 1);
    if (err != FT_OK) {
        ft_mutex_unlock(&log->lock);
        return err;
    }
    struct ft_log_segment *head = log->head;
    head->number = ++disk->next_number;
    disk->salt = ft_random_u64(ft_random_system());
    uint64_t before = log->n_segments > 1 ? log->segments[log->n_segments - 2]->last : 0;
    struct ft_store_segment_header header = {.number = head->number,
                                             .salt = disk->salt,
                                             .first = head->first,
                                             .previous = before,
                                             .first_time_ns = head->first_time_ns};
    uint64_t bytes = head->bytes;
    ft_mutex_unlock(&log->lock);

    char new_name[FT_DISK_NAME_SIZE];
    char name[FT_DISK_NAME_SIZE];
    ft_store_new_name(header.number, new_name);
    ft_store_segment_name(header.number, name);
    bytes = bytes > disk->segment_bytes ? bytes : disk->segment_bytes;
    struct ft_disk_file *file;
    FT_TRY(create_file(disk, new_name, &header, bytes, false, &file));
    err = write_tail(disk, file, header.first);
    if (err == FT_OK) {
        err = ops->sync(file);
    }
    const char *made = new_name;
    if (err == FT_OK) {
        err = ops->rename(disk->disk, new_name, name);
        made = err == FT_OK ? name : new_name;
    }
    if (err == FT_OK) {
        err = ops->sync_dir(disk->disk);
    }
    ft_mutex_lock(&log->lock);
    log->counters.syncs++;
    log->counters.sync_failures += err != FT_OK ? 1 : 0;
    if (err == FT_OK) {
        ft_store_disk_segment_of(head)->on_disk = true;
        ft_store_disk_segment_of(head)->salt = disk->salt;
        ft_store_disk_segment_of(head)->salt_known = true;
        for (size_t i = 0; i < log->n_segments; i++) {
            log->segments[i]->shared = false;
        }
    }
    ft_mutex_unlock(&log->lock);
    if (err != FT_OK) {
        ops->close(file);
        ft_err_ignore(ops->remove(disk->disk, made), "the next start removes or reads it");
        return err;
    }
    disk->head_file = file;
    disk->head_failed = false;
    disk->head_previous = header.previous;
    disk->dir_dirty = false;
    became_durable(disk);
    while (disk->n_doomed > 0) {
        ft_store_disk_remove_segment(disk, disk->doomed[--disk->n_doomed]);
    }
    return FT_OK;
}

void ft_store_disk_remove_segment(struct ft_store_disk_log *disk, uint64_t number)
{
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(number, name);
    ft_err_ignore(disk->disk->ops->remove(disk->disk, name),
                  "a file that stays is found confirmed or superseded at the next start");
}

/* Whether a block of 'need' bytes goes into the head; a large one may have a head to itself. */
static bool fits_head(struct ft_store_disk_log *disk, uint64_t need)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    bool fits = log->head != NULL && !disk->head_failed &&
                (log->head->n_blocks == 0 || log->head->bytes + need <= disk->segment_bytes);
    ft_mutex_unlock(&log->lock);
    return fits;
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

/* Lets the oldest segment go.  FT_E_FULL when none may. */
static ft_err let_one_go(struct ft_store_disk_log *disk, uint64_t *ret_bytes)
{
    struct ft_log *log = &disk->base;
    if (disk->doubtful != NULL) {
        *ret_bytes += disk->doubtful->bytes;
        return drop_doubtful(disk);
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
        return seal_head(disk, false);
    }
    if (is_unkept) {
        return keep_places(disk); /* It goes next time. */
    }
    if (is_done) {
        disk_discard(log, victim);
        return FT_OK;
    }
    disk->doubtful = victim;
    return drop_doubtful(disk);
}

/* A drop that was begun is brought to its end: whether its loss is on disk decides what the next
 * start finds, and nobody knows that after an error. */
static ft_err drop_doubtful(struct ft_store_disk_log *disk)
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

/*
 * Frees or drops segments until 'need' more bytes fit below bytes_max, and, where the file system
 * is short of space, until a new segment takes no more than was given back.
 */
static ft_err make_room(struct ft_store_disk_log *disk, uint64_t need)
{
    struct ft_log *log = &disk->base;
    if (need + FT_STORE_SEGMENT_HEADER_SIZE > log->options.bytes_max) {
        return FT_E_FULL;
    }
    uint64_t freed = 0;
    bool asked = false;
    bool may_grow = true;
    for (;;) {
        bool fits = fits_head(disk, need);
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
        ft_err err = let_one_go(disk, &freed);
        if (!full && disk->doubtful == NULL && ft_err_kind(err) == FT_KIND_BLOCKED) {
            return FT_OK; /* Nothing to give back: the reserve is there for that. */
        }
        FT_TRY(err);
    }
}

/* A head with room for 'need' bytes; a block larger than a segment gets one of its own. */
static ft_err ensure_head(struct ft_store_disk_log *disk, uint64_t need, int64_t time_ns)
{
    if (fits_head(disk, need)) {
        return FT_OK;
    }
    FT_TRY(seal_head(disk, false));
    uint64_t bytes = FT_STORE_SEGMENT_HEADER_SIZE + need + FT_STORE_TRAILER_SIZE;
    uint64_t usual = disk->segment_bytes + FT_STORE_TRAILER_SIZE;
    return open_head(disk, bytes > usual ? bytes : usual, time_ns);
}

/*
 * What a failed write has left behind the blocks may be a whole one, and then it may be on the
 * disk. A trailer would hide it from the next start and, while it is not synced, not from one after
 * a power cut: what was told as lost would be there again.  True when it is gone for good, as soon
 * as the head is synced.
 */
static bool cut_failed(struct ft_store_disk_log *disk)
{
    if (!disk->head_failed || disk->head_file == NULL) {
        return true;
    }
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    uint64_t bytes = log->head != NULL ? log->head->bytes : 0;
    ft_mutex_unlock(&log->lock);
    return bytes > 0 && disk->disk->ops->truncate(disk->head_file, bytes) == FT_OK &&
           (disk->unsynced_bytes > 0 || disk->disk->ops->sync(disk->head_file) == FT_OK);
}

/*
 * Syncs the head and closes it.  The trailer says that the segment is whole and durable, so it
 * follows the sync; it needs no sync of its own, because without it the segment is read instead.
 * It gets one at the end 'for_good', so that the next start finds everything certain.
 */
static ft_err seal_head(struct ft_store_disk_log *disk, bool for_good)
{
    struct ft_log *log = &disk->base;
    const struct ft_disk_ops *ops = disk->disk->ops;
    bool is_cut = cut_failed(disk);
    FT_TRY(disk_sync(log));
    is_cut = is_cut || !disk->head_failed; /* It went into another file. */
    ft_mutex_lock(&log->lock);
    struct ft_log_segment *head = log->head;
    struct ft_log_segment copy = head != NULL ? *head : (struct ft_log_segment){0};
    if (head != NULL && head->n_blocks == 0) {
        /* Nothing was ever written to it: the write that it was opened for failed. */
        log->bytes -= head->bytes;
        log->n_segments--;
    }
    log->head = NULL;
    ft_mutex_unlock(&log->lock);
    if (head == NULL) {
        return FT_OK;
    }
    struct ft_disk_file *file = disk->head_file;
    disk->head_file = NULL;
    if (copy.n_blocks == 0) {
        ops->close(file);
        ft_store_disk_remove_segment(disk, copy.number);
        free(head);
        return FT_OK;
    }
    struct ft_store_trailer trailer = {.salt = disk->salt,
                                       .number = copy.number,
                                       .first = copy.first,
                                       .last = copy.last,
                                       .n_blocks = copy.n_blocks,
                                       .n_events = copy.n_events,
                                       .offset = copy.bytes,
                                       .first_time_ns = copy.first_time_ns,
                                       .previous = disk->head_previous};
    uint8_t bytes[FT_STORE_TRAILER_SIZE];
    ft_store_encode_trailer(&trailer, bytes);
    if (is_cut && ops->write_at(file, copy.bytes, bytes, sizeof bytes) == FT_OK) {
        /* Also gives back what was reserved for the file and not used. */
        ft_err_ignore(ops->truncate(file, copy.bytes + sizeof bytes), "only space is lost");
        if (for_good) {
            ft_err_ignore(ops->sync(file), "then the next start reads the segment");
        }
    }
    ops->close(file);
    return FT_OK;
}

static ft_err open_head(struct ft_store_disk_log *disk, uint64_t bytes, int64_t time_ns)
{
    struct ft_log *log = &disk->base;
    struct ft_store_disk_segment *segment = calloc(1, sizeof *segment);
    if (disk->spare == NULL) {
        disk->spare = calloc(1, sizeof *disk->spare);
    }
    if (segment == NULL || disk->spare == NULL) {
        free(segment);
        return ft_err_from_errno(ENOMEM);
    }
    disk->salt = ft_random_u64(ft_random_system());
    ft_mutex_lock(&log->lock);
    struct ft_store_segment_header header = {.number = ++disk->next_number,
                                             .salt = disk->salt,
                                             .first = log->next_position,
                                             .previous = log->last,
                                             .first_time_ns = time_ns};
    ft_err err = ft_store_reserve_segments_locked(log, 2);
    ft_mutex_unlock(&log->lock);
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(header.number, name);
    struct ft_disk_file *file = NULL;
    if (err == FT_OK) {
        err = create_file(disk, name, &header, bytes, true, &file);
    }
    if (err != FT_OK) {
        free(segment);
        return err;
    }
    segment->base = (struct ft_log_segment){.number = header.number,
                                            .first = header.first,
                                            .last = header.first - 1,
                                            .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    segment->on_disk = true;
    segment->salt = disk->salt;
    segment->salt_known = true;
    disk->head_file = file;
    disk->head_failed = false;
    disk->head_previous = header.previous;
    disk->dir_dirty = true;
    ft_mutex_lock(&log->lock);
    ft_store_add_segment_locked(log, &segment->base);
    log->head = &segment->base;
    bool low = log->counters.space_low;
    ft_mutex_unlock(&log->lock);
    if (!low) {
        ft_store_disk_fill_reserve(disk);
    }
    return FT_OK;
}

/*
 * Where the file system has no room the oldest segments go, then the reserve is used: whoever has
 * filled it may take what is given back faster than it is allocated here.
 */
static ft_err allocate_file(struct ft_store_disk_log *disk, const char *name, uint64_t bytes,
                            struct ft_disk_file **ret_file)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    for (;;) {
        struct ft_disk_file *file;
        FT_TRY(ops->open(disk->disk, name, true, &file));
        ft_err err = ops->allocate(file, bytes);
        if (err == FT_OK || err == FT_E_UNSUPPORTED) {
            *ret_file = file;
            return FT_OK;
        }
        ops->close(file);
        ft_err_ignore(ops->remove(disk->disk, name), "the next start removes it");
        if (ft_err_kind(err) != FT_KIND_BLOCKED || disk->base.options.reserve_segments == 0) {
            return err;
        }
        ft_store_disk_note_refusal(disk, true);
        uint64_t freed = 0;
        bool may_drop = disk->base.options.full == FT_LOG_DROP_OLDEST && !is_pending(disk);
        if (!may_drop || let_one_go(disk, &freed) != FT_OK) {
            FT_TRY(ft_store_disk_take_reserve(disk, name));
            return ops->open(disk->disk, name, false, ret_file);
        }
    }
}

static ft_err create_file(struct ft_store_disk_log *disk, const char *name,
                          const struct ft_store_segment_header *header, uint64_t bytes,
                          bool must_allocate, struct ft_disk_file **ret_file)
{
    const struct ft_disk_ops *ops = disk->disk->ops;
    struct ft_disk_file *file;
    ft_err err = allocate_file(disk, name, bytes, &file);
    if (err != FT_OK && ft_err_kind(err) == FT_KIND_BLOCKED && !must_allocate) {
        /* What is to be written may be much less. */
        err = ops->open(disk->disk, name, true, &file);
    }
    FT_TRY(err);
    uint8_t encoded[FT_STORE_SEGMENT_HEADER_SIZE];
    ft_store_encode_segment_header(header, encoded);
    err = ops->write_at(file, 0, encoded, sizeof encoded);
    if (err != FT_OK) {
        ops->close(file);
        ft_err_ignore(ops->remove(disk->disk, name), "the next start removes it");
        return err;
    }
    *ret_file = file;
    return FT_OK;
}

static void publish(struct ft_store_disk_log *disk, struct ft_store_buf *buf)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    ft_store_tail_add(&disk->tail, buf);
    disk->unsynced_bytes += buf->frame_size;
    ft_store_count_block_locked(log, log->head, &buf->info, buf->position, buf->frame_size);
    log->next_position = buf->position + 1;
    log->last = buf->position;
    log->counters.appended_blocks++;
    log->counters.appended_events += buf->info.n_events;
    ft_cond_broadcast(&log->changed);
    ft_mutex_unlock(&log->lock);
}

static void became_durable(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    ft_mutex_lock(&log->lock);
    log->durable = log->last;
    disk->unsynced_bytes = 0;
    while (disk->tail.bytes > FT_STORE_RECENT_MAX) {
        ft_store_tail_remove_first(&disk->tail);
    }
    ft_cond_broadcast(&log->changed);
    ft_mutex_unlock(&log->lock);
    if (log->listener != NULL) {
        log->listener(log->listener_ctx);
    }
}

/* The head's sync has failed: what is not durable moves to a pending segment. */
static void give_up_head(struct ft_store_disk_log *disk)
{
    struct ft_log *log = &disk->base;
    disk->disk->ops->close(disk->head_file);
    disk->head_file = NULL;
    ft_mutex_lock(&log->lock);
    struct ft_log_segment *old = log->head;
    if (old->first > log->durable) {
        /* None of it is durable: the same segment goes on, without its file. */
        if (disk->n_doomed < FT_STORE_DOOMED_MAX) {
            disk->doomed[disk->n_doomed++] = old->number;
        }
        ft_store_disk_segment_of(old)->on_disk = false;
        ft_mutex_unlock(&log->lock);
        return;
    }
    assert(disk->spare != NULL);
    struct ft_log_segment *pending = &disk->spare->base;
    disk->spare = NULL;
    *pending = (struct ft_log_segment){.number = ++disk->next_number,
                                       .bytes = FT_STORE_SEGMENT_HEADER_SIZE};
    size_t i = ft_store_tail_find(&disk->tail, log->durable + 1);
    for (; i < disk->tail.n; i++) {
        const struct ft_store_buf *buf = ft_store_tail_at(&disk->tail, i);
        old->n_blocks--;
        old->n_events -= buf->info.n_events;
        old->bytes -= buf->frame_size;
        log->bytes -= buf->frame_size;
        pending->n_blocks++;
        pending->n_events += buf->info.n_events;
        pending->bytes += buf->frame_size;
        if (pending->n_blocks == 1) {
            pending->first = buf->position;
            pending->first_time_ns = buf->info.time_ns;
        }
        pending->last = buf->position;
    }
    old->last = log->durable;
    ft_store_add_segment_locked(log, pending);
    log->head = pending;
    ft_mutex_unlock(&log->lock);
}

/*
 * The block goes into another segment, and to another place there.  That segment counts once it is
 * durable as a whole, so what is missing in it is not missing because of a crash.  Readers look at
 * the payload alone, which stays as it is.
 */
static void move_frame(struct ft_store_buf *buf, uint64_t salt, uint64_t offset)
{
    struct ft_store_block_header header;
    bool whole = ft_store_decode_block_header(buf->frame, NULL, &header);
    assert(whole);
    (void)whole;
    header.salt = salt;
    header.offset = offset;
    header.durable = header.position - 1;
    ft_store_encode_block(&header, buf->frame);
}

/* Only the writer removes from the tail what is not durable, so the buffers stay. */
static ft_err write_tail(struct ft_store_disk_log *disk, struct ft_disk_file *file, uint64_t first)
{
    struct ft_log *log = &disk->base;
    uint64_t offset = FT_STORE_SEGMENT_HEADER_SIZE;
    uint64_t position = first;
    for (;;) {
        ft_mutex_lock(&log->lock);
        size_t i = ft_store_tail_find(&disk->tail, position);
        struct ft_store_buf *buf = i < disk->tail.n ? ft_store_tail_at(&disk->tail, i) : NULL;
        if (buf != NULL) {
            buf->segment_number = log->head->number;
            buf->offset = offset;
        }
        ft_mutex_unlock(&log->lock);
        if (buf == NULL) {
            return FT_OK;
        }
        move_frame(buf, disk->salt, offset);
        FT_TRY(disk->disk->ops->write_at(file, offset, buf->frame, buf->frame_size));
        offset += buf->frame_size;
        position = buf->position + 1;
    }
}

static bool is_pending(struct ft_store_disk_log *disk)
{
    ft_mutex_lock(&disk->base.lock);
    struct ft_log_segment *head = disk->base.head;
    bool pending = head != NULL && !ft_store_disk_segment_of(head)->on_disk;
    ft_mutex_unlock(&disk->base.lock);
    return pending;
}

static void disk_discard(struct ft_log *log, struct ft_log_segment *segment)
{
    if (ft_store_disk_segment_of(segment)->on_disk) {
        ft_store_disk_remove_segment(ft_store_disk_of(log), segment->number);
    }
    free(segment);
}

/* What is gone must not be read from memory either. */
static void disk_taken_locked(struct ft_log *log, const struct ft_log_segment *segment)
    FT_REQUIRES(log->lock)
{
    ft_store_tail_remove_to(&ft_store_disk_of(log)->tail, segment->last);
}

/* The head's file goes on until it is full, whatever is confirmed of it. */
static void disk_confirmed_locked(struct ft_log *log, uint64_t floor) FT_REQUIRES(log->lock)
{
    (void)log;
    (void)floor;
}

static void disk_destroy(struct ft_log *log) FT_NO_TSA
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    ft_err_ignore(seal_head(disk, true), "whoever needs the blocks durable has called ft_log_sync");
    if (disk->head_file != NULL) {
        disk->disk->ops->close(disk->head_file);
    }
    for (size_t i = 0; i < log->n_segments; i++) {
        free(log->segments[i]);
    }
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        ft_store_disk_cursor_close(disk, &log->cursors[i]);
    }
    free(disk->spare);
    ft_store_tail_deinit(&disk->tail);
    ft_store_deinit(log);
    free(disk);
}

const struct ft_log_home ft_store_disk_home = {
    .append = disk_append,
    .sync = disk_sync,
    .read = ft_store_disk_read,
    .each_block = ft_store_disk_each_block,
    .discard = disk_discard,
    .taken_locked = disk_taken_locked,
    .confirmed_locked = disk_confirmed_locked,
    .cursor_create = ft_store_disk_cursor_create,
    .cursor_store = ft_store_disk_cursor_store,
    .cursor_remove = ft_store_disk_cursor_remove,
    .reader_close = ft_store_disk_reader_close,
    .destroy = disk_destroy,
    .keeps_cursors = true,
};
