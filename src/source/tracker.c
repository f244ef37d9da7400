/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tracker.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "source/ladder.h"
#include "source/tracker_impl.h"

/* Windows of the event rate. */
#define RATE_WINDOW_NS FT_NS_PER_S

const struct ft_tracker_options ft_tracker_options_default = {
    .flow_table_bytes_max = FT_FLOW_TABLE_BYTES_DEFAULT,
    .update_interval_ns = 60 * FT_NS_PER_S,
    .end_grace_ns = 30 * FT_NS_PER_S,
    .end_grace_calm_ns = 1 * FT_NS_PER_S,
    .end_grace_max_ns = 3600 * FT_NS_PER_S,
    .resync_wait_min_ns = FT_NS_PER_S,
    .resync_wait_max_ns = 30 * FT_NS_PER_S,
};

static bool is_sweeping(const struct ft_tracker *tracker);
static void consume_events(struct ft_tracker *tracker, const struct ft_chunk *chunk);
static void consume_dump(struct ft_tracker *tracker, const struct ft_chunk *chunk);
static void set_step(struct ft_tracker *tracker, int64_t step);
static void set_switches(struct ft_tracker *tracker, int64_t bits);
static void measure_rate(struct ft_tracker *tracker);
static void run_due(struct ft_tracker *tracker);

