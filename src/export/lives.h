/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lives of a log: each process that writes it is one, with an id of its own and the numbers
 * that it gives out.  A log that was set back gives numbers a second time, to other events; but it
 * does so in another life, and by that the agent sees that what the collector has of those numbers
 * is not what it has itself.
 *
 * Bounded: FT_LIVES_MAX with numbers that are not acknowledged.  Beyond, the oldest are forgotten;
 * then a log that was set back into one of those is not noticed by it.
 *
 * Thread: pure functions.
 */
#ifndef FT_EXPORT_LIVES_H
#define FT_EXPORT_LIVES_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

#define FT_LIVES_MAX 64

struct ft_life {
    uint64_t id; /* Random, never 0. */
    uint64_t first_seq;
};

/* In the order of their numbers; the last one is the present one.  None: the log keeps no lives. */
struct ft_lives {
    size_t n;
    /* The first number of the life in which the instance was begun: whoever goes on as this
     * instance was set back to no time before it. */
    uint64_t common_seq;
    struct ft_life at[FT_LIVES_MAX];
};

/* The life of what this process makes; 0 without lives. */
static inline uint64_t ft_lives_present(const struct ft_lives *lives)
{
    return lives->n > 0 ? lives->at[lives->n - 1].id : 0;
}

/*
 * Another life begins with 'first_seq'.  Lives whose numbers are all at or below 'done_seq', which
 * is done with, are forgotten.
 */
void ft_lives_begin(struct ft_lives *lives, struct ft_random *random, uint64_t first_seq,
                    uint64_t done_seq);

/* Another instance begins in the present life. */
void ft_lives_begin_instance(struct ft_lives *lives);

/*
 * The collector's newest event is 'newest_seq', made in 'newest_life' (0: not known), and all up to
 * 'done_seq' is done with here.  Returns the first number of which it has, or may have, other
 * events than this log; 0 when there is none.
 *
 * The life is known here and ended before that number: this log was set back after it had begun,
 * and what came next is different.  It is not known: it began where this log was set back to some
 * earlier time, whichever: also to the midst of a life that went on here before or after that.  So
 * all that is not done with may be different, and what is not is stored twice, as the other's and
 * as ours.
 */
uint64_t ft_lives_fork(const struct ft_lives *lives, uint64_t done_seq, uint64_t newest_seq,
                       uint64_t newest_life);

#endif
