/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/bearer.h"

#include <stdbool.h>
#include <strings.h>

#define SCHEME     "bearer "
#define SCHEME_LEN (sizeof SCHEME - 1)

static bool is_token_char(unsigned char c);

ft_err ft_rpc_bearer_parse(const void *value, size_t value_size, struct ft_rpc_token *ret_token)
{
    const char *text = value;
    if (value_size <= SCHEME_LEN || value_size > SCHEME_LEN + FT_RPC_TOKEN_LEN_MAX ||
        strncasecmp(text, SCHEME, SCHEME_LEN) != 0) {
        return FT_E_AUTH;
    }
    bool good = true;
    for (size_t i = SCHEME_LEN; i < value_size; i++) {
        good = is_token_char((unsigned char)text[i]) && good;
    }
    if (!good) {
        return FT_E_AUTH;
    }
    ret_token->text = text + SCHEME_LEN;
    ret_token->len = value_size - SCHEME_LEN;
    return FT_OK;
}

/* RFC 6750's b64token, with '=' anywhere: NetBird's token is two base64 texts with a dot between.
 */
static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '=';
}
