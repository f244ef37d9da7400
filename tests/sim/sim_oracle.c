/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sim.h"
#include "sim_sink.h"

#define LOST SIM_SEQ_LOST

static void set_flag(struct sim_seq *seq, unsigned flag, uint64_t *count)
{
    *count += (seq->flags & flag) == 0 ? 1 : 0;
    seq->flags |= flag;
}

/* Whole and in the order of its fields, so that the hash does not depend on what is absent. */
struct canonical {
    int64_t time_ns;
    int64_t start_ns;
    uint64_t counters[4];
    struct ft_addr src;
    struct ft_addr dst;
    struct ft_loss loss;
    uint32_t fields;
    uint32_t ct_id;
    uint32_t numbers[6];
    char rule_id[32];
};

uint64_t sim_event_hash(const struct ft_event *event)
{
    struct canonical whole;
    memset(&whole, 0, sizeof whole);
    uint32_t fields = event->fields;
    whole.time_ns = event->time_ns;
    whole.fields = fields;
    whole.numbers[0] = event->type;
    whole.numbers[1] = event->direction;
    if ((fields & FT_FIELD_FLOW) != 0) {
        whole.ct_id = event->ct_id;
        whole.start_ns = event->start_ns;
    }
    if ((fields & FT_FIELD_TUPLE) != 0) {
        whole.src = event->src;
        whole.dst = event->dst;
        whole.numbers[2] = event->protocol;
    }
    if ((fields & FT_FIELD_PORTS) != 0) {
        whole.numbers[3] = event->src_port;
        whole.numbers[4] = event->dst_port;
    }
    if ((fields & FT_FIELD_COUNTERS) != 0) {
        whole.counters[0] = event->rx_packets;
        whole.counters[1] = event->rx_bytes;
        whole.counters[2] = event->tx_packets;
        whole.counters[3] = event->tx_bytes;
    }
    if ((fields & FT_FIELD_RULE) != 0 && event->rule_id != NULL) {
        strncpy(whole.rule_id, event->rule_id, sizeof whole.rule_id - 1);
    }
    if ((fields & FT_FIELD_LOSS) != 0) {
        whole.loss.cause = event->loss.cause;
        whole.loss.estimated = event->loss.estimated;
        whole.loss.begin_ns = event->loss.begin_ns;
        whole.loss.end_ns = event->loss.end_ns;
        whole.loss.count = event->loss.count;
        whole.loss.first_seq = event->loss.first_seq;
        whole.loss.last_seq = event->loss.last_seq;
    }
    return ft_hash64(&whole, sizeof whole, 0);
}

void sim_oracle_begin(struct sim *sim)
{
    sim->oracle.n_instances = 0;
    sim->oracle.look = 0;
    sim->oracle.store_was_set_back = false;
}

struct sim_instance *sim_oracle_add(struct sim *sim, unsigned agent, const struct ft_uuid *agent_id,
                                    const struct ft_uuid *instance_id)
{
    struct sim_oracle *oracle = &sim->oracle;
    if (oracle->n_instances == SIM_INSTANCES_MAX) {
        abort();
    }
    struct sim_instance *instance = &oracle->instances[oracle->n_instances++];
    struct sim_seq *seqs = instance->seqs;
    uint64_t n_allocated = instance->n_allocated;
    sim_oracle_drop_past(instance);
    *instance = (struct sim_instance){.key = {*agent_id, *instance_id},
                                      .agent = agent,
                                      .alive = true,
                                      .n_allocated = n_allocated,
                                      .seqs = seqs};
    return instance;
}

struct sim_instance *sim_oracle_find(struct sim *sim, const struct ft_uuid *agent_id,
                                     const struct ft_uuid *instance_id)
{
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        struct sim_instance *instance = &sim->oracle.instances[i];
        if (ft_uuid_equal(&instance->key.instance_id, instance_id) &&
            ft_uuid_equal(&instance->key.agent_id, agent_id)) {
            return instance;
        }
    }
    return NULL;
}

