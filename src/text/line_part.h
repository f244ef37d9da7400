/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts that the forms of text/line.h are put together from.
 *
 * Private to this folder.  Thread: any.
 */
#ifndef FT_TEXT_LINE_PART_H
#define FT_TEXT_LINE_PART_H 1

#include "text/line.h"

/* ECMA-48 "select graphic rendition" parameters. */
#define FT_PAINT_BOLD   "1"
#define FT_PAINT_DIM    "2"
#define FT_PAINT_RED    "31"
#define FT_PAINT_GREEN  "32"
#define FT_PAINT_YELLOW "33"
#define FT_PAINT_CYAN   "36"
#define FT_PAINT_ALARM  "1;31"

/* Does nothing without colour. */
void ft_text_paint(struct ft_buf *buf, const struct ft_text_line_options *options,
                   const char *paint);
void ft_text_paint_end(struct ft_buf *buf, const struct ft_text_line_options *options);

void ft_text_add_time(struct ft_buf *buf, const struct ft_text_line_options *options,
                      int64_t time_ns);
void ft_text_add_host(struct ft_buf *buf, const struct ft_text_line_options *options,
                      const struct ft_row *row);
/* "10.0.0.1:443", "[2001:db8::1]:443"; without port where there is none. */
void ft_text_add_endpoint(struct ft_buf *buf, const struct ft_event *event, bool source);
/* "tcp", "253", "icmp 8/0"; "-" when not known. */
void ft_text_add_protocol(struct ft_buf *buf, const struct ft_event *event);
/* "rx 3 pkts 1.2 KiB tx …"; nothing without counters. */
void ft_text_add_counters(struct ft_buf *buf, const struct ft_event *event);
/* "KERNEL_OVERRUN at most 12 events, 2026-…Z to 2026-…Z, seq 3..14" */
void ft_text_add_loss(struct ft_buf *buf, const struct ft_loss *loss);

/* The colour of an event's type. */
const char *ft_text_type_paint(unsigned type);

#endif
