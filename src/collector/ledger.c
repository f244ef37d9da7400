/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/ledger.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/le.h"
#include "base/log.h"
#include "base/thread.h"

#define FILE_NAME   "ledger"
#define NEW_NAME    "ledger.new"
#define BAD_NAME    "ledger.bad"
#define HEADER_SIZE ((uint64_t)4096)
#define COPY_SIZE   ((size_t)1024)
#define PLACE_SIZE  (2 * COPY_SIZE)
/* Places read at once at the start, and written in one go. */
#define STEP_PLACES ((size_t)64)
#define NAME_SIZE   ((size_t)64)
#define NUMBERS_AT  ((size_t)184)
#define CAUSES      ((size_t)16)

static const char header_magic[8] = "FTLEDG1\n";
static const char copy_magic[4] = "FTLE";

/* The numbers, in the order of the file: new ones at the end, before the two lists by cause. */
static const size_t numbers[] = {
#define OWN(member)  offsetof(struct ft_instance, member)
#define TOLD(member) offsetof(struct ft_instance, told.member)
    OWN(started_ns),           OWN(connected_ns),
    OWN(last_heard_ns),        OWN(kept_seq), /* As far as it is durable. */
    OWN(stored_seq),           OWN(settled_position),
    OWN(appended_events),      OWN(received_events),
    OWN(quarantined_events),   OWN(damaged_events),
    OWN(duplicate_events),     OWN(rejected_events),
    OWN(missing_events),       TOLD(time_ns),
    TOLD(observed_events),     TOLD(acknowledged_events),
    TOLD(retained_events),     TOLD(retained_bytes),
    TOLD(filtered_events),     TOLD(merged_events),
    TOLD(sealed_events),       TOLD(sent_events),
    TOLD(our_appended_events), TOLD(our_rejected_events),
};
#define N_NUMBERS (sizeof numbers / sizeof numbers[0])
#define CAUSES_AT (COPY_SIZE - 2 * CAUSES * 8 - 8)

static_assert(NUMBERS_AT + N_NUMBERS * 8 <= CAUSES_AT, "the numbers do not fit into a copy");
static_assert(FT_LOSS_CAUSE_N <= CAUSES, "the causes do not fit into a copy");

struct ft_ledger {
    /* Set at creation. */
    struct ft_disk *disk;
    struct ft_instances *instances;
    struct ft_ledger_stats stats;
    struct ft_mutex lock;
    struct ft_disk_file *file FT_GUARDED;
    uint64_t generation FT_GUARDED; /* Of the last copy written. */
    /* By place: which copy is known to be on disk (0, 1), and whether the other one is newer. */
    uint8_t stable[FT_INSTANCES_MAX] FT_GUARDED;
    bool unsynced[FT_INSTANCES_MAX] FT_GUARDED;
};

static ft_err open_file(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock);
static ft_err make_file(struct ft_ledger *ledger, const char *name) FT_REQUIRES(ledger->lock);
static ft_err replace_file(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock);
static ft_err sync_file(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock);
static void give_up_file(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock);
static ft_err read_all(struct ft_ledger *ledger, int64_t since_ns) FT_REQUIRES(ledger->lock);
static ft_err write_again(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock);
static ft_err write_dirty(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock);
static void encode(const struct ft_instance *instance, uint64_t generation, uint8_t *to);
static bool is_copy(const uint8_t *copy);

ft_err ft_ledger_open(struct ft_disk *disk, struct ft_instances *instances, int64_t now_real_ns,
                      struct ft_ledger **ret_ledger)
{
    FT_CLEANUP(ft_ledger_close) struct ft_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_mutex_init(&ledger->lock);
    ledger->disk = disk;
    ledger->instances = instances;
    ft_mutex_lock(&ledger->lock);
    ft_err err = open_file(ledger);
    if (err == FT_OK) {
        err = read_all(ledger, now_real_ns - FT_LEDGER_FORGET_NS);
    }
    if (err == FT_OK && write_again(ledger) != FT_OK) {
        ledger->stats.failures++;
        give_up_file(ledger);
    }
    ft_mutex_unlock(&ledger->lock);
    FT_TRY(err);
    *ret_ledger = FT_TAKE(ledger);
    return FT_OK;
}

