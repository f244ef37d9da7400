/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector that is restored from a backup: its whole disk, with log, table and ledger, is what
 * it was at some earlier moment.  It cannot know that; the agents can.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_BACKUP_H
#define FT_TESTS_SIM_BACKUP_H 1

#include "lib/fault_disk.h"
#include "sim_base.h"

/* More positions than a run uses. */
#define SIM_POSITIONS_MAX 16384

struct sim_collector;

struct sim_backup {
    struct ft_disk *disk; /* NULL: there is none. */
    uint64_t kept[SIM_POSITIONS_MAX / 64];
    bool due; /* The next start is from it. */
};

/* Takes one, or sets the collector back to the one that there is. */
void sim_backup_fault(struct sim_collector *collector);
/* The process is gone, and what is to be read from its disk next is up to this. */
void sim_backup_restore(struct sim_collector *collector);
void sim_backup_drop(struct sim_collector *collector);

#endif
