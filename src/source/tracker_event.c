/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "source/flow_event.h"
#include "source/tracker_impl.h"

static void apply_new(struct ft_tracker *tracker, const struct ft_ct_record *record);
static void apply_update(struct ft_tracker *tracker, const struct ft_ct_record *record);
static void apply_destroy(struct ft_tracker *tracker, const struct ft_ct_record *record);
static bool ended_before(struct ft_tracker *tracker, const struct ft_ct_record *record,
                         uint64_t hash);
static void init_flow(struct ft_tracker *tracker, const struct ft_ct_record *record, bool from_dump,
                      struct ft_flow *flow);
static void emit_start(struct ft_tracker *tracker, struct ft_flow *flow,
                       const struct ft_ct_record *record, bool inferred, bool count);
static void emit_end(struct ft_tracker *tracker, struct ft_flow *flow,
                     const struct ft_ct_record *record, const struct ft_flow_counters *reported);
static int64_t event_time(const struct ft_tracker *tracker, const struct ft_ct_record *record);
static void get_counters(const struct ft_ct_record *record, struct ft_flow_counters *ret_counters);
static void add_counters(struct ft_tracker *tracker, const struct ft_flow *flow,
                         const struct ft_flow_counters *from, const struct ft_flow_counters *to);

void ft_tracker_apply_event(struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    struct ft_source_stats *stats = tracker->stats;
    switch (record->kind) {
    case FT_CT_NEW:
        ft_stat_add(&stats->n_new, 1);
        tracker->n_in_window++;
        apply_new(tracker, record);
        break;
    case FT_CT_UPDATE:
        ft_stat_add(&stats->n_update, 1);
        apply_update(tracker, record);
        break;
    case FT_CT_DESTROY:
        ft_stat_add(&stats->n_destroy, 1);
        tracker->n_in_window++;
        apply_destroy(tracker, record);
        break;
    case FT_CT_KIND_N:
    default:
        break;
    }
}

enum ft_relation ft_tracker_relate(const struct ft_tracker *tracker, const struct ft_flow *flow,
                                   const struct ft_ct_record *record)
{
    if ((record->has & FT_CT_HAS_START) != 0) {
        if ((flow->flags & FT_FLOW_START_EXACT) != 0) {
            if (record->start_ns != flow->start_ns) {
                return record->start_ns > flow->start_ns ? FT_LATER_FLOW : FT_EARLIER_FLOW;
            }
        } else if (record->start_ns - FT_TRACKER_START_SLACK_NS > flow->start_ns) {
            return FT_LATER_FLOW;
        }
    }
    if ((record->has & FT_CT_HAS_COUNTERS) != 0) {
        /* Counters never go back: where they are lower they are another flow's. */
        struct ft_flow_counters reported;
        ft_flow_table_get_counters(tracker->flows, flow, &reported);
        if (record->orig_packets < reported.orig_packets ||
            record->orig_bytes < reported.orig_bytes ||
            record->reply_packets < reported.reply_packets ||
            record->reply_bytes < reported.reply_bytes) {
            return FT_LATER_FLOW;
        }
    }
    return FT_SAME_FLOW;
}

bool ft_tracker_begin_flow(struct ft_tracker *tracker, const struct ft_ct_record *record,
                           uint64_t hash, bool from_dump)
{
    struct ft_flow *flow = ft_flow_table_add(tracker->flows, record, hash);
    if (flow == NULL) {
        if (!from_dump || !tracker->first_dump_done) {
            ft_stat_add(&tracker->stats->n_untracked, 1); /* Once, not in each dump. */
        }
        return false;
    }
    init_flow(tracker, record, from_dump, flow);
    flow->generation = tracker->generation;
    if (!ft_ct_is_mirrored(record)) {
        ft_flow_table_set_nat(tracker->flows, flow, &record->reply);
    }
    if (from_dump && tracker->gap.open && tracker->hears_new) {
        tracker->gap.n_rebuilt++;
    }
    emit_start(tracker, flow, record, from_dump, true);
    return true;
}

void ft_tracker_infer_end(struct ft_tracker *tracker, struct ft_flow *flow, int64_t time_ns)
{
    struct ft_event *event = &tracker->event;
    ft_flow_event_from_table(event, FT_EVENT_END, time_ns, tracker->flows, flow);
    event->fields |= FT_FIELD_INFERRED;
    ft_tracker_emit(tracker);
    ft_stat_add(&tracker->stats->n_inferred_ends, 1);
    if (tracker->gap.open) {
        tracker->gap.n_rebuilt++;
    }
    struct ft_ended_flow ended = {.start_ns = flow->start_ns,
                                  .exact = (flow->flags & FT_FLOW_START_EXACT) != 0,
                                  .inferred = true};
    ft_ended_add(tracker->ended, ft_flow_table_hash_flow(tracker->flows, flow), &ended);
    ft_flow_table_remove(tracker->flows, flow);
}

