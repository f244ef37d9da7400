/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"
#include "rpc/rpc.h"

TEST(each_status_has_one_meaning)
{
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_UNAUTHENTICATED, ""), FT_E_AUTH);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_PERMISSION_DENIED, ""), FT_E_AUTH);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_UNAVAILABLE, "Connection refused"), FT_E_UNREACHABLE);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_UNAVAILABLE, NULL), FT_E_UNREACHABLE);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_UNAVAILABLE, "Ssl handshake failed: SSL_ERROR_SSL"),
              FT_E_TLS);
    /* The words count only where the status says that there was no connection. */
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_ABORTED, "Ssl handshake failed"), FT_E_CLOSED);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_DEADLINE_EXCEEDED, ""), FT_E_UNREACHABLE);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_RESOURCE_EXHAUSTED, ""), FT_E_FULL);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_UNIMPLEMENTED, ""), FT_E_UNSUPPORTED);
    CHECK_ERR(ft_rpc_status_to_err(FT_RPC_OK, ""), FT_E_CLOSED);
    CHECK_ERR(ft_rpc_status_to_err(17, ""), FT_E_CLOSED);
    CHECK_ERR(ft_rpc_status_to_err(-1, ""), FT_E_CLOSED);
    for (int status = -2; status < 20; status++) {
        CHECK(ft_rpc_status_to_err(status, "") != FT_OK);
        CHECK(ft_rpc_status_name(status) != NULL);
    }
    CHECK_STR(ft_rpc_status_name(FT_RPC_UNAVAILABLE), "UNAVAILABLE");
}

TEST(text_is_escaped_and_cut)
{
    char buf[16];
    ft_rpc_text_escape("a\x1b[2J\n", 6, buf, sizeof buf);
    CHECK_STR(buf, "a\\x1b[2J\\x0a");
    ft_rpc_text_escape("back\\slash", 10, buf, sizeof buf);
    CHECK_STR(buf, "back\\x5cslash");
    ft_rpc_text_escape("0123456789abcdefgh", 18, buf, sizeof buf);
    CHECK_STR(buf, "0123456789abcde");
    /* An escape is never cut in the middle. */
    ft_rpc_text_escape("0123456789abc\xff", 14, buf, sizeof buf);
    CHECK_STR(buf, "0123456789abc");
    ft_rpc_text_escape("", 0, buf, sizeof buf);
    CHECK_STR(buf, "");
}
