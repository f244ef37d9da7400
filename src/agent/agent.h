/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: assembles source, pipeline, log, delivery and control socket, owns their threads, and
 * runs until a signal ends it.
 *
 * Thread: the main thread.
 */
#ifndef FT_AGENT_AGENT_H
#define FT_AGENT_AGENT_H 1

#include "agent/options.h"

/* Loads the options anew, for SIGHUP: the caller knows files, environment and flags. */
typedef ft_err ft_agent_load_fn(void *ctx, struct ft_agent_options *options,
                                struct ft_diag *reterr_diag);

/*
 * Runs until SIGTERM or SIGINT, or to the end of a replay.  SIGHUP reads configuration, token and
 * certificates again; what cannot be used is logged and the last good goes on.  Logs why it cannot
 * start.
 */
FT_MUST_USE ft_err ft_agent_run(const struct ft_agent_options *options, ft_agent_load_fn *load,
                                void *ctx);

#endif
