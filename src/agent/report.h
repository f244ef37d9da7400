/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent says of itself: to the collector (Status), and as JSON to its own socket.
 *
 * Thread: any.
 */
#ifndef FT_AGENT_REPORT_H
#define FT_AGENT_REPORT_H 1

#include "web/flows_api.h"
#include "wire/message.h"
#include "json/writer.h"

struct ft_agent;

/* The account and a row per component: capture, log, stream, configuration. */
void ft_agent_fill_status(struct ft_agent *agent, struct ft_msg_status *status);

void ft_agent_write_status(struct ft_agent *agent, struct ft_json_writer *writer);
/* ledger_api.h */
void ft_agent_write_ledger(struct ft_agent *agent, const struct ft_flows_ledger_query *query,
                           struct ft_json_writer *writer);

#endif
