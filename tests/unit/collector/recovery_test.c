/* SPDX-License-Identifier: Apache-2.0 */
/* What a collector finds at its start. */
#include "collector/recovery.h"

#include "collector/account.h"
#include "lib/fault_disk.h"
#include "lib/test.h"
#include "wire/batch_builder.h"

static struct ft_log *log_with(uint64_t n_blocks, uint64_t n_confirmed,
                               struct ft_log_reader **ret_reader)
{
    struct ft_log *log = NULL;
    struct ft_log_options options = {
        .bytes_max = 1 << 20, .full = FT_LOG_REFUSE, .segment_bytes = 4096};
    CHECK_OK(ft_log_memory_create(&options, &log));
    CHECK_OK(ft_log_reader_open(log, "sink", false, ret_reader));
    for (uint64_t i = 1; i <= n_blocks; i++) {
        struct ft_block_info info = {.first_seq = i, .n_events = 1};
        static const char data[1000];
        uint64_t position;
        CHECK_OK(ft_log_append(log, &info, data, sizeof data, &position));
    }
    CHECK_OK(ft_log_reader_confirm(*ret_reader, n_confirmed));
    return log;
}

TEST(log_and_store_are_held_against_each_other)
{
    struct ft_log_reader *reader = NULL;
    struct ft_log *log = log_with(100, 62, &reader);
    CHECK_INT(ft_recovery_compare(log, 62), FT_RECOVERY_FITS);
    CHECK_INT(ft_recovery_compare(log, 100), FT_RECOVERY_FITS);
    /* The rest of a segment is still there; what is before it was freed. */
    CHECK_INT(ft_recovery_compare(log, 61), FT_RECOVERY_FITS);
    CHECK_INT(ft_recovery_compare(log, 40), FT_RECOVERY_STORE_BEHIND);
    CHECK_INT(ft_recovery_compare(log, 0), FT_RECOVERY_STORE_BEHIND);
    CHECK_INT(ft_recovery_compare(log, 101), FT_RECOVERY_LOG_BEHIND);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    log = log_with(0, 0, &reader);
    CHECK_INT(ft_recovery_compare(log, 0), FT_RECOVERY_FITS);
    CHECK_INT(ft_recovery_compare(log, 1), FT_RECOVERY_LOG_BEHIND);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
}

static void append(struct ft_log *log, uint8_t instance, uint64_t first_seq, uint32_t n_events)
{
    struct ft_block_info info = {
        .instance_id = {instance}, .first_seq = first_seq, .n_events = n_events};
    uint64_t position;
    CHECK_OK(ft_log_append(log, &info, "block", 5, &position));
}

static struct ft_instance instance_of(struct ft_instances *instances, uint8_t number)
{
    struct ft_instance_key key = {.instance_id = {{number}}};
    struct ft_instance instance;
    CHECK(ft_instances_get(instances, &key, &instance));
    return instance;
}

static ft_err take_gaps(void *ctx, const struct ft_instance_key *key, const struct ft_ranges *gaps)
{
    (void)key;
    *(struct ft_ranges *)ctx = *gaps;
    return FT_OK;
}

static void append_batch(struct ft_log *log, uint64_t first_seq, uint64_t life)
{
    static const struct ft_uuid instance_id = {{1}};
    struct ft_block_info info = {.instance_id = {1}, .first_seq = first_seq, .n_events = 1};
    struct ft_batch_builder *builder = NULL;
    CHECK_OK(ft_batch_builder_create(&instance_id, &builder));
    ft_batch_builder_set_life(builder, life);
    struct ft_event event = {.seq = first_seq, .time_ns = 1, .type = FT_EVENT_DROP};
    CHECK_OK(ft_batch_builder_add(builder, &event));
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_OK(ft_batch_builder_seal(builder, &buf));
    uint64_t position;
    CHECK_OK(ft_log_append(log, &info, buf.data, buf.size, &position));
    ft_buf_deinit(&buf);
    ft_batch_builder_destroy(builder);
}

TEST(whose_the_newest_event_is_comes_from_the_store_or_from_the_log_behind_it)
{
    struct ft_log *log = NULL;
    struct ft_log_options options = {.bytes_max = 1 << 20, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&options, &log));
    append_batch(log, 1, 77);
    append_batch(log, 2, 88);
    append_batch(log, 1, 77); /* A repeat. */
    struct ft_ranges told = {0};
    for (uint64_t position = 0; position <= 3; position++) {
        struct ft_instances *instances = NULL;
        CHECK_OK(ft_instances_create(&instances));
        struct ft_stored_instance stored = {
            .instance_id = {{1}}, .stored_seq = 2, .life = 99, .stored_events = 2};
        if (position >= 2) {
            CHECK_OK(ft_recovery_add_stored(instances, &stored));
        }
        CHECK_OK(ft_recovery_from_log(log, position, instances, take_gaps, &told));
        CHECK_INT(instance_of(instances, 1).kept_seq, 2);
        CHECK_INT(instance_of(instances, 1).kept_life, position >= 2 ? 99 : 88);
        ft_instances_destroy(instances);
    }
    ft_log_destroy(log);
}

