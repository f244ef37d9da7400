/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/playback.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/thread.h"
#include "source/replay.h"

/* How long the thread sleeps at most before it looks whether it is to stop. */
#define STEP_NS (50 * FT_NS_PER_MS)

struct ft_playback {
    /* Set at creation. */
    struct ft_playback_options options;
    struct ft_replay *replay;
    struct ft_tracker *tracker;
    struct ft_thread thread;
    /* Any thread. */
    struct ft_source_stats stats;
    _Atomic bool stopping;
    _Atomic bool finished;
};

static void run(void *ctx);

static void emit(void *ctx, struct ft_event *event)
{
    struct ft_playback *playback = ctx;
    ft_pipeline_take(playback->options.pipeline, event);
}

ft_err ft_playback_create(const struct ft_playback_options *options,
                          struct ft_playback **ret_playback, struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_playback_destroy) struct ft_playback *playback = calloc(1, sizeof *playback);
    if (playback == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    playback->options = *options;
    FT_TRY(ft_replay_open(options->path, options->full_speed, &playback->replay, reterr_diag));
    FT_TRY(
        ft_tracker_create(&options->tracker, emit, playback, &playback->stats, &playback->tracker));
    *ret_playback = FT_TAKE(playback);
    return FT_OK;
}

ft_err ft_playback_start(struct ft_playback *playback)
{
    return ft_thread_start(&playback->thread, "pipeline", run, playback);
}

void ft_playback_stop(struct ft_playback *playback)
{
    playback->stopping = true;
    ft_thread_join(&playback->thread);
}

void ft_playback_destroy(struct ft_playback *playback)
{
    if (playback != NULL) {
        ft_tracker_destroy(playback->tracker);
        ft_replay_close(playback->replay);
        free(playback);
    }
}

bool ft_playback_is_finished(const struct ft_playback *playback) { return playback->finished; }

const struct ft_source_stats *ft_playback_stats(const struct ft_playback *playback)
{
    return &playback->stats;
}

/* One chunk, or a pause until it is time for the next.  False at the end. */
static bool step(struct ft_playback *playback)
{
    int64_t now_ns = ft_clock_mono_ns(playback->options.clock);
    *playback->options.alive_ns = now_ns;
    const struct ft_chunk *chunk = NULL;
    int64_t due_ns = now_ns;
    struct ft_diag diag = {0};
    ft_err err = ft_replay_next(playback->replay, now_ns, &chunk, &due_ns, &diag);
    if (err == FT_OK) {
        ft_tracker_consume(playback->tracker, chunk);
    } else if (err == ft_err_from_errno(EAGAIN)) {
        int64_t pause_ns = due_ns - now_ns;
        ft_thread_sleep(pause_ns < STEP_NS ? pause_ns : STEP_NS);
    } else {
        if (err != FT_E_END) {
            ft_log(FT_LOG_ERROR, "agent", "the replay ends here: %s", diag.text);
        }
        return false;
    }
    ft_pipeline_tick(playback->options.pipeline);
    return true;
}

static void run(void *ctx)
{
    struct ft_playback *playback = ctx;
    while (!playback->stopping && step(playback)) {
    }
    ft_pipeline_flush(playback->options.pipeline);
    playback->finished = true;
}
