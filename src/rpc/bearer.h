/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token of an "authorization: Bearer TOKEN" header (RFC 6750).
 *
 * Every malformed header gives the same error after the same work, so that a caller who probes
 * learns nothing from the answer.  Whether the token is good is for the auth folder.
 *
 * Thread: any; pure.
 */
#ifndef FT_RPC_BEARER_H
#define FT_RPC_BEARER_H 1

#include <stddef.h>

#include "base/error.h"

/* The metadata limit of a call (8 KiB by default) has to hold the token and everything else. */
#define FT_RPC_TOKEN_LEN_MAX 6144

/* The token inside the header, not terminated. */
struct ft_rpc_token {
    const char *text;
    size_t len;
};

/*
 * 'value' is the header's only value.  The scheme is compared without regard to case, exactly one
 * space follows, then letters, digits and -._~+/= only.  FT_E_AUTH for everything else.
 */
FT_MUST_USE ft_err ft_rpc_bearer_parse(const void *value, size_t value_size,
                                       struct ft_rpc_token *ret_token);

#endif