TEST(only_what_is_missing_behind_missing_blocks_is_lost_here)
{
    struct ft_log *log = NULL;
    struct ft_log_options options = {.bytes_max = 1 << 20, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&options, &log));
    append(log, 1, 1, 10);
    append(log, 1, 21, 10); /* The agent had dropped what is between. */
    append(log, 2, 101, 10);
    struct ft_ranges told = {0};
    for (unsigned run = 0; run < 2; run++) {
        struct ft_instances *instances = NULL;
        CHECK_OK(ft_instances_create(&instances));
        /* From the beginning, and as if the store had lost the first block. */
        struct ft_log_reader *reader = NULL;
        CHECK_OK(ft_log_reader_open(log, "sink", false, &reader));
        CHECK_OK(ft_recovery_from_log(log, run, instances, take_gaps, &told));
        CHECK_INT(instance_of(instances, 1).durable_seq, 30);
        CHECK_INT(instance_of(instances, 1).missing_events, run == 0 ? 10 : 20);
        CHECK_INT(instance_of(instances, 1).gaps.n, 0);
        CHECK_INT(instance_of(instances, 2).gaps.n, 0);
        ft_log_reader_close(reader);
        ft_instances_destroy(instances);
    }
    ft_log_destroy(log);
    /* Now the log itself has lost its first blocks. */
    struct ft_log_reader *reader = NULL;
    options.segment_bytes = 4096;
    CHECK_OK(ft_log_memory_create(&options, &log));
    CHECK_OK(ft_log_reader_open(log, "sink", false, &reader));
    for (uint64_t i = 0; i < 100; i++) {
        append(log, 1, 1 + 10 * i, 10);
    }
    CHECK_OK(ft_log_reader_confirm(reader, 90));
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK(first > 1);
    struct ft_instances *instances = NULL;
    CHECK_OK(ft_instances_create(&instances));
    CHECK_OK(ft_recovery_from_log(log, 0, instances, take_gaps, &told));
    struct ft_instance instance = instance_of(instances, 1);
    CHECK_INT(instance.durable_seq, 1000);
    CHECK_INT(instance.gaps.n, 1);
    CHECK_INT(instance.gaps.at[0].first, 1);
    CHECK_INT(instance.gaps.at[0].last, 10 * (first - 1));
    CHECK_INT(told.n, 1);
    CHECK_INT(told.at[0].last, 10 * (first - 1));
    ft_instances_destroy(instances);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
}

/* ---- What the ledger has, with what store and log have ---- */

struct world {
    struct ft_instances *instances;
    struct ft_disk *disk;
    struct ft_quarantine *quarantine;
};

static const struct ft_instance_key key = {{{1}}, {{2}}};

static void setup(struct world *world)
{
    CHECK_OK(ft_instances_create(&world->instances));
    world->disk = ft_fault_disk_create(1);
    static struct ft_quarantine_options options;
    options = (struct ft_quarantine_options){.disk = world->disk,
                                             .clock = ft_clock_system(),
                                             .log_id = {{9}},
                                             .files_max = 10,
                                             .bytes_max = 1 << 20};
    CHECK_OK(ft_quarantine_open(&options, &world->quarantine));
}

static void teardown(struct world *world)
{
    ft_quarantine_destroy(world->quarantine);
    ft_disk_destroy(world->disk);
    ft_instances_destroy(world->instances);
}

static void set_restored(void *ctx, struct ft_instance *instance)
{
    const struct ft_instance *restored = ctx;
    instance->restored_kept_seq = restored->restored_kept_seq;
    instance->restored_stored_seq = restored->restored_stored_seq;
    instance->settled_position = restored->settled_position;
    instance->quarantined_events = restored->quarantined_events;
    instance->rejected_events = restored->rejected_events;
    instance->duplicate_events = restored->duplicate_events;
    instance->expected_events = restored->expected_events;
    instance->received_events = restored->received_events;
    instance->told = restored->told;
}

