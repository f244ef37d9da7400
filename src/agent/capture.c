/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/capture.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/playback.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "os/ct_kernel.h"
#include "os/ifaddr.h"
#include "os/switch_record.h"
#include "os/switches.h"
#include "source/recording.h"

/* How often the pipeline looks after addresses, blocks and losses when nothing else wakes it. */
#define TICK_NS (250 * FT_NS_PER_MS)
/* A recording's size at most; it stops there. */
#define RECORDING_BYTES_MAX ((uint64_t)4 << 30)
/* How often it is asked whether connections are tracked at all. */
#define TRACKING_INTERVAL_NS (60 * FT_NS_PER_S)

struct ft_capture {
    /* Set at creation. */
    struct ft_capture_options options;
    struct ft_playback *playback; /* A recording in place of the kernel: all below is unused. */
    struct ft_recording_writer *recording; /* NULL: none. */
    struct ft_ct_kernel *kernel;
    struct ft_ifaddr_monitor *addresses;
    struct ft_source *source;
    struct ft_thread thread;
    bool repaired;
    struct ft_switches switches;
    char switches_path[PATH_MAX]; /* "": their state is not kept. */
    struct ft_memory *memory;     /* Outlives a crash; NULL: there is none. */
    /* The pipeline thread. */
    int64_t commit_ns;     /* When what is done is to be committed, block or not. */
    uint8_t *address_data; /* Of the LOCAL_ADDRS chunk. */
    bool recording_failed;
    int64_t update_interval_used_ns;
    /* Any thread. */
    _Atomic bool stopping;
    _Atomic int tracking; /* enum ft_tracking_state */
    _Atomic int64_t update_interval_ns;
};

static ft_err create_playback(struct ft_capture *capture, struct ft_diag *reterr_diag);
static ft_err open_recording(struct ft_capture *capture, struct ft_diag *reterr_diag);
static ft_err open_kernel(struct ft_capture *capture, struct ft_diag *reterr_diag);
static void take_over_switches(struct ft_capture *capture);
static void set_switches(struct ft_capture *capture);
static void look_at_tracking(struct ft_capture *capture);
static ft_err create_source(struct ft_capture *capture);
static ft_err create_source_with(struct ft_capture *capture, int events_fd);
static struct ft_ladder_options ladder_of(const struct ft_agent_options *config);
static void feed_switches(struct ft_capture *capture);
static void feed_addresses(struct ft_capture *capture);
static void on_seal(void *ctx, const struct ft_block_info *info, const void *data, size_t size);
static void settled(void *ctx);
static void keep_up(struct ft_capture *capture, int64_t now_ns);
static void run(void *ctx);
static void emit(void *ctx, struct ft_event *event);

