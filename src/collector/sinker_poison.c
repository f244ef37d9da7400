/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sink cannot take.  A block that cannot be decoded is poison by itself.  For one that the
 * sink refuses it is a question of who is at fault: a sink that is away must be waited for, with
 * everything kept; a block that no sink will ever take must not hold up what is behind it.
 *
 * After a batch failed, its blocks are tried one by one.  One that fails alone is a suspect: at
 * once where the sink says that it is the data, else when it has failed FAILURES_MIN times, a pause
 * apart, and once more right behind an empty commit that the sink took.  A suspect is put into
 * quarantine, durably, and the next block is tried.  When that is stored the sink works, and the
 * suspects are poison.  When none is (too many suspects in a row, or the log ends) it is an outage:
 * the suspects are taken back, and the batch is tried again and again.
 *
 * There may be nothing but poison.  Where the sink itself says that it is the data, and takes a
 * commit without rows, they are passed over as well; but only while nothing older has to make
 * room for them in the quarantine, because a sink whose table was spoilt says the same of every
 * block.  Then it stops, loudly, and the log and the agents keep the rest.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "collector/sinker_impl.h"

/* An outage that ends between two blocks must not look like a block's fault. */
#define FAILURES_MIN 3
/* In a row; fewer where the sink does not say that it is the data. */
#define SUSPECTS_MAX       FT_SINKER_TRIED_MAX
#define SUSPECTS_BLIND_MAX 4
/* Between two trials while the sink is away. */
#define TRIAL_PAUSE_NS (10 * FT_NS_PER_S)

static void fill_entry(const struct ft_sinker *sinker, const struct ft_block *block,
                       const struct ft_diag *why, struct ft_quarantine_entry *entry);
static ft_err on_failure_alone(struct ft_sinker *sinker, ft_err err, struct ft_diag *diag);
static ft_err check_sink_and_try_again(struct ft_sinker *sinker, const struct ft_sinker_block *last,
                                       struct ft_diag *diag);
static unsigned count_failure(struct ft_sinker *sinker, uint64_t position);
static ft_err end_as_outage(struct ft_sinker *sinker, ft_err err);
static ft_err take_suspect(struct ft_sinker *sinker, bool by_data, ft_err err,
                           const struct ft_diag *diag);
static void tell(struct ft_sinker *sinker, const struct ft_quarantine_entry *entry);

ft_err ft_sinker_pass_undecodable(struct ft_sinker *sinker, struct ft_block *block,
                                  const struct ft_diag *why)
{
    enum ft_sinker_fate fate = FT_SINKER_DAMAGED;
    struct ft_quarantine *quarantine = sinker->options.quarantine;
    if (quarantine != NULL) {
        struct ft_quarantine_entry entry;
        fill_entry(sinker, block, why, &entry);
        FT_TRY(ft_quarantine_put_poison(quarantine, &entry, block->data, block->size));
        tell(sinker, &entry);
        fate = FT_SINKER_POISON;
    }
    ft_sinker_let_go(sinker, ft_sinker_add_pending(sinker, block, fate));
    return FT_OK;
}

/* After these the sink says nothing about the block. */
static bool is_outage(ft_err err) { return err == FT_E_CLOSED || err == ft_err_from_errno(ENOMEM); }

bool ft_sinker_is_in_trial(const struct ft_sinker *sinker)
{
    return sinker->n_suspects > 0 ||
           (sinker->trial_end != 0 && sinker->read_position <= sinker->trial_end);
}

ft_err ft_sinker_on_failure(struct ft_sinker *sinker, bool of_sink, ft_err err,
                            struct ft_diag *diag)
{
    sinker->stats.failures++;
    if (!of_sink) {
        ft_log_reader_seek(sinker->reader, sinker->read_position);
        return err;
    }
    if (ft_sinker_is_in_trial(sinker)) {
        return on_failure_alone(sinker, err, diag);
    }
    if (!is_outage(err) && sinker->options.quarantine != NULL &&
        ft_clock_mono_ns(sinker->options.clock) >= sinker->next_trial_ns) {
        sinker->trial_end = sinker->read_position;
    }
    ft_sinker_begin_again(sinker);
    return err;
}

static ft_err on_failure_alone(struct ft_sinker *sinker, ft_err err, struct ft_diag *diag)
{
    const struct ft_sinker_block *last =
        sinker->n_pending > 0 ? &sinker->pending[sinker->n_pending - 1] : NULL;
    if (is_outage(err) || last == NULL || last->fate != FT_SINKER_STORED) {
        return end_as_outage(sinker, err);
    }
    uint64_t position = last->block.position;
    bool by_data = ft_err_kind(err) == FT_KIND_PERMANENT || ft_err_kind(err) == FT_KIND_USAGE;
    if (count_failure(sinker, position) < FAILURES_MIN && !by_data) {
        /* From the first one again, after a pause. */
        ft_quarantine_acquit(sinker->options.quarantine);
        ft_sinker_begin_again(sinker);
        sinker->trial_end = position > sinker->trial_end ? position : sinker->trial_end;
        return err;
    }
    if (!by_data && !sinker->checked) {
        return check_sink_and_try_again(sinker, last, diag);
    }
    ft_err kept = take_suspect(sinker, by_data, err, diag);
    if (kept != FT_OK) {
        (void)ft_diag_set(diag, kept, NULL, 0, 0, "the quarantine cannot be written: %s",
                          ft_err_text(kept));
        return end_as_outage(sinker, kept);
    }
    unsigned suspects_max = sinker->by_data ? SUSPECTS_MAX : SUSPECTS_BLIND_MAX;
    return sinker->n_suspects < suspects_max ? FT_OK : ft_sinker_end_trial(sinker, diag);
}

