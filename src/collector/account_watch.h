/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells in the log whose account does not balance, and whose does again: once for each change.
 * Ingest looks when an agent has told its account; this looks at all of them, also those whose
 * agent is away.
 *
 * Thread: any.
 */
#ifndef FT_COLLECTOR_ACCOUNT_WATCH_H
#define FT_COLLECTOR_ACCOUNT_WATCH_H 1

#include "collector/account.h"

/* The line about one instance; 'held': how many such lines were held back before it. */
void ft_account_tell(const char *host_name, const struct ft_uuid *instance_id,
                     const struct ft_discrepancy *discrepancy, uint64_t held);

/* A look tells of so many at most; of the others the next one does. */
#define FT_ACCOUNT_WATCH_TELL_MAX 8
/* Looks at all, and returns of how many it told. */
size_t ft_account_watch(struct ft_instances *instances);

#endif
