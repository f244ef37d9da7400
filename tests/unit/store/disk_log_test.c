/* SPDX-License-Identifier: Apache-2.0 */
/* The log on disk: the common suite on a real directory, and what survives a restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fault_disk.h"
#include "lib/test.h"
#include "log_conformance.h"

/* The suite makes one log at a time. */
static struct ft_disk *conformance_disk;

struct ft_log *conformance_create(const struct ft_log_options *options)
{
    struct ft_log *log;
    CHECK_OK(ft_disk_posix_create(ft_test_tmpdir(), &conformance_disk));
    CHECK_OK(ft_log_disk_open(conformance_disk, options, NULL, NULL, &log));
    return log;
}

void conformance_destroy(struct ft_log *log)
{
    ft_log_destroy(log);
    ft_disk_destroy(conformance_disk);
    conformance_disk = NULL;
}

static void no_damage(void *ctx, const struct ft_log_damage *damage)
{
    (void)ctx;
    ft_test_fail(__FILE__, __LINE__, "%s at %llu: %s", damage->file,
                 (unsigned long long)damage->offset, damage->what);
}

static struct ft_log *open_log(struct ft_disk *disk, uint64_t segment_bytes)
{
    struct ft_log_options options = {
        .bytes_max = 64 << 20, .full = FT_LOG_REFUSE, .segment_bytes = segment_bytes};
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(disk, &options, no_damage, NULL, &log));
    return log;
}

static void append_n(struct ft_log *log, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n <= to; n++) {
        char data[600];
        memset(data, (int)(n & 0xff), sizeof data);
        struct ft_block_info info = {.first_seq = n, .n_events = 3, .time_ns = (int64_t)n};
        uint64_t position;
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
        CHECK_INT(position, n);
    }
}

static void expect(struct ft_log_reader *reader, uint64_t from, uint64_t to)
{
    struct ft_block block;
    for (uint64_t n = from; n <= to; n++) {
        CHECK_OK(ft_log_reader_next(reader, true, &block));
        CHECK_INT(block.position, n);
        CHECK_INT(block.info.first_seq, n);
        CHECK_INT(block.size, 600);
        CHECK_INT(block.data[599], n & 0xff);
        ft_block_release(&block);
    }
    CHECK_ERR(ft_log_reader_next(reader, true, &block), ft_err_from_errno(EAGAIN));
}

static struct ft_log_reader *reader_of(struct ft_log *log, const char *name)
{
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, name, false, &reader));
    return reader;
}

static size_t n_files(struct ft_disk *disk, const char *prefix)
{
    size_t n = 0;
    const char *name;
    for (size_t i = 0; (name = ft_fault_disk_name(disk, i)) != NULL; i++) {
        n += strncmp(name, prefix, strlen(prefix)) == 0 ? 1 : 0;
    }
    return n;
}

