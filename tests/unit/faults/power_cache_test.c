/* SPDX-License-Identifier: Apache-2.0 */
/* The drive of the power cuts: it loses what it may lose, and nothing else. */
#include "lab/power_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/test.h"

#define N_SECTORS 64
#define PAGE      8
#define SEEDS     400

struct drive {
    int fd;
    struct power_cache *cache;
};

static void open_drive(struct drive *drive)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/image", ft_test_tmpdir());
    drive->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(drive->fd >= 0 && ftruncate(drive->fd, N_SECTORS * FT_POWER_SECTOR) == 0);
    drive->cache = power_cache_create(drive->fd, N_SECTORS * FT_POWER_SECTOR);
    CHECK(drive->cache != NULL);
}

static void close_drive(struct drive *drive)
{
    power_cache_destroy(drive->cache);
    CHECK_INT(close(drive->fd), 0);
}

/* Sectors 'first' and behind, each full of 'mark'. */
static void put(struct drive *drive, unsigned first, unsigned n, uint8_t mark)
{
    uint8_t data[N_SECTORS * FT_POWER_SECTOR];
    memset(data, mark, sizeof data);
    CHECK_INT(power_cache_write(drive->cache, (uint64_t)first * FT_POWER_SECTOR,
                                (size_t)n * FT_POWER_SECTOR, data),
              0);
}

/* The mark of a sector of the image; no sector is torn. */
static uint8_t on_image(const struct drive *drive, unsigned sector)
{
    uint8_t data[FT_POWER_SECTOR];
    CHECK(pread(drive->fd, data, sizeof data, (off_t)sector * FT_POWER_SECTOR) == sizeof data);
    for (size_t i = 1; i < sizeof data; i++) {
        CHECK_INT(data[i], data[0]);
    }
    return data[0];
}

static uint8_t seen(struct drive *drive, unsigned sector)
{
    uint8_t data[FT_POWER_SECTOR];
    CHECK_INT(power_cache_read(drive->cache, (uint64_t)sector * FT_POWER_SECTOR, sizeof data, data),
              0);
    return data[0];
}

TEST(what_is_written_is_seen_at_once_and_durable_once_flushed)
{
    struct drive drive;
    open_drive(&drive);
    put(&drive, 3, 2, 1);
    put(&drive, 4, 2, 2);
    CHECK_INT(seen(&drive, 3), 1);
    CHECK_INT(seen(&drive, 4), 2);
    CHECK_INT(seen(&drive, 6), 0);
    CHECK_INT(on_image(&drive, 3), 0);
    CHECK_INT(power_cache_flush(drive.cache), 0);
    CHECK_INT(on_image(&drive, 3), 1);
    CHECK_INT(on_image(&drive, 4), 2);
    CHECK_INT(on_image(&drive, 5), 2);
    CHECK_INT(power_cache_counts(drive.cache)->flushed_sectors, 3);
    struct power_cut cut;
    CHECK_INT(power_cache_cut(drive.cache, 1, true, &cut), 0);
    CHECK_INT(cut.sectors, 0);
    CHECK_INT(on_image(&drive, 5), 2);
    close_drive(&drive);
}

/* Flushed, then written once all over, then in a part again. */
static void cut_once(uint64_t seed, bool lose_all, struct power_cut *ret_cut)
{
    struct drive drive;
    open_drive(&drive);
    put(&drive, 0, N_SECTORS, 1);
    CHECK_INT(power_cache_flush(drive.cache), 0);
    put(&drive, 0, 3 * PAGE, 2);
    put(&drive, PAGE, PAGE, 3);
    CHECK_INT(power_cache_cut(drive.cache, seed, lose_all, ret_cut), 0);
    struct power_cut found = {.requests = 2, .sectors = 3 * PAGE, .torn = ret_cut->torn};
    for (unsigned i = 0; i < N_SECTORS; i++) {
        uint8_t mark = on_image(&drive, i);
        uint8_t newest = i >= 3 * PAGE ? 1 : i >= PAGE && i < 2 * PAGE ? 3 : 2;
        CHECK(mark >= 1 && mark <= newest);
        CHECK_INT(seen(&drive, i), mark);
        found.kept += mark == newest && newest != 1;
        found.older += mark != newest && mark != 1;
        found.lost += mark == 1 && newest != 1;
    }
    CHECK(memcmp(&found, ret_cut, sizeof found) == 0);
    close_drive(&drive);
}

TEST(a_cut_leaves_any_of_what_was_not_flushed)
{
    unsigned n_none = 0;
    unsigned n_all = 0;
    unsigned n_torn = 0;
    unsigned n_older = 0;
    struct power_cut cut;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        cut_once(seed, false, &cut);
        n_none += cut.lost == cut.sectors;
        n_all += cut.kept == cut.sectors;
        n_torn += cut.torn > 0;
        n_older += cut.older > 0;
    }
    CHECK(n_none > SEEDS / 20 && n_all > SEEDS / 20);
    CHECK(n_torn > SEEDS / 20 && n_older > SEEDS / 20);
    cut_once(1, true, &cut);
    CHECK_INT(cut.lost, cut.sectors);
}

TEST(a_cache_that_is_full_flushes_itself)
{
    struct drive drive;
    open_drive(&drive);
    for (unsigned i = 0; i < FT_POWER_WRITES_MAX / N_SECTORS; i++) {
        put(&drive, 0, N_SECTORS, 1);
    }
    CHECK_INT(on_image(&drive, 0), 0);
    put(&drive, 0, 1, 2);
    CHECK_INT(power_cache_counts(drive.cache)->overflows, 1);
    CHECK_INT(on_image(&drive, 0), 1);
    CHECK_INT(seen(&drive, 0), 2);
    close_drive(&drive);
}

TEST(what_is_not_a_sector_or_not_there_is_refused)
{
    struct drive drive;
    open_drive(&drive);
    uint8_t data[2 * FT_POWER_SECTOR] = {0};
    CHECK_INT(power_cache_write(drive.cache, 1, FT_POWER_SECTOR, data), EINVAL);
    CHECK_INT(power_cache_write(drive.cache, 0, 100, data), EINVAL);
    uint64_t last = (N_SECTORS - 1) * FT_POWER_SECTOR;
    CHECK_INT(power_cache_write(drive.cache, last, sizeof data, data), EINVAL);
    CHECK_INT(power_cache_read(drive.cache, last, sizeof data, data), EINVAL);
    close_drive(&drive);
}
