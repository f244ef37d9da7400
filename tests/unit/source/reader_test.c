/* SPDX-License-Identifier: Apache-2.0 */
#include "source/reader.h"

#include "base/thread.h"
#include "lib/fake_kernel.h"
#include "lib/test.h"

struct bench {
    struct ft_fake_kernel kernel;
    struct ft_reader_options options;
    struct ft_random_seeded random;
    struct ft_source_stats stats;
    struct ft_memory *memory;
    struct ft_chunk_queue *queue;
    struct ft_reader *reader;
    int64_t deadline;
};

static void setup(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    ft_fake_kernel_init(&bench->kernel);
    ft_random_seeded_init(&bench->random, 1);
    bench->options = ft_reader_options_default;
}

static void start(struct bench *bench)
{
    struct ft_memory_options memory = {.ring_bytes = FT_CHUNK_QUEUE_BYTES_MIN};
    CHECK_OK(ft_memory_create(&memory, &bench->memory));
    CHECK_OK(ft_chunk_queue_create(bench->memory, false, 0, 0, &bench->queue));
    CHECK_OK(ft_reader_create(&bench->options, &bench->kernel.base, bench->queue,
                              &bench->random.base, &bench->stats, &bench->reader));
}

static void finish(struct bench *bench)
{
    ft_reader_destroy(bench->reader);
    ft_chunk_queue_destroy(bench->queue);
    ft_memory_destroy(bench->memory);
    ft_fake_kernel_deinit(&bench->kernel);
}

static enum ft_reader_wait step(struct bench *bench)
{
    return ft_reader_step(bench->reader, bench->kernel.mono_ns, bench->kernel.real_ns,
                          &bench->deadline);
}

static void expect(struct bench *bench, enum ft_chunk_kind kind, int64_t value)
{
    struct ft_chunk *chunk = ft_chunk_queue_take(bench->queue, INT64_MIN);
    CHECK(chunk != NULL);
    CHECK_INT(chunk->kind, kind);
    CHECK_INT(chunk->value, value);
    ft_chunk_queue_give_back(bench->queue, chunk);
}

static void expect_nothing(struct bench *bench)
{
    CHECK(ft_chunk_queue_take(bench->queue, INT64_MIN) == NULL);
}

static void expect_opened(struct bench *bench, int64_t n)
{
    expect(bench, FT_CHUNK_OPENED, n);
    expect(bench, FT_CHUNK_RELIABLE, 1);
    expect(bench, FT_CHUNK_STEP, FT_LADDER_FULL);
}

TEST(opens_subscribes_and_polls_when_idle)
{
    struct bench bench;
    setup(&bench);
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    CHECK_INT(bench.kernel.groups, FT_CT_GROUP_NEW | FT_CT_GROUP_DESTROY);
    CHECK(bench.kernel.reliable);
    expect_opened(&bench, 1);
    expect(&bench, FT_CHUNK_TICK, 1);
    CHECK_INT(bench.deadline, bench.kernel.mono_ns + FT_NS_PER_S);
    ft_fake_kernel_begin_sample(&bench.kernel, 1);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect(&bench, FT_CHUNK_EVENTS, 1);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT); /* Woken for nothing. */
    expect_nothing(&bench);
    ft_fake_kernel_advance(&bench.kernel, FT_NS_PER_S);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect(&bench, FT_CHUNK_TICK, 1);
    finish(&bench);
    CHECK_INT(bench.kernel.n_closes, 1);
}

TEST(paces_itself_when_busy)
{
    struct bench bench;
    setup(&bench);
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    uint32_t n = 0;
    unsigned n_polls = 0;
    for (unsigned ms = 0; ms < 1000; ms++) {
        for (unsigned i = 0; i < 3; i++) {
            ft_fake_kernel_begin_sample(&bench.kernel, n++);
        }
        n_polls += step(&bench) == FT_READER_WAIT_EVENT;
        if (ft_stat_get(&bench.stats.paced) == 1) {
            CHECK_INT(bench.deadline, bench.kernel.mono_ns + FT_NS_PER_MS);
        }
        for (struct ft_chunk *chunk;
             (chunk = ft_chunk_queue_take(bench.queue, INT64_MIN)) != NULL;) {
            ft_chunk_queue_give_back(bench.queue, chunk);
        }
        ft_fake_kernel_advance(&bench.kernel, FT_NS_PER_MS);
    }
    CHECK(n_polls >= 90 && n_polls <= 110); /* Until the first window is over. */
    CHECK_INT(ft_stat_get(&bench.stats.paced), 1);
    CHECK_INT(ft_stat_get(&bench.stats.n_datagrams), 3000);
    /* 1,500 a second: between the two bounds, so it stays. */
    for (unsigned ms = 0; ms < 1000; ms += 2) {
        for (unsigned i = 0; i < 3; i++) {
            ft_fake_kernel_begin_sample(&bench.kernel, n++);
        }
        CHECK_INT(step(&bench), FT_READER_WAIT_TIME);
        ft_chunk_queue_give_back(bench.queue, ft_chunk_queue_take(bench.queue, INT64_MIN));
        ft_fake_kernel_advance(&bench.kernel, 2 * FT_NS_PER_MS);
    }
    CHECK_INT(step(&bench), FT_READER_WAIT_TIME);
    ft_fake_kernel_advance(&bench.kernel, 200 * FT_NS_PER_MS);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    CHECK_INT(ft_stat_get(&bench.stats.paced), 0);
    finish(&bench);
}

