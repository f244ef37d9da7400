/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/commit_queue.h"

#include <assert.h>
#include <stdlib.h>

void ft_commit_queue_init(struct ft_commit_queue *queue, size_t bytes_max)
{
    *queue = (struct ft_commit_queue){.bytes_max = bytes_max};
    ft_mutex_init(&queue->lock);
    ft_cond_init(&queue->filled);
}

void ft_commit_queue_deinit(struct ft_commit_queue *queue) FT_NO_TSA
{
    assert(queue->first == NULL);
    ft_cond_deinit(&queue->filled);
    ft_mutex_deinit(&queue->lock);
}

bool ft_commit_queue_push(struct ft_commit_queue *queue, struct ft_commit_item *item)
{
    item->next = NULL;
    ft_mutex_lock(&queue->lock);
    queue->bytes += item->size;
    item->waiting = queue->bytes > queue->bytes_max;
    bool room = !item->waiting;
    if (queue->last != NULL) {
        queue->last->next = item;
    } else {
        queue->first = item;
    }
    queue->last = item;
    ft_mutex_unlock(&queue->lock);
    ft_cond_signal(&queue->filled);
    return room;
}

struct ft_commit_item *ft_commit_queue_take(struct ft_commit_queue *queue, int64_t deadline_mono_ns)
{
    ft_mutex_lock(&queue->lock);
    while (queue->first == NULL && !queue->woken) {
        if (!ft_cond_wait_until(&queue->filled, &queue->lock, deadline_mono_ns)) {
            break;
        }
    }
    queue->woken = false;
    struct ft_commit_item *items = queue->first;
    queue->first = NULL;
    queue->last = NULL;
    queue->bytes = 0;
    ft_mutex_unlock(&queue->lock);
    return items;
}

void ft_commit_item_destroy(struct ft_commit_item *item)
{
    free(item->data);
    free(item->reject_reason);
    free(item);
}

size_t ft_commit_queue_bytes(struct ft_commit_queue *queue)
{
    ft_mutex_lock(&queue->lock);
    size_t bytes = queue->bytes;
    ft_mutex_unlock(&queue->lock);
    return bytes;
}

void ft_commit_queue_wake(struct ft_commit_queue *queue)
{
    ft_mutex_lock(&queue->lock);
    queue->woken = true;
    ft_mutex_unlock(&queue->lock);
    ft_cond_signal(&queue->filled);
}
