/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/seen.h"

#include <stdlib.h>

/* The place of the instance, or 'n'. */
static size_t find(const struct ft_cli_seen *seen, const struct ft_uuid *instance_id)
{
    size_t i = 0;
    while (i < seen->n && !ft_uuid_equal(&seen->items[i].instance_id, instance_id)) {
        i++;
    }
    return i;
}

void ft_cli_seen_deinit(struct ft_cli_seen *seen)
{
    free(seen->items);
    *seen = (struct ft_cli_seen){0};
}

void ft_cli_seen_add(struct ft_cli_seen *seen, const struct ft_row *row)
{
    size_t i = find(seen, &row->instance_id);
    if (i == seen->n) {
        void *items =
            i < FT_CLI_SEEN_MAX ? realloc(seen->items, (i + 1) * sizeof *seen->items) : NULL;
        if (items == NULL) {
            return;
        }
        seen->items = items;
        seen->items[i].instance_id = row->instance_id;
        seen->items[i].seq = 0;
        seen->n++;
    }
    if (row->event.seq > seen->items[i].seq) {
        seen->items[i].seq = row->event.seq;
    }
}

bool ft_cli_seen_has(const struct ft_cli_seen *seen, const struct ft_row *row)
{
    size_t i = find(seen, &row->instance_id);
    return i < seen->n && row->event.seq <= seen->items[i].seq;
}
