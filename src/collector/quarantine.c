/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "collector/quarantine_file.h"

struct item {
    struct item *next; /* In the order of their numbers. */
    uint64_t since;    /* The look at the directory before which it was there. */
    struct ft_quarantine_entry entry;
};

/* The files of one kind, oldest first. */
struct shelf {
    struct item *first;
    struct item *last;
    uint64_t files;
    uint64_t bytes;
};

struct ft_quarantine {
    /* Set at creation. */
    struct ft_quarantine_options options;
    struct ft_quarantine_stats stats;
    /* The commit thread: how many may be kept now, in parts of a second. */
    int64_t refilled_ns;
    int64_t allowance_ns;
    /* Any thread. */
    struct ft_mutex lock;
    uint64_t next_number FT_GUARDED;
    uint64_t n_looks FT_GUARDED;
    struct shelf shelves[FT_QUARANTINE_KIND_N] FT_GUARDED;
};

static void add_item(struct ft_quarantine *quarantine, struct item *item);
static void forget_locked(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *entry)
    FT_REQUIRES(quarantine->lock);
static struct item *take_first(struct ft_quarantine *quarantine, enum ft_quarantine_kind kind);
static bool is_kept(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *entry);
static ft_err put(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *entry,
                  enum ft_quarantine_kind kind, const void *data, size_t size, bool durable);
static void make_room(struct ft_quarantine *quarantine, enum ft_quarantine_kind kind);
static ft_err take_files(struct ft_quarantine *quarantine);
static ft_err take_file(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *found);

ft_err ft_quarantine_open(const struct ft_quarantine_options *options,
                          struct ft_quarantine **ret_quarantine)
{
    FT_CLEANUP(ft_quarantine_destroy)
    struct ft_quarantine *quarantine = calloc(1, sizeof *quarantine);
    if (quarantine == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&quarantine->lock);
    quarantine->options = *options;
    quarantine->allowance_ns = FT_NS_PER_S;
    FT_TRY(take_files(quarantine));
    for (unsigned kind = FT_QUARANTINE_POISON; kind < FT_QUARANTINE_KIND_N; kind++) {
        make_room(quarantine, (enum ft_quarantine_kind)kind);
    }
    *ret_quarantine = FT_TAKE(quarantine);
    return FT_OK;
}

void ft_quarantine_destroy(struct ft_quarantine *quarantine) FT_NO_TSA
{
    if (quarantine == NULL) {
        return;
    }
    for (unsigned kind = 0; kind < FT_QUARANTINE_KIND_N; kind++) {
        struct item *item = NULL;
        while ((item = take_first(quarantine, (enum ft_quarantine_kind)kind)) != NULL) {
            free(item);
        }
    }
    ft_mutex_deinit(&quarantine->lock);
    free(quarantine);
}

ft_err ft_quarantine_settle(struct ft_quarantine *quarantine, uint64_t position)
{
    struct ft_disk *disk = quarantine->options.disk;
    struct item *item = NULL;
    while ((item = take_first(quarantine, FT_QUARANTINE_SUSPECT)) != NULL) {
        char from[FT_DISK_NAME_SIZE];
        char to[FT_DISK_NAME_SIZE];
        ft_quarantine_file_name(&item->entry, from);
        /* Of a log that is gone nothing can be read again.  After a crash between two names the
         * block may be there under both. */
        if (item->entry.of_this_log &&
            (item->entry.position > position || is_kept(quarantine, &item->entry))) {
            free(item);
            FT_TRY(disk->ops->remove(disk, from));
            continue;
        }
        item->entry.kind = FT_QUARANTINE_POISON;
        ft_quarantine_file_name(&item->entry, to);
        add_item(quarantine, item);
        FT_TRY(disk->ops->rename(disk, from, to));
    }
    make_room(quarantine, FT_QUARANTINE_POISON);
    return disk->ops->sync_dir(disk);
}

ft_err ft_quarantine_put_poison(struct ft_quarantine *quarantine,
                                const struct ft_quarantine_entry *entry, const void *data,
                                size_t size)
{
    if (is_kept(quarantine, entry)) {
        return FT_OK;
    }
    FT_TRY(put(quarantine, entry, FT_QUARANTINE_POISON, data, size, true));
    quarantine->stats.blocks[FT_QUARANTINE_POISON]++;
    quarantine->stats.events[FT_QUARANTINE_POISON] += entry->n_events;
    make_room(quarantine, FT_QUARANTINE_POISON);
    return FT_OK;
}

