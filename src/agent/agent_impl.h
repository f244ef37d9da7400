/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's parts, for the files that assemble them (agent.c, capture.c, report.c, control.c). */
#ifndef FT_AGENT_AGENT_IMPL_H
#define FT_AGENT_AGENT_IMPL_H 1

#include <stdatomic.h>

#include "agent/agent.h"
#include "agent/balance.h"
#include "agent/capture.h"
#include "agent/control.h"
#include "agent/delivery.h"
#include "agent/pipeline.h"
#include "agent/spool.h"
#include "base/thread.h"
#include "metrics/metrics.h"
#include "os/host.h"

struct ft_agent {
    /* Set at the start. */
    const struct ft_agent_options *options; /* The caller's; RESTART options stay these. */
    ft_agent_load_fn *load;
    void *load_ctx;
    const struct ft_clock *clock;
    int signal_fd;
    int64_t started_ns;
    struct ft_host host;
    char host_name[256];
    struct ft_uuid agent_id;
    struct ft_uuid instance_id;
    struct ft_metrics *metrics;
    struct ft_pipeline *pipeline;
    struct ft_disk *spool_disk;
    struct ft_spool *spool;    /* NULL: none. */
    struct ft_log *memory_log; /* The pipeline appends to it. */
    struct ft_log *log;        /* The exporter reads it: the spool's, or the same. */
    struct ft_rescue *rescue;
    bool capturing; /* What the last process had left is being worked through. */
    struct ft_capture *capture;
    struct ft_delivery *delivery;
    struct ft_control control;
    struct ft_balance_watch balance; /* The main thread's. */
    /* Any thread. */
    _Atomic int64_t pipeline_alive_ns;
    struct ft_mutex lock;
    char config_error[FT_WIRE_TEXT_SIZE] FT_GUARDED; /* Of the last reload; "" when it was good. */
    int64_t config_loaded_ns FT_GUARDED;
};

#endif
