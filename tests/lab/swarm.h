/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lab's swarm: very many agents in one process, each with a real connection of its own, to load
 * a collector as a fleet does.  An agent is the product's connection (rpc/channel.h), its link
 * state machine with back-off and jitter (export/link.h) and its blocks (wire/batch_builder.h);
 * what it lacks is a log, a capture, and the check of receipts.  It can also misbehave.
 *
 *     ftswarm ──► swarm_agent (protocol, blocks) ──► swarm_stream (gRPC) ──► collector
 *
 * One process makes some thousand connections a second; where it should make more at one moment the
 * others wait their turn (connecting_max), so that none is late because of the process it is in.
 *
 * Thread: all in one, but for gRPC's input and output, which has another; it does not call back.
 */
#ifndef FT_TESTS_LAB_SWARM_H
#define FT_TESTS_LAB_SWARM_H 1

#include <grpc/grpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "export/link.h"
#include "rpc/channel.h"
#include "wire/batch_builder.h"
#include "wire/message.h"

enum swarm_conduct {
    SWARM_GOOD,
    SWARM_FLOOD,     /* Sends as fast as the network takes it, whatever was granted. */
    SWARM_MALFORMED, /* The same, and each batch breaks the rules. */
    SWARM_HANG_UP    /* Opens one session after the other, without any wait. */
};

/* What the command line says. */
struct swarm_options {
    const char *to;
    const char *token;
    const char *ca; /* NULL: without TLS. */
    unsigned n_agents;
    unsigned n_addresses;    /* Source addresses in 127.0.0.0/8 that they share. */
    unsigned subnet;         /* The second byte of these. */
    unsigned connecting_max; /* Agents of one process that connect at the same time. */
    unsigned n_events;       /* Of a block. */
    unsigned n_blocks;       /* That each agent gets with each phase. */
    int64_t interval_ns;     /* Between further blocks of an agent; 0: none. */
    uint64_t retain_bytes;   /* Blocks of an agent that wait; beyond, none are made. */
    uint64_t seed;           /* Of the identities and of all waits. */
    enum swarm_conduct conduct;
};

/* Times in microseconds; beyond its room every further one is left out, and counted. */
#define SWARM_TIMES_MAX ((size_t)1 << 21)
struct swarm_times {
    uint32_t *us;
    size_t n;
    size_t n_left_out;
};

/* What happened since the phase began. */
struct swarm_counts {
    int64_t begin_ns;
    int64_t connected_ns; /* When all were welcomed for the first time; 0: not yet. */
    int64_t settled_ns;   /* When all were welcomed and nothing waited; 0: not yet. */
    uint64_t connects;
    uint64_t welcomes;
    uint64_t ends[FT_LINK_REASON_N];
    uint64_t statuses[17]; /* gRPC's numbers of how streams ended. */
    char text[256];        /* The words of the last one. */
    uint64_t go_aways;
    uint64_t slow_downs;
    uint64_t made_events;
    uint64_t unmade_blocks; /* At the bound of what an agent retains. */
    uint64_t sent_events;   /* With repeats. */
    uint64_t acked_events;
    uint64_t rejected_events;
    uint32_t retry_ms_max;     /* Of a go-away. */
    struct swarm_times ack_us; /* From the send to the acknowledgement. */
    struct swarm_times age_us; /* From when the block was made. */
};

struct swarm;
struct swarm_agent;

enum swarm_op_kind {
    SWARM_OP_HEADERS,
    SWARM_OP_STATUS,
    SWARM_OP_SEND,
    SWARM_OP_RECEIVE,
    SWARM_OP_N
};

struct swarm_op {
    struct swarm_agent *agent;
    enum swarm_op_kind kind;
};

/* One call on a connection of its own, as rpc/client.c makes it, on the swarm's queue. */
struct swarm_stream {
    struct swarm_op ops[SWARM_OP_N];
    grpc_channel *channel;
    grpc_call *call; /* NULL: none. */
    unsigned n_ops;
    bool closed;
    grpc_byte_buffer *sending;
    grpc_byte_buffer *received;
    grpc_metadata_array headers;
    grpc_metadata_array trailers;
    grpc_status_code status;
    grpc_slice status_text;
};

struct swarm_block {
    struct swarm_block *next;
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t made_ns;
    int64_t sent_ns; /* The last time. */
    size_t size;
    uint8_t data[];
};

struct swarm_agent {
    struct swarm *swarm;
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    struct ft_uuid collector_id;
    bool bound;
    bool connected;  /* Welcomed, and the stream goes on. */
    bool connecting; /* Counted as such. */
    struct ft_link link;
    struct swarm_stream stream;
    uint64_t next_seq;
    uint64_t acked_seq;
    uint64_t rejected; /* Of all time; not stored. */
    struct swarm_block *first;
    struct swarm_block **last;
    struct swarm_block *to_send; /* In the list; NULL: all of it is sent. */
    uint64_t retained_bytes;
    uint64_t sent_bytes; /* Of these: sent on this stream. */
    uint64_t window_bytes;
    int64_t pause_until_ns;
    int64_t status_due_ns;
    int64_t status_interval_ns;
    int64_t block_due_ns;
    uint32_t n_connects; /* In this phase. */
};

struct swarm {
    struct swarm_options options;
    struct ft_random_seeded random;
    struct ft_rpc_channel_config channel_config;
    grpc_completion_queue *queue;
    struct ft_batch_builder *builder;
    struct ft_buf buf;
    struct swarm_agent *agents;
    unsigned n_connected;
    unsigned n_connecting; /* Not yet welcomed, or refused. */
    uint64_t n_retained_blocks;
    bool stopping; /* No more blocks are made. */
    unsigned phase;
    struct swarm_counts counts;
};

/* swarm_stream.c */
ft_err swarm_stream_open(struct swarm_agent *agent);
void swarm_stream_cancel(struct swarm_agent *agent);
bool swarm_stream_can_send(const struct swarm_agent *agent);
void swarm_stream_send(struct swarm_agent *agent, const void *head, size_t head_size,
                       const void *body, size_t body_size);
/* Takes one completion in, which may wait until the deadline.  False: there was none. */
bool swarm_stream_next(struct swarm *swarm, int64_t deadline_ns);

/* swarm_agent.c */
void swarm_agent_init(struct swarm_agent *agent, struct swarm *swarm, int64_t now_ns);
void swarm_agent_deinit(struct swarm_agent *agent);
/* What each phase brings. */
void swarm_agent_give(struct swarm_agent *agent, int64_t now_ns);
/* All that is due. */
void swarm_agent_run(struct swarm_agent *agent, int64_t now_ns);
/* From the stream. */
void swarm_agent_opened(struct swarm_agent *agent, int64_t now_ns);
void swarm_agent_message(struct swarm_agent *agent, const void *data, size_t size, int64_t now_ns);
void swarm_agent_closed(struct swarm_agent *agent, ft_err err, int64_t now_ns);

/* swarm_report.c: one line of JSON on standard output. */
void swarm_report(struct swarm *swarm, const char *why, int64_t now_ns);
void swarm_counts_begin(struct swarm_counts *counts, int64_t now_ns);
void swarm_times_add(struct swarm_times *times, int64_t ns);

/* ftswarm.c */
int64_t swarm_now(void);
_Noreturn void swarm_die(const char *what, ft_err err);

#endif
