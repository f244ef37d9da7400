/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volatile write cache of a drive: what was written since the last flush is in memory only, and
 * is seen by reads.  A flush brings all of it to the image.  When the power is cut, any of it may
 * be there, sector by sector: a write that came later and not the one before it, a part of a write,
 * of two writes of one sector the first.
 *
 * Bounded: a cache that is full is brought to the image, as drives do when they run out of room;
 * that is counted.  Offsets and sizes are multiples of FT_POWER_SECTOR.  Errors are those of errno.
 * Thread: one.
 */
#ifndef FT_LAB_POWER_CACHE_H
#define FT_LAB_POWER_CACHE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_POWER_SECTOR 512
/* Writes of sectors that are not flushed yet: 64 MiB. */
#define FT_POWER_WRITES_MAX (UINT32_C(1) << 17)

struct power_cache;

/* What a cut made of the sectors that were not flushed. */
struct power_cut {
    uint64_t requests; /* Writes since the flush, of any size. */
    uint64_t sectors;
    uint64_t kept;  /* As they were written last. */
    uint64_t older; /* As they were written before that. */
    uint64_t lost;  /* As they were at the flush. */
    uint64_t torn;  /* Writes of which a part is there. */
};

/* The image is 'fd' (borrowed), 'size' bytes of it.  NULL: no memory. */
struct power_cache *power_cache_create(int fd, uint64_t size);
void power_cache_destroy(struct power_cache *cache);

int power_cache_read(struct power_cache *cache, uint64_t offset, size_t size, uint8_t *ret_data);
int power_cache_write(struct power_cache *cache, uint64_t offset, size_t size, const uint8_t *data);
int power_cache_flush(struct power_cache *cache);

/*
 * The power goes: brings to the image what 'seed' says of what was not flushed, or with 'lose_all'
 * nothing of it, and forgets the rest.  Not all cuts are alike: what is decided as one is a sector,
 * a page or a request, or they are kept in order up to one of them; and of how many is drawn too.
 */
int power_cache_cut(struct power_cache *cache, uint64_t seed, bool lose_all,
                    struct power_cut *ret_cut);

struct power_counts {
    uint64_t flushes;
    uint64_t flushed_sectors;
    uint64_t overflows; /* It was full, and flushed itself. */
};
const struct power_counts *power_cache_counts(const struct power_cache *cache);

#endif
