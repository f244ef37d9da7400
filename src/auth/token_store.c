/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

struct ft_token_store {
    char *path; /* Set at creation. */
    struct ft_mutex lock;
    struct ft_token_set *set FT_GUARDED;
};

ft_err ft_token_store_create(const char *path, struct ft_token_store **ret_store,
                             struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_token_set_destroy) struct ft_token_set *set = NULL;
    FT_TRY(ft_token_set_load(path, &set, reterr_diag));
    struct ft_token_store *store = calloc(1, sizeof *store);
    char *copy = strdup(path);
    if (store == NULL || copy == NULL) {
        free(store);
        free(copy);
        return ft_diag_set(reterr_diag, -ENOMEM, path, 0, 0, "out of memory");
    }
    ft_mutex_init(&store->lock);
    store->path = copy;
    ft_mutex_lock(&store->lock);
    store->set = FT_TAKE(set);
    ft_mutex_unlock(&store->lock);
    *ret_store = store;
    return FT_OK;
}

void ft_token_store_destroy(struct ft_token_store *store)
{
    if (store == NULL) {
        return;
    }
    ft_mutex_lock(&store->lock);
    ft_token_set_destroy(store->set);
    ft_mutex_unlock(&store->lock);
    ft_mutex_deinit(&store->lock);
    free(store->path);
    free(store);
}

ft_err ft_token_store_reload(struct ft_token_store *store, struct ft_diag *reterr_diag)
{
    struct ft_token_set *set = NULL;
    FT_TRY(ft_token_set_load(store->path, &set, reterr_diag));
    ft_mutex_lock(&store->lock);
    struct ft_token_set *old = store->set;
    store->set = set;
    ft_mutex_unlock(&store->lock);
    ft_token_set_destroy(old);
    return FT_OK;
}

ft_err ft_token_store_lookup(struct ft_token_store *store, const char *token, size_t len,
                             struct ft_principal *ret_principal)
{
    ft_mutex_lock(&store->lock);
    ft_err err = ft_token_set_lookup(store->set, token, len, ret_principal);
    ft_mutex_unlock(&store->lock);
    return err;
}

size_t ft_token_store_size(struct ft_token_store *store)
{
    ft_mutex_lock(&store->lock);
    size_t n = ft_token_set_size(store->set);
    ft_mutex_unlock(&store->lock);
    return n;
}
