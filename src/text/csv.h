/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as CSV (RFC 4180): a fixed header, CRLF at the end of a line, an absent field is an empty
 * cell.  One record is one line: control bytes are escaped as in text/escape.h.
 *
 * Spreadsheets take a cell that begins with one of = + - @ TAB CR for a formula; text cells that
 * do get a leading apostrophe.
 *
 * Thread: any.  Errors stay in 'buf->err'.
 */
#ifndef FT_TEXT_CSV_H
#define FT_TEXT_CSV_H 1

#include "base/buf.h"
#include "flow/query.h"

#define FT_TEXT_CSV_CONTENT_TYPE "text/csv; charset=utf-8; header=present"

void ft_text_csv_header(struct ft_buf *buf);
void ft_text_csv_row(struct ft_buf *buf, const struct ft_row *row);

/* One text cell, quoted and protected as needed; NULL is an empty one.  No comma around it. */
void ft_text_csv_cell(struct ft_buf *buf, const char *text);

#endif
