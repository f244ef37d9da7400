/* SPDX-License-Identifier: Apache-2.0 */
/* The compact form and the table. */
#include "text/line.h"

#include <string.h>

#include "text/escape.h"
#include "text/line_part.h"

/* Columns of the table; the last one, details, has no width. */
enum column { COL_TIME, COL_HOST, COL_SRC, COL_DST, COL_PROTO, COL_TYPE, COL_DIR, COL_N };
static const struct {
    const char *title;
    unsigned width; /* Of usual content: IPv4 with port, short names. */
} columns[COL_N] = {
    [COL_TIME] = {"TIME", 22}, [COL_HOST] = {"HOST", 12},  [COL_SRC] = {"SOURCE", 21},
    [COL_DST] = {"DEST", 21},  [COL_PROTO] = {"PROTO", 7}, [COL_TYPE] = {"TYPE", 6},
    [COL_DIR] = {"DIR", 9},
};

static void add_details(struct ft_buf *buf, const struct ft_text_line_options *options,
                        const struct ft_event *event);
static void end_cell(struct ft_buf *buf, size_t at, unsigned width);

void ft_text_compact_row(struct ft_buf *buf, const struct ft_text_line_options *options,
                         const struct ft_row *row)
{
    const struct ft_event *event = &row->event;
    ft_text_add_time(buf, options, event->time_ns);
    ft_buf_add_str(buf, " [");
    ft_text_paint(buf, options, FT_PAINT_DIM);
    ft_text_add_host(buf, options, row);
    ft_text_paint_end(buf, options);
    ft_buf_add_str(buf, "]:");
    if ((event->fields & FT_FIELD_TUPLE) != 0) {
        ft_buf_add_char(buf, ' ');
        ft_text_paint(buf, options, FT_PAINT_CYAN);
        ft_text_add_endpoint(buf, event, true);
        ft_text_paint_end(buf, options);
        ft_buf_add_str(buf, " -> ");
        ft_text_paint(buf, options, FT_PAINT_CYAN);
        ft_text_add_endpoint(buf, event, false);
        ft_text_paint_end(buf, options);
        ft_buf_add_char(buf, ' ');
        ft_text_add_protocol(buf, event);
    }
    ft_buf_add_char(buf, ' ');
    ft_text_paint(buf, options, ft_text_type_paint(event->type));
    ft_buf_add_str(buf, ft_event_type_name(event->type));
    ft_text_paint_end(buf, options);
    if (event->direction != FT_DIR_UNKNOWN) {
        ft_buf_addf(buf, " %s", ft_direction_name(event->direction));
    }
    add_details(buf, options, event);
    ft_buf_add_char(buf, '\n');
}

void ft_text_table_header(struct ft_buf *buf, const struct ft_text_line_options *options)
{
    ft_text_paint(buf, options, FT_PAINT_BOLD);
    for (unsigned i = 0; i < COL_N; i++) {
        unsigned width = columns[i].width;
        if (i == COL_TIME && options->time == FT_TEXT_TIME_RFC3339) {
            width = 27;
        }
        ft_buf_addf(buf, "%-*s ", (int)width, columns[i].title);
    }
    ft_buf_add_str(buf, "DETAILS");
    ft_text_paint_end(buf, options);
    ft_buf_add_char(buf, '\n');
}

static void add_cell(struct ft_buf *buf, const struct ft_text_line_options *options,
                     const struct ft_row *row, enum column column)
{
    switch (column) {
    case COL_TIME:
        ft_text_add_time(buf, options, row->event.time_ns);
        break;
    case COL_HOST:
        ft_text_add_host(buf, options, row);
        break;
    case COL_SRC:
    case COL_DST:
        ft_text_add_endpoint(buf, &row->event, column == COL_SRC);
        break;
    case COL_PROTO:
        ft_text_add_protocol(buf, &row->event);
        break;
    case COL_TYPE:
        ft_buf_add_str(buf, ft_event_type_name(row->event.type));
        break;
    default:
        ft_buf_add_str(buf, row->event.direction == FT_DIR_UNKNOWN
                                ? "-"
                                : ft_direction_name(row->event.direction));
        break;
    }
}

