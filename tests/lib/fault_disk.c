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

#define PAGE            ((size_t)4096)
#define SECTORS_OF_PAGE (PAGE / FT_FAULT_SECTOR)

/* What a name stands for.  Lives while a name, the durable directory or a handle knows it. */
struct inode {
    unsigned refs;
    uint8_t *cache; /* The content as programs see it. */
    size_t size;
    uint8_t *durable; /* As a power cut leaves it. */
    size_t durable_size;
    bool *dirty;     /* Per sector of 'cache'. */
    bool *doubtful;  /* It was dirty when a sync failed, and nothing was written there since. */
    size_t capacity; /* Of all three. */
    uint64_t allocated;
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
    bool suspended;
    uint64_t capacity;
    uint64_t breaches;
    unsigned n_open;
    struct inode *mapped; /* At most one file is. */
    struct ft_fault_effects effects;
    /* Silent faults. */
    uint64_t n_writing_syncs;
    uint64_t lose_at; /* 0: never. */
    uint64_t misdirect_at;
    bool (*may_be_hit)(const char *name);
    ft_fault_silent_fn *observer;
    void *observer_ctx;
    ft_fault_trace_fn *trace;
    void *trace_ctx;
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
        free(inode->doubtful);
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
    inode->doubtful = must(realloc(inode->doubtful, capacity / FT_FAULT_SECTOR * sizeof(bool)));
    memset(inode->doubtful + inode->capacity / FT_FAULT_SECTOR, 0,
           (capacity - inode->capacity) / FT_FAULT_SECTOR * sizeof(bool));
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
    const struct fault *fault = &disk->faults[op];
    if (fault->n > 0 && disk->calls[op] >= fault->from &&
        disk->calls[op] - fault->from < fault->n) {
        disk->effects.failed[op]++;
        return fault->err;
    }
    return FT_OK;
}

static const char *name_of(const struct fault_disk *disk, const struct inode *inode);

static void trace(const struct fault_disk *disk, enum ft_fault_op op, const char *name,
                  uint64_t offset, size_t size, ft_err err)
{
    if (disk->trace != NULL) {
        disk->trace(disk->trace_ctx, op, name, offset, size, err);
    }
}