ft_err ft_capture_create(const struct ft_capture_options *options, struct ft_capture **ret_capture,
                         struct ft_diag *reterr_diag)
{
    FT_CLEANUP(ft_capture_destroy) struct ft_capture *capture = calloc(1, sizeof *capture);
    if (capture == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    capture->options = *options;
    if (options->config->replay[0] != '\0') {
        FT_TRY(create_playback(capture, reterr_diag));
        *ret_capture = FT_TAKE(capture);
        return FT_OK;
    }
    if (options->config->record[0] != '\0') {
        FT_TRY(open_recording(capture, reterr_diag));
    }
    capture->address_data = malloc(FT_CHUNK_SIZE_MAX);
    if (capture->address_data == NULL) {
        return ft_err_from_errno(ENOMEM);
    }
    capture->update_interval_ns = options->config->capture.update_interval;
    capture->update_interval_used_ns = capture->update_interval_ns;
    take_over_switches(capture);
    FT_TRY(open_kernel(capture, reterr_diag));
    set_switches(capture);
    look_at_tracking(capture);
    FT_TRY(create_source(capture));
    *ret_capture = FT_TAKE(capture);
    return FT_OK;
}

ft_err ft_capture_start(struct ft_capture *capture)
{
    if (capture->playback != NULL) {
        return ft_playback_start(capture->playback);
    }
    feed_switches(capture);
    feed_addresses(capture);
    FT_TRY(ft_source_start(capture->source));
    return ft_thread_start(&capture->thread, "pipeline", run, capture);
}

void ft_capture_reload(struct ft_capture *capture, const struct ft_agent_options *config)
{
    if (capture->playback == NULL) {
        struct ft_ladder_options ladder = ladder_of(config);
        ft_source_set_ladder(capture->source, &ladder);
        capture->update_interval_ns = config->capture.update_interval;
    }
}

bool ft_capture_is_finished(const struct ft_capture *capture)
{
    return capture->playback != NULL && ft_playback_is_finished(capture->playback);
}

void ft_capture_stop(struct ft_capture *capture)
{
    if (capture->playback != NULL) {
        ft_playback_stop(capture->playback);
        return;
    }
    ft_source_stop(capture->source);
    capture->stopping = true;
    ft_source_wake(capture->source);
    ft_thread_join(&capture->thread);
    unsigned still_owned = ft_switches_restore(&capture->switches, capture->kernel);
    if (still_owned != 0) {
        ft_log(FT_LOG_WARN, "agent", "conntrack switches could not be turned off again");
    }
    if (capture->repaired) {
        ft_err err = ft_tracking_unrepair();
        if (err != FT_OK) {
            ft_log(FT_LOG_WARN, "agent",
                   "the nftables table \"flowtrail\" could not be removed: %s", ft_err_text(err));
        }
        capture->repaired = false;
    }
}

void ft_capture_save(struct ft_capture *capture, struct ft_disk *disk,
                     const struct ft_saved_owner *owner)
{
    if (capture->memory == NULL) {
        return;
    }
    ft_err err = ft_source_save(capture->source, disk, owner);
    if (err != FT_OK) {
        ft_log(FT_LOG_WARN, "agent",
               "what is known of flows that go on could not be kept (%s): the next start reports "
               "them as new",
               ft_err_text(err));
    }
}

void ft_capture_destroy(struct ft_capture *capture)
{
    if (capture == NULL) {
        return;
    }
    ft_playback_destroy(capture->playback);
    ft_source_destroy(capture->source);
    if (capture->recording != NULL) {
        ft_err err = ft_recording_writer_close(capture->recording);
        if (err != FT_OK) {
            ft_log(FT_LOG_ERROR, "agent", "the recording is not complete: %s", ft_err_text(err));
        }
    }
    ft_ifaddr_monitor_destroy(capture->addresses);
    ft_ct_kernel_destroy(capture->kernel);
    free(capture->address_data);
    free(capture);
}

const struct ft_source_stats *ft_capture_stats(const struct ft_capture *capture)
{
    return capture->playback != NULL ? ft_playback_stats(capture->playback)
                                     : ft_source_get_stats(capture->source);
}

/* What a step of the ladder leaves out. */
static const char *shed_text(enum ft_ladder_step step)
{
    static const char *const texts[FT_LADDER_STEP_N] = {
        [FT_LADDER_FULL] = "",
        [FT_LADDER_NO_UPDATE] = ", long flows are counted at their end only",
        [FT_LADDER_DESTROY_ONLY] =
            ", begins are rebuilt from ends, long flows are counted at their end only"};
    return step < FT_LADDER_STEP_N ? texts[step] : "";
}

void ft_capture_fill_component(struct ft_capture *capture, struct ft_msg_component *component)
{
    const struct ft_source_stats *stats = ft_capture_stats(capture);
    (void)snprintf(component->name, sizeof component->name, "capture");
    if (capture->playback != NULL) {
        component->health = FT_HEALTH_OK;
        (void)snprintf(component->text, sizeof component->text, "replay of %.400s%s",
                       capture->options.config->replay,
                       ft_capture_is_finished(capture) ? ", at its end" : "");
        return;
    }
    const char *step = ft_ladder_step_name((enum ft_ladder_step)stats->step);
    if (stats->socket_open == 0) {
        component->health = FT_HEALTH_FAILED;
        (void)snprintf(component->text, sizeof component->text,
                       "the event socket is closed: %s, trying again",
                       ft_err_text(ft_err_from_errno((int)stats->last_error)));
    } else if (capture->tracking == FT_TRACKING_NONE) {
        component->health = FT_HEALTH_FAILED;
        (void)snprintf(component->text, sizeof component->text,
                       "no rule asks for connection tracking here, so there are no connections to "
                       "report: set capture.repair_tracking: true");
    } else {
        bool shedding = stats->step != FT_LADDER_FULL &&
                        capture->options.config->capture.mode == FT_CAPTURE_ADAPTIVE;
        bool unsure = stats->reliable == 0 && capture->options.config->capture.reliable;
        bool unsafe = stats->crash_safe == 0 && ft_rescue_is_wanted(capture->options.config);
        component->health = shedding || unsure || unsafe ? FT_HEALTH_DEGRADED : FT_HEALTH_OK;
        (void)snprintf(component->text, sizeof component->text,
                       "%s, %llu flows, %llu of %llu table entries%s%s%s", step,
                       (unsigned long long)stats->n_flows, (unsigned long long)stats->table_count,
                       (unsigned long long)stats->table_max,
                       shedding ? shed_text((enum ft_ladder_step)stats->step) : "",
                       unsure ? ", the table is too full for the kernel to keep ends" : "",
                       unsafe ? ", a crash would lose what is heard: nobody can hold it" : "");
    }
}

static struct ft_tracker_options tracker_of(const struct ft_capture *capture)
{
    const struct ft_agent_options *config = capture->options.config;
    struct ft_tracker_options tracker = ft_tracker_options_default;
    tracker.flow_table_bytes_max = config->capture.flow_table_bytes_max;
    tracker.update_interval_ns = config->capture.update_interval;
    tracker.hash_seed = ft_random_u64(capture->options.random);
    return tracker;
}

static ft_err create_playback(struct ft_capture *capture, struct ft_diag *reterr_diag)
{
    const struct ft_agent_options *config = capture->options.config;
    struct ft_playback_options options = {.path = config->replay,
                                          .full_speed = config->replay_full_speed,
                                          .clock = capture->options.clock,
                                          .pipeline = capture->options.pipeline,
                                          .alive_ns = capture->options.alive_ns,
                                          .tracker = tracker_of(capture)};
    return ft_playback_create(&options, &capture->playback, reterr_diag);
}

static ft_err open_recording(struct ft_capture *capture, struct ft_diag *reterr_diag)
{
    const char *path = capture->options.config->record;
    ft_err err = ft_recording_writer_open(path, RECORDING_BYTES_MAX, &capture->recording);
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, path, 0, 0, "%s", ft_err_text(err));
    }
    return FT_OK;
}

