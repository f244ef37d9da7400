/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter with its network and its thread: brings the log to the collector.
 *
 * Thread: the functions here belong to the main thread, except those marked "any".
 */
#ifndef FT_AGENT_DELIVERY_H
#define FT_AGENT_DELIVERY_H 1

#include "agent/options.h"
#include "agent/pipeline.h"
#include "agent/spool.h"
#include "export/exporter.h"
#include "metrics/metrics.h"

struct ft_delivery_options {
    const struct ft_agent_options *config; /* Read at creation only. */
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    int64_t started_ns;
    const char *host_name;
    const char *kernel_release;
    const struct ft_clock *clock; /* Borrowed, as the pointers below. */
    struct ft_random *random;
    struct ft_log *log;
    struct ft_pipeline *pipeline;
    struct ft_spool *spool; /* NULL: the log is in memory. */
    /* Called in the delivery's thread. */
    void (*fill_status)(void *ctx, struct ft_msg_status *status);
    /* Events behind 'base_seq' go out as another instance. */
    void (*on_new_instance)(void *ctx, const struct ft_uuid *instance_id, uint64_t base_seq);
    void *ctx;
    struct ft_histogram *ack_seconds; /* From sealed to acknowledged; may be NULL. */
};

struct ft_delivery;

/*
 * Makes everything; connects when started.  Without a URL there is nothing to do: the log keeps
 * what it can.  Fails with the reason for an address or certificates that cannot be used.
 */
FT_MUST_USE ft_err ft_delivery_create(const struct ft_delivery_options *options,
                                      struct ft_delivery **ret_delivery,
                                      struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_delivery_start(struct ft_delivery *delivery);

/* Uses a new configuration: address, token and certificates are taken anew.  On failure the old
 * one goes on. */
FT_MUST_USE ft_err ft_delivery_reload(struct ft_delivery *delivery,
                                      const struct ft_agent_options *config,
                                      struct ft_diag *reterr_diag);

/* Delivers what is left until everything is acknowledged, 'timeout_ns' at most, and ends. */
void ft_delivery_stop(struct ft_delivery *delivery, int64_t timeout_ns);
/* Accepts NULL.  Stopped. */
void ft_delivery_destroy(struct ft_delivery *delivery);
FT_DEFINE_CLEANUP(struct ft_delivery, ft_delivery_destroy);

/* The log has a new block.  Thread: any. */
void ft_delivery_wake(struct ft_delivery *delivery);

/* False when there is no collector configured.  Thread: any. */
bool ft_delivery_is_configured(const struct ft_delivery *delivery);
/* NULL when not configured.  Thread: any. */
const struct ft_exporter_stats *ft_delivery_stats(const struct ft_delivery *delivery);
/* What the peer or the network said last; "" for nothing.  Thread: any. */
void ft_delivery_last_text(struct ft_delivery *delivery, char *buf, size_t size);
/* The one that events are sent as: another than at the start when the host was set back to an
 * earlier state.  Thread: any. */
void ft_delivery_get_instance(struct ft_delivery *delivery, struct ft_uuid *ret_instance_id);

#endif
