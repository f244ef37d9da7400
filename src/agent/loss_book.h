/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses until they are safely told: each loss becomes a LOSS event, and if that event is itself
 * dropped before the collector has it, its loss is told again.  So what the collector hears sums
 * up to exactly what was lost, however long the outage.
 *
 * Losses of one cause that are next to each other (or have no sequence numbers) are told as one.
 * Both lists are bounded.  While FT_LOSS_BOOK_TOLD_MAX LOSS events wait for the collector, further
 * losses wait here and merge.  When the waiting ones are too many, the two oldest of one cause
 * become one whose span covers both: counts stay exact, the span gets wider.
 *
 * Thread: owner only (the pipeline).
 */
#ifndef FT_AGENT_LOSS_BOOK_H
#define FT_AGENT_LOSS_BOOK_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/event.h"

#define FT_LOSS_BOOK_PENDING_MAX 64
#define FT_LOSS_BOOK_TOLD_MAX    256

struct ft_loss_told {
    uint64_t seq; /* Of the LOSS event. */
    struct ft_loss loss;
};

struct ft_loss_book {
    size_t n_pending;
    struct ft_loss pending[FT_LOSS_BOOK_PENDING_MAX];
    size_t n_told;
    struct ft_loss_told told[FT_LOSS_BOOK_TOLD_MAX];
};

void ft_loss_book_init(struct ft_loss_book *book);

/* Something was lost: it is to be told. */
void ft_loss_book_add(struct ft_loss_book *book, const struct ft_loss *loss);

/* Takes the oldest loss that is to be told; false when there is none, or none may be told now. */
bool ft_loss_book_take(struct ft_loss_book *book, struct ft_loss *ret_loss);

/* A LOSS event with number 'seq' tells of 'loss', which was taken before. */
void ft_loss_book_told(struct ft_loss_book *book, uint64_t seq, const struct ft_loss *loss);

/* Events first..last were dropped: what LOSS events among them told is to be told again. */
void ft_loss_book_dropped(struct ft_loss_book *book, uint64_t first_seq, uint64_t last_seq);

/* The LOSS events that reached the collector last: it may lose them again.  In no record. */
struct ft_loss_history {
    size_t n;
    struct ft_loss_told told[FT_LOSS_BOOK_TOLD_MAX];
};

/* Everything up to 'seq' is with the collector; 'history' remembers what that was. */
void ft_loss_book_acked(struct ft_loss_book *book, uint64_t seq, struct ft_loss_history *history);

/*
 * The collector has nothing behind 'seq' any more: LOSS events there are told and not with it.  As
 * many of the newest as there is room for; false when there were none.
 */
bool ft_loss_book_gone_back(struct ft_loss_book *book, uint64_t seq,
                            struct ft_loss_history *history);

#endif
