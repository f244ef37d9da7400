/* SPDX-License-Identifier: Apache-2.0 */
#include "json/reader.h"

#include <stdio.h>

#include "lib/test.h"

static struct ft_diag diag;

static struct ft_json_doc *parse(const char *text)
{
    struct ft_json_doc *doc = NULL;
    ft_err err = ft_json_parse(text, strlen(text), "t.json", &doc, &diag);
    if (err != FT_OK) {
        ft_test_fail(__FILE__, __LINE__, "%s", diag.text);
    }
    return doc;
}

static void refused(const char *text, unsigned line, const char *part)
{
    struct ft_json_doc *doc = NULL;
    CHECK_ERR(ft_json_parse(text, strlen(text), "t.json", &doc, &diag), FT_E_SYNTAX);
    CHECK_STR(diag.file, "t.json");
    CHECK_INT(diag.line, line);
    CHECK(diag.column > 0);
    if (strstr(diag.text, part) == NULL) {
        ft_test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", part, diag.text);
    }
}

TEST(members_by_key)
{
    FT_CLEANUP(ft_json_doc_destroy)
    struct ft_json_doc *doc = parse("{\"s\": \"x\", \"i\": -5, \"u\": 7, \"d\": 1.5, \"b\": true, "
                                    "\"n\": null, \"a\": [1, \"two\"], \"o\": {\"k\": 1}}");
    const struct ft_json_value *root = ft_json_doc_get_root(doc);
    const char *text = "untouched";
    int64_t i64 = 1;
    uint64_t u64 = 1;
    double number = 0;
    bool flag = false;
    CHECK_OK(ft_json_get_str(root, "s", &text, &diag));
    CHECK_STR(text, "x");
    CHECK_OK(ft_json_get_i64(root, "i", &i64, &diag));
    CHECK_INT(i64, -5);
    CHECK_OK(ft_json_get_u64(root, "u", &u64, &diag));
    CHECK_INT(u64, 7);
    CHECK_OK(ft_json_get_double(root, "d", &number, &diag));
    CHECK(number == 1.5);
    CHECK_OK(ft_json_get_double(root, "i", &number, &diag));
    CHECK(number == -5);
    CHECK_OK(ft_json_get_bool(root, "b", &flag, &diag));
    CHECK(flag);
    CHECK_ERR(ft_json_get_str(root, "absent", &text, &diag), FT_E_NOT_FOUND);
    CHECK_STR(diag.text, "\"absent\" is missing");
    CHECK_ERR(ft_json_get_str(root, "n", &text, &diag), FT_E_NOT_FOUND);
    CHECK_ERR(ft_json_get_str(root, "i", &text, &diag), FT_E_SYNTAX);
    CHECK_STR(diag.text, "\"i\" must be text");
    CHECK_STR(text, "x");
    CHECK_ERR(ft_json_get_u64(root, "i", &u64, &diag), FT_E_RANGE);
    CHECK_ERR(ft_json_get_u64(root, "d", &u64, &diag), FT_E_SYNTAX);
    CHECK_ERR(ft_json_get_bool(root, "u", &flag, &diag), FT_E_SYNTAX);
    CHECK_INT(u64, 7);
    const struct ft_json_value *array = ft_json_get(root, "a");
    CHECK_INT(ft_json_kind(array), FT_JSON_ARRAY);
    CHECK_INT(ft_json_size(array), 2);
    CHECK(ft_json_as_str(ft_json_at(array, 1), &text));
    CHECK_STR(text, "two");
    CHECK(ft_json_at(array, 2) == NULL);
    CHECK_INT(ft_json_size(root), 8);
}

TEST(absent_values_are_harmless)
{
    const char *text;
    int64_t integer;
    CHECK_INT(ft_json_kind(NULL), FT_JSON_NULL);
    CHECK(ft_json_get(NULL, "x") == NULL);
    CHECK(ft_json_at(NULL, 0) == NULL);
    CHECK_INT(ft_json_size(NULL), 0);
    CHECK(!ft_json_as_str(NULL, &text));
    CHECK(!ft_json_as_i64(NULL, &integer));
    ft_json_each(NULL, NULL, NULL);
}

static bool collect(void *ctx, const char *key, const struct ft_json_value *value)
{
    (void)value;
    (void)strcat(ctx, key);
    return strcmp(key, "c") != 0;
}

TEST(members_come_in_order_until_told_to_stop)
{
    FT_CLEANUP(ft_json_doc_destroy)
    struct ft_json_doc *doc = parse("{\"z\":1,\"a\":2,\"c\":3,\"b\":4}");
    char keys[16] = "";
    ft_json_each(ft_json_doc_get_root(doc), collect, keys);
    CHECK_STR(keys, "zac");
}

TEST(malformed_text_is_refused_with_its_place)
{
    refused("{\"a\": 1,\n \"a\": 2}", 2, "duplicate");
    refused("{\"a\":\n tru}", 2, "tru");
    refused("[1, 2", 1, "end of file");
    refused("[1] x", 1, "end of file expected");
    refused("[\"\xff\"]", 1, "unable to decode byte 0xff");
    refused("[\"\\u0000\"]", 1, "\\u0000");
    refused("[123456789012345678901234567890]", 1, "integer");
    refused("", 1, "end of file");
}

TEST(depth_is_bounded)
{
    char text[512];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = '\0';
    ft_json_doc_destroy(parse(text));
    memset(text, '[', 300);
    text[300] = '\0';
    refused(text, 1, "nested too deeply");
    CHECK_INT(diag.column, 65);
    /* Brackets in text do not count. */
    memset(text, '[', 300);
    memcpy(text, "[\"\\\"", 4);
    memcpy(text + 298, "\"]", 2);
    ft_json_doc_destroy(parse(text));
}
