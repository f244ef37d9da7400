/* SPDX-License-Identifier: Apache-2.0 */
/* Readers and their cursors, as far as they do not depend on the home. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/log.h"
#include "store/log_core.h"

static ft_err claim_cursor_locked(struct ft_log *log, const char *name, bool volatile_reader,
                                  struct ft_log_cursor **ret_cursor, bool *ret_is_new)
    FT_REQUIRES(log->lock);
static ft_err confirm(struct ft_log_reader *reader, uint64_t position, const void *note,
                      size_t note_size);
static void drop_cursor(struct ft_log *log, struct ft_log_cursor *cursor);
static ft_err store_place(struct ft_log *log, struct ft_log_cursor *cursor, bool durable);
static ft_err write_place(struct ft_log *log, struct ft_log_cursor *cursor, bool durable)
    FT_REQUIRES(log->places_lock);
static bool passes_segment_locked(const struct ft_log *log, uint64_t held, uint64_t position)
    FT_REQUIRES(log->lock);

ft_err ft_log_reader_open(struct ft_log *log, const char *name, bool volatile_reader,
                          struct ft_log_reader **ret_reader)
{
    if (!ft_store_reader_name_valid(name)) {
        return ft_err_from_errno(EINVAL);
    }
    struct ft_log_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    reader->log = log;
    bool is_new = false;
    ft_mutex_lock(&log->lock);
    ft_err err = claim_cursor_locked(log, name, volatile_reader, &reader->cursor, &is_new);
    if (err == FT_OK) {
        reader->next = reader->cursor->confirmed + 1;
        reader->wakes_seen = log->wakes;
    }
    ft_mutex_unlock(&log->lock);
    if (err == FT_OK && is_new && !volatile_reader) {
        ft_mutex_lock(&log->places_lock);
        err = log->home->cursor_create(log, reader->cursor);
        ft_mutex_unlock(&log->places_lock);
        if (err != FT_OK) {
            drop_cursor(log, reader->cursor);
        }
    }
    if (err != FT_OK) {
        free(reader);
        return err;
    }
    *ret_reader = reader;
    return FT_OK;
}

void ft_log_reader_close(struct ft_log_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    struct ft_log *log = reader->log;
    log->home->reader_close(reader);
    ft_mutex_lock(&log->lock);
    bool keep = log->home->keeps_cursors && !reader->cursor->is_volatile;
    reader->cursor->open = false;
    ft_mutex_unlock(&log->lock);
    if (!keep) {
        drop_cursor(log, reader->cursor);
    }
    free(reader);
}

ft_err ft_log_reader_next(struct ft_log_reader *reader, bool durable_only,
                          struct ft_block *ret_block)
{
    *ret_block = (struct ft_block){0};
    return reader->log->home->read(reader, durable_only, ret_block);
}

void ft_log_reader_seek(struct ft_log_reader *reader, uint64_t position)
{
    ft_mutex_lock(&reader->log->lock);
    reader->next = position < FT_STORE_POSITION_MAX ? position + 1 : FT_STORE_POSITION_MAX;
    ft_mutex_unlock(&reader->log->lock);
}

uint64_t ft_log_reader_position(struct ft_log_reader *reader)
{
    ft_mutex_lock(&reader->log->lock);
    uint64_t position = reader->next - 1;
    ft_mutex_unlock(&reader->log->lock);
    return position;
}

ft_err ft_log_reader_confirm(struct ft_log_reader *reader, uint64_t position)
{
    return confirm(reader, position, NULL, 0);
}

ft_err ft_log_reader_confirm_noted(struct ft_log_reader *reader, uint64_t position,
                                   const void *note, size_t size)
{
    assert(size <= FT_LOG_NOTE_SIZE_MAX);
    return confirm(reader, position, note, size);
}

ft_err ft_log_reader_keep(struct ft_log_reader *reader)
{
    return reader->cursor->is_volatile ? FT_OK : store_place(reader->log, reader->cursor, true);
}

void ft_log_reader_note(struct ft_log_reader *reader, uint8_t note[FT_LOG_NOTE_SIZE_MAX],
                        size_t *ret_size)
{
    ft_mutex_lock(&reader->log->lock);
    memcpy(note, reader->cursor->note, reader->cursor->note_size);
    *ret_size = reader->cursor->note_size;
    ft_mutex_unlock(&reader->log->lock);
}

void ft_log_reader_hold(struct ft_log_reader *reader, uint64_t bytes)
{
    struct ft_log *log = reader->log;
    ft_mutex_lock(&log->lock);
    struct ft_log_cursor *cursor = reader->cursor;
    uint64_t held = 0;
    bytes += log->unkept_max;
    for (size_t i = 0; i < log->n_segments && held < bytes; i++) {
        const struct ft_log_segment *segment = log->segments[i];
        if (segment->last <= cursor->confirmed) {
            continue;
        }
        /* How much of the first lies behind the position is not known. */
        held += segment->first > cursor->confirmed ? segment->bytes : 0;
        cursor->taken = segment->last > cursor->taken ? segment->last : cursor->taken;
    }
    ft_mutex_unlock(&log->lock);
}

