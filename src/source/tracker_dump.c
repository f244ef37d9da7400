/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "source/flow_event.h"
#include "source/tracker_impl.h"

static bool was_heard_to_end(const struct ft_tracker *tracker, const struct ft_ct_record *record,
                             uint64_t hash);
static bool will_be_heard(const struct ft_tracker *tracker, const struct ft_ct_record *record);
static void report_update(struct ft_tracker *tracker, struct ft_flow *flow,
                          const struct ft_ct_record *record);
static void plan_update(struct ft_tracker *tracker);
static int64_t grace_ns(const struct ft_tracker *tracker);
static void finish_sweep(struct ft_tracker *tracker);

void ft_tracker_begin_dump(struct ft_tracker *tracker, enum ft_dump_reason reason)
{
    const struct ft_tracker_gap *gap = &tracker->gap;
    tracker->generation++;
    tracker->sweep.state = FT_WALK_NONE; /* Only a recording begins a dump during a sweep. */
    tracker->dump = (struct ft_tracker_dump){
        .active = true,
        .reason = reason,
        .covers_gap = gap->open && !gap->undrained && !gap->closed_socket,
        .begin_mono_ns = tracker->mono_ns,
        .begin_real_ns = tracker->real_ns,
    };
}

void ft_tracker_apply_entry(struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    ft_stat_add(&tracker->stats->n_dump_entries, 1);
    uint64_t hash = ft_flow_table_hash(tracker->flows, record);
    struct ft_flow *flow = ft_flow_table_find(tracker->flows, record, hash);
    if (flow == NULL) {
        if (!was_heard_to_end(tracker, record, hash) && !will_be_heard(tracker, record)) {
            ft_tracker_begin_flow(tracker, record, hash, true);
        }
        return;
    }
    if (ft_tracker_relate(tracker, flow, record) != FT_SAME_FLOW) {
        /* The dump is ahead of the events: the END of the one and the NEW of the other are still
         * to be processed.  If they were lost, the sweep ends the one. */
        tracker->dump.conflict = true;
        return;
    }
    ft_tracker_refresh(tracker, flow, record);
    if (tracker->dump.reason == FT_DUMP_UPDATE) {
        report_update(tracker, flow, record);
    }
}

void ft_tracker_end_dump(struct ft_tracker *tracker, bool consistent)
{
    struct ft_tracker_dump *dump = &tracker->dump;
    struct ft_source_stats *stats = tracker->stats;
    if (!dump->active) {
        return;
    }
    dump->active = false;
    tracker->last_dump_end_mono_ns = tracker->mono_ns;
    uint64_t took = (uint64_t)(tracker->mono_ns - dump->begin_mono_ns);
    ft_stat_add(&stats->n_dumps, 1);
    ft_stat_set(&stats->dump_ns, took);
    ft_stat_add(&stats->dump_ns_total, took);
    if (dump->reason == FT_DUMP_START) {
        tracker->first_dump_due = false;
    }
    tracker->first_dump_done = true;
    if (dump->covers_gap || !tracker->gap.open) {
        tracker->resync_mono_ns = FT_TIME_NEVER;
    } else if (tracker->resync_mono_ns != FT_TIME_NEVER) {
        /* Wanted while this dump ran: it has its distance from this one, too. */
        int64_t at = tracker->mono_ns + tracker->resync_wait_ns;
        tracker->resync_mono_ns = at > tracker->resync_mono_ns ? at : tracker->resync_mono_ns;
    }
    plan_update(tracker);
    if (!consistent || dump->broken) {
        if (dump->covers_gap && ++tracker->gap.n_tries >= FT_TRACKER_RESYNC_TRIES_MAX) {
            ft_tracker_close_gap(tracker);
        } else if (dump->covers_gap || dump->reason == FT_DUMP_START) {
            ft_tracker_want_resync(tracker);
        }
        return;
    }
    tracker->sweep = (struct ft_tracker_sweep){
        .state = FT_WALK_WAIT,
        .covers_gap = dump->covers_gap,
        .conflict = dump->conflict,
        .dump_begin_real_ns = dump->begin_real_ns,
        .dump_end_mono_ns = tracker->mono_ns,
    };
}

