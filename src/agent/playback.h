/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording in place of the kernel: its chunks go through the same tracker and pipeline.  Needs
 * no privileges, touches nothing of the host.
 *
 * Thread: the main thread, except the functions marked "any"; the pipeline thread is its own.
 */
#ifndef FT_AGENT_PLAYBACK_H
#define FT_AGENT_PLAYBACK_H 1

#include "agent/pipeline.h"
#include "base/cleanup.h"
#include "source/stats.h"
#include "source/tracker.h"

struct ft_playback;

struct ft_playback_options {
    const char *path;
    bool full_speed;
    const struct ft_clock *clock; /* Borrowed, as the pointers below. */
    struct ft_pipeline *pipeline;
    _Atomic int64_t *alive_ns; /* Set by the thread with each turn. */
    struct ft_tracker_options tracker;
};

/* Fails as ft_replay_open(), with the reason. */
FT_MUST_USE ft_err ft_playback_create(const struct ft_playback_options *options,
                                      struct ft_playback **ret_playback,
                                      struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_playback_start(struct ft_playback *playback);
void ft_playback_stop(struct ft_playback *playback);
/* Accepts NULL.  Stopped. */
void ft_playback_destroy(struct ft_playback *playback);
FT_DEFINE_CLEANUP(struct ft_playback, ft_playback_destroy);

/* The recording has come to its end, and everything of it is in the log.  Thread: any. */
bool ft_playback_is_finished(const struct ft_playback *playback);
/* Thread: any. */
const struct ft_source_stats *ft_playback_stats(const struct ft_playback *playback);

#endif
