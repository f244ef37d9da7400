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
static ft_err open_capture(struct ft_agent *agent, struct ft_diag *diag);
static ft_err make_identity(struct ft_agent *agent, struct ft_diag *diag);
static ft_err open_spool(struct ft_agent *agent, bool has_agent_id, struct ft_diag *diag);
static void name_owner(const struct ft_agent *agent, struct ft_saved_owner *ret_owner);
static ft_err read_boot_id(struct ft_uuid *ret_boot_id);
static void tell_spool(const struct ft_agent *agent, const struct ft_spool_report *report);
static ft_err open_pipeline(struct ft_agent *agent, struct ft_diag *diag);
static ft_err open_delivery(struct ft_agent *agent, struct ft_diag *diag);
static unsigned log_fill(void *ctx);
static void on_block(void *ctx);
static void fill_status(void *ctx, struct ft_msg_status *status);
static void on_new_instance(void *ctx, const struct ft_uuid *instance_id, uint64_t base_seq);
static void main_loop(struct ft_agent *agent);
static void watch_balance(struct ft_agent *agent);
static void reload(struct ft_agent *agent);
static ft_err apply(struct ft_agent *agent, const struct ft_agent_options *options,
                    struct ft_diag *diag);
static void tell_restart(void *ctx, const struct ft_option *option);
static void stop_all(struct ft_agent *agent);
static void tell_rest(struct ft_agent *agent);

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
    FT_TRY(ft_rescue_open(agent->options, ft_random_system(), &agent->rescue));
    FT_TRY(make_identity(agent, diag));
    FT_TRY(ft_metrics_create(0, &agent->metrics));
    FT_TRY(open_pipeline(agent, diag));
    FT_TRY(open_capture(agent, diag));
    FT_TRY(open_delivery(agent, diag));
    FT_TRY(ft_agent_metrics_register(agent));
    FT_TRY(ft_control_open(agent, &agent->control, diag));
    if (agent->spool != NULL) {
        FT_TRY(ft_spool_start(agent->spool));
    }
    FT_TRY(ft_delivery_start(agent->delivery));
    FT_TRY(ft_capture_start(agent->capture));
    agent->capturing = true;
    return FT_OK;
}

static ft_err open_capture(struct ft_agent *agent, struct ft_diag *diag)
{
    struct ft_capture_options capture = {.config = agent->options,
                                         .clock = agent->clock,
                                         .random = ft_random_system(),
                                         .pipeline = agent->pipeline,
                                         .alive_ns = &agent->pipeline_alive_ns,
                                         .rescue = agent->rescue};
    if (agent->spool != NULL) {
        struct ft_spool_identity identity;
        ft_spool_get_identity(agent->spool, &identity);
        capture.durable_seq = &ft_spool_stats(agent->spool)->durable_seq;
        capture.stored_seq = &ft_spool_stats(agent->spool)->stored_seq;
        capture.known_seq = identity.settled_seq;
        capture.held_seq = identity.held_seq;
    }
    FT_TRY(ft_capture_create(&capture, &agent->capture, diag));
    struct ft_loss loss;
    if (ft_rescue_get_loss(agent->rescue, &loss)) {
        ft_tally_lose(ft_pipeline_tally(agent->pipeline), &loss);
    }
    return FT_OK;
}

static ft_err make_identity(struct ft_agent *agent, struct ft_diag *diag)
{
    bool has_agent_id = true;
    if (agent->options->agent.id[0] != '\0') {
        FT_TRY(ft_uuid_parse(agent->options->agent.id, &agent->agent_id));
    } else {
        char machine_id[FT_HOST_TEXT_SIZE];
        ft_err err = ft_host_machine_id(machine_id);
        has_agent_id = err == FT_OK;
        if (has_agent_id) {
            ft_uuid_from_machine_id(machine_id, &agent->agent_id);
        } else if (agent->options->spool.path[0] == '\0') {
            ft_log(FT_LOG_WARN, "agent",
                   "this host has no machine id (%s): set agent.id, else it is another agent after "
                   "each start",
                   ft_err_text(err));
        }
    }
    if (agent->options->spool.path[0] != '\0') {
        return open_spool(agent, has_agent_id, diag);
    }
    ft_uuid_make_random(ft_random_system(), &agent->instance_id);
    if (!has_agent_id) {
        ft_uuid_make_random(ft_random_system(), &agent->agent_id);
    }
    return FT_OK;
}

