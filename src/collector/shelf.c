/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define PLACES_FIRST ((uint32_t)1024)

static bool grow(struct ft_shelf *shelf);
static uint32_t *find_slot(const struct ft_shelf *shelf, const struct ft_uuid *agent_id,
                           const struct ft_uuid *instance_id);
static void clear_slot(struct ft_shelf *shelf, uint32_t slot);
static uint32_t home_of(const struct ft_shelf *shelf, const struct ft_uuid *agent_id,
                        const struct ft_uuid *instance_id);

void ft_shelf_deinit(struct ft_shelf *shelf)
{
    free(shelf->places);
    free(shelf->slots);
    *shelf = (struct ft_shelf){0};
}

void ft_shelf_put(struct ft_shelf *shelf, const struct ft_shelved *position)
{
    if (position->durable_seq == 0 || (shelf->next == shelf->n_places && !grow(shelf))) {
        return;
    }
    struct ft_shelved *place = &shelf->places[shelf->next];
    if (place->durable_seq != 0) {
        uint32_t *old = find_slot(shelf, &place->agent_id, &place->instance_id);
        clear_slot(shelf, (uint32_t)(old - shelf->slots));
    }
    *place = *position;
    *find_slot(shelf, &position->agent_id, &position->instance_id) = shelf->next + 1;
    shelf->next++;
    if (shelf->next == FT_SHELF_MAX) {
        shelf->next = 0; /* From now on the oldest makes room. */
    }
}

bool ft_shelf_take(struct ft_shelf *shelf, const struct ft_uuid *agent_id,
                   const struct ft_uuid *instance_id, struct ft_shelved *ret_position)
{
    uint32_t *slot = shelf->slots != NULL ? find_slot(shelf, agent_id, instance_id) : NULL;
    if (slot == NULL || *slot == 0) {
        return false;
    }
    struct ft_shelved *place = &shelf->places[*slot - 1];
    *ret_position = *place;
    *place = (struct ft_shelved){0};
    clear_slot(shelf, (uint32_t)(slot - shelf->slots));
    return true;
}

/* Twice as many places; false at the bound, or without memory. */
static bool grow(struct ft_shelf *shelf)
{
    uint32_t n = shelf->n_places != 0 ? shelf->n_places * 2 : PLACES_FIRST;
    if (n > FT_SHELF_MAX) {
        return false;
    }
    struct ft_shelved *places = calloc(n, sizeof *places);
    uint32_t *slots = calloc(2 * (size_t)n, sizeof *slots);
    if (places == NULL || slots == NULL) {
        free(places);
        free(slots);
        return false;
    }
    if (shelf->places != NULL) {
        memcpy(places, shelf->places, shelf->n_places * sizeof *places);
    }
    uint32_t n_before = shelf->n_places;
    free(shelf->places);
    free(shelf->slots);
    shelf->places = places;
    shelf->slots = slots;
    shelf->n_places = n;
    for (uint32_t i = 0; i < n_before; i++) {
        if (places[i].durable_seq != 0) {
            *find_slot(shelf, &places[i].agent_id, &places[i].instance_id) = i + 1;
        }
    }
    return true;
}

static uint32_t home_of(const struct ft_shelf *shelf, const struct ft_uuid *agent_id,
                        const struct ft_uuid *instance_id)
{
    uint64_t hash = ft_hash64(agent_id, sizeof *agent_id, 0);
    return (uint32_t)ft_hash64(instance_id, sizeof *instance_id, hash) & (2 * shelf->n_places - 1);
}

/* The instance's slot, or the free one where it belongs. */
static uint32_t *find_slot(const struct ft_shelf *shelf, const struct ft_uuid *agent_id,
                           const struct ft_uuid *instance_id)
{
    uint32_t mask = 2 * shelf->n_places - 1;
    uint32_t at = home_of(shelf, agent_id, instance_id);
    for (; shelf->slots[at] != 0; at = (at + 1) & mask) {
        const struct ft_shelved *place = &shelf->places[shelf->slots[at] - 1];
        if (ft_uuid_equal(&place->instance_id, instance_id) &&
            ft_uuid_equal(&place->agent_id, agent_id)) {
            break;
        }
    }
    return &shelf->slots[at];
}

/* Later members of the run move up, where the hole would hide them. */
static void clear_slot(struct ft_shelf *shelf, uint32_t slot)
{
    uint32_t mask = 2 * shelf->n_places - 1;
    shelf->slots[slot] = 0;
    for (uint32_t at = (slot + 1) & mask; shelf->slots[at] != 0; at = (at + 1) & mask) {
        const struct ft_shelved *place = &shelf->places[shelf->slots[at] - 1];
        uint32_t home = home_of(shelf, &place->agent_id, &place->instance_id);
        if (((at - home) & mask) >= ((at - slot) & mask)) {
            shelf->slots[slot] = shelf->slots[at];
            shelf->slots[at] = 0;
            slot = at;
        }
    }
}
