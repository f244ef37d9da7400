/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery of a log from arbitrary bytes.  The input is one or two segment files and a cursor:
 * its first byte says where they are cut.  Whatever is in them, the log opens, reading ends, and
 * the log takes, syncs and finds again a new block.  Where the first byte is odd all checksums are
 * mended first, so that the fuzzer comes to what stands behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "lib/fault_disk.h"
#include "store/format.h"
#include "store/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Reads to the end; at most one step for each byte that was put in. */
static uint64_t read_all(struct ft_log *log, size_t steps_max)
{
    struct ft_log_reader *reader;
    demand(ft_log_reader_open(log, "fuzz", true, &reader) == FT_OK);
    uint64_t n = 0;
    uint64_t last = 0;
    for (size_t step = 0;; step++) {
        demand(step <= steps_max);
        struct ft_block block;
        ft_err err = ft_log_reader_next(reader, true, &block);
        if (err == ft_err_from_errno(EAGAIN)) {
            break;
        }
        demand(err == FT_OK || err == FT_E_CORRUPT);
        demand(block.position > last);
        last = block.position;
        n += err == FT_OK ? 1 : 0;
        /* Touches every byte, for the sanitizers. */
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < block.size; i++) {
            sum = (uint8_t)(sum + block.data[i]);
        }
        ft_block_release(&block);
    }
    ft_log_reader_close(reader);
    return n;
}

static void mend(uint8_t *content, size_t size)
{
    if (size < FT_STORE_SEGMENT_HEADER_SIZE) {
        return;
    }
    uint64_t hash = ft_hash64(content, 56, 0);
    memcpy(content + 56, &hash, sizeof hash);
    for (size_t at = FT_STORE_SEGMENT_HEADER_SIZE; at + FT_STORE_TRAILER_SIZE <= size; at += 8) {
        if (memcmp(content + at, "FTE1", 4) == 0) {
            hash = ft_hash64(content + at + 16, FT_STORE_TRAILER_SIZE - 16, 0);
            memcpy(content + at + 8, &hash, sizeof hash);
        }
        if (memcmp(content + at, "FTB1", 4) != 0) {
            continue;
        }
        uint32_t payload;
        memcpy(&payload, content + at + 20, sizeof payload);
        if (payload > size || ft_store_frame_size(payload) > size - at) {
            continue;
        }
        uint32_t place = (uint32_t)(at / 8);
        memcpy(content + at + 60, &place, sizeof place);
        hash = ft_hash64(content + at + 16, ft_store_frame_size(payload) - 16, 0);
        memcpy(content + at + 8, &hash, sizeof hash);
        hash = ft_hash64(content + at + 8, FT_STORE_BLOCK_HEADER_SIZE - 8, 0);
        memcpy(content + at + 4, &hash, 4);
    }
}

static void put_segment(struct ft_disk *disk, const char *name, const uint8_t *data, size_t size,
                        bool mended)
{
    uint8_t *content = malloc(size + 1);
    demand(content != NULL);
    memcpy(content, data, size);
    if (mended) {
        mend(content, size);
    }
    ft_fault_disk_put(disk, name, content, size);
    free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct ft_disk *disk = ft_fault_disk_create(1);
    size_t cut = 1 + (size - 1) * data[0] / 255;
    put_segment(disk, "seg-0000000000000001", data + 1, cut - 1, data[0] % 2 == 1);
    if (cut < size) {
        put_segment(disk, "seg-0000000000000002", data + cut, size - cut, data[0] % 2 == 1);
    }
    size_t cursor_size = 2 * ft_store_cursor_kind.slot_bytes;
    cursor_size = size - 1 < cursor_size ? size - 1 : cursor_size;
    ft_fault_disk_put(disk, "cursor-r", data + size - cursor_size, cursor_size);

    struct ft_log_options options = {.bytes_max = 64 << 20, .full = FT_LOG_DROP_OLDEST};
    struct ft_log *log;
    ft_err err = ft_log_disk_open(disk, &options, NULL, NULL, &log);
    demand(err == FT_OK || err == FT_E_UNSUPPORTED);
    if (err == FT_OK) {
        uint64_t n = read_all(log, size);
        struct ft_block_info info = {.n_events = 1};
        uint64_t position;
        uint64_t synced;
        demand(ft_log_append(log, &info, "new", 3, &position) == FT_OK);
        demand(ft_log_sync(log, &synced) == FT_OK && synced == position);
        demand(read_all(log, size + 1) == n + 1);
        ft_log_destroy(log);
        ft_fault_disk_restart(disk, FT_FAULT_LOSE);
        demand(ft_log_disk_open(disk, &options, NULL, NULL, &log) == FT_OK);
        /* Copies of blocks in a wrong place may hide others until they are superseded. */
        demand(read_all(log, size + 1) >= n + 1);
        ft_log_destroy(log);
    }
    demand(ft_fault_disk_breaches(disk) == 0);
    ft_disk_destroy(disk);
    return 0;
}
