/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions of instances that made room in the registry (instances.h).  Were one to return and be
 * taken for new, its agent would believe that this collector has lost all that it had.
 *
 * Bounded: at FT_SHELF_MAX the one that was put away first is forgotten.  Some 80 bytes each.
 *
 * Thread: caller locks.
 */
#ifndef FT_COLLECTOR_SHELF_H
#define FT_COLLECTOR_SHELF_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/ids.h"

#define FT_SHELF_MAX ((uint32_t)1 << 18)

struct ft_shelved {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    uint64_t durable_seq; /* 0: an empty place. */
    uint64_t kept_seq;
    uint64_t kept_life;
    uint64_t stored_events;
};

struct ft_shelf {
    struct ft_shelved *places; /* A ring, oldest first. */
    uint32_t n_places;         /* Allocated; a power of two up to FT_SHELF_MAX. */
    uint32_t next;             /* Where the next one goes. */
    uint32_t *slots;           /* Place + 1, by hash; 0 is free.  Twice as many as places. */
};

/* All zero is an empty shelf. */
void ft_shelf_deinit(struct ft_shelf *shelf);

/* Keeps '*position', which is not on the shelf.  Without memory it is forgotten. */
void ft_shelf_put(struct ft_shelf *shelf, const struct ft_shelved *position);

/* Takes the position of an instance off the shelf; false when it is not there. */
bool ft_shelf_take(struct ft_shelf *shelf, const struct ft_uuid *agent_id,
                   const struct ft_uuid *instance_id, struct ft_shelved *ret_position);

#endif
