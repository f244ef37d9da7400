/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "lib/fault_disk_impl.h"

/* More names, or changes of names without a sync, are a mistake of the test. */
#define NAMES_MAX   4096
#define CHANGES_MAX 65536

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
    return ft_fault_must(realloc(items, *n_allocated * item_size));
}

struct ft_fault_entry *ft_fault_find(struct ft_fault_directory *directory, const char *name)
{
    for (size_t i = 0; i < directory->n; i++) {
        if (strcmp(directory->entries[i].name, name) == 0) {
            return &directory->entries[i];
        }
    }
    return NULL;
}

void ft_fault_set_name(struct ft_fault_directory *directory, const char *name,
                       struct ft_fault_inode *inode)
{
    struct ft_fault_entry *entry = ft_fault_find(directory, name);
    if (inode != NULL) {
        inode->refs++;
    }
    if (entry != NULL) {
        ft_fault_inode_unref(entry->inode);
        entry->inode = inode;
    } else if (inode != NULL) {
        directory->entries = grow(directory->entries, directory->n, &directory->n_allocated,
                                  NAMES_MAX, sizeof(struct ft_fault_entry));
        entry = &directory->entries[directory->n++];
        memset(entry->name, 0, sizeof entry->name);
        strncpy(entry->name, name, sizeof entry->name - 1);
        entry->inode = inode;
    }
    if (inode == NULL && entry != NULL) {
        *entry = directory->entries[--directory->n];
    }
}

void ft_fault_change_name(struct ft_fault_disk *disk, const char *name,
                          struct ft_fault_inode *inode)
{
    disk->changes = grow(disk->changes, disk->n_changes, &disk->n_changes_allocated, CHANGES_MAX,
                         sizeof(struct ft_fault_change));
    struct ft_fault_change *change = &disk->changes[disk->n_changes++];
    memset(change, 0, sizeof *change);
    strncpy(change->name, name, sizeof change->name - 1);
    change->inode = inode;
    if (inode != NULL) {
        inode->refs++;
    }
    ft_fault_set_name(&disk->live, name, inode);
}

void ft_fault_forget_changes(struct ft_fault_disk *disk)
{
    for (size_t i = 0; i < disk->n_changes; i++) {
        ft_fault_inode_unref(disk->changes[i].inode);
    }
    disk->n_changes = 0;
}

const char *ft_fault_name_of(const struct ft_fault_disk *disk, const struct ft_fault_inode *inode)
{
    for (size_t i = 0; i < disk->live.n; i++) {
        if (disk->live.entries[i].inode == inode) {
            return disk->live.entries[i].name;
        }
    }
    return NULL;
}

void ft_fault_clear_names(struct ft_fault_directory *directory)
{
    while (directory->n > 0) {
        ft_fault_inode_unref(directory->entries[--directory->n].inode);
    }
}

const char *ft_fault_disk_name(struct ft_disk *base, size_t n)
{
    struct ft_fault_directory *live = &ft_fault_disk_of(base)->live;
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
