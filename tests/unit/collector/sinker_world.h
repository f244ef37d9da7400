/* SPDX-License-Identifier: Apache-2.0 */
/* A sinker between a log in memory and a fake sink; time stands still. */
#ifndef FT_TESTS_COLLECTOR_SINKER_WORLD_H
#define FT_TESTS_COLLECTOR_SINKER_WORLD_H 1

#include <stdlib.h>

#include "collector/sinker.h"
#include "fake_sink.h"
#include "lib/fault_disk.h"
#include "wire/batch_builder.h"

struct world {
    struct ft_log *log;
    struct ft_instances *instances;
    struct fake_sink *fake;
    struct ft_disk *disk; /* Of the quarantine. */
    struct ft_quarantine *quarantine;
    struct ft_sinker *sinker;
    struct ft_clock clock;
    int64_t now_ns;
    uint64_t files_max;
    uint64_t batch_rows;
    bool watched;
    size_t n_shown;
    struct ft_row shown[4096];
    size_t n_rows_when_shown;
};

static const struct ft_uuid agent_id = {{1}};
static const struct ft_uuid instance_id = {{2}};

static inline void on_row(void *ctx, const struct ft_row *row)
{
    struct world *world = ctx;
    CHECK(world->n_shown < 4096);
    world->shown[world->n_shown++] = *row;
    world->n_rows_when_shown = world->fake->n_rows;
}

static inline bool rows_are_wanted(void *ctx) { return ((struct world *)ctx)->watched; }

static inline int64_t world_now(const struct ft_clock *clock)
{
    const char *at = (const char *)clock - offsetof(struct world, clock);
    return ((const struct world *)(const void *)at)->now_ns;
}

/* As after a start of the process. */
static inline void start_sinker(struct world *world)
{
    struct ft_quarantine_options quarantine = {.disk = world->disk,
                                               .clock = &world->clock,
                                               .files_max = world->files_max,
                                               .bytes_max = 1 << 20};
    CHECK_OK(ft_quarantine_open(&quarantine, &world->quarantine));
    struct ft_sinker_options options = {.name = "test",
                                        .batch_rows = world->batch_rows,
                                        .batch_interval_ns = FT_NS_PER_S,
                                        .clock = &world->clock,
                                        .log = world->log,
                                        .sink = &world->fake->sink,
                                        .instances = world->instances,
                                        .quarantine = world->quarantine,
                                        .on_row = on_row,
                                        .rows_are_wanted = rows_are_wanted,
                                        .on_row_ctx = world};
    CHECK_OK(ft_sinker_create(&options, &world->sinker, NULL));
}

static inline struct world *setup_sized(uint64_t log_bytes)
{
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    struct ft_log_options log = {.bytes_max = log_bytes, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&log, &world->log));
    CHECK_OK(ft_instances_create(&world->instances));
    world->fake = fake_sink_create();
    world->watched = true;
    world->clock = (struct ft_clock){.mono_ns = world_now, .real_ns = world_now};
    world->now_ns = FT_NS_PER_S;
    world->files_max = 100;
    world->batch_rows = 1000;
    world->disk = ft_fault_disk_create(1);
    start_sinker(world);
    return world;
}

static inline struct world *setup(void) { return setup_sized(1 << 24); }

/* The process ends: what is in the sink and on disk stays. */
static inline void end_sinker(struct world *world)
{
    ft_sinker_destroy(world->sinker);
    ft_quarantine_destroy(world->quarantine);
    world->sinker = NULL;
    world->quarantine = NULL;
    fake_rollback(world->fake);
}

static inline void teardown(struct world *world)
{
    end_sinker(world);
    ft_disk_destroy(world->disk);
    ft_instances_destroy(world->instances);
    ft_log_destroy(world->log);
    free(world->fake);
    free(world);
}

struct taken {
    uint64_t first;
    unsigned n;
};

static inline void count_taken(void *ctx, struct ft_instance *instance)
{
    const struct taken *taken = ctx;
    uint64_t last = taken->first + taken->n - 1;
    if (last > instance->appended_seq) {
        uint64_t first =
            taken->first > instance->appended_seq ? taken->first : instance->appended_seq + 1;
        instance->appended_events += last - first + 1;
        instance->appended_seq = last;
    }
}

/* As ingest does. */
static inline void take_in(struct world *world, uint64_t first, unsigned n)
{
    struct ft_instance_key key = {agent_id, instance_id};
    struct taken taken = {first, n};
    CHECK_OK(ft_instances_with(world->instances, &key, count_taken, &taken));
}

static inline void add_bytes(struct world *world, uint64_t first, unsigned n, const void *data,
                             size_t size)
{
    uint64_t position;
    struct ft_block_info info = {.first_seq = first, .n_events = n, .time_ns = 99};
    memcpy(info.agent_id, agent_id.bytes, sizeof info.agent_id);
    memcpy(info.instance_id, instance_id.bytes, sizeof info.instance_id);
    CHECK_OK(ft_log_append(world->log, &info, data, size, &position));
    take_in(world, first, n);
}

static inline void add_block(struct world *world, uint64_t first, unsigned n)
{
    struct ft_batch_builder *builder = NULL;
    struct ft_buf body;
    CHECK_OK(ft_batch_builder_create(&instance_id, &builder));
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.seq = first + i,
                                 .time_ns = (int64_t)(first + i),
                                 .type = FT_EVENT_END,
                                 .fields = FT_FIELD_FLOW,
                                 .ct_id = (uint32_t)(first + i),
                                 .start_ns = 7};
        CHECK_OK(ft_batch_builder_add(builder, &event));
    }
    ft_buf_init(&body, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &body));
    add_bytes(world, first, n, body.data, body.size);
    ft_buf_deinit(&body);
    ft_batch_builder_destroy(builder);
}

/* As often as there are blocks; nothing is due yet. */
static inline void step(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK_OK(ft_sinker_step(world->sinker, 0, NULL));
    }
}

#endif
