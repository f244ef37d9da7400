/* SPDX-License-Identifier: Apache-2.0 */
/* The server's limits: their defaults, and how gRPC is told of them. */
#include <limits.h>

#include "rpc/server_impl.h"

static void default_u32(uint32_t *value, uint32_t fallback);
static void default_size(size_t *value, size_t fallback);
static void default_ns(int64_t *value, int64_t fallback);

ft_err ft_rpc_server_options_complete(struct ft_rpc_server_options *options,
                                      struct ft_diag *reterr_diag)
{
    default_u32(&options->n_threads, 4);
    default_u32(&options->sessions_max, 10000);
    default_u32(&options->sessions_per_address_max, 256);
    default_u32(&options->connections_per_address_max, 512);
    default_u32(&options->streams_per_connection_max, 16);
    default_u32(&options->calls_per_second_max, 100);
    default_ns(&options->quarantine_ns, 10 * FT_NS_PER_S);
    default_size(&options->message_bytes_max, (size_t)1024 * 1024);
    default_size(&options->metadata_bytes_max, (size_t)8 * 1024);
    default_size(&options->memory_bytes_max, (size_t)256 * 1024 * 1024);
    default_size(&options->receive_window_bytes, (size_t)64 * 1024);
    default_u32(&options->send_queue_messages_max, 256);
    default_size(&options->send_queue_bytes_max, (size_t)4 * 1024 * 1024);
    default_ns(&options->handshake_timeout_ns, 3 * FT_NS_PER_S);
    default_ns(&options->first_message_timeout_ns, 15 * FT_NS_PER_S);
    default_ns(&options->linger_ns, 5 * FT_NS_PER_S);
    default_ns(&options->connection_idle_ns, 60 * FT_NS_PER_S);
    default_ns(&options->connection_age_grace_ns, 30 * FT_NS_PER_S);
    default_ns(&options->keepalive_interval_ns, 30 * FT_NS_PER_S);
    default_ns(&options->keepalive_timeout_ns, 20 * FT_NS_PER_S);
    default_ns(&options->ping_interval_min_ns, 5 * FT_NS_PER_S);
    default_u32(&options->ping_strikes_max, 2);
    if (options->n_threads > FT_RPC_THREADS_MAX || options->n_methods == 0 ||
        options->n_methods > FT_RPC_METHODS_MAX) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "a server has 1 to %d threads and 1 to %d methods", FT_RPC_THREADS_MAX,
                           FT_RPC_METHODS_MAX);
    }
    if (options->message_bytes_max > INT_MAX || options->metadata_bytes_max > INT_MAX ||
        options->receive_window_bytes > INT_MAX || options->streams_per_connection_max > INT_MAX ||
        options->send_queue_bytes_max < options->message_bytes_max) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "a server's size limits are below 2 GiB, and the send queue holds at "
                           "least one message");
    }
    return FT_OK;
}

void ft_rpc_server_options_to_args(const struct ft_rpc_server_options *options,
                                   struct ft_rpc_args *args)
{
    ft_rpc_args_common(args);
    /* Nobody else may listen on the same port beside us. */
    ft_rpc_args_int(args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    ft_rpc_args_int(args, GRPC_ARG_MAX_CONCURRENT_STREAMS,
                    (int)options->streams_per_connection_max);
    ft_rpc_args_int(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)options->message_bytes_max);
    ft_rpc_args_int(args, GRPC_ARG_MAX_METADATA_SIZE, (int)options->metadata_bytes_max);
    ft_rpc_args_int(args, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                    (int)options->receive_window_bytes);
    ft_rpc_args_ms(args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, options->handshake_timeout_ns);
    ft_rpc_args_ms(args, GRPC_ARG_MAX_CONNECTION_IDLE_MS, options->connection_idle_ns);
    if (options->connection_age_ns != 0) {
        ft_rpc_args_ms(args, GRPC_ARG_MAX_CONNECTION_AGE_MS, options->connection_age_ns);
        ft_rpc_args_ms(args, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                       options->connection_age_grace_ns);
    }
    ft_rpc_args_ms(args, GRPC_ARG_KEEPALIVE_TIME_MS, options->keepalive_interval_ns);
    ft_rpc_args_ms(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options->keepalive_timeout_ns);
    ft_rpc_args_int(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    ft_rpc_args_ms(args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                   options->ping_interval_min_ns);
    ft_rpc_args_int(args, GRPC_ARG_HTTP2_MAX_PING_STRIKES, (int)options->ping_strikes_max);
}

static void default_u32(uint32_t *value, uint32_t fallback)
{
    *value = *value != 0 ? *value : fallback;
}

static void default_size(size_t *value, size_t fallback)
{
    *value = *value != 0 ? *value : fallback;
}

static void default_ns(int64_t *value, int64_t fallback)
{
    *value = *value != 0 ? *value : fallback;
}
