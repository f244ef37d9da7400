/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/call_rate.h"

#include "base/clock.h"
#include "lib/test.h"

TEST(calls_are_counted_by_connection_and_second)
{
    static struct ft_rpc_call_rates rates;
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7, 0), 1);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7, 1), 2);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 8, 1), 1);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7, FT_NS_PER_S - 1), 3);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7, FT_NS_PER_S), 1);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 8, FT_NS_PER_S), 2);
}

TEST(connections_that_share_a_place_are_never_counted_too_high)
{
    static struct ft_rpc_call_rates rates;
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7, 0), 1);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7 + FT_RPC_CALL_RATE_PLACES, 0), 1);
    CHECK_INT(ft_rpc_call_rate_add(&rates, 7, 0), 1);
}
