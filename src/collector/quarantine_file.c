/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/quarantine_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/le.h"

/* Blocks are smaller (store/log.h); what is rejected may be as large as a message. */
#define BLOCK_SIZE_MAX ((uint64_t)16 << 20)

static const char magic[8] = "FTQUAR1\n";
static const char *const kind_names[FT_QUARANTINE_KIND_N] = {"suspect", "poison", "rejected"};

static void encode_header(const struct ft_uuid *log_id, const struct ft_quarantine_entry *entry,
                          uint8_t *to)
{
    memset(to, 0, FT_QUARANTINE_HEADER_SIZE);
    memcpy(to, magic, sizeof magic);
    ft_le_put(to + 16, entry->kind == FT_QUARANTINE_REJECTED ? 2 : 1, 4);
    ft_le_put(to + 20, entry->n_events, 4);
    ft_le_put(to + 24, entry->first_seq, 8);
    ft_le_put(to + 32, (uint64_t)entry->time_ns, 8);
    ft_le_put(to + 40, entry->position, 8);
    memcpy(to + 48, log_id->bytes, 16);
    memcpy(to + 64, entry->agent_id.bytes, 16);
    memcpy(to + 80, entry->instance_id.bytes, 16);
    memcpy(to + 96, entry->principal, strnlen(entry->principal, sizeof entry->principal));
    memcpy(to + 160, entry->reason, strnlen(entry->reason, sizeof entry->reason - 1));
}

ft_err ft_quarantine_file_write(struct ft_disk *disk, const struct ft_uuid *log_id,
                                const struct ft_quarantine_entry *entry, const void *data,
                                bool durable)
{
    size_t size = FT_QUARANTINE_HEADER_SIZE + entry->size;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    encode_header(log_id, entry, bytes);
    memcpy(bytes + FT_QUARANTINE_HEADER_SIZE, data, entry->size);
    ft_le_put(bytes + 8, ft_hash64(bytes + 16, size - 16, 0), 8);
    char name[FT_DISK_NAME_SIZE];
    ft_quarantine_file_name(entry, name);
    struct ft_disk_file *file = NULL;
    ft_err err = disk->ops->open(disk, name, true, &file);
    if (err == FT_OK) {
        err = disk->ops->write_at(file, 0, bytes, size);
        if (err == FT_OK && durable) {
            err = disk->ops->sync(file);
        }
        disk->ops->close(file);
        if (err == FT_OK && durable) {
            err = disk->ops->sync_dir(disk);
        }
    }
    free(bytes);
    return err;
}

ft_err ft_quarantine_file_read(struct ft_disk *disk, const struct ft_uuid *log_id,
                               struct ft_quarantine_entry *entry)
{
    char name[FT_DISK_NAME_SIZE];
    char *data = NULL;
    size_t size = 0;
    ft_quarantine_file_name(entry, name);
    FT_TRY(ft_disk_read_all(disk, name, FT_QUARANTINE_HEADER_SIZE + BLOCK_SIZE_MAX, &data, &size));
    const uint8_t *bytes = (const uint8_t *)data;
    if (size < FT_QUARANTINE_HEADER_SIZE || memcmp(bytes, magic, sizeof magic) != 0 ||
        ft_le_get(bytes + 8, 8) != ft_hash64(bytes + 16, size - 16, 0)) {
        free(data);
        return FT_E_CORRUPT;
    }
    entry->size = size - FT_QUARANTINE_HEADER_SIZE;
    entry->n_events = (uint32_t)ft_le_get(bytes + 20, 4);
    entry->first_seq = ft_le_get(bytes + 24, 8);
    entry->time_ns = (int64_t)ft_le_get(bytes + 32, 8);
    entry->position = ft_le_get(bytes + 40, 8);
    entry->of_this_log = memcmp(bytes + 48, log_id->bytes, 16) == 0;
    memcpy(entry->agent_id.bytes, bytes + 64, 16);
    memcpy(entry->instance_id.bytes, bytes + 80, 16);
    memcpy(entry->principal, bytes + 96, sizeof entry->principal - 1);
    memcpy(entry->reason, bytes + 160, sizeof entry->reason - 1);
    free(data);
    return FT_OK;
}

bool ft_quarantine_name_parse(const char *name, enum ft_quarantine_kind *ret_kind,
                              uint64_t *ret_number)
{
    for (unsigned kind = 0; kind < FT_QUARANTINE_KIND_N; kind++) {
        size_t len = strlen(kind_names[kind]);
        const char *digits = name + len + 1;
        if (strncmp(name, kind_names[kind], len) == 0 && name[len] == '-' && strlen(digits) == 16 &&
            strspn(digits, "0123456789abcdef") == 16) {
            *ret_kind = (enum ft_quarantine_kind)kind;
            *ret_number = strtoull(digits, NULL, 16);
            return true;
        }
    }
    return false;
}

const char *ft_quarantine_kind_name(enum ft_quarantine_kind kind) { return kind_names[kind]; }

void ft_quarantine_file_name(const struct ft_quarantine_entry *entry, char *buf)
{
    (void)snprintf(buf, FT_DISK_NAME_SIZE, "%s-%016" PRIx64, kind_names[entry->kind],
                   entry->number);
}
