/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fault_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fault_disk_impl.h"

struct ft_fault_disk *ft_fault_disk_of(struct ft_disk *disk)
{
    assert(disk->ops == &ft_fault_ops);
    return (struct ft_fault_disk *)disk;
}

static struct ft_fault_inode *inode_of(struct ft_disk_file *file)
{
    return ((struct ft_fault_file *)file)->inode;
}

/* Counts a call and says whether it fails.  '*ret_cut': the power fails in this very call. */
static ft_err enter(struct ft_fault_disk *disk, enum ft_fault_op op, bool *ret_cut)
{
    *ret_cut = false;
    if (disk->suspended && !disk->stopped) {
        return FT_OK;
    }
    disk->calls[op]++;
    if (disk->stopped) {
        return ft_err_from_errno(EIO);
    }
    if (op != FT_FAULT_READ && op != FT_FAULT_LIST) {
        disk->n_changing++;
        if (disk->n_changing == disk->stop_at) {
            disk->stopped = true;
            *ret_cut = true;
            return ft_err_from_errno(EIO);
        }
    }
    const struct ft_fault_rule *fault = &disk->faults[op];
    if (fault->n > 0 && disk->calls[op] >= fault->from &&
        disk->calls[op] - fault->from < fault->n) {
        disk->effects.failed[op]++;
        return fault->err;
    }
    return FT_OK;
}

void ft_fault_trace(const struct ft_fault_disk *disk, enum ft_fault_op op, const char *name,
                    uint64_t offset, size_t size, ft_err err)
{
    if (disk->trace != NULL) {
        disk->trace(disk->trace_ctx, op, name, offset, size, err);
    }
}

/* Of a file that is open; it may have no name any more. */
static void trace_file(const struct ft_fault_disk *disk, enum ft_fault_op op,
                       const struct ft_fault_inode *inode, uint64_t offset, size_t size, ft_err err)
{
    if (disk->trace != NULL) {
        const char *name = ft_fault_name_of(disk, inode);
        ft_fault_trace(disk, op, name != NULL ? name : "(removed)", offset, size, err);
    }
}

static uint64_t used(struct ft_fault_disk *disk)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < disk->live.n; i++) {
        const struct ft_fault_inode *inode = disk->live.entries[i].inode;
        bytes += inode->size > inode->allocated ? inode->size : inode->allocated;
    }
    return bytes;
}

static bool fits(struct ft_fault_disk *disk, const struct ft_fault_inode *inode, uint64_t size)
{
    uint64_t has = inode->size > inode->allocated ? inode->size : inode->allocated;
    return disk->capacity == 0 || size <= has || used(disk) + (size - has) <= disk->capacity;
}

static ft_err fault_open(struct ft_disk *base, const char *name, bool create,
                         struct ft_disk_file **ret_file)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    if (!ft_disk_name_valid(name)) {
        return ft_err_from_errno(EINVAL);
    }
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_OPEN, &cut);
    struct ft_fault_entry *entry = ft_fault_find(&disk->live, name);
    if (err == FT_OK && create && entry != NULL) {
        err = ft_err_from_errno(EEXIST);
    } else if (err == FT_OK && !create && entry == NULL) {
        err = ft_err_from_errno(ENOENT);
    }
    if (err == FT_OK) {
        struct ft_fault_inode *inode =
            entry != NULL ? entry->inode : ft_fault_must(calloc(1, sizeof *inode));
        if (create) {
            ft_fault_change_name(disk, name, inode);
        }
        inode->refs++;
        struct ft_fault_file *file = ft_fault_must(malloc(sizeof *file));
        file->base.disk = base;
        file->inode = inode;
        disk->n_open++;
        *ret_file = &file->base;
    }
    ft_fault_trace(disk, FT_FAULT_OPEN, name, create ? 1 : 0, 0, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static void fault_close(struct ft_disk_file *file)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    ft_mutex_lock(&disk->lock);
    ft_fault_inode_unref(inode_of(file));
    disk->n_open--;
    ft_mutex_unlock(&disk->lock);
    free(file);
}