/*
 * An outage may have ended since the block failed.  So the sink has to take a commit without rows,
 * and the block once more, before anything behind it is tried.
 */
static ft_err check_sink_and_try_again(struct ft_sinker *sinker, const struct ft_sinker_block *last,
                                       struct ft_diag *diag)
{
    ft_err err = ft_sink_commit(sinker->options.sink, sinker->committed_position, diag);
    if (err != FT_OK) {
        return end_as_outage(sinker, err);
    }
    sinker->checked = true;
    err = ft_sinker_append(sinker, last, diag);
    err = err == FT_OK ? ft_sinker_commit(sinker, diag) : on_failure_alone(sinker, err, diag);
    sinker->checked = false;
    return err;
}

/* How often the block has failed alone, with this time. */
static unsigned count_failure(struct ft_sinker *sinker, uint64_t position)
{
    unsigned i = 0;
    while (i < sinker->n_tried && sinker->tried[i].position != position) {
        i++;
    }
    if (i == sinker->n_tried) {
        if (i == FT_SINKER_TRIED_MAX) {
            return 1; /* So many do not fail one after the other: the trial ends before. */
        }
        sinker->n_tried++;
        sinker->tried[i].position = position;
        sinker->tried[i].n_failures = 0;
    }
    return ++sinker->tried[i].n_failures;
}

static ft_err end_as_outage(struct ft_sinker *sinker, ft_err err)
{
    sinker->trial_end = 0;
    sinker->n_tried = 0;
    sinker->next_trial_ns = ft_clock_mono_ns(sinker->options.clock) + TRIAL_PAUSE_NS;
    if (sinker->n_suspects > 0) {
        ft_quarantine_acquit(sinker->options.quarantine);
    }
    ft_sinker_begin_again(sinker);
    return err;
}

ft_err ft_sinker_end_trial(struct ft_sinker *sinker, struct ft_diag *reterr_diag)
{
    if (sinker->by_data && ft_quarantine_has_room(sinker->options.quarantine)) {
        return ft_sinker_commit(sinker, reterr_diag);
    }
    if (reterr_diag != NULL) {
        *reterr_diag = sinker->last_diag;
    }
    return end_as_outage(sinker, sinker->last_err);
}

bool ft_sinker_is_neighbour(struct ft_sinker *sinker, const struct ft_sinker_block *pending)
{
    struct ft_instance instance;
    return sinker->n_suspects == 0 ||
           !ft_instances_get(sinker->options.instances, &pending->key, &instance) ||
           pending->last_seq > instance.stored_seq;
}

void ft_sinker_on_commit(struct ft_sinker *sinker)
{
    sinker->n_tried = 0;
    if (sinker->trial_end <= sinker->read_position) {
        sinker->trial_end = 0;
    }
    if (sinker->n_suspects == 0) {
        return;
    }
    ft_err err = ft_quarantine_convict(sinker->options.quarantine);
    if (err != FT_OK) {
        /* They are durable as suspects, and the next start sees that the cursor is behind them. */
        ft_log(FT_LOG_WARN, "collector", "the quarantine cannot be written: %s, going on",
               ft_err_text(err));
    }
    for (size_t i = 0; i < sinker->n_pending; i++) {
        if (sinker->pending[i].is_suspect) {
            struct ft_quarantine_entry entry;
            fill_entry(sinker, &sinker->pending[i].block, &sinker->last_diag, &entry);
            tell(sinker, &entry);
        }
    }
}

/* The last pending block failed alone: it is put aside, and nothing of it is in the sink. */
static ft_err take_suspect(struct ft_sinker *sinker, bool by_data, ft_err err,
                           const struct ft_diag *diag)
{
    struct ft_sinker_block *pending = &sinker->pending[sinker->n_pending - 1];
    struct ft_quarantine_entry entry;
    fill_entry(sinker, &pending->block, diag, &entry);
    FT_TRY(ft_quarantine_suspect(sinker->options.quarantine, &entry, pending->block.data,
                                 pending->block.size));
    sinker->by_data = by_data && (sinker->n_suspects == 0 || sinker->by_data);
    sinker->n_suspects++;
    sinker->n_rows = 0;
    sinker->last_err = err;
    sinker->last_diag = *diag;
    pending->fate = FT_SINKER_POISON;
    pending->is_suspect = true;
    ft_sinker_let_go(sinker, pending);
    return FT_OK;
}

static void fill_entry(const struct ft_sinker *sinker, const struct ft_block *block,
                       const struct ft_diag *why, struct ft_quarantine_entry *entry)
{
    const struct ft_block_info *info = &block->info;
    *entry = (struct ft_quarantine_entry){.first_seq = info->first_seq,
                                          .n_events = info->n_events,
                                          .time_ns = ft_clock_real_ns(sinker->options.clock),
                                          .position = block->position};
    memcpy(entry->agent_id.bytes, info->agent_id, sizeof info->agent_id);
    memcpy(entry->instance_id.bytes, info->instance_id, sizeof info->instance_id);
    (void)snprintf(entry->reason, sizeof entry->reason, "%.*s", (int)sizeof entry->reason - 1,
                   why->text);
}

static void tell(struct ft_sinker *sinker, const struct ft_quarantine_entry *entry)
{
    uint64_t held;
    if (!ft_log_limit_pass(&sinker->poison_lines, ft_clock_mono_ns(sinker->options.clock), &held)) {
        return;
    }
    char id[FT_UUID_TEXT_SIZE];
    ft_uuid_format(&entry->agent_id, id);
    ft_log(FT_LOG_ERROR, "collector",
           "%u events of agent %s, from number %llu, cannot be stored: %s; they are in quarantine "
           "(%llu further lines held back)",
           (unsigned)entry->n_events, id, (unsigned long long)entry->first_seq, entry->reason,
           (unsigned long long)held);
}
