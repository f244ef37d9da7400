/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods with one message each way, on top of sessions: a handler for rpc/server.h whose work is
 * one function call.
 *
 * Thread: the function runs on the server's threads, concurrently with itself, and must not wait.
 */
#ifndef FT_RPC_UNARY_H
#define FT_RPC_UNARY_H 1

#include "base/buf.h"
#include "rpc/server.h"

struct ft_rpc_unary {
    /* As on_open of ft_rpc_handler; NULL admits everybody. */
    enum ft_rpc_status (*admit)(void *ctx, const struct ft_rpc_request *request, char *reterr_text);
    /* Answers 'data' with FT_RPC_OK and a message in 'ret_reply', or with another status. */
    enum ft_rpc_status (*call)(void *ctx, const uint8_t *data, size_t size,
                               struct ft_buf *ret_reply, char *reterr_text);
    void *ctx;
};

/* For ft_rpc_method.handler, with a `const struct ft_rpc_unary *` as the method's ctx. */
extern const struct ft_rpc_handler ft_rpc_unary_handler;

#endif
