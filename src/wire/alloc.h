/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocator for protobuf-c that stops at a bound.  protobuf-c turns a 4 MiB message of empty
 * submessages into 335 MB; with a bound such a message is refused after a few allocations.
 *
 * Thread: owner only.
 */
#ifndef FT_WIRE_ALLOC_H
#define FT_WIRE_ALLOC_H 1

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Four times the largest message: real batches take 2 to 4.5 times their size when unpacked. */
#define FT_WIRE_ALLOC_BYTES_MAX ((size_t)16 << 20)

struct ft_wire_alloc {
    ProtobufCAllocator allocator; /* What protobuf-c is handed. */
    size_t bytes;
    size_t bytes_max;
    bool out_of_memory; /* The system's, not ours: another try may do better. */
};

/* 'bytes_max' bounds the sum of all allocations that were ever made through it. */
void ft_wire_alloc_init(struct ft_wire_alloc *alloc, size_t bytes_max);

/*
 * After protobuf-c has given nothing: -ENOMEM where the system had no memory, which says nothing
 * about the message, else FT_E_PROTOCOL with the words.
 */
ft_err ft_wire_alloc_refuse(const struct ft_wire_alloc *alloc, struct ft_diag *reterr_diag,
                            const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
