/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from outside made harmless for a terminal and for one-record-one-line files: a process
 * name or a DNS name may hold escape sequences, line breaks or marks that turn the reading
 * direction.
 *
 * Thread: any.
 */
#ifndef FT_TEXT_ESCAPE_H
#define FT_TEXT_ESCAPE_H 1

#include <stddef.h>

#include "base/buf.h"

/*
 * Adds 'text' with each byte of a control character (C0, DEL, C1), of a bidirectional control and
 * of anything that is not UTF-8 as "\xNN".  A backslash is doubled, so that the result can be read
 * back without doubt.
 */
void ft_text_escape(struct ft_buf *buf, const char *text);

/* The same, but it is the quotation mark that is doubled: the inside of a quoted CSV cell. */
void ft_text_escape_csv(struct ft_buf *buf, const char *text);

#endif
