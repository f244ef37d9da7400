/* SPDX-License-Identifier: Apache-2.0 */
/* A power cut has left a block and not the one before it: what recovery cuts off there stays gone,
 * and costs nothing that was durable, also where the disk has damaged some of that. */
#include <stdlib.h>
#include <string.h>

#include "lib/fault_disk.h"
#include "lib/test.h"
#include "store/format.h"

/* All blocks are of one size, so that the n-th of a file is easy to find. */
#define BLOCK_SIZE ((size_t)200)
#define BLOCKS_MAX 64

static const struct ft_log_options options = {
    .bytes_max = 1 << 20, .full = FT_LOG_REFUSE, .segment_bytes = 64 << 10};

static struct ft_log *open_log(struct ft_disk *disk)
{
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(disk, &options, NULL, NULL, &log));
    return log;
}

/* 'n' more; number 'first' and so on. */
static void append(struct ft_log *log, uint64_t first, unsigned n)
{
    uint8_t data[BLOCK_SIZE];
    for (uint64_t i = first; i < first + n; i++) {
        memset(data, (int)i, sizeof data);
        struct ft_block_info info = {.first_seq = i, .n_events = 1, .time_ns = 5};
        uint64_t position;
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
    }
}

static void sync_log(struct ft_log *log)
{
    uint64_t position;
    CHECK_OK(ft_log_sync(log, &position));
}

/* The process is killed, and the disk has what it wrote. */
static struct ft_disk *kill_log(struct ft_log *log, struct ft_disk *disk)
{
    struct ft_disk *killed = ft_fault_disk_clone(disk);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
    return killed;
}

static void power_cut(struct ft_log *log, struct ft_disk *disk)
{
    ft_fault_disk_stop_now(disk);
    ft_log_destroy(log);
    ft_fault_disk_restart(disk, FT_FAULT_LOSE);
}

/* The only segment; the n-th blocks of it, 0 for no more, are not what they were. */
static void spoil(struct ft_disk *disk, const unsigned *nth)
{
    const char *name = NULL;
    for (size_t i = 0; ft_fault_disk_name(disk, i) != NULL; i++) {
        if (strncmp(ft_fault_disk_name(disk, i), "seg-", 4) == 0) {
            CHECK(name == NULL);
            name = ft_fault_disk_name(disk, i);
        }
    }
    CHECK(name != NULL);
    char copy_name[FT_DISK_NAME_SIZE];
    memcpy(copy_name, name, strlen(name) + 1);
    size_t size;
    const uint8_t *content = ft_fault_disk_content(disk, name, &size);
    uint8_t *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, content, size);
    for (; *nth != 0; nth++) {
        size_t at = FT_STORE_SEGMENT_HEADER_SIZE + (*nth - 1) * ft_store_frame_size(BLOCK_SIZE);
        CHECK(at + FT_STORE_BLOCK_HEADER_SIZE < size);
        copy[at + FT_STORE_BLOCK_HEADER_SIZE + 7] ^= 1;
    }
    ft_fault_disk_put(disk, copy_name, copy, size);
    free(copy);
}

/* Bit n: block n was read, in order and once. */
static uint64_t read_all(struct ft_log *log)
{
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "look", true, &reader));
    uint64_t found = 0;
    uint64_t last = 0;
    for (;;) {
        struct ft_block block;
        ft_err err = ft_log_reader_next(reader, false, &block);
        if (err == ft_err_from_errno(EAGAIN)) {
            break;
        }
        if (err == FT_E_CORRUPT) {
            continue;
        }
        CHECK_OK(err);
        CHECK(block.info.first_seq > last && block.info.first_seq < BLOCKS_MAX);
        last = block.info.first_seq;
        found |= UINT64_C(1) << last;
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    return found;
}

static uint64_t bits(unsigned first, unsigned last)
{
    uint64_t all = 0;
    for (unsigned i = first; i <= last; i++) {
        all |= UINT64_C(1) << i;
    }
    return all;
}

