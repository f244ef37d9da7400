/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"

ft_err ft_diag_set(struct ft_diag *diag, ft_err err, const char *file, unsigned line,
                   unsigned column, const char *format, ...)
{
    if (diag == NULL) {
        return err;
    }
    diag->file[0] = '\0';
    if (file != NULL) {
        (void)snprintf(diag->file, sizeof diag->file, "%s", file);
    }
    diag->line = line;
    diag->column = column;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(diag->text, sizeof diag->text, format, args);
    va_end(args);
    return err;
}

void ft_diag_format(const struct ft_diag *diag, char *buf, size_t size)
{
    const char *file = diag->file[0] != '\0' ? diag->file : "input";
    if (diag->line == 0 && diag->file[0] == '\0') {
        (void)snprintf(buf, size, "%s", diag->text);
    } else if (diag->line == 0) {
        (void)snprintf(buf, size, "%s: %s", file, diag->text);
    } else if (diag->column == 0) {
        (void)snprintf(buf, size, "%s:%u: %s", file, diag->line, diag->text);
    } else {
        (void)snprintf(buf, size, "%s:%u:%u: %s", file, diag->line, diag->column, diag->text);
    }
}
