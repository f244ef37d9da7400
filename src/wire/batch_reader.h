/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks a flowtrail.v1.Batch into events: the collector's half of the packed form.  Whatever the
 * bytes are, open() either refuses them with a reason or every event behind it is within bounds.
 *
 * No I/O, no clock.  Thread: owner only.
 */
#ifndef FT_WIRE_BATCH_READER_H
#define FT_WIRE_BATCH_READER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "flow/event.h"
#include "flow/ids.h"

struct ft_batch_reader;

/*
 * Unpacks and checks everything: counts of the columns, enumerations, ports, sequence numbers,
 * strings (UTF-8, length).  FT_E_PROTOCOL with the reason in '*reterr_diag', also when unpacking
 * wants more than FT_WIRE_ALLOC_BYTES_MAX; -ENOMEM, which says nothing about the batch.  'data' may
 * go after the call.
 */
FT_MUST_USE ft_err ft_batch_reader_open(const void *data, size_t size,
                                        struct ft_batch_reader **ret_reader,
                                        struct ft_diag *reterr_diag);
void ft_batch_reader_close(struct ft_batch_reader *reader);
FT_DEFINE_CLEANUP(struct ft_batch_reader, ft_batch_reader_close);

/*
 * Which events a batch says it holds, also when open() refuses it.  FT_E_PROTOCOL when it is no
 * protobuf or its numbers make no sense; -ENOMEM.
 */
FT_MUST_USE ft_err ft_batch_peek(const void *data, size_t size, uint64_t *ret_first_seq,
                                 uint32_t *ret_n_events);

/* Batch.life of a whole batch, found without unpacking the rest; 0 where there is none. */
uint64_t ft_batch_peek_life(const void *data, size_t size);

const struct ft_uuid *ft_batch_reader_instance(const struct ft_batch_reader *reader);
uint64_t ft_batch_reader_first_seq(const struct ft_batch_reader *reader);
uint64_t ft_batch_reader_life(const struct ft_batch_reader *reader);
uint32_t ft_batch_reader_count(const struct ft_batch_reader *reader);

/* The next event; false behind the last.  Its strings are valid until close. */
bool ft_batch_reader_next(struct ft_batch_reader *reader, struct ft_event *ret_event);

#endif
