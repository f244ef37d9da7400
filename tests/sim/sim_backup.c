/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_backup.h"

#include <string.h>

#include "sim.h"

static void take(struct sim_collector *collector)
{
    struct sim_backup *backup = &collector->backup;
    sim_backup_drop(collector);
    SIM_TRACE(collector->sim, "the collector's disk is copied");
    backup->disk = ft_fault_disk_clone(collector->disk);
    memcpy(backup->kept, collector->kept, sizeof backup->kept);
    uint64_t durable = ft_log_durable(collector->log);
    for (uint64_t position = durable + 1; position < SIM_POSITIONS_MAX; position++) {
        backup->kept[position / 64] &= ~(UINT64_C(1) << (position % 64));
    }
}

void sim_backup_fault(struct sim_collector *collector)
{
    struct ft_random_seeded *random = &collector->sim->fault_random;
    if (!collector->up) {
        return;
    }
    if (collector->backup.disk == NULL || sim_one_in(random, 4)) {
        take(collector);
        return;
    }
    static const enum ft_fault_cut cuts[] = {FT_FAULT_KILL, FT_FAULT_LOSE, FT_FAULT_TEAR};
    collector->next_cut = cuts[sim_below(random, sizeof cuts / sizeof cuts[0])];
    collector->next_silent = sim_one_in(random, 2);
    collector->backup.due = true;
    sim_collector_die(collector);
}

void sim_backup_restore(struct sim_collector *collector)
{
    struct sim *sim = collector->sim;
    struct sim_backup *backup = &collector->backup;
    if (!backup->due) {
        return;
    }
    backup->due = false;
    SIM_TRACE(sim, "the collector is set back");
    sim_count(sim, SIM_FAULT_STORE_SET_BACK);
    ft_fault_disk_copy(collector->disk, backup->disk);
    memcpy(collector->kept, backup->kept, sizeof collector->kept);
    sim->oracle.store_was_set_back = true;
}

void sim_backup_drop(struct sim_collector *collector)
{
    ft_disk_destroy(collector->backup.disk);
    collector->backup.disk = NULL;
}