TEST(durable_readers_wait_for_the_sync)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_log *log = open_log(disk, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    append_n(log, 1, 3);
    struct ft_block block;
    CHECK_ERR(ft_log_reader_next(reader, true, &block), ft_err_from_errno(EAGAIN));
    CHECK(!ft_log_reader_wait(reader, true, 0));
    CHECK(ft_log_reader_wait(reader, false, 0));
    CHECK_INT(ft_log_durable(log), 0);
    uint64_t synced;
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_INT(synced, 3);
    CHECK(ft_log_reader_wait(reader, true, 0));
    expect(reader, 1, 3);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(blocks_and_cursors_survive_a_restart)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_log *log = open_log(disk, 8192);
    struct ft_log_reader *a = reader_of(log, "a");
    struct ft_log_reader *b = reader_of(log, "b");
    append_n(log, 1, 100);
    uint64_t synced;
    CHECK_OK(ft_log_sync(log, &synced));
    expect(a, 1, 100);
    CHECK_OK(ft_log_reader_confirm(a, 90));
    CHECK_OK(ft_log_reader_confirm(b, 40));
    CHECK_OK(ft_log_reader_confirm(b, 41));
    ft_log_reader_close(a);
    ft_log_reader_close(b);
    ft_log_destroy(log);

    log = open_log(disk, 8192);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK(first > 20 && first <= 42);
    CHECK_INT(last, 100);
    CHECK_INT(ft_log_durable(log), 100);
    /* 'b' is not open yet, and still nothing that it needs goes. */
    a = reader_of(log, "a");
    CHECK_INT(ft_log_reader_confirmed(a), 90);
    expect(a, 91, 100);
    append_n(log, 101, 150);
    CHECK_OK(ft_log_sync(log, &synced));
    CHECK_OK(ft_log_reader_confirm(a, 150));
    b = reader_of(log, "b");
    CHECK_INT(ft_log_reader_confirmed(b), 41);
    expect(b, 42, 150);
    CHECK_OK(ft_log_reader_confirm(b, 150));
    ft_log_bounds(log, &first, &last);
    CHECK(first > 130);
    ft_log_reader_close(a);
    ft_log_reader_close(b);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(positions_are_never_used_again)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    uint64_t synced;
    for (uint64_t round = 0; round < 5; round++) {
        struct ft_log *log = open_log(disk, 4096);
        struct ft_log_reader *reader = reader_of(log, "r");
        CHECK_INT(ft_log_reader_confirmed(reader), round * 20);
        append_n(log, round * 20 + 1, round * 20 + 20);
        CHECK_OK(ft_log_sync(log, &synced));
        expect(reader, round * 20 + 1, round * 20 + 20);
        CHECK_OK(ft_log_reader_confirm(reader, round * 20 + 20));
        ft_log_reader_close(reader);
        ft_log_destroy(log);
    }
    /* Not even when nothing but a cursor is left. */
    while (n_files(disk, "seg-") > 0) {
        const char *name;
        for (size_t i = 0; (name = ft_fault_disk_name(disk, i)) != NULL; i++) {
            if (strncmp(name, "seg-", 4) == 0) {
                CHECK_OK(disk->ops->remove(disk, name));
                break;
            }
        }
    }
    struct ft_log *log = open_log(disk, 4096);
    append_n(log, 101, 103);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(many_restarts_leave_few_segments)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    uint64_t synced;
    for (uint64_t n = 1; n <= 50; n++) {
        struct ft_log *log = open_log(disk, 0);
        append_n(log, n, n);
        CHECK_OK(ft_log_sync(log, &synced));
        ft_log_destroy(log);
        CHECK(n_files(disk, "seg-") <= 2);
    }
    struct ft_log *log = open_log(disk, 0);
    struct ft_log_reader *reader = reader_of(log, "r");
    expect(reader, 1, 50);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(forgotten_readers_hold_nothing)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_log *log = open_log(disk, 4096);
    struct ft_log_reader *a = reader_of(log, "a");
    struct ft_log_reader *b = reader_of(log, "b");
    ft_log_reader_close(b);
    append_n(log, 1, 50);
    uint64_t position;
    CHECK_OK(ft_log_sync(log, &position));
    CHECK_OK(ft_log_reader_confirm(a, 50));
    uint64_t first;
    ft_log_bounds(log, &first, &position);
    CHECK_INT(first, 1);
    CHECK_INT(n_files(disk, "cursor-b"), 1);
    CHECK_OK(ft_log_reader_forget(log, "b"));
    CHECK_INT(n_files(disk, "cursor-b"), 0);
    ft_log_bounds(log, &first, &position);
    CHECK(first > 40);
    ft_log_reader_close(a);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(what_is_not_synced_is_bounded)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    struct ft_log_options options = {.bytes_max = 256 << 20, .full = FT_LOG_REFUSE};
    struct ft_log *log;
    CHECK_OK(ft_log_disk_open(disk, &options, no_damage, NULL, &log));
    static uint8_t data[FT_LOG_BLOCK_SIZE_MAX];
    struct ft_block_info info = {.n_events = 1};
    for (unsigned i = 0; i < 20; i++) {
        uint64_t position;
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
    }
    CHECK_INT(ft_fault_disk_calls(disk, FT_FAULT_SYNC), 1);
    CHECK(ft_log_durable(log) >= 15);
    ft_log_destroy(log);
    ft_disk_destroy(disk);
}

TEST(foreign_files_are_left_alone)
{
    struct ft_disk *disk = ft_fault_disk_create(1);
    static const char *const names[] = {"seg-1", "seg-00000000000000zz", "README", "cursor-A B",
                                        "seg-0000000000000001.bak"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ft_fault_disk_put(disk, names[i], "text", 4);
    }
    struct ft_log *log = open_log(disk, 0);
    append_n(log, 1, 3);
    ft_log_destroy(log);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        CHECK(ft_fault_disk_content(disk, names[i], &size) != NULL);
        CHECK_INT(size, 4);
    }
    ft_disk_destroy(disk);
}
