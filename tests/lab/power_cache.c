/* SPDX-License-Identifier: Apache-2.0 */
#include "power_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Twice the writes, so that there is always a free slot near. */
#define N_SLOTS (2 * FT_POWER_WRITES_MAX)
#define NONE    UINT32_MAX

/* One sector of one request. */
struct sector_write {
    uint64_t sector;
    uint32_t request;
    uint32_t before; /* The one before it of the same sector, or NONE. */
    uint32_t slot;
    uint8_t data[FT_POWER_SECTOR];
};

struct power_cache {
    int fd;
    uint64_t size;
    uint32_t n_writes;
    uint32_t n_requests;
    struct sector_write *writes; /* FT_POWER_WRITES_MAX, in the order in which they came. */
    uint32_t *slots;             /* The latest write of a sector, or NONE. */
    struct power_counts counts;
};

/* What is decided as one. */
enum unit { UNIT_SECTOR, UNIT_PAGE, UNIT_REQUEST, UNIT_PREFIX, UNIT_N };

struct plan {
    uint64_t salt;
    enum unit unit;
    uint64_t chance; /* Of being kept, of 2^32. */
    uint32_t end;    /* UNIT_PREFIX: this write is the first that is not kept. */
};

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The slot that has the sector, or that it would get. */
static uint32_t find(const struct power_cache *cache, uint64_t sector)
{
    uint32_t slot = (uint32_t)(mix(sector) % N_SLOTS);
    while (cache->slots[slot] != NONE && cache->writes[cache->slots[slot]].sector != sector) {
        slot = (slot + 1) % N_SLOTS;
    }
    return slot;
}

static int write_image(const struct power_cache *cache, uint64_t sector, const uint8_t *data)
{
    ssize_t n = pwrite(cache->fd, data, FT_POWER_SECTOR, (off_t)(sector * FT_POWER_SECTOR));
    return n == FT_POWER_SECTOR ? 0 : n < 0 ? errno : EIO;
}

static void forget(struct power_cache *cache)
{
    for (uint32_t i = 0; i < cache->n_writes; i++) {
        cache->slots[cache->writes[i].slot] = NONE;
    }
    cache->n_writes = 0;
    cache->n_requests = 0;
}

static bool in_bounds(const struct power_cache *cache, uint64_t offset, size_t size)
{
    return offset % FT_POWER_SECTOR == 0 && size % FT_POWER_SECTOR == 0 && offset <= cache->size &&
           size <= cache->size - offset;
}