static ft_err open_spool(struct ft_agent *agent, bool has_agent_id, struct ft_diag *diag)
{
    const struct ft_agent_options *config = agent->options;
    const char *path = config->spool.path;
    ft_err err = ft_disk_posix_create_private(path, &agent->spool_disk);
    if (err == ft_err_from_errno(EBUSY)) {
        return ft_diag_set(diag, err, NULL, 0, 0, "spool %s is in use by another agent", path);
    }
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "spool %s: %s%s", path, ft_err_text(err),
                           err == ft_err_from_errno(EPERM) ? "; it belongs to another user"
                           : err == ft_err_from_errno(ENOENT)
                               ? "; the directory above it must exist"
                               : "");
    }
    struct ft_spool_options options = {
        .bytes_max = config->spool.bytes_max,
        .sync_each = config->spool.sync == FT_SPOOL_SYNC_BATCH,
        .sync_interval_ns = config->spool.sync_interval,
        .window_bytes = ft_spool_window(config->collector.window_bytes, config->spool.bytes_max),
        .hold_bytes = config->spool.hold_bytes,
        .hold_ns = config->collector.hold_time,
        .clock = agent->clock,
        .random = ft_random_system(),
        .has_agent_id = has_agent_id,
        .agent_id = agent->agent_id,
        .kept = ft_rescue_get_kept(agent->rescue)};
    if (!ft_agent_ratio_parse(config->spool.free_ratio_min, &options.free_ratio_min)) {
        return FT_E_RANGE; /* The options' check has let it pass. */
    }
    ft_err_ignore(read_boot_id(&options.boot_id), "then a crash is taken for a power cut");
    struct ft_spool_report report;
    err = ft_spool_open(&options, agent->spool_disk, &agent->spool, &report);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "spool %s: %s", path,
                           err == FT_E_UNSUPPORTED
                               ? "another version of this program has written it"
                               : ft_err_text(err));
    }
    struct ft_spool_identity identity;
    ft_spool_get_identity(agent->spool, &identity);
    agent->agent_id = identity.agent_id;
    agent->instance_id = identity.instance_id;
    tell_spool(agent, &report);
    ft_rescue_begin(agent->rescue, report.went_on, report.unclean);
    struct ft_saved_owner owner;
    name_owner(agent, &owner);
    ft_rescue_load(agent->rescue, agent->spool_disk, &owner);
    return FT_OK;
}

/* Whose the flows are that a stop has kept: nothing may have been numbered since. */
static void name_owner(const struct ft_agent *agent, struct ft_saved_owner *ret_owner)
{
    struct ft_spool_identity identity;
    ft_spool_get_identity(agent->spool, &identity);
    *ret_owner =
        (struct ft_saved_owner){.number = ft_tally_live(ft_spool_tally(agent->spool))->numbered};
    memcpy(ret_owner->id, identity.instance_id.bytes, sizeof ret_owner->id);
}

static ft_err read_boot_id(struct ft_uuid *ret_boot_id)
{
    char text[FT_HOST_TEXT_SIZE];
    FT_TRY(ft_host_boot_id(text));
    return ft_uuid_parse(text, ret_boot_id);
}

