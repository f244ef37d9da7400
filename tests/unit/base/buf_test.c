/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "lib/test.h"

TEST(text_is_put_together)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    CHECK_STR(ft_buf_str(&buf), "");
    ft_buf_add_str(&buf, "n=");
    ft_buf_add_u64(&buf, 0);
    ft_buf_add_char(&buf, ' ');
    ft_buf_add_u64(&buf, UINT64_MAX);
    ft_buf_addf(&buf, " %s-%03d", "x", 7);
    CHECK_STR(ft_buf_str(&buf), "n=0 18446744073709551615 x-007");
    CHECK_INT(buf.size, strlen("n=0 18446744073709551615 x-007"));
    CHECK_OK(buf.err);
    ft_buf_deinit(&buf);
    CHECK(buf.data == NULL);
}

TEST(bytes_are_kept_as_they_are)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_buf_add(&buf, "a\0b", 3);
    ft_buf_add(&buf, NULL, 0);
    memcpy(ft_buf_reserve(&buf, 2), "cd", 2);
    CHECK_BYTES(buf.data, buf.size, "a\0bcd", 5);
    ft_buf_consume(&buf, 2);
    CHECK_BYTES(buf.data, buf.size, "bcd", 3);
    ft_buf_consume(&buf, 99);
    CHECK_INT(buf.size, 0);
    ft_buf_deinit(&buf);
}

TEST(the_bound_is_exact_and_its_error_stays)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 10);
    ft_buf_add(&buf, "0123456789", 10);
    CHECK_OK(buf.err);
    CHECK_STR(ft_buf_str(&buf), "0123456789");
    ft_buf_add_char(&buf, 'x');
    CHECK_ERR(buf.err, FT_E_FULL);
    CHECK_STR(ft_buf_str(&buf), "");
    CHECK(ft_buf_reserve(&buf, 1) == NULL);
    CHECK_INT(buf.size, 10);
    ft_buf_clear(&buf);
    CHECK_OK(buf.err);
    ft_buf_addf(&buf, "%s", "01234567890");
    CHECK_ERR(buf.err, FT_E_FULL);
    ft_buf_clear(&buf);
    CHECK(ft_buf_reserve(&buf, SIZE_MAX) == NULL);
    CHECK_ERR(buf.err, FT_E_FULL);
    ft_buf_deinit(&buf);
}

TEST(it_grows)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    for (unsigned i = 0; i < 100000; i++) {
        ft_buf_add_char(&buf, (char)('a' + i % 26));
    }
    CHECK_OK(buf.err);
    CHECK_INT(buf.size, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        CHECK(buf.data[i] == (char)('a' + i % 26));
    }
    ft_buf_deinit(&buf);
}
