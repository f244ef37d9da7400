/* SPDX-License-Identifier: Apache-2.0 */
#include "source/ended.h"

#include <stdlib.h>

#include "source/memory.h"

/* The lowest bits of 'tag' are flags, the others the hash's. */
#define TAG_EXACT    UINT64_C(1)
#define TAG_USED     UINT64_C(2)
#define TAG_INFERRED UINT64_C(4)
#define TAG_HASH     (~(TAG_EXACT | TAG_USED | TAG_INFERRED))
#define PLACE(hash)  ((hash) >> 16 & (FT_ENDED_PLACES - 1))

struct place {
    uint64_t tag;
    int64_t start_ns;
};

struct ft_ended {
    struct ft_memory *memory; /* NULL: nothing is saved. */
    struct place *places;
    struct place *own;
};

_Static_assert(sizeof(struct place) * FT_ENDED_PLACES == FT_ENDED_BYTES, "the room in memory");

ft_err ft_ended_create(struct ft_memory *memory, bool saving, struct ft_ended **ret_ended)
{
    FT_CLEANUP(ft_ended_destroy) struct ft_ended *ended = calloc(1, sizeof *ended);
    if (ended == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    if (memory == NULL) {
        ended->own = calloc(FT_ENDED_PLACES, sizeof *ended->own);
    }
    ended->memory = saving ? memory : NULL;
    ended->places = memory != NULL ? (struct place *)(void *)memory->ended : ended->own;
    if (ended->places == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    *ret_ended = FT_TAKE(ended);
    return FT_OK;
}

void ft_ended_destroy(struct ft_ended *ended)
{
    if (ended != NULL) {
        free(ended->own);
        free(ended);
    }
}

void ft_ended_add(struct ft_ended *ended, uint64_t hash, const struct ft_ended_flow *flow)
{
    uint64_t tag = (hash & TAG_HASH) | TAG_USED;
    tag |= flow->exact ? TAG_EXACT : 0;
    tag |= flow->inferred ? TAG_INFERRED : 0;
    struct place *place = &ended->places[PLACE(hash)];
    ft_memory_save(ended->memory, place, sizeof *place);
    *place = (struct place){.tag = tag, .start_ns = flow->start_ns};
}

bool ft_ended_find(const struct ft_ended *ended, uint64_t hash, struct ft_ended_flow *ret_flow)
{
    const struct place *place = &ended->places[PLACE(hash)];
    if (((place->tag ^ hash) & TAG_HASH) != 0 || (place->tag & TAG_USED) == 0) {
        return false;
    }
    *ret_flow = (struct ft_ended_flow){
        .start_ns = place->start_ns,
        .exact = (place->tag & TAG_EXACT) != 0,
        .inferred = (place->tag & TAG_INFERRED) != 0,
    };
    return true;
}
