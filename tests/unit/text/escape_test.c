/* SPDX-License-Identifier: Apache-2.0 */
#include "text/escape.h"

#include "lib/test.h"

static void check(const char *text, const char *expected)
{
    struct ft_buf buf;
    ft_buf_init(&buf, 0);
    ft_text_escape(&buf, text);
    CHECK_STR(ft_buf_str(&buf), expected);
    ft_buf_deinit(&buf);
}

TEST(controls_become_hexadecimal)
{
    check("plain", "plain");
    check("\x1b[2J", "\\x1b[2J");
    check("a\nb\tc\r", "a\\x0ab\\x09c\\x0d");
    check("\x7f", "\\x7f");
    check("\xc2\x9b"
          "31m",
          "\\xc2\\x9b31m"); /* C1: another CSI. */
    check("a\\b", "a\\\\b");
}

TEST(direction_marks_become_hexadecimal)
{
    check("\xe2\x80\xaegnp.exe", "\\xe2\\x80\\xaegnp.exe");
    check("\xe2\x81\xa6x", "\\xe2\\x81\\xa6x");
    check("\xef\xbb\xbfx", "\\xef\\xbb\\xbfx");
}

TEST(utf8_stays_and_what_is_not_does_not)
{
    check("b\xc3\xbc"
          "cher \xe2\x82\xac \xf0\x9f\x98\x80",
          "b\xc3\xbc"
          "cher \xe2\x82\xac \xf0\x9f\x98\x80");
    check("\xff", "\\xff");
    check("\xc3", "\\xc3");                            /* Cut short. */
    check("\xc0\xaf", "\\xc0\\xaf");                   /* Overlong. */
    check("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* Surrogate. */
    check("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* Past U+10FFFF. */
}