struct power_cache *power_cache_create(int fd, uint64_t size)
{
    struct power_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->fd = fd;
    cache->size = size;
    cache->writes = mmap(NULL, FT_POWER_WRITES_MAX * sizeof *cache->writes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cache->slots = malloc(N_SLOTS * sizeof *cache->slots);
    if (cache->writes == MAP_FAILED || cache->slots == NULL) {
        power_cache_destroy(cache);
        return NULL;
    }
    memset(cache->slots, 0xff, N_SLOTS * sizeof *cache->slots);
    return cache;
}

void power_cache_destroy(struct power_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    if (cache->writes != MAP_FAILED) {
        (void)munmap(cache->writes, FT_POWER_WRITES_MAX * sizeof *cache->writes);
    }
    free(cache->slots);
    free(cache);
}

const struct power_counts *power_cache_counts(const struct power_cache *cache)
{
    return &cache->counts;
}

int power_cache_read(struct power_cache *cache, uint64_t offset, size_t size, uint8_t *ret_data)
{
    if (!in_bounds(cache, offset, size)) {
        return EINVAL;
    }
    ssize_t n = pread(cache->fd, ret_data, size, (off_t)offset);
    if (n < 0 || (size_t)n != size) {
        return n < 0 ? errno : EIO;
    }
    for (size_t at = 0; at < size && cache->n_writes > 0; at += FT_POWER_SECTOR) {
        uint32_t latest = cache->slots[find(cache, (offset + at) / FT_POWER_SECTOR)];
        if (latest != NONE) {
            memcpy(ret_data + at, cache->writes[latest].data, FT_POWER_SECTOR);
        }
    }
    return 0;
}

int power_cache_write(struct power_cache *cache, uint64_t offset, size_t size, const uint8_t *data)
{
    if (!in_bounds(cache, offset, size) || size / FT_POWER_SECTOR > FT_POWER_WRITES_MAX) {
        return EINVAL;
    }
    if (size / FT_POWER_SECTOR > FT_POWER_WRITES_MAX - cache->n_writes) {
        int error = power_cache_flush(cache);
        if (error != 0) {
            return error;
        }
        cache->counts.overflows++;
    }
    for (size_t at = 0; at < size; at += FT_POWER_SECTOR) {
        uint64_t sector = (offset + at) / FT_POWER_SECTOR;
        uint32_t slot = find(cache, sector);
        struct sector_write *write = &cache->writes[cache->n_writes];
        *write = (struct sector_write){.sector = sector,
                                       .request = cache->n_requests,
                                       .before = cache->slots[slot],
                                       .slot = slot};
        memcpy(write->data, data + at, FT_POWER_SECTOR);
        cache->slots[slot] = cache->n_writes++;
    }
    cache->n_requests++;
    return 0;
}

int power_cache_flush(struct power_cache *cache)
{
    for (uint32_t i = 0; i < cache->n_writes; i++) {
        const struct sector_write *write = &cache->writes[i];
        if (cache->slots[write->slot] == i) {
            int error = write_image(cache, write->sector, write->data);
            if (error != 0) {
                return error;
            }
            cache->counts.flushed_sectors++;
        }
    }
    forget(cache);
    cache->counts.flushes++;
    return 0;
}

static struct plan draw_plan(const struct power_cache *cache, uint64_t seed)
{
    /* Nearly nothing and nearly all as often as half of it. */
    static const uint64_t chances[] = {0, 5, 50, 95, 100};
    uint64_t at = sizeof chances / sizeof chances[0];
    struct plan plan = {.salt = mix(seed), .unit = (enum unit)(mix(seed + 1) % UNIT_N)};
    plan.chance = (chances[mix(seed + 2) % at] << 32) / 100;
    plan.end = (uint32_t)(mix(seed + 3) % ((uint64_t)cache->n_writes + 1));
    return plan;
}

static bool is_kept(const struct power_cache *cache, const struct plan *plan, uint32_t i)
{
    const struct sector_write *write = &cache->writes[i];
    uint64_t key = i;
    switch (plan->unit) {
    case UNIT_PREFIX:
        return i < plan->end;
    case UNIT_PAGE:
        key = ((uint64_t)write->request << 40) ^ (write->sector / 8);
        break;
    case UNIT_REQUEST:
        key = write->request;
        break;
    case UNIT_SECTOR:
    case UNIT_N:
        break;
    }
    return mix(plan->salt ^ mix(key)) >> 32 < plan->chance;
}

/* Writes of which some sectors are kept and some are not: neighbours of one request differ. */
static void count_torn(const struct power_cache *cache, const struct plan *plan,
                       struct power_cut *cut)
{
    bool torn = false;
    for (uint32_t i = 1; i < cache->n_writes; i++) {
        bool same = cache->writes[i].request == cache->writes[i - 1].request;
        bool differs = is_kept(cache, plan, i) != is_kept(cache, plan, i - 1);
        cut->torn += same && differs && !torn;
        torn = same && (torn || differs);
    }
}

int power_cache_cut(struct power_cache *cache, uint64_t seed, bool lose_all,
                    struct power_cut *ret_cut)
{
    struct plan plan = draw_plan(cache, seed);
    if (lose_all) {
        plan.unit = UNIT_PREFIX;
        plan.end = 0;
    }
    *ret_cut = (struct power_cut){.requests = cache->n_requests};
    count_torn(cache, &plan, ret_cut);
    int error = 0;
    for (uint32_t i = 0; i < cache->n_writes && error == 0; i++) {
        if (cache->slots[cache->writes[i].slot] != i) {
            continue; /* Judged with the latest write of the sector. */
        }
        uint32_t kept = i;
        while (kept != NONE && !is_kept(cache, &plan, kept)) {
            kept = cache->writes[kept].before;
        }
        ret_cut->sectors++;
        ret_cut->kept += kept == i;
        ret_cut->older += kept != i && kept != NONE;
        ret_cut->lost += kept == NONE;
        if (kept != NONE) {
            error = write_image(cache, cache->writes[kept].sector, cache->writes[kept].data);
        }
    }
    forget(cache);
    return error;
}