void ft_text_table_row(struct ft_buf *buf, const struct ft_text_line_options *options,
                       const struct ft_row *row)
{
    for (unsigned i = 0; i < COL_N; i++) {
        const char *paint = i == COL_TYPE                  ? ft_text_type_paint(row->event.type)
                            : i == COL_SRC || i == COL_DST ? FT_PAINT_CYAN
                                                           : NULL;
        if (paint != NULL) {
            ft_text_paint(buf, options, paint);
        }
        size_t at = buf->size;
        add_cell(buf, options, row, (enum column)i);
        end_cell(buf, at, columns[i].width);
        if (paint != NULL) {
            ft_text_paint_end(buf, options);
        }
        ft_buf_add_str(buf, i + 1 < COL_N ? " " : "");
    }
    add_details(buf, options, &row->event);
    ft_buf_add_char(buf, '\n');
}

static void add_name(struct ft_buf *buf, const char *label, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        /* Quoted where it could pass for the parts that follow it. */
        bool quoted = strpbrk(text, " \"") != NULL;
        ft_buf_addf(buf, quoted ? " %s=\"" : " %s=", label);
        if (quoted) {
            ft_text_escape_csv(buf, text);
            ft_buf_add_char(buf, '"');
        } else {
            ft_text_escape(buf, text);
        }
    }
}

static void add_names(struct ft_buf *buf, const struct ft_event *event)
{
    if ((event->fields & FT_FIELD_PROCESS) != 0) {
        add_name(buf, "process", event->process_name);
        ft_buf_addf(buf, " pid=%u", event->pid);
    }
    if ((event->fields & FT_FIELD_CONTAINER) != 0) {
        add_name(buf, "container", event->container_id);
    }
    if ((event->fields & FT_FIELD_USER) != 0) {
        add_name(buf, "user", event->user_name);
    }
    if ((event->fields & FT_FIELD_DNS) != 0) {
        add_name(buf, "src", event->src_name);
        add_name(buf, "dst", event->dst_name);
    }
    if ((event->fields & FT_FIELD_RULE) != 0) {
        add_name(buf, "rule", event->rule_id);
    }
}

/* What follows the type: each part with a space before it. */
static void add_details(struct ft_buf *buf, const struct ft_text_line_options *options,
                        const struct ft_event *event)
{
    if ((event->fields & FT_FIELD_LOSS) != 0) {
        ft_buf_add_char(buf, ' ');
        ft_text_paint(buf, options, FT_PAINT_ALARM);
        ft_text_add_loss(buf, &event->loss);
        ft_text_paint_end(buf, options);
    }
    if (event->traffic_class != FT_CLASS_UNCLASSIFIED) {
        ft_buf_addf(buf, " %s", ft_traffic_class_name(event->traffic_class));
    }
    if ((event->fields & FT_FIELD_FLOW) != 0 && event->type == FT_EVENT_END) {
        char span[FT_TEXT_SPAN_SIZE];
        ft_text_format_span(event->time_ns - event->start_ns, span);
        ft_buf_addf(buf, " after %s", span);
    }
    if ((event->fields & FT_FIELD_COUNTERS) != 0) {
        ft_buf_add_char(buf, ' ');
        ft_text_add_counters(buf, event);
    }
    if ((event->fields & FT_FIELD_TCP_STATE) != 0) {
        ft_buf_addf(buf, " %s", ft_tcp_state_name(event->tcp_state));
    }
    if ((event->fields & FT_FIELD_WINDOW) != 0) {
        ft_buf_addf(buf, " starts=%u ends=%u drops=%u", event->n_starts, event->n_ends,
                    event->n_drops);
    }
    add_names(buf, event);
    if ((event->fields & FT_FIELD_INFERRED) != 0) {
        ft_buf_add_str(buf, " (inferred)");
    }
}

/* Pads by bytes: host names with wide characters stand out of line, which harms nobody. */
static void end_cell(struct ft_buf *buf, size_t at, unsigned width)
{
    size_t used = buf->size - at;
    for (; used < width; used++) {
        ft_buf_add_char(buf, ' ');
    }
}
