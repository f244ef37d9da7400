/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both daemons do with their command line: help, version, --check, --dump, loading.
 *
 * Thread: the main thread.
 */
#ifndef FT_BIN_DAEMON_H
#define FT_BIN_DAEMON_H 1

#include "config/options.h"

/* sysexits.h: EX_USAGE, EX_CONFIG. */
#define FT_DAEMON_EXIT_USAGE  64
#define FT_DAEMON_EXIT_CONFIG 78

struct ft_daemon {
    const char *name;
    const char *summary;
    const char *config_file; /* Where it is looked for; may be missing. */
    const char *dropin_dir;
    const struct ft_option_table *table;
    struct ft_options_args args;
};

/*
 * Parses argv and loads into '*options' (initialised here).  True: run.  False: it is all done,
 * exit with '*ret_code'; '*options' holds nothing then.
 */
bool ft_daemon_begin(struct ft_daemon *daemon, int argc, char **argv, void *options, int *ret_code);

/* Loads again, for SIGHUP, into '*options', which is initialised. */
FT_MUST_USE ft_err ft_daemon_load(struct ft_daemon *daemon, void *options,
                                  struct ft_diag *reterr_diag);

#endif
