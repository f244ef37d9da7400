/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager: sd_notify(3)'s protocol, which is one datagram to the socket that
 * NOTIFY_SOCKET names.  Twenty lines serve both programs, so libsystemd is not needed.
 *
 * Thread: any.
 */
#ifndef FT_BASE_NOTIFY_H
#define FT_BASE_NOTIFY_H 1

#include <stdint.h>

/* Sends "READY=1" or the like; does nothing when no service manager listens. */
void ft_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the service manager wants "WATCHDOG=1", halved for safety; 0: not at all. */
int64_t ft_notify_watchdog_ns(void);

#endif
