/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_overrun.h"

#include <inttypes.h>

#include "sim.h"

/* How long the kernel's buffer may have been full. */
#define SPAN_NS_MAX (5 * FT_NS_PER_S)

/* As source/tracker_gap.c emits it, when what was missed could not be rebuilt. */
void sim_overrun_happen(struct sim_agent *agent, uint64_t n)
{
    struct sim *sim = agent->sim;
    struct sim_overrun *overrun = &agent->instance->overrun;
    int64_t end_ns = ft_clock_real_ns(&sim->clock);
    struct ft_event event = {
        .time_ns = end_ns,
        .type = FT_EVENT_LOSS,
        .fields = FT_FIELD_LOSS,
        .loss = {.cause = FT_LOSS_KERNEL_OVERRUN,
                 .estimated = true,
                 .begin_ns = end_ns - sim_between(&sim->fault_random, 0, SPAN_NS_MAX),
                 .end_ns = end_ns,
                 .count = n}};
    if (overrun->begin_ns == 0 || event.loss.begin_ns < overrun->begin_ns) {
        overrun->begin_ns = event.loss.begin_ns;
    }
    overrun->end_ns = end_ns > overrun->end_ns ? end_ns : overrun->end_ns;
    overrun->count += n;
    SIM_TRACE(sim, "agent %u: the kernel has dropped %" PRIu64, agent->index, n);
    ft_pipeline_take(agent->pipeline, &event);
}

void sim_overrun_told(struct sim *sim, const struct sim_instance *instance,
                      const struct ft_loss *loss)
{
    const struct sim_overrun *overrun = &instance->overrun;
    if (loss->cause != FT_LOSS_KERNEL_OVERRUN || instance->vague) {
        return;
    }
    if (loss->count == 0 || (loss->count > overrun->count && !instance->set_back) ||
        !loss->estimated || loss->first_seq != 0 || loss->begin_ns > loss->end_ns ||
        loss->begin_ns < overrun->begin_ns || loss->end_ns > overrun->end_ns) {
        sim_broken(sim,
                   "agent %u tells that the kernel dropped %" PRIu64 " from %" PRId64 " to %" PRId64
                   "; it dropped %" PRIu64 " from %" PRId64 " to %" PRId64,
                   instance->agent, loss->count, loss->begin_ns, loss->end_ns, overrun->count,
                   overrun->begin_ns, overrun->end_ns);
    }
}

static uint64_t known_to(struct ft_tally *tally)
{
    struct ft_tally_sums sums;
    ft_tally_get(tally, &sums);
    return sums.lost[FT_LOSS_KERNEL_OVERRUN];
}

void sim_overrun_kept(struct sim_agent *agent)
{
    agent->instance->overrun.durable = known_to(ft_spool_tally(agent->spool.spool));
}

void sim_overrun_revived(struct sim *sim, struct sim_instance *instance, uint64_t count)
{
    struct sim_overrun *overrun = &instance->overrun;
    if (!instance->vague && (count < overrun->durable || count > overrun->count)) {
        sim_broken(sim,
                   "the spool of agent %u knows that the kernel dropped %" PRIu64
                   "; it dropped %" PRIu64 ", and %" PRIu64 " of that was on the disk",
                   instance->agent, count, overrun->count, overrun->durable);
    }
    overrun->count = count;
    overrun->durable = count;
}

void sim_overrun_check(struct sim *sim, const struct sim_agent *agent)
{
    const struct sim_instance *instance = agent->instance;
    struct ft_pipeline_account account;
    ft_pipeline_get_account(agent->pipeline, &account);
    uint64_t observed = instance->n - instance->base_seq + instance->overrun.count + account.merged;
    if (account.lost_by_cause[FT_LOSS_KERNEL_OVERRUN] != instance->overrun.count ||
        account.observed != observed) {
        sim_broken(sim,
                   "agent %u counts %" PRIu64 " observed and %" PRIu64
                   " dropped by the kernel; they are %" PRIu64 " and %" PRIu64,
                   agent->index, account.observed, account.lost_by_cause[FT_LOSS_KERNEL_OVERRUN],
                   observed, instance->overrun.count);
    }
}

void sim_overrun_end(struct sim *sim, const struct sim_instance *instance)
{
    struct ft_instance known;
    if (!ft_instances_get(sim->collector.instances, &instance->key, &known)) {
        return; /* It never heard of it: then its agent was never settled. */
    }
    const struct sim_overrun *overrun = &instance->overrun;
    bool told =
        instance->set_back ? overrun->stored >= overrun->count : overrun->stored == overrun->count;
    if (instance->is_sunk) {
        told = known.told.lost[FT_LOSS_KERNEL_OVERRUN] == overrun->count;
    }
    if (!told || known.lost_events[FT_LOSS_KERNEL_OVERRUN] != overrun->stored) {
        sim_broken(sim,
                   "the kernel dropped %" PRIu64
                   " of agent %u; LOSS events in the table say %" PRIu64
                   ", the collector counts %" PRIu64,
                   overrun->count, instance->agent, overrun->stored,
                   known.lost_events[FT_LOSS_KERNEL_OVERRUN]);
    }
}
