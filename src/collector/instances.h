/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the collector knows of each agent instance: how far its events are stored, what arrived,
 * what is missing, and what the agent says of itself.  Ingest, sinks and queries meet here.
 *
 * An instance (agent_id, instance_id) is a log of one agent; its sequence numbers are its own.  The
 * registry is bounded: at FT_INSTANCES_MAX the one that was silent longest and has no session makes
 * room; were it to return, its position is taken from the store again.
 *
 * Thread: any; one leaf lock.
 */
#ifndef FT_COLLECTOR_INSTANCES_H
#define FT_COLLECTOR_INSTANCES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/token_set.h"
#include "base/cleanup.h"
#include "flow/ids.h"
#include "wire/message.h"

#define FT_INSTANCES_MAX 65536

struct ft_instance_key {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
};

/* A copy of everything that is known. */
struct ft_instance {
    struct ft_instance_key key;
    char principal[FT_PRINCIPAL_NAME_SIZE];
    char host_name[FT_WIRE_NAME_SIZE];
    char agent_version[FT_WIRE_NAME_SIZE];
    char kernel_release[FT_WIRE_NAME_SIZE];
    char peer[64];
    bool connected;
    int64_t started_ns;
    int64_t connected_ns; /* Of the present or last session. */
    int64_t last_heard_ns;
    int64_t clock_skew_ns;    /* The agent's clock less ours, at its hello. */
    uint64_t appended_seq;    /* In the collector's log, maybe not synced. */
    uint64_t durable_seq;     /* Synced: what was or may be acknowledged. */
    uint64_t stored_seq;      /* Committed by the store. */
    uint64_t appended_events; /* Ever taken into the log: stored, or on the way there. */
    uint64_t received_events; /* Since the start, with repeats. */
    uint64_t stored_events;   /* Rows in the store since it was made. */
    uint64_t duplicate_events;
    uint64_t rejected_events;
    uint64_t missing_events;               /* Holes in the sequence numbers. */
    uint64_t lost_events[FT_LOSS_CAUSE_N]; /* What its LOSS events say, as stored. */
    bool has_status;
    struct ft_msg_status status;
};

struct ft_instances;

FT_MUST_USE ft_err ft_instances_create(struct ft_instances **ret_instances);
void ft_instances_destroy(struct ft_instances *instances);
FT_DEFINE_CLEANUP(struct ft_instances, ft_instances_destroy);

/* Changes an instance under the lock: 'fn' must not call back or wait. */
typedef void ft_instance_fn(void *ctx, struct ft_instance *instance);

/*
 * Calls 'fn' with the instance, which is made if it is new.  FT_E_FULL when the registry is full of
 * connected instances.
 */
FT_MUST_USE ft_err ft_instances_with(struct ft_instances *instances,
                                     const struct ft_instance_key *key, ft_instance_fn *fn,
                                     void *ctx);

/* False when it is not known. */
bool ft_instances_get(struct ft_instances *instances, const struct ft_instance_key *key,
                      struct ft_instance *ret_instance);

/* Copies of all, in no order; the caller frees '*ret_all'. */
FT_MUST_USE ft_err ft_instances_list(struct ft_instances *instances, struct ft_instance **ret_all,
                                     size_t *ret_n);

size_t ft_instances_connected(struct ft_instances *instances);

#endif