void sim_oracle_numbered(struct sim *sim, struct sim_instance *instance,
                         const struct ft_event *event)
{
    if (event->seq != instance->n + 1) {
        sim_broken(sim, "agent %u numbered %" PRIu64 " behind %" PRIu64, instance->agent,
                   event->seq, instance->n);
        return;
    }
    sim_oracle_reserve(instance, event->seq);
    instance->n = event->seq;
    instance->seqs[event->seq] =
        (struct sim_seq){.hash = sim_event_hash(event), .life = instance->life};
    if ((event->fields & FT_FIELD_LOSS) != 0) {
        instance->seqs[event->seq].loss_count = event->loss.count;
        SIM_TRACE(sim,
                  "agent %u tells in %" PRIu64 ": cause %d, %" PRIu64 " lost, %" PRIu64
                  " to %" PRIu64,
                  instance->agent, event->seq, (int)event->loss.cause, event->loss.count,
                  event->loss.first_seq, event->loss.last_seq);
        sim_overrun_told(sim, instance, &event->loss);
    }
    sim->result->events++;
}

void sim_oracle_poisoned(struct sim *sim, struct sim_instance *instance,
                         const struct ft_block_info *info)
{
    SIM_TRACE(sim, "agent %u: %" PRIu64 " to %" PRIu64 " are poisoned", instance->agent,
              info->first_seq, info->first_seq + info->n_events - 1);
    for (uint64_t seq = info->first_seq; seq < info->first_seq + info->n_events; seq++) {
        instance->seqs[seq].flags |= SIM_SEQ_POISON;
    }
}

static bool is_known(struct sim *sim, const struct sim_instance *instance, uint64_t first_seq,
                     uint64_t last_seq, const char *what)
{
    if (first_seq == 0 || first_seq > last_seq || last_seq > instance->n) {
        sim_broken(sim, "%s of agent %u speaks of %" PRIu64 " to %" PRIu64 " of %" PRIu64, what,
                   instance->agent, first_seq, last_seq, instance->n);
        return false;
    }
    return true;
}

void sim_oracle_dropped(struct sim *sim, struct sim_instance *instance,
                        const struct ft_block_info *info)
{
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    SIM_TRACE(sim, "agent %u drops %" PRIu64 " to %" PRIu64, instance->agent, info->first_seq,
              last_seq);
    if (!is_known(sim, instance, info->first_seq, last_seq, "a drop")) {
        return;
    }
    for (uint64_t seq = info->first_seq; seq <= last_seq; seq++) {
        bool is_guess = instance->vague && (instance->seqs[seq].flags & SIM_SEQ_CRASHED) != 0;
        if ((instance->seqs[seq].flags & (SIM_SEQ_ACKED | LOST)) != 0 && !is_guess) {
            sim_broken(sim, "agent %u drops %" PRIu64 ", which was done with (flags %u)",
                       instance->agent, seq, instance->seqs[seq].flags);
        }
        set_flag(&instance->seqs[seq], SIM_SEQ_DROPPED, &instance->n_dropped);
    }
}

void sim_oracle_acked(struct sim *sim, struct sim_instance *instance, uint64_t first_seq,
                      uint64_t last_seq)
{
    if (!is_known(sim, instance, first_seq, last_seq, "an acknowledgement")) {
        return;
    }
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        if ((instance->seqs[seq].flags & (SIM_SEQ_REJECTED | SIM_SEQ_GONE | SIM_SEQ_CRASHED)) !=
            0) {
            /* The ack that rejects it covers it too, and it is not asked for again; what is told
             * as lost stays so. */
            continue;
        }
        if (seq <= instance->base_seq) {
            continue; /* An earlier instance's. */
        }
        bool is_asked = ft_ranges_overlap(&instance->asked, seq, seq) > 0;
        bool is_told = seq <= instance->told_seq || (seq <= instance->welcome_seq && !is_asked) ||
                       (instance->is_sunk && seq <= instance->ever_told_seq);
        bool may_be_lost = instance->vague && instance->n_excused > 0;
        if (!is_told && may_be_lost) {
            /* It is among those that were told as an estimate. */
            set_flag(&instance->seqs[seq], SIM_SEQ_EXCUSED, &instance->n_excused);
        } else if (!is_told) {
            sim_broken(sim,
                       "agent %u takes %" PRIu64 " for acknowledged; the collector told %" PRIu64,
                       instance->agent, seq, instance->told_seq);
        }
        /* Both events of a number that was given twice may come to light again (counts are off). */
        bool may_be_two = instance->vague && instance->past != NULL;
        if ((instance->seqs[seq].flags & (SIM_SEQ_ACKED | SIM_SEQ_DROPPED)) != 0 && !may_be_two) {
            sim_broken(sim, "agent %u takes %" PRIu64 " for acknowledged twice, or dropped it",
                       instance->agent, seq);
        }
        set_flag(&instance->seqs[seq], SIM_SEQ_ACKED, &instance->n_acked);
    }
}

