/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens that a collector accepts, from its token file.  The file holds hashes only, so that
 * reading it (or a backup of it) gives nobody access.
 *
 *     # comment
 *     web-tier: sha256:9f86d0…                      one token for a group of agents
 *     db-01: sha256:60303a… agent=0b7e…-…           bound to one agent_id
 *     dba: sha256:fcde2b… role=query                may read, not write
 *
 * One entry a line: "name: sha256:HEX [agent=UUID] [role=agent|query|admin] [tenant=NAME]".  A name
 * may have several entries, so that a token can be replaced without a gap; a hash may not appear
 * twice.  An agent's token cannot be used to query, nor the other way round.
 *
 * Looking a token up compares its hash with every entry in constant time, so the time taken says
 * nothing about how much of it matched.
 *
 * Bounds: FT_TOKEN_SET_MAX entries, FT_TOKEN_SET_FILE_MAX bytes.
 *
 * Thread: a set is immutable; any.
 */
#ifndef FT_AUTH_TOKEN_SET_H
#define FT_AUTH_TOKEN_SET_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/token.h"
#include "base/cleanup.h"
#include "base/error.h"

#define FT_TOKEN_SET_MAX       10000
#define FT_TOKEN_SET_FILE_MAX  (4u * 1024 * 1024)
#define FT_PRINCIPAL_NAME_SIZE 64

enum ft_role {
    FT_ROLE_AGENT, /* Sends events.  The default. */
    FT_ROLE_QUERY, /* Reads events and the state of the fleet. */
    FT_ROLE_ADMIN, /* Also changes the agents' configuration. */
    FT_ROLE_N
};

/* Who a token stands for. */
struct ft_principal {
    char name[FT_PRINCIPAL_NAME_SIZE];   /* [A-Za-z0-9._-] */
    char tenant[FT_PRINCIPAL_NAME_SIZE]; /* "default" unless told. */
    enum ft_role role;
    bool has_agent_id;
    uint8_t agent_id[16]; /* Only this agent may use the token. */
};

struct ft_token_set;

/* 'file' names the text in messages.  Fails with FT_E_SYNTAX, FT_E_RANGE, -ENOMEM. */
FT_MUST_USE ft_err ft_token_set_parse(const char *text, size_t size, const char *file,
                                      struct ft_token_set **ret_set, struct ft_diag *reterr_diag);

/* The same for a file; also fails with the system's error. */
FT_MUST_USE ft_err ft_token_set_load(const char *path, struct ft_token_set **ret_set,
                                     struct ft_diag *reterr_diag);

/* Accepts NULL. */
void ft_token_set_destroy(struct ft_token_set *set);
FT_DEFINE_CLEANUP(struct ft_token_set, ft_token_set_destroy);

size_t ft_token_set_size(const struct ft_token_set *set);

/* FT_E_AUTH when no entry has this token (or 'set' is NULL). */
FT_MUST_USE ft_err ft_token_set_lookup(const struct ft_token_set *set, const char *token,
                                       size_t len, struct ft_principal *ret_principal);

/* "agent", "query", "admin". */
const char *ft_role_text(enum ft_role role);

#endif