/* Once the recording fails it stays as it is: capturing goes on. */
static void record(void *ctx, const struct ft_chunk *chunk)
{
    struct ft_capture *capture = ctx;
    ft_err err = ft_recording_writer_add(capture->recording, chunk);
    if (err != FT_OK && !capture->recording_failed) {
        capture->recording_failed = true;
        ft_log(FT_LOG_ERROR, "agent", "%s: %s, recording no more", capture->options.config->record,
               ft_err_text(err));
    }
}

static ft_err open_kernel(struct ft_capture *capture, struct ft_diag *reterr_diag)
{
    ft_err err = ft_ct_kernel_linux_create(&capture->kernel);
    if (err != FT_OK) {
        return ft_diag_set(reterr_diag, err, NULL, 0, 0,
                           "connection tracking cannot be listened to: %s%s", ft_err_text(err),
                           err == ft_err_from_errno(EPERM)
                               ? "; run as root or with CAP_NET_ADMIN, or use --replay"
                               : "");
    }
    return ft_ifaddr_monitor_create(&capture->addresses);
}

/* Written before a switch is turned on, so that the next start knows it after any end of this one.
 */
static void keep_switches(void *ctx, unsigned owned)
{
    const struct ft_capture *capture = ctx;
    ft_err err = ft_switch_record_save(capture->switches_path, owned);
    if (err != FT_OK) {
        ft_log(FT_LOG_WARN, "agent",
               "%s: %s; after a crash the conntrack switches would stay on for ever",
               capture->switches_path, ft_err_text(err));
    }
}

