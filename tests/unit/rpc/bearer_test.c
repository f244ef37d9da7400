/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/bearer.h"

#include <stdlib.h>

#include "lib/test.h"

static ft_err parse(const char *header, struct ft_rpc_token *ret_token)
{
    return ft_rpc_bearer_parse(header, strlen(header), ret_token);
}

TEST(a_token_is_found)
{
    static const struct {
        const char *header;
        const char *token;
    } cases[] = {
        {"Bearer abc", "abc"},
        {"bearer abc", "abc"},
        {"BEARER a", "a"},
        {"Bearer c2ln+/==.cGF5bG9hZA==", "c2ln+/==.cGF5bG9hZA=="},
        {"Bearer v4.public.A-Z_a~z0", "v4.public.A-Z_a~z0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_rpc_token token = {NULL, 0};
        CHECK_OK(parse(cases[i].header, &token));
        CHECK_BYTES(token.text, token.len, cases[i].token, strlen(cases[i].token));
    }
}

TEST(every_malformed_header_gives_the_same_error)
{
    static const char *const headers[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer  abc",
        " Bearer abc",
        "Bearer abc ",
        "Bearer a b",
        "Bearer abc,Bearer def",
        "Bearer abc, Basic eDp5",
        "Basic eDp5",
        "Token abc",
        "Bearerabc",
        "Bearer\tabc",
        "Bearer a\tb",
        "Bearer a\nb",
        "Bearer a\xc3\xa9",
        "Bearer \xff\xfe",
        "Bearer \"abc\"",
        "Bearer a%20b",
        "Bearer a\\b",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct ft_rpc_token token = {NULL, 0};
        CHECK_ERR(parse(headers[i], &token), FT_E_AUTH);
        CHECK(token.text == NULL);
    }
    struct ft_rpc_token token;
    CHECK_ERR(ft_rpc_bearer_parse("Bearer a\0b", 10, &token), FT_E_AUTH);
}

TEST(a_token_has_a_largest_size)
{
    struct ft_rpc_token token;
    size_t size = 7 + FT_RPC_TOKEN_LEN_MAX + 1;
    char *header = malloc(size);
    CHECK(header != NULL);
    memset(header, 'a', size);
    memcpy(header, "Bearer ", 7);
    CHECK_OK(ft_rpc_bearer_parse(header, size - 1, &token));
    CHECK_INT(token.len, FT_RPC_TOKEN_LEN_MAX);
    CHECK_ERR(ft_rpc_bearer_parse(header, size, &token), FT_E_AUTH);
    free(header);
}
