/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of the hosts behind agent ids, as agent or collector tells them.  Asked for when the
 * first one is needed, and again, not too often, when an id is not known.
 *
 * Thread: the main thread.
 */
#ifndef FT_CLI_NAMES_H
#define FT_CLI_NAMES_H 1

#include "cli/filters.h"
#include "cli/where.h"
#include "flow/ids.h"

/* More agents than this have no names. */
#define FT_CLI_NAMES_MAX 10000

struct ft_cli_name {
    struct ft_uuid agent_id;
    char *host_name;
};

/* Begin with 'where' set and the rest zero. */
struct ft_cli_names {
    const struct ft_cli_where *where;
    struct ft_cli_name *items;
    size_t n;
    bool asked;
    int64_t asked_ns;
};

void ft_cli_names_deinit(struct ft_cli_names *names);

/* The host's name or NULL; fits ft_text_agent_name_fn ('ctx' is the struct). */
const char *ft_cli_names_find(void *ctx, const struct ft_uuid *agent_id);

/*
 * Adds what --node-name says as a filter by agent_id: an id stays as it is, a name ("web-*": all
 * that begin so) becomes the ids of its agents.  FT_E_NOT_FOUND, with '*reterr_diag', when there is
 * none; what asking gave.
 */
FT_MUST_USE ft_err ft_cli_names_filter(struct ft_cli_names *names, const char *text, bool negate,
                                       struct ft_cli_filters *filters, struct ft_diag *reterr_diag);

#endif
