/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lib/fault_disk_impl.h"

static bool may_be_hit(const struct ft_fault_disk *disk, const struct ft_fault_inode *inode)
{
    const char *name = ft_fault_name_of(disk, inode);
    return name != NULL && inode->size > 0 && (disk->may_be_hit == NULL || disk->may_be_hit(name));
}

static void tell_silent(struct ft_fault_disk *disk, const struct ft_fault_inode *inode,
                        size_t offset, size_t length)
{
    if (disk->observer != NULL) {
        disk->observer(disk->observer_ctx, ft_fault_name_of(disk, inode), inode->cache, inode->size,
                       offset, length);
    }
}

/* A file that silent faults may hit; NULL: none. */
static struct ft_fault_inode *choose_inode(struct ft_fault_disk *disk)
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

/* The dirty sector of 'inode' that the sync is to lose or misplace; SIZE_MAX: none. */
static size_t choose_dirty(struct ft_fault_disk *disk, const struct ft_fault_inode *inode)
{
    size_t chosen = SIZE_MAX;
    uint64_t n = 0;
    for (size_t i = 0; i < ft_fault_sectors_of(inode->size); i++) {
        if (inode->dirty[i] && ft_random_below(&disk->random.base, ++n) == 0) {
            chosen = i;
        }
    }
    return chosen;
}

static void misplace(struct ft_fault_disk *disk, const struct ft_fault_inode *from, size_t sector)
{
    struct ft_fault_inode *to = choose_inode(disk);
    size_t n = to != NULL ? ft_fault_sectors_of(to->durable_size) : 0;
    if (n == 0) {
        return;
    }
    size_t at = (size_t)ft_random_below(&disk->random.base, n) * FT_FAULT_SECTOR;
    tell_silent(disk, to, at, FT_FAULT_SECTOR);
    memcpy(to->durable + at, from->cache + sector * FT_FAULT_SECTOR, FT_FAULT_SECTOR);
    disk->effects.misdirected_writes++;
}

/* The sector that this sync does not write to its place; SIZE_MAX: none. */
static size_t silent_fault(struct ft_fault_disk *disk, const struct ft_fault_inode *inode)
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

void ft_fault_sync_inode(struct ft_fault_disk *disk, struct ft_fault_inode *inode)
{
    size_t misses =
        disk->lose_at != 0 || disk->misdirect_at != 0 ? silent_fault(disk, inode) : SIZE_MAX;
    uint8_t old[FT_FAULT_SECTOR];
    if (misses != SIZE_MAX) {
        memcpy(old, inode->durable + misses * FT_FAULT_SECTOR, sizeof old);
    }
    ft_fault_inode_write_back(disk, inode, true);
    if (misses != SIZE_MAX) {
        memcpy(inode->durable + misses * FT_FAULT_SECTOR, old, sizeof old);
    }
}

void ft_fault_disk_observe(struct ft_disk *base, ft_fault_silent_fn *observer, void *ctx)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->observer = observer;
    disk->observer_ctx = ctx;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_expose(struct ft_disk *base, bool (*may)(const char *name))
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->may_be_hit = may;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_lose_write(struct ft_disk *base, uint64_t nth)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->lose_at = disk->n_writing_syncs + nth;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_misdirect_write(struct ft_disk *base, uint64_t nth)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->misdirect_at = disk->n_writing_syncs + nth;
    ft_mutex_unlock(&disk->lock);
}

bool ft_fault_disk_rot(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    struct ft_fault_inode *inode = choose_inode(disk);
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
