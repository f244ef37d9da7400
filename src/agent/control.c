/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control.h"

#include <stdlib.h>

#include "agent/agent_impl.h"
#include "agent/report.h"
#include "web/flows_api.h"

static void write_status(void *ctx, struct ft_json_writer *writer)
{
    ft_agent_write_status(ctx, writer);
}

static ft_err write_ledger(void *ctx, const struct ft_flows_ledger_query *query,
                           struct ft_json_writer *writer)
{
    ft_agent_write_ledger(ctx, query, writer);
    return FT_OK;
}

ft_err ft_control_open(struct ft_agent *agent, struct ft_control *control,
                       struct ft_diag *reterr_diag)
{
    control->agent = agent;
    struct ft_web_options web = {.unix_path = agent->options->control.socket,
                                 .address = agent->options->control.metrics_listen,
                                 .tcp_public_only = true,
                                 .clock = agent->clock,
                                 .metrics = agent->metrics,
                                 .metrics_prefix = "flowtrail_agent"};
    FT_TRY(ft_id_deriver_create(&control->deriver));
    FT_TRY(ft_live_hub_create(agent->clock, 0, &control->hub));
    FT_TRY(ft_recent_create(&agent->agent_id, &agent->instance_id, &control->recent));
    FT_TRY(ft_web_create(&web, &control->web));
    control->standard = (struct ft_web_standard){
        .program = "flowtraild", .version = FT_VERSION, .metrics = agent->metrics};
    FT_TRY(ft_web_add_standard(control->web, &control->standard));
    struct ft_flows_api_options api = {.reader = ft_recent_get_reader(control->recent),
                                       .hub = control->hub,
                                       .clock = agent->clock,
                                       .metrics = agent->metrics,
                                       .metrics_prefix = "flowtrail_agent",
                                       .status = write_status,
                                       .ledger = write_ledger,
                                       .ctx = agent};
    FT_TRY(ft_flows_api_create(control->web, &api, &control->api));
    return ft_web_start(control->web, reterr_diag);
}

void ft_control_close(struct ft_control *control)
{
    if (control->web != NULL) {
        ft_web_stop(control->web);
    }
    ft_flows_api_destroy(control->api);
    ft_web_destroy(control->web);
    ft_live_hub_destroy(control->hub);
    ft_recent_destroy(control->recent);
    ft_id_deriver_destroy(control->deriver);
    *control = (struct ft_control){0};
}

void ft_control_on_new_instance(struct ft_control *control, const struct ft_uuid *instance_id,
                                uint64_t base_seq)
{
    ft_recent_set_instance(control->recent, instance_id, base_seq);
}

void ft_control_on_event(void *ctx, const struct ft_event *event)
{
    struct ft_control *control = ctx;
    if (control->recent == NULL) {
        return; /* Not open yet, or closed. */
    }
    ft_recent_add(control->recent, event);
    if (!ft_live_is_wanted(control->hub)) {
        return;
    }
    struct ft_row row = {.event = *event, .agent_id = control->agent->agent_id, .stored_ns = 0};
    ft_recent_get_instance(control->recent, event->seq, &row.instance_id);
    ft_id_derive_event(control->deriver, &row.instance_id, event->seq, &row.event_id);
    if ((event->fields & FT_FIELD_FLOW) != 0) {
        ft_id_derive_flow(control->deriver, &row.instance_id, event->ct_id, event->start_ns,
                          &row.flow_id);
    }
    ft_live_publish(control->hub, &row);
}
