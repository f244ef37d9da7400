/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: an fd field is -1 or open.  Thread: any. */
#ifndef FT_BASE_FD_H
#define FT_BASE_FD_H 1

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Closes '*fd' if it is open and sets it to -1.  Keeps errno. */
void ft_fd_close(int *fd);

/* A pair of wake-up ends: an eventfd.  signal() from any thread, clear() by the one that polls. */
FT_MUST_USE ft_err ft_wakefd_open(int *ret_fd);
void ft_wakefd_signal(int fd);
void ft_wakefd_clear(int fd);

/* Raises this process's limit of descriptors to 'wanted', or as far as it may; what it is then. */
uint64_t ft_fd_raise_limit(uint64_t wanted);

/* A small file (sysctl, token) as text without its trailing white space; 'buf' always ends in NUL.
 * FT_E_RANGE when it does not fit. */
FT_MUST_USE ft_err ft_read_text_file(const char *path, char *buf, size_t size);

#endif
