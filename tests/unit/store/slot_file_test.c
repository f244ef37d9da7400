/* SPDX-License-Identifier: Apache-2.0 */
/* Two slots, of which one is always whole. */
#include "store/slot_file.h"

#include <stdio.h>
#include <string.h>

#include "lib/fault_disk.h"
#include "lib/test.h"

static const struct ft_slot_kind kind = {.magic = "TST1", .slot_bytes = 1024};

/* The record of generation n: n bytes of n. */
static size_t make(uint64_t n, uint8_t *record)
{
    size_t size = (size_t)(n % 900);
    memset(record, (int)(n & 0xff), size);
    return size;
}

static uint64_t read_back(struct ft_disk *disk)
{
    uint8_t record[1024];
    uint8_t expected[1024];
    size_t size;
    uint64_t generation;
    CHECK_OK(ft_slot_file_read(disk, "state", &kind, record, &size, &generation));
    size_t expected_size = make(generation, expected);
    CHECK_BYTES(record, size, expected, expected_size);
    return generation;
}

static ft_err write_next(struct ft_slot_file *slots, bool durable)
{
    uint8_t record[1024];
    size_t size = make(slots->generation + 1, record);
    return ft_slot_file_write(slots, record, size, durable);
}

TEST(the_last_record_is_found)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_slot_file slots;
    uint8_t record[1024];
    size_t size;
    uint64_t generation;
    CHECK_ERR(ft_slot_file_read(disk, "state", &kind, record, &size, &generation),
              ft_err_from_errno(ENOENT));
    ft_slot_file_init(&slots, disk, "state", &kind, 0);
    for (uint64_t n = 1; n <= 50; n++) {
        CHECK_OK(write_next(&slots, n % 3 == 0));
        CHECK_INT(read_back(disk), n);
    }
    ft_slot_file_close(&slots);
    ft_slot_file_init(&slots, disk, "state", &kind, read_back(disk));
    CHECK_OK(write_next(&slots, true));
    CHECK_INT(read_back(disk), 51);
    ft_slot_file_close(&slots);
    ft_fault_disk_put(disk, "state", "nonsense", 8);
    CHECK_ERR(ft_slot_file_read(disk, "state", &kind, record, &size, &generation), FT_E_CORRUPT);
    ft_disk_destroy(disk);
}

/* Returns false when the power did not fail any more. */
static bool cut(uint64_t seed, uint64_t at, enum ft_fault_cut how)
{
    struct ft_disk *disk = ft_fault_disk_create(seed);
    struct ft_slot_file slots;
    ft_slot_file_init(&slots, disk, "state", &kind, 0);
    CHECK_OK(write_next(&slots, true));
    ft_fault_disk_stop_at(disk, at);
    uint64_t durable = 1;
    uint64_t written = 1;
    for (unsigned i = 0; i < 8; i++) {
        bool wanted = i % 2 == 0;
        if (write_next(&slots, wanted) == FT_OK) {
            written = slots.generation;
            durable = wanted ? written : durable;
        }
    }
    uint64_t attempted = slots.generation;
    ft_slot_file_close(&slots);
    bool stopped = ft_fault_disk_stopped(disk);
    ft_fault_disk_restart(disk, how);
    uint64_t found = read_back(disk);
    CHECK(found >= durable && found <= attempted);
    /* A write that is cut may have been over one that was not durable. */
    CHECK(how != FT_FAULT_KILL || stopped || found >= written);
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    ft_disk_destroy(disk);
    return stopped;
}

TEST(what_was_made_durable_survives_any_end)
{
    for (unsigned how = FT_FAULT_KILL; how <= FT_FAULT_TEAR; how++) {
        uint64_t at = 1;
        for (bool stopped = true; stopped; at++) {
            for (uint64_t seed = 0; seed < 200; seed++) {
                stopped = cut(seed, at, (enum ft_fault_cut)how);
            }
        }
        CHECK(at > 8);
    }
}

