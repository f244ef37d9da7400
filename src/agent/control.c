/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control.h"

#include <stdlib.h>

#include "agent/agent_impl.h"
#include "agent/report.h"
#include "web/request.h"
#include "web/web.h"

static void serve_status(void *ctx, struct ft_web_request *request)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    struct ft_json_writer writer;
    ft_json_writer_init(&writer, &buf);
    ft_agent_write_status(ctx, &writer);
    ft_web_respond_buf(request, 200, FT_WEB_JSON, &buf);
}

ft_err ft_control_open(struct ft_agent *agent, struct ft_control *control,
                       struct ft_diag *reterr_diag)
{
    control->agent = agent;
    struct ft_web_options web = {.unix_path = agent->options->control.socket,
                                 .address = agent->options->control.metrics_listen,
                                 .clock = agent->clock,
                                 .metrics = agent->metrics,
                                 .metrics_prefix = "flowtrail_agent"};
    FT_TRY(ft_web_create(&web, &control->web));
    FT_TRY(ft_web_route(control->web, "/api/v1/status", FT_WEB_RUN_DIRECT, serve_status, agent));
    return ft_web_start(control->web, reterr_diag);
}

void ft_control_close(struct ft_control *control)
{
    ft_web_destroy(control->web);
    control->web = NULL;
}

void ft_control_on_event(void *ctx, const struct ft_event *event)
{
    (void)ctx;
    (void)event;
}
