/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/commit_queue.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"

/* What a line may take in one turn: two blocks as agents make them. */
#define QUANTUM ((size_t)128 << 10)

static size_t slot_of(const struct ft_uuid *agent_id)
{
    return (size_t)ft_hash64(agent_id, sizeof *agent_id, 0) % FT_COMMIT_LINE_SLOTS;
}

void ft_commit_queue_init(struct ft_commit_queue *queue,
                          const struct ft_commit_queue_options *options) FT_NO_TSA
{
    *queue = (struct ft_commit_queue){.options = *options};
    ft_mutex_init(&queue->lock);
    ft_cond_init(&queue->filled);
}

void ft_commit_queue_deinit(struct ft_commit_queue *queue) FT_NO_TSA
{
    assert(queue->first == NULL);
    for (size_t i = 0; i < FT_COMMIT_LINE_SLOTS; i++) {
        while (queue->known[i] != NULL) {
            struct ft_commit_line *line = queue->known[i];
            assert(line->n_refs == 0);
            queue->known[i] = line->next_known;
            free(line);
        }
    }
    ft_cond_deinit(&queue->filled);
    ft_mutex_deinit(&queue->lock);
}

static bool is_paid(const struct ft_commit_line *line, int64_t now_mono_ns)
{
    return line->events.paid_ns <= now_mono_ns && line->volume.paid_ns <= now_mono_ns;
}

/* Frees the lines of a slot that nobody stands in and that have paid, but for the one wanted. */
static void tidy_locked(struct ft_commit_line **at, const struct ft_uuid *wanted,
                        int64_t now_mono_ns)
{
    while (*at != NULL) {
        struct ft_commit_line *line = *at;
        if (line->n_refs == 0 && is_paid(line, now_mono_ns) &&
            !ft_uuid_equal(&line->agent_id, wanted)) {
            *at = line->next_known;
            free(line);
        } else {
            at = &line->next_known;
        }
    }
}

struct ft_commit_line *ft_commit_queue_enter(struct ft_commit_queue *queue,
                                             const struct ft_uuid *agent_id, int64_t now_mono_ns)
{
    ft_mutex_lock(&queue->lock);
    struct ft_commit_line **slot = &queue->known[slot_of(agent_id)];
    tidy_locked(slot, agent_id, now_mono_ns);
    struct ft_commit_line *line = *slot;
    while (line != NULL && !ft_uuid_equal(&line->agent_id, agent_id)) {
        line = line->next_known;
    }
    if (line == NULL) {
        line = calloc(1, sizeof *line);
        if (line != NULL) {
            line->agent_id = *agent_id;
            line->next_known = *slot;
            *slot = line;
        }
    }
    if (line != NULL) {
        line->n_refs++;
    }
    ft_mutex_unlock(&queue->lock);
    return line;
}

void ft_commit_queue_leave(struct ft_commit_queue *queue, struct ft_commit_line *line)
{
    if (line == NULL) {
        return;
    }
    ft_mutex_lock(&queue->lock);
    /* Items refer to sessions, and those to the line: without a reference it is empty. */
    line->n_refs--;
    assert(line->n_refs > 0 || line->first == NULL);
    ft_mutex_unlock(&queue->lock);
}

static void activate_locked(struct ft_commit_queue *queue, struct ft_commit_line *line)
    FT_REQUIRES(queue->lock)
{
    line->is_active = true;
    line->next_active = NULL;
    if (queue->last != NULL) {
        queue->last->next_active = line;
    } else {
        queue->first = line;
    }
    queue->last = line;
    queue->n_active++;
}

/* An equal part for each line that has something, and for one more that may come. */
static size_t share_locked(const struct ft_commit_queue *queue) FT_REQUIRES(queue->lock)
{
    size_t share = queue->options.bytes_max / (queue->n_active + 1);
    return share > QUANTUM ? share : QUANTUM;
}

enum ft_commit_push ft_commit_queue_push(struct ft_commit_queue *queue, struct ft_commit_line *line,
                                         struct ft_commit_item *item, int64_t now_mono_ns)
{
    const struct ft_commit_queue_options *options = &queue->options;
    ft_mutex_lock(&queue->lock);
    if (queue->bytes > 0 && queue->bytes + item->size > 2 * options->bytes_max) {
        ft_mutex_unlock(&queue->lock);
        return FT_COMMIT_REFUSE;
    }
    int64_t events_ns =
        ft_pace_take(&line->events, now_mono_ns, item->n_events, options->agent_events_per_s);
    int64_t volume_ns =
        ft_pace_take(&line->volume, now_mono_ns, item->size, options->agent_bytes_per_s);
    int64_t wait_ns = events_ns > volume_ns ? events_ns : volume_ns;
    item->next = NULL;
    item->wait_until_ns = wait_ns > 0 ? now_mono_ns + wait_ns : 0;
    queue->bytes += item->size;
    line->bytes += item->size;
    if (line->last != NULL) {
        line->last->next = item;
    } else {
        line->first = item;
    }
    line->last = item;
    if (!line->is_active) {
        activate_locked(queue, line);
    }
    item->waiting =
        wait_ns > 0 || queue->bytes > options->bytes_max || line->bytes > share_locked(queue);
    bool room = !item->waiting;
    ft_mutex_unlock(&queue->lock);
    ft_cond_signal(&queue->filled);
    return room ? FT_COMMIT_ROOM : FT_COMMIT_WAIT;
}

/* The next item in turn; there is one. */
static struct ft_commit_item *take_one_locked(struct ft_commit_queue *queue)
    FT_REQUIRES(queue->lock)
{
    struct ft_commit_line *line = queue->first;
    while (line->credit < line->first->size) {
        line->credit += QUANTUM;
        if (line->credit >= line->first->size || line->next_active == NULL) {
            continue;
        }
        /* It is too large for this turn: the others first. */
        queue->first = line->next_active;
        queue->n_active--;
        activate_locked(queue, line);
        line = queue->first;
    }
    struct ft_commit_item *item = line->first;
    line->credit -= item->size;
    line->first = item->next;
    line->bytes -= item->size;
    queue->bytes -= item->size;
    if (line->first != NULL && line->credit >= line->first->size) {
        return item; /* Its turn goes on. */
    }
    queue->first = line->next_active;
    queue->last = queue->first == NULL ? NULL : queue->last;
    queue->n_active--;
    line->is_active = false;
    if (line->first != NULL) {
        activate_locked(queue, line);
    } else {
        line->last = NULL;
        line->credit = 0; /* Who has nothing saves nothing. */
    }
    return item;
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
    struct ft_commit_item *first = NULL;
    struct ft_commit_item **at = &first;
    size_t bytes = 0;
    while (queue->first != NULL && bytes < FT_COMMIT_TAKE_BYTES) {
        *at = take_one_locked(queue);
        bytes += (*at)->size;
        at = &(*at)->next;
    }
    *at = NULL;
    ft_mutex_unlock(&queue->lock);
    return first;
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
