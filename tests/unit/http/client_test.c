/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen of the client alone; its requests are tested with the command line (unit/cli). */
#include "http/client.h"

#include "lib/test.h"

static void refused(const char *where)
{
    struct ft_http_client *client = NULL;
    struct ft_diag diag = {0};
    CHECK_ERR(ft_http_client_create(where, &client, &diag), FT_E_SYNTAX);
    CHECK(client == NULL);
    CHECK(diag.text[0] != '\0');
}

static void accepted(const char *where)
{
    struct ft_http_client *client = NULL;
    struct ft_diag diag = {0};
    CHECK_OK(ft_http_client_create(where, &client, &diag));
    ft_http_client_destroy(client);
}

TEST(addresses)
{
    accepted("unix:/run/flowtrail/agent.sock");
    accepted("http://collector:8319/");
    accepted("https://collector.example");
    accepted("collector:8319");
    accepted("[::1]:8319");
    refused("");
    refused("collector");
    refused("unix:agent.sock");
    refused("ftp://collector:21");
    refused("file:///etc/passwd");
    refused("collector:8319/api");
    refused("http://collector:8319/ HTTP/1.1\r\nHost: x");
    char path[200] = "unix:/";
    memset(path + 6, 'a', sizeof path - 7);
    path[sizeof path - 1] = '\0';
    refused(path);
    char host[600] = "http://";
    memset(host + 7, 'a', sizeof host - 8);
    host[sizeof host - 1] = '\0';
    refused(host);
}

static void escapes(const char *text, const char *escaped)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_http_add_escaped(&buf, text);
    CHECK_STR(ft_buf_str(&buf), escaped);
    ft_buf_deinit(&buf);
}

TEST(escaping_of_values)
{
    escapes("10.0.0.0/8", "10.0.0.0/8");
    escapes("a b&c=d,e#f%", "a%20b%26c%3Dd%2Ce%23f%25");
    escapes("ngin*", "ngin*");
    escapes("\xc3\xbc\n", "%C3%BC%0A");
}

TEST(cancelled_client_asks_nobody)
{
    struct ft_http_client *client = NULL;
    struct ft_diag diag = {0};
    struct ft_buf body;
    ft_buf_init(&body, 0);
    CHECK_OK(ft_http_client_create("127.0.0.1:1", &client, &diag));
    ft_http_client_cancel(client);
    CHECK_ERR(ft_http_get_all(client, "/", 1000, &body, &diag), FT_E_CANCELLED);
    ft_http_client_destroy(client);
    ft_buf_deinit(&body);
}
