/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter without memory: each event arrives, and none is stored twice. */
#include "../export/exporter_world.h"
#include "lib/alloc_fail.h"

#define BLOCKS       30
#define BLOCK_EVENTS 10

static ft_err spared_open(struct ft_stream *stream)
{
    return stream_open(stream); /* Allocates nothing. */
}

static ft_err spared_send(struct ft_stream *stream, const struct ft_stream_parts *parts)
{
    ft_alloc_fail_pause();
    ft_err err = stream_send(stream, parts);
    ft_alloc_fail_resume();
    return err;
}

static void spared_poll(struct ft_stream *stream, int64_t deadline_ns,
                        struct ft_stream_event *ret_event)
{
    ft_alloc_fail_pause();
    stream_poll(stream, deadline_ns, ret_event);
    ft_alloc_fail_resume();
}

static const struct ft_stream_ops spared_ops = {.open = spared_open,
                                                .send = spared_send,
                                                .cancel = stream_cancel,
                                                .poll = spared_poll,
                                                .wake = stream_wake,
                                                .destroy = stream_destroy};

/* setup() makes an exporter with memory; this one is made in its place without. */
static ft_err create(struct world *world)
{
    struct ft_exporter_options options = {.link = ft_link_options_default,
                                          .window_bytes = 8000,
                                          .clock = &world->clock,
                                          .random = &world->random.base,
                                          .stream = &world->stream,
                                          .log = world->log,
                                          .agent_id = {{0xa}},
                                          .instance_id = {{0xb}},
                                          .host = {.ctx = world,
                                                   .next_seq = host_next_seq,
                                                   .fill_status = host_fill_status,
                                                   .on_acked = host_on_acked,
                                                   .on_rejected = host_on_rejected,
                                                   .on_trusted = host_on_trusted,
                                                   .on_gone_back = host_on_gone_back,
                                                   .on_gone = host_on_gone,
                                                   .on_state = host_on_state}};
    return ft_exporter_create(&options, &world->exporter);
}

static void check_arrived(const struct world *world)
{
    const struct ft_exporter_stats *stats = ft_exporter_stats(world->exporter);
    for (uint64_t seq = 1; seq < world->next_seq; seq++) {
        CHECK_INT(world->stored[seq], 1);
    }
    CHECK_INT(stats->done_events, world->next_seq - 1);
    CHECK_INT(stats->rejected_events, 0);
    CHECK_INT(stats->bad_messages, 0);
}

static ft_err exporter(void *ctx)
{
    (void)ctx;
    static struct world world;
    ft_alloc_fail_pause();
    setup(&world);
    ft_exporter_destroy(world.exporter);
    world.exporter = NULL;
    world.stream.ops = &spared_ops;
    world.counts = true;
    for (unsigned i = 0; i < BLOCKS; i++) {
        seal(&world, BLOCK_EVENTS, 1000);
    }
    ft_alloc_fail_resume();
    ft_err err = create(&world);
    if (err == FT_OK) {
        ft_exporter_enable(world.exporter);
        run_for(&world, 30 * FT_NS_PER_S);
        ft_alloc_fail_pause();
        run_for(&world, 600 * FT_NS_PER_S);
        ft_alloc_fail_resume();
        check_arrived(&world);
    }
    ft_exporter_destroy(world.exporter);
    world.exporter = NULL;
    ft_alloc_fail_pause();
    teardown(&world);
    ft_alloc_fail_resume();
    return err;
}

TEST(exporter_without_memory)
{
    struct ft_alloc_scenario scenario = {.name = "exporter", .run = exporter};
    ft_alloc_fail_each(&scenario);
}
