/* SPDX-License-Identifier: Apache-2.0 */
#include "web/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* A name in DNS has 253 characters at most. */
#define HOST_SIZE 256

/* Cuts ":port" off; false when the header is malformed. */
static bool split(const char *header, char name[HOST_SIZE], bool *ret_ipv6)
{
    *ret_ipv6 = header[0] == '[';
    const char *end = *ret_ipv6 ? strchr(header, ']') : header + strcspn(header, ":");
    if (end == NULL) {
        return false;
    }
    const char *begin = *ret_ipv6 ? header + 1 : header;
    size_t len = (size_t)(end - begin);
    if (len == 0 || len >= HOST_SIZE) {
        return false;
    }
    memcpy(name, begin, len);
    name[len] = '\0';
    const char *port = *ret_ipv6 ? end + 1 : end;
    if (port[0] == '\0') {
        return true;
    }
    size_t n_digits = port[0] == ':' ? strspn(port + 1, "0123456789") : 0;
    return n_digits > 0 && n_digits <= 5 && port[1 + n_digits] == '\0';
}

bool ft_web_host_is_allowed(const char *header, const char *const *names, size_t n_names)
{
    char name[HOST_SIZE];
    bool ipv6;
    if (header == NULL || !split(header, name, &ipv6)) {
        return false;
    }
    struct in6_addr addr;
    if (inet_pton(ipv6 ? AF_INET6 : AF_INET, name, &addr) == 1) {
        return true;
    }
    if (ipv6) {
        return false;
    }
    bool allowed = strcasecmp(name, "localhost") == 0;
    for (size_t i = 0; i < n_names; i++) {
        allowed = allowed || strcasecmp(name, names[i]) == 0;
    }
    return allowed;
}