static ft_err fault_write(struct ft_disk_file *file, uint64_t offset, const void *data, size_t size)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    struct ft_fault_inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    bool was_stopped = disk->stopped;
    ft_err err = enter(disk, FT_FAULT_WRITE, &cut);
    if (err == FT_OK && !fits(disk, inode, offset + size)) {
        err = ft_err_from_errno(ENOSPC);
        disk->effects.full++;
    }
    if (err != FT_OK) {
        size_t wanted = size;
        /* Nothing, a part, or, one time in four, all of it: a failure says nothing about that. */
        size_t part = (size_t)ft_random_below(&disk->random.base, size + 1);
        part = ft_random_below(&disk->random.base, 4) == 0 ? size : part;
        size = was_stopped ? 0 : part;
        if (err == ft_err_from_errno(ENOSPC) && !fits(disk, inode, offset + size)) {
            size = 0;
        }
        disk->effects.torn_writes += size > 0 && size < wanted ? 1 : 0;
    }
    ft_fault_inode_put(inode, offset, data, size);
    trace_file(disk, FT_FAULT_WRITE, inode, offset, size, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_read(struct ft_disk_file *file, uint64_t offset, void *data, size_t size,
                         size_t *ret_size)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    const struct ft_fault_inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_READ, &cut);
    if (err == FT_OK) {
        size_t n = offset < inode->size ? inode->size - (size_t)offset : 0;
        n = n < size ? n : size;
        if (n > 0) {
            memcpy(data, inode->cache + offset, n);
        }
        *ret_size = n;
    }
    trace_file(disk, FT_FAULT_READ, inode, offset, size, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_sync(struct ft_disk_file *file)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    struct ft_fault_inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_SYNC, &cut);
    disk->breaches += ft_fault_inode_has_doubtful(inode) && !disk->stopped ? 1 : 0;
    if (err == FT_OK) {
        ft_fault_sync_inode(disk, inode);
    } else if (!disk->stopped) {
        /* Marked clean without having been written: the trap. */
        for (size_t i = 0; i < ft_fault_sectors_of(inode->size); i++) {
            inode->doubtful[i] = inode->doubtful[i] || inode->dirty[i];
        }
        ft_fault_inode_write_back(disk, inode, false);
    }
    trace_file(disk, FT_FAULT_SYNC, inode, 0, inode->size, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_truncate(struct ft_disk_file *file, uint64_t size)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    struct ft_fault_inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_TRUNCATE, &cut);
    if (err == FT_OK) {
        ft_fault_inode_reserve(inode, size);
        if (size < inode->size) {
            memset(inode->cache + size, 0, inode->size - size);
        }
        inode->size = size;
        inode->allocated = size;
    }
    trace_file(disk, FT_FAULT_TRUNCATE, inode, 0, size, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_allocate(struct ft_disk_file *file, uint64_t size)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    struct ft_fault_inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_ALLOCATE, &cut);
    if (err == FT_OK && !fits(disk, inode, size)) {
        err = ft_err_from_errno(ENOSPC);
        disk->effects.full++;
    }
    if (err == FT_OK && size > inode->allocated) {
        inode->allocated = size;
    }
    trace_file(disk, FT_FAULT_ALLOCATE, inode, 0, size, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_remove(struct ft_disk *base, const char *name)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_REMOVE, &cut);
    if (err == FT_OK && ft_fault_find(&disk->live, name) == NULL) {
        err = ft_err_from_errno(ENOENT);
    }
    if (err == FT_OK) {
        ft_fault_change_name(disk, name, NULL);
    }
    ft_fault_trace(disk, FT_FAULT_REMOVE, name, 0, 0, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_rename(struct ft_disk *base, const char *from, const char *to)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_RENAME, &cut);
    struct ft_fault_entry *entry = ft_fault_find(&disk->live, from);
    if (err == FT_OK && entry == NULL) {
        err = ft_err_from_errno(ENOENT);
    }
    if (err == FT_OK) {
        ft_fault_change_name(disk, to, entry->inode);
        ft_fault_change_name(disk, from, NULL);
    }
    ft_fault_trace(disk, FT_FAULT_RENAME, to, 0, 0, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_sync_dir(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_SYNC_DIR, &cut);
    if (err == FT_OK) {
        for (size_t i = 0; i < disk->n_changes; i++) {
            ft_fault_set_name(&disk->durable, disk->changes[i].name, disk->changes[i].inode);
        }
        ft_fault_forget_changes(disk);
    }
    ft_fault_trace(disk, FT_FAULT_SYNC_DIR, "", 0, 0, err);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_list(struct ft_disk *base, ft_disk_name_fn *fn, void *ctx)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_LIST, &cut);
    size_t n = err == FT_OK ? disk->live.n : 0;
    struct ft_fault_entry *copy = ft_fault_must(calloc(n + 1, sizeof *copy));
    uint64_t *sizes = ft_fault_must(calloc(n + 1, sizeof *sizes));
    for (size_t i = 0; i < n; i++) {
        copy[i] = disk->live.entries[i];
        sizes[i] = copy[i].inode->size;
    }
    ft_fault_trace(disk, FT_FAULT_LIST, "", 0, 0, err);
    ft_mutex_unlock(&disk->lock);
    for (size_t i = 0; i < n; i++) {
        fn(ctx, copy[i].name, sizes[i]);
    }
    free(sizes);
    free(copy);
    return err;
}

