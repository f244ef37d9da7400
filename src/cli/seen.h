/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stored rows were shown, so that a row which comes live as well is shown once.
 *
 * Each row is known by itself, not by the highest number shown of its instance: the store may take
 * further rows between two pages of an answer, and then a number below the highest need not have
 * been in it.
 *
 * Bounded: the latest FT_CLI_SEEN_ROWS rows are known for certain.  A row that is older than those
 * and comes live would be shown twice, never left out.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_SEEN_H
#define FT_CLI_SEEN_H 1

#include <stdbool.h>
#include <stddef.h>

#include "flow/query.h"

/* More than the newest rows that can be asked for (FT_CLI_NEWEST_MAX); 13 MB. */
#define FT_CLI_SEEN_ROWS ((size_t)1 << 18)

struct ft_cli_seen_row;

/* Two sets: when the younger one is full it replaces the older.  Begin with all zero. */
struct ft_cli_seen {
    struct ft_cli_seen_row *young;
    struct ft_cli_seen_row *old;
    size_t n_young;
    size_t young_slots; /* A power of two, or 0. */
    size_t old_slots;
};

void ft_cli_seen_deinit(struct ft_cli_seen *seen);
/* Without memory the row may be shown twice. */
void ft_cli_seen_add(struct ft_cli_seen *seen, const struct ft_row *row);
bool ft_cli_seen_has(const struct ft_cli_seen *seen, const struct ft_row *row);

#endif
