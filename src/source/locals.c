/* SPDX-License-Identifier: Apache-2.0 */
#include "source/locals.h"

#include <string.h>

#include "base/hash.h"

#define N_PLACES (2 * (size_t)FT_LOCALS_MAX)

static size_t find_place(const struct ft_locals *locals, const struct ft_addr *addr,
                         uint8_t family);
static bool is_loopback(const struct ft_addr *addr, bool ipv6);
static bool is_group(const struct ft_addr *addr, bool ipv6);

void ft_locals_init(struct ft_locals *locals) { memset(locals, 0, sizeof *locals); }

void ft_locals_set(struct ft_locals *locals, const uint8_t *data, size_t size)
{
    ft_locals_init(locals);
    locals->known = true;
    for (size_t at = 0; size - at >= FT_LOCALS_ENTRY_SIZE; at += FT_LOCALS_ENTRY_SIZE) {
        uint8_t family = data[at];
        struct ft_addr addr = {0};
        memcpy(addr.bytes, data + at + 1, family == 4 ? 4 : 16);
        if ((family != 4 && family != 6) || locals->n_addrs == FT_LOCALS_MAX) {
            locals->n_skipped++;
            continue;
        }
        size_t place = find_place(locals, &addr, family);
        if (locals->used[place] == 0) {
            locals->used[place] = family;
            locals->addrs[place] = addr;
            locals->n_addrs++;
        }
    }
}

bool ft_locals_contains(const struct ft_locals *locals, const struct ft_addr *addr, bool ipv6)
{
    return is_loopback(addr, ipv6) || locals->used[find_place(locals, addr, ipv6 ? 6 : 4)] != 0;
}

enum ft_direction ft_locals_direction(const struct ft_locals *locals,
                                      const struct ft_ct_record *record)
{
    bool ipv6 = record->orig.ipv6;
    bool src = ft_locals_contains(locals, &record->orig.src, ipv6);
    bool dst = ft_locals_contains(locals, &record->reply.src, ipv6);
    if (src && dst) {
        return FT_DIR_LOCAL;
    }
    if (!locals->known) {
        return FT_DIR_UNKNOWN;
    }
    if (src) {
        return FT_DIR_EGRESS;
    }
    return dst || is_group(&record->orig.dst, ipv6) ? FT_DIR_INGRESS : FT_DIR_FORWARDED;
}

/* Where the address is, or the free place where it would be: half of the places are always free. */
static size_t find_place(const struct ft_locals *locals, const struct ft_addr *addr, uint8_t family)
{
    size_t place = ft_hash64(addr->bytes, family == 4 ? 4 : 16, family) % N_PLACES;
    while (locals->used[place] != 0 && (locals->used[place] != family ||
                                        memcmp(&locals->addrs[place], addr, sizeof *addr) != 0)) {
        place = (place + 1) % N_PLACES;
    }
    return place;
}

static bool is_loopback(const struct ft_addr *addr, bool ipv6)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    return ipv6 ? memcmp(addr->bytes, loopback6, sizeof loopback6) == 0 : addr->bytes[0] == 127;
}

/* Multicast and the limited broadcast: a subnet's broadcast address cannot be told by itself. */
static bool is_group(const struct ft_addr *addr, bool ipv6)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (ipv6) {
        return addr->bytes[0] == 0xff;
    }
    return addr->bytes[0] >> 4 == 0xe || memcmp(addr->bytes, broadcast, sizeof broadcast) == 0;
}
