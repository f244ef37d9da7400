/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a client connects to, from the URL that the operator wrote.
 *
 * "https://host[:port]" is TLS; "http://host[:port]" is refused unless plaintext was asked for by
 * name, so that a slip of one letter cannot send a token in the clear.  Nothing else is taken: no
 * user, path, query, control byte or international name.
 *
 * Thread: any; pure.
 */
#ifndef FT_RPC_TARGET_H
#define FT_RPC_TARGET_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* RFC 1035: a name has at most 253 characters; an IPv6 address fits. */
#define FT_RPC_HOST_SIZE   256
#define FT_RPC_URL_LEN_MAX 512

struct ft_rpc_target {
    char host[FT_RPC_HOST_SIZE]; /* Without brackets, lower case. */
    uint16_t port;               /* 443 for https, 80 for http, when the URL has none. */
    bool tls;
    bool is_ipv6;
    bool is_loopback; /* 127.0.0.0/8, ::1 or "localhost", by what is written: no name is looked up.
                       */
};

enum ft_rpc_plaintext {
    FT_RPC_PLAINTEXT_NEVER,
    FT_RPC_PLAINTEXT_LOOPBACK, /* To this host only. */
    FT_RPC_PLAINTEXT_ANYWHERE
};

/* FT_E_SYNTAX: no such URL; FT_E_RANGE: plaintext that 'plaintext' does not allow. */
FT_MUST_USE ft_err ft_rpc_target_parse(const char *url, enum ft_rpc_plaintext plaintext,
                                       struct ft_rpc_target *ret_target,
                                       struct ft_diag *reterr_diag);

#endif
