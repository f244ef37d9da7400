/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client and the server of this folder share: the process-wide state of gRPC core, and
 * the numbers of gRPC's status codes with their meaning as ft_err.
 *
 * This folder moves whole messages as bytes.  It knows HTTP/2, TLS and gRPC; it knows neither
 * protobuf nor flows, and it is the only one that includes <grpc/...>.
 *
 * Thread: ft_rpc_init and ft_rpc_shutdown on the main thread only, the rest any.
 */
#ifndef FT_RPC_RPC_H
#define FT_RPC_RPC_H 1

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The numbers of https://grpc.github.io/grpc/core/md_doc_statuscodes.html; they travel. */
enum ft_rpc_status {
    FT_RPC_OK = 0,
    FT_RPC_CANCELLED = 1,
    FT_RPC_UNKNOWN = 2,
    FT_RPC_INVALID_ARGUMENT = 3,
    FT_RPC_DEADLINE_EXCEEDED = 4,
    FT_RPC_NOT_FOUND = 5,
    FT_RPC_ALREADY_EXISTS = 6,
    FT_RPC_PERMISSION_DENIED = 7,
    FT_RPC_RESOURCE_EXHAUSTED = 8,
    FT_RPC_FAILED_PRECONDITION = 9,
    FT_RPC_ABORTED = 10,
    FT_RPC_OUT_OF_RANGE = 11,
    FT_RPC_UNIMPLEMENTED = 12,
    FT_RPC_INTERNAL = 13,
    FT_RPC_UNAVAILABLE = 14,
    FT_RPC_DATA_LOSS = 15,
    FT_RPC_UNAUTHENTICATED = 16
};

/* Words that travel with a status, with the NUL. */
#define FT_RPC_TEXT_SIZE 256

struct ft_rpc_init_options {
    /*
     * gRPC 1.51 has no call that sets the lowest TLS version.  Unless this is set, the list of
     * TLS 1.2 suites is replaced by one that nobody can negotiate, which leaves TLS 1.3
     * (reference: reliability F8).  Set it where a peer or a proxy speaks TLS 1.2 only.
     */
    bool allow_tls12;
};

/*
 * Before any other call of this folder and before any other thread starts: it sets environment
 * variables that gRPC reads.  'options' may be NULL.  Calls count, as do those of shutdown; the
 * TLS version is the first call's.
 */
void ft_rpc_init(const struct ft_rpc_init_options *options);

/* After every client and server is destroyed.  Waits until gRPC's own threads have ended. */
void ft_rpc_shutdown(void);

/* "UNAVAILABLE"; "UNKNOWN" for numbers that gRPC does not have. Static storage. */
const char *ft_rpc_status_name(int status);

/*
 * What a stream's closing status means for its client.  'text' (may be NULL) tells a TLS failure
 * from a peer that is just away: gRPC has no status of its own for it.
 */
ft_err ft_rpc_status_to_err(int status, const char *text);

/* Copies at most 'text_size' bytes, escaping control and non-ASCII bytes as \xNN; ends in NUL. */
void ft_rpc_text_escape(const void *text, size_t text_size, char *buf, size_t buf_size);

#endif