/* What the ledger says; then what the store has, and nothing in the log behind it. */
static void restore(struct world *world, struct ft_instance restored, uint64_t stored_seq,
                    uint64_t stored_events)
{
    CHECK_OK(ft_instances_restore(world->instances, &key, 0, set_restored, &restored));
    struct ft_stored_instance stored = {.agent_id = key.agent_id,
                                        .instance_id = key.instance_id,
                                        .stored_seq = stored_seq,
                                        .stored_events = stored_events};
    CHECK_OK(ft_recovery_add_stored(world->instances, &stored));
}

static struct ft_instance reconciled(struct world *world, uint64_t position, uint64_t n_behind)
{
    uint64_t behind;
    struct ft_instance instance;
    CHECK_OK(ft_recovery_reconcile(world->instances, world->quarantine, position, &behind));
    CHECK_INT(behind, n_behind);
    CHECK(ft_instances_get(world->instances, &key, &instance));
    CHECK_INT(instance.appended_seq,
              instance.appended_events + instance.rejected_events + instance.missing_events);
    return instance;
}

static uint64_t unaccounted(const struct ft_instance *instance)
{
    struct ft_discrepancy discrepancy;
    ft_discrepancy_of(instance, &discrepancy);
    return ft_discrepancy_total(&discrepancy);
}

TEST(rejected_events_are_told_from_missing_ones)
{
    struct world world;
    setup(&world);
    restore(&world,
            (struct ft_instance){.restored_kept_seq = 100,
                                 .restored_stored_seq = 100,
                                 .settled_position = 5,
                                 .rejected_events = 10,
                                 .duplicate_events = 4,
                                 .received_events = 82}, /* Before the last ones came. */
            100, 70);
    struct ft_instance instance = reconciled(&world, 5, 0);
    CHECK_INT(instance.appended_events, 70);
    CHECK_INT(instance.rejected_events, 10);
    CHECK_INT(instance.received_events, 84);
    CHECK_INT(instance.missing_events, 20);
    CHECK_INT(instance.kept_seq, 100);
    teardown(&world);
}

/*
 * The file of the store is lost after the ledger was written, and the log has freed the first part
 * of what it had: the ledger is not believed on that part, though the log goes on behind it.
 */
TEST(a_ledger_is_not_believed_on_what_a_lost_store_had)
{
    struct world world;
    setup(&world);
    struct ft_log_reader *reader = NULL;
    struct ft_log *log = log_with(100, 100, &reader);
    uint64_t first;
    uint64_t last;
    ft_log_bounds(log, &first, &last);
    CHECK(first > 1);
    struct ft_instance restored = {.restored_kept_seq = 80,
                                   .restored_stored_seq = 80,
                                   .settled_position = 80,
                                   .rejected_events = 3};
    CHECK_OK(ft_instances_restore(world.instances, &key, 0, set_restored, &restored));
    CHECK_INT(ft_recovery_compare(log, 0), FT_RECOVERY_STORE_BEHIND);
    uint64_t n_behind;
    struct ft_ranges told = {0};
    CHECK_OK(ft_recovery_from_log(log, 0, world.instances, take_gaps, &told));
    CHECK_OK(ft_recovery_reconcile(world.instances, world.quarantine, 0, &n_behind));
    CHECK_INT(n_behind, 1);
    struct ft_instance instance;
    CHECK(ft_instances_get(world.instances, &key, &instance));
    CHECK_INT(instance.durable_seq, 0);
    CHECK_INT(instance.kept_seq, 0);
    CHECK_INT(instance.appended_seq, 0);
    CHECK_INT(instance.settled_position, 0);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    teardown(&world);
}

/* They come again, and are judged again. */
TEST(rejections_behind_the_newest_block_are_not_believed)
{
    struct world world;
    setup(&world);
    restore(&world,
            (struct ft_instance){.restored_kept_seq = 100,
                                 .restored_stored_seq = 100,
                                 .settled_position = 5,
                                 .rejected_events = 10},
            100, 100);
    struct ft_instance instance = reconciled(&world, 5, 0);
    CHECK_INT(instance.appended_seq, 100);
    CHECK_INT(instance.durable_seq, 100);
    CHECK_INT(instance.rejected_events, 0);
    teardown(&world);
}

TEST(without_a_ledger_nobody_knows_what_the_holes_are)
{
    struct world world;
    setup(&world);
    struct ft_stored_instance stored = {.agent_id = key.agent_id,
                                        .instance_id = key.instance_id,
                                        .stored_seq = 100,
                                        .stored_events = 70};
    CHECK_OK(ft_recovery_add_stored(world.instances, &stored));
    struct ft_instance instance = reconciled(&world, 5, 0);
    CHECK_INT(instance.missing_events, 30);
    CHECK_INT(unaccounted(&instance), 0);
    teardown(&world);
}

