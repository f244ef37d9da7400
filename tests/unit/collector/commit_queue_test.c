/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of agents, served in turn; rates; bounds. */
#include "collector/commit_queue.h"

#include <stdlib.h>

#include "lib/test.h"

#define KIB(n) ((size_t)(n) << 10)

struct world {
    struct ft_commit_queue queue;
    struct ft_commit_line *lines[8];
    int64_t now_ns;
};

static struct world *setup(size_t bytes_max, uint64_t events_per_s, uint64_t bytes_per_s)
{
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    struct ft_commit_queue_options options = {.bytes_max = bytes_max,
                                              .agent_events_per_s = events_per_s,
                                              .agent_bytes_per_s = bytes_per_s};
    ft_commit_queue_init(&world->queue, &options);
    world->now_ns = 100 * FT_NS_PER_S;
    for (uint8_t i = 0; i < 8; i++) {
        struct ft_uuid agent_id = {{i}};
        world->lines[i] = ft_commit_queue_enter(&world->queue, &agent_id, world->now_ns);
        CHECK(world->lines[i] != NULL);
    }
    return world;
}

static void destroy_items(struct ft_commit_item *item)
{
    while (item != NULL) {
        struct ft_commit_item *next = item->next;
        ft_commit_item_destroy(item);
        item = next;
    }
}

static void teardown(struct world *world)
{
    struct ft_commit_item *items;
    while ((items = ft_commit_queue_take(&world->queue, 0)) != NULL) {
        destroy_items(items);
    }
    for (unsigned i = 0; i < 8; i++) {
        ft_commit_queue_leave(&world->queue, world->lines[i]);
    }
    ft_commit_queue_deinit(&world->queue);
    free(world);
}

/* 'first_seq' says whose it is. */
static enum ft_commit_push push(struct world *world, unsigned line, size_t size, uint32_t n_events,
                                int64_t *ret_wait_until_ns)
{
    struct ft_commit_item *item = calloc(1, sizeof *item);
    CHECK(item != NULL);
    item->size = size;
    item->n_events = n_events;
    item->first_seq = line;
    enum ft_commit_push pushed =
        ft_commit_queue_push(&world->queue, world->lines[line], item, world->now_ns);
    if (ret_wait_until_ns != NULL) {
        *ret_wait_until_ns = item->wait_until_ns;
    }
    if (pushed == FT_COMMIT_REFUSE) {
        ft_commit_item_destroy(item);
    }
    return pushed;
}

TEST(a_line_keeps_its_order_and_is_taken_whole)
{
    struct world *world = setup(KIB(64 << 10), 0, 0);
    for (uint32_t i = 1; i <= 100; i++) {
        CHECK_INT(push(world, 0, KIB(10), i, NULL), FT_COMMIT_ROOM);
    }
    CHECK_INT(ft_commit_queue_bytes(&world->queue), KIB(1000));
    struct ft_commit_item *items = ft_commit_queue_take(&world->queue, 0);
    uint32_t n = 0;
    for (const struct ft_commit_item *at = items; at != NULL; at = at->next) {
        CHECK_INT(at->n_events, ++n);
    }
    CHECK_INT(n, 100);
    CHECK_INT(ft_commit_queue_bytes(&world->queue), 0);
    destroy_items(items);
    teardown(world);
}

/* However much one has put in: what the others have is in the next part. */
TEST(a_long_line_does_not_hold_up_short_ones)
{
    struct world *world = setup(KIB(256 << 10), 0, 0);
    for (unsigned i = 0; i < 1000; i++) {
        (void)push(world, 0, KIB(64), 1, NULL);
    }
    for (unsigned line = 1; line < 8; line++) {
        (void)push(world, line, KIB(20), 1, NULL);
    }
    struct ft_commit_item *items = ft_commit_queue_take(&world->queue, 0);
    unsigned seen[8] = {0};
    size_t before_last_other = 0;
    size_t bytes = 0;
    for (const struct ft_commit_item *at = items; at != NULL; at = at->next) {
        bytes += at->size;
        seen[at->first_seq]++;
        before_last_other = at->first_seq != 0 ? bytes : before_last_other;
    }
    for (unsigned line = 1; line < 8; line++) {
        CHECK_INT(seen[line], 1);
    }
    CHECK(before_last_other < KIB(512));
    CHECK(bytes >= FT_COMMIT_TAKE_BYTES && bytes < FT_COMMIT_TAKE_BYTES + KIB(64));
    destroy_items(items);
    teardown(world);
}

