/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peers.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "rpc/rpc.h"

static size_t home_of(const struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key);
static struct ft_rpc_peer_entry *find(const struct ft_rpc_peers *peers,
                                      const struct ft_rpc_peer_key *key);
static void close_gap(struct ft_rpc_peers *peers, size_t hole);
static bool same_key(const struct ft_rpc_peer_key *a, const struct ft_rpc_peer_key *b);
static void unescape(const char *from, char *to, size_t size);

ft_err ft_rpc_peers_init(struct ft_rpc_peers *peers, size_t entries_max)
{
    size_t n = 16;
    while (n < entries_max * 2) {
        n *= 2;
    }
    *peers = (struct ft_rpc_peers){.mask = n - 1, .entries_max = entries_max};
    peers->seed = ft_random_u64(ft_random_system());
    peers->entries = calloc(n, sizeof *peers->entries);
    return peers->entries != NULL ? FT_OK : ft_err_from_errno(ENOMEM);
}

void ft_rpc_peers_deinit(struct ft_rpc_peers *peers)
{
    free(peers->entries);
    peers->entries = NULL;
}

ft_err ft_rpc_peers_add(struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key,
                        uint32_t n_max)
{
    struct ft_rpc_peer_entry *entry = find(peers, key);
    if (entry->n >= n_max || (entry->n == 0 && peers->n_entries >= peers->entries_max)) {
        return FT_E_FULL;
    }
    if (entry->n == 0) {
        entry->key = *key;
        peers->n_entries++;
    }
    entry->n++;
    return FT_OK;
}

void ft_rpc_peers_remove(struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key)
{
    struct ft_rpc_peer_entry *entry = find(peers, key);
    if (entry->n > 0 && --entry->n == 0) {
        peers->n_entries--;
        close_gap(peers, (size_t)(entry - peers->entries));
    }
}

uint32_t ft_rpc_peers_count(const struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key)
{
    return find(peers, key)->n;
}

void ft_rpc_peer_key_from_sockaddr(const struct sockaddr *address, struct ft_rpc_peer_key *ret_key)
{
    *ret_key = (struct ft_rpc_peer_key){.family = 0};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        ret_key->family = 4;
        memcpy(ret_key->bytes, &v4.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        ret_key->family = mapped ? 4 : 6;
        memcpy(ret_key->bytes, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
}

void ft_rpc_peer_key_from_uri(const char *uri, struct ft_rpc_peer_key *ret_key, uint16_t *ret_port,
                              char *text, size_t text_size)
{
    *ret_key = (struct ft_rpc_peer_key){.family = 0};
    *ret_port = 0;
    char plain[128];
    unescape(uri, plain, sizeof plain);
    const char *address = strchr(plain, ':');
    address = address != NULL ? address + 1 : plain;
    ft_rpc_text_escape(address, strlen(address), text, text_size);

    char host[INET6_ADDRSTRLEN + 2];
    bool bracket = address[0] == '[';
    const char *end = strrchr(address, bracket ? ']' : ':');
    address += bracket ? 1 : 0;
    if (end == NULL || end < address || (size_t)(end - address) >= sizeof host) {
        return;
    }
    const char *port = strrchr(end, ':');
    *ret_port = port != NULL ? (uint16_t)strtoul(port + 1, NULL, 10) : 0;
    memcpy(host, address, (size_t)(end - address));
    host[end - address] = '\0';
    char *scope = strchr(host, '%');
    if (scope != NULL) {
        *scope = '\0';
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&v4, ret_key);
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&v6, ret_key);
    }
}

static size_t home_of(const struct ft_rpc_peers *peers, const struct ft_rpc_peer_key *key)
{
    return (size_t)ft_hash64(key, sizeof *key, peers->seed) & peers->mask;
}

/* The key's entry, or the free one where it belongs; half of the table is always free. */
static struct ft_rpc_peer_entry *find(const struct ft_rpc_peers *peers,
                                      const struct ft_rpc_peer_key *key)
{
    size_t i = home_of(peers, key);
    while (peers->entries[i].n != 0 && !same_key(&peers->entries[i].key, key)) {
        i = (i + 1) & peers->mask;
    }
    return &peers->entries[i];
}

/* Moves back what linear probing put behind 'hole', so that every entry can still be found. */
static void close_gap(struct ft_rpc_peers *peers, size_t hole)
{
    for (size_t i = (hole + 1) & peers->mask; peers->entries[i].n != 0; i = (i + 1) & peers->mask) {
        size_t home = home_of(peers, &peers->entries[i].key);
        if (((i - home) & peers->mask) >= ((i - hole) & peers->mask)) {
            peers->entries[hole] = peers->entries[i];
            peers->entries[i].n = 0;
            hole = i;
        }
    }
}

static bool same_key(const struct ft_rpc_peer_key *a, const struct ft_rpc_peer_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* gRPC writes the brackets of an IPv6 peer as %5B and %5D. */
static void unescape(const char *from, char *to, size_t size)
{
    size_t n = 0;
    while (*from != '\0' && n + 1 < size) {
        if (strncmp(from, "%5B", 3) == 0 || strncmp(from, "%5D", 3) == 0) {
            to[n++] = from[2] == 'B' ? '[' : ']';
            from += 3;
        } else {
            to[n++] = *from++;
        }
    }
    to[n] = '\0';
}
