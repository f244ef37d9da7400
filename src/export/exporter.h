/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivers the agent's log to a collector: reads sealed blocks in order, sends them over one
 * stream with a bounded window, and confirms to the log what the collector has acknowledged.
 *
 * Blocks that were sent and not acknowledged stay referenced here ("in flight"); after a break
 * they are sent again from here, behind what the collector says it has, before new ones are read.
 * So the log may drop its oldest blocks at its bound without touching what is under way.
 *
 * The log is bound to the collector that welcomed it first: to another one nothing is sent.
 *
 * All blocks go out under the present instance, whatever they were sealed under.  It changes when a
 * collector says that it has events which never left from here, or which were made in another life
 * (export/lives.h): then this log was set back, to a backup or a snapshot of the machine, and the
 * numbers given since belong to other events.  What
 * was there before that point is the same on both sides and confirmed; what came after it goes out
 * as another instance, so that nothing of it passes for something that the collector has.
 *
 * Nothing is freed for words that are not proven (export/trust.h).  What was acknowledged stays in
 * the log for a while (ft_log_options.keep_bytes): when the collector's position goes back, or it
 * asks for gaps before it, because its store was lost or set back, all of that which is still there
 * is sent again, and what is not is told as lost there, once.
 *
 * It waits only in step(), on the stream; time, network and randomness are handed in.
 * Thread: owner only, except the functions marked "any".
 */
#ifndef FT_EXPORT_EXPORTER_H
#define FT_EXPORT_EXPORTER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/stream.h"
#include "export/flight.h"
#include "export/link.h"
#include "export/lives.h"
#include "export/progress.h"
#include "export/trust.h"
#include "flow/ids.h"
#include "store/log.h"
#include "wire/message.h"

/* Blocks in flight at most; with blocks of 512 events or more that is over 500,000 events. */
#define FT_EXPORTER_BLOCKS_MAX FT_FLIGHT_PLACES

/* What the assembly provides.  Called from step(), in its thread. */
struct ft_exporter_host {
    void *ctx;
    /* The number that the next event will get. */
    uint64_t (*next_seq)(void *ctx);
    /* The agent's own account and health, for the collector. */
    void (*fill_status)(void *ctx, struct ft_msg_status *status);
    /* Events first..last are done with at the collector (stored, or rejected: on_rejected follows);
     * 'sealed_ns' is when their block was sealed. */
    void (*on_acked)(void *ctx, uint64_t first_seq, uint64_t last_seq, int64_t sealed_ns);
    /* Events first..last are lost: the collector will not store them, or cannot take the block.
     * Called once they are confirmed in the log. */
    void (*on_rejected)(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason);
    /* The same of blocks that cannot be read.  NULL: as on_rejected. */
    void (*on_damaged)(void *ctx, uint64_t first_seq, uint64_t last_seq, const char *reason);
    /* So many events were sent, perhaps again.  May be NULL. */
    void (*on_sent)(void *ctx, uint64_t n_events);
    /* The log belongs to this collector from now on, and to no other after any restart: on an error
     * nothing is sent.  May be NULL. */
    ft_err (*on_bound)(void *ctx, const struct ft_uuid *collector_id);
    /* The log was set back: all behind 'base_seq' belongs to a new instance from now on, also after
     * any restart, and all up to it is done with, as 'before' says; counts begin anew.  On an error
     * it is asked for again.  NULL: such a collector is refused. */
    ft_err (*on_new_instance)(void *ctx, uint64_t base_seq, const struct ft_progress *before,
                              struct ft_uuid *ret_instance_id);
    /* The collector showed another key or store epoch than before: to be kept.  May be NULL. */
    void (*on_trusted)(void *ctx, const struct ft_binding *binding);
    /* The collector has lost some of what it had acknowledged: behind 'seq' nothing is acknowledged
     * any more; on_gone follows for what cannot be sent again, there and before.  May be NULL. */
    void (*on_gone_back)(void *ctx, uint64_t seq);
    /* Events that it had acknowledged, or where that is not known here (progress.h) may have, are
     * lost: there and, because they were freed, here.  Cause, count and numbers are set.  May be
     * NULL. */
    void (*on_gone)(void *ctx, const struct ft_loss *loss);
    /* The link changed its state; 'text' is for people, empty when there is nothing to say. */
    void (*on_state)(void *ctx, enum ft_link_state state, const char *text);
};

struct ft_exporter_options {
    struct ft_link_options link;
    uint64_t window_bytes; /* Unacknowledged bytes at most; a welcome may lower it. */
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    int64_t started_ns;
    char host_name[FT_WIRE_NAME_SIZE];
    char agent_version[FT_WIRE_NAME_SIZE];
    char kernel_release[FT_WIRE_NAME_SIZE];
    const struct ft_clock *clock; /* Borrowed, as all pointers here. */
    struct ft_random *random;
    struct ft_stream *stream;
    struct ft_log *log;
    /* Blocks that are not durable do not leave: no number that did can be given again. */
    bool durable_only;
    /* From before the start, where the log is older than the process. */
    bool bound;
    struct ft_uuid collector_id;
    uint64_t base_seq;     /* Numbers up to here belong to an earlier instance; 0: none. */
    uint64_t known_seq;    /* The newest number in the log at the start: it may have been sent. */
    struct ft_lives lives; /* Of the log; none for one in memory. */
    struct ft_binding binding; /* Key and store epoch that were kept. */
    enum ft_trust_policy receipts;
    struct ft_receipt_keys receipt_keys; /* Trusted whatever was kept; none: the first is kept. */
    struct ft_exporter_host host;
};

