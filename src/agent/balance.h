/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the agent's own account adds up:
 *
 *     observed = acknowledged + retained + merged + lost
 *
 * Pure arithmetic on a status, whose numbers are of one moment (report.h).
 *
 * Thread: any; a watch belongs to one.
 */
#ifndef FT_AGENT_BALANCE_H
#define FT_AGENT_BALANCE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

/* Of all causes. */
uint64_t ft_balance_lost(const struct ft_msg_status *status);
/* By how many events the two sides differ, whichever is larger; 0: it balances. */
uint64_t ft_balance_off(const struct ft_msg_status *status);

/* What was seen of the difference; all zero at the start. */
struct ft_balance_watch {
    uint64_t seen;
    uint64_t told;
};
/*
 * A look at it: true when it is to be told now, once for each change.  A difference counts when two
 * looks in a row have found it: an alarm must not be raised by a look that met a change.
 */
bool ft_balance_is_news(struct ft_balance_watch *watch, uint64_t off);

#endif
