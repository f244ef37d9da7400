/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One outgoing bidirectional gRPC stream: the `struct ft_stream` (base/stream.h) that the exporter
 * drives.
 *
 * Every open() makes a new connection, with the CA, certificate and token as they are at that
 * moment.  So renewed files are used at the next open(), and when to connect again is decided by
 * the caller alone: a kept channel would add gRPC's own back-off to the link's.
 *
 * open() fails at once for what is wrong on this side (a CA file that cannot be read, no token);
 * everything else arrives as FT_STREAM_CLOSED.  The closing event's 'text' begins with the gRPC
 * status's name.  A server that refuses this client's certificate cannot be told from one that
 * hangs up (FT_E_UNREACHABLE, "Socket closed"): in TLS 1.3 it says so only afterwards.
 * FT_STREAM_OPENED may be followed by a refusal at once.  send() is taken from open() on, before
 * FT_STREAM_OPENED, for peers that answer only after the first message.
 *
 * Thread: as base/stream.h says; the token and certificate callbacks run inside open() and poll().
 * Bounds: one message each way is held; the sizes below.  Nothing here logs; the token never
 * appears in a text.
 */
#ifndef FT_RPC_CLIENT_H
#define FT_RPC_CLIENT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"
#include "rpc/bearer.h"
#include "rpc/target.h"

#define FT_RPC_EXPORT_METHOD "/flowtrail.v1.Ingest/Export"

/* 0 and NULL mean the default that is named. */
struct ft_rpc_client_options {
    const char *url;                 /* See rpc/target.h. */
    enum ft_rpc_plaintext plaintext; /* Default: never. */
    const char *method;              /* FT_RPC_EXPORT_METHOD. */

    const char *ca_path;          /* PEM; NULL: the system's roots. */
    const char *certificate_path; /* PEM, with 'key_path': this client's certificate. */
    const char *key_path;
    const char *server_name; /* The name that the certificate must have; NULL: the URL's host. */

    /*
     * Writes the token of the next stream, with a NUL, into 'buf'.  NULL: no token is sent.
     * FT_OK with an empty text means that this stream has none.
     */
    ft_err (*token)(void *ctx, char *buf, size_t buf_size);
    /* Sees the peer's certificate after TLS has verified it; false refuses it (pins). */
    bool (*verify_peer)(void *ctx, const char *server_name, const char *certificate_pem);
    void *ctx; /* Handed to both. */

    /* From open() to the peer's headers: name lookup, TCP, TLS and the answer.  10 s. */
    int64_t open_timeout_ns;
    int64_t keepalive_interval_ns;    /* 30 s; a ping when nothing else was received. */
    int64_t keepalive_timeout_ns;     /* 20 s without an answer close the connection. */
    size_t message_send_bytes_max;    /* 4 MiB; send() refuses more with FT_E_RANGE. */
    size_t message_receive_bytes_max; /* 1 MiB; more closes the stream. */
    size_t metadata_bytes_max;        /* 16 KiB of the peer's headers. */
    bool use_http_proxy;              /* Follow https_proxy and no_proxy of the environment. */
    const char *user_agent;           /* "flowtrail/VERSION". */
};

/*
 * Copies '*options'.  Reads the files once to report mistakes early.  FT_E_SYNTAX, FT_E_RANGE
 * (both with 'diag'), what reading a file gave, ENOMEM.  '*ret_stream' is for its destroy().
 */
FT_MUST_USE ft_err ft_rpc_client_create(const struct ft_rpc_client_options *options,
                                        struct ft_stream **ret_stream, struct ft_diag *reterr_diag);

#endif
