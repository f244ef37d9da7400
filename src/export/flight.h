/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocks that the exporter holds: first those that were sent on this stream and wait for their
 * acknowledgement, then those that are to be sent.  A ring of FT_EXPORTER_BLOCKS_MAX places.
 *
 * Thread: owner only.
 */
#ifndef FT_EXPORT_FLIGHT_H
#define FT_EXPORT_FLIGHT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/event.h"
#include "store/log.h"

#define FT_FLIGHT_PLACES 1024

struct ft_flight_block {
    struct ft_block block;
    bool sent_before; /* On this or an earlier stream. */
    /* It holds the place of events that cannot be sent; NULL for a real block. */
    const char *lost_reason;
    enum ft_loss_cause lost_cause;
    bool settled; /* These were accounted for before: only their place is left to confirm. */
    bool stored;  /* The collector says that it has them: they are confirmed without being sent. */
};

struct ft_flight {
    size_t head; /* The place of the oldest block. */
    size_t n;
    size_t n_sent; /* The first n_sent were sent on this stream. */
    uint64_t bytes;
    uint64_t sent_bytes;
    struct ft_flight_block blocks[FT_FLIGHT_PLACES];
};

void ft_flight_init(struct ft_flight *flight);
/* Releases all blocks. */
void ft_flight_clear(struct ft_flight *flight);

/* Takes the block over.  Not when full. */
void ft_flight_push(struct ft_flight *flight, const struct ft_block *block, bool sent_before);
/* The same for events that are lost: 'block' has no data.  'reason' is static. */
void ft_flight_push_lost(struct ft_flight *flight, const struct ft_block *block,
                         enum ft_loss_cause cause, const char *reason);
/* The same for events that were accounted for before. */
void ft_flight_push_settled(struct ft_flight *flight, const struct ft_block *block);
/* Releases the oldest block. */
void ft_flight_pop(struct ft_flight *flight);

/* The oldest block, and the next to be sent; NULL for none. */
struct ft_flight_block *ft_flight_first(struct ft_flight *flight);
struct ft_flight_block *ft_flight_next(struct ft_flight *flight);
void ft_flight_mark_sent(struct ft_flight *flight);

/* The stream is gone: nothing counts as sent. */
void ft_flight_rewind(struct ft_flight *flight);

/* Nothing of it is sent: it is done with in its turn. */
bool ft_flight_needs_nothing(const struct ft_flight_block *block);

/* The i-th of all, from the oldest. */
struct ft_flight_block *ft_flight_at(struct ft_flight *flight, size_t i);

uint64_t ft_flight_last_seq(const struct ft_flight_block *block);
/* The last sequence number that was sent on this stream; 'otherwise' when none was. */
uint64_t ft_flight_sent_seq(const struct ft_flight *flight, uint64_t otherwise);

#endif
