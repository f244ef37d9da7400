/* SPDX-License-Identifier: Apache-2.0 */
/* What the damaged parts of segment files have cost, told by the positions around them. */
#include "store/inspect.h"

static bool measure(const struct ft_store_candidate *candidates, size_t n, size_t i,
                    const struct ft_store_damage *part, uint64_t *ret_lost);

void ft_store_report_damages(const struct ft_store_candidate *candidates, size_t n,
                             bool may_have_gaps, ft_log_damage_fn *fn, void *ctx)
{
    uint64_t last = 0;
    bool last_known = false;
    bool had_wreck = false;
    for (size_t i = 0; i < n; i++) {
        const struct ft_store_candidate *candidate = &candidates[i];
        struct ft_log_damage damage = {0};
        ft_store_segment_name(candidate->number, damage.file);
        /* What is in a newer file as well is not missing. */
        uint64_t previous =
            candidate->previous < candidate->limit ? candidate->previous : candidate->limit - 1;
        if (!may_have_gaps && ft_store_candidate_usable(candidate) && previous > last &&
            (last_known || had_wreck)) {
            damage.blocks_lost = last_known ? previous - last : 0;
            damage.what = "blocks before it are missing";
            fn(ctx, &damage);
        }
        uint64_t end = candidate->blocks.last; /* What is missing up to here was told. */
        size_t n_parts = candidate->damages != NULL ? candidate->damages->n : 0;
        for (size_t k = 0; k < n_parts; k++) {
            const struct ft_store_damage *part = &candidate->damages->parts[k];
            if (measure(candidates, n, i, part, &damage.blocks_lost)) {
                damage.offset = part->offset;
                damage.size = part->size;
                damage.what = part->what;
                fn(ctx, &damage);
                uint64_t told = part->before - 1;
                if (part->before == FT_STORE_NO_BLOCK_BEHIND) {
                    told = part->after + damage.blocks_lost;
                }
                end = told > end ? told : end;
            }
        }
        if (candidate->foreign) {
            continue;
        }

        end = end < candidate->limit ? end : candidate->limit - 1;
        last = end > last ? end : last;
        last_known = last_known || candidate->header_known || ft_store_candidate_usable(candidate);
        had_wreck = had_wreck || !ft_store_candidate_usable(candidate);
    }
}

/* Positions between the blocks before and behind a damaged part that are nowhere else. */
static bool measure(const struct ft_store_candidate *candidates, size_t n, size_t i,
                    const struct ft_store_damage *part, uint64_t *ret_lost)
{
    const struct ft_store_candidate *candidate = &candidates[i];
    *ret_lost = 0;
    uint64_t before = part->before;
    if (before == FT_STORE_NO_BLOCK_BEHIND) {
        /* The next segment's header says how far the log had come. */
        while (++i < n && !ft_store_candidate_usable(&candidates[i])) {
        }
        if (i == n || part->after == 0 || candidates[i].previous == 0) {
            return true;
        }
        before = candidates[i].previous + 1;
        if (before <= part->after + 1) {
            return false;
        }
    }
    before = before < candidate->limit ? before : candidate->limit;
    if (part->after > 0 && before > part->after + 1) {
        *ret_lost = before - part->after - 1;
    }
    /* Superseded: what was damaged here is whole elsewhere. */
    return part->after + 1 < candidate->limit;
}
