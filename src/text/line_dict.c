/* SPDX-License-Identifier: Apache-2.0 */
/* The dictionary form: every field of a row by its name. */
#include "text/escape.h"
#include "text/field.h"
#include "text/line_part.h"

/* The longest name, "counters_unsure" or "conntrack_status", right-aligned. */
#define NAME_WIDTH 16

void ft_text_dict_row(struct ft_buf *buf, const struct ft_text_line_options *options,
                      const struct ft_row *row, bool first)
{
    if (!first) {
        ft_buf_add_str(buf, "------------\n");
    }
    ft_buf_addf(buf, "%*s: ", NAME_WIDTH, "host");
    ft_text_add_host(buf, options, row);
    ft_buf_add_char(buf, '\n');
    for (size_t i = 0; i < ft_text_n_fields; i++) {
        const struct ft_text_field *field = &ft_text_fields[i];
        if (!ft_text_field_is_present(field, row)) {
            continue;
        }
        ft_text_paint(buf, options, FT_PAINT_DIM);
        ft_buf_addf(buf, "%*s", NAME_WIDTH, field->name);
        ft_text_paint_end(buf, options);
        ft_buf_add_str(buf, ": ");
        bool is_type = field->kind == FT_TEXT_TYPE;
        if (is_type) {
            ft_text_paint(buf, options, ft_text_type_paint(row->event.type));
        }
        char value[FT_TEXT_VALUE_SIZE];
        ft_text_escape(buf, ft_text_field_text(field, row, value));
        if (is_type) {
            ft_text_paint_end(buf, options);
        }
        ft_buf_add_char(buf, '\n');
    }
}