void sim_oracle_rejected(struct sim *sim, struct sim_instance *instance, uint64_t first_seq,
                         uint64_t last_seq)
{
    if (!is_known(sim, instance, first_seq, last_seq, "a rejection")) {
        return;
    }
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        struct sim_seq *at = &instance->seqs[seq];
        if ((at->flags & LOST) != 0 && instance->n_excused > 0) {
            /* The collector lost what was around it, and the process before this one had told it:
             * it is told twice, for want of a memory of all holes over restarts. */
            instance->vague = true;
        } else if ((at->flags & (SIM_SEQ_ACKED | LOST)) != 0) {
            sim_broken(sim,
                       "agent %u takes %" PRIu64 " for rejected, which was done with (flags %u)",
                       instance->agent, seq, at->flags);
        }
        set_flag(at, SIM_SEQ_REJECTED, &instance->n_rejected);
    }
}

void sim_oracle_gone_back(struct sim *sim, struct sim_instance *instance, uint64_t from_seq)
{
    if (instance->n_excused == 0 && !instance->guesses && !instance->is_sunk) {
        sim_broken(sim, "agent %u is sent back to %" PRIu64 " although nothing was lost",
                   instance->agent, from_seq);
    }
    for (uint64_t seq = from_seq + 1; seq <= instance->n; seq++) {
        unsigned flags = instance->seqs[seq].flags;
        instance->seqs[seq].flags |=
            (flags & (SIM_SEQ_ACKED | SIM_SEQ_TAKEN)) != 0 ? SIM_SEQ_AGAIN : 0;
        if ((flags & SIM_SEQ_ACKED) != 0) {
            instance->seqs[seq].flags &= ~(unsigned)SIM_SEQ_ACKED;
            instance->n_acked--;
        }
    }
    instance->told_seq = from_seq < instance->told_seq ? from_seq : instance->told_seq;
}

void sim_oracle_gone(struct sim *sim, struct sim_instance *instance, const struct ft_loss *loss)
{
    if (!is_known(sim, instance, loss->first_seq, loss->last_seq, "a loss at the collector")) {
        return;
    }
    if (loss->estimated) {
        instance->vague = true; /* Not all of these need be lost, nor for the first time. */
        for (uint64_t seq = loss->first_seq; seq <= loss->last_seq && instance->guesses; seq++) {
            set_flag(&instance->seqs[seq], SIM_SEQ_GONE, &instance->n_gone);
        }
        return;
    }
    for (uint64_t seq = loss->first_seq; seq <= loss->last_seq; seq++) {
        struct sim_seq *at = &instance->seqs[seq];
        if ((at->flags & LOST) != 0 || (at->flags & (SIM_SEQ_EXCUSED | SIM_SEQ_SUNK)) == 0) {
            sim_broken(sim, "agent %u takes %" PRIu64 " for gone, which is not (flags %u)",
                       instance->agent, seq, at->flags);
        }
        if ((at->flags & SIM_SEQ_ACKED) != 0) {
            at->flags &= ~(unsigned)SIM_SEQ_ACKED;
            instance->n_acked--;
        }
        set_flag(&instance->seqs[seq], SIM_SEQ_GONE, &instance->n_gone);
    }
}

void sim_oracle_not_gone(struct sim_instance *instance, uint64_t seq)
{
    struct sim_seq *at = &instance->seqs[seq];
    if ((at->flags & SIM_SEQ_GONE) != 0) {
        at->flags &= ~(unsigned)SIM_SEQ_GONE;
        instance->n_gone--;
        set_flag(at, SIM_SEQ_ACKED, &instance->n_acked);
    }
}

void sim_oracle_damaged(struct sim *sim, struct sim_instance *instance, uint64_t first_seq,
                        uint64_t last_seq)
{
    if (!is_known(sim, instance, first_seq, last_seq, "a damage")) {
        return;
    }
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        set_flag(&instance->seqs[seq], SIM_SEQ_CRASHED, &instance->n_crashed);
    }
}

