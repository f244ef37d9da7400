/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a page of flows ended, as text that a client hands back: base64url without padding of
 * position, time range and order, with a checksum.
 *
 * The time range travels along, so that "the last hour" stays the hour of the first page.  The
 * checksum finds damage, not malice: a forged cursor reaches no row that the same client could not
 * ask for anyway.
 *
 * Thread: any.
 */
#ifndef FT_WEB_CURSOR_H
#define FT_WEB_CURSOR_H 1

#include "base/error.h"
#include "flow/query.h"

struct ft_web_cursor {
    struct ft_query_cursor position;
    int64_t begin_ns;
    int64_t end_ns;
    enum ft_query_order order;
};

/* Room for the text and NUL. */
#define FT_WEB_CURSOR_SIZE 112

void ft_web_cursor_format(const struct ft_web_cursor *cursor, char text[FT_WEB_CURSOR_SIZE]);

/* FT_E_SYNTAX for anything that ft_web_cursor_format() did not make. */
FT_MUST_USE ft_err ft_web_cursor_parse(const char *text, struct ft_web_cursor *ret_cursor);

#endif
