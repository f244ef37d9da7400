/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between gRPC's listeners and accept4(2).
 *
 * gRPC 1.51 closes its listener for good when accept4 fails once with EMFILE (CVE-2023-4785).  A
 * program that uses rpc/server.h therefore defines accept4 itself, which takes precedence over
 * libc's also for calls from within libgrpc.  For the listeners that were named with
 * ft_rpc_accept_hook_watch() it
 *   - spends a reserve descriptor when there is no free one, to accept the newest connection and
 *     close it again, and reports EAGAIN when the kernel's queue is empty;
 *   - closes at once what an address has above its share of connections, or opens faster than it
 *     may, and what comes from an address that ft_rpc_accept_hook_quarantine() named.
 * All other accepts of the process pass through untouched.
 *
 * Thread: any; one lock, taken per accepted connection of a watched listener.
 * Bounds: FT_RPC_ACCEPT_PORTS_MAX listeners; connections with a descriptor of FT_RPC_ACCEPT_FDS_MAX
 * or more are not counted by address.
 */
#ifndef FT_RPC_ACCEPT_HOOK_H
#define FT_RPC_ACCEPT_HOOK_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"

#define FT_RPC_ACCEPT_PORTS_MAX 16
/* Addresses that can be in quarantine at the same time; the oldest makes room. */
#define FT_RPC_ACCEPT_QUARANTINE_MAX 64
/*
 * An address may open at once as many connections as it may have, and as many again within this
 * time: all agents behind one address come back together, and whoever opens one session after the
 * other is held to a rate.  Below FT_RPC_ACCEPT_BURST_MIN it is that many.
 */
#define FT_RPC_ACCEPT_RATE_NS   (10 * FT_NS_PER_S)
#define FT_RPC_ACCEPT_BURST_MIN 128
/* Addresses whose rate is known; two that share a place take turns in it, which only makes the rate
 * too small. */
#define FT_RPC_ACCEPT_RATE_PLACES 4096
/* The LimitNOFILE of the collector's unit. */
#define FT_RPC_ACCEPT_FDS_MAX 65536

struct ft_rpc_accept_stats {
    uint64_t accepted;
    uint64_t dropped_no_fd;
    uint64_t dropped_address;
    uint64_t dropped_rate;
    uint64_t dropped_quarantine;
};

/*
 * Watches the listeners on 'port'.  'per_address_max' is the number of connections that one address
 * may have; it replaces the one of an earlier call.  ENOMEM, FT_E_FULL, or what opening the reserve
 * gave.
 */
FT_MUST_USE ft_err ft_rpc_accept_hook_watch(uint16_t port, uint32_t per_address_max);
void ft_rpc_accept_hook_unwatch(uint16_t port);

/*
 * Cuts the connection from 'key' and 'port', for which gRPC has no call, and takes no new one from
 * the address for 'duration_ns'.  It is cut at the socket: gRPC sees the peer hang up.
 */
struct ft_rpc_peer_key;
void ft_rpc_accept_hook_quarantine(const struct ft_rpc_peer_key *key, uint16_t port,
                                   int64_t duration_ns);

/* True when libgrpc's accept4 is this one: false tells of a wrong link. */
bool ft_rpc_accept_hook_is_active(void);

void ft_rpc_accept_hook_get_stats(struct ft_rpc_accept_stats *ret_stats);

#endif
