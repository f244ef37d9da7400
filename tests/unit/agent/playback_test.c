/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording of a real kernel (Linux 6.18: TCP with echo, a refused port, ICMP and ICMPv6, a
 * longer transfer, then `conntrack -F`) through the whole path behind the socket.  What comes out
 * is in tests/golden/recordings/lab.ndjson.
 */
#include "agent/playback.h"

#include "base/thread.h"
#include "lib/test.h"
#include "text/json.h"
#include "wire/batch_reader.h"

static struct ft_log *play(struct ft_pipeline **ret_pipeline)
{
    struct ft_pipeline_options options = {.block_events_max = 1000,
                                          .block_bytes_max = 64 << 10,
                                          .flush_interval_ns = 60 * FT_NS_PER_S,
                                          .clock = ft_clock_system()};
    options.instance_id.bytes[0] = 1;
    CHECK_OK(ft_pipeline_create(&options, ret_pipeline));
    struct ft_log_options log_options = {.bytes_max = 8 << 20, .full = FT_LOG_DROP_OLDEST};
    struct ft_log *log = NULL;
    CHECK_OK(ft_log_memory_create(&log_options, &log));
    ft_pipeline_set_log(*ret_pipeline, log);
    _Atomic int64_t alive_ns = 0;
    struct ft_playback_options playback_options = {.path =
                                                       FT_TESTS_DIR "/golden/recordings/lab.ftrec",
                                                   .full_speed = true,
                                                   .clock = ft_clock_system(),
                                                   .pipeline = *ret_pipeline,
                                                   .alive_ns = &alive_ns,
                                                   .tracker = ft_tracker_options_default};
    struct ft_playback *playback = NULL;
    struct ft_diag diag = {0};
    ft_err err = ft_playback_create(&playback_options, &playback, &diag);
    CHECK_STR(diag.text, "");
    CHECK_OK(err);
    CHECK_OK(ft_playback_start(playback));
    while (!ft_playback_is_finished(playback)) {
        ft_thread_sleep(FT_NS_PER_MS);
    }
    ft_playback_stop(playback);
    ft_playback_destroy(playback);
    return log;
}

TEST(the_recording_of_the_lab_gives_the_same_events_as_ever)
{
    struct ft_pipeline *pipeline = NULL;
    struct ft_log *log = play(&pipeline);
    struct ft_log_reader *reader = NULL;
    CHECK_OK(ft_log_reader_open(log, "test", true, &reader));
    struct ft_buf text;
    ft_buf_init(&text, 0);
    uint64_t counts[FT_EVENT_TYPE_N] = {0};
    struct ft_block block;
    while (ft_log_reader_next(reader, false, &block) == FT_OK) {
        struct ft_batch_reader *batch = NULL;
        CHECK_OK(ft_batch_reader_open(block.data, block.size, &batch, NULL));
        struct ft_row row = {.instance_id = *ft_batch_reader_instance(batch)};
        while (ft_batch_reader_next(batch, &row.event)) {
            ft_text_ndjson_row(&text, &row);
            counts[row.event.type]++;
        }
        ft_batch_reader_close(batch);
        ft_block_release(&block);
    }
    CHECK_INT(counts[FT_EVENT_START], counts[FT_EVENT_END]);
    CHECK(counts[FT_EVENT_START] >= 10);
    CHECK_INT(counts[FT_EVENT_LOSS], 0);
    CHECK_GOLDEN("recordings/lab.ndjson", text.data, text.size);
    ft_buf_deinit(&text);
    ft_log_reader_close(reader);
    ft_log_destroy(log);
    ft_pipeline_destroy(pipeline);
}
