/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/instances.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/thread.h"
#include "collector/shelf.h"

#define SLOTS_MIN 64

struct ft_instances {
    struct ft_mutex lock;
    /* Open addressing over pointers: an instance is two kilobytes and must not move. */
    struct ft_instance **slots FT_GUARDED;
    size_t n_slots FT_GUARDED; /* A power of two, at least twice 'n'. */
    size_t n FT_GUARDED;
    struct ft_shelf shelf FT_GUARDED; /* Those that made room. */
    struct ft_instance *first_dirty FT_GUARDED;
    /* Places in the ledger's file: below 'n_places', but for the free ones. */
    uint32_t n_places FT_GUARDED;
    uint32_t n_free_places FT_GUARDED;
    uint32_t free_places[FT_INSTANCES_MAX] FT_GUARDED;
};

static struct ft_instance *find_locked(struct ft_instances *instances,
                                       const struct ft_instance_key *key)
    FT_REQUIRES(instances->lock);
static ft_err add_locked(struct ft_instances *instances, const struct ft_instance_key *key,
                         struct ft_instance **ret_instance) FT_REQUIRES(instances->lock);
static ft_err grow_locked(struct ft_instances *instances) FT_REQUIRES(instances->lock);
static bool evict_locked(struct ft_instances *instances) FT_REQUIRES(instances->lock);
static void put_on_shelf_locked(struct ft_instances *instances, const struct ft_instance *instance)
    FT_REQUIRES(instances->lock);
static void take_from_shelf_locked(struct ft_instances *instances, struct ft_instance *instance)
    FT_REQUIRES(instances->lock);
static void mark_dirty_locked(struct ft_instances *instances, struct ft_instance *instance)
    FT_REQUIRES(instances->lock);
static void unmark_dirty_locked(struct ft_instances *instances, const struct ft_instance *instance)
    FT_REQUIRES(instances->lock);
static void insert(struct ft_instance **slots, size_t n_slots, struct ft_instance *instance);

static void free_instance(struct ft_instance *instance)
{
    if (instance != NULL) {
        free(instance->components);
        free(instance);
    }
}

static size_t slot_of(const struct ft_instance_key *key, size_t n_slots)
{
    return (size_t)ft_hash64(key, sizeof *key, 0) & (n_slots - 1);
}

ft_err ft_instances_create(struct ft_instances **ret_instances)
{
    FT_CLEANUP(ft_instances_destroy) struct ft_instances *instances = calloc(1, sizeof *instances);
    if (instances == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&instances->lock);
    ft_mutex_lock(&instances->lock);
    ft_err err = grow_locked(instances);
    ft_mutex_unlock(&instances->lock);
    FT_TRY(err);
    *ret_instances = FT_TAKE(instances);
    return FT_OK;
}

void ft_instances_destroy(struct ft_instances *instances) FT_NO_TSA
{
    if (instances == NULL) {
        return;
    }
    for (size_t i = 0; i < instances->n_slots; i++) {
        free_instance(instances->slots[i]);
    }
    free(instances->slots);
    ft_shelf_deinit(&instances->shelf);
    ft_mutex_deinit(&instances->lock);
    free(instances);
}

ft_err ft_instances_with(struct ft_instances *instances, const struct ft_instance_key *key,
                         ft_instance_fn *fn, void *ctx)
{
    ft_mutex_lock(&instances->lock);
    ft_err err = FT_OK;
    struct ft_instance *instance = find_locked(instances, key);
    if (instance == NULL) {
        err = add_locked(instances, key, &instance);
    }
    if (err == FT_OK) {
        fn(ctx, instance);
        mark_dirty_locked(instances, instance);
    }
    ft_mutex_unlock(&instances->lock);
    return err;
}

ft_err ft_instances_restore(struct ft_instances *instances, const struct ft_instance_key *key,
                            uint32_t place, ft_instance_fn *fn, void *ctx)
{
    ft_mutex_lock(&instances->lock);
    while (instances->n_places < place && instances->n_free_places < FT_INSTANCES_MAX) {
        instances->free_places[instances->n_free_places++] = instances->n_places++;
    }
    ft_err err = FT_E_RANGE;
    if (instances->n_places == place && place < FT_INSTANCES_MAX &&
        find_locked(instances, key) == NULL) {
        /* The place of the next new one is this. */
        uint32_t n_free_places = instances->n_free_places;
        instances->n_free_places = 0;
        struct ft_instance *instance = NULL;
        err = add_locked(instances, key, &instance);
        instances->n_free_places = n_free_places;
        if (err == FT_OK) {
            fn(ctx, instance);
        }
    }
    ft_mutex_unlock(&instances->lock);
    return err;
}

size_t ft_instances_take_dirty(struct ft_instances *instances, size_t n_max,
                               ft_instance_look_fn *fn, void *ctx)
{
    size_t n = 0;
    ft_mutex_lock(&instances->lock);
    for (; n < n_max && instances->first_dirty != NULL; n++) {
        struct ft_instance *instance = instances->first_dirty;
        instances->first_dirty = instance->next_dirty;
        instance->next_dirty = NULL;
        instance->is_dirty = false;
        fn(ctx, instance);
    }
    ft_mutex_unlock(&instances->lock);
    return n;
}

