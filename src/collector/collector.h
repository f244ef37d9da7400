/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector: assembles ingest, log, store and web, owns their threads, and runs until a signal
 * ends it.
 *
 * Thread: the main thread.
 */
#ifndef FT_COLLECTOR_COLLECTOR_H
#define FT_COLLECTOR_COLLECTOR_H 1

#include "collector/options.h"

/* Loads the options anew, for SIGHUP: the caller knows files, environment and flags. */
typedef ft_err ft_collector_load_fn(void *ctx, struct ft_collector_options *options,
                                    struct ft_diag *reterr_diag);

/*
 * Runs until SIGTERM or SIGINT.  SIGHUP reads configuration, tokens and certificates again; what
 * cannot be used is logged and the last good goes on.  Logs why it cannot start.
 */
FT_MUST_USE ft_err ft_collector_run(const struct ft_collector_options *options,
                                    ft_collector_load_fn *load, void *ctx);

#endif
