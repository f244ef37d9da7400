/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was shown of each instance, so that a row which comes both from the store and live is shown
 * once.  The store takes an instance's events in the order of their numbers: what is not above the
 * highest number shown was stored when the store was asked.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_SEEN_H
#define FT_CLI_SEEN_H 1

#include <stdbool.h>
#include <stddef.h>

#include "flow/query.h"

/* Past this many instances rows may be shown twice. */
#define FT_CLI_SEEN_MAX 4096

/* Begin with all zero. */
struct ft_cli_seen {
    struct {
        struct ft_uuid instance_id;
        uint64_t seq;
    } * items;
    size_t n;
};

void ft_cli_seen_deinit(struct ft_cli_seen *seen);
/* Without memory the row may be shown twice. */
void ft_cli_seen_add(struct ft_cli_seen *seen, const struct ft_row *row);
bool ft_cli_seen_has(const struct ft_cli_seen *seen, const struct ft_row *row);

#endif
