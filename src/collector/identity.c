/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/identity.h"

#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX 64

static ft_err tell(ft_err err, const char *name, struct ft_diag *reterr_diag);

ft_err ft_identity_open(struct ft_disk *disk, struct ft_disk *log_disk, struct ft_random *random,
                        struct ft_identity *ret_identity, struct ft_diag *reterr_diag)
{
    struct ft_identity identity = {0};
    const struct {
        struct ft_disk *disk;
        const char *name;
        struct ft_uuid *id;
    } ids[] = {{disk, FT_IDENTITY_COLLECTOR, &identity.collector_id},
               {log_disk, FT_IDENTITY_LOG, &identity.log_id},
               {log_disk, FT_IDENTITY_EPOCH, &identity.store_epoch}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        FT_TRY(tell(ft_identity_load(ids[i].disk, ids[i].name, random, ids[i].id), ids[i].name,
                    reterr_diag));
    }
    FT_TRY(tell(ft_receipt_signer_load(disk, FT_IDENTITY_KEY, random, &identity.signer),
                FT_IDENTITY_KEY, reterr_diag));
    *ret_identity = identity;
    return FT_OK;
}

void ft_identity_close(struct ft_identity *identity)
{
    ft_receipt_signer_destroy(identity->signer);
    identity->signer = NULL;
}

ft_err ft_identity_load(struct ft_disk *disk, const char *name, struct ft_random *random,
                        struct ft_uuid *ret_id)
{
    char *text = NULL;
    size_t size = 0;
    ft_err err = ft_disk_read_all(disk, name, FILE_SIZE_MAX, &text, &size);
    if (err == FT_OK) {
        text[strcspn(text, "\n")] = '\0';
        err = ft_uuid_parse(text, ret_id) == FT_OK ? FT_OK : FT_E_CORRUPT;
        free(text);
        return err;
    }
    if (err != ft_err_from_errno(ENOENT)) {
        return err;
    }
    struct ft_uuid id;
    ft_uuid_make_random(random, &id);
    FT_TRY(ft_identity_replace(disk, name, &id));
    *ret_id = id;
    return FT_OK;
}

ft_err ft_identity_replace(struct ft_disk *disk, const char *name, const struct ft_uuid *id)
{
    char line[FT_UUID_TEXT_SIZE + 1];
    ft_uuid_format(id, line);
    line[FT_UUID_TEXT_SIZE - 1] = '\n';
    return ft_disk_replace(disk, name, line, FT_UUID_TEXT_SIZE);
}

static ft_err tell(ft_err err, const char *name, struct ft_diag *reterr_diag)
{
    if (err == FT_OK) {
        return FT_OK;
    }
    return ft_diag_set(reterr_diag, err, NULL, 0, 0, "the collector's identity: %s: %s", name,
                       ft_err_text(err));
}