/* What a former run had turned on and could not turn off is ours again. */
static void take_over_switches(struct ft_capture *capture)
{
    const char *socket = capture->options.config->control.socket;
    unsigned owned = 0;
    if (socket[0] == '\0') {
        ft_switches_init(&capture->switches, 0, NULL, NULL); /* There is no place for it. */
        return;
    }
    (void)snprintf(capture->switches_path, sizeof capture->switches_path, "%s.switches", socket);
    ft_err err = ft_switch_record_load(capture->switches_path, &owned);
    if (err != FT_OK) {
        ft_log(FT_LOG_WARN, "agent", "%s: %s, ignoring it", capture->switches_path,
               ft_err_text(err));
    } else if (owned != 0) {
        ft_log(FT_LOG_INFO, "agent",
               "conntrack switches that a run before this one left on go off at stop");
    }
    ft_switches_init(&capture->switches, owned, keep_switches, capture);
}

static void set_switches(struct ft_capture *capture)
{
    const struct ft_agent_options *config = capture->options.config;
    unsigned wanted = 0;
    wanted |= config->capture.accounting ? 1U << FT_CT_SWITCH_ACCT : 0;
    wanted |= config->capture.timestamps ? 1U << FT_CT_SWITCH_TIMESTAMP : 0;
    ft_switches_apply(&capture->switches, capture->kernel, wanted);
    for (int which = 0; which < FT_CT_SWITCH_N; which++) {
        const struct ft_switch *entry = &capture->switches.switches[which];
        if (entry->state >= FT_SWITCH_READ_ONLY) {
            ft_log(FT_LOG_WARN, "agent", "%s: %s (%s), going on without",
                   ft_ct_switch_name((enum ft_ct_switch)which), ft_switch_state_text(entry->state),
                   ft_err_text(entry->err));
        }
    }
}

/* Is anything tracked here?  Repairs it where that is wanted. */
/*
 * Whether nothing that lasts asks for tracking.  The kernel takes its hooks away a while after the
 * last rule has gone, so that an agent that starts where another one has just stopped finds them
 * still there: then our table is wanted as well.
 */
static bool wants_repair(const struct ft_tracking_report *report)
{
    bool by_rule = report->rule || report->legacy || !report->rules_known;
    return report->state == FT_TRACKING_NONE || (report->state == FT_TRACKING_ON && !by_rule);
}

static void look_at_tracking(struct ft_capture *capture)
{
    struct ft_tracking_report report;
    ft_tracking_probe(&report);
    /* A table of ours that a crash has left is taken over, so that it goes at stop. */
    capture->repaired |= report.repaired;
    if (capture->options.config->capture.repair_tracking && wants_repair(&report)) {
        ft_err err = ft_tracking_repair();
        if (err == FT_OK) {
            capture->repaired = true;
            ft_log(FT_LOG_INFO, "agent",
                   "no rule asked for connection tracking: added the nftables table \"flowtrail\", "
                   "which goes at stop");
            ft_tracking_probe(&report);
        } else {
            ft_log(FT_LOG_ERROR, "agent", "connection tracking cannot be turned on: %s",
                   ft_err_text(err));
        }
    }
    if (report.state == FT_TRACKING_NONE && capture->tracking != FT_TRACKING_NONE) {
        ft_log(FT_LOG_WARN, "agent",
               "no rule here asks for connection tracking, so there is nothing to report: set "
               "capture.repair_tracking: true, or add such a rule");
    }
    capture->tracking = (int)report.state;
}

