/* SPDX-License-Identifier: Apache-2.0 */
#include "source/chunk_queue.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "lib/ct_build.h"
#include "lib/test.h"

struct bench {
    struct ft_memory *memory;
    struct ft_chunk_queue *queue;
};

static void setup(struct bench *bench, bool held)
{
    struct ft_memory_options options = {.ring_bytes = FT_CHUNK_QUEUE_BYTES_MIN};
    CHECK_OK(ft_memory_create(&options, &bench->memory));
    CHECK_OK(ft_chunk_queue_create(bench->memory, held, 0, 0, &bench->queue));
}

static void finish(struct bench *bench)
{
    ft_chunk_queue_destroy(bench->queue);
    ft_memory_destroy(bench->memory);
}

/* The process is gone: another one finds the memory, and handles it from 'position' on. */
static ft_err crash(struct bench *bench, uint64_t position, uint64_t offset)
{
    ft_chunk_queue_destroy(bench->queue);
    bench->queue = NULL;
    return ft_chunk_queue_create(bench->memory, true, position, offset, &bench->queue);
}

static void put_value(struct bench *bench, int64_t value, size_t size)
{
    struct ft_chunk *chunk = ft_chunk_queue_get_free(bench->queue);
    CHECK(chunk != NULL);
    CHECK_INT(chunk->size, 0);
    chunk->value = value;
    chunk->mono_ns = 2 * value;
    chunk->kind = FT_CHUNK_EVENTS;
    CHECK(size <= chunk->size_max);
    memset(chunk->data, (int)(value & 0x7f), size);
    chunk->size = size;
    ft_chunk_queue_put(bench->queue, chunk);
}

static void take_value(struct bench *bench, int64_t value, size_t size)
{
    struct ft_chunk *chunk = ft_chunk_queue_take(bench->queue, INT64_MIN);
    CHECK(chunk != NULL);
    CHECK_INT(chunk->value, value);
    CHECK_INT(chunk->mono_ns, 2 * value);
    CHECK_INT(chunk->size, size);
    for (size_t i = 0; i < size; i++) {
        CHECK_INT(chunk->data[i], value & 0x7f);
    }
    ft_chunk_queue_give_back(bench->queue, chunk);
}

TEST(hands_chunks_over_in_order)
{
    struct bench bench;
    setup(&bench, false);
    for (int64_t round = 0; round < 100; round++) {
        for (int64_t i = 0; i < 3; i++) {
            put_value(&bench, round * 3 + i, (size_t)round * 997 % 60000);
        }
        for (int64_t i = 0; i < 3; i++) {
            take_value(&bench, round * 3 + i, (size_t)round * 997 % 60000);
        }
    }
    CHECK(ft_chunk_queue_take(bench.queue, INT64_MIN) == NULL);
    finish(&bench);
}

/* The bound is bytes: thousands of small chunks fit, and what is put is whole at the ring's end. */
TEST(has_room_for_so_many_bytes)
{
    struct bench bench;
    setup(&bench, false);
    for (unsigned lap = 0; lap < 3; lap++) {
        int64_t n = 0;
        struct ft_chunk *chunk;
        while ((chunk = ft_chunk_queue_get_free(bench.queue)) != NULL) {
            ft_chunk_queue_cancel(bench.queue, chunk);
            put_value(&bench, n++, 100);
        }
        CHECK(n > 5000);
        for (int64_t i = 0; i < n; i++) {
            CHECK_INT(ft_chunk_queue_get_bytes_held(bench.queue), 0);
            take_value(&bench, i, 100);
        }
        put_value(&bench, 77, FT_CHUNK_SIZE_MAX); /* All of it is in one piece. */
        take_value(&bench, 77, FT_CHUNK_SIZE_MAX);
    }
    finish(&bench);
}

