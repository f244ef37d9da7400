/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as JSON (/api/v1/ledger): of each instance what the agent says of its events, what the
 * collector has of them, and whether both add up.
 *
 *   {"time", "balanced", "total": {…}, "ledger": [{…}, …], "next"}
 *
 * An instance:
 *
 *   "agent_id", "instance_id", "host_name", "token", "last_seen"
 *   "state"      "connected", "away", or "ended": away, and its agent came as another one since
 *   "agent"      its own word, and when it was given ("told"): "observed", "filtered", "merged",
 *                "sealed", "sent", "acknowledged", "retained", "lost", "lost_by_cause".  Not there
 *                when it never gave it
 *   "collector"  "numbered": the last number seen.  Each is "taken", "rejected" or "missing".
 *                "taken" ones are "stored", "waiting" for the store, "quarantined" or "damaged".
 *                "vanished" ones were stored, and somebody has deleted them from the store.
 *                "received": all that came, with "duplicate" ones; "lost", "lost_by_cause": what
 *                the stored LOSS events say
 *   "account"    both brought together (account.h), "unaccounted": what is missing there
 *   "balanced"   true, false, or null when it cannot be told: the agent has not told its account,
 *                or has ended without telling what became of what it retained; "why"
 *
 * "total" is of all that match, also those on other pages: "instances", "unbalanced", "unknown",
 * and the three objects, summed ("numbered" too).  "balanced" of all: false when one is false, else
 * null when one is null or there is none.  "next" is the cursor of the next page.
 *
 * Thread: any.
 */
#ifndef FT_COLLECTOR_LEDGER_API_H
#define FT_COLLECTOR_LEDGER_API_H 1

#include "collector/instances.h"
#include "web/flows_api.h"

/* -ENOMEM, and nothing is written. */
FT_MUST_USE ft_err ft_ledger_api_write(struct ft_json_writer *writer,
                                       struct ft_instances *instances, int64_t now_real_ns,
                                       const struct ft_flows_ledger_query *query);

#endif
