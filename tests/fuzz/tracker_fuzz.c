/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracker against any order of anything: the bytes are a script of chunks, with messages made
 * of a few flows so that they meet, and with raw bytes where messages should be.  Whatever comes,
 * each START is followed by one END or its flow is in the table, and time does not matter.
 *
 *     byte 0: kind of the chunk (the low 4 bits), milliseconds that pass (2 to the high 4, less
 * one) byte 1: value byte 2: number of messages, each 3 bytes: flow, kind and parts, start and
 * counters; with the top bit: so many raw bytes instead
 */
#include "source/tracker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "lib/ct_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void emit(void *ctx, struct ft_event *event)
{
    (void)ctx;
    require(event->type == FT_EVENT_LOSS ? event->loss.count > 0
                                         : (event->fields & FT_FIELD_FLOW) != 0);
}

static size_t put_message(struct input *input, int64_t real_ns, bool dump, uint8_t *out)
{
    struct ft_ct_record record;
    uint8_t flow = take(input);
    uint8_t parts = take(input);
    uint8_t numbers = take(input);
    ft_ct_build_sample(flow & 0x3f, (flow & 0x40) != 0 ? FT_PROTO_UDP : FT_PROTO_TCP,
                       (flow & 0x80) != 0, &record);
    record.kind = (enum ft_ct_kind)(parts % FT_CT_KIND_N);
    record.has |= (parts & 0x10) != 0 ? FT_CT_HAS_START : 0;
    record.has |= (parts & 0x20) != 0 ? FT_CT_HAS_COUNTERS : 0;
    record.has |= (parts & 0x40) != 0 ? FT_CT_HAS_EVENT : 0;
    if ((parts & 0x80) != 0) {
        record.reply.dst_port++;
    }
    record.start_ns = real_ns - (int64_t)(numbers & 0x0f) * 300 * FT_NS_PER_MS;
    record.event_ns = real_ns;
    record.orig_packets = numbers >> 4;
    record.orig_bytes = (uint64_t)(numbers >> 4) * 100;
    return ft_ct_build(&record, dump, out, FT_CT_BUILD_SIZE_MAX);
}

static void fill(struct input *input, struct ft_chunk *chunk)
{
    uint8_t n = take(input);
    if ((n & 0x80) != 0) {
        for (unsigned i = 0; i < (n & 0x7fU); i++) {
            chunk->data[chunk->size++] = take(input);
        }
        return;
    }
    for (unsigned i = 0; i < n && input->left > 0; i++) {
        chunk->size += put_message(input, chunk->real_ns, chunk->kind == FT_CHUNK_DUMP,
                                   chunk->data + chunk->size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ft_source_stats stats = {0};
    struct ft_tracker *tracker;
    struct ft_tracker_options options = ft_tracker_options_default;
    struct input input = {data, size};
    struct ft_chunk chunk = {.real_ns = FT_NS_PER_S, .mono_ns = FT_NS_PER_S};
    options.flow_table_bytes_max = 0;
    require(ft_tracker_create(&options, emit, NULL, &stats, &tracker) == FT_OK);
    chunk.data = malloc(FT_CHUNK_SIZE_MAX);
    require(chunk.data != NULL);
    while (input.left > 0) {
        uint8_t head = take(&input);
        int64_t ns = ((INT64_C(1) << (head >> 4)) - 1) * FT_NS_PER_MS;
        chunk.kind = (enum ft_chunk_kind)(head & 0x0f);
        chunk.mono_ns += ns;
        chunk.real_ns += ns;
        chunk.value = take(&input);
        chunk.size = 0;
        fill(&input, &chunk);
        ft_tracker_consume(tracker, &chunk);
        require(ft_stat_get(&stats.n_starts) - ft_stat_get(&stats.n_ends) ==
                ft_stat_get(&stats.n_flows));
        enum ft_dump_reason reason;
        (void)ft_tracker_wants_dump(tracker, chunk.mono_ns, &reason);
        (void)ft_tracker_deadline(tracker);
    }
    ft_tracker_destroy(tracker);
    free(chunk.data);
    return 0;
}
