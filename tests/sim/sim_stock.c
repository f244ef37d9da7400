/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collector has that has just started.  If it was set back, what it had before is sunk: the
 * agents must find that out, and send it again or tell it as lost.
 */
#include "sim.h"

/* True when it is sunk. */
static bool take_stock(struct sim *sim, struct sim_seq *at)
{
    bool there = (at->flags & SIM_SEQ_STORED) != 0 || at->seen == sim->oracle.look;
    bool sunk = sim->oracle.store_was_set_back && !there && (at->flags & SIM_SEQ_TAKEN) != 0;
    at->flags &= ~(unsigned)SIM_SEQ_TAKEN;
    at->flags |= (there ? SIM_SEQ_TAKEN : 0) | (sunk ? SIM_SEQ_SUNK : 0);
    return sunk;
}

static void take_stock_of(struct sim *sim, struct sim_instance *instance)
{
    unsigned known = SIM_SEQ_TAKEN | SIM_SEQ_EXCUSED | SIM_SEQ_POISON | SIM_SEQ_LOST;
    uint64_t known_seq = 0;
    bool sunk = false;
    for (uint64_t seq = 1; seq <= instance->n; seq++) {
        sunk |= take_stock(sim, &instance->seqs[seq]);
        bool is_known = seq <= instance->base_seq || (instance->seqs[seq].flags & known) != 0;
        known_seq = is_known && known_seq == seq - 1 ? seq : known_seq;
    }
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        for (uint64_t k = 0; k < past->last_seq - past->from_seq; k++) {
            sunk |= take_stock(sim, &past->seqs[k]);
        }
    }
    if (sunk) {
        instance->is_sunk = true;
        instance->told_seq = known_seq < instance->told_seq ? known_seq : instance->told_seq;
    }
}

void sim_oracle_take_stock(struct sim *sim)
{
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        take_stock_of(sim, &sim->oracle.instances[i]);
    }
    sim->oracle.store_was_set_back = false;
}
