/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool_state.h"

#include <stdlib.h>
#include <string.h>

#include "lib/test.h"

static uint8_t record[FT_SPOOL_STATE_SIZE_MAX];

TEST(lives_survive_the_round_trip_with_what_is_before_them)
{
    struct ft_spool_state *state = calloc(1, sizeof *state);
    struct ft_spool_state *back = calloc(1, sizeof *back);
    CHECK(state != NULL && back != NULL);
    state->base_seq = 77;
    state->n_dropped = 2;
    state->dropped[1] = (struct ft_log_range){5, 6};
    state->last_drop.n_runs = 1;
    state->last_drop.runs[0] = (struct ft_loss){.cause = FT_LOSS_LOG_FULL, .count = 9};
    for (size_t n = 0; n <= FT_LIVES_MAX; n += FT_LIVES_MAX / 2) {
        state->lives.n = n;
        state->lives.common_seq = n > 0 ? 42 : 0;
        for (size_t i = 0; i < n; i++) {
            state->lives.at[i] = (struct ft_life){UINT64_MAX - i, 100 * i + 1};
        }
        size_t size = ft_spool_state_encode(state, record);
        CHECK(size <= sizeof record);
        CHECK_OK(ft_spool_state_decode(record, size, back));
        CHECK_INT(back->base_seq, 77);
        CHECK_INT(back->dropped[1].last, 6);
        CHECK_INT(back->last_drop.runs[0].count, 9);
        CHECK_INT(back->lives.n, n);
        CHECK(memcmp(&back->lives, &state->lives, sizeof back->lives) == 0);
        CHECK_ERR(ft_spool_state_decode(record, size - 1, back), FT_E_CORRUPT);
    }
    free(state);
    free(back);
}

TEST(a_state_without_lives_is_read)
{
    struct ft_spool_state state = {.base_seq = 5};
    size_t size = ft_spool_state_encode(&state, record);
    record[0] = 1; /* The version before. */
    struct ft_spool_state back;
    CHECK_OK(ft_spool_state_decode(record, size, &back));
    CHECK_INT(back.base_seq, 5);
    CHECK_INT(back.lives.n, 0);
    record[0] = 3;
    CHECK_ERR(ft_spool_state_decode(record, size, &back), FT_E_UNSUPPORTED);
    record[0] = 2;
    record[220] = FT_LIVES_MAX + 1;
    CHECK_ERR(ft_spool_state_decode(record, size, &back), FT_E_CORRUPT);
}
