/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latest events, in memory, for people who ask the agent itself: a ring of the last
 * FT_RECENT_EVENTS events and one of the last FT_RECENT_LOSSES losses, behind the interface of
 * stored flows (flow/query.h).  Names of processes, users and hosts are not kept here.
 *
 * Thread: any; one leaf lock.  A query copies what matches and gives it out without the lock.
 */
#ifndef FT_AGENT_RECENT_H
#define FT_AGENT_RECENT_H 1

#include "base/cleanup.h"
#include "flow/query.h"

#define FT_RECENT_EVENTS 4096
#define FT_RECENT_LOSSES 256

struct ft_recent;

FT_MUST_USE ft_err ft_recent_create(const struct ft_uuid *agent_id,
                                    const struct ft_uuid *instance_id,
                                    struct ft_recent **ret_recent);
void ft_recent_destroy(struct ft_recent *recent);
FT_DEFINE_CLEANUP(struct ft_recent, ft_recent_destroy);

void ft_recent_add(struct ft_recent *recent, const struct ft_event *event);

/* Events behind 'base_seq', also those that are there already, are this instance's: the host was
 * set back to an earlier state.  Earlier ones stay the one's before. */
void ft_recent_set_instance(struct ft_recent *recent, const struct ft_uuid *instance_id,
                            uint64_t base_seq);
/* Whose event 'seq' is. */
void ft_recent_get_instance(struct ft_recent *recent, uint64_t seq,
                            struct ft_uuid *ret_instance_id);

/* Rows only: groups are a collector's.  Valid as long as 'recent'. */
struct ft_flow_reader *ft_recent_get_reader(struct ft_recent *recent);

#endif
