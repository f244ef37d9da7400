/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/identity.h"

#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX 64

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
    char line[FT_UUID_TEXT_SIZE + 1];
    ft_uuid_format(&id, line);
    line[FT_UUID_TEXT_SIZE - 1] = '\n';
    FT_TRY(ft_disk_replace(disk, name, line, FT_UUID_TEXT_SIZE));
    *ret_id = id;
    return FT_OK;
}
