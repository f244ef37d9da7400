/* SPDX-License-Identifier: Apache-2.0 */
#include "source/chunk_queue.h"

#include "base/clock.h"
#include "base/thread.h"
#include "lib/test.h"

static struct ft_chunk_queue *make(size_t n_chunks)
{
    struct ft_chunk_queue *queue;
    CHECK_OK(ft_chunk_queue_create(n_chunks * FT_CHUNK_SIZE_MAX, &queue));
    return queue;
}

TEST(hands_chunks_over_in_order)
{
    struct ft_chunk_queue *queue = make(4);
    for (int64_t round = 0; round < 10; round++) {
        for (int64_t i = 0; i < 3; i++) {
            struct ft_chunk *chunk = ft_chunk_queue_get_free(queue);
            CHECK_INT(chunk->size, 0);
            chunk->value = round * 3 + i;
            chunk->data[0] = (uint8_t)i;
            chunk->data[FT_CHUNK_SIZE_MAX - 1] = 1;
            chunk->size = 1;
            ft_chunk_queue_put(queue, chunk);
        }
        CHECK_INT(ft_chunk_queue_get_n_waiting(queue), 3);
        for (int64_t i = 0; i < 3; i++) {
            struct ft_chunk *chunk = ft_chunk_queue_take(queue, INT64_MIN);
            CHECK_INT(chunk->value, round * 3 + i);
            CHECK_INT(chunk->data[0], i);
            ft_chunk_queue_give_back(queue, chunk);
        }
    }
    CHECK(ft_chunk_queue_take(queue, INT64_MIN) == NULL);
    ft_chunk_queue_destroy(queue);
}

TEST(has_so_many_chunks_and_no_more)
{
    struct ft_chunk_queue *queue = make(5);
    struct ft_chunk *chunks[5];
    CHECK_INT(ft_chunk_queue_get_n_chunks(queue), 5);
    for (size_t i = 0; i < 5; i++) {
        chunks[i] = ft_chunk_queue_get_free(queue);
        CHECK(chunks[i] != NULL);
    }
    CHECK(ft_chunk_queue_get_free(queue) == NULL);
    ft_chunk_queue_put(queue, chunks[0]);
    CHECK(ft_chunk_queue_get_free(queue) == NULL);
    CHECK(ft_chunk_queue_take(queue, INT64_MIN) == chunks[0]);
    CHECK(ft_chunk_queue_get_free(queue) == NULL);
    ft_chunk_queue_give_back(queue, chunks[0]);
    CHECK(ft_chunk_queue_get_free(queue) == chunks[0]);
    ft_chunk_queue_destroy(queue);
    queue = make(0);
    CHECK_INT(ft_chunk_queue_get_n_chunks(queue), FT_CHUNK_QUEUE_CHUNKS_MIN);
    ft_chunk_queue_destroy(queue);
}

TEST(after_stop_the_rest_is_taken_without_waiting)
{
    struct ft_chunk_queue *queue = make(4);
    ft_chunk_queue_put(queue, ft_chunk_queue_get_free(queue));
    ft_chunk_queue_stop(queue);
    CHECK(ft_chunk_queue_take(queue, FT_TIME_NEVER) != NULL);
    CHECK(ft_chunk_queue_take(queue, FT_TIME_NEVER) == NULL);
    while (ft_chunk_queue_get_free(queue) != NULL) {
    }
    ft_chunk_queue_wait_free(queue, FT_TIME_NEVER);
    ft_chunk_queue_destroy(queue);
}

TEST(a_wake_up_ends_one_wait)
{
    struct ft_chunk_queue *queue = make(4);
    ft_chunk_queue_wake(queue);
    CHECK(ft_chunk_queue_take(queue, FT_TIME_NEVER) == NULL);
    CHECK(ft_chunk_queue_take(queue, 1) == NULL); /* A deadline in the past. */
    ft_chunk_queue_destroy(queue);
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
        ft_chunk_queue_put(queue, chunk);
    }
}

TEST(two_threads_lose_nothing)
{
    struct ft_chunk_queue *queue = make(4);
    struct ft_thread thread = {0};
    CHECK_OK(ft_thread_start(&thread, "giver", give, queue));
    for (int64_t i = 0; i < N_HANDED; i++) {
        struct ft_chunk *chunk = ft_chunk_queue_take(queue, FT_TIME_NEVER);
        CHECK(chunk != NULL);
        CHECK_INT(chunk->value, i);
        CHECK_INT(chunk->data[0], (uint8_t)(i + 1));
        ft_chunk_queue_give_back(queue, chunk);
    }
    ft_thread_join(&thread);
    ft_chunk_queue_destroy(queue);
}