static ft_err fault_space(struct ft_disk *base, uint64_t *ret_free, uint64_t *ret_total)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t total = disk->capacity != 0 ? disk->capacity : UINT64_C(1) << 40;
    uint64_t taken = used(disk);
    *ret_total = total;
    *ret_free = taken < total ? total - taken : 0;
    ft_mutex_unlock(&disk->lock);
    return FT_OK;
}

static ft_err fault_map(struct ft_disk_file *file, uint64_t offset, size_t size, void **ret_map)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(file->disk);
    struct ft_fault_inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_OPEN, &cut);
    if (err == FT_OK && offset + size > inode->size) {
        err = ft_err_from_errno(EINVAL);
    }
    if (err == FT_OK) {
        inode->mapped_from = (size_t)offset;
        inode->mapped_to = (size_t)offset + size;
        inode->refs++;
        disk->mapped = inode;
        *ret_map = inode->cache + offset;
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static void fault_unmap(struct ft_disk *base, void *map, size_t size)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    (void)map;
    (void)size;
    ft_mutex_lock(&disk->lock);
    struct ft_fault_inode *inode = disk->mapped;
    assert(inode != NULL && map == inode->cache + inode->mapped_from);
    ft_fault_inode_dirty_map(inode);
    inode->mapped_to = 0;
    disk->mapped = NULL;
    ft_fault_inode_unref(inode);
    ft_mutex_unlock(&disk->lock);
}

static void fault_destroy(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    assert(disk->n_open == 0);
    ft_fault_forget_changes(disk);
    ft_fault_clear_names(&disk->live);
    ft_fault_clear_names(&disk->durable);
    free(disk->changes);
    free(disk->live.entries);
    free(disk->durable.entries);
    ft_mutex_deinit(&disk->lock);
    free(disk);
}

const struct ft_disk_ops ft_fault_ops = {
    .open = fault_open,
    .close = fault_close,
    .write_at = fault_write,
    .read_at = fault_read,
    .sync = fault_sync,
    .truncate = fault_truncate,
    .allocate = fault_allocate,
    .remove = fault_remove,
    .rename = fault_rename,
    .sync_dir = fault_sync_dir,
    .list = fault_list,
    .space = fault_space,
    .destroy = fault_destroy,
    .map = fault_map,
    .unmap = fault_unmap,
};

struct ft_disk *ft_fault_disk_create(uint64_t seed)
{
    struct ft_fault_disk *disk = ft_fault_must(calloc(1, sizeof *disk));
    disk->base.ops = &ft_fault_ops;
    ft_mutex_init(&disk->lock);
    ft_random_seeded_init(&disk->random, seed);
    return &disk->base;
}

/* Files that only a power cut would bring back are not copied. */
static void copy_files(struct ft_fault_disk *to, struct ft_fault_disk *from)
{
    for (size_t i = 0; i < from->live.n; i++) {
        const struct ft_fault_entry *entry = &from->live.entries[i];
        const struct ft_fault_inode *inode = entry->inode;
        struct ft_fault_inode *new_inode = ft_fault_must(calloc(1, sizeof *new_inode));
        ft_fault_inode_reserve(new_inode, inode->capacity);
        if (inode->capacity > 0) {
            memcpy(new_inode->cache, inode->cache, inode->capacity);
            memcpy(new_inode->durable, inode->durable, inode->capacity);
            size_t n_sectors = inode->capacity / FT_FAULT_SECTOR;
            memcpy(new_inode->dirty, inode->dirty, n_sectors * sizeof(bool));
            memcpy(new_inode->doubtful, inode->doubtful, n_sectors * sizeof(bool));
        }
        for (size_t at = inode->mapped_from; at < inode->mapped_to; at += FT_FAULT_SECTOR) {
            new_inode->dirty[at / FT_FAULT_SECTOR] = true;
        }
        new_inode->size = inode->size;
        new_inode->durable_size = inode->durable_size;
        struct ft_fault_entry *durable = ft_fault_find(&from->durable, entry->name);
        if (durable != NULL && durable->inode == inode) {
            ft_fault_set_name(&to->live, entry->name, new_inode);
            ft_fault_set_name(&to->durable, entry->name, new_inode);
        } else {
            ft_fault_change_name(to, entry->name, new_inode);
        }
    }
}

