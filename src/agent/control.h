/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the agent can be asked: HTTP on its Unix socket (and, where configured, on TCP): status,
 * ledger, live flows, the latest flows and losses, metrics, health.
 *
 * Thread: open and close: the main thread; on_event: the pipeline.
 */
#ifndef FT_AGENT_CONTROL_H
#define FT_AGENT_CONTROL_H 1

#include "agent/recent.h"
#include "base/error.h"
#include "flow/event.h"
#include "flow/ids.h"
#include "web/live.h"
#include "web/standard.h"

struct ft_agent;
struct ft_flows_api;

struct ft_control {
    struct ft_agent *agent;
    struct ft_web *web;
    struct ft_web_standard standard;
    struct ft_flows_api *api;
    struct ft_live_hub *hub;
    struct ft_recent *recent;
    struct ft_id_deriver *deriver; /* The pipeline's. */
};

FT_MUST_USE ft_err ft_control_open(struct ft_agent *agent, struct ft_control *control,
                                   struct ft_diag *reterr_diag);
void ft_control_close(struct ft_control *control);

/* Events behind 'base_seq' go out as another instance.  Thread: any, while it is open. */
void ft_control_on_new_instance(struct ft_control *control, const struct ft_uuid *instance_id,
                                uint64_t base_seq);

/* Each event that was numbered; 'ctx' is the ft_control. */
void ft_control_on_event(void *ctx, const struct ft_event *event);

#endif