/* By bytes, not by items. */
TEST(lines_that_always_have_something_get_equal_parts)
{
    struct world *world = setup(KIB(256 << 10), 0, 0);
    static const size_t sizes[] = {1, 7, 64, 300, 1000};
    for (unsigned i = 0; i < 5; i++) {
        for (size_t bytes = 0; bytes < KIB(8 << 10); bytes += KIB(sizes[i])) {
            (void)push(world, i, KIB(sizes[i]), 1, NULL);
        }
    }
    size_t taken[5] = {0};
    for (unsigned i = 0; i < 4; i++) {
        struct ft_commit_item *items = ft_commit_queue_take(&world->queue, 0);
        for (const struct ft_commit_item *at = items; at != NULL; at = at->next) {
            taken[at->first_seq] += at->size;
        }
        destroy_items(items);
    }
    size_t fair = FT_COMMIT_TAKE_BYTES * 4 / 5;
    for (unsigned i = 0; i < 5; i++) {
        CHECK(taken[i] > fair - KIB(1200) && taken[i] < fair + KIB(1200));
    }
    teardown(world);
}

TEST(who_has_its_share_waits_and_others_do_not)
{
    struct world *world = setup(KIB(1000), 0, 0);
    unsigned n = 0;
    while (push(world, 0, KIB(10), 1, NULL) == FT_COMMIT_ROOM) {
        n++;
    }
    CHECK_INT(n, 50); /* Half: one more may come. */
    CHECK_INT(push(world, 1, KIB(10), 1, NULL), FT_COMMIT_ROOM);
    CHECK_INT(push(world, 2, KIB(10), 1, NULL), FT_COMMIT_ROOM);
    teardown(world);
}

TEST(a_queue_twice_over_its_bound_refuses)
{
    struct world *world = setup(KIB(100), 0, 0);
    unsigned n = 0;
    while (push(world, n % 8, KIB(10), 1, NULL) != FT_COMMIT_REFUSE) {
        n++;
    }
    CHECK_INT(n, 20);
    CHECK_INT(ft_commit_queue_bytes(&world->queue), KIB(200));
    destroy_items(ft_commit_queue_take(&world->queue, 0));
    /* One larger than everything is taken alone. */
    CHECK_INT(push(world, 0, KIB(1000), 1, NULL), FT_COMMIT_WAIT);
    teardown(world);
}

TEST(a_rate_lends_and_is_paid_for_by_waiting)
{
    struct world *world = setup(KIB(64 << 10), 1000, 0);
    int64_t until_ns;
    /* Two seconds' worth at once. */
    CHECK_INT(push(world, 0, KIB(1), 2000, &until_ns), FT_COMMIT_ROOM);
    CHECK_INT(push(world, 0, KIB(1), 500, &until_ns), FT_COMMIT_WAIT);
    CHECK_INT(until_ns - world->now_ns, FT_NS_PER_S / 2);
    CHECK_INT(push(world, 1, KIB(1), 500, &until_ns), FT_COMMIT_ROOM);
    world->now_ns += FT_NS_PER_S;
    CHECK_INT(push(world, 0, KIB(1), 400, &until_ns), FT_COMMIT_ROOM);
    CHECK_INT(push(world, 0, KIB(1), 400, &until_ns), FT_COMMIT_WAIT);
    teardown(world);
}

TEST(a_rate_of_bytes_too)
{
    struct world *world = setup(KIB(64 << 10), 0, KIB(100));
    int64_t until_ns;
    CHECK_INT(push(world, 0, KIB(300), 1, &until_ns), FT_COMMIT_WAIT);
    CHECK_INT(until_ns - world->now_ns, FT_NS_PER_S);
    teardown(world);
}

TEST(a_new_connection_does_not_pay)
{
    struct world *world = setup(KIB(64 << 10), 1000, 0);
    struct ft_uuid agent_id = {{0}};
    int64_t until_ns;
    (void)push(world, 0, KIB(1), 10000, NULL);
    destroy_items(ft_commit_queue_take(&world->queue, 0));
    ft_commit_queue_leave(&world->queue, world->lines[0]);
    world->lines[0] = ft_commit_queue_enter(&world->queue, &agent_id, world->now_ns);
    CHECK_INT(push(world, 0, KIB(1), 1, &until_ns), FT_COMMIT_WAIT);
    CHECK(until_ns - world->now_ns > 7 * FT_NS_PER_S);
    teardown(world);
}