void ft_tracker_fail_dump(struct ft_tracker *tracker)
{
    struct ft_tracker_dump *dump = &tracker->dump;
    if (!dump->active) {
        return;
    }
    dump->active = false;
    tracker->last_dump_end_mono_ns = tracker->mono_ns;
    ft_stat_add(&tracker->stats->n_dump_failures, 1);
    plan_update(tracker);
    if (tracker->gap.open || tracker->first_dump_due) {
        tracker->resync_mono_ns = FT_TIME_NEVER;
        ft_tracker_want_resync(tracker);
    }
}

void ft_tracker_drained(struct ft_tracker *tracker)
{
    struct ft_tracker_sweep *sweep = &tracker->sweep;
    struct ft_tracker_grace *grace = &tracker->grace;
    tracker->drained_real_ns = tracker->real_ns;
    tracker->gap.undrained = false;
    if (sweep->state == FT_WALK_WAIT && tracker->mono_ns > sweep->dump_end_mono_ns) {
        sweep->state = FT_WALK_RUN;
        sweep->mark_only = !tracker->gap.open || tracker->gap.ends_safe;
    }
    if (grace->state == FT_WALK_WAIT && tracker->mono_ns >= grace->until_mono_ns) {
        grace->state = FT_WALK_RUN;
        grace->cursor = 0;
    }
}

/*
 * What the kernel could not deliver it sends again in rounds of as many ENDs as the socket holds,
 * with 100 ms between: a small buffer and many flows take minutes.  While it still does, the END of
 * a missing flow may still be among what is to come, and one inferred now would be told twice.
 */
void ft_tracker_mind_grace(struct ft_tracker *tracker, const struct ft_flow *flow,
                           const struct ft_ct_record *record)
{
    if (tracker->grace.state != FT_WALK_WAIT) {
        return;
    }
    bool missing = flow != NULL && (flow->flags & FT_FLOW_MISSING) != 0;
    bool held_back =
        (record->has & FT_CT_HAS_STOP) != 0 && record->stop_ns < tracker->grace.dump_real_ns;
    if (missing || held_back) {
        ft_tracker_prolong_grace(tracker);
    }
}

void ft_tracker_prolong_grace(struct ft_tracker *tracker)
{
    struct ft_tracker_grace *grace = &tracker->grace;
    if (grace->state != FT_WALK_WAIT) {
        return;
    }
    int64_t last = grace->begin_mono_ns + tracker->options.end_grace_max_ns;
    int64_t until = tracker->mono_ns + grace_ns(tracker);
    until = until < last ? until : last;
    grace->until_mono_ns = until > grace->until_mono_ns ? until : grace->until_mono_ns;
}

void ft_tracker_sweep(struct ft_tracker *tracker)
{
    struct ft_tracker_sweep *sweep = &tracker->sweep;
    uint32_t left = FT_TRACKER_SLICE_CELLS;
    struct ft_flow *flow;
    while ((flow = ft_flow_table_walk(tracker->flows, &sweep->cursor, &left)) != NULL) {
        if (flow->generation == tracker->generation) {
            continue;
        }
        if (!sweep->mark_only) {
            ft_tracker_infer_end(tracker, flow, tracker->real_ns);
            sweep->n_ended++;
        } else if (tracker->grace.state == FT_WALK_NONE) {
            /* While an earlier grace runs nothing is marked: the next dump will find them, too. */
            ft_flow_table_touch(tracker->flows, flow);
            flow->flags |= FT_FLOW_MISSING;
            sweep->n_marked++;
        }
        ft_tracker_settle(tracker);
    }
    if (left > 0) {
        finish_sweep(tracker);
    }
}