ft_err ft_quarantine_suspect(struct ft_quarantine *quarantine,
                             const struct ft_quarantine_entry *entry, const void *data, size_t size)
{
    return put(quarantine, entry, FT_QUARANTINE_SUSPECT, data, size, true);
}

ft_err ft_quarantine_convict(struct ft_quarantine *quarantine)
{
    struct ft_disk *disk = quarantine->options.disk;
    struct item *item = NULL;
    while ((item = take_first(quarantine, FT_QUARANTINE_SUSPECT)) != NULL) {
        char from[FT_DISK_NAME_SIZE];
        char to[FT_DISK_NAME_SIZE];
        ft_quarantine_file_name(&item->entry, from);
        item->entry.kind = FT_QUARANTINE_POISON;
        ft_quarantine_file_name(&item->entry, to);
        ft_err err = disk->ops->rename(disk, from, to);
        if (err != FT_OK) {
            item->entry.kind = FT_QUARANTINE_SUSPECT;
            add_item(quarantine, item);
            return err;
        }
        quarantine->stats.blocks[FT_QUARANTINE_POISON]++;
        quarantine->stats.events[FT_QUARANTINE_POISON] += item->entry.n_events;
        add_item(quarantine, item);
    }
    make_room(quarantine, FT_QUARANTINE_POISON);
    return disk->ops->sync_dir(disk);
}

void ft_quarantine_acquit(struct ft_quarantine *quarantine)
{
    struct ft_disk *disk = quarantine->options.disk;
    struct item *item = NULL;
    while ((item = take_first(quarantine, FT_QUARANTINE_SUSPECT)) != NULL) {
        char name[FT_DISK_NAME_SIZE];
        ft_quarantine_file_name(&item->entry, name);
        ft_err_ignore(disk->ops->remove(disk, name), "the next start removes it");
        free(item);
    }
}

bool ft_quarantine_has_room(struct ft_quarantine *quarantine)
{
    const struct ft_quarantine_options *options = &quarantine->options;
    ft_mutex_lock(&quarantine->lock);
    const struct shelf *suspects = &quarantine->shelves[FT_QUARANTINE_SUSPECT];
    const struct shelf *poison = &quarantine->shelves[FT_QUARANTINE_POISON];
    bool room = suspects->files + poison->files <= options->files_max &&
                suspects->bytes + poison->bytes <= options->bytes_max;
    ft_mutex_unlock(&quarantine->lock);
    return room;
}

/* A bucket of one second, refilled as time goes by. */
static bool may_keep(struct ft_quarantine *quarantine)
{
    int64_t now_ns = ft_clock_mono_ns(quarantine->options.clock);
    quarantine->allowance_ns += now_ns - quarantine->refilled_ns;
    quarantine->refilled_ns = now_ns;
    if (quarantine->allowance_ns > FT_NS_PER_S) {
        quarantine->allowance_ns = FT_NS_PER_S;
    }
    if (quarantine->allowance_ns < FT_NS_PER_S / FT_QUARANTINE_RATE) {
        return false;
    }
    quarantine->allowance_ns -= FT_NS_PER_S / FT_QUARANTINE_RATE;
    return true;
}

void ft_quarantine_put_rejected(struct ft_quarantine *quarantine,
                                const struct ft_quarantine_entry *entry, const void *data,
                                size_t size)
{
    quarantine->stats.blocks[FT_QUARANTINE_REJECTED]++;
    quarantine->stats.events[FT_QUARANTINE_REJECTED] += entry->n_events;
    if (!may_keep(quarantine) ||
        put(quarantine, entry, FT_QUARANTINE_REJECTED, data, size, false) != FT_OK) {
        quarantine->stats.unkept++;
        return;
    }
    make_room(quarantine, FT_QUARANTINE_REJECTED);
}

/* Our files in the directory.  Those of others stay as they are and are not counted. */
struct seen {
    struct ft_quarantine_entry *files; /* Kind, number and size alone. */
    size_t n;
    size_t n_allocated;
    bool no_memory;
};

static ft_err see_files(struct ft_quarantine *quarantine, struct seen *seen);

static ft_err take_files(struct ft_quarantine *quarantine)
{
    struct seen seen = {0};
    uint64_t next_number = 1;
    ft_err err = see_files(quarantine, &seen);
    for (size_t i = 0; i < seen.n && err == FT_OK; i++) {
        err = take_file(quarantine, &seen.files[i]);
        if (seen.files[i].number >= next_number) {
            next_number = seen.files[i].number + 1;
        }
    }
    free(seen.files);
    ft_mutex_lock(&quarantine->lock);
    quarantine->next_number = next_number;
    ft_mutex_unlock(&quarantine->lock);
    return err;
}

