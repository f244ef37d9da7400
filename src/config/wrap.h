/* SPDX-License-Identifier: Apache-2.0 */
/* Text broken into lines.  Thread: any. */
#ifndef FT_CONFIG_WRAP_H
#define FT_CONFIG_WRAP_H 1

#include <stddef.h>

#include "base/buf.h"

/*
 * Writes 'text' as lines of at most 'width' bytes, each behind 'margin', which counts in; a word
 * that is longer has a line of its own.  Every line ends with a newline.
 */
void ft_wrap(const char *text, const char *margin, size_t width, struct ft_buf *out);

/* The same, but the first line continues one that has 'margin' bytes already. */
void ft_wrap_continue(const char *text, const char *margin, size_t width, struct ft_buf *out);

#endif