TEST(a_held_chunk_takes_room_until_it_is_freed)
{
    struct bench bench;
    setup(&bench, true);
    for (int64_t i = 0; i < 3; i++) {
        put_value(&bench, i, FT_CHUNK_SIZE_MAX);
        take_value(&bench, i, FT_CHUNK_SIZE_MAX);
    }
    struct ft_chunk *chunk = ft_chunk_queue_get_free(bench.queue);
    CHECK(chunk->size_max < FT_CHUNK_SIZE_MAX); /* What is left. */
    chunk->size = chunk->size_max;
    ft_chunk_queue_put(bench.queue, chunk);
    CHECK(ft_chunk_queue_get_free(bench.queue) == NULL);
    CHECK_INT(ft_chunk_queue_get_bytes_held(bench.queue),
              3 * (FT_CHUNK_SIZE_MAX + FT_CHUNK_HEADER_BYTES));
    ft_chunk_queue_free_until(bench.queue, FT_CHUNK_SIZE_MAX + FT_CHUNK_HEADER_BYTES);
    chunk = ft_chunk_queue_get_free(bench.queue);
    CHECK(chunk != NULL);
    ft_chunk_queue_cancel(bench.queue, chunk);
    finish(&bench);
}

TEST(after_a_crash_the_chunks_are_there_again)
{
    struct bench bench;
    setup(&bench, true);
    for (int64_t i = 0; i < 5; i++) {
        put_value(&bench, i, 1000);
    }
    take_value(&bench, 0, 1000);
    uint64_t second = ft_chunk_queue_get_next(bench.queue);
    take_value(&bench, 1, 1000);
    take_value(&bench, 2, 1000);
    CHECK_OK(crash(&bench, second, 0));
    take_value(&bench, 1, 1000);
    CHECK_OK(crash(&bench, second, 300));
    struct ft_chunk *chunk = ft_chunk_queue_take(bench.queue, INT64_MIN);
    CHECK_INT(chunk->size, 700);
    CHECK_INT(ft_chunk_queue_get_cut(bench.queue), 300);
    ft_chunk_queue_give_back(bench.queue, chunk);
    CHECK_INT(ft_chunk_queue_get_cut(bench.queue), 0);
    for (int64_t i = 2; i < 5; i++) {
        take_value(&bench, i, 1000);
    }
    CHECK(ft_chunk_queue_take(bench.queue, INT64_MIN) == NULL);
    put_value(&bench, 5, 10);
    take_value(&bench, 5, 10);
    finish(&bench);
}

/* As the kernel would: writes an event where the chunk ends. */
static size_t receive(struct bench *bench, struct ft_chunk *chunk, uint32_t n)
{
    struct ft_ct_record record;
    ft_ct_build_sample(n, FT_PROTO_TCP, false, &record);
    ft_chunk_queue_prepare(bench->queue, chunk, 8192);
    return ft_ct_build(&record, false, chunk->data + chunk->size, FT_CT_BUILD_SIZE_MAX);
}

TEST(a_crash_amid_filling_leaves_what_the_kernel_has_given)
{
    for (unsigned n_counted = 0; n_counted < 3; n_counted++) {
        for (unsigned uncounted = 0; uncounted < 2; uncounted++) {
            struct bench bench;
            size_t size = 0;
            setup(&bench, true);
            /* A lap of old content that must not be taken for new. */
            struct ft_chunk *chunk = ft_chunk_queue_get_free(bench.queue);
            for (uint32_t n = 0; n < 5; n++) {
                ft_chunk_queue_received(bench.queue, chunk, receive(&bench, chunk, n));
            }
            ft_chunk_queue_put(bench.queue, chunk);
            ft_chunk_queue_give_back(bench.queue, ft_chunk_queue_take(bench.queue, INT64_MIN));
            for (int64_t i = 0; i < 4; i++) {
                uint64_t at = ft_chunk_queue_get_next(bench.queue);
                ft_chunk_queue_free_until(bench.queue, at);
                uint64_t left = FT_CHUNK_QUEUE_BYTES_MIN - at - FT_CHUNK_HEADER_BYTES;
                put_value(&bench, i, left < FT_CHUNK_SIZE_MAX ? left : FT_CHUNK_SIZE_MAX);
                ft_chunk_queue_give_back(bench.queue, ft_chunk_queue_take(bench.queue, INT64_MIN));
            }
            uint64_t begin = ft_chunk_queue_get_next(bench.queue);
            CHECK_INT(begin, FT_CHUNK_QUEUE_BYTES_MIN);
            ft_chunk_queue_free_until(bench.queue, begin);
            chunk = ft_chunk_queue_get_free(bench.queue);
            chunk->mono_ns = 99;
            for (uint32_t n = 0; n < n_counted + uncounted; n++) {
                size_t got = receive(&bench, chunk, 100 + n);
                size += got;
                if (n < n_counted) {
                    ft_chunk_queue_received(bench.queue, chunk, got);
                }
            }
            CHECK_OK(crash(&bench, begin, 0));
            chunk = ft_chunk_queue_take(bench.queue, INT64_MIN);
            CHECK_INT(chunk != NULL, n_counted + uncounted > 0);
            if (chunk != NULL) {
                CHECK_INT(chunk->size, size);
                CHECK_INT(chunk->kind, FT_CHUNK_EVENTS);
                CHECK_INT(chunk->mono_ns, 99);
                CHECK_INT(chunk->value, 0);
            }
            finish(&bench);
        }
    }
}