void ft_tracker_refresh(struct ft_tracker *tracker, struct ft_flow *flow,
                        const struct ft_ct_record *record)
{
    ft_flow_table_touch(tracker->flows, flow);
    flow->generation = tracker->generation;
    unsigned flags = flow->flags & ~FT_FLOW_MISSING;
    if ((record->has & FT_CT_HAS_MARK) != 0) {
        flow->mark = record->mark;
        flags |= FT_FLOW_MARK;
    }
    flow->flags = (uint16_t)flags;
    if ((flags & FT_FLOW_NAT) == 0 && !ft_ct_is_mirrored(record)) {
        ft_flow_table_set_nat(tracker->flows, flow, &record->reply);
    }
}

bool ft_tracker_count(struct ft_tracker *tracker, struct ft_flow *flow,
                      const struct ft_ct_record *record, bool last)
{
    if ((record->has & FT_CT_HAS_COUNTERS) == 0) {
        return false;
    }
    struct ft_flow_counters from;
    struct ft_flow_counters to;
    ft_flow_table_get_counters(tracker->flows, flow, &from);
    get_counters(record, &to);
    /* Reported and forgotten would be reported twice. */
    if (!last && !ft_flow_table_set_counters(tracker->flows, flow, &to)) {
        return false;
    }
    add_counters(tracker, flow, &from, &to);
    return true;
}

void ft_tracker_emit(struct ft_tracker *tracker)
{
    struct ft_source_stats *stats = tracker->stats;
    ft_stat *counts[FT_EVENT_TYPE_N] = {
        [FT_EVENT_START] = &stats->n_starts,
        [FT_EVENT_UPDATE] = &stats->n_updates,
        [FT_EVENT_END] = &stats->n_ends,
        [FT_EVENT_LOSS] = &stats->n_losses,
    };
    ft_stat_add(counts[tracker->event.type], 1);
    tracker->emit(tracker->ctx, &tracker->event);
}

void ft_tracker_emit_loss(struct ft_tracker *tracker, const struct ft_loss *loss)
{
    memset(&tracker->event, 0, sizeof tracker->event);
    tracker->event.type = FT_EVENT_LOSS;
    tracker->event.time_ns = tracker->real_ns;
    tracker->event.fields = FT_FIELD_LOSS;
    tracker->event.loss = *loss;
    ft_tracker_emit(tracker);
}

static void apply_new(struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    uint64_t hash = ft_flow_table_hash(tracker->flows, record);
    struct ft_flow *flow = ft_flow_table_find(tracker->flows, record, hash);
    if (flow != NULL) {
        if (ft_tracker_relate(tracker, flow, record) == FT_SAME_FLOW) {
            /* A dump had it first, or the kernel repeats what another listener did not take. */
            ft_stat_add(&tracker->stats->n_duplicates, 1);
            ft_tracker_refresh(tracker, flow, record);
            return;
        }
        ft_tracker_infer_end(tracker, flow, tracker->real_ns);
    }
    ft_tracker_begin_flow(tracker, record, hash, false);
}

/* Of a flow that is not known nothing is lost: a dump or its END will make it known. */
static void apply_update(struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    uint64_t hash = ft_flow_table_hash(tracker->flows, record);
    struct ft_flow *flow = ft_flow_table_find(tracker->flows, record, hash);
    if (flow != NULL && ft_tracker_relate(tracker, flow, record) == FT_SAME_FLOW) {
        ft_tracker_refresh(tracker, flow, record);
    }
}

static void apply_destroy(struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    uint64_t hash = ft_flow_table_hash(tracker->flows, record);
    struct ft_flow *flow = ft_flow_table_find(tracker->flows, record, hash);
    ft_tracker_mind_grace(tracker, flow, record);
    if (flow != NULL) {
        enum ft_relation relation = ft_tracker_relate(tracker, flow, record);
        if (relation == FT_SAME_FLOW) {
            struct ft_flow_counters reported;
            ft_flow_table_get_counters(tracker->flows, flow, &reported);
            emit_end(tracker, flow, record, &reported);
            struct ft_ended_flow ended = {.start_ns = flow->start_ns};
            if ((record->has & FT_CT_HAS_START) != 0) {
                ended = (struct ft_ended_flow){.start_ns = record->start_ns, .exact = true};
            }
            ft_ended_add(tracker->ended, hash, &ended);
            ft_flow_table_remove(tracker->flows, flow);
            return;
        }
        if (relation == FT_LATER_FLOW) {
            ft_tracker_infer_end(tracker, flow, tracker->real_ns);
        }
    }
    if (ended_before(tracker, record, hash)) {
        return;
    }
    /* The flow began unheard: its START is made from its END.  The flow is never in the table. */
    struct ft_flow unheard = {.id = record->id, .protocol = record->orig.protocol};
    init_flow(tracker, record, true, &unheard);
    if (tracker->gap.open && tracker->hears_new) {
        tracker->gap.n_rebuilt++;
    }
    emit_start(tracker, &unheard, record, true, false);
    emit_end(tracker, &unheard, record, &(struct ft_flow_counters){0});
    struct ft_ended_flow ended = {.start_ns = unheard.start_ns,
                                  .exact = (unheard.flags & FT_FLOW_START_EXACT) != 0};
    ft_ended_add(tracker->ended, hash, &ended);
}