void ft_instances_mark_all_dirty(struct ft_instances *instances)
{
    ft_mutex_lock(&instances->lock);
    for (size_t i = 0; i < instances->n_slots; i++) {
        if (instances->slots[i] != NULL) {
            mark_dirty_locked(instances, instances->slots[i]);
        }
    }
    ft_mutex_unlock(&instances->lock);
}

static void mark_dirty_locked(struct ft_instances *instances, struct ft_instance *instance)
{
    if (!instance->is_dirty) {
        instance->is_dirty = true;
        instance->next_dirty = instances->first_dirty;
        instances->first_dirty = instance;
    }
}

static void unmark_dirty_locked(struct ft_instances *instances, const struct ft_instance *instance)
{
    struct ft_instance **at = &instances->first_dirty;
    while (*at != NULL && *at != instance) {
        at = &(*at)->next_dirty;
    }
    if (*at != NULL) {
        *at = instance->next_dirty;
    }
}

bool ft_instances_get(struct ft_instances *instances, const struct ft_instance_key *key,
                      struct ft_instance *ret_instance)
{
    ft_mutex_lock(&instances->lock);
    const struct ft_instance *instance = find_locked(instances, key);
    bool found = instance != NULL;
    if (found) {
        *ret_instance = *instance;
        ret_instance->n_components = 0;
        ret_instance->components = NULL;
    }
    ft_mutex_unlock(&instances->lock);
    return found;
}

void ft_instances_each(struct ft_instances *instances, ft_instance_look_fn *fn, void *ctx)
{
    ft_mutex_lock(&instances->lock);
    for (size_t i = 0; i < instances->n_slots; i++) {
        if (instances->slots[i] != NULL) {
            fn(ctx, instances->slots[i]);
        }
    }
    ft_mutex_unlock(&instances->lock);
}

void ft_instances_change_each(struct ft_instances *instances, ft_instance_fn *fn, void *ctx)
{
    ft_mutex_lock(&instances->lock);
    for (size_t i = 0; i < instances->n_slots; i++) {
        if (instances->slots[i] != NULL) {
            fn(ctx, instances->slots[i]);
            mark_dirty_locked(instances, instances->slots[i]);
        }
    }
    ft_mutex_unlock(&instances->lock);
}

/* Without memory for them the copy has no components. */
static void copy_instance(const struct ft_instance *instance, struct ft_instance *to)
{
    *to = *instance;
    to->components = NULL;
    size_t size = instance->n_components * sizeof *instance->components;
    if (size > 0) {
        to->components = malloc(size);
    }
    if (to->components != NULL) {
        memcpy(to->components, instance->components, size);
    } else {
        to->n_components = 0;
    }
}

ft_err ft_instances_list(struct ft_instances *instances, struct ft_instance **ret_all,
                         size_t *ret_n)
{
    ft_mutex_lock(&instances->lock);
    size_t n = 0;
    struct ft_instance *all = calloc(instances->n + 1, sizeof *all);
    if (all != NULL) {
        for (size_t i = 0; i < instances->n_slots; i++) {
            if (instances->slots[i] != NULL) {
                copy_instance(instances->slots[i], &all[n++]);
            }
        }
    }
    ft_mutex_unlock(&instances->lock);
    if (all == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    *ret_all = all;
    *ret_n = n;
    return FT_OK;
}

void ft_instances_list_free(struct ft_instance *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(all[i].components);
    }
    free(all);
}

void ft_instance_take_status(struct ft_instance *instance, const struct ft_msg_status *status)
{
    instance->told = (struct ft_told){.known = true,
                                      .time_ns = status->time_ns,
                                      .observed_events = status->observed_events,
                                      .acknowledged_events = status->acknowledged_events,
                                      .retained_events = status->retained_events,
                                      .retained_bytes = status->retained_bytes,
                                      .filtered_events = status->filtered_events,
                                      .merged_events = status->merged_events,
                                      .sealed_events = status->sealed_events,
                                      .sent_events = status->sent_events,
                                      .active_flows = status->active_flows,
                                      .conntrack_entries = status->conntrack_entries,
                                      .conntrack_entries_max = status->conntrack_entries_max,
                                      .our_appended_events = instance->appended_events,
                                      .our_rejected_events = instance->rejected_events};
    memcpy(instance->told.lost, status->lost, sizeof instance->told.lost);
    instance->expected_events = 0;
    memcpy(instance->told.capture_step, status->capture_step, sizeof instance->told.capture_step);
    ft_instance_drop_components(instance);
    size_t size = status->n_components * sizeof status->components[0];
    if (size > 0) {
        instance->components = malloc(size);
    }
    if (instance->components != NULL) {
        memcpy(instance->components, status->components, size);
        instance->n_components = status->n_components;
    }
}

void ft_instance_drop_components(struct ft_instance *instance)
{
    free(instance->components);
    instance->components = NULL;
    instance->n_components = 0;
}

