/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is lost while the log is there: what the log still has is stored again, what it has
 * freed is asked for, taken once where it comes, and let go where its agent says that it is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/recovery.h"
#include "collector/sinker.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "sink/duckdb_sink.h"
#include "wire/batch_builder.h"

static const struct ft_instance_key key = {{{1}}, {{2}}};

struct world {
    struct ft_disk *disk;
    uint64_t keep_bytes;
    struct ft_log *log;
    struct ft_duckdb *duckdb;
    struct ft_sink *sink;
    struct ft_instances *instances;
    struct ft_sinker *sinker;
};

static ft_err set_gaps(void *ctx, const struct ft_instance_key *of, const struct ft_ranges *gaps)
{
    struct world *world = ctx;
    return ft_duckdb_sink_set_gaps(world->sink, &of->agent_id, &of->instance_id, gaps, NULL);
}

/* As a collector that starts; 'lost': without its store. */
static void start(struct world *world, bool lost)
{
    if (lost || world->duckdb == NULL) {
        ft_duckdb_close(world->duckdb);
        struct ft_duckdb_options duckdb = {.memory_bytes = UINT64_C(128) << 20, .threads = 1};
        CHECK_OK(ft_duckdb_open(&duckdb, &world->duckdb, NULL));
    }
    struct ft_log_options log = {.bytes_max = 1 << 20,
                                 .segment_bytes = 4096,
                                 .keep_bytes = world->keep_bytes,
                                 .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_disk_open(world->disk, &log, NULL, NULL, &world->log));
    CHECK_OK(ft_instances_create(&world->instances));
    CHECK_OK(ft_recovery_from_store(world->duckdb, world->instances, NULL));
    CHECK_OK(ft_duckdb_sink_create(world->duckdb, &world->sink, NULL));
    struct ft_sinker_options sinker = {.name = "duckdb",
                                       .batch_rows = 1000,
                                       .batch_interval_ns = FT_NS_PER_S,
                                       .clock = ft_clock_system(),
                                       .log = world->log,
                                       .log_id = {{7}},
                                       .sink = world->sink,
                                       .instances = world->instances};
    CHECK_OK(ft_sinker_create(&sinker, &world->sinker, NULL));
    uint64_t position = ft_sinker_stats(world->sinker)->committed_position;
    uint64_t n_behind;
    CHECK_OK(ft_recovery_from_log(world->log, position, world->instances, set_gaps, world));
    CHECK_OK(ft_recovery_reconcile(world->instances, NULL, position, &n_behind));
}

static void stop(struct world *world)
{
    ft_sinker_destroy(world->sinker);
    ft_sink_close(world->sink);
    ft_instances_destroy(world->instances);
    ft_log_destroy(world->log);
}

static void teardown(struct world *world)
{
    stop(world);
    ft_duckdb_close(world->duckdb);
    ft_disk_destroy(world->disk);
}

/* A block in the log; 'loss': its first event is one that tells of these. */
static void add(struct world *world, uint64_t first, unsigned n, const struct ft_loss *loss)
{
    struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&key.instance_id, &builder));
    for (unsigned i = 0; i < n; i++) {
        struct ft_event event = {.seq = first + i, .type = FT_EVENT_DROP, .time_ns = 1000};
        if (loss != NULL && i == 0) {
            event.type = FT_EVENT_LOSS;
            event.fields = FT_FIELD_LOSS;
            event.loss = *loss;
        }
        CHECK_OK(ft_batch_builder_add(builder, &event));
    }
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &buf));
    struct ft_block_info info = {.first_seq = first, .n_events = n, .time_ns = 1000};
    memcpy(info.agent_id, key.agent_id.bytes, sizeof info.agent_id);
    memcpy(info.instance_id, key.instance_id.bytes, sizeof info.instance_id);
    uint64_t position;
    CHECK_OK(ft_log_append(world->log, &info, buf.data, buf.size, &position));
    ft_buf_deinit(&buf);
    ft_batch_builder_destroy(builder);
}

static void store_all(struct world *world)
{
    uint64_t last;
    CHECK_OK(ft_log_sync(world->log, &last));
    while (ft_sinker_stats(world->sinker)->committed_position < last) {
        CHECK_OK(ft_sinker_step(world->sinker, 0, NULL));
        CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    }
}

static struct ft_instance known(struct world *world)
{
    struct ft_instance instance;
    CHECK(ft_instances_get(world->instances, &key, &instance));
    return instance;
}

static int64_t rows(struct world *world)
{
    struct ft_duckdb_stats stats;
    CHECK_OK(ft_duckdb_get_stats(world->duckdb, &stats, NULL));
    return (int64_t)stats.rows;
}

