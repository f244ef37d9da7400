/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many calls each connection has begun within the running second.
 *
 * A peer that opens calls and resets them at once (rapid reset, CVE-2023-44487) never reaches the
 * limit of streams, but every call costs gRPC 1.51 some 12 kB until it was looked at.  The rate of
 * its calls is what tells it from an agent, which begins one.
 *
 * Thread: caller locks.  Bound: FT_RPC_CALL_RATE_PLACES connections; two that share a place take
 * turns in it, which only makes the count too small.
 */
#ifndef FT_RPC_CALL_RATE_H
#define FT_RPC_CALL_RATE_H 1

#include <stdint.h>

#define FT_RPC_CALL_RATE_PLACES 1024

struct ft_rpc_call_rate {
    uint64_t connection; /* A hash of its address and port. */
    int64_t since_mono_ns;
    uint32_t n;
};

struct ft_rpc_call_rates {
    struct ft_rpc_call_rate places[FT_RPC_CALL_RATE_PLACES];
};

/* Counts one more call; how many this second has, with this one. */
uint32_t ft_rpc_call_rate_add(struct ft_rpc_call_rates *rates, uint64_t connection,
                              int64_t now_mono_ns);

#endif
