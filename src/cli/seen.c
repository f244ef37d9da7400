/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_MIN 256

/* An event's number is never 0: that is a free slot. */
struct ft_cli_seen_row {
    struct ft_uuid instance_id;
    uint64_t seq;
};

/* Where the row is, or the free slot where it belongs. */
static size_t probe(const struct ft_cli_seen_row *slots, size_t n_slots,
                    const struct ft_cli_seen_row *row)
{
    size_t at = (size_t)ft_hash64(row, sizeof *row, 0) & (n_slots - 1);
    while (slots[at].seq != 0 && memcmp(&slots[at], row, sizeof *row) != 0) {
        at = (at + 1) & (n_slots - 1);
    }
    return at;
}

/* Room for one more: slots are twice the rows at least, so that a probe always ends. */
static bool make_room(struct ft_cli_seen *seen)
{
    if (seen->n_young == FT_CLI_SEEN_ROWS) {
        free(seen->old);
        seen->old = seen->young;
        seen->old_slots = seen->young_slots;
        seen->young = NULL;
        seen->young_slots = 0;
        seen->n_young = 0;
    }
    if ((seen->n_young + 1) * 2 <= seen->young_slots) {
        return true;
    }
    size_t n_slots = seen->young_slots != 0 ? seen->young_slots * 2 : SLOTS_MIN;
    struct ft_cli_seen_row *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < seen->young_slots; i++) {
        if (seen->young[i].seq != 0) {
            slots[probe(slots, n_slots, &seen->young[i])] = seen->young[i];
        }
    }
    free(seen->young);
    seen->young = slots;
    seen->young_slots = n_slots;
    return true;
}

void ft_cli_seen_deinit(struct ft_cli_seen *seen)
{
    free(seen->young);
    free(seen->old);
    *seen = (struct ft_cli_seen){0};
}

void ft_cli_seen_add(struct ft_cli_seen *seen, const struct ft_row *row)
{
    struct ft_cli_seen_row key = {row->instance_id, row->event.seq};
    if (key.seq == 0 || !make_room(seen)) {
        return;
    }
    size_t at = probe(seen->young, seen->young_slots, &key);
    if (seen->young[at].seq == 0) {
        seen->young[at] = key;
        seen->n_young++;
    }
}

bool ft_cli_seen_has(const struct ft_cli_seen *seen, const struct ft_row *row)
{
    struct ft_cli_seen_row key = {row->instance_id, row->event.seq};
    return (seen->young_slots > 0 &&
            seen->young[probe(seen->young, seen->young_slots, &key)].seq != 0) ||
           (seen->old_slots > 0 && seen->old[probe(seen->old, seen->old_slots, &key)].seq != 0);
}
