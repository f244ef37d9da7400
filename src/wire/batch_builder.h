/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs consecutive events into the columns of a flowtrail.v1.Batch: the agent's half of the
 * packed form.  The bytes that seal() gives are the block: kept, sent and stored unchanged.
 *
 * No I/O, no clock.  Thread: owner only.
 */
#ifndef FT_WIRE_BATCH_BUILDER_H
#define FT_WIRE_BATCH_BUILDER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "flow/event.h"
#include "flow/ids.h"

/* Most events of one batch (export.proto: Batch.count). */
#define FT_BATCH_EVENTS_MAX 4096

/* Most different strings of one batch; an event has at most 8. */
#define FT_BATCH_STRINGS_MAX 8192

struct ft_batch_builder;

/* All memory is taken here: nothing is allocated for an event. */
FT_MUST_USE ft_err ft_batch_builder_create(const struct ft_uuid *instance_id,
                                           struct ft_batch_builder **ret_builder);
void ft_batch_builder_destroy(struct ft_batch_builder *builder);
FT_DEFINE_CLEANUP(struct ft_batch_builder, ft_batch_builder_destroy);

/* The instance of the batch that is being built and of those that follow. */
void ft_batch_builder_set_instance(struct ft_batch_builder *builder,
                                   const struct ft_uuid *instance_id);
/* The life of all batches from now on (export.proto: Batch.life); 0 at first. */
void ft_batch_builder_set_life(struct ft_batch_builder *builder, uint64_t life);

/*
 * Adds an event; its 'seq' is one more than that of the event before (asserted).  FT_E_FULL when
 * the batch has FT_BATCH_EVENTS_MAX events or no room for its strings: seal first.
 */
FT_MUST_USE ft_err ft_batch_builder_add(struct ft_batch_builder *builder,
                                        const struct ft_event *event);

uint32_t ft_batch_builder_count(const struct ft_batch_builder *builder);
uint64_t ft_batch_builder_first_seq(const struct ft_batch_builder *builder);

/* The size of the sealed batch, from above: real batches are 60 to 95 % of it. */
size_t ft_batch_builder_size_estimate(const struct ft_batch_builder *builder);

/* Writes the batch behind what 'buf' has and empties the builder; also when there is no memory for
 * it, so that the events are the caller's to count.  Not for an empty builder. */
FT_MUST_USE ft_err ft_batch_builder_seal(struct ft_batch_builder *builder, struct ft_buf *buf);

#endif
