/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/target.h"

#include <arpa/inet.h>
#include <string.h>

static ft_err parse_host(const char *text, size_t len, struct ft_rpc_target *target,
                         const char **ret_rest, struct ft_diag *diag);
static ft_err parse_port(const char *text, size_t len, uint16_t *ret_port, struct ft_diag *diag);
static bool is_host_name(const char *host);
static bool is_loopback(const struct ft_rpc_target *target);
static ft_err refuse(struct ft_diag *diag, const char *why);

ft_err ft_rpc_target_parse(const char *url, enum ft_rpc_plaintext plaintext,
                           struct ft_rpc_target *ret_target, struct ft_diag *reterr_diag)
{
    size_t len = strnlen(url, FT_RPC_URL_LEN_MAX + 1);
    if (len > FT_RPC_URL_LEN_MAX) {
        return refuse(reterr_diag, "the URL is too long");
    }
    struct ft_rpc_target target = {.tls = false};
    const char *text = NULL;
    if (strncmp(url, "https://", 8) == 0) {
        target.tls = true;
        target.port = 443;
        text = url + 8;
    } else if (strncmp(url, "http://", 7) == 0) {
        target.port = 80;
        text = url + 7;
    } else {
        return refuse(reterr_diag, "the URL must begin with https://");
    }
    len -= (size_t)(text - url);
    if (len > 0 && text[len - 1] == '/') {
        len--;
    }
    const char *rest = NULL;
    FT_TRY(parse_host(text, len, &target, &rest, reterr_diag));
    if (rest != text + len) {
        FT_TRY(parse_port(rest + 1, (size_t)(text + len - rest - 1), &target.port, reterr_diag));
    }
    target.is_loopback = is_loopback(&target);
    if (!target.tls && plaintext == FT_RPC_PLAINTEXT_NEVER) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "http:// is refused: it would send the token and the data in the "
                           "clear; use https://, or allow plaintext by name");
    }
    if (!target.tls && plaintext == FT_RPC_PLAINTEXT_LOOPBACK && !target.is_loopback) {
        return ft_diag_set(reterr_diag, FT_E_RANGE, "", 0, 0,
                           "plaintext is allowed to this host only, and %s is another one",
                           target.host);
    }
    *ret_target = target;
    return FT_OK;
}

/* '*ret_rest' is the end of the text, or the colon before the port. */
static ft_err parse_host(const char *text, size_t len, struct ft_rpc_target *target,
                         const char **ret_rest, struct ft_diag *diag)
{
    const char *host = text;
    const char *end = NULL;
    if (len > 0 && text[0] == '[') {
        host = text + 1;
        end = memchr(text, ']', len);
        if (end == NULL) {
            return refuse(diag, "the URL's address has no closing bracket");
        }
        target->is_ipv6 = true;
        *ret_rest = end + 1;
    } else {
        end = memchr(text, ':', len);
        end = end != NULL ? end : text + len;
        *ret_rest = end;
    }
    if (*ret_rest != text + len && **ret_rest != ':') {
        return refuse(diag, "the URL has something behind its address");
    }
    size_t host_len = (size_t)(end - host);
    if (host_len == 0 || host_len >= sizeof target->host) {
        return refuse(diag, "the URL has no host, or too long a one");
    }
    for (size_t i = 0; i < host_len; i++) {
        char c = host[i];
        target->host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    target->host[host_len] = '\0';
    struct in6_addr address;
    if (target->is_ipv6 ? inet_pton(AF_INET6, target->host, &address) != 1
                        : !is_host_name(target->host)) {
        return refuse(diag, "the URL's host is neither a name nor an address (no user, path or "
                            "query is taken)");
    }
    return FT_OK;
}

static ft_err parse_port(const char *text, size_t len, uint16_t *ret_port, struct ft_diag *diag)
{
    unsigned port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= 5) {
            return refuse(diag, "the URL's port is no number from 1 to 65535");
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port == 0 || port > 65535) {
        return refuse(diag, "the URL's port is no number from 1 to 65535");
    }
    *ret_port = (uint16_t)port;
    return FT_OK;
}

/* Letters, digits, '-', '_' and '.', as labels of 1 to 63 characters; IPv4 addresses pass too. */
static bool is_host_name(const char *host)
{
    size_t label = 0;
    for (const char *p = host; *p != '\0'; p++) {
        if (*p == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
            continue;
        }
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_' ||
                    (*p == '-' && label > 0);
        if (!good || ++label > 63) {
            return false;
        }
    }
    return true;
}

static bool is_loopback(const struct ft_rpc_target *target)
{
    struct in6_addr v6;
    if (target->is_ipv6) {
        return inet_pton(AF_INET6, target->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    }
    struct in_addr v4;
    if (inet_pton(AF_INET, target->host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    return strcmp(target->host, "localhost") == 0;
}

static ft_err refuse(struct ft_diag *diag, const char *why)
{
    return ft_diag_set(diag, FT_E_SYNTAX, "", 0, 0, "%s", why);
}
