/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_fault.h"

#include "sim.h"

const struct sim_fault_kind sim_fault_kinds[SIM_FAULT_N] = {
#define SIM_FAULT_KIND(id, name, weight, least) [SIM_FAULT_##id] = {name, weight, least},
    SIM_FAULTS(SIM_FAULT_KIND)
#undef SIM_FAULT_KIND
};

void sim_faults_begin(struct sim *sim) { (void)sim; }

void sim_faults_end(struct sim *sim) { (void)sim; }

void sim_count(struct sim *sim, enum sim_fault fault) { sim->result->faults[fault]++; }
