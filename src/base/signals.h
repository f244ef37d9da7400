/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals of a daemon, as events of its main loop.
 *
 * Thread: the main thread; open() before any other thread starts, so that all inherit the mask.
 */
#ifndef FT_BASE_SIGNALS_H
#define FT_BASE_SIGNALS_H 1

#include <stdint.h>

#include "base/error.h"

enum ft_signal { FT_SIGNAL_NONE, FT_SIGNAL_STOP, FT_SIGNAL_RELOAD };

/* Blocks SIGTERM, SIGINT, SIGHUP and ignores SIGPIPE; '*ret_fd' tells of them. */
FT_MUST_USE ft_err ft_signals_open(int *ret_fd);

/* Waits for one, 'timeout_ns' at most. */
enum ft_signal ft_signals_wait(int fd, int64_t timeout_ns);

#endif