size_t ft_instances_connected(struct ft_instances *instances)
{
    size_t n = 0;
    ft_mutex_lock(&instances->lock);
    for (size_t i = 0; i < instances->n_slots; i++) {
        n += instances->slots[i] != NULL && instances->slots[i]->connected;
    }
    ft_mutex_unlock(&instances->lock);
    return n;
}

static struct ft_instance *find_locked(struct ft_instances *instances,
                                       const struct ft_instance_key *key)
{
    for (size_t at = slot_of(key, instances->n_slots); instances->slots[at] != NULL;
         at = (at + 1) & (instances->n_slots - 1)) {
        if (memcmp(&instances->slots[at]->key, key, sizeof *key) == 0) {
            return instances->slots[at];
        }
    }
    return NULL;
}

static ft_err add_locked(struct ft_instances *instances, const struct ft_instance_key *key,
                         struct ft_instance **ret_instance)
{
    if (instances->n == FT_INSTANCES_MAX && !evict_locked(instances)) {
        return FT_E_FULL;
    }
    if ((instances->n + 1) * 2 > instances->n_slots) {
        FT_TRY(grow_locked(instances));
    }
    struct ft_instance *instance = calloc(1, sizeof *instance);
    if (instance == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    instance->key = *key;
    instance->place = instances->n_free_places > 0
                          ? instances->free_places[--instances->n_free_places]
                          : instances->n_places++;
    take_from_shelf_locked(instances, instance);
    insert(instances->slots, instances->n_slots, instance);
    instances->n++;
    *ret_instance = instance;
    return FT_OK;
}

static ft_err grow_locked(struct ft_instances *instances)
{
    size_t n_slots = instances->n_slots != 0 ? instances->n_slots * 2 : SLOTS_MIN;
    struct ft_instance **slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    for (size_t i = 0; i < instances->n_slots; i++) {
        if (instances->slots[i] != NULL) {
            insert(slots, n_slots, instances->slots[i]);
        }
    }
    free(instances->slots);
    instances->slots = slots;
    instances->n_slots = n_slots;
    return FT_OK;
}

/* Forgets the instance that was silent longest. */
static bool evict_locked(struct ft_instances *instances)
{
    size_t oldest = SIZE_MAX;
    for (size_t i = 0; i < instances->n_slots; i++) {
        const struct ft_instance *instance = instances->slots[i];
        if (instance != NULL && !instance->connected &&
            instance->stored_seq == instance->appended_seq &&
            (oldest == SIZE_MAX ||
             instance->last_heard_ns < instances->slots[oldest]->last_heard_ns)) {
            oldest = i;
        }
    }
    if (oldest == SIZE_MAX) {
        return false;
    }
    put_on_shelf_locked(instances, instances->slots[oldest]);
    unmark_dirty_locked(instances, instances->slots[oldest]);
    instances->free_places[instances->n_free_places++] = instances->slots[oldest]->place;
    free_instance(instances->slots[oldest]);
    instances->slots[oldest] = NULL;
    instances->n--;
    /* Later members of the run may have been placed past the hole: put them in again. */
    for (size_t at = (oldest + 1) & (instances->n_slots - 1); instances->slots[at] != NULL;
         at = (at + 1) & (instances->n_slots - 1)) {
        struct ft_instance *moved = instances->slots[at];
        instances->slots[at] = NULL;
        insert(instances->slots, instances->n_slots, moved);
    }
    return true;
}

static void put_on_shelf_locked(struct ft_instances *instances, const struct ft_instance *instance)
{
    struct ft_shelved position = {.agent_id = instance->key.agent_id,
                                  .instance_id = instance->key.instance_id,
                                  .durable_seq = instance->durable_seq,
                                  .kept_seq = instance->kept_seq,
                                  .kept_life = instance->kept_life,
                                  .stored_events = instance->stored_events};
    ft_shelf_put(&instances->shelf, &position);
}

/* What it has is stored: else it would not have made room. */
static void take_from_shelf_locked(struct ft_instances *instances, struct ft_instance *instance)
{
    struct ft_shelved position;
    if (ft_shelf_take(&instances->shelf, &instance->key.agent_id, &instance->key.instance_id,
                      &position)) {
        instance->durable_seq = position.durable_seq;
        instance->appended_seq = position.durable_seq;
        instance->stored_seq = position.durable_seq;
        instance->rejected_seq = position.durable_seq;
        instance->kept_seq = position.kept_seq;
        instance->kept_life = position.kept_life;
        instance->stored_events = position.stored_events;
        instance->appended_events = position.stored_events;
        instance->missing_events = position.durable_seq > position.stored_events
                                       ? position.durable_seq - position.stored_events
                                       : 0;
    }
}

static void insert(struct ft_instance **slots, size_t n_slots, struct ft_instance *instance)
{
    size_t at = slot_of(&instance->key, n_slots);
    while (slots[at] != NULL) {
        at = (at + 1) & (n_slots - 1);
    }
    slots[at] = instance;
}
