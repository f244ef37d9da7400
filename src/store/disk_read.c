/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "store/disk_log.h"

/*
 * A block that the disk cannot read is tried this often, then passed over as damaged: an error of
 * the moment must not cost a block, a lasting one must not hold the reader for ever.
 */
#define READ_ATTEMPTS_MAX 16
/* A segment that is to be accounted for is opened again so often. */
#define OPEN_ATTEMPTS 4

/* What a read needs to know of a segment without the lock. */
struct place {
    uint64_t number;
    uint64_t position; /* Wanted: this or the first behind it. */
    uint64_t last;
    uint64_t offset;
    uint64_t end;
    uint64_t salt;
    bool salt_known;
    bool damage_known;
    bool last_attempt; /* What still cannot be read is passed over. */
};

/* What was found there. */
struct found {
    struct ft_store_buf *buf; /* NULL: nothing that could be given out. */
    struct ft_block_info info;
    uint64_t position;
    uint64_t next;
    uint64_t next_offset;
};

static void each_in_tail(struct ft_store_disk_log *disk, const struct ft_log_segment *segment,
                         ft_store_block_fn *fn, void *ctx);
static bool find_place_locked(struct ft_log *log, struct ft_log_reader *reader, uint64_t limit,
                              struct ft_block *ret_block, struct place *ret_place)
    FT_REQUIRES(log->lock);
static bool was_dropped_locked(const struct ft_log *log, const struct ft_log_reader *reader,
                               const struct place *place) FT_REQUIRES(log->lock);
static ft_err open_segment(struct ft_log_reader *reader, uint64_t number);
static ft_err read_place(struct ft_log_reader *reader, const struct place *place,
                         struct found *ret_found);
static ft_err load(struct ft_log_reader *reader, uint64_t offset,
                   const struct ft_store_block_header *header, struct found *found);
static void after_io_error(struct ft_log_reader *reader, const struct place *place, ft_err err);

/* One that reads again from further back still holds what it was given before. */
static void note_taken(struct ft_log_cursor *cursor, uint64_t position)
{
    cursor->taken = position > cursor->taken ? position : cursor->taken;
}

ft_err ft_store_disk_read(struct ft_log_reader *reader, bool durable_only,
                          struct ft_block *ret_block)
{
    struct ft_log *log = reader->log;
    /* Again each time a segment was freed between looking and opening; each is freed once. */
    for (;;) {
        struct place place = {0};
        ft_mutex_lock(&log->lock);
        uint64_t limit = durable_only ? log->durable : log->last;
        bool on_disk = find_place_locked(log, reader, limit, ret_block, &place);
        ft_mutex_unlock(&log->lock);
        if (!on_disk) {
            return ret_block->owner_ != NULL ? FT_OK : ft_err_from_errno(EAGAIN);
        }
        ft_err err = open_segment(reader, place.number);
        if (err == ft_err_from_errno(ENOENT)) {
            ft_mutex_lock(&log->lock);
            size_t i = ft_store_find_segment_locked(log, place.position);
            bool there = i < log->n_segments && log->segments[i]->number == place.number;
            ft_mutex_unlock(&log->lock);
            if (!there) {
                continue;
            }
        }
        struct found found = {0};
        if (err == ft_err_from_errno(ENOENT)) {
            /* Somebody else has removed the file. */
            found = (struct found){.position = place.position, .next = place.last + 1};
            err = FT_E_CORRUPT;
        } else if (err == FT_OK) {
            err = read_place(reader, &place, &found);
        }
        if (err != FT_OK && err != FT_E_CORRUPT) {
            after_io_error(reader, &place, err);
            return err;
        }
        ft_mutex_lock(&log->lock);
        if (was_dropped_locked(log, reader, &place)) {
            /* It was told as lost: nobody may have it now. */
            ft_mutex_unlock(&log->lock);
            if (found.buf != NULL) {
                ft_store_buf_unref(found.buf);
            }
            continue;
        }
        reader->next = found.next;
        note_taken(reader->cursor, found.next - 1);
        reader->hint_number = found.next_offset != 0 ? place.number : 0;
        reader->hint_position = found.next;
        reader->hint_offset = found.next_offset;
        if (err == FT_E_CORRUPT && !place.damage_known) {
            log->counters.damaged_parts++;
        }
        ft_mutex_unlock(&log->lock);
        if (err == FT_E_CORRUPT) {
            *ret_block = (struct ft_block){.info = found.info, .position = found.position};
            return FT_E_CORRUPT;
        }
        ft_store_buf_to_block(found.buf, ret_block);
        return FT_OK;
    }
}

