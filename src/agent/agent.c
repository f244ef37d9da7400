/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_impl.h"
#include "agent/agent_metrics.h"
#include "agent/report.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "rpc/rpc.h"

/* How long the main thread sleeps at most. */
#define IDLE_NS (1 * FT_NS_PER_S)

static ft_err open_all(struct ft_agent *agent, struct ft_diag *diag);
static ft_err make_identity(struct ft_agent *agent);
static ft_err open_pipeline(struct ft_agent *agent, struct ft_diag *diag);
static ft_err open_delivery(struct ft_agent *agent, struct ft_diag *diag);
static void on_block(void *ctx);
static void fill_status(void *ctx, struct ft_msg_status *status);
static void main_loop(struct ft_agent *agent);
static void reload(struct ft_agent *agent);
static ft_err apply(struct ft_agent *agent, const struct ft_agent_options *options,
                    struct ft_diag *diag);
static void tell_restart(void *ctx, const struct ft_option *option);
static void stop_all(struct ft_agent *agent);

ft_err ft_agent_run(const struct ft_agent_options *options, ft_agent_load_fn *load, void *ctx)
{
    static struct ft_agent agent;
    agent = (struct ft_agent){.options = options,
                              .load = load,
                              .load_ctx = ctx,
                              .clock = ft_clock_system(),
                              .signal_fd = -1};
    ft_mutex_init(&agent.lock);
    FT_TRY(ft_signals_open(&agent.signal_fd));
    struct ft_diag diag = {0};
    ft_rpc_init(NULL);
    ft_err err = open_all(&agent, &diag);
    if (err != FT_OK) {
        char text[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
        ft_diag_format(&diag, text, sizeof text);
        ft_log(FT_LOG_ERROR, "agent", "cannot start: %s",
               diag.text[0] != '\0' ? text : ft_err_text(err));
    } else {
        ft_notify("READY=1");
        main_loop(&agent);
        ft_notify("STOPPING=1");
    }
    stop_all(&agent);
    ft_rpc_shutdown();
    ft_fd_close(&agent.signal_fd);
    ft_mutex_deinit(&agent.lock);
    return err;
}

static ft_err open_all(struct ft_agent *agent, struct ft_diag *diag)
{
    agent->started_ns = ft_clock_real_ns(agent->clock);
    ft_mutex_lock(&agent->lock);
    agent->config_loaded_ns = agent->started_ns;
    ft_mutex_unlock(&agent->lock);
    agent->pipeline_alive_ns = ft_clock_mono_ns(agent->clock);
    FT_TRY(ft_host_read(&agent->host));
    (void)snprintf(agent->host_name, sizeof agent->host_name, "%s",
                   agent->options->agent.host_name[0] != '\0' ? agent->options->agent.host_name
                                                              : agent->host.hostname);
    FT_TRY(make_identity(agent));
    FT_TRY(ft_metrics_create(0, &agent->metrics));
    FT_TRY(open_pipeline(agent, diag));
    struct ft_capture_options capture = {.config = agent->options,
                                         .clock = agent->clock,
                                         .random = ft_random_system(),
                                         .pipeline = agent->pipeline,
                                         .alive_ns = &agent->pipeline_alive_ns};
    FT_TRY(ft_capture_create(&capture, &agent->capture, diag));
    FT_TRY(open_delivery(agent, diag));
    FT_TRY(ft_agent_metrics_register(agent));
    FT_TRY(ft_control_open(agent, &agent->control, diag));
    FT_TRY(ft_delivery_start(agent->delivery));
    return ft_capture_start(agent->capture);
}

static ft_err make_identity(struct ft_agent *agent)
{
    ft_uuid_make_random(ft_random_system(), &agent->instance_id);
    if (agent->options->agent.id[0] != '\0') {
        return ft_uuid_parse(agent->options->agent.id, &agent->agent_id);
    }
    char machine_id[FT_HOST_TEXT_SIZE];
    ft_err err = ft_host_machine_id(machine_id);
    if (err == FT_OK) {
        ft_uuid_from_machine_id(machine_id, &agent->agent_id);
        return FT_OK;
    }
    ft_uuid_make_random(ft_random_system(), &agent->agent_id);
    ft_log(FT_LOG_WARN, "agent",
           "this host has no machine id (%s): set agent.id, else it is another agent after each "
           "start",
           ft_err_text(err));
    return FT_OK;
}

static ft_err open_pipeline(struct ft_agent *agent, struct ft_diag *diag)
{
    const struct ft_agent_options *config = agent->options;
    struct ft_pipeline_options pipeline = {.agent_id = agent->agent_id,
                                           .instance_id = agent->instance_id,
                                           .block_events_max = config->log.block_events_max,
                                           .block_bytes_max = config->log.block_bytes_max,
                                           .flush_interval_ns = config->log.flush_interval,
                                           .clock = agent->clock,
                                           .on_event = ft_control_on_event,
                                           .on_event_ctx = &agent->control};
    FT_TRY(ft_pipeline_create(&pipeline, &agent->pipeline));
    struct ft_filter *filter = NULL;
    FT_TRY(ft_agent_filter_create(config, &filter));
    ft_pipeline_set_filter(agent->pipeline, filter);
    struct ft_log_options log = {.bytes_max = config->log.bytes_max,
                                 .full = FT_LOG_DROP_OLDEST,
                                 .readers_hold = true,
                                 .on_drop = ft_pipeline_on_drop,
                                 .on_drop_ctx = agent->pipeline};
    ft_err err = ft_log_memory_create(&log, &agent->log);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "log of %llu bytes: %s",
                           (unsigned long long)config->log.bytes_max, ft_err_text(err));
    }
    ft_pipeline_set_log(agent->pipeline, agent->log);
    return FT_OK;
}

