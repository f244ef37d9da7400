/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of ingest (ingest.c: sessions, commit.c: the log) share.  Private to them. */
#ifndef FT_COLLECTOR_INGEST_IMPL_H
#define FT_COLLECTOR_INGEST_IMPL_H 1

#include "base/thread.h"
#include "collector/admission.h"
#include "collector/commit_queue.h"
#include "collector/ingest.h"
#include "collector/log_limit.h"

struct ft_ingest_session {
    /* Set at creation. */
    struct ft_ingest *ingest;
    void *peer;
    struct ft_principal principal;
    char address[64];
    /* The session's thread. */
    bool greeted;
    bool closed;
    bool counted; /* Among the ingest's sessions. */
    /* Unchanged once greeted. */
    struct ft_instance_key key;
    struct ft_uuid store_epoch; /* All that is said on this stream is said of it. */
    uint8_t challenge[FT_RECEIPT_ID_SIZE];
    struct ft_commit_line *line;
    bool refused;       /* Nothing more is read from it. */
    int64_t changed_ns; /* When its window was. */
    /* The session's and the commit thread. */
    _Atomic uint64_t granted_bytes; /* From the budget; 0 once it has caught up. */
    _Atomic uint64_t window_bytes;
    _Atomic uint64_t full_window_bytes;
    _Atomic int64_t progress_ns;
    uint64_t caught_up_seq; /* Unchanged once greeted: the newest event at the Hello. */
    /* Guarded by the ingest's lock. */
    struct ft_ingest_session *next;
    _Atomic bool superseded;
    /* Any thread: one for the network, one for each queued batch, one while an ack is due. */
    _Atomic unsigned n_refs;
    /* The commit thread. */
    bool failed;        /* A block could not be appended: what comes behind it must not be. */
    uint64_t known_seq; /* The newest event that its agent was told of here, or sent. */
    uint64_t heard_seq; /* What came on this stream, or need not come: acks go no further. */
    bool ack_due;
    struct ft_ingest_session *next_due;
    struct ft_msg_ack ack;
};

/* It is over its rate: it reads on at that time. */
struct ft_held_session {
    struct ft_ingest_session *session; /* A reference. */
    int64_t until_ns;
};

#define FT_INGEST_SESSION_SLOTS 1024

struct ft_ingest {
    /* Set at creation. */
    struct ft_ingest_options options;
    struct ft_histogram *commit_seconds;
    /* Any thread. */
    struct ft_commit_queue queue;
    struct ft_admission admission;
    struct ft_ingest_stats stats;
    _Atomic uint64_t n_sessions;    /* That were let in. */
    struct ft_log_limit complaints; /* About accounts. */
    struct ft_mutex lock;
    struct ft_ingest_session *sessions[FT_INGEST_SESSION_SLOTS] FT_GUARDED; /* By instance. */
    struct ft_uuid store_epoch FT_GUARDED;
    bool epoch_is_new FT_GUARDED; /* Not kept yet. */
    /* The commit thread. */
    struct ft_held_session *held; /* A heap. */
    size_t n_held;
    size_t n_held_allocated;
    int64_t sweep_ns;
    struct ft_ingest_session *due; /* Sessions that get an ack after the next good sync. */
    struct ft_ingest_session *last_due;
    bool unsynced;
    bool ledger_due; /* Something was rejected that is not in the ledger yet. */
};

/*
 * The receipt for what is durable of the session's instance, with the digest of the ranges that are
 * told with it.  Without a signer there is none; false when it could not be made.
 */
bool ft_ingest_sign(struct ft_ingest_session *session, uint64_t durable_seq,
                    const uint8_t digest[FT_RECEIPT_DIGEST_SIZE],
                    struct ft_msg_signature *ret_receipt);
/* Takes a receipt that the agent has: it may prove that the store was set back. */
void ft_ingest_take_witness(struct ft_ingest_session *session, const struct ft_msg_hello *hello,
                            uint64_t durable_seq);
/* Keeps a new epoch, if there is one.  The commit thread. */
void ft_ingest_keep_epoch(struct ft_ingest *ingest);

/* Which list a session is in. */
size_t ft_ingest_slot_of(const struct ft_instance_key *key);

void ft_ingest_session_ref(struct ft_ingest_session *session);
void ft_ingest_session_unref(struct ft_ingest_session *session);

#endif