void ft_ledger_close(struct ft_ledger *ledger) FT_NO_TSA
{
    if (ledger == NULL) {
        return;
    }
    give_up_file(ledger);
    ft_mutex_deinit(&ledger->lock);
    free(ledger);
}

ft_err ft_ledger_write(struct ft_ledger *ledger, bool sync)
{
    if (ledger == NULL) {
        return FT_OK;
    }
    ft_mutex_lock(&ledger->lock);
    ft_err err;
    if (ledger->file == NULL) {
        err = replace_file(ledger);
    } else {
        err = write_dirty(ledger);
        if (err == FT_OK && sync) {
            err = sync_file(ledger);
        }
    }
    ft_mutex_unlock(&ledger->lock);
    if (err != FT_OK) {
        ledger->stats.failures++;
    }
    return err;
}

const struct ft_ledger_stats *ft_ledger_stats(const struct ft_ledger *ledger)
{
    return &ledger->stats;
}

static ft_err make_file(struct ft_ledger *ledger, const char *name)
{
    uint8_t header[HEADER_SIZE] = {0};
    memcpy(header, header_magic, sizeof header_magic);
    ft_le_put(header + 8, COPY_SIZE, 4);
    FT_TRY(ledger->disk->ops->open(ledger->disk, name, true, &ledger->file));
    FT_TRY(ledger->disk->ops->write_at(ledger->file, 0, header, sizeof header));
    return FT_OK;
}

static ft_err make_durable_file(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock)
{
    FT_TRY(make_file(ledger, FILE_NAME));
    FT_TRY(ledger->disk->ops->sync(ledger->file));
    return ledger->disk->ops->sync_dir(ledger->disk);
}

static void give_up_file(struct ft_ledger *ledger)
{
    if (ledger->file != NULL) {
        ledger->disk->ops->close(ledger->file);
        ledger->file = NULL;
    }
}

static ft_err sync_file(struct ft_ledger *ledger)
{
    ft_err err = ledger->disk->ops->sync(ledger->file);
    if (err != FT_OK) {
        /* What of it is on disk is not known any more. */
        give_up_file(ledger);
        return err;
    }
    for (size_t i = 0; i < FT_INSTANCES_MAX; i++) {
        ledger->stable[i] ^= ledger->unsynced[i];
        ledger->unsynced[i] = false;
    }
    ledger->stats.syncs++;
    return FT_OK;
}

static ft_err fill_and_rename(struct ft_ledger *ledger) FT_REQUIRES(ledger->lock)
{
    FT_TRY(make_file(ledger, NEW_NAME));
    memset(ledger->stable, 0, sizeof ledger->stable);
    memset(ledger->unsynced, 0, sizeof ledger->unsynced);
    ft_instances_mark_all_dirty(ledger->instances);
    FT_TRY(write_dirty(ledger));
    FT_TRY(sync_file(ledger));
    FT_TRY(ledger->disk->ops->rename(ledger->disk, NEW_NAME, FILE_NAME));
    return ledger->disk->ops->sync_dir(ledger->disk);
}

/* After a failed sync: everything into a new file. */
static ft_err replace_file(struct ft_ledger *ledger)
{
    ft_err err = ledger->disk->ops->remove(ledger->disk, NEW_NAME);
    if (err != FT_OK && err != ft_err_from_errno(ENOENT)) {
        return err;
    }
    err = fill_and_rename(ledger);
    if (err != FT_OK) {
        give_up_file(ledger);
    }
    return err;
}

static ft_err open_file(struct ft_ledger *ledger)
{
    const struct ft_disk_ops *ops = ledger->disk->ops;
    ft_err err = ops->open(ledger->disk, FILE_NAME, false, &ledger->file);
    if (err == ft_err_from_errno(ENOENT)) {
        return make_durable_file(ledger);
    }
    FT_TRY(err);
    uint8_t header[12];
    size_t size;
    FT_TRY(ops->read_at(ledger->file, 0, header, sizeof header, &size));
    if (size == sizeof header && memcmp(header, header_magic, sizeof header_magic) == 0 &&
        ft_le_get(header + 8, 4) == COPY_SIZE) {
        return FT_OK;
    }
    give_up_file(ledger);
    if (size == 0) {
        /* It was made, and the power failed before its header was on disk. */
        FT_TRY(ops->remove(ledger->disk, FILE_NAME));
    } else {
        ft_log(FT_LOG_ERROR, "ledger",
               "the file \"" FILE_NAME "\" is not a ledger: it is now called \"" BAD_NAME
               "\", and accounts begin with what log and store have");
        ledger->stats.damaged++;
        FT_TRY(ops->rename(ledger->disk, FILE_NAME, BAD_NAME));
    }
    return make_durable_file(ledger);
}

