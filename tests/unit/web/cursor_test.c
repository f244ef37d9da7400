/* SPDX-License-Identifier: Apache-2.0 */
#include "web/cursor.h"

#include "base/random.h"
#include "lib/test.h"

static struct ft_web_cursor random_cursor(struct ft_random *random)
{
    struct ft_web_cursor cursor = {.order = (enum ft_query_order)ft_random_below(random, 2)};
    cursor.position.time_ns = (int64_t)ft_random_u64(random);
    cursor.position.seq = ft_random_u64(random);
    cursor.begin_ns = (int64_t)ft_random_u64(random);
    cursor.end_ns = (int64_t)ft_random_u64(random);
    ft_uuid_make_random(random, &cursor.position.agent_id);
    ft_uuid_make_random(random, &cursor.position.instance_id);
    return cursor;
}

TEST(cursors_read_back_the_same)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 5);
    for (int i = 0; i < 1000; i++) {
        struct ft_web_cursor cursor = random_cursor(&random.base);
        struct ft_web_cursor back;
        char text[FT_WEB_CURSOR_SIZE];
        ft_web_cursor_format(&cursor, text);
        CHECK_INT(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                  strlen(text));
        CHECK_OK(ft_web_cursor_parse(text, &back));
        CHECK_INT(back.position.time_ns, cursor.position.time_ns);
        CHECK_INT(back.position.seq, cursor.position.seq);
        CHECK_INT(back.begin_ns, cursor.begin_ns);
        CHECK_INT(back.end_ns, cursor.end_ns);
        CHECK_INT(back.order, cursor.order);
        CHECK(ft_uuid_equal(&back.position.agent_id, &cursor.position.agent_id));
        CHECK(ft_uuid_equal(&back.position.instance_id, &cursor.position.instance_id));
    }
}

TEST(every_changed_character_is_noticed)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 6);
    struct ft_web_cursor cursor = random_cursor(&random.base);
    char text[FT_WEB_CURSOR_SIZE];
    ft_web_cursor_format(&cursor, text);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char before = text[i];
        for (int c = 1; c < 128; c++) {
            text[i] = (char)c;
            CHECK_ERR(ft_web_cursor_parse(text, &cursor), c == before ? FT_OK : FT_E_SYNTAX);
        }
        text[i] = before;
    }
}

TEST(other_lengths_are_refused)
{
    struct ft_random_seeded random;
    ft_random_seeded_init(&random, 7);
    struct ft_web_cursor cursor = random_cursor(&random.base);
    char text[FT_WEB_CURSOR_SIZE + 1];
    ft_web_cursor_format(&cursor, text);
    size_t len = strlen(text);
    text[len] = 'A';
    text[len + 1] = '\0';
    CHECK_ERR(ft_web_cursor_parse(text, &cursor), FT_E_SYNTAX);
    for (size_t i = 0; i < len; i++) {
        text[i] = '\0';
        CHECK_ERR(ft_web_cursor_parse(text, &cursor), FT_E_SYNTAX);
        text[i] = 'A';
    }
}
