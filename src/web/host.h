/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which Host headers are answered.  A page of somebody else's site can make a browser look its own
 * name up as 127.0.0.1 and then read what is served there (DNS rebinding); the browser still sends
 * that site's name, so names that are not ours are refused.  An IP literal cannot be rebound and is
 * always fine.
 *
 * Thread: any.
 */
#ifndef FT_WEB_HOST_H
#define FT_WEB_HOST_H 1

#include <stdbool.h>
#include <stddef.h>

/* 'header' is the value of Host, NULL when there was none.  'names' are further names, without a
 * port; "localhost" is always one. */
bool ft_web_host_is_allowed(const char *header, const char *const *names, size_t n_names);

#endif
