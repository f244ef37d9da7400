/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own side of the ledger as JSON (/api/v1/ledger), in the shape in which a collector
 * tells it of all agents (collector/ledger_api.h): one instance, without what the collector has.
 * What the collector has acknowledged is "stored" here.
 *
 * Thread: any; a pure function.
 */
#ifndef FT_AGENT_LEDGER_API_H
#define FT_AGENT_LEDGER_API_H 1

#include "flow/ids.h"
#include "web/flows_api.h"
#include "wire/message.h"

/* Whose account it is. */
struct ft_ledger_owner {
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    const char *host_name;
    const char *state; /* Of the link to the collector. */
};

void ft_agent_ledger_write(struct ft_json_writer *writer, const struct ft_ledger_owner *owner,
                           const struct ft_msg_status *status,
                           const struct ft_flows_ledger_query *query);

#endif
