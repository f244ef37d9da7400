/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fault_disk_impl.h"

#define PAGE            ((size_t)4096)
#define SECTORS_OF_PAGE (PAGE / FT_FAULT_SECTOR)

void *ft_fault_must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

bool ft_fault_chance(struct ft_fault_disk *disk)
{
    return ft_random_below(&disk->random.base, 2) == 0;
}

void ft_fault_inode_unref(struct ft_fault_inode *inode)
{
    if (inode != NULL && --inode->refs == 0) {
        free(inode->cache);
        free(inode->durable);
        free(inode->dirty);
        free(inode->doubtful);
        free(inode);
    }
}

void ft_fault_inode_reserve(struct ft_fault_inode *inode, size_t size)
{
    if (size <= inode->capacity) {
        return;
    }
    assert(inode->mapped_to == 0); /* It would move. */
    size_t capacity = inode->capacity != 0 ? inode->capacity : 4096;
    while (capacity < size) {
        capacity *= 2;
    }
    inode->cache = ft_fault_must(realloc(inode->cache, capacity));
    inode->durable = ft_fault_must(realloc(inode->durable, capacity));
    inode->dirty = ft_fault_must(realloc(inode->dirty, capacity / FT_FAULT_SECTOR * sizeof(bool)));
    inode->doubtful =
        ft_fault_must(realloc(inode->doubtful, capacity / FT_FAULT_SECTOR * sizeof(bool)));
    memset(inode->doubtful + inode->capacity / FT_FAULT_SECTOR, 0,
           (capacity - inode->capacity) / FT_FAULT_SECTOR * sizeof(bool));
    memset(inode->cache + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->durable + inode->capacity, 0, capacity - inode->capacity);
    memset(inode->dirty + inode->capacity / FT_FAULT_SECTOR, 0,
           (capacity - inode->capacity) / FT_FAULT_SECTOR * sizeof(bool));
    inode->capacity = capacity;
}

void ft_fault_inode_put(struct ft_fault_inode *inode, uint64_t offset, const void *data,
                        size_t size)
{
    if (size == 0) {
        return;
    }
    ft_fault_inode_reserve(inode, offset + size);
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

/* Anything may have been stored in it since. */
void ft_fault_inode_dirty_map(struct ft_fault_inode *inode)
{
    for (size_t at = inode->mapped_from; at < inode->mapped_to; at += FT_FAULT_SECTOR) {
        inode->dirty[at / FT_FAULT_SECTOR] = true;
    }
}

static void set_durable_size(struct ft_fault_inode *inode, size_t size)
{
    if (size < inode->durable_size) {
        memset(inode->durable + size, 0, inode->durable_size - size);
    }
    inode->durable_size = size;
}

size_t ft_fault_sectors_of(size_t size) { return (size + FT_FAULT_SECTOR - 1) / FT_FAULT_SECTOR; }

/* A random part of what is dirty reaches the disk; all of it with 'all'. */
void ft_fault_inode_write_back(struct ft_fault_disk *disk, struct ft_fault_inode *inode, bool all)
{
    if (inode->capacity == 0) {
        return;
    }
    ft_fault_inode_dirty_map(inode);
    size_t end = inode->durable_size;
    bool lost_one = false;
    bool reordered = false;
    for (size_t i = 0; i * FT_FAULT_SECTOR < inode->size; i++) {
        bool keep = inode->dirty[i] && (all || ft_fault_chance(disk));
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

bool ft_fault_inode_has_doubtful(const struct ft_fault_inode *inode)
{
    for (size_t i = 0; i < ft_fault_sectors_of(inode->size); i++) {
        if (inode->doubtful[i]) {
            return true;
        }
    }
    return false;
}
