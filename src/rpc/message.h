/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's byte buffers as plain bytes, both ways; shared by client and session, private to rpc.
 *
 * Thread: any; an object belongs to one thread at a time.
 */
#ifndef FT_RPC_MESSAGE_H
#define FT_RPC_MESSAGE_H 1

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <stdint.h>

#include "base/error.h"

/* One allocation and one copy: gRPC keeps the bytes until the socket took them. */
grpc_byte_buffer *ft_rpc_message_create(const void *head, size_t head_size, const void *body,
                                        size_t body_size);

/* A received message as one run of bytes. */
struct ft_rpc_view {
    grpc_slice slice;
    const uint8_t *data;
    size_t size;
};

/*
 * Takes 'buffer' apart; 'ret_view' is for ft_rpc_view_deinit().  FT_E_UNSUPPORTED for a message
 * that is still compressed: it is never unpacked here, so that it cannot grow.
 */
FT_MUST_USE ft_err ft_rpc_view_init(struct ft_rpc_view *ret_view, grpc_byte_buffer *buffer);
void ft_rpc_view_deinit(struct ft_rpc_view *view);

#endif
