/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the disk of the tests, with its faults:
 *
 *     fault_disk.c     what programs call (struct ft_disk), and the errors that they get
 *     fault_inode.c    a file: what programs see, what a power cut leaves
 *     fault_names.c    the directory, and changes of it that are not durable
 *     fault_cut.c      the end of the process or of the power, and the start behind it
 *     fault_silent.c   writes that are lost or misplaced, bits that rot
 *
 * Thread: what is not said to be called under the disk's lock takes it.
 */
#ifndef FT_TESTS_LIB_FAULT_DISK_IMPL_H
#define FT_TESTS_LIB_FAULT_DISK_IMPL_H 1

#include "base/random.h"
#include "base/thread.h"
#include "lib/fault_disk.h"

/* What a name stands for.  Lives while a name, the durable directory or a handle knows it. */
struct ft_fault_inode {
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

struct ft_fault_entry {
    char name[FT_DISK_NAME_SIZE];
    struct ft_fault_inode *inode;
};

struct ft_fault_directory {
    struct ft_fault_entry *entries;
    size_t n;
    size_t n_allocated;
};

/* A change of the directory that is not durable: 'name' is 'inode' now, or nothing. */
struct ft_fault_change {
    char name[FT_DISK_NAME_SIZE];
    struct ft_fault_inode *inode;
};

struct ft_fault_rule {
    uint64_t from;
    uint64_t n;
    ft_err err;
};

struct ft_fault_disk {
    struct ft_disk base;
    struct ft_mutex lock;
    struct ft_random_seeded random;
    struct ft_fault_directory live;
    struct ft_fault_directory durable;
    struct ft_fault_change *changes;
    size_t n_changes;
    size_t n_changes_allocated;
    uint64_t calls[FT_FAULT_OP_N];
    struct ft_fault_rule faults[FT_FAULT_OP_N];
    uint64_t n_changing;
    uint64_t stop_at; /* 0: never. */
    bool stopped;
    bool suspended;
    uint64_t capacity;
    uint64_t breaches;
    unsigned n_open;
    struct ft_fault_inode *mapped; /* At most one file is. */
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

struct ft_fault_file {
    struct ft_disk_file base;
    struct ft_fault_inode *inode;
};

extern const struct ft_disk_ops ft_fault_ops;

struct ft_fault_disk *ft_fault_disk_of(struct ft_disk *disk);

/* From here on: under the disk's lock. */

/* Aborts without memory, as every allocation here. */
void *ft_fault_must(void *memory);
bool ft_fault_chance(struct ft_fault_disk *disk);
void ft_fault_trace(const struct ft_fault_disk *disk, enum ft_fault_op op, const char *name,
                    uint64_t offset, size_t size, ft_err err);

void ft_fault_inode_unref(struct ft_fault_inode *inode);
void ft_fault_inode_reserve(struct ft_fault_inode *inode, size_t size);
void ft_fault_inode_put(struct ft_fault_inode *inode, uint64_t offset, const void *data,
                        size_t size);
void ft_fault_inode_dirty_map(struct ft_fault_inode *inode);
bool ft_fault_inode_has_doubtful(const struct ft_fault_inode *inode);
/* A random part of what is dirty reaches the disk; all of it with 'all'. */
void ft_fault_inode_write_back(struct ft_fault_disk *disk, struct ft_fault_inode *inode, bool all);
size_t ft_fault_sectors_of(size_t size);
/* Writes back all but what a silent fault takes. */
void ft_fault_sync_inode(struct ft_fault_disk *disk, struct ft_fault_inode *inode);

struct ft_fault_entry *ft_fault_find(struct ft_fault_directory *directory, const char *name);
/* NULL: takes the name away. */
void ft_fault_set_name(struct ft_fault_directory *directory, const char *name,
                       struct ft_fault_inode *inode);
/* The same in what programs see, to become durable later. */
void ft_fault_change_name(struct ft_fault_disk *disk, const char *name,
                          struct ft_fault_inode *inode);
void ft_fault_forget_changes(struct ft_fault_disk *disk);
void ft_fault_clear_names(struct ft_fault_directory *directory);
/* NULL: it has none any more. */
const char *ft_fault_name_of(const struct ft_fault_disk *disk, const struct ft_fault_inode *inode);

#endif