/*
 * True when this END was reported already: heard before (the kernel repeats an END to everyone when
 * one listener did not take it), or inferred.  Only the start time can tell.
 *
 * An END that comes after an inferred one is counted and no more: a flow has one END, and the one
 * that was told says that its time is inferred and its last counters are not known.
 */
static bool ended_before(struct ft_tracker *tracker, const struct ft_ct_record *record,
                         uint64_t hash)
{
    struct ft_ended_flow ended;
    if ((record->has & FT_CT_HAS_START) == 0 || !ft_ended_find(tracker->ended, hash, &ended)) {
        return false;
    }
    bool same = ended.exact ? record->start_ns == ended.start_ns
                            : record->start_ns - FT_TRACKER_START_SLACK_NS <= ended.start_ns;
    if (same) {
        struct ft_source_stats *stats = tracker->stats;
        ft_stat_add(ended.inferred ? &stats->n_late_ends : &stats->n_duplicates, 1);
    }
    return same;
}

/* Everything but the key.  'unheard': its beginning was not heard as a NEW event. */
static void init_flow(struct ft_tracker *tracker, const struct ft_ct_record *record, bool unheard,
                      struct ft_flow *flow)
{
    unsigned flags = flow->flags;
    if ((record->has & FT_CT_HAS_START) != 0) {
        flow->start_ns = record->start_ns;
        flags |= FT_FLOW_START_EXACT;
    } else {
        flow->start_ns = event_time(tracker, record);
        flags |= unheard ? FT_FLOW_START_UNKNOWN : 0;
    }
    bool old = (flags & FT_FLOW_START_EXACT) == 0 || flow->start_ns < tracker->opened_real_ns;
    if (unheard && old && !tracker->first_dump_done) {
        flags |= FT_FLOW_PREEXISTING;
    }
    /*
     * The kernel counts flows that begin while accounting is on.  Where the beginning is unknown,
     * or was before accounting was seen to go on, the counters may lack the flow's first part.
     */
    bool start_unknown = (flags & FT_FLOW_START_UNKNOWN) != 0;
    if ((start_unknown && !tracker->first_dump_done) ||
        (tracker->acct_since_ns != 0 && flow->start_ns < tracker->acct_since_ns)) {
        flags |= FT_FLOW_UNSURE;
    }
    if ((record->has & FT_CT_HAS_MARK) != 0) {
        flow->mark = record->mark;
        flags |= FT_FLOW_MARK;
    }
    flow->direction = (uint8_t)ft_locals_direction(&tracker->locals, record);
    flow->flags = (uint16_t)flags;
}

static void emit_start(struct ft_tracker *tracker, struct ft_flow *flow,
                       const struct ft_ct_record *record, bool inferred, bool count)
{
    struct ft_event *event = &tracker->event;
    ft_flow_event_from_record(event, FT_EVENT_START, flow->start_ns, record);
    ft_flow_event_add_flow(event, flow);
    if (inferred) {
        event->fields |= FT_FIELD_INFERRED;
        ft_stat_add(&tracker->stats->n_inferred_starts, 1);
    }
    if (count) {
        ft_tracker_count(tracker, flow, record, false);
    }
    ft_tracker_emit(tracker);
    flow->traffic_class = event->traffic_class;
}

static void emit_end(struct ft_tracker *tracker, struct ft_flow *flow,
                     const struct ft_ct_record *record, const struct ft_flow_counters *reported)
{
    struct ft_event *event = &tracker->event;
    ft_flow_event_from_record(event, FT_EVENT_END, event_time(tracker, record), record);
    ft_flow_event_add_flow(event, flow);
    if ((record->has & FT_CT_HAS_COUNTERS) != 0) {
        struct ft_flow_counters to;
        get_counters(record, &to);
        add_counters(tracker, flow, reported, &to);
    }
    ft_tracker_emit(tracker);
}

/* When what the record tells happened. */
static int64_t event_time(const struct ft_tracker *tracker, const struct ft_ct_record *record)
{
    if ((record->has & FT_CT_HAS_STOP) != 0) {
        return record->stop_ns;
    }
    return (record->has & FT_CT_HAS_EVENT) != 0 ? record->event_ns : tracker->real_ns;
}

static void get_counters(const struct ft_ct_record *record, struct ft_flow_counters *ret_counters)
{
    *ret_counters = (struct ft_flow_counters){
        .orig_packets = record->orig_packets,
        .orig_bytes = record->orig_bytes,
        .reply_packets = record->reply_packets,
        .reply_bytes = record->reply_bytes,
    };
}

static void add_counters(struct ft_tracker *tracker, const struct ft_flow *flow,
                         const struct ft_flow_counters *from, const struct ft_flow_counters *to)
{
    ft_flow_event_add_counters(&tracker->event, from, to);
    if ((flow->flags & FT_FLOW_UNSURE) != 0) {
        tracker->event.fields |= FT_FIELD_COUNTERS_UNSURE;
    }
}
