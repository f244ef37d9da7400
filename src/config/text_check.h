/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside: is it fit to be kept, and how is it shown.  Thread: any. */
#ifndef FT_CONFIG_TEXT_CHECK_H
#define FT_CONFIG_TEXT_CHECK_H 1

#include <stddef.h>

/* Room for the quoted form: 64 bytes of the text at most, each as "\xNN" in the worst case. */
#define FT_TEXT_QUOTE_SIZE 272

/* NULL for valid UTF-8 without control characters; else why not, static storage. */
const char *ft_text_printable(const char *text);

/* The text in double quotes, cut at 64 bytes, with everything that is not printable escaped. */
void ft_text_quote(const char *text, char quoted[FT_TEXT_QUOTE_SIZE]);

#endif
