/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the chunks of a recording as they came, or as fast as they are taken.  The chunks keep
 * their recorded times, so what the tracker makes of them is the same either way.
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_REPLAY_H
#define FT_SOURCE_REPLAY_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "source/chunk.h"

struct ft_replay;

/* Fails as ft_recording_reader_open() does. */
FT_MUST_USE ft_err ft_replay_open(const char *path, bool full_speed, struct ft_replay **ret_replay,
                                  struct ft_diag *reterr_diag);
void ft_replay_close(struct ft_replay *replay);
FT_DEFINE_CLEANUP(struct ft_replay, ft_replay_close);

/*
 * The next chunk, valid until the next call.  -EAGAIN when it is not its time yet:
 * '*ret_due_mono_ns' says when, on the caller's clock, on which the first call began the replay.
 * FT_E_END at the end; FT_E_CORRUPT with '*reterr_diag' where the recording is damaged.
 */
FT_MUST_USE ft_err ft_replay_next(struct ft_replay *replay, int64_t mono_ns,
                                  const struct ft_chunk **ret_chunk, int64_t *ret_due_mono_ns,
                                  struct ft_diag *reterr_diag);

#endif