static void tell_spool(const struct ft_agent *agent, const struct ft_spool_report *report)
{
    const char *path = agent->options->spool.path;
    ft_log(FT_LOG_INFO, "agent", "spool %s: %llu events retained in %llu KiB, ready in %lld ms",
           path, (unsigned long long)report->retained_events,
           (unsigned long long)(report->retained_bytes >> 10),
           (long long)(report->took_ns / FT_NS_PER_MS));
    if (report->state_lost) {
        ft_log(FT_LOG_ERROR, "agent",
               "spool %s: its state cannot be read: going on as another instance", path);
    }
    if (report->agent_changed) {
        ft_log(FT_LOG_WARN, "agent",
               "spool %s was another agent's (a copied machine?): going on as another instance",
               path);
    }
    if (report->damaged_parts > 0) {
        ft_log(FT_LOG_ERROR, "agent", "spool %s: %llu damaged parts, the first in %s at %llu: %s",
               path, (unsigned long long)report->damaged_parts, report->first_damage.file,
               (unsigned long long)report->first_damage.offset, report->first_damage.what);
    }
    if (report->went_on) {
        ft_log(FT_LOG_INFO, "agent", "%llu events of the last run come from its memory",
               (unsigned long long)report->n_kept);
    }
    if (report->unclean && (!report->went_on || report->n_crash > 0)) {
        ft_log(FT_LOG_WARN, "agent",
               "the last run did not stop cleanly (%s): %llu events were not in the spool yet%s",
               report->same_boot ? "it was killed" : "the host went down",
               (unsigned long long)report->n_crash,
               report->same_boot || report->is_new ? "" : ", or more");
    }
    if (report->n_missing > 0) {
        ft_log(FT_LOG_ERROR, "agent", "spool %s: %llu events are missing, reported as lost", path,
               (unsigned long long)report->n_missing);
    }
    if (report->n_surplus > 0) {
        ft_log(FT_LOG_ERROR, "agent", "spool %s: %llu events more than were accounted for", path,
               (unsigned long long)report->n_surplus);
    }
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
                                           .fill = log_fill,
                                           .fill_ctx = agent,
                                           .on_event = ft_control_on_event,
                                           .on_event_ctx = &agent->control};
    if (agent->spool != NULL) {
        pipeline.tally = ft_spool_tally(agent->spool);
        pipeline.kept_events = ft_spool_kept_events(agent->spool);
        struct ft_spool_identity identity;
        ft_spool_get_identity(agent->spool, &identity);
        pipeline.life = ft_lives_present(&identity.lives);
    }
    FT_TRY(ft_pipeline_create(&pipeline, &agent->pipeline));
    struct ft_filter *filter = NULL;
    FT_TRY(ft_agent_filter_create(config, &filter));
    ft_pipeline_set_filter(agent->pipeline, filter);
    struct ft_log_options log = {.bytes_max = config->log.bytes_max,
                                 .full = FT_LOG_DROP_OLDEST,
                                 .readers_hold = true,
                                 .on_drop = ft_pipeline_on_drop,
                                 .on_drop_ctx = agent->pipeline};
    if (agent->spool == NULL) {
        log.keep_bytes = config->collector.hold_bytes;
        log.keep_ns = config->collector.hold_time;
    }
    ft_err err = ft_log_memory_create(&log, &agent->memory_log);
    if (err != FT_OK) {
        return ft_diag_set(diag, err, NULL, 0, 0, "log of %llu bytes: %s",
                           (unsigned long long)config->log.bytes_max, ft_err_text(err));
    }
    ft_pipeline_set_log(agent->pipeline, agent->memory_log);
    agent->log = agent->memory_log;
    if (agent->spool != NULL) {
        agent->log = ft_spool_log(agent->spool);
        return ft_spool_set_source(agent->spool, agent->memory_log);
    }
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
                                           .spool = agent->spool,
                                           .fill_status = fill_status,
                                           .on_new_instance = on_new_instance,
                                           .ctx = agent,
                                           .ack_seconds = ack_seconds};
    FT_TRY(ft_delivery_create(&delivery, &agent->delivery, diag));
    ft_log_set_listener(agent->log, on_block, agent);
    return FT_OK;
}