static ft_err open_delivery(struct ft_agent *agent, struct ft_diag *diag)
{
    static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                    0.25,  0.5,    1,     2.5,  5,     10,   60};
    struct ft_histogram *ack_seconds = NULL;
    FT_TRY(ft_metrics_add_histogram(agent->metrics, "flowtrail_agent_ack_latency_seconds",
                                    "From sealing a block to its acknowledgement.", NULL, 0, bounds,
                                    sizeof bounds / sizeof bounds[0], &ack_seconds));
    struct ft_delivery_options delivery = {.config = agent->options,
                                           .agent_id = agent->agent_id,
                                           .instance_id = agent->instance_id,
                                           .started_ns = agent->started_ns,
                                           .host_name = agent->host_name,
                                           .kernel_release = agent->host.kernel_release,
                                           .clock = agent->clock,
                                           .random = ft_random_system(),
                                           .log = agent->log,
                                           .pipeline = agent->pipeline,
                                           .fill_status = fill_status,
                                           .ctx = agent,
                                           .ack_seconds = ack_seconds};
    FT_TRY(ft_delivery_create(&delivery, &agent->delivery, diag));
    ft_log_set_listener(agent->log, on_block, agent);
    return FT_OK;
}

static void on_block(void *ctx)
{
    struct ft_agent *agent = ctx;
    ft_delivery_wake(agent->delivery);
}

static void fill_status(void *ctx, struct ft_msg_status *status)
{
    ft_agent_fill_status(ctx, status);
}

