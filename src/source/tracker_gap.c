/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "source/tracker_impl.h"

/* LOSS events for messages that were not understood: one a second at most. */
#define PARSE_LOSS_WAIT_NS FT_NS_PER_S

static void open_gap(struct ft_tracker *tracker, enum ft_loss_cause cause);
static void spoil_dump(struct ft_tracker *tracker);

void ft_tracker_on_opened(struct ft_tracker *tracker, int64_t n_opens)
{
    struct ft_tracker_gap *gap = &tracker->gap;
    tracker->drained_real_ns = 0;
    if (n_opens <= 1 || tracker->opened_real_ns == 0) {
        tracker->opened_real_ns = tracker->real_ns;
        tracker->window_mono_ns = tracker->mono_ns;
        tracker->first_dump_due = true;
        tracker->resync_mono_ns = FT_TIME_NEVER;
        gap->closed_socket = false;
        return;
    }
    if (!gap->closed_socket) {
        ft_tracker_on_failed(tracker); /* A new socket without the end of the old one. */
    }
    gap->closed_socket = false;
    gap->end_real_ns = tracker->real_ns;
    /* Nothing better is known of what happened unheard than what happened before. */
    uint64_t span_ms = (uint64_t)(gap->end_real_ns - gap->begin_real_ns) / (uint64_t)FT_NS_PER_MS;
    gap->n_missed += tracker->rate * span_ms / 1000 + 1;
    tracker->window_mono_ns = tracker->mono_ns;
    tracker->n_in_window = 0;
    ft_tracker_want_resync(tracker);
}

/*
 * Nothing was missed: the socket was held, and what was heard of it is handled.  But a dump that
 * was under way went with the process, and what it had found out may have been undone, so there is
 * to be another one.
 */
void ft_tracker_on_adopted(struct ft_tracker *tracker)
{
    if (tracker->opened_real_ns == 0) {
        ft_tracker_on_opened(tracker, 1); /* It ended before it had said so. */
        return;
    }
    /* It ended with the process: no failure of the kernel, so that nothing is put off for it. */
    tracker->dump.active = false;
    tracker->resync_wait_ns = tracker->options.resync_wait_min_ns;
    tracker->resync_mono_ns = tracker->first_dump_due ? FT_TIME_NEVER : tracker->mono_ns;
}

void ft_tracker_on_overrun(struct ft_tracker *tracker, int64_t n_drops)
{
    struct ft_tracker_gap *gap = &tracker->gap;
    spoil_dump(tracker);
    open_gap(tracker, FT_LOSS_KERNEL_OVERRUN);
    gap->undrained = true;
    gap->ends_safe = gap->ends_safe && tracker->reliable;
    gap->n_missed += n_drops > 0 ? (uint64_t)n_drops : 1;
    gap->end_real_ns = tracker->real_ns;
    ft_tracker_prolong_grace(tracker); /* It holds back more ENDs, and sends them later. */
    ft_tracker_want_resync(tracker);
}

void ft_tracker_on_failed(struct ft_tracker *tracker)
{
    struct ft_tracker_gap *gap = &tracker->gap;
    if (tracker->opened_real_ns == 0) {
        return; /* It could not be opened yet: the first dump will find what there is. */
    }
    spoil_dump(tracker);
    open_gap(tracker, FT_LOSS_SOCKET_REOPENED);
    gap->cause = FT_LOSS_SOCKET_REOPENED;
    gap->closed_socket = true;
    gap->undrained = false; /* The messages went with the socket. */
    gap->ends_safe = false;
    gap->end_real_ns = tracker->real_ns;
}

void ft_tracker_end(struct ft_tracker *tracker)
{
    if (tracker->dump.active) {
        ft_tracker_fail_dump(tracker);
    }
    tracker->sweep.state = FT_WALK_NONE; /* The next start makes a dump of its own. */
    bool in_gap = tracker->gap.open;
    ft_tracker_on_failed(tracker);
    if (tracker->gap.open && !in_gap) {
        tracker->gap.cause = FT_LOSS_SHUTDOWN;
    }
}