static int64_t last_heard_of(const uint8_t *copy)
{
    return (int64_t)ft_le_get(copy + NUMBERS_AT + 2 * 8, 8); /* The third number. */
}

/* Positions are for store and log to say: what the ledger has of them goes aside. */
static void decode(void *ctx, struct ft_instance *instance)
{
    const uint8_t *copy = ctx;
    memcpy(instance->host_name, copy + 56, NAME_SIZE - 1);
    memcpy(instance->principal, copy + 120, NAME_SIZE - 1);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        uint64_t number = ft_le_get(copy + NUMBERS_AT + 8 * i, 8);
        memcpy((char *)instance + numbers[i], &number, sizeof number);
    }
    for (size_t cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        instance->lost_events[cause] = ft_le_get(copy + CAUSES_AT + 8 * cause, 8);
        instance->told.lost[cause] = ft_le_get(copy + CAUSES_AT + 8 * (CAUSES + cause), 8);
    }
    instance->told.known = ft_le_get(copy + COPY_SIZE - 8, 8) != 0;
    instance->restored_kept_seq = instance->kept_seq;
    instance->restored_stored_seq = instance->stored_seq;
    instance->expected_events = instance->appended_events;
    instance->kept_seq = 0;
    instance->stored_seq = 0;
    instance->appended_events = 0;
    instance->missing_events = 0;
}

/* The copy that counts, or NULL for a place that is empty or unreadable. */
static const uint8_t *choose(struct ft_ledger *ledger, uint32_t place, const uint8_t *bytes)
    FT_REQUIRES(ledger->lock)
{
    const uint8_t *copies[] = {bytes, bytes + COPY_SIZE};
    bool good[] = {is_copy(copies[0]), is_copy(copies[1])};
    if (!good[0] && !good[1]) {
        static const uint8_t nothing[PLACE_SIZE];
        ledger->stats.damaged += memcmp(bytes, nothing, sizeof nothing) != 0;
        return NULL;
    }
    unsigned best =
        good[1] && (!good[0] || ft_le_get(copies[1] + 16, 8) > ft_le_get(copies[0] + 16, 8));
    ledger->stable[place] = (uint8_t)best;
    uint64_t generation = ft_le_get(copies[best] + 16, 8);
    if (generation > ledger->generation) {
        ledger->generation = generation;
    }
    return copies[best];
}

static ft_err read_all(struct ft_ledger *ledger, int64_t since_ns)
{
    static uint8_t bytes[STEP_PLACES * PLACE_SIZE];
    for (uint32_t place = 0; place < FT_INSTANCES_MAX;) {
        size_t size;
        FT_TRY(ledger->disk->ops->read_at(ledger->file, HEADER_SIZE + place * PLACE_SIZE, bytes,
                                          sizeof bytes, &size));
        for (size_t i = 0; i < size / PLACE_SIZE; i++, place++) {
            const uint8_t *copy = choose(ledger, place, bytes + i * PLACE_SIZE);
            if (copy == NULL || last_heard_of(copy) < since_ns) {
                continue;
            }
            struct ft_instance_key key;
            memcpy(key.agent_id.bytes, copy + 24, sizeof key.agent_id.bytes);
            memcpy(key.instance_id.bytes, copy + 40, sizeof key.instance_id.bytes);
            ft_err err = ft_instances_restore(ledger->instances, &key, place, decode,
                                              (void *)(uintptr_t)copy);
            /* Twice the same: one of the two was to be written over. */
            if (err != FT_OK && err != FT_E_RANGE) {
                return err;
            }
        }
        if (size < sizeof bytes) {
            return FT_OK;
        }
    }
    return FT_OK;
}

/*
 * A process before this one may have failed to sync the file: then what was read of it is in the
 * page cache only, and a sync would find nothing to write.  What of it is on the disk is written
 * over with the same.
 */
