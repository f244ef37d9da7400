/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager: sd_notify(3)'s protocol, which is one datagram to the socket that
 * NOTIFY_SOCKET names.  Twenty lines serve both programs, so libsystemd is not needed.
 *
 * Thread: any.
 */
#ifndef FT_BASE_NOTIFY_H
#define FT_BASE_NOTIFY_H 1

#include <stdbool.h>
#include <stdint.h>

/* Sends "READY=1" or the like; does nothing when no service manager listens. */
void ft_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Gives the service manager a descriptor to keep under 'name' while the service restarts
 * (FileDescriptorStoreMax=), and takes one back.  FDPOLL=0: an event socket whose buffer is full
 * would count as broken.  False when no service manager listens.
 */
bool ft_notify_store_fd(int fd, const char *name);
bool ft_notify_forget_fd(const char *name);

/* The descriptor of that name that the service manager has handed to this process at its start; -1
 * when there is none.  The caller's from then on. */
int ft_notify_take_fd(const char *name);

/* True when a service manager listens. */
bool ft_notify_is_managed(void);

/* How often the service manager wants "WATCHDOG=1", halved for safety; 0: not at all. */
int64_t ft_notify_watchdog_ns(void);

#endif
