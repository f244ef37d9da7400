/* SPDX-License-Identifier: Apache-2.0 */
#include "export/lives.h"

#include <stdbool.h>
#include <string.h>

void ft_lives_begin(struct ft_lives *lives, struct ft_random *random, uint64_t first_seq,
                    uint64_t done_seq)
{
    size_t n_gone = 0;
    while (n_gone < lives->n) {
        uint64_t next_seq = n_gone + 1 < lives->n ? lives->at[n_gone + 1].first_seq : first_seq;
        if (next_seq > done_seq + 1) {
            break;
        }
        n_gone++;
    }
    if (lives->n - n_gone == FT_LIVES_MAX) {
        n_gone++;
    }
    lives->n -= n_gone;
    memmove(lives->at, lives->at + n_gone, lives->n * sizeof lives->at[0]);
    struct ft_life life = {.first_seq = first_seq};
    while (life.id == 0) {
        life.id = ft_random_u64(random);
    }
    lives->at[lives->n++] = life;
}

void ft_lives_begin_instance(struct ft_lives *lives)
{
    lives->common_seq = lives->n > 0 ? lives->at[lives->n - 1].first_seq : 0;
}

uint64_t ft_lives_fork(const struct ft_lives *lives, uint64_t done_seq, uint64_t newest_seq,
                       uint64_t newest_life)
{
    if (lives->n == 0 || newest_life == 0 || newest_seq <= done_seq) {
        return 0;
    }
    for (size_t i = 0; i < lives->n; i++) {
        if (lives->at[i].id == newest_life) {
            bool ended = i + 1 < lives->n && lives->at[i + 1].first_seq <= newest_seq;
            return ended ? lives->at[i + 1].first_seq : 0;
        }
    }
    if (lives->at[0].first_seq > done_seq + 1 && newest_seq < lives->at[0].first_seq) {
        return 0; /* It is one of ours that was forgotten. */
    }
    uint64_t seq = lives->common_seq > done_seq ? lives->common_seq : done_seq + 1;
    return seq <= newest_seq ? seq : 0;
}