struct behind {
    uint64_t position;
    uint64_t n_blocks;
    uint64_t n_events;
};

static void count_behind(void *ctx, const struct ft_block_info *info, uint64_t position,
                         size_t size)
{
    struct behind *behind = ctx;
    (void)size;
    if (position > behind->position) {
        behind->n_blocks++;
        behind->n_events += info->n_events;
    }
}

ft_err ft_log_reader_unconfirmed(struct ft_log_reader *reader, uint64_t *ret_blocks,
                                 uint64_t *ret_events)
{
    struct ft_log *log = reader->log;
    struct ft_log_segment *partly = NULL;
    ft_mutex_lock(&log->lock);
    struct behind behind = {.position = reader->cursor->confirmed};
    for (size_t i = 0; i < log->n_segments; i++) {
        struct ft_log_segment *segment = log->segments[i];
        if (segment->first > behind.position) {
            behind.n_blocks += segment->n_blocks;
            behind.n_events += segment->n_events;
        } else if (segment->last > behind.position) {
            partly = segment;
        }
    }
    ft_mutex_unlock(&log->lock);
    if (partly != NULL) {
        FT_TRY(log->home->each_block(log, partly, count_behind, &behind));
    }
    *ret_blocks = behind.n_blocks;
    *ret_events = behind.n_events;
    return FT_OK;
}

static ft_err confirm(struct ft_log_reader *reader, uint64_t position, const void *note,
                      size_t note_size)
{
    struct ft_log *log = reader->log;
    struct ft_log_cursor *cursor = reader->cursor;
    ft_mutex_lock(&log->lock);
    bool possible = position < log->next_position;
    bool forward = possible && (position > cursor->confirmed ||
                                (position == cursor->confirmed && note != NULL));
    bool durable = false;
    if (forward) {
        cursor->confirmed = position;
        if (note != NULL) {
            memcpy(cursor->note, note, note_size);
            cursor->note_size = note_size;
        }
        /* Only what frees a segment is worth a sync: the file must not go before the cursor. */
        durable = passes_segment_locked(log, cursor->held, position);
    }
    ft_mutex_unlock(&log->lock);
    if (!forward || cursor->is_volatile) {
        return possible ? FT_OK : FT_E_RANGE;
    }
    ft_err err = store_place(log, cursor, durable);
    if (durable || !log->home->keeps_cursors) {
        ft_store_free_confirmed(log);
    }
    return err;
}

ft_err ft_log_reader_set_note(struct ft_log_reader *reader, const void *note, size_t size)
{
    assert(size <= FT_LOG_NOTE_SIZE_MAX);
    struct ft_log *log = reader->log;
    struct ft_log_cursor *cursor = reader->cursor;
    ft_mutex_lock(&log->lock);
    memcpy(cursor->note, note, size);
    cursor->note_size = size;
    ft_mutex_unlock(&log->lock);
    return cursor->is_volatile ? FT_OK : store_place(log, cursor, false);
}

