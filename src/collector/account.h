/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the events of an agent's instance are all accounted for, and the sum over all instances:
 *
 *     observed = stored + quarantined + damaged + retained + lost + merged
 *
 * 'Stored' events are in the store or durable on their way there.  'Quarantined' ones came and
 * could not be stored, 'damaged' ones were stored in the log and cannot be read there any more.
 * 'Merged' events went into others of the same flow before they were sent; it is a term of its own
 * because their number, not what they counted, is gone.
 *
 * What was observed, is retained and was lost is the agent's own word, in its status; what is
 * stored is what we have.  Both belong to one moment: a status comes behind the batches that were
 * sent before it, and what we had when it came is kept with it.  What came since was retained then
 * and is stored now, so the sums are of now, and no difference but a real one shows.
 *
 * An instance that has not said anything cannot be judged.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_COLLECTOR_ACCOUNT_H
#define FT_COLLECTOR_ACCOUNT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "collector/instances.h"

/* What does not add up, in events.  All zero: balanced. */
struct ft_discrepancy {
    uint64_t own;      /* Inside the agent's own account. */
    uint64_t missing;  /* The agent was told that we have them; we do not. */
    uint64_t gone;     /* We knew before our start that we have them, and nobody said since that
                        * they are lost; we do not. */
    uint64_t store;    /* Taken into the log and gone; the store does not have them. */
    uint64_t vanished; /* The store had them, and somebody has deleted them there. */
    uint64_t numbers;  /* Neither taken, rejected nor missing; or twice. */
};

void ft_discrepancy_of(const struct ft_instance *instance, struct ft_discrepancy *ret_discrepancy);
uint64_t ft_discrepancy_total(const struct ft_discrepancy *discrepancy);
/* In words, for people: "events that the agent believes here and are not: 5". */
void ft_discrepancy_format(const struct ft_discrepancy *discrepancy, struct ft_buf *buf);

/* The account of one instance, or of several together. */
struct ft_account {
    uint64_t observed;
    uint64_t stored;
    uint64_t quarantined;
    uint64_t damaged;
    uint64_t retained;
    uint64_t merged;
    uint64_t lost;
    uint64_t lost_by_cause[FT_LOSS_CAUSE_N];
    uint64_t missing;     /* Holes in the numbers. */
    uint64_t unaccounted; /* Of all discrepancies. */
    size_t n_instances;
    size_t n_unbalanced;
};

void ft_account_add(struct ft_account *account, const struct ft_instance *instance);

/* Taken into the log, and neither in the store nor passed over yet. */
uint64_t ft_account_waiting(const struct ft_instance *instance);
/* By cause: the agent's word, else the LOSS events that came. */
const uint64_t *ft_account_losses(const struct ft_instance *instance);

#endif
