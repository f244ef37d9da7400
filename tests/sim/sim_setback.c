/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that are given twice: a spool that was set back, or has lost more than it knows, goes on
 * from an earlier number.  What was given before is set aside (the past); which of the two a block
 * or a row is, its life tells.  As soon as the collector shows that it has something of the past
 * behind what both have, the agent must become another instance, and then both have what is theirs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void set_aside(struct sim_instance *instance, uint64_t n);
static void count_stored(struct sim_instance *instance);

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

static struct sim_seq *in_past(struct sim_past *past, uint64_t seq)
{
    return seq > past->from_seq && seq <= past->last_seq ? &past->seqs[seq - past->from_seq - 1]
                                                         : NULL;
}

struct sim_seq *sim_oracle_event(struct sim_instance *instance, uint64_t seq, uint64_t life)
{
    if (seq > 0 && seq <= instance->n && instance->seqs[seq].life == life) {
        return &instance->seqs[seq];
    }
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        struct sim_seq *at = in_past(past, seq);
        if (at != NULL && at->life == life) {
            return at;
        }
    }
    return NULL;
}

unsigned sim_oracle_flags_of_all(const struct sim_instance *instance, uint64_t seq)
{
    unsigned flags = seq <= instance->n ? instance->seqs[seq].flags : 0;
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        const struct sim_seq *at = in_past(past, seq);
        flags |= at != NULL ? at->flags : 0;
    }
    return flags;
}

bool sim_oracle_was_seen(const struct sim_instance *instance, uint64_t seq, unsigned look)
{
    bool seen = seq <= instance->n && instance->seqs[seq].seen == look;
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        const struct sim_seq *at = in_past(past, seq);
        seen = seen || (at != NULL && at->seen == look);
    }
    return seen;
}

bool sim_oracle_was_overtaken(const struct sim_instance *instance)
{
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        for (uint64_t i = 0; i < past->last_seq - past->from_seq; i++) {
            if ((past->seqs[i].flags & SIM_SEQ_TAKEN) != 0) {
                return true;
            }
        }
    }
    /* It may have taken for lost with a process what that process had sent after all. */
    for (uint64_t seq = instance->base_seq + 1; seq <= instance->n && instance->set_back; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        if ((flags & SIM_SEQ_TAKEN) != 0 && (flags & SIM_SEQ_CRASHED) != 0) {
            return true;
        }
    }
    return false;
}

uint64_t sim_oracle_last_ever(const struct sim_instance *instance)
{
    uint64_t last_seq = instance->n;
    for (const struct sim_past *past = instance->past; past != NULL; past = past->next) {
        last_seq = past->last_seq > last_seq ? past->last_seq : last_seq;
    }
    return last_seq;
}

uint64_t sim_oracle_same_to(const struct sim_instance *instance, uint64_t seq)
{
    unsigned known = SIM_SEQ_TAKEN | SIM_SEQ_EXCUSED | SIM_SEQ_POISON | SIM_SEQ_LOST;
    uint64_t same_seq = instance->base_seq;
    if (!instance->set_back) {
        return seq < instance->n ? seq : instance->n;
    }
    while (same_seq < seq && same_seq < instance->n &&
           (instance->seqs[same_seq + 1].flags & known) != 0) {
        same_seq++;
    }
    return same_seq;
}

void sim_oracle_unstore_past(struct sim_instance *instance)
{
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        for (uint64_t i = 0; i < past->last_seq - past->from_seq; i++) {
            past->seqs[i].flags &= ~(unsigned)SIM_SEQ_STORED;
        }
    }
}

void sim_oracle_excuse_past(struct sim_instance *instance, const struct ft_block_info *info)
{
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        for (uint64_t i = 0; i < info->n_events; i++) {
            struct sim_seq *at = in_past(past, info->first_seq + i);
            if (at != NULL) {
                at->flags |= SIM_SEQ_EXCUSED;
                instance->n_excused++;
            }
        }
    }
}

void sim_oracle_end_past(struct sim *sim, struct sim_instance *instance)
{
    for (struct sim_past *past = instance->past; past != NULL; past = past->next) {
        for (uint64_t seq = past->from_seq + 1; seq <= past->last_seq; seq++) {
            const struct sim_seq *at = in_past(past, seq);
            bool is_stored = (at->flags & (SIM_SEQ_STORED | SIM_SEQ_EXCUSED | SIM_SEQ_SUNK)) != 0;
            if ((at->flags & SIM_SEQ_ACKED) != 0 && !is_stored &&
                sim_oracle_event(instance, seq, at->life) == at) {
                sim_broken(sim,
                           "event %" PRIu64 " of agent %u was acknowledged before its host was set "
                           "back, and is missing",
                           seq, instance->agent);
            }
        }
    }
}

void sim_oracle_drop_past(struct sim_instance *instance)
{
    while (instance->past != NULL) {
        struct sim_past *past = instance->past;
        instance->past = past->next;
        free(past);
    }
}

void sim_oracle_forget_numbers(struct sim *sim, struct sim_instance *instance, uint64_t n)
{
    if (n > instance->n) {
        sim_broken(sim, "agent %u goes on behind %" PRIu64 "; it had given %" PRIu64,
                   instance->agent, n, instance->n);
        return;
    }
    if (n < instance->n && (instance->vague || instance->going_back)) {
        SIM_TRACE(sim, "agent %u goes on behind %" PRIu64 " again, it was at %" PRIu64,
                  instance->agent, n, instance->n);
        set_aside(instance, n);
        return;
    }
    for (uint64_t seq = n + 1; seq <= instance->n; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        if (seq <= instance->told_seq ||
            (flags & (SIM_SEQ_ACKED | SIM_SEQ_STORED | SIM_SEQ_TAKEN)) != 0) {
            sim_broken(sim, "agent %u gives %" PRIu64 " again, which the collector has",
                       instance->agent, seq);
            return;
        }
    }
    instance->n = n;
}

