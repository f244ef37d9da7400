/* SPDX-License-Identifier: Apache-2.0 */
/* What a collector finds at its start. */
#include "collector/recovery.h"

#include "lib/test.h"

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

TEST(only_what_is_missing_behind_missing_blocks_is_lost_here)
{
    struct ft_log *log = NULL;
    struct ft_log_options options = {.bytes_max = 1 << 20, .full = FT_LOG_REFUSE};
    CHECK_OK(ft_log_memory_create(&options, &log));
    append(log, 1, 1, 10);
    append(log, 1, 21, 10); /* The agent had dropped what is between. */
    append(log, 2, 101, 10);
    for (unsigned run = 0; run < 2; run++) {
        struct ft_instances *instances = NULL;
        CHECK_OK(ft_instances_create(&instances));
        /* From the beginning, and as if the store had lost the first block. */
        struct ft_log_reader *reader = NULL;
        CHECK_OK(ft_log_reader_open(log, "sink", false, &reader));
        CHECK_OK(ft_recovery_from_log(log, run, instances));
        CHECK_INT(instance_of(instances, 1).durable_seq, 30);
        CHECK_INT(instance_of(instances, 1).missing_events, run == 0 ? 10 : 20);
        CHECK_INT(instance_of(instances, 1).n_lost, 0);
        CHECK_INT(instance_of(instances, 2).n_lost, 0);
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
    CHECK_OK(ft_recovery_from_log(log, 0, instances));
    struct ft_instance instance = instance_of(instances, 1);
    CHECK_INT(instance.durable_seq, 1000);
    CHECK_INT(instance.n_lost, 1);
    CHECK_INT(instance.lost[0].first_seq, 1);
    CHECK_INT(instance.lost[0].last_seq, 10 * (first - 1));
    ft_instances_destroy(instances);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
}
