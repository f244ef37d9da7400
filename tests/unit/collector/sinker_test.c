/* SPDX-License-Identifier: Apache-2.0 */
/* From the log into a sink: what is shown live, and when; what a failure costs. */
#include "collector/sinker.h"

#include <stdlib.h>

#include "fake_sink.h"
#include "wire/batch_builder.h"

struct world {
    struct ft_log *log;
    struct ft_instances *instances;
    struct fake_sink *fake;
    struct ft_sinker *sinker;
    bool watched;
    size_t n_shown;
    struct ft_row shown[4096];
    size_t n_rows_when_shown;
};

static const struct ft_uuid agent_id = {{1}};
static const struct ft_uuid instance_id = {{2}};

static void on_row(void *ctx, const struct ft_row *row)
{
    struct world *world = ctx;
    CHECK(world->n_shown < 4096);
    world->shown[world->n_shown++] = *row;
    world->n_rows_when_shown = world->fake->n_rows;
}

static bool rows_are_wanted(void *ctx) { return ((struct world *)ctx)->watched; }

static void start_sinker(struct world *world)
{
    struct ft_sinker_options options = {.name = "test",
                                        .batch_rows = 1000,
                                        .batch_interval_ns = FT_NS_PER_S,
                                        .clock = ft_clock_system(),
                                        .log = world->log,
                                        .sink = &world->fake->sink,
                                        .instances = world->instances,
                                        .on_row = on_row,
                                        .rows_are_wanted = rows_are_wanted,
                                        .on_row_ctx = world};
    CHECK_OK(ft_sinker_create(&options, &world->sinker, NULL));
}

static struct world *setup(void)
{
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    struct ft_log_options log = {.bytes_max = 1 << 24, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&log, &world->log));
    CHECK_OK(ft_instances_create(&world->instances));
    world->fake = fake_sink_create();
    world->watched = true;
    start_sinker(world);
    return world;
}

static void teardown(struct world *world)
{
    ft_sinker_destroy(world->sinker);
    ft_instances_destroy(world->instances);
    ft_log_destroy(world->log);
    free(world->fake);
    free(world);
}

static void add_block(struct world *world, uint64_t first, unsigned n)
{
    struct ft_batch_builder *builder = NULL;
    struct ft_buf body;
    uint64_t position;
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
    struct ft_block_info info = {.first_seq = first, .n_events = n, .time_ns = 99};
    memcpy(info.agent_id, agent_id.bytes, sizeof info.agent_id);
    memcpy(info.instance_id, instance_id.bytes, sizeof info.instance_id);
    CHECK_OK(ft_log_append(world->log, &info, body.data, body.size, &position));
    ft_buf_deinit(&body);
    ft_batch_builder_destroy(builder);
}

/* As often as there are blocks; nothing is due yet. */
static void step(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK_OK(ft_sinker_step(world->sinker, 0, NULL));
    }
}

TEST(rows_are_shown_behind_the_commit_that_stores_them)
{
    struct world *world = setup();
    add_block(world, 1, 10);
    add_block(world, 11, 5);
    step(world, 2);
    CHECK_INT(world->n_shown, 0);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->n_shown, 15);
    CHECK_INT(world->n_rows_when_shown, 15);
    for (size_t i = 0; i < 15; i++) {
        CHECK_INT(world->shown[i].event.seq, i + 1);
        CHECK_INT(world->shown[i].stored_ns, 99);
    }
    teardown(world);
}

TEST(somebody_who_comes_between_append_and_commit_is_shown_the_rows)
{
    struct world *world = setup();
    world->watched = false;
    add_block(world, 1, 10);
    step(world, 1);
    world->watched = true;
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->n_shown, 10);
    world->watched = false;
    add_block(world, 11, 10);
    step(world, 1);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->n_shown, 10);
    teardown(world);
}

TEST(a_batch_that_is_begun_again_is_shown_once)
{
    struct world *world = setup();
    add_block(world, 1, 10);
    add_block(world, 11, 10);
    step(world, 2);
    world->fake->fail_commits = 2;
    CHECK_ERR(ft_sinker_flush(world->sinker, NULL), FT_E_STORE);
    CHECK_INT(world->n_shown, 0);
    step(world, 2);
    CHECK_ERR(ft_sinker_flush(world->sinker, NULL), FT_E_STORE);
    step(world, 2);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->n_shown, 20);
    CHECK_INT(ft_sinker_stats(world->sinker)->failures, 2);
    teardown(world);
}

TEST(repeats_in_the_log_are_not_shown_again)
{
    struct world *world = setup();
    add_block(world, 1, 10);
    step(world, 1);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    add_block(world, 6, 10);
    add_block(world, 16, 1);
    step(world, 2);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->n_shown, 16);
    CHECK_INT(world->shown[10].event.seq, 11);
    CHECK_INT(world->fake->n_rows, 16);
    teardown(world);
}

TEST(what_was_committed_is_not_shown_again_after_a_restart)
{
    struct world *world = setup();
    add_block(world, 1, 10);
    step(world, 1);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    add_block(world, 11, 10);
    step(world, 1);
    ft_sinker_destroy(world->sinker);
    fake_rollback(world->fake);
    start_sinker(world);
    step(world, 1);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->n_shown, 20);
    CHECK_INT(world->fake->n_rows, 20);
    teardown(world);
}

/* The sink knows that rows without ids have the derived ones; people are shown them. */
TEST(ids_are_derived_for_who_watches_and_left_to_the_sink)
{
    struct world *world = setup();
    struct ft_id_deriver *deriver = NULL;
    struct ft_uuid event_id;
    struct ft_uuid flow_id;
    add_block(world, 1, 3);
    step(world, 1);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_OK(ft_id_deriver_create(&deriver));
    for (size_t i = 0; i < 3; i++) {
        ft_id_derive_event(deriver, &instance_id, i + 1, &event_id);
        ft_id_derive_flow(deriver, &instance_id, (uint32_t)(i + 1), 7, &flow_id);
        CHECK(ft_uuid_equal(&world->shown[i].event_id, &event_id));
        CHECK(ft_uuid_equal(&world->shown[i].flow_id, &flow_id));
        CHECK(ft_uuid_is_nil(&world->fake->rows[i].event_id));
        CHECK(ft_uuid_is_nil(&world->fake->rows[i].flow_id));
    }
    ft_id_deriver_destroy(deriver);
    teardown(world);
}

TEST(a_log_that_has_lost_its_end_is_read_from_where_it_goes_on)
{
    struct world *world = setup();
    add_block(world, 1, 10);
    ft_sinker_destroy(world->sinker);
    world->fake->position = 3; /* Positions 2 and 3 will be given again. */
    start_sinker(world);
    /* Kept at once: the next process knows it too. */
    CHECK_INT(world->fake->position, 1);
    ft_sinker_destroy(world->sinker);
    add_block(world, 11, 10);
    add_block(world, 21, 10);
    start_sinker(world);
    step(world, 2);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->fake->n_rows, 20);
    CHECK_INT(world->fake->position, 3);
    teardown(world);
}