/* Some hundred blocks of ten events are stored, and of the log only the last ones are left. */
static void setup(struct world *world, uint64_t keep_bytes, uint64_t *ret_first)
{
    *world = (struct world){.keep_bytes = keep_bytes, .disk = ft_fault_disk_create(1)};
    start(world, false);
    for (unsigned i = 0; i < 300; i++) {
        add(world, 1 + 10 * i, 10, NULL);
    }
    store_all(world);
    CHECK_INT(rows(world), 3000);
    uint64_t last;
    ft_log_bounds(world->log, ret_first, &last);
    stop(world);
}

TEST(a_log_that_has_everything_fills_the_store_alone)
{
    struct world world;
    uint64_t first;
    setup(&world, 1 << 20, &first);
    CHECK_INT(first, 1);
    start(&world, true);
    CHECK_INT(ft_recovery_compare(world.log, ft_sinker_stats(world.sinker)->found_position),
              FT_RECOVERY_FITS);
    CHECK_INT(ft_sinker_stats(world.sinker)->again_blocks, 300);
    CHECK_INT(known(&world).durable_seq, 3000);
    CHECK_INT(known(&world).gaps.n, 0);
    /* New blocks must not push the old ones out before they were read. */
    add(&world, 3001, 10, NULL);
    store_all(&world);
    CHECK_INT(rows(&world), 3010);
    CHECK_INT(known(&world).stored_events, 3010);
    teardown(&world);
}

TEST(what_the_log_has_freed_is_a_gap_that_is_filled_once)
{
    struct world world;
    uint64_t first;
    setup(&world, 8192, &first);
    CHECK(first > 100 && first < 290);
    uint64_t gap = 10 * (first - 1);
    start(&world, true);
    CHECK_INT(known(&world).durable_seq, 3000);
    CHECK_INT(known(&world).gaps.n, 1);
    CHECK_INT(known(&world).gaps.at[0].last, gap);
    add(&world, 3001, 10, NULL);
    store_all(&world);
    CHECK_INT(rows(&world), 3010 - (int64_t)gap);
    /* The rest comes, in part before a restart, in part behind it, some of it twice. */
    for (uint64_t seq = 501; seq < 1000; seq += 10) {
        add(&world, seq, 10, NULL);
    }
    store_all(&world);
    CHECK_INT(known(&world).stored_events, 3510 - gap);
    stop(&world);
    start(&world, false);
    CHECK_INT(known(&world).gaps.n, 2);
    struct ft_ranges gaps = known(&world).gaps;
    CHECK_INT(ft_ranges_overlap(&gaps, 1, 500), 500);
    CHECK_INT(ft_ranges_overlap(&gaps, 501, 1000), 0);
    CHECK_INT(known(&world).missing_events, gap - 500);
    for (uint64_t seq = 401; seq < gap; seq += 10) {
        add(&world, seq, 10, NULL);
    }
    uint64_t synced;
    CHECK_OK(ft_log_sync(world.log, &synced));
    stop(&world); /* Before they are stored. */
    start(&world, false);
    CHECK_INT(known(&world).gaps.n, 1);
    CHECK_INT(known(&world).gaps.at[0].last, 400);
    CHECK_INT(known(&world).missing_events, 400);
    store_all(&world);
    CHECK_INT(rows(&world), 3010 - 400);
    CHECK_INT(known(&world).stored_events, known(&world).appended_events);
    /* The agent has no more of it. */
    struct ft_loss loss = {
        .cause = FT_LOSS_COLLECTOR_LOST, .count = 400, .first_seq = 1, .last_seq = 400};
    add(&world, 3011, 10, &loss);
    store_all(&world);
    CHECK_INT(known(&world).gaps.n, 0);
    add(&world, 391, 10, NULL);
    store_all(&world);
    CHECK_INT(rows(&world), 3020 - 400);
    stop(&world);
    start(&world, false);
    CHECK_INT(known(&world).gaps.n, 0);
    CHECK_INT(known(&world).missing_events, 400);
    /* All of it once more, from the newest block to the oldest. */
    for (uint64_t i = 302; i-- > 0;) {
        add(&world, 1 + 10 * i, 10, NULL);
    }
    store_all(&world);
    CHECK_INT(rows(&world), 3020 - 400);
    stop(&world);
    start(&world, false);
    CHECK_INT(known(&world).stored_events, 3020 - 400);
    printf(
        "matrix: R16 3020 events sent again from the newest block to the oldest, to a store that "
        "was lost and filled again over five starts; each is stored once, or was reported as "
        "lost\n");
    teardown(&world);
}