void ft_tracker_end_grace(struct ft_tracker *tracker)
{
    struct ft_tracker_grace *grace = &tracker->grace;
    uint32_t left = FT_TRACKER_SLICE_CELLS;
    struct ft_flow *flow;
    while ((flow = ft_flow_table_walk(tracker->flows, &grace->cursor, &left)) != NULL) {
        if ((flow->flags & FT_FLOW_MISSING) != 0) {
            ft_tracker_infer_end(tracker, flow, tracker->real_ns);
            ft_tracker_settle(tracker);
        }
    }
    if (left > 0) {
        grace->state = FT_WALK_NONE;
    }
}

/* True for an entry that was already dead: the dump was made before its END was processed. */
static bool was_heard_to_end(const struct ft_tracker *tracker, const struct ft_ct_record *record,
                             uint64_t hash)
{
    struct ft_ended_flow ended;
    if (!ft_ended_find(tracker->ended, hash, &ended)) {
        return false;
    }
    if ((record->has & FT_CT_HAS_START) == 0) {
        return true; /* If it is a later flow, its NEW or its END will tell. */
    }
    return ended.exact ? record->start_ns <= ended.start_ns
                       : record->start_ns - FT_TRACKER_START_SLACK_NS <= ended.start_ns;
}

/* True for a flow so young that its NEW event is certainly not processed yet. */
static bool will_be_heard(const struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    return tracker->hears_new && tracker->drained_real_ns != 0 &&
           (record->has & FT_CT_HAS_START) != 0 && record->start_ns > tracker->drained_real_ns;
}

static void report_update(struct ft_tracker *tracker, struct ft_flow *flow,
                          const struct ft_ct_record *record)
{
    struct ft_flow_counters reported;
    if ((record->has & FT_CT_HAS_COUNTERS) == 0 ||
        tracker->real_ns - flow->start_ns < tracker->options.update_interval_ns) {
        return;
    }
    ft_flow_table_get_counters(tracker->flows, flow, &reported);
    if (reported.orig_packets == record->orig_packets &&
        reported.reply_packets == record->reply_packets) {
        return;
    }
    struct ft_event *event = &tracker->event;
    ft_flow_event_from_record(event, FT_EVENT_UPDATE, tracker->real_ns, record);
    ft_flow_event_add_flow(event, flow);
    if (ft_tracker_count(tracker, flow, record, false)) {
        ft_tracker_emit(tracker);
    }
}

static void plan_update(struct ft_tracker *tracker)
{
    tracker->check_mono_ns = tracker->mono_ns + FT_TRACKER_CHECK_NS;
    int64_t interval = tracker->options.update_interval_ns;
    if (tracker->dump.reason == FT_DUMP_RESYNC && tracker->update_mono_ns != FT_TIME_NEVER) {
        return; /* It did not report counters: the plan stays. */
    }
    tracker->update_mono_ns = interval > 0 ? tracker->mono_ns + interval : FT_TIME_NEVER;
}

/*
 * How long the END of a missing flow may still come.  Where nothing was dropped lately none is
 * being held back: such a flow has no events at all (it began when nobody listened), and only one
 * that is just being told has to be waited for.
 */
static int64_t grace_ns(const struct ft_tracker *tracker)
{
    int64_t grace = tracker->options.end_grace_ns;
    bool calm = !tracker->gap.open && tracker->mono_ns - tracker->gap.last_mono_ns > grace;
    return calm ? tracker->options.end_grace_calm_ns : grace;
}

static void finish_sweep(struct ft_tracker *tracker)
{
    struct ft_tracker_sweep *sweep = &tracker->sweep;
    sweep->state = FT_WALK_NONE;
    if (sweep->n_marked > 0) {
        tracker->grace = (struct ft_tracker_grace){
            .state = FT_WALK_WAIT,
            .dump_real_ns = sweep->dump_begin_real_ns,
            .begin_mono_ns = tracker->mono_ns,
            .until_mono_ns = tracker->mono_ns + grace_ns(tracker),
        };
    }
    if (sweep->covers_gap) {
        ft_tracker_close_gap(tracker);
    }
    if (sweep->conflict && sweep->n_ended > 0) {
        ft_tracker_want_resync(tracker); /* For the later ones of the flows just ended. */
    }
}