void sim_oracle_unread(struct sim *sim, struct sim_instance *instance,
                       const struct ft_block_info *info)
{
    for (uint64_t seq = info->first_seq;
         seq < info->first_seq + info->n_events && seq <= instance->n; seq++) {
        if ((instance->seqs[seq].flags & (SIM_SEQ_ACKED | LOST)) == 0) {
            SIM_TRACE(sim, "agent %u drops %" PRIu64 ", which cannot be read", instance->agent,
                      seq);
            set_flag(&instance->seqs[seq], SIM_SEQ_CRASHED, &instance->n_crashed);
        }
    }
}

uint64_t sim_oracle_lost(const struct sim_instance *instance)
{
    return instance->n_dropped + instance->n_rejected + instance->n_gone + instance->n_crashed +
           instance->overrun.count;
}

void sim_oracle_gap(struct sim *sim, const struct ft_instance_key *key, uint64_t first_seq,
                    uint64_t last_seq)
{
    struct sim_instance *instance = sim_oracle_find(sim, &key->agent_id, &key->instance_id);
    for (uint64_t seq = first_seq; instance != NULL && seq <= last_seq && seq <= instance->n;
         seq++) {
        instance->seqs[seq].flags |= SIM_SEQ_GAP;
    }
}

void sim_oracle_told(struct sim *sim, struct sim_instance *instance, uint64_t durable_seq)
{
    if (durable_seq > sim_oracle_last_ever(instance)) {
        sim_broken(sim, "the collector tells agent %u of %" PRIu64 " events; it has made %" PRIu64,
                   instance->agent, durable_seq, sim_oracle_last_ever(instance));
        return;
    }
    uint64_t same_seq = sim_oracle_same_to(instance, durable_seq);
    if (same_seq > instance->told_seq) {
        instance->told_seq = same_seq;
    }
    if (same_seq > instance->ever_told_seq) {
        instance->ever_told_seq = same_seq;
    }
}

void sim_oracle_welcomed(struct sim *sim, struct sim_instance *instance,
                         const struct ft_msg_welcome *welcome)
{
    sim_oracle_told(sim, instance, welcome->durable_seq);
    instance->welcome_seq = sim_oracle_same_to(instance, welcome->durable_seq);
    instance->asked = (struct ft_ranges){0};
    for (unsigned i = 0; i < welcome->n_lost; i++) {
        (void)ft_ranges_add(&instance->asked, welcome->lost[i].first_seq,
                            welcome->lost[i].last_seq);
    }
}

void sim_oracle_table_begin(struct sim *sim)
{
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        struct sim_instance *instance = &sim->oracle.instances[i];
        instance->stored_last = 0;
        instance->n_stored = 0;
        instance->stored_losses = 0;
        instance->overrun.stored = 0;
        for (uint64_t seq = 1; seq <= instance->n; seq++) {
            instance->seqs[seq].flags &= ~(unsigned)SIM_SEQ_STORED;
        }
        sim_oracle_unstore_past(instance);
    }
}

void sim_oracle_stored(struct sim *sim, const struct sim_sink_row *row)
{
    struct sim_instance *instance = sim_oracle_find(sim, &row->agent_id, &row->instance_id);
    uint64_t seq = row->seq;
    struct sim_seq *at = instance != NULL ? sim_oracle_event(instance, seq, row->life) : NULL;
    if (at == NULL) {
        sim_broken(sim, "the table has an event that nobody made: seq %" PRIu64, seq);
        return;
    }
    if (at->hash != row->hash || at->loss_count != row->loss_count) {
        sim_broken(sim, "the table has changed event %" PRIu64 " of agent %u", seq,
                   instance->agent);
    }
    if ((sim_oracle_flags_of_all(instance, seq) & SIM_SEQ_STORED) != 0) {
        sim_broken(sim, "the table has event %" PRIu64 " of agent %u twice", seq, instance->agent);
    } else if (seq <= instance->stored_last && (at->flags & SIM_SEQ_GAP) == 0) {
        sim_broken(sim, "the table has event %" PRIu64 " of agent %u behind %" PRIu64, seq,
                   instance->agent, instance->stored_last);
    }
    if ((at->flags & SIM_SEQ_POISON) != 0) {
        sim_broken(sim, "the table has event %" PRIu64 " of agent %u, which breaks the rules", seq,
                   instance->agent);
    }
    instance->stored_last = seq > instance->stored_last ? seq : instance->stored_last;
    instance->stored_losses += row->loss_count;
    if (row->loss_cause == FT_LOSS_KERNEL_OVERRUN) {
        instance->overrun.stored += row->loss_count;
    }
    at->flags |= SIM_SEQ_STORED;
    instance->n_stored += seq <= instance->n && at == &instance->seqs[seq] ? 1 : 0;
}

