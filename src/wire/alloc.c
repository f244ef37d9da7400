/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/alloc.h"

#include <stdlib.h>

static void *bounded_alloc(void *data, size_t size)
{
    struct ft_wire_alloc *alloc = data;
    if (size > alloc->bytes_max - alloc->bytes) {
        return NULL;
    }
    void *at = malloc(size);
    if (at != NULL) {
        alloc->bytes += size;
    }
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
