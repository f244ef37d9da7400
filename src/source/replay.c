/* SPDX-License-Identifier: Apache-2.0 */
#include "source/replay.h"

#include <stdlib.h>

#include "source/recording.h"

struct ft_replay {
    struct ft_recording_reader *reader;
    bool full_speed;
    bool began;
    int64_t offset_ns;            /* From the recording's clock to the caller's. */
    const struct ft_chunk *chunk; /* Read, and not given yet. */
};

ft_err ft_replay_open(const char *path, bool full_speed, struct ft_replay **ret_replay,
                      struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_replay_close) struct ft_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        return ft_diag_set(reterr_diag, ft_err_from_errno(ENOMEM), path, 0, 0, "out of memory");
    }
    replay->full_speed = full_speed;
    FT_TRY(ft_recording_reader_open(path, &replay->reader, reterr_diag));
    *ret_replay = FT_TAKE(replay);
    return FT_OK;
}

void ft_replay_close(struct ft_replay *replay)
{
    if (replay != NULL) {
        ft_recording_reader_close(replay->reader);
        free(replay);
    }
}

ft_err ft_replay_next(struct ft_replay *replay, int64_t mono_ns, const struct ft_chunk **ret_chunk,
                      int64_t *ret_due_mono_ns, struct ft_diag *reterr_diag)
{
    if (replay->chunk == NULL) {
        FT_TRY(ft_recording_reader_next(replay->reader, &replay->chunk, reterr_diag));
    }
    if (!replay->began) {
        replay->began = true;
        replay->offset_ns = mono_ns - replay->chunk->mono_ns;
    }
    int64_t due = replay->chunk->mono_ns + replay->offset_ns;
    if (!replay->full_speed && mono_ns < due) {
        *ret_due_mono_ns = due;
        return ft_err_from_errno(EAGAIN);
    }
    *ret_chunk = FT_TAKE(replay->chunk);
    return FT_OK;
}
