/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dumps of the kernel's table, a datagram a step, so that the event queue never waits for a long
 * one.  What it reads becomes chunks, which go the same way as the events, so that a recording has
 * everything in order.
 *
 * A dump that gives nothing for FT_DUMP_STALL_NS is given up.
 *
 * Thread: owner only (the pipeline).
 */
#ifndef FT_SOURCE_DUMP_H
#define FT_SOURCE_DUMP_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "os/ct_kernel.h"
#include "source/chunk.h"

#define FT_DUMP_STALL_NS (10 * FT_NS_PER_S)

struct ft_dumper;

/* Borrows 'kernel'.  -ENOMEM. */
FT_MUST_USE ft_err ft_dumper_create(struct ft_ct_kernel *kernel, struct ft_dumper **ret_dumper);
/* Gives up a dump that is under way. */
void ft_dumper_destroy(struct ft_dumper *dumper);
FT_DEFINE_CLEANUP(struct ft_dumper, ft_dumper_destroy);

/* Asks for a dump; none may be under way.  DUMP_BEGIN and what follows come from step(). */
void ft_dumper_begin(struct ft_dumper *dumper, enum ft_dump_reason reason);

bool ft_dumper_is_active(const struct ft_dumper *dumper);

/*
 * The next chunk of the dump, waiting for it 'wait_ms' at most; NULL when there is none yet.  Valid
 * until the next step.  After DUMP_END or DUMP_FAILED the dump is over.
 */
const struct ft_chunk *ft_dumper_step(struct ft_dumper *dumper, const struct ft_clock *clock,
                                      unsigned wait_ms);

#endif
