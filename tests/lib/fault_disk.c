/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fault_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/thread.h"

/* More names, or changes of names without a sync, are a mistake of the test. */
#define NAMES_MAX   4096
#define CHANGES_MAX 65536

/* What a name stands for.  Lives while a name, the durable directory or a handle knows it. */
struct inode {
    unsigned refs;
    uint8_t *cache; /* The content as programs see it. */
    size_t size;
    uint8_t *durable; /* As a power cut leaves it. */
    size_t durable_size;
    bool *dirty;     /* Per sector of 'cache'. */
    size_t capacity; /* Of all three. */
    uint64_t allocated;
    bool sync_failed;
    /* Shown as memory: what is stored there is in the cache at once, and always may be dirty. */
    size_t mapped_from;
    size_t mapped_to;
};

struct entry {
    char name[FT_DISK_NAME_SIZE];
    struct inode *inode;
};

struct directory {
    struct entry *entries;
    size_t n;
    size_t n_allocated;
};

/* A change of the directory that is not durable: 'name' is 'inode' now, or nothing. */
struct change {
    char name[FT_DISK_NAME_SIZE];
    struct inode *inode;
};

struct fault {
    uint64_t from;
    uint64_t n;
    ft_err err;
};

struct fault_disk {
    struct ft_disk base;
    struct ft_mutex lock;
    struct ft_random_seeded random;
    struct directory live;
    struct directory durable;
    struct change *changes;
    size_t n_changes;
    size_t n_changes_allocated;
    uint64_t calls[FT_FAULT_OP_N];
    struct fault faults[FT_FAULT_OP_N];
    uint64_t n_changing;
    uint64_t stop_at; /* 0: never. */
    bool stopped;
    uint64_t capacity;
    uint64_t breaches;
    unsigned n_open;
    struct inode *mapped; /* At most one file is. */
};

struct fault_file {
    struct ft_disk_file base;
    struct inode *inode;
};

static const struct ft_disk_ops fault_ops;

static struct fault_disk *disk_of(struct ft_disk *disk)
{
    assert(disk->ops == &fault_ops);
    return (struct fault_disk *)disk;
}

static struct inode *inode_of(struct ft_disk_file *file)
{
    return ((struct fault_file *)file)->inode;
}

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* Room for one more item behind 'n'. */
static void *grow(void *items, size_t n, size_t *n_allocated, size_t n_max, size_t item_size)
{
    if (n < *n_allocated) {
        return items;
    }
    if (n >= n_max) {
        abort();
    }
    *n_allocated = *n_allocated != 0 ? *n_allocated * 2 : 16;
    return must(realloc(items, *n_allocated * item_size));
}

static bool chance(struct fault_disk *disk) { return ft_random_below(&disk->random.base, 2) == 0; }

static void inode_unref(struct inode *inode)
{
    if (inode != NULL && --inode->refs == 0) {
        free(inode->cache);
        free(inode->durable);
        free(inode->dirty);
        free(inode);
    }
}

static void inode_reserve(struct inode *inode, size_t size)
{
    if (size <= inode->capacity) {
        return;
    }
    assert(inode->mapped_to == 0); /* It would move. */
    size_t capacity = inode->capacity != 0 ? inode->capacity : 4096;
    while (capacity < size) {
        capacity *= 2;
    }
    inode->cache = must(realloc(inode->cache, capacity));
    inode->durable = must(realloc(inode->durable, capacity));
    inode->dirty = must(realloc(inode->dirty, capacity / FT_FAULT_SECTOR * sizeof(bool)));
    memset(inode->cache + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->durable + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->dirty + inode->capacity / FT_FAULT_SECTOR, 0,
           (capacity - inode->capacity) / FT_FAULT_SECTOR * sizeof(bool));
    inode->capacity = capacity;
}

static struct entry *find(struct directory *directory, const char *name)
{
    for (size_t i = 0; i < directory->n; i++) {
        if (strcmp(directory->entries[i].name, name) == 0) {
            return &directory->entries[i];
        }
    }
    return NULL;
}