TEST(a_ring_that_is_none_is_refused)
{
    struct bench bench;
    setup(&bench, true);
    put_value(&bench, 1, 100);
    put_value(&bench, 2, 100);
    CHECK_ERR(crash(&bench, 8, 0), FT_E_CORRUPT);
    CHECK_ERR(crash(&bench, 1000000, 0), FT_E_CORRUPT);
    CHECK_ERR(crash(&bench, 0, 101), FT_E_CORRUPT);
    CHECK_OK(crash(&bench, 0, 100));
    memset(bench.memory->ring + 192 + 12, 0xff, 4); /* The second chunk's size. */
    CHECK_ERR(crash(&bench, 0, 0), FT_E_CORRUPT);
    finish(&bench);
}

TEST(after_stop_the_rest_is_taken_without_waiting)
{
    struct bench bench;
    setup(&bench, false);
    put_value(&bench, 1, 0);
    ft_chunk_queue_stop(bench.queue);
    CHECK(ft_chunk_queue_take(bench.queue, FT_TIME_NEVER) != NULL);
    CHECK(ft_chunk_queue_take(bench.queue, FT_TIME_NEVER) == NULL);
    for (struct ft_chunk *chunk; (chunk = ft_chunk_queue_get_free(bench.queue)) != NULL;) {
        chunk->size = chunk->size_max;
        ft_chunk_queue_put(bench.queue, chunk);
    }
    ft_chunk_queue_wait_free(bench.queue, FT_TIME_NEVER);
    finish(&bench);
}

TEST(a_wake_up_ends_one_wait)
{
    struct bench bench;
    setup(&bench, false);
    ft_chunk_queue_wake(bench.queue);
    CHECK(ft_chunk_queue_take(bench.queue, FT_TIME_NEVER) == NULL);
    CHECK(ft_chunk_queue_take(bench.queue, 1) == NULL); /* A deadline in the past. */
    finish(&bench);
}

enum { N_HANDED = 20000 };

static void give(void *ctx)
{
    struct ft_chunk_queue *queue = ctx;
    for (int64_t i = 0; i < N_HANDED;) {
        struct ft_chunk *chunk = ft_chunk_queue_get_free(queue);
        if (chunk == NULL) {
            ft_chunk_queue_wait_free(queue, FT_TIME_NEVER);
            continue;
        }
        chunk->value = i++;
        chunk->data[0] = (uint8_t)i;
        chunk->size = (size_t)(i % 3000) + 1;
        ft_chunk_queue_put(queue, chunk);
    }
}

TEST(two_threads_lose_nothing)
{
    struct bench bench;
    struct ft_thread thread = {0};
    setup(&bench, false);
    CHECK_OK(ft_thread_start(&thread, "giver", give, bench.queue));
    for (int64_t i = 0; i < N_HANDED; i++) {
        struct ft_chunk *chunk = ft_chunk_queue_take(bench.queue, FT_TIME_NEVER);
        CHECK(chunk != NULL);
        CHECK_INT(chunk->value, i);
        CHECK_INT(chunk->data[0], (uint8_t)(i + 1));
        ft_chunk_queue_give_back(bench.queue, chunk);
    }
    ft_thread_join(&thread);
    finish(&bench);
}