static ft_err write_again(struct ft_ledger *ledger)
{
    static uint8_t bytes[STEP_PLACES * PLACE_SIZE];
    const struct ft_disk_ops *ops = ledger->disk->ops;
    size_t size = sizeof bytes;
    for (uint64_t at = 0; size == sizeof bytes; at += size) {
        FT_TRY(ops->read_at(ledger->file, at, bytes, sizeof bytes, &size));
        if (size > 0) {
            FT_TRY(ops->write_at(ledger->file, at, bytes, size));
        }
    }
    FT_TRY(ops->sync(ledger->file));
    return ops->sync_dir(ledger->disk);
}

struct step {
    uint64_t generation;
    size_t n;
    uint32_t places[STEP_PLACES];
    uint8_t copies[STEP_PLACES][COPY_SIZE];
};

static void encode_one(void *ctx, const struct ft_instance *instance)
{
    struct step *step = ctx;
    step->places[step->n] = instance->place;
    encode(instance, ++step->generation, step->copies[step->n++]);
}

static ft_err write_dirty(struct ft_ledger *ledger)
{
    struct step *step = malloc(sizeof *step);
    if (step == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    ft_err err = FT_OK;
    do {
        step->n = 0;
        step->generation = ledger->generation;
        (void)ft_instances_take_dirty(ledger->instances, STEP_PLACES, encode_one, step);
        ledger->generation = step->generation;
        for (size_t i = 0; i < step->n && err == FT_OK; i++) {
            uint32_t place = step->places[i];
            unsigned copy = ledger->stable[place] ^ 1u;
            err = ledger->disk->ops->write_at(ledger->file,
                                              HEADER_SIZE + place * PLACE_SIZE + copy * COPY_SIZE,
                                              step->copies[i], COPY_SIZE);
            ledger->unsynced[place] = true;
            ledger->stats.writes += err == FT_OK;
        }
    } while (err == FT_OK && step->n == STEP_PLACES);
    free(step);
    if (err != FT_OK) {
        ft_instances_mark_all_dirty(ledger->instances);
    }
    return err;
}

/* What a later process must find: what was taken and is durable, and what this one missed. */
static uint64_t expected_of(const struct ft_instance *instance)
{
    uint64_t unsynced = instance->appended_seq > instance->durable_seq
                            ? instance->appended_seq - instance->durable_seq
                            : 0;
    uint64_t durable =
        instance->appended_events > unsynced ? instance->appended_events - unsynced : 0;
    return durable > instance->expected_events ? durable : instance->expected_events;
}

static void encode(const struct ft_instance *instance, uint64_t generation, uint8_t *to)
{
    memset(to, 0, COPY_SIZE);
    memcpy(to, copy_magic, sizeof copy_magic);
    ft_le_put(to + 4, 1, 4);
    ft_le_put(to + 16, generation, 8);
    memcpy(to + 24, instance->key.agent_id.bytes, sizeof instance->key.agent_id.bytes);
    memcpy(to + 40, instance->key.instance_id.bytes, sizeof instance->key.instance_id.bytes);
    (void)snprintf((char *)to + 56, NAME_SIZE, "%s", instance->host_name);
    (void)snprintf((char *)to + 120, NAME_SIZE, "%s", instance->principal);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        uint64_t number;
        memcpy(&number, (const char *)instance + numbers[i], sizeof number);
        if (numbers[i] == offsetof(struct ft_instance, kept_seq) &&
            number > instance->durable_seq) {
            number = instance->durable_seq;
        }
        if (numbers[i] == offsetof(struct ft_instance, appended_events)) {
            number = expected_of(instance);
        }
        ft_le_put(to + NUMBERS_AT + 8 * i, number, 8);
    }
    for (size_t cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        ft_le_put(to + CAUSES_AT + 8 * cause, instance->lost_events[cause], 8);
        ft_le_put(to + CAUSES_AT + 8 * (CAUSES + cause), instance->told.lost[cause], 8);
    }
    ft_le_put(to + COPY_SIZE - 8, instance->told.known, 8);
    ft_le_put(to + 8, ft_hash64(to + 16, COPY_SIZE - 16, 0), 8);
}

static bool is_copy(const uint8_t *copy)
{
    return memcmp(copy, copy_magic, sizeof copy_magic) == 0 && ft_le_get(copy + 4, 4) == 1 &&
           ft_le_get(copy + 8, 8) == ft_hash64(copy + 16, COPY_SIZE - 16, 0);
}
