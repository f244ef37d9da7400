/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes what agents send: hello, batches, status.  A batch is checked, queued, appended to the log
 * and, when the log is synced, acknowledged; never before.
 *
 *     session threads: decode and check ──► queue ──► commit thread: append … append, sync, acks
 *
 * Many blocks share one sync (group commit): whatever is queued when a sync begins goes with the
 * next one.  The queue is bounded in bytes; a session whose block does not fit waits (it reads no
 * further), which the network hands on to the agent.
 *
 * Who a session is was decided before (authentication); ingest takes the name and checks that the
 * agent may use it.  A newer session of an instance fences the older one.
 *
 * It knows no gRPC: a session is an ft_ingest_peer, so simulations bring their own.  The commit
 * step is a function that a thread, or a simulation, calls.
 *
 * Thread: session functions any (one thread at a time for one session); commit: one thread.
 */
#ifndef FT_COLLECTOR_INGEST_H
#define FT_COLLECTOR_INGEST_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth/receipt.h"
#include "auth/token_set.h"
#include "base/clock.h"
#include "collector/admission.h"
#include "collector/instances.h"
#include "collector/ledger.h"
#include "collector/quarantine.h"
#include "metrics/metrics.h"
#include "store/log.h"

enum ft_ingest_close {
    FT_INGEST_CLOSE_PROTOCOL,     /* The peer broke the protocol. */
    FT_INGEST_CLOSE_PRECONDITION, /* Another version, or events of another collector. */
    FT_INGEST_CLOSE_DENIED,       /* The peer's name may not do that. */
    FT_INGEST_CLOSE_SUPERSEDED,   /* A newer session of the same instance. */
    FT_INGEST_CLOSE_UNAVAILABLE   /* Try again later: the disk is full, or the collector stops. */
};

/* The network's side of a session. */
struct ft_ingest_peer_ops {
    /* False: the session is gone, or cannot take more; the acknowledgement is repeated later. */
    bool (*send)(void *peer, const void *data, size_t size);
    void (*close)(void *peer, enum ft_ingest_close why, const char *text);
    /* Reads on after a message that returned false. */
    void (*resume)(void *peer);
    void (*ref)(void *peer);
    void (*unref)(void *peer);
};

struct ft_ingest_options {
    struct ft_uuid collector_id;
    struct ft_uuid store_epoch;
    /* Signs what is said to be durable (auth/receipt.h); NULL: receipts are not in use. */
    const struct ft_receipt_signer *signer;
    /* For the next store epoch, when a receipt proves that the store was set back, and for waits
     * that must not be the same for all.  NULL: the system's. */
    struct ft_random *random;
    /* Keeps that epoch; called in the commit thread, again after a failure.  May be NULL. */
    ft_err (*keep_epoch)(void *ctx, const struct ft_uuid *store_epoch);
    void *keep_epoch_ctx;
    const char *version;
    uint64_t sessions_max;       /* More are told when to come back; 0: no bound. */
    uint64_t queue_bytes_max;    /* Also the budget of all windows of agents with a backlog. */
    uint64_t window_bytes;       /* What Welcome grants at most. */
    uint64_t agent_events_per_s; /* Beyond, an agent waits; 0: no bound. */
    uint64_t agent_bytes_per_s;
    uint64_t message_bytes_max;
    uint32_t status_interval_ms;
    const struct ft_clock *clock; /* Borrowed, as all pointers here. */
    struct ft_log *log;
    struct ft_instances *instances;
    struct ft_ledger *ledger;         /* NULL: none is kept. */
    struct ft_quarantine *quarantine; /* Where rejected batches are kept; NULL: nowhere. */
    const struct ft_ingest_peer_ops *peer_ops;
};

struct ft_ingest_stats {
    _Atomic uint64_t hellos;
    _Atomic uint64_t received_blocks;
    _Atomic uint64_t received_events;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t duplicate_events;
    _Atomic uint64_t rejected_events;
    _Atomic uint64_t missing_events;
    _Atomic uint64_t refilled_events; /* Came again where this collector had lost them. */
    _Atomic uint64_t malformed_messages;
    _Atomic uint64_t superseded_sessions;
    _Atomic uint64_t denied_sessions;
    _Atomic uint64_t appended_events;
    _Atomic uint64_t durable_events;
    _Atomic uint64_t acks;
    _Atomic uint64_t receipts;
    _Atomic uint64_t set_backs; /* Receipts of ours for more than the store has. */
    _Atomic uint64_t syncs;
    _Atomic uint64_t sync_failures;
    _Atomic uint64_t append_failures;
    _Atomic uint64_t queue_bytes;
    _Atomic uint64_t queue_waits;        /* Sessions that had to wait for room. */
    _Atomic uint64_t sent_away_full;     /* Agents with a backlog that had to come back later. */
    _Atomic uint64_t sent_away_sessions; /* For whom there was no session. */
    _Atomic uint64_t sent_away_overrun;  /* Whose batch did not fit any more. */
    _Atomic uint64_t slow_downs;
    _Atomic uint64_t holds;         /* Sessions that had to wait because of their rate. */
    _Atomic uint64_t held_sessions; /* Now. */
};

struct ft_ingest;
struct ft_ingest_session;

FT_MUST_USE ft_err ft_ingest_create(const struct ft_ingest_options *options,
                                    struct ft_ingest **ret_ingest);
/* Accepts NULL.  All sessions are closed, no commit is under way. */
void ft_ingest_destroy(struct ft_ingest *ingest);
FT_DEFINE_CLEANUP(struct ft_ingest, ft_ingest_destroy);

/* 'peer' is handed to the ops; 'address' is for people. */
FT_MUST_USE ft_err ft_ingest_session_open(struct ft_ingest *ingest, void *peer, const char *address,
                                          const struct ft_principal *principal,
                                          struct ft_ingest_session **ret_session);
/* False: read no more until the peer's resume(). */
bool ft_ingest_session_message(struct ft_ingest_session *session, const void *data, size_t size);
/* The peer is gone.  The session must not be used any more. */
void ft_ingest_session_close(struct ft_ingest_session *session);

/*
 * Appends, syncs and acknowledges all that is queued; waits for something until the deadline.
 * Returns the error of the disk, after which the caller pauses before the next call.
 */
FT_MUST_USE ft_err ft_ingest_commit(struct ft_ingest *ingest, int64_t deadline_mono_ns);
/* Ends a wait in commit.  Thread: any. */
void ft_ingest_wake(struct ft_ingest *ingest);

/* The present store epoch.  Thread: any. */
void ft_ingest_epoch(struct ft_ingest *ingest, struct ft_uuid *ret_epoch);

/* Thread: any. */
void ft_ingest_admission_stats(struct ft_ingest *ingest, struct ft_admission_stats *ret_stats);
const struct ft_ingest_stats *ft_ingest_stats(const struct ft_ingest *ingest);
void ft_ingest_observe_commits(struct ft_ingest *ingest, struct ft_histogram *seconds);

#endif
