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