struct ft_disk *ft_fault_disk_clone(struct ft_disk *base)
{
    struct ft_fault_disk *from = ft_fault_disk_of(base);
    struct ft_disk *copy = ft_fault_disk_create(0);
    struct ft_fault_disk *to = ft_fault_disk_of(copy);
    to->random = from->random;
    to->capacity = from->capacity;
    copy_files(to, from);
    return copy;
}

void ft_fault_disk_copy(struct ft_disk *base, struct ft_disk *from)
{
    struct ft_fault_disk *to = ft_fault_disk_of(base);
    ft_mutex_lock(&to->lock);
    assert(to->n_open == 0 && to->mapped == NULL);
    ft_fault_forget_changes(to);
    ft_fault_clear_names(&to->live);
    ft_fault_clear_names(&to->durable);
    copy_files(to, ft_fault_disk_of(from));
    ft_mutex_unlock(&to->lock);
}

void ft_fault_disk_fail(struct ft_disk *base, enum ft_fault_op op, uint64_t nth, uint64_t n_times,
                        ft_err err)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->faults[op] =
        (struct ft_fault_rule){.from = disk->calls[op] + nth, .n = n_times, .err = err};
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_heal(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    memset(disk->faults, 0, sizeof disk->faults);
    disk->lose_at = 0;
    disk->misdirect_at = 0;
    disk->stop_at = 0;
    ft_mutex_unlock(&disk->lock);
}

uint64_t ft_fault_disk_calls(struct ft_disk *base, enum ft_fault_op op)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t calls = disk->calls[op];
    ft_mutex_unlock(&disk->lock);
    return calls;
}

void ft_fault_disk_set_capacity(struct ft_disk *base, uint64_t bytes)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->capacity = bytes;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_suspend(struct ft_disk *base, bool suspended)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->suspended = suspended;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_trace(struct ft_disk *base, ft_fault_trace_fn *fn, void *ctx)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->trace = fn;
    disk->trace_ctx = ctx;
    ft_mutex_unlock(&disk->lock);
}

const char *ft_fault_op_name(enum ft_fault_op op)
{
    static const char *const names[FT_FAULT_OP_N + 1] = {
        "open",   "write",  "read",           "sync", "truncate", "allocate",
        "remove", "rename", "sync directory", "list", "restart"};
    return names[op];
}

void ft_fault_disk_effects(struct ft_disk *base, struct ft_fault_effects *ret_effects)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    *ret_effects = disk->effects;
    ft_mutex_unlock(&disk->lock);
}

uint64_t ft_fault_disk_breaches(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t breaches = disk->breaches;
    ft_mutex_unlock(&disk->lock);
    return breaches;
}

uint8_t *ft_fault_disk_content(struct ft_disk *base, const char *name, size_t *ret_size)
{
    struct ft_fault_entry *entry = ft_fault_find(&ft_fault_disk_of(base)->live, name);
    if (entry == NULL) {
        return NULL;
    }
    *ret_size = entry->inode->size;
    return entry->inode->cache;
}

void ft_fault_disk_put(struct ft_disk *base, const char *name, const void *data, size_t size)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    struct ft_fault_inode *inode = ft_fault_must(calloc(1, sizeof *inode));
    ft_fault_inode_reserve(inode, size + 1);
    ft_fault_inode_put(inode, 0, data, size);
    ft_fault_inode_write_back(disk, inode, true);
    ft_fault_set_name(&disk->live, name, inode);
    ft_fault_set_name(&disk->durable, name, inode);
    ft_mutex_unlock(&disk->lock);
}
