/* SPDX-License-Identifier: Apache-2.0 */
/* From the log into a sink: what is shown live, and when; what a failure costs. */
#include "sinker_world.h"

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
    CHECK_ERR(ft_sinker_step(world->sinker, 0, NULL), FT_E_STORE);
    CHECK_INT(world->n_shown, 0);
    step(world, 2);
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
    end_sinker(world);
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
    end_sinker(world);
    world->fake->position = 3; /* Positions 2 and 3 will be given again. */
    start_sinker(world);
    /* Kept at once: the next process knows it too. */
    CHECK_INT(world->fake->position, 1);
    end_sinker(world);
    add_block(world, 11, 10);
    add_block(world, 21, 10);
    start_sinker(world);
    step(world, 2);
    CHECK_OK(ft_sinker_flush(world->sinker, NULL));
    CHECK_INT(world->fake->n_rows, 20);
    CHECK_INT(world->fake->position, 3);
    teardown(world);
}

TEST(a_full_log_of_what_is_stored_already_takes_more)
{
    struct world *world = setup_sized(64 << 10);
    struct ft_block_info info = {.n_events = 1};
    static char data[1000];
    uint64_t position = 0;
    uint64_t last = 0;
    ft_err err = FT_OK;
    while (err == FT_OK) {
        last = position;
        err = ft_log_append(world->log, &info, data, sizeof data, &position);
    }
    CHECK_ERR(err, FT_E_FULL);
    /* The process ended between the commit and the log's cursor. */
    end_sinker(world);
    world->fake->position = last;
    start_sinker(world);
    CHECK_OK(ft_log_append(world->log, &info, data, sizeof data, &position));
    teardown(world);
}