static void put_poison(struct world *world, uint64_t position, uint64_t first_seq, uint32_t n)
{
    struct ft_quarantine_entry entry = {.agent_id = key.agent_id,
                                        .instance_id = key.instance_id,
                                        .first_seq = first_seq,
                                        .n_events = n,
                                        .position = position};
    CHECK_OK(ft_quarantine_put_poison(world->quarantine, &entry, "x", 1));
}

/* 91 to 100 are in quarantine, and the newest of all. */
TEST(what_is_in_quarantine_is_counted_once_whether_the_ledger_knows_it_or_not)
{
    static const struct ft_instance ledgers[] = {
        {.restored_kept_seq = 100,
         .restored_stored_seq = 100,
         .settled_position = 7,
         .quarantined_events = 10},
        {.restored_kept_seq = 90, .restored_stored_seq = 90, .settled_position = 6},
        {.restored_kept_seq = 0}};
    for (size_t i = 0; i < 3; i++) {
        struct world world;
        setup(&world);
        put_poison(&world, 7, 91, 10);
        put_poison(&world, 9, 200, 10); /* The sink has not come so far. */
        restore(&world, ledgers[i], 90, 90);
        struct ft_instance instance = reconciled(&world, 8, 0);
        CHECK_INT(instance.quarantined_events, 10);
        CHECK_INT(instance.appended_events, 100);
        CHECK_INT(instance.appended_seq, 100);
        CHECK_INT(instance.stored_seq, 100);
        CHECK_INT(instance.durable_seq, 100); /* It was acknowledged, and is here. */
        CHECK_INT(instance.missing_events, 0);
        CHECK_INT(unaccounted(&instance), 0);
        teardown(&world);
    }
}

/* The agent must not be told that its events are here. */
TEST(a_store_that_was_set_back_is_believed_and_the_difference_shows)
{
    struct world world;
    setup(&world);
    restore(&world,
            (struct ft_instance){.restored_kept_seq = 100,
                                 .restored_stored_seq = 100,
                                 .settled_position = 50,
                                 .told = {.known = true,
                                          .observed_events = 100,
                                          .acknowledged_events = 100,
                                          .our_appended_events = 100}},
            60, 60);
    struct ft_instance instance = reconciled(&world, 30, 1);
    CHECK_INT(instance.durable_seq, 60);
    CHECK_INT(instance.kept_seq, 60);
    CHECK_INT(instance.appended_seq, 60);
    CHECK_INT(instance.appended_events, 60);
    CHECK_INT(unaccounted(&instance), 40);
    teardown(&world);
}

/* Somebody took 40 out of the store, and nobody but the ledger knows of them. */
TEST(what_was_here_before_the_start_and_is_not_shows)
{
    struct world world;
    setup(&world);
    struct ft_instance restored = {.restored_kept_seq = 100,
                                   .restored_stored_seq = 100,
                                   .settled_position = 5,
                                   .expected_events = 100};
    restore(&world, restored, 60, 60);
    struct ft_instance instance = reconciled(&world, 5, 0);
    CHECK_INT(instance.missing_events, 40);
    CHECK_INT(unaccounted(&instance), 40);
    teardown(&world);
    /* The agent has said that it believes 70 of them here. */
    setup(&world);
    restored.told = (struct ft_told){
        .known = true, .observed_events = 70, .acknowledged_events = 70, .our_appended_events = 70};
    restore(&world, restored, 60, 60);
    instance = reconciled(&world, 5, 0);
    CHECK_INT(unaccounted(&instance), 40);
    /* Nothing is missing any more by its own word: it has told them as lost. */
    struct ft_msg_status status = {.observed_events = 100, .acknowledged_events = 60};
    status.lost[FT_LOSS_REJECTED] = 40;
    ft_instance_take_status(&instance, &status);
    CHECK_INT(unaccounted(&instance), 0);
    teardown(&world);
}

/* Then the ledger is wrong about it for good: positions grow again. */
TEST(what_was_found_wrong_once_is_not_believed_later)
{
    struct world world;
    setup(&world);
    restore(&world,
            (struct ft_instance){
                .restored_kept_seq = 100, .restored_stored_seq = 100, .settled_position = 50},
            60, 60);
    CHECK_INT(reconciled(&world, 30, 1).settled_position, 0);
    CHECK_INT(reconciled(&world, 90, 0).durable_seq, 60);
    teardown(&world);
}
