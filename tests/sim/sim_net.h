/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network: for each connection two pipes of messages, in order, each message with the time at
 * which it arrives.  Messages of different connections overtake each other.
 *
 * To an agent a connection is an ft_stream, to the collector an ft_ingest_peer.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_SIM_NET_H
#define FT_TESTS_SIM_NET_H 1

#include "base/stream.h"
#include "collector/ingest.h"
#include "sim_base.h"
#include "sim_fault.h"

#define SIM_CONNS_MAX 512
/* Messages that wait for an agent, as in rpc/session.c. */
#define SIM_DOWN_MESSAGES_MAX 256

enum sim_message_kind { SIM_MESSAGE_OPEN, SIM_MESSAGE_OPENED, SIM_MESSAGE_DATA, SIM_MESSAGE_CLOSE };

struct sim_message {
    struct sim_message *next;
    int64_t at_ns;
    enum sim_message_kind kind;
    ft_err err; /* CLOSE: what the agent is told. */
    const char *text;
    size_t size;
    uint8_t data[];
};

struct sim_pipe {
    struct sim_message *first;
    struct sim_message *last;
    size_t n;
    uint64_t bytes;
    int64_t last_at_ns;    /* The next message does not arrive before it. */
    int64_t stalled_to_ns; /* Nobody reads until then. */
    bool cut;              /* What is put in vanishes. */
};

struct sim_agent;
struct sim_instance;

struct sim_conn {
    bool used;
    unsigned number;
    unsigned agent_index;
    struct sim_agent *agent;           /* NULL: its end is gone. */
    struct sim_instance *instance;     /* What it speaks of. */
    struct ft_ingest_session *session; /* NULL: none yet, or its end is gone. */
    bool answered;                     /* The collector has taken or refused it. */
    bool ended;                        /* The collector wants it closed. */
    bool paused;
    bool is_half_open;
    unsigned n_refs;
    /* The last ack that was sent on it, which may come once more; NULL: none. */
    uint8_t *old_ack;
    size_t old_ack_size;
    struct sim_pipe up;
    struct sim_pipe down;
};

struct sim_net {
    struct sim *sim;
    struct sim_node node;
    unsigned n_ever;
    size_t n_conns; /* Places that were ever used. */
    struct sim_conn conns[SIM_CONNS_MAX];
    /* What happens to new connections until 'refuse_to_ns'. */
    int64_t refuse_to_ns;
    enum sim_fault refuse;
};

/* The agent's end, embedded in it. */
struct sim_stream {
    struct ft_stream base;
    struct sim_agent *agent;
    struct sim_conn *conn;     /* NULL: none. */
    struct sim_message *taken; /* Valid until the next poll. */
    bool send_done_due;        /* SENT is owed. */
    bool closed_due;           /* CLOSED is owed. */
    ft_err closed_err;
    const char *closed_text;
    bool idle;           /* The last poll had nothing. */
    int64_t deadline_ns; /* Of the last poll. */
};

extern const struct ft_ingest_peer_ops sim_net_peer_ops;

/* The collector is about to send this ack. */
void sim_net_keep_ack(struct sim_conn *conn, const void *data, size_t size);

void sim_net_begin(struct sim *sim);
void sim_net_end(struct sim *sim);
void sim_stream_init(struct sim_stream *stream, struct sim_agent *agent);
/* When the next message is there; FT_TIME_NEVER: none is on its way. */
int64_t sim_stream_next_ns(const struct sim_stream *stream);
/* The process is gone; with 'silently' the other end hears nothing of it. */
void sim_stream_drop(struct sim_stream *stream, bool silently);
/* One of the network's faults, on a connection that there is. */
void sim_net_disturb(struct sim *sim, enum sim_fault fault);
/* The network works from now on; what is half open is found out by its ends. */
void sim_net_calm(struct sim *sim);
/* All connections work, and nothing is on its way. */
bool sim_net_is_whole(const struct sim *sim);
/* The collector's process is gone.  Its sessions are closed here. */
void sim_net_collector_gone(struct sim *sim, bool silently);

#endif