/* Of a file that is open; it may have no name any more. */
static void trace_file(const struct fault_disk *disk, enum ft_fault_op op,
                       const struct inode *inode, uint64_t offset, size_t size, ft_err err)
{
    if (disk->trace != NULL) {
        const char *name = name_of(disk, inode);
        trace(disk, op, name != NULL ? name : "(removed)", offset, size, err);
    }
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
    trace(disk, FT_FAULT_OPEN, name, create ? 1 : 0, 0, err);
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
    /* The cache is written by pages: what is beside it in its page goes along. */
    for (size_t i = offset / PAGE * SECTORS_OF_PAGE;
         i <= (offset + size - 1) / PAGE * SECTORS_OF_PAGE + SECTORS_OF_PAGE - 1 &&
         i < inode->capacity / FT_FAULT_SECTOR;
         i++) {
        inode->dirty[i] = inode->dirty[i] || inode->doubtful[i];
        inode->doubtful[i] = false;
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
    put(inode, offset, data, size);
    trace_file(disk, FT_FAULT_WRITE, inode, offset, size, err);
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
    trace_file(disk, FT_FAULT_READ, inode, offset, size, err);
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

/* Where the observer is told of what is wrong in 'inode', and how much of it there is. */
static const char *name_of(const struct fault_disk *disk, const struct inode *inode)
{
    for (size_t i = 0; i < disk->live.n; i++) {
        if (disk->live.entries[i].inode == inode) {
            return disk->live.entries[i].name;
        }
    }
    return NULL;
}

static bool may_be_hit(const struct fault_disk *disk, const struct inode *inode)
{
    const char *name = name_of(disk, inode);
    return name != NULL && inode->size > 0 && (disk->may_be_hit == NULL || disk->may_be_hit(name));
}

static void tell_silent(struct fault_disk *disk, const struct inode *inode, size_t offset,
                        size_t length)
{
    if (disk->observer != NULL) {
        disk->observer(disk->observer_ctx, name_of(disk, inode), inode->cache, inode->size, offset,
                       length);
    }
}

/* A file that silent faults may hit; NULL: none. */
static struct inode *choose_inode(struct fault_disk *disk)
{
    size_t n = 0;
    for (size_t i = 0; i < disk->live.n; i++) {
        n += may_be_hit(disk, disk->live.entries[i].inode) ? 1 : 0;
    }
    size_t chosen = n > 0 ? (size_t)ft_random_below(&disk->random.base, n) : 0;
    for (size_t i = 0; n > 0 && i < disk->live.n; i++) {
        if (may_be_hit(disk, disk->live.entries[i].inode) && chosen-- == 0) {
            return disk->live.entries[i].inode;
        }
    }
    return NULL;
}

static size_t sectors_of(size_t size) { return (size + FT_FAULT_SECTOR - 1) / FT_FAULT_SECTOR; }

/* The dirty sector of 'inode' that the sync is to lose or misplace; SIZE_MAX: none. */
static size_t choose_dirty(struct fault_disk *disk, const struct inode *inode)
{
    size_t chosen = SIZE_MAX;
    uint64_t n = 0;
    for (size_t i = 0; i < sectors_of(inode->size); i++) {
        if (inode->dirty[i] && ft_random_below(&disk->random.base, ++n) == 0) {
            chosen = i;
        }
    }
    return chosen;
}

static void misplace(struct fault_disk *disk, const struct inode *from, size_t sector)
{
    struct inode *to = choose_inode(disk);
    size_t n = to != NULL ? sectors_of(to->durable_size) : 0;
    if (n == 0) {
        return;
    }
    size_t at = (size_t)ft_random_below(&disk->random.base, n) * FT_FAULT_SECTOR;
    tell_silent(disk, to, at, FT_FAULT_SECTOR);
    memcpy(to->durable + at, from->cache + sector * FT_FAULT_SECTOR, FT_FAULT_SECTOR);
    disk->effects.misdirected_writes++;
}

/* The sector that this sync does not write to its place; SIZE_MAX: none. */
static size_t silent_fault(struct fault_disk *disk, const struct inode *inode)
{
    size_t sector = may_be_hit(disk, inode) ? choose_dirty(disk, inode) : SIZE_MAX;
    if (sector == SIZE_MAX) {
        return SIZE_MAX;
    }
    disk->n_writing_syncs++;
    bool lose = disk->n_writing_syncs == disk->lose_at;
    bool misdirect = disk->n_writing_syncs == disk->misdirect_at;
    if (!lose && !misdirect) {
        return SIZE_MAX;
    }
    tell_silent(disk, inode, sector * FT_FAULT_SECTOR, FT_FAULT_SECTOR);
    if (misdirect) {
        misplace(disk, inode, sector);
    } else {
        disk->effects.lost_writes++;
    }
    return sector;
}

/* A random part of what is dirty reaches the disk; all of it with 'all'. */
static void write_back(struct fault_disk *disk, struct inode *inode, bool all)
{
    if (inode->capacity == 0) {
        return;
    }
    dirty_map(inode);
    size_t end = inode->durable_size;
    bool lost_one = false;
    bool reordered = false;
    for (size_t i = 0; i * FT_FAULT_SECTOR < inode->size; i++) {
        bool keep = inode->dirty[i] && (all || chance(disk));
        lost_one = lost_one || (inode->dirty[i] && !keep);
        reordered = reordered || (lost_one && keep);
        if (keep) {
            memcpy(inode->durable + i * FT_FAULT_SECTOR, inode->cache + i * FT_FAULT_SECTOR,
                   FT_FAULT_SECTOR);
            end = (i + 1) * FT_FAULT_SECTOR > end ? (i + 1) * FT_FAULT_SECTOR : end;
        }
    }
    disk->effects.reordered += reordered ? 1 : 0;
    if (all || end > inode->size) {
        end = inode->size;
    }
    set_durable_size(inode, end);
    if (inode->dirty != NULL) {
        memset(inode->dirty, 0, inode->capacity / FT_FAULT_SECTOR * sizeof(bool));
    }
}

static void sync_inode(struct fault_disk *disk, struct inode *inode)
{
    size_t misses =
        disk->lose_at != 0 || disk->misdirect_at != 0 ? silent_fault(disk, inode) : SIZE_MAX;
    uint8_t old[FT_FAULT_SECTOR];
    if (misses != SIZE_MAX) {
        memcpy(old, inode->durable + misses * FT_FAULT_SECTOR, sizeof old);
    }
    write_back(disk, inode, true);
    if (misses != SIZE_MAX) {
        memcpy(inode->durable + misses * FT_FAULT_SECTOR, old, sizeof old);
    }
}

static bool has_doubtful(const struct inode *inode)
{
    for (size_t i = 0; i < sectors_of(inode->size); i++) {
        if (inode->doubtful[i]) {
            return true;
        }
    }
    return false;
}

static ft_err fault_sync(struct ft_disk_file *file)
{
    struct fault_disk *disk = disk_of(file->disk);
    struct inode *inode = inode_of(file);
    bool cut;
    ft_mutex_lock(&disk->lock);
    ft_err err = enter(disk, FT_FAULT_SYNC, &cut);
    disk->breaches += has_doubtful(inode) && !disk->stopped ? 1 : 0;
    if (err == FT_OK) {
        sync_inode(disk, inode);
    } else if (!disk->stopped) {
        /* Marked clean without having been written: the trap. */
        for (size_t i = 0; i < sectors_of(inode->size); i++) {
            inode->doubtful[i] = inode->doubtful[i] || inode->dirty[i];
        }
        write_back(disk, inode, false);
    }
    trace_file(disk, FT_FAULT_SYNC, inode, 0, inode->size, err);
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
    trace_file(disk, FT_FAULT_TRUNCATE, inode, 0, size, err);
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
    trace(disk, FT_FAULT_REMOVE, name, 0, 0, err);
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
    trace(disk, FT_FAULT_RENAME, to, 0, 0, err);
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
    trace(disk, FT_FAULT_SYNC_DIR, "", 0, 0, err);
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
    trace(disk, FT_FAULT_LIST, "", 0, 0, err);
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
            size_t n_sectors = inode->capacity / FT_FAULT_SECTOR;
            memcpy(new_inode->dirty, inode->dirty, n_sectors * sizeof(bool));
            memcpy(new_inode->doubtful, inode->doubtful, n_sectors * sizeof(bool));
        }
        new_inode->size = inode->size;
        new_inode->durable_size = inode->durable_size;
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
    disk->lose_at = 0;
    disk->misdirect_at = 0;
    disk->stop_at = 0;
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

void ft_fault_disk_suspend(struct ft_disk *base, bool suspended)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->suspended = suspended;
    ft_mutex_unlock(&disk->lock);
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
        } else {
            disk->effects.names_lost++;
        }
    }
}