ft_err ft_log_reader_go_back(struct ft_log_reader *reader, uint64_t position, const void *note,
                             size_t size)
{
    assert(size <= FT_LOG_NOTE_SIZE_MAX);
    struct ft_log *log = reader->log;
    struct ft_log_cursor *cursor = reader->cursor;
    ft_mutex_lock(&log->lock);
    size_t i = ft_store_find_segment_locked(log, position + 1);
    bool there = i < log->n_segments && log->segments[i]->first <= position + 1;
    bool back = there && position < cursor->confirmed;
    if (there) {
        reader->next = position + 1;
        cursor->taken = position;
    }
    if (back) {
        cursor->confirmed = position;
        cursor->held = position < cursor->held ? position : cursor->held;
        if (note != NULL) {
            memcpy(cursor->note, note, size);
            cursor->note_size = size;
        }
    }
    ft_mutex_unlock(&log->lock);
    if (back && !cursor->is_volatile) {
        ft_err_ignore(store_place(log, cursor, false),
                      "a restart that finds the later place goes back again");
    }
    return there ? FT_OK : FT_E_NOT_FOUND;
}

uint64_t ft_log_reader_confirmed(struct ft_log_reader *reader)
{
    ft_mutex_lock(&reader->log->lock);
    uint64_t confirmed = reader->cursor->confirmed;
    ft_mutex_unlock(&reader->log->lock);
    return confirmed;
}

bool ft_log_reader_wait(struct ft_log_reader *reader, bool durable_only, int64_t deadline_mono_ns)
{
    struct ft_log *log = reader->log;
    bool in_time = true;
    bool there;
    ft_mutex_lock(&log->lock);
    for (;;) {
        there = (durable_only ? log->durable : log->last) >= reader->next;
        if (there || !in_time) {
            break;
        }
        /* A wake-up from before the wait counts: the caller may have looked away just then. */
        if (reader->wakes_seen != log->wakes) {
            reader->wakes_seen = log->wakes;
            break;
        }
        in_time = ft_cond_wait_until(&log->changed, &log->lock, deadline_mono_ns);
    }
    ft_mutex_unlock(&log->lock);
    return there;
}

ft_err ft_log_reader_forget(struct ft_log *log, const char *name)
{
    ft_mutex_lock(&log->lock);
    struct ft_log_cursor *cursor = ft_store_find_cursor_locked(log, name);
    bool busy = cursor != NULL && cursor->open;
    if (cursor != NULL && !busy) {
        cursor->open = true; /* Nobody else takes it until it is gone. */
    }
    ft_mutex_unlock(&log->lock);
    if (cursor == NULL || busy) {
        return busy ? ft_err_from_errno(EBUSY) : FT_E_NOT_FOUND;
    }
    ft_mutex_lock(&log->places_lock);
    ft_err err = log->home->cursor_remove(log, cursor);
    ft_mutex_unlock(&log->places_lock);
    if (err != FT_OK) {
        ft_mutex_lock(&log->lock);
        cursor->open = false;
        ft_mutex_unlock(&log->lock);
        return err;
    }
    drop_cursor(log, cursor);
    return FT_OK;
}

size_t ft_log_reader_names(struct ft_log *log, char names[][FT_LOG_READER_NAME_SIZE], size_t n_max)
{
    size_t n = 0;
    ft_mutex_lock(&log->lock);
    for (size_t i = 0; i < FT_LOG_READERS_MAX && n < n_max; i++) {
        const struct ft_log_cursor *cursor = &log->cursors[i];
        if (cursor->name[0] != '\0' && !cursor->is_volatile) {
            memcpy(names[n++], cursor->name, FT_LOG_READER_NAME_SIZE);
        }
    }
    ft_mutex_unlock(&log->lock);
    return n;
}

ft_err ft_store_keep_places(struct ft_log *log)
{
    ft_err err = FT_OK;
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        struct ft_log_cursor *cursor = &log->cursors[i];
        ft_mutex_lock(&log->places_lock);
        ft_mutex_lock(&log->lock);
        bool behind =
            cursor->name[0] != '\0' && !cursor->is_volatile && cursor->held < cursor->confirmed;
        ft_mutex_unlock(&log->lock);
        ft_err result = behind ? write_place(log, cursor, true) : FT_OK;
        ft_mutex_unlock(&log->places_lock);
        err = result != FT_OK ? result : err;
    }
    return err;
}

