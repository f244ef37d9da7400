/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent says of itself: to the collector (Status), and as JSON to its own socket.
 *
 * Thread: any.
 */
#ifndef FT_AGENT_REPORT_H
#define FT_AGENT_REPORT_H 1

#include "wire/message.h"
#include "json/writer.h"

struct ft_agent;

/* The account and a row per component: capture, log, stream, configuration. */
void ft_agent_fill_status(struct ft_agent *agent, struct ft_msg_status *status);

void ft_agent_write_status(struct ft_agent *agent, struct ft_json_writer *writer);

#endif
