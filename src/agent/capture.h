/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of the agent: switches, tracking, local addresses, source, recording or replay,
 * and the pipeline thread that works through what comes.
 *
 * Thread: the main thread, except the functions marked "any".
 */
#ifndef FT_AGENT_CAPTURE_H
#define FT_AGENT_CAPTURE_H 1

#include "agent/options.h"
#include "agent/pipeline.h"
#include "agent/rescue.h"
#include "base/random.h"
#include "os/tracking.h"
#include "source/source.h"
#include "wire/message.h"

struct ft_capture;

struct ft_capture_options {
    const struct ft_agent_options *config; /* Borrowed for the capture's life. */
    const struct ft_clock *clock;          /* Borrowed, as the pointers below. */
    struct ft_random *random;
    struct ft_pipeline *pipeline;
    _Atomic int64_t *alive_ns; /* Set by the pipeline thread with each turn. */
    struct ft_rescue *rescue;  /* What the last process has left, and what the next one finds. */
    /* With a memory of it: numbers up to these are on disk, durably and written; those up to the
     * last were settled before this process began, but for the block that begins with 'held_seq'.
     */
    const _Atomic uint64_t *durable_seq;
    const _Atomic uint64_t *stored_seq;
    uint64_t known_seq;
    uint64_t held_seq; /* 0: none. */
};

/* -EPERM without CAP_NET_ADMIN; '*reterr_diag' says what to do. */
FT_MUST_USE ft_err ft_capture_create(const struct ft_capture_options *options,
                                     struct ft_capture **ret_capture, struct ft_diag *reterr_diag);
FT_MUST_USE ft_err ft_capture_start(struct ft_capture *capture);

/* Live changes of configuration. */
void ft_capture_reload(struct ft_capture *capture, const struct ft_agent_options *config);

/* True when a replay has come to its end.  Thread: any. */
bool ft_capture_is_finished(const struct ft_capture *capture);

/* Stops listening, works through what was heard, seals it, and leaves the kernel as it was. */
void ft_capture_stop(struct ft_capture *capture);
/* Stopped: keeps what is known of flows for the next start (source/saved.h), where there is a
 * memory that could have been adopted, too. */
void ft_capture_save(struct ft_capture *capture, struct ft_disk *disk,
                     const struct ft_saved_owner *owner);
/* Accepts NULL.  Stopped. */
void ft_capture_destroy(struct ft_capture *capture);
FT_DEFINE_CLEANUP(struct ft_capture, ft_capture_destroy);

/* Thread: any. */
const struct ft_source_stats *ft_capture_stats(const struct ft_capture *capture);
/* Its row in the status.  Thread: any. */
void ft_capture_fill_component(struct ft_capture *capture, struct ft_msg_component *component);

#endif