/* Blocks 1 to 3 are durable, of 4 to 8 only some were written. */
static struct ft_disk *make_torn(const unsigned *nth)
{
    struct ft_disk *disk = ft_fault_disk_create(5);
    struct ft_log *log = open_log(disk);
    append(log, 1, 3);
    sync_log(log);
    append(log, 4, 5);
    disk = kill_log(log, disk);
    spoil(disk, nth);
    return disk;
}

static void check_stays_gone(const unsigned *nth, uint64_t left)
{
    struct ft_disk *disk = make_torn(nth);
    struct ft_log *log = open_log(disk);
    CHECK_INT(read_all(log), left);
    append(log, 20, 3);
    sync_log(log);
    power_cut(log, disk);
    log = open_log(disk);
    CHECK_INT(read_all(log), left | bits(20, 22));
    ft_log_destroy(log);
    CHECK_INT(ft_fault_disk_breaches(disk), 0);
    ft_disk_destroy(disk);
}

TEST(what_was_cut_off_does_not_come_back)
{
    check_stays_gone((const unsigned[]){5, 0}, bits(1, 4));
    check_stays_gone((const unsigned[]){4, 0}, bits(1, 3));
}

TEST(nor_does_it_where_what_was_durable_before_it_is_damaged)
{
    check_stays_gone((const unsigned[]){3, 4, 0}, bits(1, 2));
    check_stays_gone((const unsigned[]){2, 3, 4, 0}, bits(1, 1));
    check_stays_gone((const unsigned[]){2, 5, 6, 0}, bits(1, 1) | bits(3, 4));
}

/* Of blocks 5 and 6 only the last one knows that they are durable, and that is cut off. */
TEST(a_cut_takes_nothing_along_at_the_next_start)
{
    struct ft_disk *disk = ft_fault_disk_create(5);
    struct ft_log *log = open_log(disk);
    for (unsigned i = 0; i < 3; i++) {
        append(log, 1 + 2 * i, 2);
        sync_log(log);
    }
    append(log, 7, 2);
    disk = kill_log(log, disk);
    spoil(disk, (const unsigned[]){5, 7, 0});
    for (unsigned start = 0; start < 3; start++) {
        ft_fault_disk_set_capacity(disk, 1); /* Nothing can be written elsewhere. */
        log = open_log(disk);
        CHECK_INT(read_all(log), bits(1, 4) | bits(6, 6));
        disk = kill_log(log, disk);
    }
    ft_disk_destroy(disk);
}

/* Whatever becomes of the cut itself. */
TEST(a_cut_that_is_cut_off_costs_nothing_durable)
{
    static const enum ft_fault_cut cuts[] = {FT_FAULT_KILL, FT_FAULT_LOSE, FT_FAULT_TEAR};
    for (unsigned i = 0; i < 3; i++) {
        for (uint64_t at = 1; at < 20; at++) {
            struct ft_disk *disk = make_torn((const unsigned[]){2, 5, 0});
            ft_fault_disk_stop_at(disk, at);
            struct ft_log *log = NULL;
            ft_err err = ft_log_disk_open(disk, &options, NULL, NULL, &log);
            CHECK(err == FT_OK || log == NULL);
            ft_fault_disk_stop_now(disk);
            ft_log_destroy(log);
            ft_fault_disk_restart(disk, cuts[i]);
            log = open_log(disk);
            uint64_t found = read_all(log);
            /* Block 4 was not durable before. */
            CHECK_INT(found | bits(4, 4), bits(1, 1) | bits(3, 4));
            append(log, 20, 1);
            sync_log(log);
            power_cut(log, disk);
            log = open_log(disk);
            CHECK_INT(read_all(log), found | bits(20, 20));
            ft_log_destroy(log);
            ft_disk_destroy(disk);
        }
    }
}