static void see_file(void *ctx, const char *name, uint64_t size)
{
    struct seen *seen = ctx;
    struct ft_quarantine_entry file = {.size = size};
    if (!ft_quarantine_name_parse(name, &file.kind, &file.number)) {
        return;
    }
    if (seen->n == seen->n_allocated) {
        size_t n = seen->n_allocated != 0 ? 2 * seen->n_allocated : 64;
        struct ft_quarantine_entry *files = reallocarray(seen->files, n, sizeof *files);
        if (files == NULL) {
            seen->no_memory = true;
            return;
        }
        seen->files = files;
        seen->n_allocated = n;
    }
    seen->files[seen->n++] = file;
}

/* The caller frees seen->files in any case. */
static ft_err see_files(struct ft_quarantine *quarantine, struct seen *seen)
{
    struct ft_disk *disk = quarantine->options.disk;
    FT_TRY(disk->ops->list(disk, see_file, seen));
    return seen->no_memory ? ft_err_from_errno(ENOMEM) : FT_OK;
}

static bool was_seen(const struct seen *seen, const struct ft_quarantine_entry *entry)
{
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->files[i].number == entry->number && seen->files[i].kind == entry->kind) {
            return true;
        }
    }
    return false;
}

void ft_quarantine_refresh(struct ft_quarantine *quarantine)
{
    /* What is added from here on need not be among the files that are seen. */
    ft_mutex_lock(&quarantine->lock);
    uint64_t look = ++quarantine->n_looks;
    ft_mutex_unlock(&quarantine->lock);
    struct seen seen = {0};
    if (see_files(quarantine, &seen) != FT_OK) {
        free(seen.files);
        return;
    }
    struct item *gone = NULL;
    ft_mutex_lock(&quarantine->lock);
    for (unsigned kind = FT_QUARANTINE_POISON; kind < FT_QUARANTINE_KIND_N; kind++) {
        struct shelf *shelf = &quarantine->shelves[kind];
        struct item **at = &shelf->first;
        shelf->last = NULL;
        while (*at != NULL) {
            struct item *item = *at;
            if (item->since < look && !was_seen(&seen, &item->entry)) {
                *at = item->next;
                item->next = gone;
                gone = item;
                forget_locked(quarantine, &item->entry);
            } else {
                shelf->last = item;
                at = &item->next;
            }
        }
    }
    ft_mutex_unlock(&quarantine->lock);
    free(seen.files);
    while (gone != NULL) {
        struct item *next = gone->next;
        free(gone);
        gone = next;
    }
}

void ft_quarantine_each(struct ft_quarantine *quarantine, ft_quarantine_look_fn *fn, void *ctx)
{
    ft_mutex_lock(&quarantine->lock);
    for (unsigned kind = FT_QUARANTINE_POISON; kind < FT_QUARANTINE_KIND_N; kind++) {
        for (const struct item *at = quarantine->shelves[kind].first; at != NULL; at = at->next) {
            fn(ctx, &at->entry);
        }
    }
    ft_mutex_unlock(&quarantine->lock);
}

const struct ft_quarantine_stats *ft_quarantine_stats(const struct ft_quarantine *quarantine)
{
    return &quarantine->stats;
}

/* Takes the item; its kind and number are set. */
static void add_item(struct ft_quarantine *quarantine, struct item *item)
{
    ft_mutex_lock(&quarantine->lock);
    struct shelf *shelf = &quarantine->shelves[item->entry.kind];
    struct item **at = &shelf->first;
    if (shelf->last != NULL && shelf->last->entry.number < item->entry.number) {
        at = &shelf->last->next; /* Nearly always. */
    }
    while (*at != NULL && (*at)->entry.number < item->entry.number) {
        at = &(*at)->next;
    }
    item->next = *at;
    *at = item;
    if (item->next == NULL) {
        shelf->last = item;
    }
    item->since = quarantine->n_looks;
    shelf->files++;
    shelf->bytes += item->entry.size;
    if (item->entry.kind != FT_QUARANTINE_SUSPECT) {
        quarantine->stats.files++;
        quarantine->stats.bytes += item->entry.size;
    }
    ft_mutex_unlock(&quarantine->lock);
}

static void forget_locked(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *entry)
{
    struct shelf *shelf = &quarantine->shelves[entry->kind];
    shelf->files--;
    shelf->bytes -= entry->size;
    if (entry->kind != FT_QUARANTINE_SUSPECT) {
        quarantine->stats.files--;
        quarantine->stats.bytes -= entry->size;
    }
}