ft_err ft_tracker_create(const struct ft_tracker_options *options, ft_emit_fn *emit, void *ctx,
                         struct ft_source_stats *stats, struct ft_tracker **ret_tracker)
{
    FT_CLEANUP(ft_tracker_destroy) struct ft_tracker *tracker = calloc(1, sizeof *tracker);
    if (tracker == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    tracker->options = *options;
    tracker->emit = emit;
    tracker->ctx = ctx;
    tracker->stats = stats;
    FT_TRY(ft_flow_table_create(options->flow_table_bytes_max, options->hash_seed, options->memory,
                                options->saving, &tracker->flows));
    FT_TRY(ft_ended_create(options->memory, options->saving, &tracker->ended));
    ft_locals_init(&tracker->locals);
    tracker->hears_new = true;
    tracker->wants_updates = true;
    tracker->parse_loss.due_mono_ns = FT_TIME_NEVER;
    tracker->resync_mono_ns = FT_TIME_NEVER;
    tracker->resync_wait_ns = options->resync_wait_min_ns;
    tracker->update_mono_ns = FT_TIME_NEVER;
    tracker->check_mono_ns = FT_TIME_NEVER;
    *ret_tracker = FT_TAKE(tracker);
    return FT_OK;
}

void ft_tracker_destroy(struct ft_tracker *tracker)
{
    if (tracker == NULL) {
        return;
    }
    ft_ended_destroy(tracker->ended);
    ft_flow_table_destroy(tracker->flows);
    free(tracker);
}

void ft_tracker_consume(struct ft_tracker *tracker, const struct ft_chunk *chunk)
{
    tracker->mono_ns = chunk->mono_ns;
    tracker->real_ns = chunk->real_ns;
    tracker->done = 0;
    switch (chunk->kind) {
    case FT_CHUNK_EVENTS:
        consume_events(tracker, chunk);
        break;
    case FT_CHUNK_DUMP_BEGIN:
        ft_tracker_begin_dump(tracker, (enum ft_dump_reason)chunk->value);
        break;
    case FT_CHUNK_DUMP:
        consume_dump(tracker, chunk);
        break;
    case FT_CHUNK_DUMP_END:
        ft_tracker_end_dump(tracker, chunk->value != 0);
        break;
    case FT_CHUNK_DUMP_FAILED:
        ft_tracker_fail_dump(tracker);
        break;
    case FT_CHUNK_OVERRUN:
        ft_tracker_on_overrun(tracker, chunk->value);
        break;
    case FT_CHUNK_OPENED:
        ft_tracker_on_opened(tracker, chunk->value);
        break;
    case FT_CHUNK_FAILED:
        ft_tracker_on_failed(tracker);
        break;
    case FT_CHUNK_LOCAL_ADDRS:
        ft_locals_set(&tracker->locals, chunk->data, chunk->size);
        break;
    case FT_CHUNK_SWITCHES:
        set_switches(tracker, chunk->value);
        break;
    case FT_CHUNK_RELIABLE:
        ft_tracker_on_reliable(tracker, chunk->value != 0);
        break;
    case FT_CHUNK_STEP:
        set_step(tracker, chunk->value);
        break;
    case FT_CHUNK_ADOPTED:
        ft_tracker_on_adopted(tracker);
        break;
    case FT_CHUNK_TICK:
        if (chunk->value != 0) {
            ft_tracker_drained(tracker);
        }
        break;
    case FT_CHUNK_KIND_N:
    default:
        break; /* A recording of a later version: what we do not know we cannot use. */
    }
    tracker->done = chunk->size;
    run_due(tracker);
    ft_tracker_settle(tracker);
}

size_t ft_tracker_get_done(const struct ft_tracker *tracker) { return tracker->done; }

const void *ft_tracker_get_state(const struct ft_tracker *tracker, size_t *ret_size)
{
    *ret_size = FT_TRACKER_STATE_SIZE;
    return (const uint8_t *)tracker + FT_TRACKER_STATE_OFFSET;
}

ft_err ft_tracker_set_state(struct ft_tracker *tracker, const void *state, size_t size)
{
    if (size != FT_TRACKER_STATE_SIZE) {
        return FT_E_UNSUPPORTED;
    }
    memcpy((uint8_t *)tracker + FT_TRACKER_STATE_OFFSET, state, size);
    return FT_OK;
}

bool ft_tracker_wants_dump(const struct ft_tracker *tracker, int64_t mono_ns,
                           enum ft_dump_reason *ret_reason)
{
    /* Two dumps at once, or one whose sweep is not done, would spoil the count of generations. */
    if (tracker->dump.active || is_sweeping(tracker) || tracker->gap.closed_socket) {
        return false;
    }
    if (tracker->first_dump_due) {
        if (tracker->resync_mono_ns != FT_TIME_NEVER && mono_ns < tracker->resync_mono_ns) {
            return false; /* The first one failed a moment ago. */
        }
        *ret_reason = FT_DUMP_START;
        return true;
    }
    if (mono_ns >= tracker->resync_mono_ns && !tracker->gap.undrained) {
        *ret_reason = FT_DUMP_RESYNC;
        return true;
    }
    if (mono_ns >= tracker->update_mono_ns && tracker->wants_updates) {
        *ret_reason = FT_DUMP_UPDATE;
        return true;
    }
    if (mono_ns >= tracker->check_mono_ns && tracker->wants_updates) {
        *ret_reason = FT_DUMP_RESYNC;
        return true;
    }
    return false;
}

int64_t ft_tracker_deadline(const struct ft_tracker *tracker)
{
    if (tracker->sweep.state == FT_WALK_RUN || tracker->grace.state == FT_WALK_RUN) {
        return tracker->mono_ns;
    }
    int64_t deadline = tracker->parse_loss.due_mono_ns;
    if (tracker->dump.active || is_sweeping(tracker) || tracker->gap.closed_socket) {
        return deadline;
    }
    int64_t resync = tracker->resync_mono_ns;
    if (tracker->first_dump_due && resync == FT_TIME_NEVER) {
        return tracker->mono_ns;
    }
    if (!tracker->gap.undrained || tracker->first_dump_due) {
        deadline = resync < deadline ? resync : deadline;
    }
    if (tracker->wants_updates) {
        deadline = tracker->update_mono_ns < deadline ? tracker->update_mono_ns : deadline;
        deadline = tracker->check_mono_ns < deadline ? tracker->check_mono_ns : deadline;
    }
    return deadline;
}

void ft_tracker_set_update_interval(struct ft_tracker *tracker, int64_t interval_ns)
{
    tracker->options.update_interval_ns = interval_ns;
    tracker->update_mono_ns = interval_ns > 0 && tracker->first_dump_done
                                  ? tracker->mono_ns + interval_ns
                                  : FT_TIME_NEVER;
}

static bool is_sweeping(const struct ft_tracker *tracker)
{
    return tracker->sweep.state != FT_WALK_NONE || tracker->grace.state == FT_WALK_RUN;
}

static void consume_events(struct ft_tracker *tracker, const struct ft_chunk *chunk)
{
    struct ft_ct_reader reader = {.at = chunk->data, .left = chunk->size};
    struct ft_ct_record record;
    int error;
    for (;;) {
        const uint8_t *at = reader.at;
        enum ft_ct_step step = ft_ct_next(&reader, &record, &error);
        if (step == FT_CT_EMPTY) {
            break;
        }
        if (step == FT_CT_RECORD) {
            ft_tracker_apply_event(tracker, &record);
        } else if (step == FT_CT_BAD) {
            ft_tracker_on_bad_message(tracker, reader.at == at);
        }
        tracker->done = chunk->size - reader.left;
        ft_tracker_settle(tracker);
    }
    if (chunk->value != 0) {
        ft_tracker_drained(tracker);
    }
    measure_rate(tracker);
}

static void consume_dump(struct ft_tracker *tracker, const struct ft_chunk *chunk)
{
    if (!tracker->dump.active) {
        return;
    }
    struct ft_ct_reader reader = {.at = chunk->data, .left = chunk->size};
    struct ft_ct_record record;
    int error;
    enum ft_ct_step step;
    while ((step = ft_ct_next(&reader, &record, &error)) != FT_CT_EMPTY) {
        if (step == FT_CT_RECORD) {
            ft_tracker_apply_entry(tracker, &record);
            ft_tracker_settle(tracker);
        } else if (step == FT_CT_BAD) {
            /* No event is lost by it, but a flow may be there that we cannot see. */
            ft_stat_add(&tracker->stats->n_parse_errors, 1);
            tracker->dump.broken = true;
        } else if (step == FT_CT_INTERRUPTED) {
            tracker->dump.broken = true;
        }
    }
}

static void set_step(struct ft_tracker *tracker, int64_t step)
{
    bool wanted = tracker->wants_updates;
    tracker->hears_new = step < FT_LADDER_DESTROY_ONLY;
    tracker->wants_updates = step < FT_LADDER_NO_UPDATE;
    if (tracker->wants_updates && !wanted && tracker->options.update_interval_ns > 0 &&
        tracker->first_dump_done) {
        tracker->update_mono_ns = tracker->mono_ns + tracker->options.update_interval_ns;
    }
}

static void set_switches(struct ft_tracker *tracker, int64_t bits)
{
    bool on = (bits & 1) != 0;
    if (on && tracker->switches_known && !tracker->acct_on) {
        tracker->acct_since_ns = tracker->real_ns;
    }
    tracker->acct_on = on;
    tracker->switches_known = true;
}

static void measure_rate(struct ft_tracker *tracker)
{
    int64_t elapsed = tracker->mono_ns - tracker->window_mono_ns;
    if (elapsed < RATE_WINDOW_NS) {
        return;
    }
    uint64_t rate = tracker->n_in_window * (uint64_t)FT_NS_PER_S / (uint64_t)elapsed;
    tracker->rate = (tracker->rate * 3 + rate) / 4;
    tracker->n_in_window = 0;
    tracker->window_mono_ns = tracker->mono_ns;
}

/* What time has brought. */
static void run_due(struct ft_tracker *tracker)
{
    if (tracker->mono_ns >= tracker->parse_loss.due_mono_ns) {
        ft_tracker_tell_parse_loss(tracker);
    }
    if (tracker->sweep.state == FT_WALK_RUN) {
        ft_tracker_sweep(tracker);
    } else if (tracker->grace.state == FT_WALK_RUN) {
        ft_tracker_end_grace(tracker);
    } else {
        ft_flow_table_trim(tracker->flows, tracker->options.settled, tracker->ctx);
    }
    struct ft_flow_table_stats stats;
    ft_flow_table_get_stats(tracker->flows, &stats);
    ft_stat_set(&tracker->stats->n_flows, stats.n_flows);
    ft_stat_set(&tracker->stats->table_bytes, stats.bytes);
}
