/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded list of gRPC channel arguments, filled one line per setting; private to rpc.
 *
 * Thread: owner only.
 */
#ifndef FT_RPC_ARGS_H
#define FT_RPC_ARGS_H 1

#include <assert.h>
#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <limits.h>
#include <stdint.h>

#include "base/clock.h"

/* A bound of this folder's own lists, not of any input. */
#define FT_RPC_ARGS_MAX 40

struct ft_rpc_args {
    grpc_arg args[FT_RPC_ARGS_MAX];
    size_t n;
};

static inline grpc_arg *ft_rpc_args_add(struct ft_rpc_args *args, const char *key)
{
    assert(args->n < FT_RPC_ARGS_MAX);
    grpc_arg *arg = &args->args[args->n++];
    /* gRPC reads keys and strings only; its struct just does not say so. */
    arg->key = (char *)(uintptr_t)key;
    return arg;
}

static inline void ft_rpc_args_int(struct ft_rpc_args *args, const char *key, int value)
{
    grpc_arg *arg = ft_rpc_args_add(args, key);
    arg->type = GRPC_ARG_INTEGER;
    arg->value.integer = value;
}

/* Milliseconds, rounded up, so that a short time does not become "off". */
static inline void ft_rpc_args_ms(struct ft_rpc_args *args, const char *key, int64_t ns)
{
    int64_t ms = ns / FT_NS_PER_MS + (ns % FT_NS_PER_MS != 0 ? 1 : 0);
    ft_rpc_args_int(args, key, ms < INT_MAX ? (int)ms : INT_MAX);
}

static inline void ft_rpc_args_str(struct ft_rpc_args *args, const char *key, const char *value)
{
    grpc_arg *arg = ft_rpc_args_add(args, key);
    arg->type = GRPC_ARG_STRING;
    arg->value.string = (char *)(uintptr_t)value;
}

/*
 * Both sides: no compression, so that a message cannot grow on its way in; no bandwidth probes,
 * which a peer's ping limit would count; nothing collected for debugging interfaces.
 */
static inline void ft_rpc_args_common(struct ft_rpc_args *args)
{
    ft_rpc_args_int(args, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
                    1 << GRPC_COMPRESS_NONE);
    ft_rpc_args_int(args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    ft_rpc_args_int(args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    ft_rpc_args_int(args, GRPC_ARG_ENABLE_CHANNELZ, 0);
    ft_rpc_args_int(args, GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);
}

#endif
