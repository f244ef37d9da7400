/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the tracker: its state, and what its parts call of one another.
 *
 *     tracker.c         chunks in, what is due
 *     tracker_event.c   NEW, UPDATE, DESTROY; emitting
 *     tracker_dump.c    a dump's entries, sweep, grace
 *     tracker_gap.c     what was missed, and when to dump
 *
 * Thread: owner only.
 */
#ifndef FT_SOURCE_TRACKER_IMPL_H
#define FT_SOURCE_TRACKER_IMPL_H 1

#include <stddef.h>

#include "os/ct_record.h"
#include "source/ended.h"
#include "source/flow_table.h"
#include "source/locals.h"
#include "source/tracker.h"

/* Cells of the flow table that one chunk's turn looks at while sweeping (some 50 us). */
#define FT_TRACKER_SLICE_CELLS 8192U

/*
 * How far a start that we know only from an event may be before the kernel's own start stamp: the
 * first event of a flow is cached while its first packet is still on its way to be confirmed.
 */
#define FT_TRACKER_START_SLACK_NS FT_NS_PER_S

/* A resync is given up as reconciled after that many dumps that changed under way. */
#define FT_TRACKER_RESYNC_TRIES_MAX 5

/*
 * Of a flow that began while nobody listened the kernel tells no END: it has no event extension
 * (nf_conntrack_events = 2, the default).  Such flows are looked for in dumps, that often at least,
 * however seldom counters are asked for.
 */
#define FT_TRACKER_CHECK_NS (5 * 60 * FT_NS_PER_S)

/* A dump under way. */
struct ft_tracker_dump {
    bool active;
    bool broken;     /* it changed under way: what is not in it may still be there */
    bool covers_gap; /* began after the last miss */
    bool conflict;   /* it had a flow whose older namesake is still in the table */
    enum ft_dump_reason reason;
    int64_t begin_mono_ns;
    int64_t begin_real_ns;
};

/* A walk over the flow table that may have to wait before it begins. */
enum ft_walk_state { FT_WALK_NONE, FT_WALK_WAIT, FT_WALK_RUN };

/*
 * Looking for flows that the last dump did not have.  It waits until every event that was sent
 * before the dump's end is processed, because an END among them explains a missing flow.
 */
struct ft_tracker_sweep {
    enum ft_walk_state state;
    bool mark_only; /* ENDs will still come: mark the flows, infer nothing */
    bool covers_gap;
    bool conflict;
    uint32_t cursor;
    uint64_t n_marked;
    uint64_t n_ended;
    int64_t dump_begin_real_ns;
    int64_t dump_end_mono_ns;
};

/* Waiting for the ENDs of flows that a sweep marked; those still marked behind it have ended. */
struct ft_tracker_grace {
    enum ft_walk_state state;
    uint32_t cursor;
    int64_t dump_real_ns; /* When the dump that did not have them was asked for. */
    int64_t begin_mono_ns;
    int64_t until_mono_ns;
};

/* What was missed since the last reconciliation. */
struct ft_tracker_gap {
    bool open;
    bool closed_socket; /* the socket is not open now */
    bool undrained;     /* the kernel goes on dropping until the socket was read empty */
    bool ends_safe;     /* the kernel re-sent ENDs all the time */
    enum ft_loss_cause cause;
    int64_t begin_real_ns;
    int64_t end_real_ns;
    uint64_t n_missed;    /* drops counted by the kernel, or estimated */
    uint64_t n_rebuilt;   /* events inferred since */
    unsigned n_tries;     /* dumps that changed under way */
    int64_t last_mono_ns; /* When the kernel last dropped something or the socket was closed. */
};

struct ft_tracker_parse_loss {
    uint64_t count;
    bool estimated;
    int64_t begin_real_ns;
    int64_t end_real_ns;
    int64_t due_mono_ns; /* When it is to be told; FT_TIME_NEVER with count 0. */
};

struct ft_tracker {
    /* Set at creation. */
    struct ft_tracker_options options;
    ft_emit_fn *emit;
    void *ctx;
    struct ft_source_stats *stats;
    struct ft_flow_table *flows;
    struct ft_ended *ended;

    struct ft_locals locals;
    struct ft_event event; /* The one being built: too large for the stack of a hot path. */
    size_t done;           /* Bytes of the present chunk. */

    /*
     * From here to the end: what is kept beside the flows (ft_tracker_get_state).  No pointers.
     *
     * The present chunk's time, and up to where the event socket is known to be read.
     */
    int64_t mono_ns;
    int64_t real_ns;
    int64_t drained_real_ns; /* 0: not since it was opened */

    /* What the chunks told. */
    bool reliable;
    bool hears_new;     /* NEW events are subscribed */
    bool wants_updates; /* the shedding step allows dumps for counters */
    bool switches_known;
    bool acct_on;
    int64_t acct_since_ns; /* real; 0: before we looked */
    int64_t opened_real_ns;

