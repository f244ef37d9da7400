/* SPDX-License-Identifier: Apache-2.0 */
#include "store/slot_file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define VERSION 2

static ft_err adopt(struct ft_slot_file *slots);
static ft_err write_anew(struct ft_slot_file *slots, const uint8_t *slot, size_t size);
static ft_err write_slot(struct ft_slot_file *slots, const uint8_t *slot, size_t size,
                         bool durable);
static void put(uint8_t *to, uint64_t value, unsigned size);
static uint64_t get(const uint8_t *from, unsigned size);

ft_err ft_slot_file_read(struct ft_disk *disk, const char *name, const struct ft_slot_kind *kind,
                         void *record, size_t *ret_size, uint64_t *ret_generation)
{
    char *data;
    size_t file_size;
    ft_err err = ft_disk_read_all(disk, name, 2 * kind->slot_bytes, &data, &file_size);
    if (err != FT_OK) {
        return err == FT_E_RANGE ? FT_E_CORRUPT : err;
    }
    bool found = false;
    for (unsigned i = 0; i < 2; i++) {
        size_t offset = i * kind->slot_bytes;
        uint64_t generation;
        const uint8_t *from;
        size_t size;
        if (file_size > offset &&
            ft_slot_decode(kind, (const uint8_t *)data + offset, file_size - offset, &generation,
                           &from, &size) &&
            (!found || generation > *ret_generation)) {
            memcpy(record, from, size);
            *ret_size = size;
            *ret_generation = generation;
            found = true;
        }
    }
    free(data);
    return found ? FT_OK : FT_E_CORRUPT;
}

void ft_slot_file_init(struct ft_slot_file *slots, struct ft_disk *disk, const char *name,
                       const struct ft_slot_kind *kind, uint64_t generation)
{
    assert(kind->slot_bytes % 512 == 0 && kind->slot_bytes <= FT_SLOT_BYTES_MAX);
    *slots = (struct ft_slot_file){.kind = kind, .disk = disk, .generation = generation};
    (void)snprintf(slots->name, sizeof slots->name, "%s", name);
}

void ft_slot_file_close(struct ft_slot_file *slots)
{
    if (slots->file != NULL) {
        slots->disk->ops->close(slots->file);
        slots->file = NULL;
    }
}