static unsigned fill_of(struct ft_log *log)
{
    struct ft_log_stats stats;
    ft_log_stats(log, &stats);
    return (unsigned)((stats.bytes - stats.kept_bytes) * 1000 / stats.bytes_max);
}

/* The fuller one of the logs decides; a spool that may not grow has what it is for its bound. */
static unsigned log_fill(void *ctx)
{
    const struct ft_agent *agent = ctx;
    unsigned fill = fill_of(agent->memory_log);
    if (agent->spool != NULL) {
        struct ft_log_stats stats;
        ft_log_stats(agent->log, &stats);
        unsigned disk = stats.space_low && stats.segments > 2 ? 1000 : fill_of(agent->log);
        fill = disk > fill ? disk : fill;
    }
    return fill;
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

static void on_new_instance(void *ctx, const struct ft_uuid *instance_id, uint64_t base_seq)
{
    struct ft_agent *agent = ctx;
    ft_control_on_new_instance(&agent->control, instance_id, base_seq);
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
        watch_balance(agent);
    }
}

/* The collector checks it as well, if there is one. */
static void watch_balance(struct ft_agent *agent)
{
    struct ft_msg_status status;
    ft_agent_fill_status(agent, &status);
    uint64_t off = ft_balance_off(&status);
    if (!ft_balance_is_news(&agent->balance, off)) {
        return;
    }
    if (off == 0) {
        ft_log(FT_LOG_INFO, "agent", "the account balances again");
        return;
    }
    ft_log(FT_LOG_ERROR, "agent",
           "the account does not balance, by %llu events: observed %llu, acknowledged %llu, "
           "retained %llu, merged %llu, lost %llu",
           (unsigned long long)off, (unsigned long long)status.observed_events,
           (unsigned long long)status.acknowledged_events,
           (unsigned long long)status.retained_events, (unsigned long long)status.merged_events,
           (unsigned long long)ft_balance_lost(&status));
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
    int64_t timeout_ns = agent->options->stop_timeout;
    if (agent->capture != NULL) {
        ft_capture_stop(agent->capture);
    }
    if (agent->spool != NULL) {
        ft_spool_stop(agent->spool, timeout_ns);
    }
    if (agent->delivery != NULL) {
        ft_delivery_stop(agent->delivery, timeout_ns);
        tell_rest(agent);
    }
    ft_control_close(&agent->control);
    if (agent->log != NULL) {
        ft_log_set_listener(agent->log, NULL, NULL);
    }
    ft_delivery_destroy(agent->delivery);
    bool clean =
        agent->spool != NULL && agent->capture != NULL && ft_spool_is_drained(agent->spool);
    if (clean && agent->capturing) {
        struct ft_saved_owner owner;
        name_owner(agent, &owner);
        ft_capture_save(agent->capture, agent->spool_disk, &owner);
    }
    ft_capture_destroy(agent->capture);
    ft_spool_close(agent->spool, clean);
    if (clean && agent->capturing) {
        ft_rescue_release(agent->rescue); /* All of it is on disk. */
    }
    ft_log_destroy(agent->memory_log);
    ft_pipeline_destroy(agent->pipeline);
    ft_metrics_destroy(agent->metrics);
    ft_rescue_close(agent->rescue);
    ft_disk_destroy(agent->spool_disk);
}

/* What happens to the events that were not acknowledged. */
static void tell_rest(struct ft_agent *agent)
{
    struct ft_msg_status status;
    ft_agent_fill_status(agent, &status);
    if (status.retained_events == 0) {
        return;
    }
    if (agent->spool != NULL && ft_spool_is_drained(agent->spool)) {
        ft_log(FT_LOG_INFO, "agent", "%llu events are retained in the spool",
               (unsigned long long)status.retained_events);
        return;
    }
    ft_log(FT_LOG_WARN, "agent",
           "%llu events were not acknowledged%s: those are gone with this process",
           (unsigned long long)status.retained_events,
           agent->spool != NULL ? " and are not all in the spool" : "");
}