static struct item *take_first_locked(struct ft_quarantine *quarantine,
                                      enum ft_quarantine_kind kind) FT_REQUIRES(quarantine->lock)
{
    struct shelf *shelf = &quarantine->shelves[kind];
    struct item *item = shelf->first;
    if (item != NULL) {
        shelf->first = item->next;
        shelf->last = shelf->first == NULL ? NULL : shelf->last;
        forget_locked(quarantine, &item->entry);
    }
    return item;
}

/* The caller frees it. */
static struct item *take_first(struct ft_quarantine *quarantine, enum ft_quarantine_kind kind)
{
    ft_mutex_lock(&quarantine->lock);
    struct item *item = take_first_locked(quarantine, kind);
    ft_mutex_unlock(&quarantine->lock);
    return item;
}

/* The oldest file, while there are too many or they are too large. */
static struct item *take_surplus(struct ft_quarantine *quarantine, enum ft_quarantine_kind kind)
{
    struct item *item = NULL;
    ft_mutex_lock(&quarantine->lock);
    const struct shelf *shelf = &quarantine->shelves[kind];
    if (shelf->files > quarantine->options.files_max ||
        shelf->bytes > quarantine->options.bytes_max) {
        item = take_first_locked(quarantine, kind);
    }
    ft_mutex_unlock(&quarantine->lock);
    return item;
}

static void make_room(struct ft_quarantine *quarantine, enum ft_quarantine_kind kind)
{
    struct ft_disk *disk = quarantine->options.disk;
    struct item *item = NULL;
    while ((item = take_surplus(quarantine, kind)) != NULL) {
        char name[FT_DISK_NAME_SIZE];
        ft_quarantine_file_name(&item->entry, name);
        ft_err_ignore(disk->ops->remove(disk, name), "the next start finds it and tries again");
        quarantine->stats.evicted++;
        free(item);
    }
}

/* A log that lost its end gives its positions again: the numbers must be the same as well. */
static bool is_kept(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *entry)
{
    bool found = false;
    ft_mutex_lock(&quarantine->lock);
    for (const struct item *at = quarantine->shelves[FT_QUARANTINE_POISON].first; at != NULL;
         at = at->next) {
        found = found || (at->entry.of_this_log && at->entry.position == entry->position &&
                          at->entry.first_seq == entry->first_seq &&
                          ft_uuid_equal(&at->entry.instance_id, &entry->instance_id));
    }
    ft_mutex_unlock(&quarantine->lock);
    return found;
}

static ft_err put(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *entry,
                  enum ft_quarantine_kind kind, const void *data, size_t size, bool durable)
{
    struct item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    item->entry = *entry;
    item->entry.kind = kind;
    item->entry.size = size;
    item->entry.of_this_log = true;
    ft_mutex_lock(&quarantine->lock);
    item->entry.number = quarantine->next_number++;
    ft_mutex_unlock(&quarantine->lock);
    ft_err err = ft_quarantine_file_write(quarantine->options.disk, &quarantine->options.log_id,
                                          &item->entry, data, durable);
    if (err != FT_OK) {
        char name[FT_DISK_NAME_SIZE];
        ft_quarantine_file_name(&item->entry, name);
        ft_err_ignore(quarantine->options.disk->ops->remove(quarantine->options.disk, name),
                      "a part of a file is recognised by its checksum");
        free(item);
        return err;
    }
    add_item(quarantine, item);
    return FT_OK;
}

/* Takes a file of the directory in; without memory it stays there and is not counted. */
static ft_err take_file(struct ft_quarantine *quarantine, const struct ft_quarantine_entry *found)
{
    struct ft_disk *disk = quarantine->options.disk;
    struct item *item = calloc(1, sizeof *item);
    if (item == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    item->entry = *found;
    ft_err err = ft_quarantine_file_read(disk, &quarantine->options.log_id, &item->entry);
    if (err == FT_E_CORRUPT || err == FT_E_RANGE) {
        /* Cut short by a crash, or damaged since. */
        (void)snprintf(item->entry.reason, sizeof item->entry.reason, "this file is damaged");
        err = FT_OK;
        if (item->entry.kind == FT_QUARANTINE_SUSPECT) {
            char name[FT_DISK_NAME_SIZE];
            ft_quarantine_file_name(&item->entry, name);
            free(item);
            return disk->ops->remove(disk, name); /* The log has it still. */
        }
    }
    if (err != FT_OK) {
        free(item);
        return err;
    }
    add_item(quarantine, item);
    return FT_OK;
}
