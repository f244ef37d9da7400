/* SPDX-License-Identifier: Apache-2.0 */
#include "config/wrap.h"

#include <string.h>

void ft_wrap(const char *text, const char *margin, size_t width, struct ft_buf *out)
{
    ft_buf_add_str(out, margin);
    ft_wrap_continue(text, margin, width, out);
}

void ft_wrap_continue(const char *text, const char *margin, size_t width, struct ft_buf *out)
{
    size_t start = strlen(margin);
    size_t column = start;
    for (const char *at = text; *at != '\0';) {
        at += strspn(at, " \n");
        size_t len = strcspn(at, " \n");
        if (len == 0) {
            break;
        }
        if (column > start && column + 1 + len > width) {
            ft_buf_add_char(out, '\n');
            ft_buf_add_str(out, margin);
            column = start;
        }
        if (column > start) {
            ft_buf_add_char(out, ' ');
            column++;
        }
        ft_buf_add(out, at, len);
        column += len;
        at += len;
    }
    ft_buf_add_char(out, '\n');
}
