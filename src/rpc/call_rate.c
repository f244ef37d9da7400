/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/call_rate.h"

#include "base/clock.h"

uint32_t ft_rpc_call_rate_add(struct ft_rpc_call_rates *rates, uint64_t connection,
                              int64_t now_mono_ns)
{
    struct ft_rpc_call_rate *place = &rates->places[connection % FT_RPC_CALL_RATE_PLACES];
    if (place->connection != connection || now_mono_ns - place->since_mono_ns >= FT_NS_PER_S) {
        *place = (struct ft_rpc_call_rate){.connection = connection, .since_mono_ns = now_mono_ns};
    }
    return ++place->n;
}