static struct ft_ladder_options ladder_of(const struct ft_agent_options *config)
{
    struct ft_ladder_options ladder = ft_ladder_options_default;
    static const enum ft_ladder_mode modes[] = {[FT_CAPTURE_ADAPTIVE] = FT_LADDER_ADAPTIVE,
                                                [FT_CAPTURE_FULL] = FT_LADDER_FIXED_FULL,
                                                [FT_CAPTURE_DESTROY_ONLY] =
                                                    FT_LADDER_FIXED_DESTROY_ONLY};
    ladder.mode = modes[config->capture.mode];
    return ladder;
}

static ft_err create_source(struct ft_capture *capture)
{
    struct ft_rescue *rescue = capture->options.rescue;
    capture->memory = ft_rescue_get_memory(rescue);
    int events_fd = ft_rescue_take_events(rescue);
    ft_err err = create_source_with(capture, events_fd);
    if (err == FT_E_CORRUPT || err == FT_E_UNSUPPORTED) {
        ft_fd_close(&events_fd);
        ft_rescue_begin_anew(rescue, ft_err_text(err));
        capture->memory = ft_rescue_get_memory(rescue);
        err = create_source_with(capture, -1);
    }
    if (err == FT_OK && capture->memory != NULL) {
        struct ft_memory_commit commit;
        ft_rescue_restore(rescue, capture->options.pipeline, capture->options.known_seq,
                          capture->options.held_seq);
        ft_pipeline_set_on_seal(capture->options.pipeline, on_seal, capture);
        if (!ft_memory_get_committed(capture->memory, &commit) || commit.owner_size == 0) {
            ft_pipeline_commit(capture->options.pipeline); /* There is something to go back to. */
        }
    }
    return err;
}

static ft_err create_source_with(struct ft_capture *capture, int events_fd)
{
    const struct ft_agent_options *config = capture->options.config;
    struct ft_source_params params = {.kernel = capture->kernel,
                                      .clock = capture->options.clock,
                                      .random = capture->options.random,
                                      .emit = emit,
                                      .emit_ctx = capture,
                                      .memory = capture->memory,
                                      .events_fd = events_fd};
    if (capture->memory != NULL) {
        params.settled = settled;
        params.on_socket = ft_rescue_on_socket;
        params.on_socket_ctx = capture->options.rescue;
    }
    ft_source_options_init(&params.options);
    params.options.queue_bytes_max = config->capture.queue_bytes_max;
    params.options.tracker = tracker_of(capture);
    if (capture->recording != NULL) {
        params.tap = record;
        params.tap_ctx = capture;
    }
    params.options.reader.rcvbuf_bytes = config->capture.rcvbuf_bytes;
    params.options.reader.reliable = config->capture.reliable;
    params.options.reader.ladder = ladder_of(config);
    params.options.reader.reopen.base_ns = config->capture.reopen_base;
    params.options.reader.reopen.max_ns = config->capture.reopen_max;
    return ft_source_create(&params, &capture->source);
}

static void feed_switches(struct ft_capture *capture)
{
    struct ft_chunk chunk = {.kind = FT_CHUNK_SWITCHES};
    chunk.value |= ft_switches_is_on(&capture->switches, FT_CT_SWITCH_ACCT) ? 1 : 0;
    chunk.value |= ft_switches_is_on(&capture->switches, FT_CT_SWITCH_TIMESTAMP) ? 2 : 0;
    ft_source_feed(capture->source, &chunk);
}

/* Hands the host's own addresses to the tracker when they have changed. */
static void feed_addresses(struct ft_capture *capture)
{
    bool changed = false;
    if (ft_ifaddr_monitor_refresh(capture->addresses, &changed) != FT_OK || !changed) {
        return; /* The set in use stays; the next look tries again. */
    }
    const struct ft_ifaddr_set *set = ft_ifaddr_monitor_get(capture->addresses);
    size_t n = FT_CHUNK_SIZE_MAX / sizeof set->addrs[0];
    n = set->n_addrs < n ? set->n_addrs : n;
    struct ft_chunk chunk = {.kind = FT_CHUNK_LOCAL_ADDRS,
                             .size = n * sizeof set->addrs[0],
                             .data = capture->address_data};
    if (n > 0) {
        memcpy(chunk.data, set->addrs, chunk.size);
    }
    ft_source_feed(capture->source, &chunk);
}

