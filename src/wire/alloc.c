/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *bounded_alloc(void *data, size_t size)
{
    struct ft_wire_alloc *alloc = data;
    if (size > alloc->bytes_max - alloc->bytes) {
        return NULL;
    }
    void *at = malloc(size);
    if (at == NULL) {
        alloc->out_of_memory = true;
        return NULL;
    }
    alloc->bytes += size;
    return at;
}

static void bounded_free(void *data, void *at)
{
    (void)data;
    free(at);
}

void ft_wire_alloc_init(struct ft_wire_alloc *alloc, size_t bytes_max)
{
    *alloc = (struct ft_wire_alloc){
        .allocator = {.alloc = bounded_alloc, .free = bounded_free, .allocator_data = alloc},
        .bytes_max = bytes_max};
}

ft_err ft_wire_alloc_refuse(const struct ft_wire_alloc *alloc, struct ft_diag *reterr_diag,
                            const char *format, ...)
{
    if (alloc->out_of_memory) {
        return ft_diag_set(reterr_diag, ft_err_from_errno(ENOMEM), NULL, 0, 0, "out of memory");
    }
    char text[FT_DIAG_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ft_diag_set(reterr_diag, FT_E_PROTOCOL, NULL, 0, 0, "%s", text);
}
