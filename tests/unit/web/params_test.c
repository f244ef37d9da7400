/* SPDX-License-Identifier: Apache-2.0 */
#include "web/params.h"

#include <stdlib.h>

#include "lib/test.h"

TEST(names_and_values_are_decoded_in_order)
{
    struct ft_web_params params;
    struct ft_diag diag;
    CHECK_OK(ft_web_params_parse("a=1&b=x%20y+z&a=%c3%BC&flag&&empty=", &params, &diag));
    CHECK_INT(params.n, 5);
    CHECK_STR(params.items[0].name, "a");
    CHECK_STR(params.items[0].value, "1");
    CHECK_STR(params.items[1].value, "x y z");
    CHECK_STR(params.items[2].name, "a");
    CHECK_STR(params.items[2].value, "\xc3\xbc");
    CHECK_STR(params.items[3].name, "flag");
    CHECK_STR(params.items[3].value, "");
    CHECK_STR(ft_web_params_get(&params, "a"), "1");
    CHECK(ft_web_params_get(&params, "z") == NULL);
    ft_web_params_deinit(&params);
}

TEST(no_query_has_no_parameters)
{
    struct ft_web_params params;
    struct ft_diag diag;
    CHECK_OK(ft_web_params_parse(NULL, &params, &diag));
    CHECK_INT(params.n, 0);
    CHECK_OK(ft_web_params_parse("", &params, &diag));
    CHECK_INT(params.n, 0);
    ft_web_params_deinit(&params);
}

TEST(separators_may_be_encoded)
{
    struct ft_web_params params;
    struct ft_diag diag;
    CHECK_OK(ft_web_params_parse("n%61me=a%26b%3dc", &params, &diag));
    CHECK_STR(params.items[0].name, "name");
    CHECK_STR(params.items[0].value, "a&b=c");
    ft_web_params_deinit(&params);
}

TEST(malformed_queries_are_refused)
{
    static const char *const bad[] = {"a=%",      "a=%2",        "a=%2x",          "a=%00",
                                      "%=1",      "=1",          "a=%ff",          "a=%c3",
                                      "a=%c0%af", "a=%ed%a0%80", "a=%f4%90%80%80", "a=%e2%82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ft_web_params params;
        struct ft_diag diag;
        ft_err err = ft_web_params_parse(bad[i], &params, &diag);
        if (err != FT_E_SYNTAX) {
            ft_test_fail(__FILE__, __LINE__, "%s gave %s", bad[i], ft_err_name(err));
        }
    }
}

TEST(number_and_length_are_bounded)
{
    struct ft_web_params params;
    struct ft_diag diag;
    char query[FT_WEB_QUERY_BYTES_MAX + 2] = "";
    for (int i = 0; i < FT_WEB_PARAMS_MAX; i++) {
        strcat(query, "a&");
    }
    CHECK_OK(ft_web_params_parse(query, &params, &diag));
    CHECK_INT(params.n, FT_WEB_PARAMS_MAX);
    ft_web_params_deinit(&params);
    strcat(query, "a");
    CHECK_ERR(ft_web_params_parse(query, &params, &diag), FT_E_RANGE);
    memset(query, 'x', sizeof query - 1);
    query[sizeof query - 1] = '\0';
    CHECK_ERR(ft_web_params_parse(query, &params, &diag), FT_E_RANGE);
    query[FT_WEB_PARAM_NAME_BYTES + 1] = '\0';
    CHECK_ERR(ft_web_params_parse(query, &params, &diag), FT_E_SYNTAX);
}