TEST(a_failed_sync_is_not_repeated_and_the_record_is_written_anew)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_slot_file slots;
    ft_slot_file_init(&slots, disk, "state", &kind, 0);
    CHECK_OK(write_next(&slots, true));
    ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, 1, ft_err_from_errno(EIO));
    CHECK_OK(write_next(&slots, true));
    CHECK_INT(read_back(disk), 2);
    ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, 4, ft_err_from_errno(EIO));
    CHECK_ERR(write_next(&slots, true), ft_err_from_errno(EIO));
    CHECK_ERR(write_next(&slots, true), ft_err_from_errno(EIO));
    ft_fault_disk_heal(disk);
    CHECK_OK(write_next(&slots, true));
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    ft_slot_file_close(&slots);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    CHECK_INT(read_back(disk), 5);
    ft_disk_destroy(disk);
}

TEST(on_a_full_disk_the_file_that_is_there_is_used_on)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_slot_file slots;
    ft_slot_file_init(&slots, disk, "state", &kind, 0);
    CHECK_OK(write_next(&slots, true));
    CHECK_OK(write_next(&slots, true));
    ft_slot_file_close(&slots);
    ft_fault_disk_set_capacity(disk, 2048);
    ft_slot_file_init(&slots, disk, "state", &kind, 2);
    for (uint64_t n = 3; n <= 9; n++) {
        CHECK_OK(write_next(&slots, true));
        CHECK_INT(read_back(disk), n);
    }
    ft_slot_file_close(&slots);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    CHECK_INT(read_back(disk), 9);
    /* Without a file there is nothing to go on with. */
    CHECK_OK(disk->ops->remove(disk, "state"));
    ft_fault_disk_set_capacity(disk, 1);
    ft_slot_file_init(&slots, disk, "state", &kind, 9);
    CHECK_ERR(write_next(&slots, true), ft_err_from_errno(ENOSPC));
    ft_slot_file_close(&slots);
    ft_disk_destroy(disk);
}

/* What is written into a file is durable only if its name is. */
TEST(the_name_of_a_file_that_is_used_on_is_durable)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_slot_file slots;
    ft_slot_file_init(&slots, disk, "state", &kind, 0);
    CHECK_OK(write_next(&slots, true));
    ft_slot_file_close(&slots);
    ft_slot_file_init(&slots, disk, "state", &kind, 1);
    ft_fault_disk_fail(disk, FT_FAULT_SYNC_DIR, 1, 1, ft_err_from_errno(ENOSPC));
    CHECK_OK(write_next(&slots, true));
    CHECK_OK(write_next(&slots, true));
    ft_slot_file_close(&slots);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
    CHECK_INT(read_back(disk), 3);
    ft_disk_destroy(disk);
}

/* What the last process could not sync is read from the cache, and is not on the disk. */
TEST(a_failed_sync_of_an_earlier_process_is_made_good)
{
    /* Each slot has a page of its own, or the cache would write one with the other. */
    static const struct ft_slot_kind pages = {.magic = "TST2", .slot_bytes = 4096};
    static uint8_t record[3000];
    static uint8_t found[4096];
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct ft_disk *disk = ft_fault_disk_create(seed);
        struct ft_slot_file slots;
        ft_slot_file_init(&slots, disk, "state", &pages, 0);
        CHECK_OK(ft_slot_file_write(&slots, record, sizeof record, true));
        CHECK_OK(ft_slot_file_write(&slots, record, sizeof record, true));
        ft_fault_disk_set_capacity(disk, 8192);
        ft_fault_disk_fail(disk, FT_FAULT_SYNC, 1, 1, ft_err_from_errno(EIO));
        CHECK_ERR(ft_slot_file_write(&slots, record, sizeof record, true),
                  ft_err_from_errno(ENOSPC));
        ft_slot_file_close(&slots);
        size_t size;
        uint64_t generation;
        CHECK_OK(ft_slot_file_read(disk, "state", &pages, found, &size, &generation));
        CHECK_INT(generation, 3);
        ft_slot_file_init(&slots, disk, "state", &pages, generation);
        ft_fault_disk_stop_at(disk, 1 + seed % 20);
        ft_err_ignore(ft_slot_file_write(&slots, record, sizeof record, true), "the power fails");
        CHECK_INT(ft_fault_disk_breaches(disk), 0);
        ft_slot_file_close(&slots);
        ft_fault_disk_restart(disk, FT_FAULT_TEAR);
        CHECK_OK(ft_slot_file_read(disk, "state", &pages, found, &size, &generation));
        CHECK(generation >= 2);
        ft_disk_destroy(disk);
    }
}