    bool first_dump_due;
    bool first_dump_done;
    uint8_t generation; /* counts dumps: ft_flow.generation */
    struct ft_tracker_dump dump;
    struct ft_tracker_sweep sweep;
    struct ft_tracker_grace grace;
    struct ft_tracker_gap gap;
    struct ft_tracker_parse_loss parse_loss;
    int64_t resync_mono_ns; /* when the next resync may begin; FT_TIME_NEVER: none wanted */
    int64_t resync_wait_ns;
    int64_t last_dump_end_mono_ns;
    int64_t update_mono_ns; /* when the next dump for counters is due */
    int64_t check_mono_ns;  /* when one is due for ends that nobody tells */

    /* Events a second, for estimates. */
    uint64_t rate;
    uint64_t n_in_window;
    int64_t window_mono_ns;
};

#define FT_TRACKER_STATE_OFFSET offsetof(struct ft_tracker, mono_ns)
#define FT_TRACKER_STATE_SIZE   (sizeof(struct ft_tracker) - FT_TRACKER_STATE_OFFSET)

/* The state is whole: what was done may be committed. */
static inline void ft_tracker_settle(struct ft_tracker *tracker)
{
    if (tracker->options.settled != NULL) {
        tracker->options.settled(tracker->ctx);
    }
}

/* How a record relates to the flow of the same key in the table. */
enum ft_relation { FT_SAME_FLOW, FT_LATER_FLOW, FT_EARLIER_FLOW };

/* tracker_event.c */
void ft_tracker_apply_event(struct ft_tracker *tracker, const struct ft_ct_record *record);
enum ft_relation ft_tracker_relate(const struct ft_tracker *tracker, const struct ft_flow *flow,
                                   const struct ft_ct_record *record);
/* Adds the flow and emits its START.  False, counted, when there is no room. */
bool ft_tracker_begin_flow(struct ft_tracker *tracker, const struct ft_ct_record *record,
                           uint64_t hash, bool from_dump);
/* Emits an END without counters and removes the flow. */
void ft_tracker_infer_end(struct ft_tracker *tracker, struct ft_flow *flow, int64_t time_ns);
/* Something was heard of the flow: it is there, and its mark and reply tuple may be new. */
void ft_tracker_refresh(struct ft_tracker *tracker, struct ft_flow *flow,
                        const struct ft_ct_record *record);
/* Adds what was counted since the last event of the flow, if the record has counters and there is
 * room to remember it ('last': nothing needs to be remembered). */
bool ft_tracker_count(struct ft_tracker *tracker, struct ft_flow *flow,
                      const struct ft_ct_record *record, bool last);
/* Hands the built event on. */
void ft_tracker_emit(struct ft_tracker *tracker);
void ft_tracker_emit_loss(struct ft_tracker *tracker, const struct ft_loss *loss);

/* tracker_dump.c */
void ft_tracker_begin_dump(struct ft_tracker *tracker, enum ft_dump_reason reason);
void ft_tracker_apply_entry(struct ft_tracker *tracker, const struct ft_ct_record *record);
void ft_tracker_end_dump(struct ft_tracker *tracker, bool consistent);
void ft_tracker_fail_dump(struct ft_tracker *tracker);
/* A turn of one of the walks. */
void ft_tracker_sweep(struct ft_tracker *tracker);
void ft_tracker_end_grace(struct ft_tracker *tracker);
/* An END was heard, of a flow in the table or not (NULL): does the kernel still catch up? */
void ft_tracker_mind_grace(struct ft_tracker *tracker, const struct ft_flow *flow,
                           const struct ft_ct_record *record);
/* A grace that runs has just begun, as it were, but ends 'end_grace_max_ns' after its beginning. */
void ft_tracker_prolong_grace(struct ft_tracker *tracker);
/* The event socket was empty after the present chunk. */
void ft_tracker_drained(struct ft_tracker *tracker);

/* tracker_gap.c */
void ft_tracker_on_opened(struct ft_tracker *tracker, int64_t n_opens);
void ft_tracker_on_adopted(struct ft_tracker *tracker);
void ft_tracker_on_overrun(struct ft_tracker *tracker, int64_t n_drops);
void ft_tracker_on_failed(struct ft_tracker *tracker);
void ft_tracker_on_reliable(struct ft_tracker *tracker, bool reliable);
/* A dump that covers the gap was reconciled, or no dump can. */
void ft_tracker_close_gap(struct ft_tracker *tracker);
void ft_tracker_want_resync(struct ft_tracker *tracker);
void ft_tracker_on_bad_message(struct ft_tracker *tracker, bool run_broken);
void ft_tracker_tell_parse_loss(struct ft_tracker *tracker);

#endif
