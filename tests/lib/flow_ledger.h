/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps books of emitted flow events and holds them against what is promised: of each flow one
 * START, then UPDATEs, then one END, all with the same identity, each by itself or in the window of
 * a merged event; sums of counters to compare with the kernel's.  Also writes a transcript, a line
 * an event.
 *
 * Thread: owner only.
 */
#ifndef FT_TESTS_LIB_FLOW_LEDGER_H
#define FT_TESTS_LIB_FLOW_LEDGER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "flow/event.h"

struct ft_ledger_flow {
    uint32_t ct_id;
    int64_t start_ns;
    unsigned n_starts;
    unsigned n_updates;
    unsigned n_ends;
    unsigned n_with_counters;
    uint32_t start_fields;
    uint32_t end_fields;
    uint8_t direction;
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
    struct ft_event start;
    struct ft_event end;
};

struct ft_ledger {
    struct ft_ledger_flow *flows;
    size_t n_flows;
    size_t capacity;
    uint32_t *index; /* A hash of 2 * capacity places: a flow's number + 1. */
    uint64_t n_events[FT_EVENT_TYPE_N];
    uint64_t n_inferred[FT_EVENT_TYPE_N];
    uint64_t n_lost;
    struct ft_loss last_loss;
    int64_t epoch_ns; /* Transcript times are from here, in ms. */
    struct ft_buf transcript;
};

void ft_ledger_init(struct ft_ledger *ledger, int64_t epoch_ns);
void ft_ledger_deinit(struct ft_ledger *ledger);

/* An ft_emit_fn: 'ctx' is the ledger.  Fails the test on an event out of order. */
void ft_ledger_emit(void *ctx, struct ft_event *event);

/* The last flow with this conntrack id; NULL when there was none. */
const struct ft_ledger_flow *ft_ledger_find(const struct ft_ledger *ledger, uint32_t ct_id);

/* How many flows began and did not end. */
size_t ft_ledger_count_open(const struct ft_ledger *ledger);

#endif
