/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a kernel record, or from what the flow table remembers, to the event that is reported.
 *
 * Thread: any; pure functions.
 */
#ifndef FT_SOURCE_FLOW_EVENT_H
#define FT_SOURCE_FLOW_EVENT_H 1

#include "flow/event.h"
#include "os/ct_record.h"
#include "source/flow_table.h"

/* Tuple, NAT, TCP state, mark, zone and status, as far as the record has them. */
void ft_flow_event_from_record(struct ft_event *event, enum ft_event_type type, int64_t time_ns,
                               const struct ft_ct_record *record);

/* The same for a flow of which there is no record: what the table remembers. */
void ft_flow_event_from_table(struct ft_event *event, enum ft_event_type type, int64_t time_ns,
                              const struct ft_flow_table *table, const struct ft_flow *flow);

/* What the flow adds to an event made from a record: identity, direction, class, flags, and the
 * mark when the record had none. */
void ft_flow_event_add_flow(struct ft_event *event, const struct ft_flow *flow);

/* The event carries what was counted between the two.  The direction must be set before. */
void ft_flow_event_add_counters(struct ft_event *event, const struct ft_flow_counters *from,
                                const struct ft_flow_counters *to);

#endif
