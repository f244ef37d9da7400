/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an event costs between the socket and the log: the reader, the chunk queue and the tracker,
 * with a kernel that only copies messages.  Flows begin and end in waves, so that the flow table
 * holds a wave.
 *
 * With "safe" all of it is in a working memory that outlives a crash, with a commit each 2,048
 * events that takes a block of 64 KiB along.
 *
 *   source_bench [WAVES [FLOWS_PER_WAVE [safe]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "lib/ct_build.h"
#include "source/source.h"

/* A kernel that has two messages for each flow, and all the time in the world. */
struct kernel {
    struct ft_ct_kernel base;
    const uint8_t *at;
    const uint8_t *end;
};

static struct kernel *of(struct ft_ct_kernel *kernel) { return (struct kernel *)kernel; }

static ft_err events_open(struct ft_ct_kernel *kernel, const struct ft_ct_events_options *options,
                          uint64_t *ret_rcvbuf)
{
    (void)kernel;
    *ret_rcvbuf = options->rcvbuf_bytes;
    return FT_OK;
}

static void events_close(struct ft_ct_kernel *kernel) { (void)kernel; }

static ft_err events_recv(struct ft_ct_kernel *kernel, void *buf, size_t size, size_t *ret_size)
{
    struct kernel *self = of(kernel);
    if (self->at == self->end) {
        return ft_err_from_errno(EAGAIN);
    }
    uint32_t len;
    memcpy(&len, self->at, sizeof len);
    if (len > size) {
        abort();
    }
    memcpy(buf, self->at, len);
    self->at += len;
    *ret_size = len;
    return FT_OK;
}

static ft_err events_set_groups(struct ft_ct_kernel *kernel, unsigned groups)
{
    (void)kernel;
    (void)groups;
    return FT_OK;
}

static ft_err events_drops(struct ft_ct_kernel *kernel, uint64_t *ret_drops)
{
    (void)kernel;
    *ret_drops = 0;
    return FT_OK;
}

static ft_err dump_start(struct ft_ct_kernel *kernel)
{
    (void)kernel;
    return FT_OK;
}

static ft_err dump_recv(struct ft_ct_kernel *kernel, unsigned wait_ms, void *buf, size_t size,
                        size_t *ret_size, bool *ret_consistent)
{
    (void)kernel;
    (void)wait_ms;
    (void)buf;
    (void)size;
    (void)ret_size;
    *ret_consistent = true;
    return FT_E_END;
}

static ft_err table_fill(struct ft_ct_kernel *kernel, uint64_t *ret_count, uint64_t *ret_max)
{
    (void)kernel;
    *ret_count = 0;
    *ret_max = 1000000;
    return FT_OK;
}

static const struct ft_ct_kernel_ops ops = {.events_open = events_open,
                                            .events_close = events_close,
                                            .events_recv = events_recv,
                                            .events_set_groups = events_set_groups,
                                            .events_drops = events_drops,
                                            .dump_start = dump_start,
                                            .dump_recv = dump_recv,
                                            .table_fill = table_fill};

static uint64_t n_emitted;
static uint64_t n_open;

static void emit(void *ctx, struct ft_event *event)
{
    (void)ctx;
    (void)event;
    n_emitted++;
    n_open++;
}

static struct ft_source *source;
static struct ft_memory *memory;

static void settled(void *ctx)
{
    static uint8_t block[64 << 10];
    static uint8_t owner[24 << 10];
    (void)ctx;
    if (n_open >= 2048 || ft_source_wants_commit(source)) {
        struct ft_source_commit commit = {.owner = owner,
                                          .owner_size = sizeof owner,
                                          .block = block,
                                          .block_size = sizeof block,
                                          .block_info = &n_open,
                                          .block_info_size = sizeof n_open,
                                          .block_last = n_emitted};
        ft_source_commit(source, &commit);
        ft_memory_release(memory, n_emitted - 20000,
                          n_emitted - 10000); /* The disk is a little behind. */
        n_open = 0;
    }
}

static uint8_t *build(unsigned n_flows, enum ft_ct_kind kind, size_t *ret_size)
{
    uint8_t *data = malloc((size_t)n_flows * FT_CT_BUILD_SIZE_MAX);
    size_t size = 0;
    if (data == NULL) {
        abort();
    }
    for (unsigned n = 0; n < n_flows; n++) {
        struct ft_ct_record record;
        ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
        record.kind = kind;
        if (kind == FT_CT_DESTROY) {
            record.has |= FT_CT_HAS_COUNTERS | FT_CT_HAS_START | FT_CT_HAS_STOP;
            record.start_ns = ft_clock_real_ns(ft_clock_system());
            record.stop_ns = record.start_ns;
        }
        size += ft_ct_build(&record, false, data + size, FT_CT_BUILD_SIZE_MAX);
    }
    *ret_size = size;
    return data;
}

/* Reads and tracks one wave; adds what each half took. */
static void run(struct kernel *kernel, const uint8_t *data, size_t size, int64_t *reader_ns,
                int64_t *tracker_ns)
{
    const struct ft_clock *clock = ft_clock_system();
    kernel->at = data;
    kernel->end = data + size;
    while (kernel->at != kernel->end) {
        int64_t begin = ft_clock_mono_ns(clock);
        int64_t deadline;
        for (unsigned i = 0; i < 4 && kernel->at != kernel->end; i++) {
            (void)ft_reader_step(ft_source_get_reader(source), begin, ft_clock_real_ns(clock),
                                 &deadline);
        }
        int64_t middle = ft_clock_mono_ns(clock);
        while (ft_source_step(source, INT64_MIN)) {
        }
        *reader_ns += middle - begin;
        *tracker_ns += ft_clock_mono_ns(clock) - middle;
    }
}

int main(int argc, char **argv)
{
    unsigned n_waves = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
    unsigned n_flows = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000;
    struct kernel kernel = {.base.ops = &ops};
    struct ft_source_params params = {.kernel = &kernel.base,
                                      .clock = ft_clock_system(),
                                      .random = ft_random_system(),
                                      .emit = emit};
    ft_source_options_init(&params.options);
    params.options.reader.ladder.mode = FT_LADDER_FIXED_FULL;
    if (argc > 3 && strcmp(argv[3], "safe") == 0) {
        struct ft_memory_options options = {.ring_bytes = params.options.queue_bytes_max,
                                            .table_bytes_max = UINT64_C(64) << 20};
        if (ft_memory_create(&options, &memory) != FT_OK) {
            return 1;
        }
        params.memory = memory;
        params.settled = settled;
    }
    if (ft_source_create(&params, &source) != FT_OK) {
        return 1;
    }
    size_t new_size;
    size_t end_size;
    uint8_t *new_data = build(n_flows, FT_CT_NEW, &new_size);
    uint8_t *end_data = build(n_flows, FT_CT_DESTROY, &end_size);
    int64_t reader_ns = 0;
    int64_t new_ns = 0;
    int64_t end_ns = 0;
    for (unsigned wave = 0; wave < n_waves; wave++) {
        run(&kernel, new_data, new_size, &reader_ns, &new_ns);
        run(&kernel, end_data, end_size, &reader_ns, &end_ns);
    }
    double n = (double)n_waves * n_flows;
    (void)printf("{\"events\": %.0f, \"emitted\": %llu, \"reader_ns_per_event\": %.1f, "
                 "\"tracker_ns_per_new\": %.1f, \"tracker_ns_per_destroy\": %.1f}\n",
                 2 * n, (unsigned long long)n_emitted, (double)reader_ns / (2 * n),
                 (double)new_ns / n, (double)end_ns / n);
    ft_source_destroy(source);
    ft_memory_destroy(memory);
    free(new_data);
    free(end_data);
    return 0;
}
