/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the collector knows of each agent instance: how far its events are stored, what arrived,
 * what is missing, and what the agent says of itself.  Ingest, sinks and queries meet here.
 *
 * An instance (agent_id, instance_id) is a log of one agent; its sequence numbers are its own.  The
 * registry is bounded: at FT_INSTANCES_MAX the one that was silent longest and has no session makes
 * room; its position is kept (shelf.h), so that it goes on there when it returns.
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
#include "base/ranges.h"
#include "flow/ids.h"
#include "wire/message.h"

#define FT_INSTANCES_MAX 65536

struct ft_instance_key {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
};

/* What the agent said of itself last, and what we had of it at that moment. */
struct ft_told {
    bool known;
    int64_t time_ns; /* The agent's clock. */
    uint64_t observed_events;
    uint64_t acknowledged_events;
    uint64_t retained_events;
    uint64_t retained_bytes;
    uint64_t filtered_events;
    uint64_t merged_events;
    uint64_t sealed_events;
    uint64_t sent_events;
    uint64_t active_flows;
    uint64_t conntrack_entries;
    uint64_t conntrack_entries_max;
    uint64_t lost[FT_LOSS_CAUSE_N];
    char capture_step[32];
    /* Ours, when it was said: what came since must not look like a difference. */
    uint64_t our_appended_events;
    uint64_t our_rejected_events;
};

/* Everything that is known. */
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
    uint64_t stored_seq;      /* Committed by the store, or passed over. */
    uint64_t rejected_seq;    /* Some up to here were rejected; the agent may not know. */
    uint64_t kept_seq;        /* appended_seq without what was rejected at the end. */
    uint64_t kept_life;       /* The life of that event; 0: not known (export.proto). */
    uint64_t appended_events; /* Ever taken into the log: stored, or on the way there. */
    /* So many were taken, as the collector knew before its start; 0 once the agent has told what it
     * believes here, which then counts. */
    uint64_t expected_events;
    uint64_t received_events;    /* Since the start, with repeats. */
    uint64_t stored_events;      /* Rows in the store since it was made. */
    uint64_t vanished_events;    /* Of those: deleted from the store, by somebody else than us. */
    uint64_t quarantined_events; /* Taken into the log; the store could not take them. */
    uint64_t damaged_events;     /* Taken into the log and damaged there. */
    uint64_t duplicate_events;
    uint64_t rejected_events;
    uint64_t missing_events;   /* Holes in the sequence numbers. */
    uint64_t settled_position; /* Of its last block that was stored or passed over. */
    /* What store or log have lost of it below these numbers: its agent is asked for that, and only
     * that is taken below appended_seq.  As of what was appended, and of what was stored. */
    struct ft_ranges gaps;
    struct ft_ranges store_gaps;
    bool gaps_are_new; /* Only at the start: the store does not know them yet. */
    uint64_t lost_events[FT_LOSS_CAUSE_N]; /* What its LOSS events say, as stored. */
    struct ft_told told;
    uint64_t complained_events; /* The difference that was logged last. */
    /* Of the same status; NULL where it was not copied, and once the agent has gone. */
    unsigned n_components;
    struct ft_msg_component *components;
    /* The ledger's (ledger.h). */
    uint32_t place; /* In its file; of this instance alone. */
    bool is_dirty;  /* Changed since it was written there. */
    struct ft_instance *next_dirty;
    /* Where the ledger says that it was, until ft_recovery_reconcile(). */
    uint64_t restored_kept_seq;
    uint64_t restored_stored_seq;
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

/*
 * At the start, before anything else: an instance with the place it has in the ledger's file.
 * Places come in ascending order.
 */
FT_MUST_USE ft_err ft_instances_restore(struct ft_instances *instances,
                                        const struct ft_instance_key *key, uint32_t place,
                                        ft_instance_fn *fn, void *ctx);

/* Gives up to 'n_max' instances to 'fn' that ft_instances_with() was called for since they were
 * given last; how many that were. */
typedef void ft_instance_look_fn(void *ctx, const struct ft_instance *instance);
size_t ft_instances_take_dirty(struct ft_instances *instances, size_t n_max,
                               ft_instance_look_fn *fn, void *ctx);
/* They could not be written: they are given again. */
void ft_instances_mark_all_dirty(struct ft_instances *instances);

/* False when it is not known.  Without the components. */
bool ft_instances_get(struct ft_instances *instances, const struct ft_instance_key *key,
                      struct ft_instance *ret_instance);

/* Calls 'fn' for each, in no order, under the lock. */
void ft_instances_each(struct ft_instances *instances, ft_instance_look_fn *fn, void *ctx);

/* The same, changing them. */
void ft_instances_change_each(struct ft_instances *instances, ft_instance_fn *fn, void *ctx);

/* Copies of all with their components, in no order. */
FT_MUST_USE ft_err ft_instances_list(struct ft_instances *instances, struct ft_instance **ret_all,
                                     size_t *ret_n);
void ft_instances_list_free(struct ft_instance *all, size_t n);

/* Keeps what a status says; to be called from an ft_instance_fn. */
void ft_instance_take_status(struct ft_instance *instance, const struct ft_msg_status *status);
/* The agent has gone: its numbers stay, its components are no longer true. */
void ft_instance_drop_components(struct ft_instance *instance);

size_t ft_instances_connected(struct ft_instances *instances);

#endif
