/* SPDX-License-Identifier: Apache-2.0 */
#include "web/host.h"

#include "lib/test.h"

static const char *const names[] = {"flows.example.net", "collector"};

static bool allowed(const char *header) { return ft_web_host_is_allowed(header, names, 2); }

TEST(our_names_and_ip_literals_are_allowed)
{
    static const char *const good[] = {
        "localhost",  "LOCALHOST:8319", "127.0.0.1",       "127.0.0.1:80",      "[::1]",
        "[::1]:8319", "10.1.2.3:443",   "[2001:db8::1]:1", "Flows.Example.Net", "collector:1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!allowed(good[i])) {
            ft_test_fail(__FILE__, __LINE__, "%s was refused", good[i]);
        }
    }
}

TEST(other_names_are_refused)
{
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "localhost.",
                                      "evil.example:80",
                                      "localhost:",
                                      "localhost:x",
                                      "localhost:123456",
                                      "[::1",
                                      "[localhost]",
                                      "::1",
                                      "[::1]x",
                                      "127.0.0.1.evil.example",
                                      "localhost:80:80",
                                      "[127.0.0.1]",
                                      " localhost"};
    CHECK(!allowed(NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (allowed(bad[i])) {
            ft_test_fail(__FILE__, __LINE__, "\"%s\" was allowed", bad[i]);
        }
    }
}