static struct sim_instance *instance_of(struct sim *sim, const struct ft_block_info *info)
{
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    memcpy(agent_id.bytes, info->agent_id, sizeof agent_id.bytes);
    memcpy(instance_id.bytes, info->instance_id, sizeof instance_id.bytes);
    return sim_oracle_find(sim, &agent_id, &instance_id);
}

void sim_oracle_look_begin(struct sim *sim) { sim->oracle.look++; }

void sim_oracle_look_block(struct sim *sim, const struct ft_block_info *info, uint64_t life)
{
    struct sim_instance *instance = instance_of(sim, info);
    uint64_t last_seq = info->first_seq + info->n_events - 1;
    for (uint64_t seq = info->first_seq; seq <= last_seq; seq++) {
        struct sim_seq *at = instance != NULL ? sim_oracle_event(instance, seq, life) : NULL;
        if (at == NULL) {
            sim_broken(sim, "the collector's log has a block that nobody made");
            return;
        }
        if (sim_oracle_was_seen(instance, seq, sim->oracle.look)) {
            sim_broken(sim, "the collector's log has event %" PRIu64 " of agent %u twice", seq,
                       instance->agent);
        }
        at->seen = sim->oracle.look;
    }
}

void sim_oracle_look_end(struct sim *sim, const char *when)
{
    if (sim->oracle.store_was_set_back) {
        sim_oracle_take_stock(sim);
    }
    for (size_t i = 0; i < sim->oracle.n_instances; i++) {
        const struct sim_instance *instance = &sim->oracle.instances[i];
        for (uint64_t seq = instance->base_seq + 1; seq <= instance->told_seq; seq++) {
            const struct sim_seq *at = &instance->seqs[seq];
            bool may_miss =
                (at->flags & (LOST | SIM_SEQ_EXCUSED | SIM_SEQ_STORED | SIM_SEQ_POISON)) != 0;
            /* What cannot be read in the spool was never sent, and will be told as lost. */
            may_miss = may_miss || (instance->vague && (at->flags & SIM_SEQ_TAKEN) == 0);
            if (!may_miss && at->seen != sim->oracle.look) {
                sim_broken(sim,
                           "%s: event %" PRIu64 " of agent %u was acknowledged (up to %" PRIu64
                           ") and is missing",
                           when, seq, instance->agent, instance->told_seq);
                return;
            }
        }
    }
}

void sim_oracle_taken(struct sim *sim, const struct ft_block_info *info, uint64_t life)
{
    struct sim_instance *instance = instance_of(sim, info);
    for (uint64_t i = 0; instance != NULL && i < info->n_events; i++) {
        struct sim_seq *at = sim_oracle_event(instance, info->first_seq + i, life);
        if (at != NULL) {
            at->flags |= SIM_SEQ_TAKEN;
        }
    }
}

bool sim_oracle_is_excused(struct sim *sim, const struct ft_block_info *info)
{
    const struct sim_instance *instance = instance_of(sim, info);
    return instance != NULL && info->first_seq <= instance->n &&
           (instance->seqs[info->first_seq].flags & SIM_SEQ_EXCUSED) != 0;
}

void sim_oracle_excuse(struct sim *sim, const struct ft_block_info *info)
{
    struct sim_instance *instance = instance_of(sim, info);
    if (instance == NULL || sim_oracle_is_excused(sim, info)) {
        return;
    }
    SIM_TRACE(sim, "excused: %" PRIu64 " to %" PRIu64 " of agent %u", info->first_seq,
              info->first_seq + info->n_events - 1, instance->agent);
    sim_oracle_excuse_past(instance, info);
    for (uint64_t seq = info->first_seq; seq < info->first_seq + info->n_events; seq++) {
        if (seq <= instance->n) {
            set_flag(&instance->seqs[seq], SIM_SEQ_EXCUSED, &instance->n_excused);
        }
    }
}