static bool has_unsynced(const struct fault_disk *disk)
{
    for (size_t i = 0; i < disk->live.n; i++) {
        const struct inode *inode = disk->live.entries[i].inode;
        for (size_t k = 0; k < sectors_of(inode->size); k++) {
            if (inode->dirty[k]) {
                return true;
            }
        }
    }
    return disk->n_changes > 0;
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
    memset(inode->doubtful, 0, inode->capacity / FT_FAULT_SECTOR * sizeof(bool));
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
        disk->effects.cuts += has_unsynced(disk) ? 1 : 0;
        if (cut == FT_FAULT_TEAR) {
            tear_directory(disk);
        } else {
            disk->effects.names_lost += disk->n_changes;
        }
        forget_changes(disk);
        clear(&disk->live);
        for (size_t i = 0; i < disk->durable.n; i++) {
            struct entry *entry = &disk->durable.entries[i];
            cut_file(disk, entry->inode, cut == FT_FAULT_TEAR);
            set_name(&disk->live, entry->name, entry->inode);
        }
    }
    trace(disk, FT_FAULT_OP_N, "", 0, (size_t)cut, FT_OK);
    for (size_t i = 0; i < disk->live.n; i++) {
        trace(disk, FT_FAULT_OP_N, disk->live.entries[i].name, 0, disk->live.entries[i].inode->size,
              FT_OK);
    }
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_observe(struct ft_disk *base, ft_fault_silent_fn *observer, void *ctx)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->observer = observer;
    disk->observer_ctx = ctx;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_expose(struct ft_disk *base, bool (*may)(const char *name))
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->may_be_hit = may;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_lose_write(struct ft_disk *base, uint64_t nth)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->lose_at = disk->n_writing_syncs + nth;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_misdirect_write(struct ft_disk *base, uint64_t nth)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->misdirect_at = disk->n_writing_syncs + nth;
    ft_mutex_unlock(&disk->lock);
}

bool ft_fault_disk_rot(struct ft_disk *base)
{
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    struct inode *inode = choose_inode(disk);
    bool found = inode != NULL;
    if (found) {
        size_t at = (size_t)ft_random_below(&disk->random.base, inode->size);
        uint8_t bits = (uint8_t)(1 + ft_random_below(&disk->random.base, 255));
        /* What is only in the cache is written over what has rotted, or a power cut mends it. */
        found = !inode->dirty[at / FT_FAULT_SECTOR];
        if (found) {
            tell_silent(disk, inode, at, 1);
            inode->cache[at] ^= bits;
            inode->durable[at] ^= bits;
            disk->effects.rotten_bytes++;
        }
    }
    ft_mutex_unlock(&disk->lock);
    return found;
}

void ft_fault_disk_trace(struct ft_disk *base, ft_fault_trace_fn *fn, void *ctx)
{
    struct fault_disk *disk = disk_of(base);
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
    struct fault_disk *disk = disk_of(base);
    ft_mutex_lock(&disk->lock);
    *ret_effects = disk->effects;
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