ft_err ft_slot_file_write(struct ft_slot_file *slots, const void *record, size_t size, bool durable)
{
    size_t slot_size = FT_SLOT_HEADER_SIZE + size;
    assert(slot_size <= slots->kind->slot_bytes);
    uint8_t *slot = malloc(slot_size);
    if (slot == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_slot_encode(slots->kind, ++slots->generation, record, size, slot);
    ft_err err = FT_OK;
    if (slots->file != NULL) {
        err = write_slot(slots, slot, slot_size, durable);
        if (err != FT_OK) {
            /* The file is lost: a new one takes its place, once it is whole. */
            ft_slot_file_close(slots);
        }
    }
    if (slots->file == NULL) {
        err = write_anew(slots, slot, slot_size);
        /* Where there is no room for a new file, the old one has room for a slot. */
        if (err != FT_OK && ft_err_kind(err) == FT_KIND_BLOCKED && adopt(slots) == FT_OK) {
            err = write_slot(slots, slot, slot_size, durable);
            if (err != FT_OK) {
                ft_slot_file_close(slots);
            }
        }
    }
    free(slot);
    return err;
}

void ft_slot_encode(const struct ft_slot_kind *kind, uint64_t generation, const void *record,
                    size_t size, uint8_t *to)
{
    memcpy(to, kind->magic, 4);
    put(to + 4, VERSION, 4);
    put(to + 16, generation, 8);
    put(to + 24, size, 4);
    put(to + 28, 0, 4);
    if (size > 0) {
        memcpy(to + FT_SLOT_HEADER_SIZE, record, size);
    }
    put(to + 8, ft_hash64(to + 16, FT_SLOT_HEADER_SIZE - 16 + size, 0), 8);
}

bool ft_slot_decode(const struct ft_slot_kind *kind, const uint8_t *from, size_t from_size,
                    uint64_t *ret_generation, const uint8_t **ret_record, size_t *ret_size)
{
    size_t room = from_size < kind->slot_bytes ? from_size : kind->slot_bytes;
    if (room < FT_SLOT_HEADER_SIZE || memcmp(from, kind->magic, 4) != 0 ||
        get(from + 4, 4) != VERSION) {
        return false;
    }
    uint64_t size = get(from + 24, 4);
    if (size > room - FT_SLOT_HEADER_SIZE ||
        get(from + 8, 8) != ft_hash64(from + 16, FT_SLOT_HEADER_SIZE - 16 + (size_t)size, 0)) {
        return false;
    }
    *ret_generation = get(from + 16, 8);
    *ret_record = from + FT_SLOT_HEADER_SIZE;
    *ret_size = (size_t)size;
    return *ret_generation < UINT64_MAX;
}

/* The whole file is written, so that later writes find their place on the disk. */
static ft_err write_anew(struct ft_slot_file *slots, const uint8_t *slot, size_t size)
{
    size_t file_size = 2 * slots->kind->slot_bytes;
    uint8_t *data = calloc(1, file_size);
    if (data == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    memcpy(data, slot, size);
    ft_err err = ft_disk_replace(slots->disk, slots->name, data, file_size);
    free(data);
    FT_TRY(err);
    slots->stable = 0;
    slots->spoilt = false;
    return slots->disk->ops->open(slots->disk, slots->name, false, &slots->file);
}

/*
 * Opens the file that is there; its newest slot is the one to be left alone.  A process before this
 * one may have failed to sync it, and then it is in the page cache only: it is written again.  The
 * other goes along; what of the file is on the disk is written over with the same.  Nor is its name
 * on the disk where a replacement got as far as that.
 */
static ft_err adopt(struct ft_slot_file *slots)
{
    const struct ft_disk_ops *ops = slots->disk->ops;
    size_t slot_bytes = slots->kind->slot_bytes;
    struct ft_disk_file *file;
    if (slots->spoilt) {
        return ft_err_from_errno(EIO);
    }
    uint8_t *data = malloc(2 * slot_bytes);
    if (data == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    size_t size = 0;
    uint64_t newest = 0;
    ft_err err = ops->open(slots->disk, slots->name, false, &file);
    if (err == FT_OK) {
        err = ops->read_at(file, 0, data, 2 * slot_bytes, &size);
        slots->file = file;
    }
    for (unsigned i = 0; i < 2 && err == FT_OK; i++) {
        uint64_t generation;
        const uint8_t *record;
        size_t record_size;
        if (size >= (i + 1) * slot_bytes &&
            ft_slot_decode(slots->kind, data + i * slot_bytes, slot_bytes, &generation, &record,
                           &record_size) &&
            generation > newest) {
            newest = generation;
            slots->stable = i;
        }
    }
    if (err == FT_OK && newest == 0) {
        err = FT_E_CORRUPT;
    }
    if (err == FT_OK) {
        err = ops->write_at(file, 0, data, size);
    }
    if (err == FT_OK) {
        err = ops->sync(file);
        slots->spoilt = err != FT_OK;
    }
    if (err == FT_OK) {
        err = ops->sync_dir(slots->disk);
    }
    free(data);
    if (err != FT_OK) {
        ft_slot_file_close(slots);
    }
    return err;
}

static ft_err write_slot(struct ft_slot_file *slots, const uint8_t *slot, size_t size, bool durable)
{
    const struct ft_disk_ops *ops = slots->disk->ops;
    unsigned other = 1 - slots->stable;
    FT_TRY(ops->write_at(slots->file, other * slots->kind->slot_bytes, slot, size));
    if (durable) {
        ft_err err = ops->sync(slots->file);
        slots->spoilt = err != FT_OK;
        FT_TRY(err);
        slots->stable = other;
    }
    return FT_OK;
}

static void put(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}
