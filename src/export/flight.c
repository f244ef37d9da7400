/* SPDX-License-Identifier: Apache-2.0 */
#include "export/flight.h"

#include <assert.h>

static size_t place(const struct ft_flight *flight, size_t index)
{
    return (flight->head + index) % FT_FLIGHT_PLACES;
}

void ft_flight_init(struct ft_flight *flight)
{
    flight->head = 0;
    flight->n = 0;
    flight->n_sent = 0;
    flight->bytes = 0;
    flight->sent_bytes = 0;
}

void ft_flight_clear(struct ft_flight *flight)
{
    while (flight->n > 0) {
        ft_flight_pop(flight);
    }
}

void ft_flight_push(struct ft_flight *flight, const struct ft_block *block, bool sent_before)
{
    size_t index = flight->n;
    ft_flight_push_lost(flight, block, FT_LOSS_UNKNOWN, NULL);
    flight->blocks[place(flight, index)].sent_before = sent_before;
}

void ft_flight_push_lost(struct ft_flight *flight, const struct ft_block *block,
                         enum ft_loss_cause cause, const char *reason)
{
    assert(flight->n < FT_FLIGHT_PLACES);
    flight->blocks[place(flight, flight->n)] =
        (struct ft_flight_block){.block = *block, .lost_reason = reason, .lost_cause = cause};
    flight->n++;
    flight->bytes += block->size;
}

void ft_flight_push_settled(struct ft_flight *flight, const struct ft_block *block)
{
    size_t index = flight->n;
    ft_flight_push_lost(flight, block, FT_LOSS_UNKNOWN, "settled");
    flight->blocks[place(flight, index)].settled = true;
}

void ft_flight_pop(struct ft_flight *flight)
{
    assert(flight->n > 0);
    struct ft_block *block = &flight->blocks[flight->head].block;
    flight->bytes -= block->size;
    if (flight->n_sent > 0) {
        flight->n_sent--;
        flight->sent_bytes -= block->size;
    }
    ft_block_release(block);
    flight->head = place(flight, 1);
    flight->n--;
}

struct ft_flight_block *ft_flight_first(struct ft_flight *flight)
{
    return flight->n > 0 ? &flight->blocks[flight->head] : NULL;
}

struct ft_flight_block *ft_flight_next(struct ft_flight *flight)
{
    return flight->n_sent < flight->n ? &flight->blocks[place(flight, flight->n_sent)] : NULL;
}

void ft_flight_mark_sent(struct ft_flight *flight)
{
    struct ft_flight_block *block = ft_flight_next(flight);
    assert(block != NULL);
    block->sent_before = true;
    flight->sent_bytes += block->block.size;
    flight->n_sent++;
}

void ft_flight_rewind(struct ft_flight *flight)
{
    flight->n_sent = 0;
    flight->sent_bytes = 0;
}

bool ft_flight_needs_nothing(const struct ft_flight_block *block)
{
    return block->lost_reason != NULL || block->stored;
}

struct ft_flight_block *ft_flight_at(struct ft_flight *flight, size_t i)
{
    assert(i < flight->n);
    return &flight->blocks[place(flight, i)];
}

uint64_t ft_flight_last_seq(const struct ft_flight_block *block)
{
    return block->block.info.first_seq + block->block.info.n_events - 1;
}

uint64_t ft_flight_sent_seq(const struct ft_flight *flight, uint64_t otherwise)
{
    if (flight->n_sent == 0) {
        return otherwise;
    }
    return ft_flight_last_seq(&flight->blocks[place(flight, flight->n_sent - 1)]);
}