void ft_store_disk_reader_close(struct ft_log_reader *reader)
{
    if (reader->file != NULL) {
        reader->file->disk->ops->close(reader->file);
        reader->file = NULL;
    }
}

/* Where a segment is damaged, what was in the damaged part cannot be told. */
ft_err ft_store_disk_each_block(struct ft_log *log, struct ft_log_segment *segment,
                                ft_store_block_fn *fn, void *ctx)
{
    struct ft_store_disk_log *disk = ft_store_disk_of(log);
    struct ft_store_disk_segment *own = ft_store_disk_segment_of(segment);
    if (!own->on_disk) {
        each_in_tail(disk, segment, fn, ctx);
        return FT_OK;
    }
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(segment->number, name);
    struct ft_disk_file *file;
    ft_err err = FT_OK;
    for (unsigned i = 0; i < OPEN_ATTEMPTS; i++) {
        err = disk->disk->ops->open(disk->disk, name, false, &file);
        if (err == FT_OK || err == ft_err_from_errno(ENOENT)) {
            break;
        }
    }
    if (err != FT_OK) {
        /* Without a file there is nothing to wait for: somebody else has removed it. */
        return err == ft_err_from_errno(ENOENT) ? FT_OK : err;
    }
    struct ft_store_scan scan;
    ft_store_scan_init(&scan, file, FT_STORE_SEGMENT_HEADER_SIZE, segment->bytes,
                       own->salt_known ? &own->salt : NULL);
    scan.skip_io_errors = true;
    struct ft_store_block_header header;
    uint64_t offset;
    while (ft_store_scan_next(&scan, &header, &offset) == FT_OK) {
        if (header.position >= segment->first && header.position <= segment->last) {
            fn(ctx, &header.info, header.position, header.size);
        }
    }
    ft_store_scan_deinit(&scan);
    disk->disk->ops->close(file);
    return FT_OK;
}

/* A segment that is pending is in memory only. */
static void each_in_tail(struct ft_store_disk_log *disk, const struct ft_log_segment *segment,
                         ft_store_block_fn *fn, void *ctx)
{
    struct ft_log *log = &disk->base;
    uint64_t position = segment->first;
    for (;;) {
        ft_mutex_lock(&log->lock);
        size_t i = ft_store_tail_find(&disk->tail, position);
        const struct ft_store_buf *buf = i < disk->tail.n ? ft_store_tail_at(&disk->tail, i) : NULL;
        bool ours = buf != NULL && buf->position <= segment->last;
        struct ft_block_info info = ours ? buf->info : (struct ft_block_info){0};
        size_t size = ours ? buf->size : 0;
        position = ours ? buf->position : 0;
        ft_mutex_unlock(&log->lock);
        if (!ours) {
            return;
        }
        fn(ctx, &info, position, size);
        position++;
    }
}

/*
 * True when the next block is to be read from a segment's file.  False when it was given out from
 * memory, or when there is none up to 'limit'.
 */
static bool find_place_locked(struct ft_log *log, struct ft_log_reader *reader, uint64_t limit,
                              struct ft_block *ret_block, struct place *ret_place)
{
    struct ft_store_tail *tail = &ft_store_disk_of(log)->tail;
    size_t i = ft_store_find_segment_locked(log, reader->next);
    if (i == log->n_segments) {
        /* What a volatile reader did not come to may be gone. */
        if (reader->next < log->next_position) {
            reader->next = log->next_position;
        }
        return false;
    }
    struct ft_store_disk_segment *segment = ft_store_disk_segment_of(log->segments[i]);
    if (segment->base.dropping && log->options.readers_hold && !reader->cursor->is_volatile) {
        return false;
    }
    uint64_t position = reader->next;
    if (position < segment->base.first) {
        position = segment->base.first;
    }
    /* A segment that is pending is in the tail as a whole. */
    if (tail->n > 0 && position >= ft_store_tail_at(tail, 0)->position) {
        struct ft_store_buf *buf = ft_store_tail_at(tail, ft_store_tail_find(tail, position));
        if (buf->position > limit) {
            return false;
        }
        atomic_fetch_add(&buf->refs, 1);
        ft_store_buf_to_block(buf, ret_block);
        reader->next = buf->position + 1;
        note_taken(reader->cursor, buf->position);
        reader->hint_number = buf->segment_number;
        reader->hint_position = reader->next;
        reader->hint_offset = buf->offset + buf->frame_size;
        return false;
    }
    if (position > limit) {
        return false;
    }
    *ret_place = (struct place){.number = segment->base.number,
                                .position = position,
                                .last = segment->base.last < limit ? segment->base.last : limit,
                                .offset = FT_STORE_SEGMENT_HEADER_SIZE,
                                .end = segment->base.bytes,
                                .salt = segment->salt,
                                .salt_known = segment->salt_known,
                                .damage_known = segment->damage_known};
    if (reader->hint_number == segment->base.number && reader->hint_position <= position) {
        ret_place->offset = reader->hint_offset;
    }
    if (reader->failed_position == position && reader->n_failures >= READ_ATTEMPTS_MAX) {
        ret_place->last_attempt = true;
    }
    return true;
}

