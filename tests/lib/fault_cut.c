/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "lib/fault_disk_impl.h"

void ft_fault_disk_stop_at(struct ft_disk *base, uint64_t nth)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->stop_at = disk->n_changing + nth;
    ft_mutex_unlock(&disk->lock);
}

void ft_fault_disk_stop_now(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    disk->stopped = true;
    ft_mutex_unlock(&disk->lock);
}

bool ft_fault_disk_stopped(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    bool stopped = disk->stopped;
    ft_mutex_unlock(&disk->lock);
    return stopped;
}

uint64_t ft_fault_disk_changes(struct ft_disk *base)
{
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
    ft_mutex_lock(&disk->lock);
    uint64_t n = disk->n_changing;
    ft_mutex_unlock(&disk->lock);
    return n;
}

/* Journals keep the order of changes, and file systems without one do not: both happen here. */
static void tear_directory(struct ft_fault_disk *disk)
{
    bool ordered = ft_fault_chance(disk);
    size_t n = (size_t)ft_random_below(&disk->random.base, disk->n_changes + 1);
    for (size_t i = 0; i < disk->n_changes; i++) {
        if (ordered ? i < n : ft_fault_chance(disk)) {
            ft_fault_set_name(&disk->durable, disk->changes[i].name, disk->changes[i].inode);
        } else {
            disk->effects.names_lost++;
        }
    }
}

static bool has_unsynced(const struct ft_fault_disk *disk)
{
    for (size_t i = 0; i < disk->live.n; i++) {
        const struct ft_fault_inode *inode = disk->live.entries[i].inode;
        for (size_t k = 0; k < ft_fault_sectors_of(inode->size); k++) {
            if (inode->dirty[k]) {
                return true;
            }
        }
    }
    return disk->n_changes > 0;
}

static void cut_file(struct ft_fault_disk *disk, struct ft_fault_inode *inode, bool tear)
{
    if (inode->capacity == 0) {
        return;
    }
    if (tear) {
        ft_fault_inode_write_back(disk, inode, false);
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
    struct ft_fault_disk *disk = ft_fault_disk_of(base);
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
        ft_fault_forget_changes(disk);
        ft_fault_clear_names(&disk->live);
        for (size_t i = 0; i < disk->durable.n; i++) {
            struct ft_fault_entry *entry = &disk->durable.entries[i];
            cut_file(disk, entry->inode, cut == FT_FAULT_TEAR);
            ft_fault_set_name(&disk->live, entry->name, entry->inode);
        }
    }
    ft_fault_trace(disk, FT_FAULT_OP_N, "", 0, (size_t)cut, FT_OK);
    for (size_t i = 0; i < disk->live.n; i++) {
        ft_fault_trace(disk, FT_FAULT_OP_N, disk->live.entries[i].name, 0,
                       disk->live.entries[i].inode->size, FT_OK);
    }
    ft_mutex_unlock(&disk->lock);
}
