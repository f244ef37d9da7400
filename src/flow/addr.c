/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and address ranges of flow/event.h. */
#include "flow/event.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/parse.h"

void ft_addr_format(const struct ft_addr *addr, bool ipv6, char *buf)
{
    if (inet_ntop(ipv6 ? AF_INET6 : AF_INET, addr->bytes, buf, FT_ADDR_TEXT_SIZE) == NULL) {
        buf[0] = '\0';
    }
}

ft_err ft_addr_parse(const char *text, struct ft_addr *ret_addr, bool *ret_ipv6)
{
    struct ft_addr addr = {{0}};
    if (inet_pton(AF_INET, text, addr.bytes) == 1) {
        *ret_ipv6 = false;
    } else if (inet_pton(AF_INET6, text, addr.bytes) == 1) {
        *ret_ipv6 = true;
    } else {
        return FT_E_SYNTAX;
    }
    *ret_addr = addr;
    return FT_OK;
}

/* The mask's byte 'i' of a prefix. */
static uint8_t mask_byte(unsigned prefix_len, unsigned i)
{
    unsigned bits = prefix_len > i * 8 ? prefix_len - i * 8 : 0;
    return bits >= 8 ? 0xff : (uint8_t)(0xff00U >> bits);
}

ft_err ft_cidr_parse(const char *text, struct ft_cidr *ret_cidr)
{
    char addr_text[FT_ADDR_TEXT_SIZE];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof addr_text) {
        return FT_E_SYNTAX;
    }
    memcpy(addr_text, text, len);
    addr_text[len] = '\0';
    struct ft_cidr cidr = {0};
    FT_TRY(ft_addr_parse(addr_text, &cidr.addr, &cidr.ipv6));
    uint64_t prefix_len = cidr.ipv6 ? 128 : 32;
    if (slash != NULL && ft_parse_u64(slash + 1, prefix_len, &prefix_len) != FT_OK) {
        return FT_E_SYNTAX;
    }
    cidr.prefix_len = (uint8_t)prefix_len;
    for (unsigned i = 0; i < sizeof cidr.addr.bytes; i++) {
        if ((cidr.addr.bytes[i] & (uint8_t)~mask_byte(cidr.prefix_len, i)) != 0) {
            return FT_E_SYNTAX;
        }
    }
    *ret_cidr = cidr;
    return FT_OK;
}

bool ft_cidr_contains(const struct ft_cidr *cidr, const struct ft_addr *addr, bool ipv6)
{
    if (cidr->ipv6 != ipv6) {
        return false;
    }
    unsigned whole = cidr->prefix_len / 8U;
    if (memcmp(cidr->addr.bytes, addr->bytes, whole) != 0) {
        return false;
    }
    uint8_t mask = cidr->prefix_len % 8U != 0 ? mask_byte(cidr->prefix_len, whole) : 0;
    return mask == 0 || (addr->bytes[whole] & mask) == cidr->addr.bytes[whole];
}

struct ft_addr ft_cidr_last(const struct ft_cidr *cidr)
{
    struct ft_addr last = cidr->addr;
    for (unsigned i = 0; i < (cidr->ipv6 ? 16U : 4U); i++) {
        last.bytes[i] |= (uint8_t)~mask_byte(cidr->prefix_len, i);
    }
    return last;
}

void ft_cidr_format(const struct ft_cidr *cidr, char *buf)
{
    ft_addr_format(&cidr->addr, cidr->ipv6, buf);
    size_t at = strlen(buf);
    (void)snprintf(buf + at, FT_CIDR_TEXT_SIZE - at, "/%u", (unsigned)cidr->prefix_len);
}