static void set_name(struct directory *directory, const char *name, struct inode *inode)
{
    struct entry *entry = find(directory, name);
    if (inode != NULL) {
        inode->refs++;
    }
    if (entry != NULL) {
        inode_unref(entry->inode);
        entry->inode = inode;
    } else if (inode != NULL) {
        directory->entries = grow(directory->entries, directory->n, &directory->n_allocated,
                                  NAMES_MAX, sizeof(struct entry));
        entry = &directory->entries[directory->n++];
        memset(entry->name, 0, sizeof entry->name);
        strncpy(entry->name, name, sizeof entry->name - 1);
        entry->inode = inode;
    }
    if (inode == NULL && entry != NULL) {
        *entry = directory->entries[--directory->n];
    }
}

static void change_name(struct fault_disk *disk, const char *name, struct inode *inode)
{
    disk->changes = grow(disk->changes, disk->n_changes, &disk->n_changes_allocated, CHANGES_MAX,
                         sizeof(struct change));
    struct change *change = &disk->changes[disk->n_changes++];
    memset(change, 0, sizeof *change);
    strncpy(change->name, name, sizeof change->name - 1);
    change->inode = inode;
    if (inode != NULL) {
        inode->refs++;
    }
    set_name(&disk->live, name, inode);
}

static void forget_changes(struct fault_disk *disk)
{
    for (size_t i = 0; i < disk->n_changes; i++) {
        inode_unref(disk->changes[i].inode);
    }
    disk->n_changes = 0;
}

/* Counts a call and says whether it fails.  '*ret_cut': the power fails in this very call. */
static ft_err enter(struct fault_disk *disk, enum ft_fault_op op, bool *ret_cut)
{
    disk->calls[op]++;
    *ret_cut = false;
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
    const struct fault *fault = &disk->faults[op];
    if (fault->n > 0 && disk->calls[op] >= fault->from &&
        disk->calls[op] - fault->from < fault->n) {
        return fault->err;
    }
    return FT_OK;
}

static uint64_t used(struct fault_disk *disk)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < disk->live.n; i++) {
        const struct inode *inode = disk->live.entries[i].inode;
        bytes += inode->size > inode->allocated ? inode->size : inode->allocated;
    }
    return bytes;
}

static bool fits(struct fault_disk *disk, const struct inode *inode, uint64_t size)
{
    uint64_t has = inode->size > inode->allocated ? inode->size : inode->allocated;
    return disk->capacity == 0 || size <= has || used(disk) + (size - has) <= disk->capacity;
}

