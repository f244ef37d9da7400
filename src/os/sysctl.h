/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers below /proc/sys, of the calling thread's network namespace.  Private to os/.
 *
 * Thread: any.
 */
#ifndef FT_OS_SYSCTL_H
#define FT_OS_SYSCTL_H 1

#include <stdint.h>

#include "base/error.h"

/* 'name' is the path below /proc/sys.  -ENOENT when the kernel has none, FT_E_SYNTAX when it is
 * no whole number. */
FT_MUST_USE ft_err ft_sysctl_get(const char *name, uint64_t *ret_value);

/* -EROFS or -EACCES where /proc is read-only (containers, ProtectKernelTunables=). */
FT_MUST_USE ft_err ft_sysctl_set(const char *name, uint64_t value);

#endif
