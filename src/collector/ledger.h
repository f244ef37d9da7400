/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: what is known of each instance's events, kept over restarts of the collector.  Where
 * events are stored is for the store and the log to say; the ledger has what neither knows: what
 * was rejected, passed over or missing, repeats, and the agent's own account as it last told it.
 *
 * The file "ledger" in the data directory: 4,096 bytes of header, then a place of 2,048 bytes for
 * each instance, two copies of 1,024.  All numbers are little-endian.
 *
 *   Header                           Copy
 *    0  8  "FTLEDG1\n"                0  4  "FTLE"
 *    8  4  1,024                      4  4  version, 1
 *   12     0                          8  8  checksum of bytes 16 to 1,023, XXH3-64
 *                                    16  8  generation: the copy with the higher one counts
 *                                    24 16  agent_id
 *                                    40 16  instance_id
 *                                    56 64  host name, padded with zeros, maybe cut
 *                                   120 64  token's name
 *                                   184     numbers of 8 bytes, in the order of ledger.c
 *
 * A copy that is known to be on disk is never written over: writes go to the other one until the
 * next sync.  A write survives the end of the process at once, a power cut after the next sync.
 * At the start the file is written again as it is and synced, because an earlier process may have
 * failed to; where that fails, the next write makes a new file.
 *
 * A rejection is written and synced before the agent is told of it; the rest follows within a
 * second or so.  What a crash takes of that is told again: an agent says its account anew, and
 * blocks in quarantine are there to be counted.
 *
 * Thread: any; one lock, which is held over writes to the file.
 */
#ifndef FT_COLLECTOR_LEDGER_H
#define FT_COLLECTOR_LEDGER_H 1

#include <stdatomic.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/disk.h"
#include "collector/instances.h"

struct ft_ledger;

struct ft_ledger_stats {
    _Atomic uint64_t writes; /* Instances written. */
    _Atomic uint64_t syncs;
    _Atomic uint64_t failures;
    _Atomic uint64_t damaged; /* Places whose copies were both unreadable, at the start. */
};

/* Longer silent than this, an instance leaves the ledger at the next start: sooner than the store
 * forgets its mark (sink/duckdb_marks.h), without which nobody could judge it. */
#define FT_LEDGER_FORGET_NS (85 * 86400 * FT_NS_PER_S)

/*
 * Opens or makes the file in 'disk' (borrowed) and puts what it has into 'instances', which are
 * empty; store and log are asked then, and ft_recovery_reconcile() brings all together.
 * A file that is something else is renamed to "ledger.bad" and counted as damaged.  The disk's
 * error.
 */
FT_MUST_USE ft_err ft_ledger_open(struct ft_disk *disk, struct ft_instances *instances,
                                  int64_t now_real_ns, struct ft_ledger **ret_ledger);
/* Accepts NULL.  Writes nothing. */
void ft_ledger_close(struct ft_ledger *ledger);
FT_DEFINE_CLEANUP(struct ft_ledger, ft_ledger_close);

/*
 * Writes what has changed; 'sync': durably.  After an error everything is written again by the next
 * call.  Accepts NULL and does nothing then.
 */
FT_MUST_USE ft_err ft_ledger_write(struct ft_ledger *ledger, bool sync);

const struct ft_ledger_stats *ft_ledger_stats(const struct ft_ledger *ledger);

#endif