static bool addresses_changed(const struct ft_capture *capture)
{
    struct pollfd entry = {.fd = ft_ifaddr_monitor_fd(capture->addresses), .events = POLLIN};
    return poll(&entry, 1, 0) == 1;
}

static void run(void *ctx)
{
    struct ft_capture *capture = ctx;
    struct ft_pipeline *pipeline = capture->options.pipeline;
    int64_t look_ns = 0;
    int64_t tracking_ns = ft_clock_mono_ns(capture->options.clock) + TRACKING_INTERVAL_NS;
    while (!capture->stopping) {
        int64_t now_ns = ft_clock_mono_ns(capture->options.clock);
        *capture->options.alive_ns = now_ns;
        if (now_ns >= look_ns) {
            look_ns = now_ns + TICK_NS;
            if (addresses_changed(capture)) {
                feed_addresses(capture);
            }
            if (capture->update_interval_ns != capture->update_interval_used_ns) {
                capture->update_interval_used_ns = capture->update_interval_ns;
                ft_source_set_update_interval(capture->source, capture->update_interval_used_ns);
            }
        }
        if (now_ns >= tracking_ns) {
            tracking_ns = now_ns + TRACKING_INTERVAL_NS;
            look_at_tracking(capture);
        }
        int64_t deadline_ns = ft_pipeline_deadline(pipeline);
        deadline_ns = deadline_ns < look_ns ? deadline_ns : look_ns;
        (void)ft_source_step(capture->source, deadline_ns);
        ft_pipeline_tick(pipeline);
        if (capture->memory != NULL) {
            keep_up(capture, now_ns);
        }
    }
    while (ft_source_step(capture->source, INT64_MIN)) {
    }
    ft_pipeline_flush(pipeline);
    if (ft_source_is_uncommitted(capture->source)) {
        ft_pipeline_commit(pipeline);
    }
}

/* The working memory: what is on disk is kept no longer, what is done is committed. */
static void keep_up(struct ft_capture *capture, int64_t now_ns)
{
    ft_memory_release(capture->memory, *capture->options.durable_seq, *capture->options.stored_seq);
    if (!ft_source_is_uncommitted(capture->source)) {
        capture->commit_ns = now_ns + capture->options.config->log.flush_interval;
    } else if (now_ns >= capture->commit_ns) {
        ft_pipeline_commit(capture->options.pipeline);
    }
}

/* ft_pipeline_seal_fn: everything so far has happened, the block included. */
static void on_seal(void *ctx, const struct ft_block_info *info, const void *data, size_t size)
{
    struct ft_capture *capture = ctx;
    struct ft_pipeline_kept kept;
    memset(&kept, 0, sizeof kept); /* Also what is between its members. */
    ft_pipeline_get_kept(capture->options.pipeline, &kept);
    struct ft_source_commit commit = {.owner = &kept, .owner_size = sizeof kept};
    if (info != NULL) {
        commit.block = data;
        commit.block_size = size;
        commit.block_info = info;
        commit.block_info_size = sizeof *info;
        commit.block_last = info->first_seq + info->n_events - 1;
    }
    ft_source_commit(capture->source, &commit);
    capture->commit_ns =
        ft_clock_mono_ns(capture->options.clock) + capture->options.config->log.flush_interval;
}

/* ft_settled_fn: whole messages are done. */
static void settled(void *ctx)
{
    struct ft_capture *capture = ctx;
    ft_pipeline_settle(capture->options.pipeline);
    if (ft_source_wants_commit(capture->source)) {
        ft_pipeline_commit(capture->options.pipeline);
    }
}

static void emit(void *ctx, struct ft_event *event)
{
    struct ft_capture *capture = ctx;
    ft_pipeline_take(capture->options.pipeline, event);
}
