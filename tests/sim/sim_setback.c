/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that are given twice: a spool that was set back, or has lost more than it knows, goes on
 * from an earlier number.  What was given before is set aside (the tail); as soon as the collector
 * shows that it has some of that, the agent must become another instance, and then both have what
 * is theirs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

void sim_oracle_reserve(struct sim_instance *instance, uint64_t seq)
{
    while (seq >= instance->n_allocated) {
        instance->n_allocated = instance->n_allocated != 0 ? instance->n_allocated * 2 : 1024;
        instance->seqs =
            must(realloc(instance->seqs, instance->n_allocated * sizeof *instance->seqs));
    }
}

static void set_aside(struct sim_instance *instance, uint64_t n)
{
    struct sim_tail *tail = &instance->tail;
    if (tail->last_seq > 0 && n >= tail->from_seq) {
        return; /* What was given since then nobody has seen. */
    }
    uint64_t old_from = tail->last_seq > 0 ? tail->from_seq : instance->n;
    uint64_t last_seq = tail->last_seq > 0 ? tail->last_seq : instance->n;
    struct sim_seq *seqs = must(malloc((last_seq - n) * sizeof *seqs));
    memcpy(seqs, instance->seqs + n + 1, (old_from - n) * sizeof *seqs);
    if (last_seq > old_from) {
        memcpy(seqs + (old_from - n), tail->seqs, (last_seq - old_from) * sizeof *seqs);
    }
    free(tail->seqs);
    *tail = (struct sim_tail){.from_seq = n, .last_seq = last_seq, .seqs = seqs};
    instance->told_seq = n < instance->told_seq ? n : instance->told_seq;
}

void sim_oracle_forget_numbers(struct sim *sim, struct sim_instance *instance, uint64_t n)
{
    if (n > instance->n) {
        sim_broken(sim, "agent %u goes on behind %" PRIu64 "; it had given %" PRIu64,
                   instance->agent, n, instance->n);
        return;
    }
    if (n < instance->n && instance->vague) {
        SIM_TRACE(sim, "agent %u goes on behind %" PRIu64 " again, it was at %" PRIu64,
                  instance->agent, n, instance->n);
        set_aside(instance, n);
    }
    for (uint64_t seq = n + 1; seq <= instance->n && !instance->vague; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        if (seq <= instance->told_seq || (flags & (SIM_SEQ_ACKED | SIM_SEQ_STORED)) != 0) {
            sim_broken(sim, "agent %u gives %" PRIu64 " again, which the collector has",
                       instance->agent, seq);
            return;
        }
    }
    instance->n = n;
}

void sim_oracle_drop_tail(struct sim_instance *instance)
{
    free(instance->tail.seqs);
    instance->tail = (struct sim_tail){0};
}

struct sim_seq *sim_oracle_in_tail(struct sim_instance *instance, uint64_t seq)
{
    const struct sim_tail *tail = &instance->tail;
    return seq > tail->from_seq && seq <= tail->last_seq ? &tail->seqs[seq - tail->from_seq - 1]
                                                         : NULL;
}

void sim_oracle_settle_tail(struct sim *sim, struct sim_instance *instance, uint64_t durable_seq)
{
    if (instance->tail.last_seq > 0 && durable_seq <= instance->tail.from_seq) {
        SIM_TRACE(sim, "agent %u: nobody has what it had behind %" PRIu64, instance->agent,
                  instance->tail.from_seq);
        sim_oracle_drop_tail(instance);
        instance->reused = true;
    }
}

/* Losses that were to be told stay so, whosever they were: its sums are not exact. */
struct sim_instance *sim_oracle_fork(struct sim *sim, struct sim_instance *instance,
                                     const struct ft_uuid *instance_id, uint64_t base_seq)
{
    struct sim_instance *fork =
        sim_oracle_add(sim, instance->agent, &instance->key.agent_id, instance_id);
    fork->vague = true;
    fork->base_seq = base_seq;
    fork->n = instance->n;
    sim_oracle_reserve(fork, fork->n);
    for (uint64_t seq = 1; seq <= fork->n; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        fork->seqs[seq] = instance->seqs[seq];
        fork->seqs[seq].flags &= ~(unsigned)(SIM_SEQ_ACKED | SIM_SEQ_STORED | SIM_SEQ_EXCUSED |
                                             SIM_SEQ_TAKEN | SIM_SEQ_GAP);
        if ((flags & SIM_SEQ_ACKED) != 0) {
            fork->seqs[seq].flags |= SIM_SEQ_EXCUSED; /* It may come again. */
            fork->n_excused++;
        }
    }
    if (instance->tail.last_seq > 0) {
        const struct sim_tail *tail = &instance->tail;
        sim_oracle_reserve(instance, tail->last_seq);
        memcpy(instance->seqs + tail->from_seq + 1, tail->seqs,
               (tail->last_seq - tail->from_seq) * sizeof *tail->seqs);
        instance->n = tail->last_seq;
        sim_oracle_drop_tail(instance);
    }
    instance->alive = false;
    return fork;
}
