/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's present set of tokens, shared by its threads and replaced on reload.  A reload
 * that fails keeps the last good set.
 *
 * Thread: any; lookups hold a leaf lock for the time of the comparison only.
 */
#ifndef FT_AUTH_TOKEN_STORE_H
#define FT_AUTH_TOKEN_STORE_H 1

#include "auth/token_set.h"

struct ft_token_store;

/* Loads 'path', which is copied.  Fails as ft_token_set_load(). */
FT_MUST_USE ft_err ft_token_store_create(const char *path, struct ft_token_store **ret_store,
                                         struct ft_diag *reterr_diag);

/* Accepts NULL. */
void ft_token_store_destroy(struct ft_token_store *store);
FT_DEFINE_CLEANUP(struct ft_token_store, ft_token_store_destroy);

/* Reads the file again; on failure the last good set stays. */
FT_MUST_USE ft_err ft_token_store_reload(struct ft_token_store *store, struct ft_diag *reterr_diag);

/* As ft_token_set_lookup(). */
FT_MUST_USE ft_err ft_token_store_lookup(struct ft_token_store *store, const char *token,
                                         size_t len, struct ft_principal *ret_principal);

size_t ft_token_store_size(struct ft_token_store *store);

#endif