static ft_err fault_open(struct ft_disk *base, const char *name, bool create,
                         struct ft_disk_file **ret_file)
{
    struct fault_disk *disk = disk_of(base);
    if (!ft_disk_name_valid(name)) {
        return ft_err_from_errno(EINVAL);
    }
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_OPEN, &cut);
    struct entry *entry = find(&disk->live, name);
    if (err == FT_OK && create && entry != NULL) {
        err = ft_err_from_errno(EEXIST);
    } else if (err == FT_OK && !create && entry == NULL) {
        err = ft_err_from_errno(ENOENT);
    }
    if (err == FT_OK) {
        struct inode *inode = entry != NULL ? entry->inode : must(calloc(1, sizeof *inode));
        if (create) {
            change_name(disk, name, inode);
        }
        inode->refs++;
        struct fault_file *file = must(malloc(sizeof *file));
        file->base.disk = base;
        file->inode = inode;
        disk->n_open++;
        *ret_file = &file->base;
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static void fault_close(struct ft_disk_file *file)
{
    struct fault_disk *disk = disk_of(file->disk);
    ft_mutex_lock(&disk->lock);
    inode_unref(inode_of(file));
    disk->n_open--;
    ft_mutex_unlock(&disk->lock);
    free(file);
}

static void put(struct inode *inode, uint64_t offset, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    inode_reserve(inode, offset + size);
    memcpy(inode->cache + offset, data, size);
    for (size_t i = offset / FT_FAULT_SECTOR; i <= (offset + size - 1) / FT_FAULT_SECTOR; i++) {
        inode->dirty[i] = true;
    }
    if (offset + size > inode->size) {
        inode->size = offset + size;
    }
}

static ft_err fault_write(struct ft_disk_file *file, uint64_t offset, const void *data, size_t size)
{
    struct fault_disk *disk = disk_of(file->disk);
    struct inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    bool was_stopped = disk->stopped;
    ft_err err = enter(disk, FT_FAULT_WRITE, &cut);
    if (err == FT_OK && !fits(disk, inode, offset + size)) {
        err = ft_err_from_errno(ENOSPC);
    }
    if (err != FT_OK) {
        /* Nothing, a part, or, one time in four, all of it: a failure says nothing about that. */
        size_t part = (size_t)ft_random_below(&disk->random.base, size + 1);
        part = ft_random_below(&disk->random.base, 4) == 0 ? size : part;
        size = was_stopped ? 0 : part;
        if (err == ft_err_from_errno(ENOSPC) && !fits(disk, inode, offset + size)) {
            size = 0;
        }
    }
    put(inode, offset, data, size);
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_read(struct ft_disk_file *file, uint64_t offset, void *data, size_t size,
                         size_t *ret_size)
{
    struct fault_disk *disk = disk_of(file->disk);
    const struct inode *inode = inode_of(file);
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
    ft_mutex_unlock(&disk->lock);
    return err;
}

/* Anything may have been stored in it since. */
static void dirty_map(struct inode *inode)
{
    for (size_t at = inode->mapped_from; at < inode->mapped_to; at += FT_FAULT_SECTOR) {
        inode->dirty[at / FT_FAULT_SECTOR] = true;
    }
}

static void set_durable_size(struct inode *inode, size_t size)
{
    if (size < inode->durable_size) {
        memset(inode->durable + size, 0, inode->durable_size - size);
    }
    inode->durable_size = size;
}

/* A random part of what is dirty reaches the disk; all of it with 'all'. */
static void write_back(struct fault_disk *disk, struct inode *inode, bool all)
{
    if (inode->capacity == 0) {
        return;
    }
    dirty_map(inode);
    size_t end = inode->durable_size;
    for (size_t i = 0; i * FT_FAULT_SECTOR < inode->size; i++) {
        if (inode->dirty[i] && (all || chance(disk))) {
            memcpy(inode->durable + i * FT_FAULT_SECTOR, inode->cache + i * FT_FAULT_SECTOR,
                   FT_FAULT_SECTOR);
            end = (i + 1) * FT_FAULT_SECTOR > end ? (i + 1) * FT_FAULT_SECTOR : end;
        }
    }
    if (all || end > inode->size) {
        end = inode->size;
    }
    set_durable_size(inode, end);
    if (inode->dirty != NULL) {
        memset(inode->dirty, 0, inode->capacity / FT_FAULT_SECTOR * sizeof(bool));
    }
}

static ft_err fault_sync(struct ft_disk_file *file)
{
    struct fault_disk *disk = disk_of(file->disk);
    struct inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_SYNC, &cut);
    disk->breaches += inode->sync_failed && !disk->stopped ? 1 : 0;
    if (err == FT_OK) {
        write_back(disk, inode, true);
    } else if (!disk->stopped) {
        /* Marked clean without having been written: the trap. */
        write_back(disk, inode, false);
        inode->sync_failed = true;
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_truncate(struct ft_disk_file *file, uint64_t size)
{
    struct fault_disk *disk = disk_of(file->disk);
    struct inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_TRUNCATE, &cut);
    if (err == FT_OK) {
        inode_reserve(inode, size);
        if (size < inode->size) {
            memset(inode->cache + size, 0, inode->size - size);
        }
        inode->size = size;
        inode->allocated = size;
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_allocate(struct ft_disk_file *file, uint64_t size)
{
    struct fault_disk *disk = disk_of(file->disk);
    struct inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_ALLOCATE, &cut);
    if (err == FT_OK && !fits(disk, inode, size)) {
        err = ft_err_from_errno(ENOSPC);
    }
    if (err == FT_OK && size > inode->allocated) {
        inode->allocated = size;
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_remove(struct ft_disk *base, const char *name)
{
    struct fault_disk *disk = disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_REMOVE, &cut);
    if (err == FT_OK && find(&disk->live, name) == NULL) {
        err = ft_err_from_errno(ENOENT);
    }
    if (err == FT_OK) {
        change_name(disk, name, NULL);
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_rename(struct ft_disk *base, const char *from, const char *to)
{
    struct fault_disk *disk = disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_RENAME, &cut);
    struct entry *entry = find(&disk->live, from);
    if (err == FT_OK && entry == NULL) {
        err = ft_err_from_errno(ENOENT);
    }
    if (err == FT_OK) {
        change_name(disk, to, entry->inode);
        change_name(disk, from, NULL);
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_sync_dir(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_SYNC_DIR, &cut);
    if (err == FT_OK) {
        for (size_t i = 0; i < disk->n_changes; i++) {
            set_name(&disk->durable, disk->changes[i].name, disk->changes[i].inode);
        }
        forget_changes(disk);
    }
    ft_mutex_unlock(&disk->lock);
    return err;
}

static ft_err fault_list(struct ft_disk *base, ft_disk_name_fn *fn, void *ctx)
{
    struct fault_disk *disk = disk_of(base);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_LIST, &cut);
    size_t n = err == FT_OK ? disk->live.n : 0;
    struct entry *copy = must(calloc(n + 1, sizeof *copy));
    uint64_t *sizes = must(calloc(n + 1, sizeof *sizes));
    for (size_t i = 0; i < n; i++) {
        copy[i] = disk->live.entries[i];
        sizes[i] = copy[i].inode->size;
    }
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
    struct fault_disk *disk = disk_of(base);
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
    struct fault_disk *disk = disk_of(file->disk);
    struct inode *inode = inode_of(file);
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
    struct fault_disk *disk = disk_of(base);
    (void)map;
    (void)size;
    ft_mutex_lock(&disk->lock);
    struct inode *inode = disk->mapped;
    assert(inode != NULL && map == inode->cache + inode->mapped_from);
    dirty_map(inode);
    inode->mapped_to = 0;
    disk->mapped = NULL;
    inode_unref(inode);
    ft_mutex_unlock(&disk->lock);
}

static void clear(struct directory *directory)
{
    while (directory->n > 0) {
        inode_unref(directory->entries[--directory->n].inode);
    }
}

static void fault_destroy(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    assert(disk->n_open == 0);
    forget_changes(disk);
    clear(&disk->live);
    clear(&disk->durable);
    free(disk->changes);
    free(disk->live.entries);
    free(disk->durable.entries);
    ft_mutex_deinit(&disk->lock);
    free(disk);
}

static const struct ft_disk_ops fault_ops = {
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
    struct fault_disk *disk = must(calloc(1, sizeof *disk));
    disk->base.ops = &fault_ops;
    ft_mutex_init(&disk->lock);
    ft_random_seeded_init(&disk->random, seed);
    return &disk->base;
}

struct ft_disk *ft_fault_disk_clone(struct ft_disk *base)
{
    struct fault_disk *from = disk_of(base);
    struct ft_disk *copy = ft_fault_disk_create(0);
    struct fault_disk *to = disk_of(copy);
    to->random = from->random;
    to->capacity = from->capacity;
    /* Files that only a power cut would bring back are not copied. */
    for (size_t i = 0; i < from->live.n; i++) {
        const struct entry *entry = &from->live.entries[i];
        const struct inode *inode = entry->inode;
        struct inode *new_inode = must(calloc(1, sizeof *new_inode));
        inode_reserve(new_inode, inode->capacity);
        if (inode->capacity > 0) {
            memcpy(new_inode->cache, inode->cache, inode->capacity);
            memcpy(new_inode->durable, inode->durable, inode->capacity);
            memcpy(new_inode->dirty, inode->dirty,
                   inode->capacity / FT_FAULT_SECTOR * sizeof(bool));
        }
        new_inode->size = inode->size;
        new_inode->durable_size = inode->durable_size;
        new_inode->sync_failed = inode->sync_failed;
        struct entry *durable = find(&from->durable, entry->name);
        if (durable != NULL && durable->inode == inode) {
            set_name(&to->live, entry->name, new_inode);
            set_name(&to->durable, entry->name, new_inode);
        } else {
            change_name(to, entry->name, new_inode);
        }
    }
    return copy;
}

void ft_fault_disk_fail(struct ft_disk *base, enum ft_fault_op op, uint64_t nth, uint64_t n_times,
                        ft_err err)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->faults[op] = (struct fault){.from = disk->calls[op] + nth, .n = n_times, .err = err};
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_heal(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    memset(disk->faults, 0, sizeof disk->faults);
    ft_mutex_unlock(&disk->lock);
}

uint64_t ft_fault_disk_calls(struct ft_disk *base, enum ft_fault_op op)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t calls = disk->calls[op];
    ft_mutex_unlock(&disk->lock);
    return calls;
}

void ft_fault_disk_set_capacity(struct ft_disk *base, uint64_t bytes)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->capacity = bytes;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_stop_at(struct ft_disk *base, uint64_t nth)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->stop_at = disk->n_changing + nth;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_stop_now(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->stopped = true;
    ft_mutex_unlock(&disk->lock);
}

bool ft_fault_disk_stopped(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    bool stopped = disk->stopped;
    ft_mutex_unlock(&disk->lock);
    return stopped;
}

uint64_t ft_fault_disk_changes(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t n = disk->n_changing;
    ft_mutex_unlock(&disk->lock);
    return n;
}

/* Journals keep the order of changes, and file systems without one do not: both happen here. */
static void tear_directory(struct fault_disk *disk)
{
    bool ordered = chance(disk);
    size_t n = (size_t)ft_random_below(&disk->random.base, disk->n_changes + 1);
    for (size_t i = 0; i < disk->n_changes; i++) {
        if (ordered ? i < n : chance(disk)) {
            set_name(&disk->durable, disk->changes[i].name, disk->changes[i].inode);
        }
    }
}

static void cut_file(struct fault_disk *disk, struct inode *inode, bool tear)
{
    if (inode->capacity == 0) {
        return;
    }
    if (tear) {
        write_back(disk, inode, false);
    }
    memcpy(inode->cache, inode->durable, inode->capacity);
    memset(inode->dirty, 0, inode->capacity / FT_FAULT_SECTOR * sizeof(bool));
    inode->size = inode->durable_size;
    inode->allocated = 0;
    /* What is on disk now is what is read: nothing is in doubt any more. */
    inode->sync_failed = false;
}

void ft_fault_disk_restart(struct ft_disk *base, enum ft_fault_cut cut)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    assert(disk->n_open == 0);
    memset(disk->faults, 0, sizeof disk->faults);
    disk->stopped = false;
    disk->stop_at = 0;
    if (cut != FT_FAULT_KILL) {
        if (cut == FT_FAULT_TEAR) {
            tear_directory(disk);
        }
        forget_changes(disk);
        clear(&disk->live);
        for (size_t i = 0; i < disk->durable.n; i++) {
            struct entry *entry = &disk->durable.entries[i];
            cut_file(disk, entry->inode, cut == FT_FAULT_TEAR);
            set_name(&disk->live, entry->name, entry->inode);
        }
    }
    ft_mutex_unlock(&disk->lock);
}

uint64_t ft_fault_disk_breaches(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t breaches = disk->breaches;
    ft_mutex_unlock(&disk->lock);
    return breaches;
}

uint8_t *ft_fault_disk_content(struct ft_disk *base, const char *name, size_t *ret_size)
{
    struct entry *entry = find(&disk_of(base)->live, name);
    if (entry == NULL) {
        return NULL;
    }
    *ret_size = entry->inode->size;
    return entry->inode->cache;
}

void ft_fault_disk_put(struct ft_disk *base, const char *name, const void *data, size_t size)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    struct inode *inode = must(calloc(1, sizeof *inode));
    inode_reserve(inode, size + 1);
    put(inode, 0, data, size);
    write_back(disk, inode, true);
    set_name(&disk->live, name, inode);
    set_name(&disk->durable, name, inode);
    ft_mutex_unlock(&disk->lock);
}

const char *ft_fault_disk_name(struct ft_disk *base, size_t n)
{
    struct directory *live = &disk_of(base)->live;
    const char *last = "";
    for (;; n--) {
        const char *least = NULL;
        for (size_t i = 0; i < live->n; i++) {
            const char *name = live->entries[i].name;
            if (strcmp(name, last) > 0 && (least == NULL || strcmp(name, least) < 0)) {
                least = name;
            }
        }
        if (least == NULL || n == 0) {
            return least;
        }
        last = least;
    }
}
