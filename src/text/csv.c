/* SPDX-License-Identifier: Apache-2.0 */
#include "text/csv.h"

#include <string.h>

#include "text/escape.h"
#include "text/field.h"

void ft_text_csv_header(struct ft_buf *buf)
{
    for (size_t i = 0; i < ft_text_n_fields; i++) {
        ft_buf_add_str(buf, i == 0 ? "" : ",");
        ft_buf_add_str(buf, ft_text_fields[i].name);
    }
    ft_buf_add_str(buf, "\r\n");
}

void ft_text_csv_row(struct ft_buf *buf, const struct ft_row *row)
{
    char value[FT_TEXT_VALUE_SIZE];
    for (size_t i = 0; i < ft_text_n_fields; i++) {
        const struct ft_text_field *field = &ft_text_fields[i];
        ft_buf_add_str(buf, i == 0 ? "" : ",");
        if (!ft_text_field_is_present(field, row)) {
            continue;
        }
        const char *text = ft_text_field_text(field, row, value);
        if (field->kind == FT_TEXT_STRING) {
            ft_text_csv_cell(buf, text);
        } else {
            ft_buf_add_str(buf, text);
        }
    }
    ft_buf_add_str(buf, "\r\n");
}

void ft_text_csv_cell(struct ft_buf *buf, const char *text)
{
    if (text == NULL || text[0] == '\0') {
        return;
    }
    bool formula = strchr("=+-@\t\r", text[0]) != NULL;
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    ft_buf_add_str(buf, quoted ? "\"" : "");
    ft_buf_add_str(buf, formula ? "'" : "");
    ft_text_escape_csv(buf, text);
    ft_buf_add_str(buf, quoted ? "\"" : "");
}
