/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/target.h"

#include "lib/test.h"

TEST(urls_are_taken_apart)
{
    static const struct {
        const char *url;
        const char *host;
        int port;
        bool tls;
        bool is_ipv6;
        bool is_loopback;
    } cases[] = {
        {"https://collector.example.com", "collector.example.com", 443, true, false, false},
        {"https://Collector.Example.com:4317/", "collector.example.com", 4317, true, false, false},
        {"https://10.0.0.1:1", "10.0.0.1", 1, true, false, false},
        {"https://[2001:db8::1]:65535", "2001:db8::1", 65535, true, true, false},
        {"https://[::1]", "::1", 443, true, true, true},
        {"http://localhost", "localhost", 80, false, false, true},
        {"http://127.9.8.7:99", "127.9.8.7", 99, false, false, true},
        {"http://flow_server.lan", "flow_server.lan", 80, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_rpc_target target;
        CHECK_OK(ft_rpc_target_parse(cases[i].url, FT_RPC_PLAINTEXT_ANYWHERE, &target, NULL));
        CHECK_STR(target.host, cases[i].host);
        CHECK_INT(target.port, cases[i].port);
        CHECK_INT(target.tls, cases[i].tls);
        CHECK_INT(target.is_ipv6, cases[i].is_ipv6);
        CHECK_INT(target.is_loopback, cases[i].is_loopback);
    }
}

TEST(anything_else_is_no_url)
{
    static const char *const urls[] = {
        "",
        "collector.example.com:443",
        "HTTPS://example.com",
        "https:/example.com",
        "https://",
        "https:///",
        "https://:443",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:000443",
        "https://example.com:-1",
        "https://example.com:+1",
        "https://example.com:4 3",
        "https://example.com:443:444",
        "https://user@example.com",
        "https://user:secret@example.com",
        "https://example.com/path",
        "https://example.com//",
        "https://example.com?x",
        "https://example.com#x",
        "https://exam ple.com",
        "https://example.com\n",
        "https://ex\xc3\xa4mple.com",
        "https://example..com",
        "https://.example.com",
        "https://-example.com",
        "https://[::1",
        "https://[::1]x:1",
        "https://[example.com]:1",
        "https://[]:1",
        "https://::1:443",
        "https://2001:db8::1",
        "file:///etc/passwd",
        "dns:///example.com",
        "unix:///run/x",
        "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct ft_rpc_target target;
        struct ft_diag diag = {.text = ""};
        ft_err err = ft_rpc_target_parse(urls[i], FT_RPC_PLAINTEXT_ANYWHERE, &target, &diag);
        if (err != FT_E_SYNTAX) {
            ft_test_fail(__FILE__, __LINE__, "\"%s\" gave %s", urls[i], ft_err_name(err));
        }
        CHECK(diag.text[0] != '\0');
    }
    char url[FT_RPC_URL_LEN_MAX + 2];
    memset(url, 'a', sizeof url);
    memcpy(url, "https://", 8);
    url[sizeof url - 1] = '\0';
    struct ft_rpc_target target;
    CHECK_ERR(ft_rpc_target_parse(url, FT_RPC_PLAINTEXT_NEVER, &target, NULL), FT_E_SYNTAX);
}

TEST(plaintext_is_allowed_by_name_only)
{
    struct ft_rpc_target target;
    struct ft_diag diag;
    CHECK_ERR(ft_rpc_target_parse("http://127.0.0.1:80", FT_RPC_PLAINTEXT_NEVER, &target, &diag),
              FT_E_RANGE);
    CHECK(strstr(diag.text, "https://") != NULL);
    CHECK_OK(ft_rpc_target_parse("http://127.0.0.1:80", FT_RPC_PLAINTEXT_LOOPBACK, &target, NULL));
    CHECK_ERR(ft_rpc_target_parse("http://10.0.0.1", FT_RPC_PLAINTEXT_LOOPBACK, &target, &diag),
              FT_E_RANGE);
    CHECK(strstr(diag.text, "10.0.0.1") != NULL);
    /* A name that begins like the loopback's address is another host. */
    CHECK_ERR(ft_rpc_target_parse("http://127.0.0.1.evil.example", FT_RPC_PLAINTEXT_LOOPBACK,
                                  &target, NULL),
              FT_E_RANGE);
    CHECK_OK(ft_rpc_target_parse("http://10.0.0.1", FT_RPC_PLAINTEXT_ANYWHERE, &target, NULL));
    /* The permission does not switch TLS off. */
    CHECK_OK(ft_rpc_target_parse("https://10.0.0.1", FT_RPC_PLAINTEXT_ANYWHERE, &target, NULL));
    CHECK(target.tls);
}
