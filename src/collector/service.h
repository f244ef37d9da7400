/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector's gRPC methods: flowtrail.v1.Ingest/Export, which authenticates a call and hands
 * its messages to ingest, and grpc.health.v1.Health.
 *
 * Thread: the server's threads call in; the functions here belong to the main thread.
 */
#ifndef FT_COLLECTOR_SERVICE_H
#define FT_COLLECTOR_SERVICE_H 1

#include "auth/token_store.h"
#include "collector/ingest.h"
#include "rpc/server.h"

/* What ingest's sessions are in this program: gRPC sessions. */
extern const struct ft_ingest_peer_ops ft_service_peer_ops;

struct ft_service;

/* 'tokens' and 'ingest' are borrowed. */
FT_MUST_USE ft_err ft_service_create(struct ft_token_store *tokens, struct ft_ingest *ingest,
                                     struct ft_service **ret_service);
void ft_service_destroy(struct ft_service *service);

/* The methods, for ft_rpc_server_start; valid as long as the service. */
const struct ft_rpc_method *ft_service_methods(struct ft_service *service, size_t *ret_n);

/* What health checks answer, and tell those who watch. */
void ft_service_set_serving(struct ft_service *service, bool serving);

/* Calls refused for their token. */
uint64_t ft_service_refused(const struct ft_service *service);

#endif