/* Read by other threads at any time; each value is right by itself. */
struct ft_exporter_stats {
    _Atomic int link_state; /* enum ft_link_state */
    _Atomic uint64_t connects;
    _Atomic uint64_t welcomes;
    _Atomic uint64_t ends[FT_LINK_REASON_N];
    _Atomic uint64_t sent_blocks; /* With repeats. */
    _Atomic uint64_t sent_events;
    _Atomic uint64_t sent_bytes; /* Of messages, before HTTP/2 framing. */
    _Atomic uint64_t resent_blocks;
    _Atomic uint64_t acked_events; /* Durable at the collector, without the rejected ones. */
    _Atomic uint64_t acked_seq;    /* Everything up to it is done with; 0: nothing yet. */
    _Atomic uint64_t rejected_events;
    /* Blocks that are done with, whatever became of them: the rest is retained. */
    _Atomic uint64_t done_events;
    /* Odd while numbers of the account change, here and at whoever is told of losses. */
    _Atomic uint64_t account_version;
    _Atomic uint64_t unacked_bytes;
    _Atomic uint64_t window_bytes;
    _Atomic int64_t last_ack_real_ns;   /* 0: never. */
    _Atomic uint64_t bad_acks;          /* Acknowledgements of what was never sent: ignored. */
    _Atomic uint64_t useless_acks;      /* They acknowledge nothing new, and cost no signature. */
    _Atomic uint64_t bad_receipts;      /* Nothing was freed for them. */
    _Atomic uint64_t refused_keys;      /* Welcomes without a key, or with another. */
    _Atomic int proof;                  /* enum ft_delivery_proof */
    _Atomic uint64_t unverified_events; /* Acknowledged without a receipt. */
    _Atomic uint64_t bad_messages;
    _Atomic uint64_t gone_back;     /* Welcomes with less than was acknowledged before. */
    _Atomic uint64_t epoch_changes; /* Welcomes of another store epoch. */
    _Atomic uint64_t back_events;   /* Acknowledged once, then wanted again. */
    _Atomic uint64_t gone_events;   /* Acknowledged once, then lost there and here. */
    _Atomic uint64_t new_instances; /* Times that the log was found set back. */
    _Atomic int64_t clock_skew_ns;  /* The collector's clock less ours, at the last welcome. */
};

struct ft_exporter;

FT_MUST_USE ft_err ft_exporter_create(const struct ft_exporter_options *options,
                                      struct ft_exporter **ret_exporter);
/* Accepts NULL.  The stream may be open: its owner destroys it. */
void ft_exporter_destroy(struct ft_exporter *exporter);
FT_DEFINE_CLEANUP(struct ft_exporter, ft_exporter_destroy);

void ft_exporter_enable(struct ft_exporter *exporter);
void ft_exporter_disable(struct ft_exporter *exporter);
/* The address or the token changed: connect again at once. */
void ft_exporter_restart(struct ft_exporter *exporter);

/*
 * Goes on with another stream (new address, new certificates), which is connected at once; what was
 * in flight is sent again.  The old one is the caller's to destroy.
 */
void ft_exporter_use_stream(struct ft_exporter *exporter, struct ft_stream *stream);

/*
 * Waits for the next thing to happen, 'until_mono_ns' at most, and does all that is due.  The
 * stream's wake() ends the wait: new blocks are there, or stop is wanted.
 */
void ft_exporter_step(struct ft_exporter *exporter, int64_t until_mono_ns);

/*
 * Before the end: tells the status once more, which is what the collector will know of this agent
 * from then on, and returns when the stream has taken it, when there is no link, or at
 * 'until_mono_ns'.
 */
void ft_exporter_finish(struct ft_exporter *exporter, int64_t until_mono_ns);

/* True when everything that is sealed in the log is acknowledged. */
bool ft_exporter_is_drained(struct ft_exporter *exporter);

/* Another policy or other keys, from the next stream on. */
void ft_exporter_set_receipts(struct ft_exporter *exporter, enum ft_trust_policy policy,
                              const struct ft_receipt_keys *keys);

/* Thread: any. */
const struct ft_exporter_stats *ft_exporter_stats(const struct ft_exporter *exporter);

/* What the peer or the library said when the last stream ended; "" for nothing.  Thread: any;
 * copies at most 'size' bytes with NUL. */
void ft_exporter_last_text(struct ft_exporter *exporter, char *buf, size_t size);

#endif