/* What is behind 'n'. */
static void set_aside(struct sim_instance *instance, uint64_t n)
{
    if (n < instance->n) {
        size_t size = (instance->n - n) * sizeof(struct sim_seq);
        struct sim_past *past = must(malloc(sizeof *past + size));
        *past = (struct sim_past){.next = instance->past, .from_seq = n, .last_seq = instance->n};
        memcpy(past->seqs, instance->seqs + n + 1, size);
        instance->past = past;
        instance->n = n;
    }
    instance->told_seq = n < instance->told_seq ? n : instance->told_seq;
    instance->welcome_seq = n < instance->welcome_seq ? n : instance->welcome_seq;
    count_stored(instance);
}

static void count_stored(struct sim_instance *instance)
{
    instance->n_stored = 0;
    for (uint64_t seq = instance->base_seq + 1; seq <= instance->n; seq++) {
        instance->n_stored += (instance->seqs[seq].flags & SIM_SEQ_STORED) != 0 ? 1 : 0;
    }
}

void sim_oracle_remember(struct sim_instance *instance, struct sim_memory *ret_memory)
{
    *ret_memory = (struct sim_memory){.instance = instance,
                                      .n = instance->n,
                                      .base_seq = instance->base_seq,
                                      .overrun = instance->overrun};
    ret_memory->seqs = must(malloc((instance->n + 1) * sizeof *ret_memory->seqs));
    memcpy(ret_memory->seqs, instance->seqs, (instance->n + 1) * sizeof *ret_memory->seqs);
}

void sim_oracle_set_back(struct sim_memory *memory)
{
    struct sim_instance *instance = memory->instance;
    uint64_t same_seq = 0;
    while (same_seq < memory->n && same_seq < instance->n &&
           memory->seqs[same_seq + 1].life == instance->seqs[same_seq + 1].life) {
        same_seq++;
    }
    set_aside(instance, same_seq);
    sim_oracle_reserve(instance, memory->n);
    for (uint64_t seq = 1; seq <= memory->n; seq++) {
        struct sim_seq now = memory->seqs[seq];
        const struct sim_seq *known = sim_oracle_event(instance, seq, now.life);
        now.flags &= SIM_SEQ_OF_AGENT | (unsigned)SIM_SEQ_POISON;
        now.flags |= known != NULL ? known->flags & ~SIM_SEQ_OF_AGENT : 0;
        now.seen = 0;
        instance->seqs[seq] = now;
    }
    uint64_t stored = instance->overrun.stored;
    instance->n = memory->n;
    instance->base_seq = memory->base_seq;
    instance->overrun = memory->overrun;
    instance->overrun.stored = stored;
    instance->going_back = true;
    instance->set_back = true;
    instance->alive = true;
    /* What it was told of numbers that it had given up then, and has again now, says nothing. */
    instance->told_seq = sim_oracle_same_to(instance, instance->told_seq);
    instance->welcome_seq = sim_oracle_same_to(instance, instance->welcome_seq);
    count_stored(instance);
}

void sim_oracle_forget_memory(struct sim_memory *memory)
{
    free(memory->seqs);
    *memory = (struct sim_memory){0};
}

/* Losses that were to be told stay so, whosever they were. */
struct sim_instance *sim_oracle_fork(struct sim *sim, struct sim_instance *instance,
                                     const struct ft_uuid *instance_id, uint64_t base_seq)
{
    struct sim_instance *fork =
        sim_oracle_add(sim, instance->agent, &instance->key.agent_id, instance_id);
    fork->vague = instance->vague;
    fork->miscounts = instance->miscounts; /* It goes on with the same account. */
    fork->set_back = true;
    fork->life = instance->life;
    fork->base_seq = base_seq;
    fork->n = instance->n;
    fork->overrun = (struct sim_overrun){.begin_ns = instance->overrun.begin_ns,
                                         .end_ns = instance->overrun.end_ns};
    sim_oracle_reserve(fork, fork->n);
    for (uint64_t seq = 1; seq <= fork->n; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        fork->seqs[seq] = instance->seqs[seq];
        fork->seqs[seq].flags &= ~(unsigned)(SIM_SEQ_ACKED | SIM_SEQ_STORED | SIM_SEQ_EXCUSED |
                                             SIM_SEQ_TAKEN | SIM_SEQ_GAP);
        if ((flags & SIM_SEQ_ACKED) != 0 && seq > base_seq) {
            fork->seqs[seq].flags |= SIM_SEQ_EXCUSED; /* It may come again. */
            fork->n_excused++;
        }
        unsigned lost = seq > base_seq ? fork->seqs[seq].flags : 0;
        fork->n_dropped += (lost & SIM_SEQ_DROPPED) != 0 ? 1 : 0;
        fork->n_rejected += (lost & SIM_SEQ_REJECTED) != 0 ? 1 : 0;
        fork->n_gone += (lost & SIM_SEQ_GONE) != 0 ? 1 : 0;
        fork->n_crashed += (lost & SIM_SEQ_CRASHED) != 0 ? 1 : 0;
    }
    set_aside(instance, base_seq);
    instance->alive = false;
    return fork;
}
