/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's certificate, which can be replaced while it serves; private to rpc.
 *
 * Thread: any; a leaf lock.
 */
#ifndef FT_RPC_SERVER_TLS_H
#define FT_RPC_SERVER_TLS_H 1

#include <grpc/grpc_security.h>

#include "rpc/server.h"

struct ft_rpc_server_tls;

/* Reads the files that 'options' names and tries them.  Errors as ft_rpc_server_reload(). */
FT_MUST_USE ft_err ft_rpc_server_tls_create(const struct ft_rpc_server_options *options,
                                            struct ft_rpc_server_tls **ret_tls,
                                            struct ft_diag *reterr_diag);
/* Accepts NULL.  After the gRPC server that uses it. */
void ft_rpc_server_tls_destroy(struct ft_rpc_server_tls *tls);

FT_MUST_USE ft_err ft_rpc_server_tls_reload(struct ft_rpc_server_tls *tls,
                                            struct ft_diag *reterr_diag);
void ft_rpc_server_tls_count(const struct ft_rpc_server_tls *tls, uint64_t *ret_reloads,
                             uint64_t *ret_failures);

/* For grpc_server_add_http2_port(); the caller releases it. */
grpc_server_credentials *ft_rpc_server_tls_credentials(struct ft_rpc_server_tls *tls);

#endif
