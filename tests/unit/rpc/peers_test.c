/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peers.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/random.h"
#include "lib/test.h"

static struct ft_rpc_peer_key key_of(uint32_t n)
{
    struct ft_rpc_peer_key key = {.family = 4};
    memcpy(key.bytes, &n, sizeof n);
    return key;
}

TEST(an_address_has_its_share_and_no_more)
{
    struct ft_rpc_peers peers;
    CHECK_OK(ft_rpc_peers_init(&peers, 2));
    struct ft_rpc_peer_key a = key_of(1);
    struct ft_rpc_peer_key b = key_of(2);
    struct ft_rpc_peer_key c = key_of(3);
    CHECK_OK(ft_rpc_peers_add(&peers, &a, 2));
    CHECK_OK(ft_rpc_peers_add(&peers, &a, 2));
    CHECK_ERR(ft_rpc_peers_add(&peers, &a, 2), FT_E_FULL);
    CHECK_OK(ft_rpc_peers_add(&peers, &b, 2));
    /* As many addresses as were asked for. */
    CHECK_ERR(ft_rpc_peers_add(&peers, &c, 2), FT_E_FULL);
    CHECK_INT(ft_rpc_peers_count(&peers, &c), 0);
    ft_rpc_peers_remove(&peers, &b);
    CHECK_OK(ft_rpc_peers_add(&peers, &c, 2));
    ft_rpc_peers_remove(&peers, &a);
    CHECK_INT(ft_rpc_peers_count(&peers, &a), 1);
    /* What is not there is no harm. */
    ft_rpc_peers_remove(&peers, &b);
    CHECK_INT(peers.n_entries, 2);
    ft_rpc_peers_deinit(&peers);
}

TEST(counts_agree_with_a_plain_array)
{
    enum { ADDRESSES = 200, STEPS = 20000, SHARE = 3 };
    struct ft_rpc_peers peers;
    struct ft_random_seeded random;
    uint32_t model[ADDRESSES] = {0};
    ft_random_seeded_init(&random, 42);
    CHECK_OK(ft_rpc_peers_init(&peers, ADDRESSES));
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t n = (uint32_t)ft_random_below(&random.base, ADDRESSES);
        struct ft_rpc_peer_key key = key_of(n);
        if (ft_random_below(&random.base, 2) == 0) {
            CHECK_ERR(ft_rpc_peers_add(&peers, &key, SHARE), model[n] < SHARE ? FT_OK : FT_E_FULL);
            model[n] += model[n] < SHARE ? 1 : 0;
        } else {
            ft_rpc_peers_remove(&peers, &key);
            model[n] -= model[n] > 0 ? 1 : 0;
        }
        if (step % 500 == 0) {
            size_t n_entries = 0;
            for (uint32_t i = 0; i < ADDRESSES; i++) {
                struct ft_rpc_peer_key each = key_of(i);
                CHECK_INT(ft_rpc_peers_count(&peers, &each), model[i]);
                n_entries += model[i] > 0 ? 1 : 0;
            }
            CHECK_INT(peers.n_entries, n_entries);
        }
    }
    ft_rpc_peers_deinit(&peers);
}

TEST(peers_are_read_from_grpcs_words)
{
    static const struct {
        const char *uri;
        const char *text;
        int family;
        int port;
        uint8_t bytes[8];
    } cases[] = {
        {"ipv4:127.0.0.1:4711", "127.0.0.1:4711", 4, 4711, {127, 0, 0, 1}},
        {"ipv6:%5B2001:db8:0:7::9%5D:80",
         "[2001:db8:0:7::9]:80",
         6,
         80,
         {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 7}},
        {"ipv6:[::1]:80", "[::1]:80", 6, 80, {0}},
        {"ipv6:%5B::ffff:1.2.3.4%5D:80", "[::ffff:1.2.3.4]:80", 4, 80, {1, 2, 3, 4}},
        {"unix:", "", 0, 0, {0}},
        {"nonsense", "nonsense", 0, 0, {0}},
        {"", "", 0, 0, {0}},
        {"ipv4:", "", 0, 0, {0}},
        {"ipv6:%5B", "[", 0, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_rpc_peer_key key;
        char text[80];
        uint16_t port = 0;
        ft_rpc_peer_key_from_uri(cases[i].uri, &key, &port, text, sizeof text);
        CHECK_INT(port, cases[i].port);
        CHECK_STR(text, cases[i].text);
        CHECK_INT(key.family, cases[i].family);
        CHECK_BYTES(key.bytes, 8, cases[i].bytes, 8);
    }
}

TEST(a_mapped_ipv4_address_counts_as_ipv4_and_ipv6_by_its_network)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct ft_rpc_peer_key a;
    struct ft_rpc_peer_key b;
    CHECK_INT(inet_pton(AF_INET6, "::ffff:9.8.7.6", &v6.sin6_addr), 1);
    CHECK_INT(inet_pton(AF_INET, "9.8.7.6", &v4.sin_addr), 1);
    ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&v6, &a);
    ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&v4, &b);
    CHECK_BYTES(&a, sizeof a, &b, sizeof b);
    CHECK_INT(inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr), 1);
    ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&v6, &a);
    CHECK_INT(inet_pton(AF_INET6, "2001:db8::ffff:1", &v6.sin6_addr), 1);
    ft_rpc_peer_key_from_sockaddr((const struct sockaddr *)&v6, &b);
    CHECK_BYTES(&a, sizeof a, &b, sizeof b);
}
