/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a run: nothing is under way any more, so that each event is stored or told as lost.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "sim.h"

/* The first event of a living instance that is nowhere yet; 0: none. */
static uint64_t first_unsettled(const struct sim_instance *instance)
{
    for (uint64_t seq = instance->base_seq + 1; seq <= instance->n; seq++) {
        if ((instance->seqs[seq].flags & (SIM_SEQ_LOST | SIM_SEQ_STORED | SIM_SEQ_EXCUSED)) == 0) {
            return seq;
        }
    }
    return 0;
}

/* Both the table and a LOSS have these. */
static bool is_told_in_vain(unsigned flags)
{
    return (flags & SIM_SEQ_AGAIN) != 0 && (flags & SIM_SEQ_DROPPED) != 0 &&
           (flags & SIM_SEQ_STORED) != 0;
}

static uint64_t told_in_vain(const struct sim_instance *instance)
{
    uint64_t n = 0;
    for (uint64_t seq = 1; seq <= instance->n; seq++) {
        n += is_told_in_vain(instance->seqs[seq].flags) ? 1 : 0;
    }
    return n;
}

static uint64_t n_missing(const struct sim_instance *instance)
{
    return instance->n - instance->base_seq - instance->n_stored + instance->overrun.count;
}

/*
 * LOSS events that a collector has lost with its store, and that their agent has freed, are told by
 * the agent's account alone.
 */
static bool account_tells(struct sim *sim, const struct sim_instance *instance)
{
    struct ft_instance known;
    uint64_t lost = 0;
    if (!ft_instances_get(sim->collector.instances, &instance->key, &known)) {
        return false;
    }
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        lost += known.told.lost[cause];
    }
    uint64_t missing = n_missing(instance);
    return lost >= missing && (instance->vague || lost <= missing + told_in_vain(instance));
}

/* What silent faults took is in no LOSS, and may have been one. */
static bool losses_are_told(struct sim *sim, const struct sim_instance *instance)
{
    if (instance->is_sunk && instance->n_excused == 0 && !instance->miscounts) {
        return account_tells(sim, instance);
    }
    uint64_t missing = n_missing(instance);
    uint64_t told = instance->stored_losses;
    if (instance->n_excused > 0 || told == missing) {
        return true;
    }
    if (instance->vague) {
        return instance->miscounts || told > missing; /* Never less than there was. */
    }
    return told > missing && (instance->set_back || told == missing + told_in_vain(instance));
}

bool sim_oracle_is_settled(struct sim *sim)
{
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        const struct sim_instance *instance = &sim->oracle.instances[i];
        if (instance->alive &&
            (first_unsettled(instance) != 0 || !losses_are_told(sim, instance))) {
            return false;
        }
    }
    return true;
}

void sim_oracle_tell_unsettled(struct sim *sim, const char *format, ...)
{
    char words[128];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        const struct sim_instance *instance = &sim->oracle.instances[i];
        uint64_t seq = instance->alive ? first_unsettled(instance) : 0;
        if (seq != 0) {
            sim_broken(sim,
                       "%s: event %" PRIu64 " of %" PRIu64 " of agent %u is still under way "
                       "(flags %u)",
                       words, seq, instance->n, instance->agent, instance->seqs[seq].flags);
            return;
        }
    }
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        const struct sim_instance *instance = &sim->oracle.instances[i];
        if (instance->alive && !losses_are_told(sim, instance)) {
            sim_broken(sim,
                       "%s: of agent %u %" PRIu64 " events are missing; the LOSS events add up to "
                       "%" PRIu64,
                       words, instance->agent, n_missing(instance), instance->stored_losses);
            return;
        }
    }
    sim_broken(sim, "%s: something is still under way", words);
}

static void end_living(struct sim *sim, const struct sim_instance *instance)
{
    for (uint64_t seq = 1; seq <= instance->n; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        bool stored = (flags & SIM_SEQ_STORED) != 0;
        /* What a damaged spool misses at the start may have been sent before. */
        bool is_doubtful = instance->vague && (flags & (SIM_SEQ_CRASHED | SIM_SEQ_DROPPED)) != 0;
        /* Before the host was set back it was not. */
        bool is_old = instance->set_back && instance->seqs[seq].life != instance->life;
        bool lost =
            (flags & SIM_SEQ_LOST) != 0 && !is_doubtful && !is_old && !is_told_in_vain(flags);
        if (stored && lost) {
            sim_broken(sim, "event %" PRIu64 " of agent %u is stored and was reported lost", seq,
                       instance->agent);
        }
    }
    if (instance->n_excused == 0 && !instance->vague) {
        sim_overrun_end(sim, instance);
    }
}

void sim_oracle_end(struct sim *sim)
{
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        struct sim_instance *instance = &sim->oracle.instances[i];
        sim->result->stored += instance->n_stored;
        sim_oracle_end_past(sim, instance);
        if (instance->alive) {
            end_living(sim, instance);
            continue;
        }
        for (uint64_t seq = instance->base_seq + 1; seq <= instance->n; seq++) {
            unsigned flags = instance->seqs[seq].flags;
            unsigned there = SIM_SEQ_STORED | SIM_SEQ_EXCUSED | SIM_SEQ_SUNK;
            bool told_lost = instance->vague && (flags & SIM_SEQ_LOST) != 0;
            if ((flags & SIM_SEQ_ACKED) != 0 && !told_lost && (flags & there) == 0) {
                sim_broken(sim,
                           "event %" PRIu64 " of a former agent %u was acknowledged and is "
                           "missing (flags %u)",
                           seq, instance->agent, flags);
            }
        }
    }
}
