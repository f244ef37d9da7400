/* SPDX-License-Identifier: Apache-2.0 */
/* A process goes on with a spool: what it says of each event, after what was true before. */
#include <inttypes.h>

#include "sim.h"

/*
 * A silent fault may have left an older place in the log, from before this was told as lost.  By
 * its account the agent takes it for stored, and tells it again when it hears that it is not.
 */
static bool is_forgotten(const struct sim_instance *instance, uint64_t seq,
                         const struct ft_progress *progress)
{
    return instance->vague && (instance->seqs[seq].flags & SIM_SEQ_GONE) != 0 &&
           progress->known_from > 0 && seq >= progress->known_from &&
           ft_ranges_overlap(&progress->holes, seq, seq) == 0;
}

/* What it is now, after what it was before. */
static unsigned revive(struct sim *sim, const struct sim_instance *instance, uint64_t seq,
                       const struct ft_progress *progress, bool is_there, bool may_lag)
{
    unsigned flags = instance->seqs[seq].flags;
    unsigned done = flags & (SIM_SEQ_ACKED | SIM_SEQ_LOST);
    flags &= ~done;
    if (seq <= progress->acked_seq) {
        /* Where it was sent back, it may have forgotten that. */
        if (done == 0 && seq > instance->told_seq && instance->n_excused == 0 &&
            !instance->guesses && !instance->is_sunk) {
            sim_broken(sim, "agent %u takes %" PRIu64 " for done with, which it is not",
                       instance->agent, seq);
        }
        if (done == 0 && instance->guesses && (flags & (SIM_SEQ_STORED | SIM_SEQ_TAKEN)) == 0) {
            return flags | SIM_SEQ_CRASHED; /* Whether it is told as lost the sums say. */
        }
        bool as_stored = done == 0 || is_forgotten(instance, seq, progress);
        return flags | (as_stored ? SIM_SEQ_ACKED : done);
    }
    if ((done & SIM_SEQ_LOST) != 0 && ft_ranges_overlap(&progress->holes, seq, seq) > 0) {
        return flags | done; /* Sent back, it comes there again, and passes it over. */
    }
    if (is_there) {
        if (done != 0) {
            SIM_TRACE(sim, "agent %u has %" PRIu64 " again (%u)", instance->agent, seq, done);
        }
        /* It is retained again, whatever the dead process had heard. */
        return flags | (may_lag ? SIM_SEQ_AGAIN : 0);
    }
    if ((done & SIM_SEQ_ACKED) != 0 && !instance->vague) {
        sim_broken(sim, "agent %u reports %" PRIu64 " lost, which was acknowledged",
                   instance->agent, seq);
    }
    if (done == 0) {
        SIM_TRACE(sim, "agent %u has lost %" PRIu64, instance->agent, seq);
    }
    return flags | (done != 0 ? done : SIM_SEQ_CRASHED);
}

/*
 * Where the dead process had heard of more than its place says, what it had sent behind that may
 * be stored too.  With a place that could be kept no such block is dropped (ft_log_reader_hold).
 */
static bool lags(const struct sim_instance *instance, const struct ft_progress *progress,
                 const bool *there)
{
    for (uint64_t seq = progress->acked_seq + 1; seq <= instance->n; seq++) {
        if (there[seq] && (instance->seqs[seq].flags & SIM_SEQ_ACKED) != 0) {
            return true;
        }
    }
    return false;
}

void sim_oracle_revived(struct sim *sim, struct sim_instance *instance, uint64_t n,
                        const struct ft_progress *progress, const bool *there, bool may_lag)
{
    sim_oracle_forget_numbers(sim, instance, n);
    instance->guesses =
        instance->vague && progress->known_from == 0 && progress->acked_seq > instance->base_seq;
    instance->miscounts = instance->miscounts || instance->guesses || instance->past != NULL;
    may_lag = may_lag && lags(instance, progress, there);
    instance->going_back = false;
    instance->n_acked = 0;
    instance->n_dropped = 0;
    instance->n_rejected = 0;
    instance->n_gone = 0;
    instance->n_crashed = 0;
    for (uint64_t seq = instance->base_seq + 1; seq <= instance->n; seq++) {
        unsigned flags = revive(sim, instance, seq, progress, there[seq], may_lag);
        instance->seqs[seq].flags = flags;
        instance->n_acked += (flags & SIM_SEQ_ACKED) != 0 ? 1 : 0;
        instance->n_dropped += (flags & SIM_SEQ_DROPPED) != 0 ? 1 : 0;
        instance->n_rejected += (flags & SIM_SEQ_REJECTED) != 0 ? 1 : 0;
        instance->n_gone += (flags & SIM_SEQ_GONE) != 0 ? 1 : 0;
        instance->n_crashed += (flags & SIM_SEQ_CRASHED) != 0 ? 1 : 0;
    }
}