static void main_loop(struct ft_agent *agent)
{
    int64_t watchdog_ns = ft_notify_watchdog_ns();
    int64_t wait_ns = watchdog_ns != 0 && watchdog_ns < IDLE_NS ? watchdog_ns : IDLE_NS;
    while (!ft_capture_is_finished(agent->capture)) {
        switch (ft_signals_wait(agent->signal_fd, wait_ns)) {
        case FT_SIGNAL_STOP:
            ft_log(FT_LOG_INFO, "agent", "stopping");
            return;
        case FT_SIGNAL_RELOAD:
            ft_notify("RELOADING=1\nMONOTONIC_USEC=%lld",
                      (long long)(ft_clock_mono_ns(agent->clock) / FT_NS_PER_US));
            reload(agent);
            ft_notify("READY=1");
            break;
        case FT_SIGNAL_NONE:
            break;
        }
        /* The watchdog is fed only while the pipeline moves. */
        int64_t now_ns = ft_clock_mono_ns(agent->clock);
        if (watchdog_ns != 0 && now_ns - agent->pipeline_alive_ns < 2 * watchdog_ns) {
            ft_notify("WATCHDOG=1");
        }
    }
}

static void reload(struct ft_agent *agent)
{
    struct ft_diag diag = {0};
    struct ft_agent_options options;
    ft_err err = ft_options_init(&ft_agent_option_table, &options);
    if (err == FT_OK) {
        err = agent->load(agent->load_ctx, &options, &diag);
        if (err == FT_OK) {
            err = apply(agent, &options, &diag);
        }
        ft_options_deinit(&ft_agent_option_table, &options);
    }
    char text[FT_WIRE_TEXT_SIZE] = "";
    if (err != FT_OK) {
        char words[FT_DIAG_TEXT_SIZE + FT_DIAG_FILE_SIZE];
        ft_diag_format(&diag, words, sizeof words);
        (void)snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1,
                       diag.text[0] != '\0' ? words : ft_err_text(err));
        ft_log(FT_LOG_ERROR, "agent", "%s, keeping the configuration in use", text);
    } else {
        ft_log(FT_LOG_INFO, "agent", "configuration reloaded");
    }
    ft_mutex_lock(&agent->lock);
    memcpy(agent->config_error, text, sizeof text);
    if (err == FT_OK) {
        agent->config_loaded_ns = ft_clock_real_ns(agent->clock);
    }
    ft_mutex_unlock(&agent->lock);
}

/* All or nothing: what can fail comes first. */
static ft_err apply(struct ft_agent *agent, const struct ft_agent_options *options,
                    struct ft_diag *diag)
{
    struct ft_filter *filter = NULL;
    FT_TRY(ft_agent_filter_create(options, &filter));
    ft_err err = ft_delivery_reload(agent->delivery, options, diag);
    if (err != FT_OK) {
        ft_filter_destroy(filter);
        return err;
    }
    ft_pipeline_set_filter(agent->pipeline, filter);
    ft_capture_reload(agent->capture, options);
    ft_log_set_level((enum ft_log_level)options->logging.level);
    ft_options_diff(&ft_agent_option_table, agent->options, options, tell_restart, NULL);
    return FT_OK;
}

static void tell_restart(void *ctx, const struct ft_option *option)
{
    (void)ctx;
    if ((option->flags & FT_OPTION_RESTART) != 0) {
        ft_log(FT_LOG_WARN, "agent", "%s was changed: that takes a restart", option->name);
    }
}

/* The kernel first, then what was heard, then what is to be delivered (ARCHITECTURE.md). */
static void stop_all(struct ft_agent *agent)
{
    if (agent->capture != NULL) {
        ft_capture_stop(agent->capture);
    }
    if (agent->delivery != NULL) {
        ft_delivery_stop(agent->delivery, agent->options->stop_timeout);
        struct ft_msg_status status;
        ft_agent_fill_status(agent, &status);
        if (status.retained_events > 0) {
            ft_log(FT_LOG_WARN, "agent",
                   "%llu events were not acknowledged and are gone with "
                   "this process",
                   (unsigned long long)status.retained_events);
        }
    }
    ft_control_close(&agent->control);
    if (agent->log != NULL) {
        ft_log_set_listener(agent->log, NULL, NULL);
    }
    ft_delivery_destroy(agent->delivery);
    ft_capture_destroy(agent->capture);
    ft_log_destroy(agent->log);
    ft_pipeline_destroy(agent->pipeline);
    ft_metrics_destroy(agent->metrics);
}
