/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's settings in the form that gRPC wants, and a connection made from them; private to
 * rpc, the half of client.c that does not change while a stream runs.
 *
 * Thread: owner only.
 */
#ifndef FT_RPC_CHANNEL_H
#define FT_RPC_CHANNEL_H 1

#include <grpc/grpc.h>

#include "rpc/client.h"

/* Strings are owned. */
struct ft_rpc_channel_config {
    struct ft_rpc_target target;
    char *method;
    char *ca_path;
    char *certificate_path;
    char *key_path;
    char *server_name;
    char *user_agent;
    ft_err (*token)(void *ctx, char *buf, size_t buf_size);
    bool (*verify_peer)(void *ctx, const char *server_name, const char *certificate_pem);
    void *ctx;
    int64_t open_timeout_ns;
    int64_t keepalive_interval_ns;
    int64_t keepalive_timeout_ns;
    size_t message_send_bytes_max;
    size_t message_receive_bytes_max;
    size_t metadata_bytes_max;
    bool use_http_proxy;
};

/* Also after a failure '*config' is for ft_rpc_channel_config_deinit(). */
FT_MUST_USE ft_err ft_rpc_channel_config_init(struct ft_rpc_channel_config *config,
                                              const struct ft_rpc_client_options *options,
                                              struct ft_diag *reterr_diag);
void ft_rpc_channel_config_deinit(struct ft_rpc_channel_config *config);

/* Reads the files again.  The connection is made when the first call starts. */
FT_MUST_USE ft_err ft_rpc_channel_create(const struct ft_rpc_channel_config *config,
                                         grpc_channel **ret_channel);

#endif
