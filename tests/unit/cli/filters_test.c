/* SPDX-License-Identifier: Apache-2.0 */
/* Filters as the query of the API; that they match the same rows locally is in observe_test.c. */
#include "cli/filters.h"

#include <stdio.h>

#include "lib/test.h"

TEST(query_of_the_api)
{
    struct ft_cli_filters filters;
    struct ft_diag diag = {0};
    struct ft_buf out;
    ft_cli_filters_init(&filters);
    ft_buf_init(&out, 0);
    CHECK_OK(ft_cli_filters_add(&filters, "--ip", "addr", "10.0.0.0/8", false, &diag));
    CHECK_OK(ft_cli_filters_add(&filters, "--port", "port", "53", true, &diag));
    CHECK_OK(ft_cli_filters_add(&filters, "--ip", "addr", "2001:db8::/32,::1", false, &diag));
    CHECK_OK(ft_cli_filters_add(&filters, "--port", "port", "443", false, &diag));
    CHECK_OK(ft_cli_filters_add(&filters, "--process", "process_name", "a b&c", false, &diag));
    ft_cli_filters_format(&filters, false, &out);
    CHECK_STR(ft_buf_str(&out), "&addr=10.0.0.0/8%2C2001:db8::/32%2C::1&not.port=53&port=443"
                                "&process_name=a%20b%26c");
    ft_buf_clear(&out);
    CHECK_OK(ft_cli_filters_set_time(&filters, "", "", 0, &diag));
    ft_cli_filters_deinit(&filters);
    ft_cli_filters_format(&filters, true, &out);
    CHECK_STR(ft_buf_str(&out), "&begin=1970-01-01T00:00:00.000000000Z");
    ft_buf_clear(&out);
    CHECK_OK(ft_cli_filters_set_time(&filters, "1h", "30m", INT64_C(7200000000000), &diag));
    ft_cli_filters_format(&filters, true, &out);
    CHECK_STR(ft_buf_str(&out), "&begin=1970-01-01T01:00:00.000000000Z"
                                "&end=1970-01-01T01:30:00.000000000Z");
    ft_buf_deinit(&out);
}

TEST(flag_is_named_and_nothing_is_added)
{
    struct ft_cli_filters filters;
    struct ft_diag diag = {0};
    ft_cli_filters_init(&filters);
    CHECK_ERR(ft_cli_filters_add(&filters, "--to-port", "dst_port", "70000", false, &diag),
              FT_E_RANGE);
    CHECK_STR(diag.text, "--to-port: \"70000\" is out of range");
    CHECK_ERR(ft_cli_filters_add(&filters, "--filter", "nonsense", "1", false, &diag),
              FT_E_UNKNOWN_KEY);
    CHECK_INT(filters.n, 0);
    ft_cli_filters_deinit(&filters);
}

TEST(bounds_are_those_of_the_query)
{
    struct ft_cli_filters filters;
    struct ft_query query;
    struct ft_diag diag = {0};
    ft_cli_filters_init(&filters);
    for (int i = 0; i < FT_FILTER_VALUES_MAX + 1; i++) {
        char port[16];
        (void)snprintf(port, sizeof port, "%d", i);
        CHECK_OK(ft_cli_filters_add(&filters, "--port", "port", port, false, &diag));
    }
    CHECK_ERR(ft_cli_filters_to_query(&filters, &query, &diag), FT_E_RANGE);
    ft_cli_filters_deinit(&filters);
}
