/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/account.h"

static uint64_t above(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

static uint64_t sum(const uint64_t lost[FT_LOSS_CAUSE_N])
{
    uint64_t total = 0;
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        total += lost[cause];
    }
    return total;
}

/*
 * Rejected events that the agent takes for acknowledged: the connection broke before it heard of
 * the rejection, and the next Welcome names a number alone.
 */
static uint64_t rejected_unheard(const struct ft_told *told)
{
    return above(told->our_rejected_events, told->lost[FT_LOSS_REJECTED]);
}

static uint64_t unsettled(const struct ft_instance *instance)
{
    return above(instance->appended_events,
                 instance->stored_events + instance->quarantined_events + instance->damaged_events);
}

void ft_discrepancy_of(const struct ft_instance *instance, struct ft_discrepancy *ret_discrepancy)
{
    const struct ft_told *told = &instance->told;
    struct ft_discrepancy discrepancy = {0};
    if (told->known) {
        uint64_t lost = sum(told->lost);
        uint64_t kept = told->acknowledged_events + told->retained_events + told->merged_events;
        discrepancy.own =
            above(told->observed_events, kept + lost) + above(kept + lost, told->observed_events);
        discrepancy.missing =
            above(told->acknowledged_events, told->our_appended_events + rejected_unheard(told));
    }
    /* What the agent misses as well is not missed twice. */
    discrepancy.gone =
        above(above(instance->expected_events, instance->appended_events), discrepancy.missing);
    /* While something is on its way to the store nobody can tell. */
    if (instance->stored_seq >= instance->appended_seq) {
        discrepancy.store = unsettled(instance);
    }
    discrepancy.vanished = instance->vanished_events;
    uint64_t told_apart =
        instance->appended_events + instance->rejected_events + instance->missing_events;
    discrepancy.numbers =
        above(instance->appended_seq, told_apart) + above(told_apart, instance->appended_seq);
    *ret_discrepancy = discrepancy;
}

uint64_t ft_discrepancy_total(const struct ft_discrepancy *discrepancy)
{
    return discrepancy->own + discrepancy->missing + discrepancy->gone + discrepancy->store +
           discrepancy->vanished + discrepancy->numbers;
}

void ft_discrepancy_format(const struct ft_discrepancy *discrepancy, struct ft_buf *buf)
{
    const struct {
        uint64_t n;
        const char *words;
    } parts[] = {
        {discrepancy->own, "events by which the agent's own account is off"},
        {discrepancy->missing, "events that the agent believes here and are not"},
        {discrepancy->gone, "events that were here before the last start and are not"},
        {discrepancy->store, "events that left the log and are not in the store"},
        {discrepancy->vanished, "events that somebody has deleted from the store"},
        {discrepancy->numbers, "numbers of which it is not known what became of them"},
    };
    const char *comma = "";
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].n > 0) {
            ft_buf_addf(buf, "%s%s: %llu", comma, parts[i].words, (unsigned long long)parts[i].n);
            comma = ", ";
        }
    }
}

uint64_t ft_account_waiting(const struct ft_instance *instance)
{
    return instance->stored_seq >= instance->appended_seq ? 0 : unsettled(instance);
}

const uint64_t *ft_account_losses(const struct ft_instance *instance)
{
    return instance->told.known ? instance->told.lost : instance->lost_events;
}

void ft_account_add(struct ft_account *account, const struct ft_instance *instance)
{
    const struct ft_told *told = &instance->told;
    const uint64_t *by_cause = ft_account_losses(instance);
    uint64_t taken = instance->appended_events;
    uint64_t apart =
        instance->quarantined_events + instance->damaged_events + instance->vanished_events;
    uint64_t lost = sum(by_cause);
    for (unsigned cause = 0; cause < FT_LOSS_CAUSE_N; cause++) {
        account->lost_by_cause[cause] += by_cause[cause];
    }
    if (told->known) {
        uint64_t unheard = rejected_unheard(told);
        account->lost_by_cause[FT_LOSS_REJECTED] += unheard;
        lost += unheard;
        uint64_t arrived = above(taken + unheard, told->acknowledged_events);
        account->retained += above(told->retained_events, arrived);
        account->merged += told->merged_events;
        account->observed += told->observed_events + above(arrived, told->retained_events);
    } else {
        account->observed += taken + lost;
    }
    struct ft_discrepancy discrepancy;
    ft_discrepancy_of(instance, &discrepancy);
    uint64_t unaccounted = ft_discrepancy_total(&discrepancy);
    account->stored += above(taken, apart);
    account->quarantined += instance->quarantined_events;
    account->damaged += instance->damaged_events;
    account->lost += lost;
    account->missing += instance->missing_events;
    account->unaccounted += unaccounted;
    account->n_instances++;
    account->n_unbalanced += unaccounted > 0;
}