TEST(tells_an_overrun_with_its_drops_and_the_empty_socket_last)
{
    struct bench bench;
    setup(&bench);
    bench.kernel.rcvbuf_bytes_max = 10 * FT_FAKE_EVENT_BYTES;
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect_opened(&bench, 1);
    expect(&bench, FT_CHUNK_TICK, 1);
    for (uint32_t n = 0; n < 25; n++) {
        ft_fake_kernel_begin_sample(&bench.kernel, n);
    }
    CHECK_INT(step(&bench), FT_READER_WAIT_NONE);
    ft_fake_kernel_begin_sample(&bench.kernel, 25); /* Dropped, too: the socket is congested. */
    CHECK_INT(step(&bench), FT_READER_WAIT_NONE);
    expect(&bench, FT_CHUNK_OVERRUN, 15);
    expect(&bench, FT_CHUNK_EVENTS, 0);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect(&bench, FT_CHUNK_OVERRUN, 1);
    expect(&bench, FT_CHUNK_TICK, 1);
    expect_nothing(&bench);
    CHECK_INT(ft_stat_get(&bench.stats.n_overruns), 1);
    CHECK_INT(ft_stat_get(&bench.stats.n_drops), 16);
    CHECK_INT(bench.kernel.n_opens, 1);
    finish(&bench);
}

TEST(without_free_chunks_it_leaves_the_socket_alone)
{
    struct bench bench;
    setup(&bench);
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    uint32_t n = 0;
    do {
        ft_fake_kernel_begin_sample(&bench.kernel, n++);
    } while (step(&bench) != FT_READER_WAIT_ROOM);
    size_t left = bench.kernel.n_events;
    CHECK_INT(left, 1);
    CHECK_INT(step(&bench), FT_READER_WAIT_ROOM);
    bench.kernel.recv_error = ft_err_from_errno(EBADF); /* Would show if it were read. */
    CHECK_INT(step(&bench), FT_READER_WAIT_ROOM);
    CHECK_INT(bench.kernel.n_events, left);
    bench.kernel.recv_error = FT_OK;
    ft_chunk_queue_give_back(bench.queue, ft_chunk_queue_take(bench.queue, INT64_MIN));
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    CHECK_INT(bench.kernel.n_events, 0);
    finish(&bench);
}

static void take_all(struct bench *bench)
{
    for (struct ft_chunk *chunk; (chunk = ft_chunk_queue_take(bench->queue, INT64_MIN)) != NULL;) {
        ft_chunk_queue_give_back(bench->queue, chunk);
    }
}

/* So many events each millisecond, and a pipeline that takes chunks each 'every' ms. */
static void run_slow_pipeline(struct bench *bench, unsigned n_events, unsigned every,
                              unsigned ms_max)
{
    for (unsigned ms = 0; ms < ms_max; ms++) {
        for (unsigned i = 0; i < n_events; i++) {
            ft_fake_kernel_repeat_end(&bench->kernel, 0);
        }
        ft_fake_kernel_advance(&bench->kernel, FT_NS_PER_MS);
        step(bench);
        if (ms % every == 0) {
            take_all(bench);
        }
    }
}

