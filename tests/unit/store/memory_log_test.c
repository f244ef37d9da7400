/* SPDX-License-Identifier: Apache-2.0 */
/* The log in memory: the common suite, and what only this home promises. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/test.h"
#include "log_conformance.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct ft_log *conformance_create(const struct ft_log_options *options)
{
    struct ft_log *log;
    CHECK_OK(ft_log_memory_create(options, &log));
    return log;
}

void conformance_destroy(struct ft_log *log) { ft_log_destroy(log); }

/* Bytes that this process has mapped and written to, from the kernel. */
static long resident_bytes(void)
{
    FILE *from = fopen("/proc/self/statm", "r");
    CHECK(from != NULL);
    long pages[2] = {0};
    CHECK(fscanf(from, "%ld %ld", &pages[0], &pages[1]) == 2);
    (void)fclose(from);
    return pages[1] * 4096;
}

TEST(memory_stays_below_the_bound)
{
    struct ft_log_options options = {.bytes_max = 16 << 20, .full = FT_LOG_DROP_OLDEST};
    struct ft_log *log = conformance_create(&options);
    long before = resident_bytes();
    static uint8_t data[60000];
    memset(data, 7, sizeof data);
    struct ft_block_info info = {.n_events = 1};
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t position;
        info.first_seq = i;
        /* Sizes that do not fit together, so that the ends of segments stay empty. */
        CHECK_OK(ft_log_append(log, &info, data, 20000 + i * 20 % 40000, &position));
    }
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    CHECK(stats.bytes <= stats.bytes_max);
    CHECK(stats.bytes > stats.bytes_max * 85 / 100);
    /* Sanitizers keep memory of their own. */
    CHECK(SANITIZED || resident_bytes() - before < (long)stats.bytes_max + (1 << 20));
    ft_log_destroy(log);
}

TEST(an_idle_log_keeps_no_pages)
{
    struct ft_log_options options = {.bytes_max = 64 << 20, .full = FT_LOG_DROP_OLDEST};
    struct ft_log *log = conformance_create(&options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    struct ft_log_reader *lagging;
    CHECK_OK(ft_log_reader_open(log, "lagging", true, &lagging));
    struct ft_block_info info = {.n_events = 1};
    for (unsigned i = 0; i < 100; i++) {
        uint64_t position;
        CHECK_OK(ft_log_append(log, &info, "x", 1, &position));
        CHECK_OK(ft_log_reader_confirm(reader, position));
        struct ft_log_stats stats;
        ft_log_stats(log, &stats);
        CHECK_INT(stats.bytes, 0);
        CHECK_INT(stats.blocks, 0);
    }
    /* What it did not come to is gone; it waits for what comes. */
    struct ft_block block;
    CHECK_ERR(ft_log_reader_next(lagging, false, &block), ft_err_from_errno(EAGAIN));
    CHECK(!ft_log_reader_wait(lagging, false, 0));
    uint64_t position;
    CHECK_OK(ft_log_append(log, &info, "y", 1, &position));
    CHECK_OK(ft_log_reader_next(lagging, false, &block));
    CHECK_INT(block.position, 101);
    ft_block_release(&block);
    ft_log_reader_close(lagging);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
}

TEST(blocks_in_use_hold_their_memory_and_no_more)
{
    struct ft_log_options options = {.bytes_max = 1 << 20, .full = FT_LOG_DROP_OLDEST};
    struct ft_log *log = conformance_create(&options);
    struct ft_log_reader *reader;
    CHECK_OK(ft_log_reader_open(log, "r", false, &reader));
    static uint8_t data[40000];
    struct ft_block_info info = {.n_events = 1};
    struct ft_block held[10];
    for (unsigned i = 0; i < 10; i++) {
        uint64_t position;
        data[0] = (uint8_t)i;
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
        CHECK_OK(ft_log_reader_next(reader, false, &held[i]));
    }
    for (unsigned i = 0; i < 100; i++) {
        uint64_t position;
        data[0] = 0xff;
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
    }
    for (unsigned i = 0; i < 10; i++) {
        CHECK_INT(held[i].data[0], i);
        ft_block_release(&held[i]);
    }
    ft_log_reader_close(reader);
    ft_log_destroy(log);
}

static void count_dropped(void *ctx, const struct ft_block_info *info, size_t size)
{
    (void)size;
    *(uint64_t *)ctx += info->n_events;
}

/* The exporter keeps what it has taken: those blocks are not lost when the log drops them. */
TEST(blocks_that_the_reader_holds_do_not_count_as_dropped)
{
    uint64_t dropped = 0;
    struct ft_log_options options = {.bytes_max = 1 << 20,
                                     .full = FT_LOG_DROP_OLDEST,
                                     .on_drop = count_dropped,
                                     .on_drop_ctx = &dropped,
                                     .readers_hold = true};
    struct ft_log *log = NULL;
    CHECK_OK(ft_log_memory_create(&options, &log));
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_reader_open(log, "exporter", false, &reader));
    static char data[10000];
    struct ft_block held[20];
    uint64_t position = 0;
    for (uint64_t i = 0; i < 500; i++) {
        struct ft_block_info info = {.first_seq = i + 1, .n_events = 1};
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
        if (i < 20) {
            CHECK_OK(ft_log_reader_next(reader, false, &held[i]));
        }
    }
    uint64_t first = 0;
    uint64_t last = 0;
    ft_log_bounds(log, &first, &last);
    CHECK(first > 21);
    CHECK_INT(dropped, first - 21); /* All before 'first', but for the 20 that are held. */
    for (uint64_t i = 0; i < 20; i++) {
        CHECK_INT(held[i].info.first_seq, i + 1);
        ft_block_release(&held[i]);
    }
    ft_log_reader_close(reader);
    ft_log_destroy(log);
}
