/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many things (sessions, connections) each peer address has.  An IPv6 peer counts by its /64,
 * because it owns all of it.
 *
 * Thread: caller locks.  Bound: 'entries_max' distinct addresses, memory allocated at creation.
 */
#ifndef FT_RPC_PEERS_H
#define FT_RPC_PEERS_H 1

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/* An address as it is counted: family, then 4 or 8 bytes; all zero for what is neither. */
struct ft_rpc_peer_key {
    uint8_t family;
    uint8_t bytes[8];
};

struct ft_rpc_peer_entry {
    struct ft_rpc_peer_key key;
    uint32_t n; /* 0: the place is free. */
};

struct ft_rpc_peers {
    struct ft_rpc_peer_entry *entries;
    size_t mask;
    size_t n_entries;
    size_t entries_max;
    uint64_t seed; /* Random, so that nobody can choose addresses that share a place. */
};

FT_MUST_USE ft_err ft_rpc_peers_init(struct ft_rpc_peers *peers, size_t entries_max);
void ft_rpc_peers_deinit(struct ft_rpc_peers *peers);

/* FT_E_FULL, without counting, when the key has 'n_max' or no place is left. */
FT_MUST_USE ft_err ft_rpc_peers_add(struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key,
                                    uint32_t n_max);
void ft_rpc_peers_remove(struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key);
uint32_t ft_rpc_peers_count(const struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key);

void ft_rpc_peer_key_from_sockaddr(const struct sockaddr *address, struct ft_rpc_peer_key *ret_key);

/*
 * From gRPC's "ipv4:1.2.3.4:5" or "ipv6:%5B::1%5D:5"; '*ret_port' is 0 where there is none.  Also
 * writes "1.2.3.4:5" or "[::1]:5" to 'text' (control bytes escaped, cut).
 */
void ft_rpc_peer_key_from_uri(const char *uri, struct ft_rpc_peer_key *ret_key, uint16_t *ret_port,
                              char *text, size_t text_size);

#endif