TEST(a_pipeline_that_waits_for_the_processor_sheds_nothing)
{
    struct bench bench;
    setup(&bench);
    start(&bench);
    (void)ft_fake_kernel_begin_sample(&bench.kernel, 0);
    run_slow_pipeline(&bench, 1, 500, 2000); /* Not even room is missing: it is one of bytes. */
    CHECK_INT(ft_stat_get(&bench.stats.no_room_ns), 0);
    run_slow_pipeline(&bench, 10, 450, 5000);
    CHECK(ft_stat_get(&bench.stats.no_room_ns) > 0);
    CHECK_INT(ft_stat_get(&bench.stats.step), FT_LADDER_FULL);
    CHECK_INT(ft_stat_get(&bench.stats.n_step_changes), 0);
    run_slow_pipeline(&bench, 10, 1500, 5000);
    CHECK(ft_stat_get(&bench.stats.step) > FT_LADDER_FULL);
    take_all(&bench);
    step(&bench);
    uint64_t no_room_ns = ft_stat_get(&bench.stats.no_room_ns);
    run_slow_pipeline(&bench, 1, 1, 45000);
    CHECK_INT(ft_stat_get(&bench.stats.step), FT_LADDER_FULL);
    CHECK_INT(ft_stat_get(&bench.stats.no_room_ns), no_room_ns);
    finish(&bench);
}

TEST(opens_again_at_once_then_backs_off_forever)
{
    struct bench bench;
    setup(&bench);
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect_opened(&bench, 1);
    expect(&bench, FT_CHUNK_TICK, 1);
    ft_fake_kernel_advance(&bench.kernel, 10 * FT_NS_PER_S);
    bench.kernel.n_open_errors = 40;
    ft_fake_kernel_begin_sample(&bench.kernel, 1);
    bench.kernel.recv_error = ft_err_from_errno(EBADF);
    CHECK_INT(step(&bench), FT_READER_WAIT_NONE);
    CHECK_INT(bench.kernel.n_closes, 1);
    int64_t failed = bench.kernel.mono_ns;
    CHECK_INT(step(&bench), FT_READER_WAIT_TIME); /* The first retry, at once, fails. */
    expect(&bench, FT_CHUNK_FAILED, EBADF);
    int64_t wait = bench.deadline - failed;
    CHECK(wait >= 125 * FT_NS_PER_MS && wait <= 375 * FT_NS_PER_MS);
    unsigned n_tries = 1;
    while (bench.kernel.n_open_errors > 0) {
        ft_fake_kernel_advance(&bench.kernel, bench.deadline - bench.kernel.mono_ns - 1);
        unsigned errors = bench.kernel.n_open_errors;
        CHECK_INT(step(&bench), FT_READER_WAIT_TIME);
        CHECK_INT(bench.kernel.n_open_errors, errors);
        ft_fake_kernel_advance(&bench.kernel, 1);
        CHECK_INT(step(&bench), FT_READER_WAIT_TIME);
        CHECK_INT(bench.kernel.n_open_errors, errors - 1);
        wait = bench.deadline - bench.kernel.mono_ns;
        CHECK(wait <= 450 * FT_NS_PER_S);
        n_tries++;
    }
    CHECK_INT(n_tries, 40);
    CHECK(wait >= 150 * FT_NS_PER_S);
    expect_nothing(&bench); /* One FAILED, whatever the tries. */
    ft_fake_kernel_advance(&bench.kernel, wait);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect_opened(&bench, 2);
    expect(&bench, FT_CHUNK_TICK, 1);
    CHECK_INT(ft_stat_get(&bench.stats.n_open_failures), 40);
    CHECK_INT(ft_stat_get(&bench.stats.last_error), EPERM);
    finish(&bench);
}

TEST(a_socket_that_fails_right_away_is_no_reason_to_hurry)
{
    struct bench bench;
    setup(&bench);
    start(&bench);
    unsigned n_opens = 0;
    for (unsigned i = 0; i < 2000; i++) { /* Two seconds. */
        bench.kernel.recv_error = ft_err_from_errno(EBADF);
        step(&bench);
        step(&bench);
        for (struct ft_chunk *chunk;
             (chunk = ft_chunk_queue_take(bench.queue, INT64_MIN)) != NULL;) {
            ft_chunk_queue_give_back(bench.queue, chunk);
        }
        ft_fake_kernel_advance(&bench.kernel, FT_NS_PER_MS);
    }
    n_opens = bench.kernel.n_opens;
    CHECK(n_opens >= 3 && n_opens <= 8);
    finish(&bench);
}

TEST(the_first_opening_may_fail_too)
{
    struct bench bench;
    setup(&bench);
    bench.kernel.n_open_errors = 1;
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_TIME);
    expect(&bench, FT_CHUNK_FAILED, EPERM);
    CHECK_INT(bench.deadline, bench.kernel.mono_ns);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect_opened(&bench, 1);
    finish(&bench);
}