struct ft_log_cursor *ft_store_find_cursor_locked(struct ft_log *log, const char *name)
{
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        if (log->cursors[i].name[0] != '\0' && strcmp(log->cursors[i].name, name) == 0) {
            return &log->cursors[i];
        }
    }
    return NULL;
}

struct ft_log_cursor *ft_store_add_cursor_locked(struct ft_log *log, const char *name)
{
    for (size_t i = 0; i < FT_LOG_READERS_MAX; i++) {
        struct ft_log_cursor *cursor = &log->cursors[i];
        if (cursor->name[0] == '\0') {
            *cursor = (struct ft_log_cursor){0};
            (void)snprintf(cursor->name, sizeof cursor->name, "%s", name);
            return cursor;
        }
    }
    return NULL;
}

bool ft_store_reader_name_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len < FT_LOG_READER_NAME_SIZE && name[len] == '\0';
}

static ft_err claim_cursor_locked(struct ft_log *log, const char *name, bool volatile_reader,
                                  struct ft_log_cursor **ret_cursor, bool *ret_is_new)
{
    struct ft_log_cursor *cursor = ft_store_find_cursor_locked(log, name);
    if (cursor != NULL && (cursor->open || volatile_reader)) {
        return ft_err_from_errno(EBUSY);
    }
    *ret_is_new = cursor == NULL;
    if (cursor == NULL) {
        cursor = ft_store_add_cursor_locked(log, name);
        if (cursor == NULL) {
            return FT_E_FULL;
        }
        uint64_t first = log->n_segments > 0 ? log->segments[0]->first : log->next_position;
        cursor->is_volatile = volatile_reader;
        cursor->confirmed = first - 1;
        cursor->taken = first - 1;
        cursor->held = first - 1;
    }
    cursor->open = true;
    *ret_cursor = cursor;
    return FT_OK;
}

/* Its going may set segments free. */
static void drop_cursor(struct ft_log *log, struct ft_log_cursor *cursor)
{
    ft_mutex_lock(&log->places_lock);
    ft_mutex_lock(&log->lock);
    *cursor = (struct ft_log_cursor){0};
    ft_mutex_unlock(&log->lock);
    ft_mutex_unlock(&log->places_lock);
    ft_store_free_confirmed(log);
}

static ft_err store_place(struct ft_log *log, struct ft_log_cursor *cursor, bool durable)
{
    ft_mutex_lock(&log->places_lock);
    ft_err err = write_place(log, cursor, durable);
    ft_mutex_unlock(&log->places_lock);
    return err;
}

/* The cursor as it is now, and with 'durable' lets go what it has confirmed. */
static ft_err write_place(struct ft_log *log, struct ft_log_cursor *cursor, bool durable)
{
    ft_mutex_lock(&log->lock);
    struct ft_store_cursor_record record = {.confirmed = cursor->confirmed,
                                            .note_size = cursor->note_size};
    memcpy(record.note, cursor->note, cursor->note_size);
    ft_mutex_unlock(&log->lock);
    ft_err err = log->home->cursor_store(log, cursor, &record, durable);
    /* A place that could not be written lets nothing go: the next start would take what is gone for
     * what was lost, and tell so. */
    if (err == FT_OK && (durable || !log->home->keeps_cursors)) {
        ft_mutex_lock(&log->lock);
        /* It may have gone back meanwhile. */
        cursor->held = record.confirmed < cursor->confirmed ? record.confirmed : cursor->confirmed;
        ft_mutex_unlock(&log->lock);
    }
    return err;
}

/* Whether a full segment ends in (held, position]. */
static bool passes_segment_locked(const struct ft_log *log, uint64_t held, uint64_t position)
{
    size_t i = ft_store_find_segment_locked(log, held + 1);
    return i < log->n_segments && log->segments[i] != log->head &&
           log->segments[i]->last <= position;
}
