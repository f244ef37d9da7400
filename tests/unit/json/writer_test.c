/* SPDX-License-Identifier: Apache-2.0 */
#include "json/writer.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "lib/test.h"
#include "json/reader.h"

static struct ft_buf buf;
static struct ft_json_writer writer;

static void begin(void)
{
    ft_buf_init(&buf, 0);
    ft_json_writer_init(&writer, &buf);
}

static void expect(const char *text)
{
    CHECK_OK(buf.err);
    CHECK(ft_json_is_done(&writer));
    CHECK_STR(ft_buf_str(&buf), text);
    ft_buf_deinit(&buf);
}

TEST(everything_once)
{
    begin();
    ft_json_object_begin(&writer);
    ft_json_key_str(&writer, "s", "x");
    ft_json_key_str(&writer, "none", NULL);
    ft_json_key_u64(&writer, "u", UINT64_MAX);
    ft_json_key_i64(&writer, "i", INT64_MIN);
    ft_json_key_double(&writer, "d", 0.1);
    ft_json_key_double(&writer, "nan", NAN);
    ft_json_key_bool(&writer, "b", true);
    ft_json_key_array(&writer, "a");
    CHECK(!ft_json_is_done(&writer));
    ft_json_null(&writer);
    ft_json_bool(&writer, false);
    ft_json_array_begin(&writer);
    ft_json_array_end(&writer);
    ft_json_object_begin(&writer);
    ft_json_object_end(&writer);
    ft_json_raw(&writer, "{\"r\":1}", 7);
    ft_json_strf(&writer, "%d-%s", 7, "y");
    ft_json_array_end(&writer);
    ft_json_key_object(&writer, "o");
    ft_json_key_i64(&writer, "q\"", -1);
    ft_json_object_end(&writer);
    ft_json_object_end(&writer);
    expect("{\"s\":\"x\",\"none\":null,\"u\":18446744073709551615,\"i\":-9223372036854775808,"
           "\"d\":0.1,\"nan\":null,\"b\":true,\"a\":[null,false,[],{},{\"r\":1},\"7-y\"],"
           "\"o\":{\"q\\\"\":-1}}");
}

TEST(lines)
{
    begin();
    ft_json_u64(&writer, 1);
    ft_json_newline(&writer);
    ft_json_array_begin(&writer);
    ft_json_array_end(&writer);
    expect("1\n[]");
}

TEST(text_is_escaped_and_repaired)
{
    static const struct {
        const char *text;
        size_t len;
        const char *json;
    } cases[] = {
        {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t\x01\x1f\x7f", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"a\xc3", 2, "\"a\xef\xbf\xbd\""},
        {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {"\xf4\x90\x80\x80", 4,
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* past U+10FFFF */
        {"\xe2\x82x", 3, "\"\xef\xbf\xbd\xef\xbf\xbdx\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        ft_json_strn(&writer, cases[i].text, cases[i].len);
        expect(cases[i].json);
    }
}

TEST(a_full_buffer_is_an_error_not_a_crash)
{
    ft_buf_init(&buf, 10);
    ft_json_writer_init(&writer, &buf);
    ft_json_array_begin(&writer);
    for (unsigned i = 0; i < 100; i++) {
        ft_json_str(&writer, "text");
    }
    ft_json_array_end(&writer);
    CHECK(buf.err != FT_OK);
    ft_buf_deinit(&buf);
}

/* Writes a random value; remembers nothing: the second parse is compared with the first writing. */
static void write_random(struct ft_random *random, unsigned depth)
{
    char bytes[24];
    size_t len = (size_t)ft_random_below(random, sizeof bytes);
    random->fill(random, bytes, len);
    uint64_t kind = ft_random_below(random, depth < 5 ? 8 : 6);
    switch (kind) {
    case 0:
        ft_json_null(&writer);
        break;
    case 1:
        ft_json_bool(&writer, ft_random_below(random, 2) != 0);
        break;
    case 2:
        ft_json_i64(&writer, (int64_t)ft_random_u64(random));
        break;
    case 3:
        ft_json_double(&writer, (double)ft_random_u64(random) / 3);
        break;
    case 4:
    case 5:
        ft_json_strn(&writer, bytes, len);
        break;
    case 6:
        ft_json_array_begin(&writer);
        for (uint64_t n = ft_random_below(random, 5); n > 0; n--) {
            write_random(random, depth + 1);
        }
        ft_json_array_end(&writer);
        break;
    default:
        ft_json_object_begin(&writer);
        for (uint64_t n = ft_random_below(random, 5); n > 0; n--) {
            /* The number makes the keys differ; the bytes need all the care that text needs. */
            bytes[0] = (char)('a' + n);
            bytes[len < 2 ? 1 : len - 1] = 'z';
            ft_json_key(&writer, (bytes[sizeof bytes - 1] = '\0', bytes));
            write_random(random, depth + 1);
        }
        ft_json_object_end(&writer);
        break;
    }
}

static bool rewrite_member(void *ctx, const char *key, const struct ft_json_value *value);

static void rewrite(struct ft_json_writer *to, const struct ft_json_value *value)
{
    const char *text;
    int64_t integer;
    double number;
    bool flag;
    switch (ft_json_kind(value)) {
    case FT_JSON_NULL:
        ft_json_null(to);
        break;
    case FT_JSON_BOOL:
        CHECK(ft_json_as_bool(value, &flag));
        ft_json_bool(to, flag);
        break;
    case FT_JSON_INTEGER:
        CHECK(ft_json_as_i64(value, &integer));
        ft_json_i64(to, integer);
        break;
    case FT_JSON_DOUBLE:
        CHECK(ft_json_as_double(value, &number));
        ft_json_double(to, number);
        break;
    case FT_JSON_STRING:
        CHECK(ft_json_as_str(value, &text));
        ft_json_str(to, text);
        break;
    case FT_JSON_ARRAY:
        ft_json_array_begin(to);
        for (size_t i = 0; i < ft_json_size(value); i++) {
            rewrite(to, ft_json_at(value, i));
        }
        ft_json_array_end(to);
        break;
    case FT_JSON_OBJECT:
        ft_json_object_begin(to);
        ft_json_each(value, rewrite_member, to);
        ft_json_object_end(to);
        break;
    }
}

static bool rewrite_member(void *ctx, const char *key, const struct ft_json_value *value)
{
    ft_json_key(ctx, key);
    rewrite(ctx, value);
    return true;
}

TEST(random_values_survive_writing_and_reading)
{
    unsigned compared = 0;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct ft_random_seeded random;
        struct ft_json_doc *doc = NULL;
        struct ft_diag diag;
        ft_random_seeded_init(&random, seed);
        begin();
        write_random(&random.base, 0);
        CHECK(ft_json_is_done(&writer));
        if (ft_json_parse(buf.data, buf.size, "", &doc, &diag) != FT_OK) {
            /* NUL in text is the one thing that the writer can say and the reader refuses. */
            if (strstr(ft_buf_str(&buf), "\\u0000") == NULL) {
                ft_test_fail(__FILE__, __LINE__, "seed %llu: %s: %s", (unsigned long long)seed,
                             diag.text, ft_buf_str(&buf));
            }
        } else {
            struct ft_buf again;
            struct ft_json_writer second;
            ft_buf_init(&again, 0);
            ft_json_writer_init(&second, &again);
            rewrite(&second, ft_json_doc_get_root(doc));
            CHECK_BYTES(again.data, again.size, buf.data, buf.size);
            ft_buf_deinit(&again);
            ft_json_doc_destroy(doc);
            compared++;
        }
        ft_buf_deinit(&buf);
    }
    CHECK(compared > 1500);
}