void ft_tracker_on_reliable(struct ft_tracker *tracker, bool reliable)
{
    tracker->reliable = reliable;
    if (!reliable && tracker->gap.open) {
        tracker->gap.ends_safe = false; /* What the kernel kept for us it keeps no longer. */
    }
}

void ft_tracker_close_gap(struct ft_tracker *tracker)
{
    struct ft_tracker_gap *gap = &tracker->gap;
    if (!gap->open) {
        return;
    }
    struct ft_loss loss = {
        .cause = gap->cause,
        .estimated = true,
        .begin_ns = gap->begin_real_ns,
        .end_ns = gap->end_real_ns,
    };
    bool reopened = gap->cause != FT_LOSS_KERNEL_OVERRUN;
    bool complete = gap->ends_safe && !reopened;
    if (gap->n_missed > gap->n_rebuilt) {
        loss.count = gap->n_missed - gap->n_rebuilt;
    } else if (reopened) {
        loss.count = 1; /* That nothing else happened unheard cannot be known. */
    }
    *gap = (struct ft_tracker_gap){.last_mono_ns = gap->last_mono_ns};
    ft_stat_add(&tracker->stats->n_resyncs, 1);
    if (!complete && loss.count > 0) {
        ft_tracker_emit_loss(tracker, &loss);
    }
}

void ft_tracker_want_resync(struct ft_tracker *tracker)
{
    const struct ft_tracker_options *options = &tracker->options;
    if (tracker->resync_mono_ns != FT_TIME_NEVER) {
        return;
    }
    if (tracker->last_dump_end_mono_ns == 0) {
        tracker->resync_mono_ns = tracker->mono_ns;
        return;
    }
    /* Wanted again soon after the last one: overruns persist, and a dump is part of the load. */
    int64_t since = tracker->mono_ns - tracker->last_dump_end_mono_ns;
    int64_t wait = tracker->resync_wait_ns;
    if (since < 2 * wait) {
        int64_t longer = wait * 2;
        tracker->resync_wait_ns =
            longer < options->resync_wait_max_ns ? longer : options->resync_wait_max_ns;
    } else {
        wait = options->resync_wait_min_ns;
        tracker->resync_wait_ns = wait;
    }
    int64_t at = tracker->last_dump_end_mono_ns + wait;
    tracker->resync_mono_ns = at > tracker->mono_ns ? at : tracker->mono_ns;
}

void ft_tracker_on_bad_message(struct ft_tracker *tracker, bool run_broken)
{
    struct ft_tracker_parse_loss *loss = &tracker->parse_loss;
    ft_stat_add(&tracker->stats->n_parse_errors, 1);
    if (loss->count == 0) {
        loss->begin_real_ns = tracker->real_ns;
        loss->due_mono_ns = tracker->mono_ns + PARSE_LOSS_WAIT_NS;
    }
    loss->count++;
    loss->estimated = loss->estimated || run_broken;
    loss->end_real_ns = tracker->real_ns;
}

void ft_tracker_tell_parse_loss(struct ft_tracker *tracker)
{
    const struct ft_tracker_parse_loss parse = tracker->parse_loss;
    tracker->parse_loss = (struct ft_tracker_parse_loss){.due_mono_ns = FT_TIME_NEVER};
    struct ft_loss loss = {
        .cause = FT_LOSS_PARSE,
        .estimated = parse.estimated,
        .begin_ns = parse.begin_real_ns,
        .end_ns = parse.end_real_ns,
        .count = parse.count,
    };
    ft_tracker_emit_loss(tracker, &loss);
}

static void open_gap(struct ft_tracker *tracker, enum ft_loss_cause cause)
{
    if (!tracker->gap.open) {
        int64_t begin = tracker->drained_real_ns;
        tracker->gap = (struct ft_tracker_gap){
            .open = true,
            .ends_safe = tracker->reliable,
            .cause = cause,
            .begin_real_ns = begin != 0 ? begin : tracker->real_ns,
        };
    }
    tracker->gap.last_mono_ns = tracker->mono_ns;
}

/* Something was missed: the dump that is under way, or just was, may lack what began since. */
static void spoil_dump(struct ft_tracker *tracker)
{
    tracker->dump.covers_gap = false;
    tracker->sweep.covers_gap = false;
}