static void fill_table(struct bench *bench, uint64_t n)
{
    for (uint64_t i = 0; i < bench->kernel.n_flows; i++) {
        bench->kernel.flows[i].alive = i < n;
    }
    for (uint64_t i = bench->kernel.n_flows; i < n; i++) {
        ft_fake_kernel_begin_sample(&bench->kernel, (uint32_t)i);
    }
    ft_fake_kernel_advance(&bench->kernel, FT_NS_PER_S);
    step(bench);
    for (struct ft_chunk *chunk; (chunk = ft_chunk_queue_take(bench->queue, INT64_MIN)) != NULL;) {
        ft_chunk_queue_give_back(bench->queue, chunk);
    }
}

TEST(the_watchdog_lets_the_kernel_have_its_table)
{
    struct bench bench;
    setup(&bench);
    bench.kernel.table_max = 1000;
    start(&bench);
    fill_table(&bench, 800);
    CHECK(bench.kernel.reliable);
    fill_table(&bench, 801);
    CHECK(!bench.kernel.reliable);
    CHECK_INT(ft_stat_get(&bench.stats.n_unreliable), 1);
    fill_table(&bench, 750);
    CHECK(!bench.kernel.reliable);
    fill_table(&bench, 699);
    CHECK(bench.kernel.reliable);
    CHECK_INT(ft_stat_get(&bench.stats.reliable), 1);
    CHECK_INT(ft_stat_get(&bench.stats.table_max), 1000);
    finish(&bench);
}

TEST(under_a_storm_only_ends_are_subscribed)
{
    struct bench bench;
    setup(&bench);
    bench.kernel.rcvbuf_bytes_max = (uint64_t)64 << 20;
    bench.options.rcvbuf_bytes = (uint64_t)64 << 20;
    start(&bench);
    step(&bench);
    for (uint32_t n = 0; n < 30000; n++) {
        ft_fake_kernel_end(&bench.kernel, ft_fake_kernel_begin_sample(&bench.kernel, n));
        if (n % 300 == 299) { /* 30,000 flows a second. */
            ft_fake_kernel_advance(&bench.kernel, 10 * FT_NS_PER_MS);
            step(&bench);
            for (struct ft_chunk *chunk;
                 (chunk = ft_chunk_queue_take(bench.queue, INT64_MIN)) != NULL;) {
                ft_chunk_queue_give_back(bench.queue, chunk);
            }
        }
    }
    CHECK_INT(bench.kernel.groups, FT_CT_GROUP_DESTROY);
    CHECK_INT(ft_stat_get(&bench.stats.step), FT_LADDER_DESTROY_ONLY);
    struct ft_ladder_options full = ft_ladder_options_default;
    full.mode = FT_LADDER_FIXED_FULL;
    ft_reader_set_ladder(bench.reader, &full);
    step(&bench);
    CHECK_INT(bench.kernel.groups, FT_CT_GROUP_NEW | FT_CT_GROUP_DESTROY);
    finish(&bench);
}

static void run(void *ctx)
{
    struct bench *bench = ctx;
    ft_reader_run(bench->reader, ft_clock_system());
}

TEST(stop_ends_a_backoff_at_once)
{
    struct bench bench;
    struct ft_thread thread = {0};
    setup(&bench);
    bench.kernel.n_open_errors = 1000000;
    bench.options.reopen.base_ns = 3600 * FT_NS_PER_S;
    bench.options.reopen.max_ns = 3600 * FT_NS_PER_S;
    start(&bench);
    CHECK_OK(ft_thread_start(&thread, "reader", run, &bench));
    while (ft_stat_get(&bench.stats.n_open_failures) < 2) {
    }
    ft_reader_stop(bench.reader);
    ft_thread_join(&thread);
    CHECK_INT(ft_stat_get(&bench.stats.n_open_failures), 2);
    finish(&bench);
}

TEST(stop_reads_what_is_there_and_closes)
{
    struct bench bench;
    struct ft_thread thread = {0};
    setup(&bench);
    start(&bench);
    CHECK_INT(step(&bench), FT_READER_WAIT_EVENT);
    expect_opened(&bench, 1);
    expect(&bench, FT_CHUNK_TICK, 1);
    ft_fake_kernel_begin_sample(&bench.kernel, 1);
    ft_reader_stop(bench.reader);
    CHECK_OK(ft_thread_start(&thread, "reader", run, &bench));
    ft_thread_join(&thread);
    CHECK(!bench.kernel.open);
    struct ft_chunk *chunk = ft_chunk_queue_take(bench.queue, INT64_MIN);
    CHECK(chunk != NULL && chunk->kind == FT_CHUNK_EVENTS && chunk->size > 0);
    finish(&bench);
    CHECK_INT(bench.kernel.n_closes, 1);
}