/* Whether the segment was dropped while it was read without the lock. */
static bool was_dropped_locked(const struct ft_log *log, const struct ft_log_reader *reader,
                               const struct place *place)
{
    if (!log->options.readers_hold || reader->cursor->is_volatile) {
        return false;
    }
    size_t i = ft_store_find_segment_locked(log, place->position);
    return i == log->n_segments || log->segments[i]->number != place->number;
}

/* The reader's own handle: a segment that is freed meanwhile stays readable through it. */
static ft_err open_segment(struct ft_log_reader *reader, uint64_t number)
{
    struct ft_disk *disk = ft_store_disk_of(reader->log)->disk;
    if (reader->file != NULL && reader->file_number == number) {
        return FT_OK;
    }
    ft_store_disk_reader_close(reader);
    char name[FT_DISK_NAME_SIZE];
    ft_store_segment_name(number, name);
    FT_TRY(disk->ops->open(disk, name, false, &reader->file));
    reader->file_number = number;
    return FT_OK;
}

static ft_err read_place(struct ft_log_reader *reader, const struct place *place,
                         struct found *ret_found)
{
    struct ft_store_scan scan;
    ft_store_scan_init(&scan, reader->file, place->offset, place->end,
                       place->salt_known ? &place->salt : NULL);
    struct ft_store_block_header header;
    uint64_t offset;
    scan.skip_io_errors = place->last_attempt;
    uint64_t skipped = 0;
    ft_err err;
    do {
        err = ft_store_scan_next(&scan, &header, &offset);
        skipped += scan.skipped;
    } while (err == FT_OK && header.position < place->position);
    ft_store_scan_deinit(&scan);
    if (err == FT_E_END || (err == FT_OK && header.position > place->last)) {
        /* Nothing is left of the segment. */
        *ret_found = (struct found){.position = place->position, .next = place->last + 1};
        return FT_E_CORRUPT;
    }
    if (err != FT_OK) {
        return err;
    }
    if (header.position > place->position && skipped > 0) {
        *ret_found = (struct found){
            .position = place->position, .next = header.position, .next_offset = offset};
        return FT_E_CORRUPT;
    }
    err = load(reader, offset, &header, ret_found);
    if (err != FT_OK && err != ft_err_from_errno(ENOMEM) && place->last_attempt) {
        *ret_found = (struct found){.info = header.info,
                                    .position = header.position,
                                    .next = header.position + 1,
                                    .next_offset = scan.offset};
        err = FT_E_CORRUPT;
    }
    return err;
}

static ft_err load(struct ft_log_reader *reader, uint64_t offset,
                   const struct ft_store_block_header *header, struct found *found)
{
    struct ft_store_buf *buf = ft_store_buf_create(header->size);
    if (buf == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = ft_store_load_block(reader->file, offset, header, buf->frame);
    if (err == FT_OK || err == FT_E_CORRUPT) {
        *found = (struct found){.info = header->info,
                                .position = header->position,
                                .next = header->position + 1,
                                .next_offset = offset + ft_store_frame_size(header->size)};
        buf->info = header->info;
        buf->position = header->position;
    }
    if (err != FT_OK) {
        ft_store_buf_unref(buf);
        return err;
    }
    found->buf = buf;
    return FT_OK;
}

static void after_io_error(struct ft_log_reader *reader, const struct place *place, ft_err err)
{
    if (err == ft_err_from_errno(ENOMEM)) {
        return;
    }
    /* A handle may be what is broken. */
    ft_store_disk_reader_close(reader);
    if (reader->failed_position != place->position) {
        reader->failed_position = place->position;
        reader->n_failures = 0;
    }
    reader->n_failures++;
}
