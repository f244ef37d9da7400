/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to connect, to say hello, to give up and to try again: the link state machine of the
 * exporter, as a pure function of time and inputs.  It does no I/O and reads no clock: each call
 * is told the time, run() says what to do, and tests drive it by transcript (in the manner of
 * Open vSwitch's lib/reconnect).
 *
 *     DISABLED -> BACKOFF -> CONNECTING -> GREETING -> ACTIVE -> CLOSING -> BACKOFF -> …
 *
 * Waits are drawn uniformly from 0 to min(backoff_max, backoff_base * 2^tries) ("full jitter"), so
 * that ten thousand agents that lost one collector do not come back at one moment.  The count of
 * tries is forgotten only by an acknowledgement: a collector that welcomes and then fails is no
 * reason to hurry.
 *
 * Thread: owner only.
 */
#ifndef FT_EXPORT_LINK_H
#define FT_EXPORT_LINK_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/random.h"

enum ft_link_state {
    FT_LINK_DISABLED,
    FT_LINK_BACKOFF,    /* Waiting until the next try. */
    FT_LINK_CONNECTING, /* Asked for a stream; the peer has not answered. */
    FT_LINK_GREETING,   /* Hello is due or said; Welcome has not come. */
    FT_LINK_ACTIVE,     /* Events may be sent. */
    FT_LINK_CLOSING,    /* Gave the stream up; its end has not been reported. */
    FT_LINK_STATE_N
};

enum ft_link_action {
    FT_LINK_NONE,
    FT_LINK_CONNECT,   /* Open a stream. */
    FT_LINK_SAY_HELLO, /* Send Hello. */
    FT_LINK_DISCONNECT /* Cancel the stream. */
};

/* Why a stream ended, or why a try failed. */
enum ft_link_reason {
    FT_LINK_REASON_PEER,          /* The peer closed, or cannot be reached. */
    FT_LINK_REASON_AUTH,          /* The peer does not accept the token: retried slowly. */
    FT_LINK_REASON_PROTOCOL,      /* The peer said something that makes no sense: slowly. */
    FT_LINK_REASON_GO_AWAY,       /* The peer asked for it, and said when to come back. */
    FT_LINK_REASON_TIMEOUT_OPEN,  /* No answer in time. */
    FT_LINK_REASON_TIMEOUT_HELLO, /* No Welcome in time. */
    FT_LINK_REASON_TIMEOUT_ACK,   /* No Ack in time while events were waiting for one. */
    FT_LINK_REASON_OWN,           /* We wanted it (stop, new configuration). */
    FT_LINK_REASON_N
};

struct ft_link_options {
    int64_t backoff_base_ns;
    int64_t backoff_max_ns;
    int64_t backoff_slow_ns; /* Least wait after AUTH and PROTOCOL. */
    int64_t open_timeout_ns;
    int64_t hello_timeout_ns;
    int64_t ack_timeout_ns;
};

/* 250 ms, 60 s, 30 s; 10 s, 10 s, 60 s. */
extern const struct ft_link_options ft_link_options_default;

struct ft_link {
    struct ft_link_options options;
    struct ft_random *random;
    enum ft_link_state state;
    enum ft_link_reason reason; /* Of the last end. */
    bool enabled;
    bool order_due; /* GREETING: Hello is to be sent; CLOSING: the stream is to be cancelled. */
    bool waiting_for_ack;
    unsigned n_tries; /* Since the last acknowledgement. */
    int64_t since_ns; /* When the state was entered. */
    int64_t retry_ns; /* BACKOFF: when it ends. */
    int64_t ack_deadline_ns;
    int64_t retry_after_ns; /* The peer's wish, for the next wait. */
    uint64_t n_connects;
    uint64_t n_welcomes;
    uint64_t n_ends[FT_LINK_REASON_N];
};

/* 'random' is borrowed for the link's life. */
void ft_link_init(struct ft_link *link, const struct ft_link_options *options,
                  struct ft_random *random, int64_t now_ns);

/* Begins (the first try is at once) or ends; both may be repeated. */
void ft_link_enable(struct ft_link *link, int64_t now_ns);
void ft_link_disable(struct ft_link *link, int64_t now_ns);

/* Drops the stream, if any, and tries again at once: the address or the token changed. */
void ft_link_restart(struct ft_link *link, int64_t now_ns);

/* What happened.  An input that does not fit the state is ignored. */
void ft_link_opened(struct ft_link *link, int64_t now_ns);
void ft_link_welcomed(struct ft_link *link, int64_t now_ns);
void ft_link_sent(struct ft_link *link, int64_t now_ns);
/* 'more_waiting': sent events are still unacknowledged. */
void ft_link_acked(struct ft_link *link, int64_t now_ns, bool more_waiting);
/* The peer misbehaves or says go away: the stream is to be given up for 'reason'. */
void ft_link_give_up(struct ft_link *link, int64_t now_ns, enum ft_link_reason reason,
                     int64_t retry_after_ns);
/* The stream is over, or could not be opened.  'reason' counts unless we gave it up before. */
void ft_link_closed(struct ft_link *link, int64_t now_ns, enum ft_link_reason reason);

/* What to do now; call until FT_LINK_NONE. */
enum ft_link_action ft_link_run(struct ft_link *link, int64_t now_ns);

/* When run() has something to say without further input; FT_TIME_NEVER for never. */
int64_t ft_link_deadline(const struct ft_link *link);

/* Lower-case names, for metrics, status and transcripts. */
const char *ft_link_state_name(enum ft_link_state state);
const char *ft_link_reason_name(enum ft_link_reason reason);
const char *ft_link_action_name(enum ft_link_action action);

#endif
