/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for people: one compact line, a table, a list of names and values.
 *
 *   compact  Nov 21 09:00:01.123456 [web-1]: 10.0.0.1:43210 -> 10.0.0.2:443 tcp END EGRESS …
 *   table    the same columns under a header, padded to usual widths (rows are streamed, so a
 *            wide value pushes its own line only)
 *   dict     one "name: value" a line, all fields, rows divided by a line of dashes
 *
 * Strings are escaped (text/escape.h): whatever a row holds, it cannot move the cursor or begin a
 * new line.
 *
 * Thread: any.  Errors stay in 'buf->err'.
 */
#ifndef FT_TEXT_LINE_H
#define FT_TEXT_LINE_H 1

#include <stdbool.h>

#include "base/buf.h"
#include "flow/query.h"

enum ft_text_time {
    FT_TEXT_TIME_SHORT,   /* Nov 21 09:00:01.123456 */
    FT_TEXT_TIME_RFC3339, /* 2026-11-21T09:00:01.123456Z, always UTC */
};

/* The name of an agent's host, or NULL when it is not known.  Borrowed until the next call. */
typedef const char *ft_text_agent_name_fn(void *ctx, const struct ft_uuid *agent_id);

/* All zero is usable: UTC, short time, no colour, hosts by the first digits of their id. */
struct ft_text_line_options {
    enum ft_text_time time;
    bool local_time; /* Of this machine's zone, for FT_TEXT_TIME_SHORT. */
    bool colour;     /* ECMA-48 sequences. */
    ft_text_agent_name_fn *agent_name;
    void *agent_name_ctx;
};

/* Each writes whole lines, with '\n'. */
void ft_text_compact_row(struct ft_buf *buf, const struct ft_text_line_options *options,
                         const struct ft_row *row);
void ft_text_table_header(struct ft_buf *buf, const struct ft_text_line_options *options);
void ft_text_table_row(struct ft_buf *buf, const struct ft_text_line_options *options,
                       const struct ft_row *row);
/* 'first' rows have no dividing line before them. */
void ft_text_dict_row(struct ft_buf *buf, const struct ft_text_line_options *options,
                      const struct ft_row *row, bool first);

/* "999 B", "1.5 KiB", …: three digits at most before the unit. */
#define FT_TEXT_BYTES_SIZE 48
void ft_text_format_bytes(uint64_t bytes, char buf[FT_TEXT_BYTES_SIZE]);

/* "1.204s", "350ms", "2m05s", "3h10m", "2d4h": rounded to what a reader can use. */
#define FT_TEXT_SPAN_SIZE 64
void ft_text_format_span(int64_t ns, char buf[FT_TEXT_SPAN_SIZE]);

#endif
